/*
 * TALL_GRAM, TALL_MUL, TALL_QR, TALL_APPLY. Contract: cuda/routines/routines.h; engine/routines/tiles.def.
 *
 * Blocks are multiplied in the wide dtype, a panel of rows at a time, as on the host, but panels are longer.
 */
#include "cuda/routines/routines.h"

#include "cuda/device_text.h"

enum { PANEL_BYTES = 16 << 20, LEAST_ROWS = 256, MOST_ROWS = 8192 /* that are added without compensation, as many as on the host */ };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static bool is_narrow(mars_dtype dt) { return dt == MARS_F32 || dt == MARS_C64; }
static mars_dtype wide_of(mars_dtype dt) { return mx_is_complex(dt) ? MARS_C128 : MARS_F64; }
static int64_t wide_bytes(mars_dtype dt) { return mx_is_complex(dt) ? 16 : 8; }

static int64_t panel_rows(mars_dtype dt, int64_t rows, int64_t n) {
  return least(most(rows, 1), least(MOST_ROWS, most(LEAST_ROWS, PANEL_BYTES / (most(n, 1) * wide_bytes(dt)))));
}

/* ---- between a dtype and its wide one ---- */

static mars_status convert(mx_cuda *dev, bool widens, mars_dtype dt, const mx_mat *to, const mx_mat *from, mars_error *err) {
  const int64_t narrow = (int64_t)mars_dtype_bytes(dt), wide = wide_bytes(dt), te = widens ? wide : narrow, fe = widens ? narrow : wide;
  const uint64_t w[8] = {(uint64_t)to->rows, (uint64_t)to->cols, (uint64_t)(uintptr_t)to->base, (uint64_t)(to->rs * te), (uint64_t)(to->cs * te),
                         (uint64_t)(uintptr_t)from->base, (uint64_t)(from->rs * fe), (uint64_t)(from->cs * fe)};

  if (!is_narrow(dt)) return mx_cuda_copy_mat(dev, dt, to, from, err);
  return mx_cuda_tile_kernel(dev, mx_device_wide, widens ? "mx_widen" : "mx_narrow", dt, to->rows * to->cols, w, 8, err);
}

static bool needs_copy(mars_dtype dt, const mx_mat *a, const mx_mat *r) { return is_narrow(dt) || r != NULL || (a->cs != 1 && a->rs != 1); }

/* Rows [row, row + rows) of a, or of a r^-1, wide; in `buf` where they do not stand so. */
static mars_status panel(mx_cuda *dev, mars_dtype dt, const mx_mat *a, const mx_mat *r, int64_t row, int64_t rows, char *buf, mx_mat *out,
                         mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat part = mx_mat_part(a, mars_dtype_bytes(dt), row, 0, rows, a->cols);

  *out = part;
  if (!needs_copy(dt, a, r)) return MARS_OK;
  *out = mx_mat_by_rows(buf, rows, a->cols);
  MX_TRY(convert(dev, true, dt, out, &part, err));
  if (r != NULL) MX_TRY(mx_cuda_solve(dev, wide_of(dt), MX_TF_UPPER | MX_TF_RIGHT, out, r, err));

done:
  return st;
}

/* ---- TALL_GRAM ---- */

typedef struct gram_room {
  char *g, *panel;
  size_t bytes;
} gram_room;

static gram_room gram_lay_out(const mx_tile_call *t, char *scratch) {
  const mx_mat *a = &t->mat[1];
  const int64_t n = a->cols, wide = wide_bytes(t->dtype);
  gram_room r = {0};

  r.g = mx_take(&scratch, &r.bytes, n * n * wide);
  if (needs_copy(t->dtype, a, t->n > 2 ? &t->mat[2] : NULL)) r.panel = mx_take(&scratch, &r.bytes, panel_rows(t->dtype, a->rows, n) * n * wide);
  return r;
}

bool mx_cuda_tall_gram_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  (void)dev;
  *bytes = gram_lay_out(t, NULL).bytes;
  return true;
}

mars_status mx_cuda_tall_gram(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat *a = &t->mat[1], *r = t->n > 2 ? &t->mat[2] : NULL;
  const mars_dtype wide = wide_of(t->dtype);
  const int64_t n = a->cols, parts = mx_is_complex(wide) ? 2 : 1, step = panel_rows(t->dtype, a->rows, n), bytes = n * n * wide_bytes(t->dtype);
  const gram_room room = gram_lay_out(t, scratch);
  const mx_mat g = mx_mat_by_rows(room.g, n, n), gt = mx_mat_t(&g);
  const uint64_t w[8] = {(uint64_t)n, (uint64_t)parts, (uint64_t)(uintptr_t)t->mat[0].base, (uint64_t)(uintptr_t)(t->mat[0].base + bytes),
                         (uint64_t)(uintptr_t)room.g};

  if (t->flags & MX_TF_FIRST) MX_TRY(mx_cuda_clear(dev, t->mat[0].base, (size_t)(2 * bytes), err));
  for (int64_t i = 0; i < a->rows; i += step) {
    mx_mat p, pt, mats[2];
    mx_tile_call square = {.op = MX_TILE_SYRK, .flags = MX_TF_FIRST | MX_TF_HERM, .dtype = wide, .n = 2, .mat = mats, .fn = t->fn};

    MX_TRY(panel(dev, t->dtype, a, r, i, least(step, a->rows - i), room.panel, &p, err));
    pt = mx_mat_t(&p);
    mats[0] = gt; /* (P^H P)^T = P^T conj(P): its lower triangle is the upper one of P^H P */
    mats[1] = pt;
    MX_TRY(mx_cuda_syrk(dev, &square, NULL, err));
    MX_TRY(mx_cuda_tile_kernel(dev, mx_device_wide, "mx_compensated", MARS_DTYPE_COUNT, n * n * parts, w, 8, err));
  }

done:
  return st;
}

/* ---- TALL_MUL ---- */

typedef struct mul_room {
  char *panel, *product;
  int64_t step;
  size_t bytes;
} mul_room;

static mul_room mul_lay_out(const mx_tile_call *t, char *scratch) {
  const mx_mat *a = &t->mat[1];
  const int64_t n = a->cols, wide = wide_bytes(t->dtype);
  mul_room r = {.step = most(a->rows, 1)};

  if (!needs_copy(t->dtype, a, t->n > 3 ? &t->mat[3] : NULL)) return r; /* one product */
  r.step = panel_rows(t->dtype, a->rows, n);
  r.panel = mx_take(&scratch, &r.bytes, r.step * n * wide);
  if (is_narrow(t->dtype)) r.product = mx_take(&scratch, &r.bytes, r.step * n * wide);
  return r;
}

bool mx_cuda_tall_mul_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  (void)dev;
  *bytes = mul_lay_out(t, NULL).bytes;
  return true;
}

mars_status mx_cuda_tall_mul(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat *u = &t->mat[0], *a = &t->mat[1], *x = &t->mat[2], *r = t->n > 3 ? &t->mat[3] : NULL;
  const mul_room room = mul_lay_out(t, scratch);

  for (int64_t i = 0; i < u->rows; i += room.step) {
    const int64_t rows = least(room.step, u->rows - i);
    const mx_mat to = mx_mat_part(u, mars_dtype_bytes(t->dtype), i, 0, rows, u->cols);
    const mx_mat product = is_narrow(t->dtype) ? mx_mat_by_rows(room.product, rows, u->cols) : to;
    mx_mat p;

    MX_TRY(panel(dev, t->dtype, a, r, i, rows, room.panel, &p, err));
    MX_TRY(mx_cuda_product(dev, wide_of(t->dtype), MX_TF_FIRST, &product, &p, x, err));
    if (is_narrow(t->dtype)) MX_TRY(convert(dev, false, t->dtype, &to, &product, err));
  }

done:
  return st;
}

/* ---- TALL_QR, TALL_APPLY: blocks that are factored as a whole (p[1] rows, all of them) ---- */

static mars_dtype factor_dtype(const mx_tile_call *t) { return t->p[0] ? wide_of(t->dtype) : t->dtype; }
static mx_mat reflectors(const mx_mat *v) { return mx_mat_columns(v->base, v->rows, v->cols); }
static mx_mat triangles(const mx_mat *tri, int64_t nb, int64_t n) { return (mx_mat){tri->base, nb, n, 1, nb}; }

bool mx_cuda_tall_qr_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  const mx_mat *v = &t->mat[0];
  const mars_dtype dt = factor_dtype(t);
  const int64_t factor = mx_cuda_reflectors_bytes(dev, dt, v->rows, v->cols, t->p[2]), r = v->cols * v->cols * (int64_t)mars_dtype_bytes(dt);

  *bytes = (size_t)most(factor, 0) + (size_t)r;
  return factor >= 0 && t->p[1] >= v->rows;
}

mars_status mx_cuda_tall_qr(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mars_dtype dt = factor_dtype(t);
  const size_t es = mars_dtype_bytes(dt);
  const int64_t n = t->mat[0].cols, nb = t->p[2];
  const mx_mat v = reflectors(&t->mat[0]), tri = triangles(&t->mat[1], nb, n), top = mx_mat_part(&v, es, 0, 0, n, n);
  const mx_mat r = mx_mat_columns(scratch, n, n); /* behind it what factoring takes, which is over by then */
  int64_t row = 0;

  for (int i = 3; i < t->n; i++) {
    const mx_mat to = mx_mat_part(&v, es, row, 0, t->mat[i].rows, n);

    MX_TRY(mx_cuda_copy_mat(dev, dt, &to, &t->mat[i], err));
    row += t->mat[i].rows;
  }
  if (row < v.rows) {
    const mx_mat rest = mx_mat_part(&v, es, row, 0, v.rows - row, n);

    MX_TRY(mx_cuda_triangle(dev, dt, &rest, &rest, true, -v.rows - n, false, err)); /* nothing is kept of it: zeros */
  }
  MX_TRY(mx_cuda_reflectors(dev, t, dt, &v, nb, &tri, scratch + n * n * (int64_t)es, err));
  MX_TRY(mx_cuda_triangle(dev, dt, &r, &top, false, 0, false, err));
  MX_TRY(convert(dev, true, dt, &t->mat[2], &r, err));

done:
  return st;
}

bool mx_cuda_tall_apply_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  const mx_mat *v = &t->mat[1];
  const mars_dtype dt = factor_dtype(t);

  (void)dev;
  *bytes = (size_t)(((v->rows * v->cols * (int64_t)mars_dtype_bytes(dt) + 255) & ~(int64_t)255) + mx_cuda_reflect_bytes(dt, t->p[2], v->cols));
  return t->p[1] >= v->rows;
}

mars_status mx_cuda_tall_apply(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mars_dtype dt = factor_dtype(t);
  const size_t es = mars_dtype_bytes(dt);
  const mx_mat *out = &t->mat[0], *x = &t->mat[3], v = reflectors(&t->mat[1]);
  const int64_t n = v.cols, nb = t->p[2], bytes = v.rows * n * (int64_t)es;
  const mx_mat tri = triangles(&t->mat[2], nb, n), c = mx_mat_columns(scratch, v.rows, n), top = mx_mat_part(&c, es, 0, 0, n, n);
  const mx_mat from = mx_mat_part(&c, es, 0, 0, least(out->rows, v.rows), n);
  char *behind = scratch + ((bytes + 255) & ~(int64_t)255);

  MX_TRY(mx_cuda_clear(dev, scratch, (size_t)bytes, err));
  MX_TRY(convert(dev, false, dt, &top, x, err));
  for (int64_t j = (n - 1) / nb * nb; j >= 0; j -= nb) {
    const int64_t w = least(nb, n - j);
    const mx_mat part = mx_mat_part(&v, es, j, j, v.rows - j, w), t_part = mx_mat_part(&tri, es, 0, j, w, w), below = mx_mat_part(&c, es, j, 0, v.rows - j, n);

    MX_TRY(mx_cuda_reflect(dev, dt, false, &below, &part, &t_part, behind, err));
  }
  MX_TRY(mx_cuda_copy_mat(dev, dt, out, &from, err));

done:
  return st;
}
