/* CHOL by cuSOLVER. Contract: cuda/routines/routines.h. */
#include "cuda/routines/routines.h"

/* A row-major lower factor is a column-major upper one: with A = L L^H the memory read by columns is A^T = (L^T)^H L^T. */
bool mx_cuda_chol_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  const mx_mat *a = &t->mat[0];
  const int64_t n = mx_solver_potrf_bytes(dev, t->dtype, mx_mat_rows(a), (int)a->rows, mx_mat_ld(a, mx_mat_rows(a)));

  *bytes = (size_t)(n > 0 ? n : 0);
  return n >= 0;
}

mars_status mx_cuda_chol(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat *a = &t->mat[0];
  const bool rows = mx_mat_rows(a);
  const mx_check minor = {.kind = MX_FOUND_MINOR, .fn = t->fn, .first = t->p[0], .matrix = t->p[3]}, nan = {.kind = MX_FOUND_NEGATIVE, .fn = t->fn, .first = t->p[0], .matrix = t->p[3]};
  mx_cuda_blas *b = NULL;
  mx_solver_work w = {.at = scratch};
  CUdeviceptr info = 0;
  size_t bytes = 0;

  MX_TRY(mx_cuda_solver_open(dev, &b, err));
  if (!mx_cuda_chol_bytes(dev, t, &bytes)) MX_TRY(mx_fail(err, MARS_E_DEVICE, "mars_%s: %s: cuSOLVER's potrf_bufferSize fails", t->fn, dev->name));
  MX_TRY(mx_cuda_finding(dev, &minor, &info, err));
  w.bytes = (int64_t)bytes;
  w.info = (int *)(uintptr_t)info;
  MX_TRY(mx_solver_potrf(dev, t->dtype, rows, (int)a->rows, a->base, mx_mat_ld(a, rows), &w, err));
  MX_TRY(mx_cuda_finding_diagonal(dev, t->dtype, a, &nan, err)); /* a NaN need not have stopped the library */
  MX_TRY(mx_cuda_triangle(dev, t->dtype, a, a, true, 0, false, err)); /* 0 above the diagonal */

done:
  return st;
}
