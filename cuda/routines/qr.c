/*
 * QR_PANEL, QR_APPLY. Contract: cuda/routines/routines.h; engine/routines/tiles.def.
 *
 * cuSOLVER's geqrf gives reflectors and their factors; the triangle T, which cuSOLVER's own ormqr would make anew every time, is made
 * once by a kernel of ours, and reflections are five matrix products.
 */
#include "cuda/routines/routines.h"

#include "cuda/device_text.h"

static int ld_of(const mx_mat *a) { return (int)(a->cols > 1 ? a->cs : a->rows > 0 ? a->rows : 1); }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- reflecting ---- */

typedef struct reflect_room {
  char *v, *t, *w, *tw; /* V's first rows and T as full squares; V^H C, T V^H C */
  size_t bytes;
} reflect_room;

static reflect_room reflect_lay_out(mars_dtype dt, int64_t k, int64_t n, char *scratch) {
  const int64_t es = (int64_t)mars_dtype_bytes(dt);
  reflect_room r = {0};

  r.v = mx_take(&scratch, &r.bytes, k * k * es);
  r.t = mx_take(&scratch, &r.bytes, k * k * es);
  r.w = mx_take(&scratch, &r.bytes, k * n * es);
  r.tw = mx_take(&scratch, &r.bytes, k * n * es);
  return r;
}

int64_t mx_cuda_reflect_bytes(mars_dtype dt, int64_t k, int64_t n) { return (int64_t)reflect_lay_out(dt, k, n, NULL).bytes; }

mars_status mx_cuda_reflect(mx_cuda *dev, mars_dtype dt, bool trans, const mx_mat *c, const mx_mat *v, const mx_mat *tri, char *scratch,
                            mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(dt);
  const int64_t m = v->rows, k = v->cols, n = c->cols;
  const reflect_room r = reflect_lay_out(dt, k, n, scratch);
  const mx_mat v1 = mx_mat_part(v, es, 0, 0, k, k), v2 = mx_mat_part(v, es, k, 0, m - k, k), own_v = mx_mat_columns(r.v, k, k);
  const mx_mat c1 = mx_mat_part(c, es, 0, 0, k, n), c2 = mx_mat_part(c, es, k, 0, m - k, n), own_t = mx_mat_columns(r.t, k, k);
  const mx_mat w = mx_mat_columns(r.w, k, n), tw = mx_mat_columns(r.tw, k, n), v1h = mx_mat_t(&own_v), v2h = mx_mat_t(&v2), th = mx_mat_t(&own_t);

  if (k == 0 || n == 0) return MARS_OK;
  MX_TRY(mx_cuda_triangle(dev, dt, &own_v, &v1, true, 0, true, err));
  MX_TRY(mx_cuda_triangle(dev, dt, &own_t, tri, false, 0, false, err));
  MX_TRY(mx_cuda_product(dev, dt, MX_TF_FIRST | MX_TF_CONJ, &w, &v1h, &c1, err));
  if (m > k) MX_TRY(mx_cuda_product(dev, dt, MX_TF_CONJ, &w, &v2h, &c2, err));
  MX_TRY(mx_cuda_product(dev, dt, MX_TF_FIRST | (trans ? MX_TF_CONJ : 0), &tw, trans ? &th : &own_t, &w, err));
  MX_TRY(mx_cuda_product(dev, dt, MX_TF_NEGATE, &c1, &own_v, &tw, err));
  if (m > k) MX_TRY(mx_cuda_product(dev, dt, MX_TF_NEGATE, &c2, &v2, &tw, err));

done:
  return st;
}

/* ---- factoring ---- */

typedef struct factor_room {
  char *tau, *v, *g, *work;
  size_t bytes;
  int64_t work_bytes;
} factor_room;

static bool factor_lay_out(mx_cuda *dev, mars_dtype dt, int64_t m, int64_t k, int64_t nb, int ld, char *scratch, factor_room *r) {
  const int64_t es = (int64_t)mars_dtype_bytes(dt), w = least(nb, k);

  *r = (factor_room){.work_bytes = mx_solver_geqrf_bytes(dev, dt, (int)m, (int)k, ld)};
  if (r->work_bytes < 0) return false;
  r->tau = mx_take(&scratch, &r->bytes, k * es);
  r->v = mx_take(&scratch, &r->bytes, w * w * es);
  r->g = mx_take(&scratch, &r->bytes, w * w * es);
  r->work = mx_take(&scratch, &r->bytes, r->work_bytes);
  return true;
}

int64_t mx_cuda_reflectors_bytes(mx_cuda *dev, mars_dtype dt, int64_t m, int64_t k, int64_t nb) {
  factor_room r;

  return factor_lay_out(dev, dt, m, k, nb, (int)most(m, 1), NULL, &r) ? (int64_t)r.bytes : -1;
}

/* T of the reflectors in v's lower trapezoid. */
static mars_status triangle(mx_cuda *dev, mars_dtype dt, const mx_mat *v, const char *tau, const mx_mat *tri, const factor_room *r, mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(dt);
  const int64_t k = v->cols, m = v->rows;
  const mx_mat v1 = mx_mat_part(v, es, 0, 0, k, k), v2 = mx_mat_part(v, es, k, 0, m - k, k), own = mx_mat_columns(r->v, k, k);
  const mx_mat g = mx_mat_columns(r->g, k, k), v1h = mx_mat_t(&own), v2h = mx_mat_t(&v2);
  const uint64_t w[16] = {(uint64_t)k, (uint64_t)(uintptr_t)r->g, (uint64_t)(uintptr_t)tau, (uint64_t)(uintptr_t)tri->base, (uint64_t)ld_of(tri)};

  MX_TRY(mx_cuda_triangle(dev, dt, &own, &v1, true, 0, true, err));
  MX_TRY(mx_cuda_product(dev, dt, MX_TF_FIRST | MX_TF_CONJ, &g, &v1h, &own, err));
  if (m > k) MX_TRY(mx_cuda_product(dev, dt, MX_TF_CONJ, &g, &v2h, &v2, err));
  MX_TRY(mx_cuda_tile_kernel(dev, mx_device_factor, "mx_larft", dt, 1, w, 16, err));

done:
  return st;
}

mars_status mx_cuda_reflectors(mx_cuda *dev, const mx_tile_call *t, mars_dtype dt, const mx_mat *a, int64_t nb, const mx_mat *tri, char *scratch,
                               mars_error *err) {
  mars_status st = MARS_OK;
  const size_t es = mars_dtype_bytes(dt);
  const int64_t m = a->rows, k = tri->cols;
  const mx_check library = {.kind = MX_FOUND_INFO, .fn = t->fn};
  CUdeviceptr info = 0;
  factor_room r;

  if (!factor_lay_out(dev, dt, m, k, nb, ld_of(a), scratch, &r))
    MX_TRY(mx_fail(err, MARS_E_DEVICE, "mars_%s: %s: cuSOLVER's geqrf_bufferSize fails", t->fn, dev->name));
  MX_TRY(mx_cuda_finding(dev, &library, &info, err));
  const mx_solver_work work = {r.work, r.work_bytes, (int *)(uintptr_t)info};
  MX_TRY(mx_solver_geqrf(dev, dt, (int)m, (int)k, a->base, ld_of(a), r.tau, &work, err));
  for (int64_t j = 0; j < k; j += nb) {
    const int64_t w = least(nb, k - j);
    const mx_mat v = mx_mat_part(a, es, j, j, m - j, w), own = mx_mat_part(tri, es, 0, j, w, w);

    MX_TRY(triangle(dev, dt, &v, r.tau + j * (int64_t)es, &own, &r, err));
  }

done:
  return st;
}

/* ---- the operations ---- */

bool mx_cuda_qr_panel_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  const mx_mat *a = &t->mat[0];
  const int64_t k = t->mat[1].cols, factor = mx_cuda_reflectors_bytes(dev, t->dtype, a->rows, k, k);

  *bytes = (size_t)most(factor, mx_cuda_reflect_bytes(t->dtype, k, a->cols - k));
  return factor >= 0;
}

mars_status mx_cuda_qr_panel(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_mat *a = &t->mat[0], *tri = &t->mat[1];
  const int64_t k = tri->cols;
  const mx_mat v = mx_mat_part(a, 0, 0, 0, a->rows, k), rest = mx_mat_part(a, mars_dtype_bytes(t->dtype), 0, k, a->rows, a->cols - k);

  if (t->flags & MX_TF_CHECK) MX_TRY(mx_cuda_finite(dev, t, a, 0, t->p[1], err));
  MX_TRY(mx_cuda_reflectors(dev, t, t->dtype, &v, k > 0 ? k : 1, tri, scratch, err));
  MX_TRY(mx_cuda_reflect(dev, t->dtype, true, &rest, &v, tri, scratch, err)); /* the first scratch has been read by then */

done:
  return st;
}

bool mx_cuda_qr_apply_bytes(mx_cuda *dev, const mx_tile_call *t, size_t *bytes) {
  (void)dev;
  *bytes = (size_t)mx_cuda_reflect_bytes(t->dtype, t->mat[1].cols, t->mat[0].cols);
  return true;
}

mars_status mx_cuda_qr_apply(mx_cuda *dev, const mx_tile_call *t, char *scratch, mars_error *err) {
  mars_status st = MARS_OK;

  if (t->flags & MX_TF_CHECK) MX_TRY(mx_cuda_finite(dev, t, &t->mat[0], 0, t->p[1], err));
  MX_TRY(mx_cuda_reflect(dev, t->dtype, t->flags & MX_TF_TRANS, &t->mat[0], &t->mat[1], &t->mat[2], scratch, err));

done:
  return st;
}
