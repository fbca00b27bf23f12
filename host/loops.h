/*
 * Elementwise loops, casts and random fills of the host, built once per instruction set and chosen at start.
 *
 * Layer: host. Pure functions over contiguous blocks; any thread.
 * Contract of every loop: n >= 0 elements; dst may be exactly one of the inputs if their elements have the same size (in
 * place) and overlaps none of them otherwise; pointers are aligned to their element only; nothing beyond element n is read
 * or written. The value of an element depends on its operands alone, never on its place in the block or on n (vector
 * tails give the same bits; sign and payload of a NaN may differ). Bool operands are 0 or 1.
 */
#ifndef MX_LOOPS_H
#define MX_LOOPS_H

#include "engine/program.h"

typedef void mx_loop(int64_t n, void *dst, const void *a, const void *b, const void *c);

typedef struct mx_loops {
  const char *isa; /* "baseline", "avx2", "avx512" */
  /* [op][loop dtype]: NULL where the op's domain does not have it. Halves: NEXTAFTER and SPACING only, on f32 registers. */
  mx_loop *op[MX_OP_COUNT][MARS_DTYPE_COUNT];
  mx_loop *cast[MARS_DTYPE_COUNT][MARS_DTYPE_COUNT]; /* [from][to], all pairs but equal ones (NULL) */
  mx_loop *round_f16, *round_bf16;                   /* f32 -> f32 that is a half */
  /* dst[k] = random element index + k*step (mod 2^64) of the stream; step may be anything, 1 is fast. dst in r->dtype:
     f32 or f64 for UNIFORM, NORMAL and EXPONENTIAL, an integer for INTEGERS, bool for BERNOULLI. */
  void (*random)(const mx_random *r, uint64_t index, int64_t step, int64_t n, void *dst);
  void (*iota)(int64_t start, int64_t step, int64_t n, int64_t *dst);
  /* dst[0, bytes) = src, past the caches; any alignment. The caller fences before others may read: a fence for every
     block would wait for each to reach memory. */
  void (*stream_copy)(void *dst, const void *src, size_t bytes);
} mx_loops;

/* NULL name: the best of this CPU. NULL result: unknown name, or this CPU does not have it. */
const mx_loops *mx_loops_select(const char *isa);

#endif
