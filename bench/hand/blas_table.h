/* The functions of OpenBLAS that blas.c and tall.c call, by dlsym. LAPACK's have Fortran's interface. */
#ifndef BENCH_HAND_BLAS_TABLE_H
#define BENCH_HAND_BLAS_TABLE_H

#include <cblas.h>
#include <stddef.h>

typedef void hand_dpotrf(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t uplo_length);
typedef void hand_dgetrf(const int *m, const int *n, double *a, const int *lda, int *pivots, int *info);
typedef void hand_dgesv(const int *n, const int *nrhs, double *a, const int *lda, int *pivots, double *b, const int *ldb,
                        int *info);
typedef void hand_dgeqrf(const int *m, const int *n, double *a, const int *lda, double *tau, double *work, const int *lwork,
                         int *info);
typedef void hand_dorgqr(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau, double *work,
                         const int *lwork, int *info);
typedef void hand_dsyev(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
                        const int *lwork, int *info, size_t jobz_length, size_t uplo_length);

#define HAND_BLAS(X)                                                                                         \
  X(cblas_dgemm) X(cblas_sgemm) X(cblas_dsyrk) X(dpotrf_) X(dgetrf_) X(dgesv_) X(dgeqrf_) X(dorgqr_) X(dsyev_)            \
  X(openblas_set_num_threads)

typedef struct hand_blas_table {
  void *lib;
  __typeof__(cblas_dgemm) *cblas_dgemm;
  __typeof__(cblas_sgemm) *cblas_sgemm;
  __typeof__(cblas_dsyrk) *cblas_dsyrk;
  __typeof__(openblas_set_num_threads) *openblas_set_num_threads;
  hand_dpotrf *dpotrf_;
  hand_dgetrf *dgetrf_;
  hand_dgesv *dgesv_;
  hand_dgeqrf *dgeqrf_;
  hand_dorgqr *dorgqr_;
  hand_dsyev *dsyev_;
} hand_blas_table;

extern hand_blas_table hand_blas;
void hand_blas_threads(int n);

#endif
