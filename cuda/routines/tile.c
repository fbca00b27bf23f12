/* Dispatch of tile operations, and those that are kernels of ours. Contract: cuda/routines/routines.h. */
#include "cuda/routines/routines.h"

#include "cuda/device_text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ---- kernels ---- */

enum { T_CONJ, T_FILL, T_TRI, T_MIRROR }; /* device/tile.cuh */
enum { F_LOWER = 1, F_UNIT = 2, F_CONJ = 4, F_ROWS = 8 };

static mars_status tile_fn(mx_cuda *dev, const char *name, CUfunction *fn, mars_error *err) {
  mx_text text = {.mem = dev->mem};
  mars_status st;

  mx_text_append(&text, mx_device_base);
  mx_text_append(&text, mx_device_tile);
  st = text.failed ? mx_fail(err, MARS_E_MEMORY, "mars_run: %s: no memory for a kernel's text", dev->name)
                   : mx_cuda_function(dev, text.buf, name, fn, err);
  mx_text_reset(&text);
  return st;
}

static void mat_words(const mx_mat *a, size_t es, uint64_t *w) {
  w[0] = (uint64_t)(uintptr_t)a->base;
  w[1] = (uint64_t)(a->rs * (int64_t)es);
  w[2] = (uint64_t)(a->cs * (int64_t)es);
}

/* 1 in a dtype, as bits */
static void one_of(mars_dtype dt, uint64_t *w) {
  w[0] = 1;
  w[1] = 0;
  if (dt == MARS_F16) w[0] = 0x3c00;
  if (dt == MARS_BF16) w[0] = 0x3f80;
  if (dt == MARS_F32 || dt == MARS_C64) w[0] = 0x3f800000;
  if (dt == MARS_F64 || dt == MARS_C128) w[0] = 0x3ff0000000000000;
}

static mars_status run(mx_cuda *dev, int what, mars_dtype dt, const mx_mat *to, const mx_mat *from, int64_t diag, unsigned flags,
                       mars_error *err) {
  mars_status st = MARS_OK;
  size_t es = mars_dtype_bytes(dt);
  uint64_t w[13] = {(uint64_t)what, (uint64_t)to->rows, (uint64_t)to->cols};
  int64_t blocks = (to->rows * to->cols + 255) / 256;
  CUfunction fn = NULL;
  char name[32];

  mat_words(to, es, w + 3);
  mat_words(from, es, w + 6);
  w[9] = (uint64_t)diag;
  w[10] = flags | (to->cs == 1 ? F_ROWS : 0);
  one_of(dt, w + 11);
  snprintf(name, sizeof name, "mx_tile_%zu", es);
  MX_TRY(tile_fn(dev, name, &fn, err));
  if (blocks > (int64_t)dev->sms * 16) blocks = (int64_t)dev->sms * 16;
  MX_TRY(mx_cuda_queue(dev, fn, blocks, 256, w, 13, "a matrix kernel", err));

done:
  return st;
}

mars_status mx_cuda_conj(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, mars_error *err) {
  return run(dev, T_CONJ, dt, to, from, 0, F_CONJ, err);
}

mars_status mx_cuda_mirror(mx_cuda *dev, mars_dtype dt, const mx_mat *a, bool herm, mars_error *err) {
  return run(dev, T_MIRROR, dt, a, a, 0, herm ? F_CONJ : 0, err);
}

mars_status mx_cuda_triangle(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, bool lower, int64_t diag, bool unit,
                             mars_error *err) {
  return run(dev, T_TRI, dt, to, from, diag, (lower ? F_LOWER : 0) | (unit ? F_UNIT : 0), err);
}

mars_status mx_cuda_diagonal(mx_cuda *dev, mars_dtype dt, const mx_mat *a, CUdeviceptr finding, mars_error *err) {
  mars_status st = MARS_OK;
  uint64_t w[13] = {0, (uint64_t)(a->rows < a->cols ? a->rows : a->cols), 0};
  CUfunction fn = NULL;
  char name[32];

  mat_words(a, mars_dtype_bytes(dt), w + 3);
  w[6] = finding;
  snprintf(name, sizeof name, "mx_diag_%s", mx_text_type(dt));
  MX_TRY(tile_fn(dev, name, &fn, err));
  MX_TRY(mx_cuda_queue(dev, fn, 1, 256, w, 13, "a check of a diagonal", err));

done:
  return st;
}

static mars_status copy(mx_cuda *dev, const mx_tile_call *t, mars_error *err) {
  mars_status st = MARS_OK;
  int64_t es = (int64_t)mars_dtype_bytes(t->dtype);

  for (int i = 0; i + 1 < t->n; i += 2) {
    const mx_mat *d = &t->mat[i], *s = &t->mat[i + 1];
    bool by_rows = d->cs == 1;
    const int64_t extent[2] = {by_rows ? d->rows : d->cols, by_rows ? d->cols : d->rows};
    const int64_t to[2] = {(by_rows ? d->rs : d->cs) * es, (by_rows ? d->cs : d->rs) * es};
    const int64_t from[2] = {(by_rows ? s->rs : s->cs) * es, (by_rows ? s->cs : s->rs) * es};

    if ((t->flags & MX_TF_CONJ) && mx_is_complex(t->dtype)) MX_TRY(mx_cuda_conj(dev, t->dtype, d, s, err));
    else MX_TRY(mx_cuda_copy(dev, d->base, s->base, (int)es, 2, extent, to, from, err));
  }

done:
  return st;
}

/* ---- dispatch ---- */

bool mx_cuda_can_tile(mx_cuda *dev, mx_tile_op op, mars_dtype dtype) {
  bool blas = dtype >= MARS_F32;

  (void)dev;
  if (!mx_cuda_has(mx_cuda_load(MX_LIB_NVRTC), MX_LIB_NVRTC)) return false;
  switch (op) {
  case MX_TILE_COPY:
  case MX_TILE_FILL:
  case MX_TILE_TRI: return true;
  case MX_TILE_GEMM:
  case MX_TILE_SYRK:
  case MX_TILE_TRSM: return blas && mx_cuda_has(mx_cuda_load(MX_LIB_CUBLAS), MX_LIB_CUBLAS);
  case MX_TILE_CHOL: return blas && mx_cuda_has(mx_cuda_load(MX_LIB_CUSOLVER), MX_LIB_CUSOLVER);
  default: return false;
  }
}

mars_status mx_cuda_tile(mx_cuda *dev, const mx_call *call, mars_error *err) {
  const mx_tile_call *t = call->tile;

  switch (t->op) {
  case MX_TILE_COPY: return copy(dev, t, err);
  case MX_TILE_FILL: return run(dev, T_FILL, t->dtype, t->mat, t->mat, t->p[1], t->p[0] ? F_UNIT : 0, err);
  case MX_TILE_TRI:
    return mx_cuda_triangle(dev, t->dtype, &t->mat[0], &t->mat[1], t->flags & MX_TF_LOWER, t->p[0], t->flags & MX_TF_UNIT, err);
  case MX_TILE_GEMM: return mx_cuda_gemm(dev, t, err);
  case MX_TILE_SYRK: return mx_cuda_syrk(dev, t, err);
  case MX_TILE_TRSM: return mx_cuda_trsm(dev, t, err);
  case MX_TILE_CHOL: return mx_cuda_chol(dev, t, err);
  default: return mx_fail(err, MARS_E_UNSUPPORTED, "mars_%s: %s has no tile operation %d", t->fn, dev->name, (int)t->op);
  }
}

/* ---- findings ---- */

mars_status mx_cuda_finding(mx_cuda *dev, const mx_tile_call *t, bool definite, int value, CUdeviceptr *out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_cuda_blas *b = dev->blas;

  if (b->n_checks == MX_CHECKS) MX_TRY(mx_cuda_tile_results(dev, err));
  if (b->info == 0) MX_TRY(mx_cuda_check(dev, dev->cu->cuMemAlloc(&b->info, MX_CHECKS * sizeof(int)), "memory for findings", err));
  if (b->info_host == NULL)
    MX_TRY(mx_cuda_check(dev, dev->cu->cuMemHostAlloc((void **)&b->info_host, MX_CHECKS * sizeof(int), 0), "pinned memory for findings", err));
  *out = b->info + (size_t)b->n_checks * sizeof(int);
  MX_TRY(mx_cuda_check(dev, dev->cu->cuMemsetD8Async(*out, (unsigned char)value, sizeof(int), dev->compute), "clearing a finding", err));
  b->check[b->n_checks++] = (mx_check){t->fn, t->p[0], definite};

done:
  return st;
}

static mars_status judge(const mx_check *c, int value, mars_error *err) {
  if (c->definite) {
    if (value <= 0) return MARS_OK;
    return mx_fail(err, MARS_E_NUMERIC, "mars_%s: the matrix is not positive definite: its leading minor of order %lld is not positive", c->fn,
                   (long long)(c->first + value));
  }
  if (value == 0x7f7f7f7f) return MARS_OK; /* as it was cleared */
  return mx_fail(err, MARS_E_NUMERIC, "mars_%s: the matrix is singular: element %lld of the diagonal is 0", c->fn,
                 (long long)(c->first + value - 1));
}

mars_status mx_cuda_tile_results(mx_cuda *dev, mars_error *err) {
  mars_status st = MARS_OK;
  mx_cuda_blas *b = dev->blas;
  int n = b != NULL ? b->n_checks : 0;

  if (n == 0) return MARS_OK;
  b->n_checks = 0;
  MX_TRY(mx_cuda_check(dev, dev->cu->cuMemcpyDtoHAsync(b->info_host, b->info, (size_t)n * sizeof(int), dev->compute), "reading findings", err));
  MX_TRY(mx_cuda_check(dev, dev->cu->cuStreamSynchronize(dev->compute), "reading findings", err));
  for (int i = 0; i < n; i++) MX_TRY(judge(&b->check[i], b->info_host[i], err));

done:
  return st;
}
