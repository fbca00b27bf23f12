/*
 * Tile operations on the CUDA device: engine/routines/tiles.def says what each does.
 *
 *   tile.c   dispatch; COPY, FILL, TRI and mirrors by kernels of ours; what operations found out on the device
 *   blas.c   GEMM, SYRK, TRSM by cuBLAS
 *   chol.c   CHOL by cuSOLVER
 *
 * Layer: cuda. Threads: the device's owner; everything is queued on the compute stream.
 */
#ifndef MX_CUDA_ROUTINES_H
#define MX_CUDA_ROUTINES_H

#include "cuda/device.h"

enum { MX_CHECKS = 256, MX_WORK_BYTES = 16 << 20 };

/* A finding of an operation, looked at after the launch: an int on the device, 0 (or `good`) if all is well. */
typedef struct mx_check {
  const char *fn;
  int64_t first; /* p[0] of the call */
  bool definite; /* of a Cholesky factor; else of a triangle's diagonal */
} mx_check;

typedef struct mx_cuda_blas {
  cublasHandle_t blas;
  cusolverDnHandle_t solver;
  CUdeviceptr info;     /* int[MX_CHECKS] */
  int *info_host;       /* pinned */
  mx_check check[MX_CHECKS];
  int n_checks;
  CUdeviceptr work;     /* cuSOLVER's workspace, conjugated panels */
  size_t work_bytes;
} mx_cuda_blas;

/* The handles, created when they are first wanted. */
mars_status mx_cuda_blas_open(mx_cuda *dev, mx_cuda_blas **out, mars_error *err);
mars_status mx_cuda_solver_open(mx_cuda *dev, mx_cuda_blas **out, mars_error *err);
mars_status mx_cuda_blas_check(mx_cuda *dev, int status, const char *what, mars_error *err);
/* At least so many bytes of workspace; operations on the stream use it one after another. */
mars_status mx_cuda_work(mx_cuda *dev, size_t bytes, CUdeviceptr *out, mars_error *err);
/* The next finding's int, set to `value` in every byte. */
mars_status mx_cuda_finding(mx_cuda *dev, const mx_tile_call *t, bool definite, int value, CUdeviceptr *out, mars_error *err);

static inline bool mx_is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }
static inline bool mx_mat_rows(const mx_mat *a) { return a->cs == 1 || a->cols == 1; } /* rows, or what may pass for them */
/* Leading dimension as BLAS wants it: at least the run's length. */
static inline int mx_mat_ld(const mx_mat *a, bool rows) {
  int64_t ld = rows ? a->rs : a->cs, run = rows ? a->cols : a->rows;

  return (int)(ld > run ? ld : run > 1 ? run : 1);
}

/* kernels of tile.c */
mars_status mx_cuda_conj(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, mars_error *err);
mars_status mx_cuda_mirror(mx_cuda *dev, mars_dtype dt, const mx_mat *a, bool herm, mars_error *err);
mars_status mx_cuda_triangle(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, bool lower, int64_t diag, bool unit,
                             mars_error *err);
mars_status mx_cuda_diagonal(mx_cuda *dev, mars_dtype dt, const mx_mat *a, CUdeviceptr finding, mars_error *err);

mars_status mx_cuda_gemm(mx_cuda *dev, const mx_tile_call *t, mars_error *err);
mars_status mx_cuda_syrk(mx_cuda *dev, const mx_tile_call *t, mars_error *err);
mars_status mx_cuda_trsm(mx_cuda *dev, const mx_tile_call *t, mars_error *err);
mars_status mx_cuda_chol(mx_cuda *dev, const mx_tile_call *t, mars_error *err);

#endif
