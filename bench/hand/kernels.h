/*
 * The hand-written competitors, as one table of functions for each instruction set, and OpenMP drivers over
 * it.
 *
 * Kernels work on a range in one thread: no allocation, no threads, no file. Pointers are aligned to 64 bytes
 * and counts are multiples of 64 except where said.
 */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAND_CHAINS 10
#define HAND_CHAIN_INPUTS 4

/** Running mean and sum of squared deviations; merge with hand_moments_merge. */
typedef struct hand_moments {
  double count, mean, m2;
} hand_moments;

/** Greatest value and the index of its first occurrence. */
typedef struct hand_top {
  double value;
  int64_t index;
} hand_top;

typedef struct hand_kernels {
  const char *isa;

  /* memory: the limits */
  double (*read)(const double *x, int64_t n); /**< n any; returns the sum */
  void (*copy)(double *out, const double *x, int64_t n);
  void (*copy_nt)(double *out, const double *x, int64_t n);
  void (*write)(double *out, double value, int64_t n);
  void (*write_nt)(double *out, double value, int64_t n);
  void (*triad)(double *out, const double *x, const double *y, int64_t n);
  void (*triad_nt)(double *out, const double *x, const double *y, int64_t n);
  double (*fma)(int64_t rounds, double *flops); /**< *flops: done; the return value keeps it alive */

  /* random: doubles of blocks [block, block + n_blocks) of a stream; n_blocks a multiple of 32 */
  double (*philox)(uint64_t seed, uint64_t stream, uint64_t block, int64_t n_blocks); /**< their sum */
  void (*uniform)(uint64_t seed, uint64_t stream, uint64_t block, int64_t n_blocks, double *out); /**< 2 n_blocks of them */
  int64_t (*pi)(uint64_t seed, uint64_t stream_x, uint64_t stream_y, uint64_t block, int64_t n_blocks);

  /* scale, axpb */
  void (*scale)(double *out, const double *x, int64_t n); /**< x * 2, streaming */
  void (*axpb)(double *out, const double *x, int64_t n);  /**< (x + 1) * 2, streaming */
  void (*axpb_in_place)(double *x, int64_t n);            /**< n and alignment any */

  /* reductions; n and alignment any */
  hand_moments (*moments)(const double *x, int64_t n);
  hand_top (*top)(const double *x, int64_t n); /**< n > 0, no NaN */
  void (*add_rows)(double *acc, const double *x, int64_t rows, int64_t cols, int64_t row_stride);

  /* chains: out = expression `which` of in[0..3]; out of `which` == 9 is bool */
  void (*chain_f64)(int which, void *out, const double *const *in, int64_t n);
  void (*chain_f32)(int which, void *out, const float *const *in, int64_t n);
  /* the least that a chain must move: reads n_in arrays, writes out_bytes an element */
  void (*touch_f64)(void *out, int out_bytes, const double *const *in, int n_in, int64_t n);
  void (*touch_f32)(void *out, int out_bytes, const float *const *in, int n_in, int64_t n);
} hand_kernels;

/** \brief Table of the best instruction set of this CPU ($MARS_BENCH_ISA limits it: baseline, avx2, avx512).
 */
const hand_kernels *hand_kernels_get(void);

/* parts of a table, one definition for each instruction set */
#define HAND_PARTS(isa)                                                                                      \
  void hand_fill_memory_##isa(hand_kernels *k);                                                              \
  void hand_fill_random_##isa(hand_kernels *k);                                                              \
  void hand_fill_reduce_##isa(hand_kernels *k);                                                              \
  void hand_fill_chain_f64_##isa(hand_kernels *k);                                                           \
  void hand_fill_chain_f32_##isa(hand_kernels *k);
HAND_PARTS(baseline)
HAND_PARTS(avx2)
HAND_PARTS(avx512)

hand_moments hand_moments_merge(hand_moments a, hand_moments b);

/* ---- OpenMP drivers over whole arrays -------------------------------------------------------------- */

double hand_read(const double *x, int64_t n, int threads);
typedef enum hand_map { HAND_COPY, HAND_COPY_NT, HAND_WRITE, HAND_WRITE_NT, HAND_SCALE, HAND_AXPB } hand_map;
void hand_map_run(hand_map what, double *out, const double *x, int64_t n, int threads);
void hand_triad(double *out, const double *x, const double *y, int64_t n, bool streaming, int threads);
/** \brief GFLOP/s of fused multiply-adds. */
double hand_fma_rate(int threads);

/** \brief Sum of the first n doubles of a stream (n rounded down to an even number). */
double hand_philox_sum(uint64_t seed, uint64_t stream, int64_t n, int threads);
/** \brief The doubles [first, first + n) of a stream, in this thread. */
void hand_uniform(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, double *out);
/** \brief Points of n with x*x + y*y <= 1. */
int64_t hand_pi_count(uint64_t seed, uint64_t stream_x, uint64_t stream_y, int64_t n, int threads);
/** \brief One double of a stream, by the plain definition: the independent check. */
double hand_philox_at(uint64_t seed, uint64_t stream, uint64_t element);

double hand_std(const double *x, int64_t n, int threads);
hand_top hand_argmax(const double *x, int64_t n, int threads);
void hand_sum_axis0(double *out, const double *x, int64_t rows, int64_t cols, int threads);
void hand_sum_axis1(double *out, const double *x, int64_t rows, int64_t cols, int threads);

/** \brief A chain over whole arrays: f32 or f64, in[i] arrays of n. */
void hand_chain(int which, bool f32, void *out, const void *const *in, int64_t n, int threads);
void hand_touch(bool f32, void *out, int out_bytes, const void *const *in, int n_in, int64_t n, int threads);

#ifdef __cplusplus
}
#endif

#endif
