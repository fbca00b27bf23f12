/*
 * LU. Contract: cuda/routines/routines.h; engine/routines/tiles.def. Everything is column-major.
 *
 * A panel is factored by cuSOLVER's getrf (the one of 32 bits: pivots are int32 here), after a copy of it has been put aside:
 * where a pivot is zero or something is not finite the library leaves NaNs or loses them, so the panel is then factored again by a
 * kernel of ours, as the host does it. Which of both it was is decided on the device: nobody waits.
 */
#include "cuda/routines/routines.h"

#include "cuda/device_text.h"

static int ld_of(const mx_mat *a) { return (int)(a->cols > 1 ? a->cs : a->rows > 0 ? a->rows : 1); }

/* ---- panels ---- */

typedef struct panel_room {
  char *copy, *work;
  CUdeviceptr bad; /* int: 1 if something is not finite */
  size_t bytes;
  int64_t work_bytes;
} panel_room;

static bool lay_out(mx_cuda *dev, mars_dtype dt, const mx_mat *a, char *scratch, panel_room *r) {
  *r = (panel_room){.work_bytes = mx_solver_getrf_bytes(dev, dt, (int)a->rows, (int)a->cols, ld_of(a))};
  if (r->work_bytes < 0) return false;
  r->copy = mx_take(&scratch, &r->bytes, a->rows * a->cols * (int64_t)mars_dtype_bytes(dt));
  r->bad = (CUdeviceptr)(uintptr_t)mx_take(&scratch, &r->bytes, sizeof(int));
  r->work = mx_take(&scratch, &r->bytes, r->work_bytes);
  return true;
}

static mars_status factor(mx_cuda *dev, const mx_tile_call *t, const mx_mat *a, const mx_mat *pivot, int64_t index, char *scratch,
                          mars_error *err) {
  mars_status st = MARS_OK;
  const int m = (int)a->rows, n = (int)a->cols, ld = ld_of(a);
  const mx_check library = {.kind = MX_FOUND_INFO, .fn = t->fn};
  const mx_check zero = {.kind = MX_FOUND_PIVOT, .fn = t->fn, .first = index, .matrix = t->p[3], .what = t->flags & MX_TF_TRANS ? "row" : "column"};
  CUdeviceptr info = 0;
  CUfunction fn = NULL;
  panel_room r;

  if (!lay_out(dev, t->dtype, a, scratch, &r)) MX_TRY(mx_fail(err, MARS_E_DEVICE, "mars_%s: %s: cuSOLVER's getrf_bufferSize fails", t->fn, dev->name));
  MX_TRY(mx_cuda_finding(dev, &library, &info, err));
  MX_TRY(mx_cuda_clear(dev, (char *)(uintptr_t)r.bad, sizeof(int), err));
  const uint64_t w[16] = {(uint64_t)m, (uint64_t)n, (uint64_t)(uintptr_t)a->base, (uint64_t)ld, (uint64_t)(uintptr_t)r.copy, r.bad, info,
                          (uint64_t)(uintptr_t)pivot->base};
  MX_TRY(mx_cuda_tile_kernel(dev, mx_device_factor, "mx_save", t->dtype, (int64_t)m * n, w, 16, err));
  const mx_solver_work work = {r.work, r.work_bytes, (int *)(uintptr_t)info};
  MX_TRY(mx_solver_getrf(dev, t->dtype, m, n, a->base, ld, (int *)(void *)pivot->base, &work, err));
  MX_TRY(mx_cuda_tile_fn(dev, mx_device_factor, t->dtype == MARS_F32 ? "mx_again_f32" : t->dtype == MARS_F64 ? "mx_again_f64"
                              : t->dtype == MARS_C64 ? "mx_again_c64" : "mx_again_c128", &fn, err));
  MX_TRY(mx_cuda_queue(dev, fn, 1, 256, w, 16, "a look at pivots", err));
  if (t->flags & MX_TF_CHECK) MX_TRY(mx_cuda_finding_diagonal(dev, t->dtype, a, &zero, err));

done:
  return st;
}

bool mx_cuda_lu_panel_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  panel_room r;
  const bool known = lay_out(dev, t->dtype, &t->mat[0], NULL, &r);

  *bytes = r.bytes;
  return known;
}

mars_status mx_cuda_lu_panel(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  return factor(dev, t, &t->mat[0], &t->mat[1], t->p[0], scratch, err);
}

/* ---- what other columns take from a panel ---- */

static mars_status exchange(mx_cuda *dev, mars_dtype dt, const mx_mat *a, const mx_mat *pivot, int64_t n, bool back, mars_error *err) {
  const uint64_t w[16] = {(uint64_t)a->cols, (uint64_t)n, (uint64_t)(uintptr_t)a->base, (uint64_t)ld_of(a), (uint64_t)(uintptr_t)pivot->base, back};

  return mx_cuda_tile_kernel_bytes(dev, mx_device_factor, "mx_exchange", dt, a->cols, w, 16, err);
}

static mars_status eliminate(mx_cuda *dev, mars_dtype dt, const mx_mat *c, const mx_mat *l, const mx_mat *pivot, mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(dt);
  const int64_t n = l->cols;
  const mx_mat top = mx_mat_part(c, es, 0, 0, n, c->cols), below = mx_mat_part(c, es, n, 0, c->rows - n, c->cols);
  const mx_mat l11 = mx_mat_part(l, es, 0, 0, n, n), l21 = mx_mat_part(l, es, n, 0, l->rows - n, n);

  MX_TRY(exchange(dev, dt, c, pivot, n, false, err));
  MX_TRY(mx_cuda_solve(dev, dt, MX_TF_LOWER | MX_TF_UNIT, &top, &l11, err));
  MX_TRY(mx_cuda_product(dev, dt, MX_TF_NEGATE, &below, &l21, &top, err));

done:
  return st;
}

/* The next panel, below the one that is factored. */
static mx_mat next_panel(const mx_tile_call *t) {
  const mx_mat *a = &t->mat[0];

  return mx_mat_part(a, a->base != NULL ? mars_dtype_bytes(t->dtype) : 0, t->p[0], t->p[0], a->rows - t->p[0], t->p[1]);
}

bool mx_cuda_lu_step_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  const mx_mat next = next_panel(t);
  panel_room r = {0};
  const bool known = t->p[1] == 0 || lay_out(dev, t->dtype, &next, NULL, &r);

  *bytes = r.bytes;
  return known;
}

mars_status mx_cuda_lu_step(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0], l = mx_mat_part(a, es, 0, 0, a->rows, t->p[0]), next = next_panel(t);
  const mx_mat right = mx_mat_part(a, es, 0, t->p[0], a->rows, a->cols - t->p[0]);

  MX_TRY(eliminate(dev, t->dtype, &right, &l, &t->mat[1], err));
  if (t->p[1] > 0) MX_TRY(factor(dev, t, &next, &t->mat[2], t->p[2], scratch, err));

done:
  return st;
}

mars_status mx_cuda_lu_update(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  (void)scratch;
  return eliminate(dev, t->dtype, &t->mat[0], &t->mat[1], &t->mat[2], err);
}

mars_status mx_cuda_lu_back(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0], *u = &t->mat[1];
  const int64_t w = u->cols, s = u->rows - w;
  const mx_mat u11 = mx_mat_part(u, es, s, 0, w, w), u01 = mx_mat_part(u, es, 0, 0, s, w);
  const mx_mat x = mx_mat_part(a, es, s, 0, w, a->cols), above = mx_mat_part(a, es, 0, 0, s, a->cols);

  (void)scratch;
  MX_TRY(mx_cuda_solve(dev, t->dtype, MX_TF_UPPER, &x, &u11, err));
  MX_TRY(mx_cuda_product(dev, t->dtype, MX_TF_NEGATE, &above, &u01, &x, err));

done:
  return st;
}

/* ---- the transposed system ---- */

mars_status mx_cuda_lu_forward_t(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0], *u = &t->mat[1];
  const int64_t w = u->cols, s = u->rows - w;
  const mx_mat u11 = mx_mat_part(u, es, s, 0, w, w), u01 = mx_mat_part(u, es, 0, 0, s, w), ut = mx_mat_t(&u01);
  const mx_mat x = mx_mat_part(a, es, s, 0, w, a->cols), above = mx_mat_part(a, es, 0, 0, s, a->cols);

  (void)scratch;
  if (s > 0) MX_TRY(mx_cuda_product(dev, t->dtype, MX_TF_NEGATE, &x, &ut, &above, err));
  MX_TRY(mx_cuda_solve(dev, t->dtype, MX_TF_UPPER | MX_TF_TRANS, &x, &u11, err));

done:
  return st;
}

mars_status mx_cuda_lu_back_t(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0], *l = &t->mat[1];
  const int64_t w = l->cols, m = l->rows;
  const mx_mat l11 = mx_mat_part(l, es, 0, 0, w, w), l21 = mx_mat_part(l, es, w, 0, m - w, w), lt = mx_mat_t(&l21);
  const mx_mat x = mx_mat_part(a, es, 0, 0, w, a->cols), below = mx_mat_part(a, es, w, 0, m - w, a->cols);

  (void)scratch;
  if (m > w) MX_TRY(mx_cuda_product(dev, t->dtype, MX_TF_NEGATE, &x, &lt, &below, err));
  MX_TRY(mx_cuda_solve(dev, t->dtype, MX_TF_LOWER | MX_TF_UNIT | MX_TF_TRANS, &x, &l11, err));
  MX_TRY(exchange(dev, t->dtype, a, &t->mat[2], w, true, err));

done:
  return st;
}

/* ---- results ---- */

mars_status mx_cuda_lu_lower(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(t->dtype);
  int64_t col = 0;

  (void)scratch;
  for (int m = 1; m + 1 < t->n; m += 2) {
    const mx_mat *l = &t->mat[m], d = mx_mat_part(&t->mat[0], es, 0, col, t->mat[0].rows, l->cols);
    const int64_t e = (int64_t)es;
    const uint64_t w[16] = {(uint64_t)d.rows, (uint64_t)d.cols, (uint64_t)(uintptr_t)d.base, (uint64_t)(d.rs * e), (uint64_t)(d.cs * e),
                            (uint64_t)(uintptr_t)l->base, (uint64_t)(l->rs * e), (uint64_t)(l->cs * e),
                            (uint64_t)(uintptr_t)t->mat[m + 1].base, (uint64_t)t->p[0], (uint64_t)(t->p[1] + col)};

    MX_TRY(mx_cuda_tile_kernel(dev, mx_device_factor, "mx_lower", t->dtype, d.rows * d.cols, w, 16, err));
    col += l->cols;
  }

done:
  return st;
}

mars_status mx_cuda_lu_diag(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  const mx_mat *a = &t->mat[1];
  const mx_mat to = {t->mat[0].base, 1, a->cols, a->cols, 1}, from = {a->base, 1, a->cols, 1, a->rs + a->cs};

  (void)scratch;
  return mx_cuda_copy_mat(dev, t->dtype, &to, &from, err);
}
