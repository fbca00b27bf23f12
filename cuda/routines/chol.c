/* CHOL by cuSOLVER. Contract: cuda/routines/routines.h. */
#include "cuda/routines/routines.h"

/* A row-major lower factor is a column-major upper one: with A = L L^H the memory read by columns is A^T = (L^T)^H L^T. */
static int workspace(const mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, cublasFillMode_t part, int n, char *a, int ld, int *out) {
  switch (dt) {
  case MARS_F32: return dev->cu->cusolverDnSpotrf_bufferSize(h, part, n, (float *)a, ld, out);
  case MARS_F64: return dev->cu->cusolverDnDpotrf_bufferSize(h, part, n, (double *)a, ld, out);
  case MARS_C64: return dev->cu->cusolverDnCpotrf_bufferSize(h, part, n, (cuComplex *)a, ld, out);
  default: return dev->cu->cusolverDnZpotrf_bufferSize(h, part, n, (cuDoubleComplex *)a, ld, out);
  }
}

static int factor(const mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, cublasFillMode_t part, int n, char *a, int ld, void *work,
                  int work_n, int *info) {
  switch (dt) {
  case MARS_F32: return dev->cu->cusolverDnSpotrf(h, part, n, (float *)a, ld, work, work_n, info);
  case MARS_F64: return dev->cu->cusolverDnDpotrf(h, part, n, (double *)a, ld, work, work_n, info);
  case MARS_C64: return dev->cu->cusolverDnCpotrf(h, part, n, (cuComplex *)a, ld, work, work_n, info);
  default: return dev->cu->cusolverDnZpotrf(h, part, n, (cuDoubleComplex *)a, ld, work, work_n, info);
  }
}

mars_status mx_cuda_chol(mx_cuda *dev, const mx_tile_call *t, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat *a = &t->mat[0];
  bool rows = mx_mat_rows(a);
  cublasFillMode_t part = rows ? CUBLAS_FILL_MODE_UPPER : CUBLAS_FILL_MODE_LOWER;
  int n = (int)a->rows, ld = mx_mat_ld(a, rows), work_n = 0;
  CUdeviceptr work = 0, info = 0;
  mx_cuda_blas *b = NULL;

  MX_TRY(mx_cuda_solver_open(dev, &b, err));
  MX_TRY(mx_cuda_blas_check(dev, workspace(dev, b->solver, t->dtype, part, n, a->base, ld, &work_n), "cuSOLVER's potrf_bufferSize", err));
  MX_TRY(mx_cuda_work(dev, ((size_t)work_n + 1) * mars_dtype_bytes(t->dtype), &work, err));
  MX_TRY(mx_cuda_finding(dev, t, true, 0, &info, err));
  MX_TRY(mx_cuda_blas_check(dev, factor(dev, b->solver, t->dtype, part, n, a->base, ld, (void *)(uintptr_t)work, work_n, (int *)(uintptr_t)info),
                            "cuSOLVER's potrf", err));
  MX_TRY(mx_cuda_triangle(dev, t->dtype, a, a, true, 0, false, err)); /* 0 above the diagonal */

done:
  return st;
}
