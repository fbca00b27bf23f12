/* Dispatch of tile operations, and those that are kernels of ours. Contract: cuda/routines/routines.h. */
#include "cuda/routines/routines.h"

#include "cuda/device_text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ---- kernels ---- */

enum { T_CONJ, T_FILL, T_TRI, T_MIRROR }; /* device/tile.cuh */
enum { F_LOWER = 1, F_UNIT = 2, F_CONJ = 4, F_ROWS = 8 };

mars_status mx_cuda_tile_fn(mx_cuda *dev, const char *of, const char *name, CUfunction *fn, mars_error *err) {
  mx_text text = {.mem = dev->mem};
  mars_status st;

  mx_text_append(&text, mx_device_base);
  mx_text_append(&text, of);
  st = text.failed ? mx_fail(err, MARS_E_MEMORY, "mars_run: %s: no memory for a kernel's text", dev->name)
                   : mx_cuda_function(dev, text.buf, 0, name, fn, err);
  mx_text_reset(&text);
  return st;
}

static mars_status queue_named(mx_cuda *dev, const char *text, const char *name, int64_t n, const uint64_t *words, int n_words, mars_error *err) {
  mars_status st = MARS_OK;
  int64_t blocks = (n + 255) / 256;
  CUfunction fn = NULL;

  if (n <= 0) return MARS_OK;
  MX_TRY(mx_cuda_tile_fn(dev, text, name, &fn, err));
  if (blocks > (int64_t)dev->sms * 16) blocks = (int64_t)dev->sms * 16;
  MX_TRY(mx_cuda_queue(dev, fn, blocks, 256, words, n_words, "a matrix kernel", err));

done:
  return st;
}

mars_status mx_cuda_tile_kernel(mx_cuda *dev, const char *text, const char *name, mars_dtype dt, int64_t n, const uint64_t *words, int n_words,
                                mars_error *err) {
  char full[48];

  snprintf(full, sizeof full, dt == MARS_DTYPE_COUNT ? "%s" : "%s_%s", name, mx_text_type(dt));
  return queue_named(dev, text, full, n, words, n_words, err);
}

mars_status mx_cuda_tile_kernel_bytes(mx_cuda *dev, const char *text, const char *name, mars_dtype dt, int64_t n, const uint64_t *words,
                                      int n_words, mars_error *err) {
  char full[48];

  snprintf(full, sizeof full, "%s_%zu", name, mars_dtype_bytes(dt));
  return queue_named(dev, text, full, n, words, n_words, err);
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
  size_t es = mars_dtype_bytes(dt);
  uint64_t w[13] = {(uint64_t)what, (uint64_t)to->rows, (uint64_t)to->cols};

  mat_words(to, es, w + 3);
  mat_words(from, es, w + 6);
  w[9] = (uint64_t)diag;
  w[10] = flags | (to->cs == 1 ? F_ROWS : 0);
  one_of(dt, w + 11);
  return mx_cuda_tile_kernel_bytes(dev, mx_device_tile, "mx_tile", dt, to->rows * to->cols, w, 13, err);
}

/* Over the target's rows or columns, whatever is contiguous. */
static mx_copy copy_of(mars_dtype dt, const mx_mat *d, const mx_mat *s) {
  const int64_t es = (int64_t)mars_dtype_bytes(dt);
  const bool by_rows = d->cs == 1;

  return (mx_copy){.to = d->base, .from = s->base, .es = (int)es, .nd = 2,
                   .extent = {by_rows ? d->rows : d->cols, by_rows ? d->cols : d->rows},
                   .to_stride = {(by_rows ? d->rs : d->cs) * es, (by_rows ? d->cs : d->rs) * es},
                   .from_stride = {(by_rows ? s->rs : s->cs) * es, (by_rows ? s->cs : s->rs) * es}};
}

mars_status mx_cuda_conj(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, mars_error *err) {
  const mx_copy c = copy_of(dt, to, from);
  mars_status st = MARS_OK;
  bool turned = false;

  MX_TRY(mx_cuda_turn_conj(dev, &c, &turned, err));
  if (!turned) MX_TRY(run(dev, T_CONJ, dt, to, from, 0, F_CONJ, err));

done:
  return st;
}

mars_status mx_cuda_mirror(mx_cuda *dev, mars_dtype dt, const mx_mat *a, bool herm, mars_error *err) {
  return run(dev, T_MIRROR, dt, a, a, 0, herm ? F_CONJ : 0, err);
}

mars_status mx_cuda_triangle(mx_cuda *dev, mars_dtype dt, const mx_mat *to, const mx_mat *from, bool lower, int64_t diag, bool unit,
                             mars_error *err) {
  return run(dev, T_TRI, dt, to, from, diag, (lower ? F_LOWER : 0) | (unit ? F_UNIT : 0), err);
}

mars_status mx_cuda_copy_mat(mx_cuda *dev, mars_dtype dt, const mx_mat *d, const mx_mat *s, mars_error *err) {
  const mx_copy c = copy_of(dt, d, s);

  return mx_cuda_copy(dev, &c, err);
}

mars_status mx_cuda_clear(mx_cuda *dev, char *at, size_t bytes, mars_error *err) {
  return mx_cuda_check(dev, dev->cu->cuMemsetD8Async((CUdeviceptr)(uintptr_t)at, 0, bytes, dev->compute), "clearing memory", err);
}

static mars_status copy(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;

  (void)scratch;
  for (int i = 0; i + 1 < t->n; i += 2)
    if ((t->flags & MX_TF_CONJ) && mx_is_complex(t->dtype)) MX_TRY(mx_cuda_conj(dev, t->dtype, &t->mat[i], &t->mat[i + 1], err));
    else MX_TRY(mx_cuda_copy_mat(dev, t->dtype, &t->mat[i], &t->mat[i + 1], err));

done:
  return st;
}

static mars_status fill(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  (void)scratch;
  return run(dev, T_FILL, t->dtype, t->mat, t->mat, t->p[1], t->p[0] ? F_UNIT : 0, err);
}

static mars_status tri(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  (void)scratch;
  return mx_cuda_triangle(dev, t->dtype, &t->mat[0], &t->mat[1], t->flags & MX_TF_LOWER, t->p[0], t->flags & MX_TF_UNIT, err);
}

static mars_status user(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  (void)scratch;
  return mx_cuda_user(dev, t, err);
}

/* ---- dispatch ---- */

/* What an operation takes beside NVRTC, and of which dtypes it is. */
enum { ANY = 0, BLAS = 1, SOLVER = 2, FLOATS = 4, WORDS = 8 /* integers of 32 and 64 bits too */ };
static const struct {
  unsigned needs;
  mx_cuda_tile_run *run;     /* NULL: the host's */
  mx_cuda_tile_bytes *bytes; /* NULL: no scratch */
} table[MX_TILE_COUNT] = {
    [MX_TILE_COPY] = {ANY, copy, NULL},
    [MX_TILE_FILL] = {ANY, fill, NULL},
    [MX_TILE_TRI] = {ANY, tri, NULL},
    [MX_TILE_USER] = {ANY, user, NULL},
    [MX_TILE_GEMM] = {BLAS | WORDS, mx_cuda_gemm, NULL},
    [MX_TILE_SYRK] = {BLAS | WORDS, mx_cuda_syrk, NULL},
    [MX_TILE_TRSM] = {BLAS | FLOATS, mx_cuda_trsm, NULL},
    [MX_TILE_CHOL] = {SOLVER | FLOATS, mx_cuda_chol, mx_cuda_chol_bytes},
    [MX_TILE_LU_PANEL] = {SOLVER | FLOATS, mx_cuda_lu_panel, mx_cuda_lu_panel_bytes},
    [MX_TILE_LU_STEP] = {BLAS | SOLVER | FLOATS, mx_cuda_lu_step, mx_cuda_lu_step_bytes},
    [MX_TILE_LU_UPDATE] = {BLAS | FLOATS, mx_cuda_lu_update, NULL},
    [MX_TILE_LU_BACK] = {BLAS | FLOATS, mx_cuda_lu_back, NULL},
    [MX_TILE_LU_FORWARD_T] = {BLAS | FLOATS, mx_cuda_lu_forward_t, NULL},
    [MX_TILE_LU_BACK_T] = {BLAS | FLOATS, mx_cuda_lu_back_t, NULL},
    [MX_TILE_LU_LOWER] = {FLOATS, mx_cuda_lu_lower, NULL},
    [MX_TILE_LU_DIAG] = {FLOATS, mx_cuda_lu_diag, NULL},
    [MX_TILE_QR_PANEL] = {BLAS | SOLVER | FLOATS, mx_cuda_qr_panel, mx_cuda_qr_panel_bytes},
    [MX_TILE_QR_APPLY] = {BLAS | FLOATS, mx_cuda_qr_apply, mx_cuda_qr_apply_bytes},
    [MX_TILE_SVD] = {SOLVER | FLOATS, mx_cuda_svd, mx_cuda_svd_bytes},
    [MX_TILE_EIGH] = {SOLVER | FLOATS, mx_cuda_eigh, mx_cuda_eigh_bytes},
    [MX_TILE_TALL_GRAM] = {BLAS | FLOATS, mx_cuda_tall_gram, mx_cuda_tall_gram_bytes},
    [MX_TILE_TALL_MUL] = {BLAS | FLOATS, mx_cuda_tall_mul, mx_cuda_tall_mul_bytes},
    [MX_TILE_TALL_QR] = {BLAS | SOLVER | FLOATS, mx_cuda_tall_qr, mx_cuda_tall_qr_bytes},
    [MX_TILE_TALL_APPLY] = {BLAS | FLOATS, mx_cuda_tall_apply, mx_cuda_tall_apply_bytes},
};

static bool there(mx_cuda_lib lib) { return mx_cuda_has(mx_cuda_load(lib), lib); }

bool mx_cuda_can_tile(mx_cuda *dev, mx_tile_op op, mars_dtype dtype) {
  const unsigned needs = table[op].needs;
  const bool word = (needs & WORDS) && dtype < MARS_F16 && mars_dtype_bytes(dtype) >= 4;

  if (table[op].run == NULL) return false;
  if (dev->arch == 0) /* what needs no kernel of ours: no conjugates, no mirror images */
    return op == MX_TILE_GEMM && (dtype == MARS_F32 || dtype == MARS_F64) && there(MX_LIB_CUBLAS);
  if (word) return true;
  if ((needs & (FLOATS | WORDS)) && dtype < MARS_F32) return false;
  return (!(needs & BLAS) || there(MX_LIB_CUBLAS)) && (!(needs & SOLVER) || there(MX_LIB_CUSOLVER));
}

bool mx_cuda_tile_scratch(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  bool wanted;

  *bytes = 0;
  if (table[t->op].bytes == NULL) return true;
  if (mx_cuda_enter(dev, NULL) != MARS_OK) return false;
  pthread_mutex_lock(&dev->tiles);
  wanted = table[t->op].bytes(dev, t, bytes);
  pthread_mutex_unlock(&dev->tiles);
  mx_cuda_leave(dev);
  return wanted;
}

mars_status mx_cuda_tile(mx_cuda *dev, const mx_call *call, mars_error *err) {
  const mx_tile_call *t = call->tile;
  mars_status st = MARS_OK;

  if (table[t->op].run == NULL)
    return mx_fail(err, MARS_E_UNSUPPORTED, "mars_%s: %s has no tile operation %d", t->fn, dev->name, (int)t->op);
  pthread_mutex_lock(&dev->tiles);
  if (table[t->op].needs != ANY) MX_TRY(mx_cuda_tiles_open(dev, err));
  MX_TRY(table[t->op].run(dev, t, call->scratch, err));

done:
  pthread_mutex_unlock(&dev->tiles);
  return st;
}

mars_status mx_cuda_tile_results(mx_cuda *dev, mars_error *err) {
  mars_status st;

  pthread_mutex_lock(&dev->tiles);
  st = mx_cuda_judge(dev, err);
  pthread_mutex_unlock(&dev->tiles);
  return st;
}
