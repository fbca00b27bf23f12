/* What the kernels of calls have to read and write of global memory, from the calls alone; and what the simulated platform counted. */
#ifndef TESTS_CUDA_TRAFFIC_H
#define TESTS_CUDA_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Bytes. The law:
 *   operands  an element of an in slot once for every point of the tile, whatever its layout. Where it stands still along the dimension that
 *             is taken by vectors, once for a vector: an operand that is broadcast is no smaller than what uses it, and caches make of the
 *             same address what they can.
 *   results   an element of an out slot once; of a reduction the finished value, or the accumulator with the gaps behind its parts.
 *   partials  of each reduction whose groups are cut into `splits`: as many accumulators, without gaps. Written once and read once.
 *   combined  what a COMBINE reads: every accumulator once, and for each of its elements the 8 bytes that say where it is.
 *   carries   of scans: in and out once for a line; where a block has a line, all of its 256 threads ask for the same one.
 *   copied    operands in pieces, which are laid out in one place first. Read once and written once.
 */
typedef struct cuda_traffic {
  uint64_t operands, results, partials, combined, carries_read, carries_written, copied;
} cuda_traffic;
uint64_t cuda_traffic_read(const cuda_traffic *t);
uint64_t cuda_traffic_written(const cuda_traffic *t);

/* Of all calls that were launched through tests/vm_stage.h; the figures only grow. */
cuda_traffic cuda_traffic_expected(void);
/* Counted, by kernels of programs and of copies; false: nothing counts here. */
bool cuda_traffic_counted(uint64_t *read, uint64_t *written);

#ifdef __cplusplus
}
#endif
#endif
