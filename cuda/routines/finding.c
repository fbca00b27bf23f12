/* What operations find out on the device. Contract: cuda/routines/routines.h. */
#include "cuda/routines/routines.h"

#include "cuda/device_text.h"
#include "engine/numeric.h"

#include <stdio.h>

static const uint64_t nothing = 0x7f7f7f7f7f7f7f7fu; /* the least of no numbers */

mars_status mx_cuda_finding(mx_cuda *dev, const mx_check *what, CUdeviceptr *out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_cuda_blas *b = dev->blas;
  const bool number = what->kind >= MX_FOUND_ZERO;

  if (b->n_checks == MX_CHECKS) MX_TRY(mx_cuda_judge(dev, err));
  if (b->info == 0) MX_TRY(mx_cuda_check(dev, dev->cu->cuMemAlloc(&b->info, MX_CHECKS * sizeof(uint64_t)), "memory for findings", err));
  if (b->info_host == NULL)
    MX_TRY(mx_cuda_check(dev, dev->cu->cuMemHostAlloc((void **)&b->info_host, MX_CHECKS * sizeof(uint64_t), 0), "pinned memory for findings",
                         err));
  *out = b->info + (size_t)b->n_checks * sizeof(uint64_t);
  MX_TRY(mx_cuda_check(dev, dev->cu->cuMemsetD8Async(*out, number ? 0x7f : 0, sizeof(uint64_t), dev->compute), "clearing a finding", err));
  b->check[b->n_checks++] = *what;

done:
  return st;
}

static mars_status minor(const mx_check *c, int64_t order, mars_error *err) {
  return mx_fail_minor(err, c->fn, c->matrix, c->first + order);
}

static mars_status judge_info(const mx_check *c, int info, mars_error *err) {
  if (info < 0) return mx_fail(err, MARS_E_INTERNAL, "mars_%s: cuSOLVER does not like its argument %d", c->fn, -info);
  if (info == 0 || c->kind == MX_FOUND_INFO) return MARS_OK;
  if (c->kind == MX_FOUND_MINOR) return minor(c, info, err);
  return mx_fail_diverged(err, c->fn, c->matrix, c->what, "cuSOLVER", info);
}

static mars_status judge(const mx_check *c, uint64_t value, mars_error *err) {
  const int64_t at = (int64_t)value, line = c->length > 0 ? at / c->length : 0, place = c->length > 0 ? at % c->length : 0;

  if (c->kind < MX_FOUND_ZERO) return judge_info(c, (int)(uint32_t)value, err);
  if (value == nothing) return MARS_OK;
  switch (c->kind) {
  case MX_FOUND_NEGATIVE: return minor(c, at + 1, err);
  case MX_FOUND_PIVOT: return mx_fail_pivot(err, c->fn, c->matrix, c->what, c->first + at);
  case MX_FOUND_INFINITE:
    return mx_fail_infinite(err, c->fn, c->matrix, c->by_rows ? line : place, c->first + (c->by_rows ? place : line));
  default: return mx_fail_diagonal(err, c->fn, c->matrix, c->first + at);
  }
}

mars_status mx_cuda_judge(mx_cuda *dev, mars_error *err) {
  mars_status st = MARS_OK;
  mx_cuda_blas *b = dev->blas;
  const int n = b != NULL ? b->n_checks : 0;

  if (n == 0) return MARS_OK;
  b->n_checks = 0;
  MX_TRY(mx_cuda_check(dev, dev->cu->cuMemcpyDtoHAsync(b->info_host, b->info, (size_t)n * sizeof(uint64_t), dev->compute), "reading findings", err));
  MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamSynchronize(dev->compute), "reading findings", err));
  for (int i = 0; i < n; i++) MX_TRY(judge(&b->check[i], b->info_host[i], err));

done:
  return st;
}

mars_status mx_cuda_finding_diagonal(mx_cuda *dev, mars_dtype dt, const mx_mat *a, const mx_check *what, mars_error *err) {
  mars_status st = MARS_OK;
  const int64_t es = (int64_t)mars_dtype_bytes(dt);
  CUdeviceptr out = 0;

  MX_TRY(mx_cuda_finding(dev, what, &out, err));
  const uint64_t w[13] = {0, (uint64_t)(a->rows < a->cols ? a->rows : a->cols), 0, (uint64_t)(uintptr_t)a->base, (uint64_t)(a->rs * es),
                          (uint64_t)(a->cs * es), out, what->kind == MX_FOUND_NEGATIVE};
  MX_TRY(mx_cuda_tile_kernel(dev, mx_device_tile, "mx_diag", dt, 1, w, 13, err));

done:
  return st;
}

mars_status mx_cuda_finite(mx_cuda *dev, const mx_tile_call *t, const mx_mat *a, unsigned flags, int64_t first_column, mars_error *err) {
  mars_status st = MARS_OK;
  const int64_t es = (int64_t)mars_dtype_bytes(t->dtype);
  const bool by_rows = a->cs == 1, lower = flags & MX_TF_LOWER, upper = flags & MX_TF_UPPER, part = lower || upper;
  const int64_t lines = by_rows ? a->rows : a->cols, length = by_rows ? a->cols : a->rows;
  const mx_check check = {.kind = MX_FOUND_INFINITE, .fn = t->fn, .first = first_column, .matrix = t->p[3], .length = length, .by_rows = by_rows};
  CUdeviceptr out = 0;

  MX_TRY(mx_cuda_finding(dev, &check, &out, err));
  const uint64_t w[16] = {(uint64_t)lines, (uint64_t)length, (uint64_t)(uintptr_t)a->base, (uint64_t)((by_rows ? a->rs : a->cs) * es),
                          (uint64_t)((by_rows ? a->cs : a->rs) * es), out, part ? (by_rows ? upper : lower) ? 2 : 1 : 0};
  MX_TRY(mx_cuda_tile_kernel(dev, mx_device_factor, "mx_finite", t->dtype, lines * length, w, 16, err));

done:
  return st;
}
