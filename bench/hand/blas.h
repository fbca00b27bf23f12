/*
 * OpenBLAS called directly: the hand-written versions of the linear algebra suites.
 *
 * The library is the one that mars has opened in this process, with the kernels that it chose (an old OpenBLAS does not know
 * a new CPU): what differs between ours and hand is what is around them. Matrices are row-major unless said; the
 * factorisations are LAPACK's, column-major.
 *
 * Threads: one process opens it and then calls from one thread; every call uses the threads given to hand_blas_open.
 */
#ifndef BENCH_HAND_BLAS_H
#define BENCH_HAND_BLAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** \brief Must be called in a process before all else here. False: there is no OpenBLAS; the reason is in error. */
bool hand_blas_open(int threads, char *error);

/** \brief out = a b, n x n. */
void hand_gemm_f64(int64_t n, const double *a, const double *b, double *out);
void hand_gemm_f32(int64_t n, const float *a, const float *b, float *out);

/** \brief Seconds for `flops` at the rate of one dgemm (dsyrk) of order n; flops of dsyrk: n * n * (n + 1). Negative: no
 * memory. */
double hand_dgemm_seconds(double flops, int64_t n);
double hand_dsyrk_seconds(double flops, int64_t n);

/** \brief std of a a^T - a, a [n, n] uniform random numbers of the stream. Panels of at most `rows` rows are made, multiplied
 * and forgotten; rows >= n: one dsyrk. work: hand_aat_doubles(n, rows) of them. */
double hand_aat_std(uint64_t seed, uint64_t stream, int64_t n, int64_t rows, double *work, int threads);
size_t hand_aat_doubles(int64_t n, int64_t rows);

/** \brief max |u s vh - a| of the SVD of a [m, n], uniform random numbers, by the eigenvalues of a^T a: two passes that make the
 * rows again instead of keeping them. NaN: it failed. */
double hand_tall_svd(uint64_t seed, uint64_t stream, int64_t m, int n, int threads);

typedef enum hand_factor { HAND_CHOLESKY, HAND_LU, HAND_QR, HAND_SOLVE, HAND_FACTORS } hand_factor;
/** \brief Flops of one: n^3 times 1/3, 2/3, 8/3 (q is made, too), 2/3. */
double hand_factor_flops(hand_factor what, int64_t n);
/** \brief LAPACK in place on random numbers (symmetric and diagonally dominant where it needs to be): seconds without the
 * making of the matrix; negative: no memory, or it failed. */
double hand_factor_seconds(hand_factor what, int64_t n, int threads);

#endif
