/* LU_PANEL, LU_STEP, LU_UPDATE, LU_BACK, LU_FORWARD_T, LU_BACK_T: factoring panels, and what the columns right of them take from it. */
#include "host/routines/lu.h"

#include "engine/numeric.h"

static mars_status panel(const mx_tile_call *t, const mx_mat *a, const mx_mat *pivot, int64_t index, mars_error *err) {
  const int64_t zero = mx_lu_panel(t->dtype, a, (int32_t *)pivot->base);

  if (zero && (t->flags & MX_TF_CHECK))
    return mx_fail_pivot(err, t->fn, t->p[3], t->flags & MX_TF_TRANS ? "row" : "column", index + zero - 1);
  return MARS_OK;
}

/* Exchanges and elimination of the panel l in columns c. */
static void eliminate(mars_dtype dt, const mx_mat *c, const mx_mat *l, const mx_mat *pivot) {
  const size_t es = mars_dtype_bytes(dt);
  const int64_t n = l->cols;
  const mx_mat top = mx_mat_sub(c, es, 0, 0, n, c->cols), below = mx_mat_sub(c, es, n, 0, c->rows - n, c->cols);
  const mx_mat l11 = mx_mat_sub(l, es, 0, 0, n, n), l21 = mx_mat_sub(l, es, n, 0, l->rows - n, n);

  mx_lu_exchange(dt, c, (const int32_t *)pivot->base, n);
  mx_tile_trsm(dt, MX_TF_LOWER | MX_TF_UNIT, &l11, &top);
  mx_tile_gemm(dt, MX_TF_NEGATE, &below, &l21, &top);
}

int64_t mx_tile_units_lu_panel(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_lu_panel(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  return panel(t, &t->mat[0], &t->mat[1], t->p[0], err);
}

/* The first unit is the next panel: that it is factored while the others go on is why the two are one operation. */
int64_t mx_tile_units_lu_step(const mx_tile_call *t, int threads) {
  const int64_t rest = t->mat[0].cols - t->p[0] - t->p[1];

  return (t->p[1] > 0 ? 1 : 0) + (rest > 0 ? mx_tile_parts(rest) : 0);
}

mars_status mx_tile_run_lu_step(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0], l = mx_mat_sub(a, es, 0, 0, a->rows, t->p[0]);
  const int64_t first = t->p[0] + t->p[1], next = t->p[1] > 0 ? 1 : 0;
  int64_t begin, end;

  if (unit < next) {
    const mx_mat c = mx_mat_sub(a, es, 0, t->p[0], a->rows, t->p[1]);
    const mx_mat below = mx_mat_sub(a, es, t->p[0], t->p[0], a->rows - t->p[0], t->p[1]);

    eliminate(t->dtype, &c, &l, &t->mat[1]);
    return panel(t, &below, &t->mat[2], t->p[2], err);
  }
  mx_tile_part(a->cols - first, 16, unit - next, units - next, &begin, &end);
  if (end > begin) {
    const mx_mat c = mx_mat_sub(a, es, 0, first + begin, a->rows, end - begin);

    eliminate(t->dtype, &c, &l, &t->mat[1]);
  }
  return MARS_OK;
}

int64_t mx_tile_units_lu_update(const mx_tile_call *t, int threads) { return mx_tile_parts(t->mat[0].cols); }

mars_status mx_tile_run_lu_update(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mx_mat *a = &t->mat[0];
  int64_t begin, end;

  mx_tile_part(a->cols, 16, unit, units, &begin, &end);
  if (end > begin) {
    const mx_mat c = mx_mat_sub(a, mars_dtype_bytes(t->dtype), 0, begin, a->rows, end - begin);

    eliminate(t->dtype, &c, &t->mat[1], &t->mat[2]);
  }
  return MARS_OK;
}

int64_t mx_tile_units_lu_back(const mx_tile_call *t, int threads) { return mx_tile_parts(t->mat[0].cols); }

mars_status mx_tile_run_lu_back(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0], *u = &t->mat[1];
  const int64_t w = u->cols, s = u->rows - w;
  const mx_mat u11 = mx_mat_sub(u, es, s, 0, w, w), u01 = mx_mat_sub(u, es, 0, 0, s, w);
  int64_t begin, end;

  mx_tile_part(a->cols, 16, unit, units, &begin, &end);
  if (end > begin) {
    const mx_mat x = mx_mat_sub(a, es, s, begin, w, end - begin), above = mx_mat_sub(a, es, 0, begin, s, end - begin);

    mx_tile_trsm(t->dtype, MX_TF_UPPER, &u11, &x);
    mx_tile_gemm(t->dtype, MX_TF_NEGATE, &above, &u01, &x);
  }
  return MARS_OK;
}

/* ---- the transposed system ---- */

int64_t mx_tile_units_lu_forward_t(const mx_tile_call *t, int threads) { return mx_tile_parts(t->mat[0].cols); }

mars_status mx_tile_run_lu_forward_t(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0], *u = &t->mat[1];
  const int64_t w = u->cols, s = u->rows - w;
  const mx_mat u11 = mx_mat_sub(u, es, s, 0, w, w), u01 = mx_mat_sub(u, es, 0, 0, s, w), ut = mx_mat_t(&u01);
  int64_t begin, end;

  mx_tile_part(a->cols, 16, unit, units, &begin, &end);
  if (end > begin) {
    const mx_mat x = mx_mat_sub(a, es, s, begin, w, end - begin), above = mx_mat_sub(a, es, 0, begin, s, end - begin);

    if (s > 0) mx_tile_gemm(t->dtype, MX_TF_NEGATE, &x, &ut, &above);
    mx_tile_trsm(t->dtype, MX_TF_UPPER | MX_TF_TRANS, &u11, &x);
  }
  return MARS_OK;
}

int64_t mx_tile_units_lu_back_t(const mx_tile_call *t, int threads) { return mx_tile_parts(t->mat[0].cols); }

mars_status mx_tile_run_lu_back_t(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0], *l = &t->mat[1];
  const int64_t w = l->cols, m = l->rows;
  const mx_mat l11 = mx_mat_sub(l, es, 0, 0, w, w), l21 = mx_mat_sub(l, es, w, 0, m - w, w), lt = mx_mat_t(&l21);
  int64_t begin, end;

  mx_tile_part(a->cols, 16, unit, units, &begin, &end);
  if (end > begin) {
    const mx_mat c = mx_mat_sub(a, es, 0, begin, m, end - begin);
    const mx_mat x = mx_mat_sub(&c, es, 0, 0, w, c.cols), below = mx_mat_sub(&c, es, w, 0, m - w, c.cols);

    if (m > w) mx_tile_gemm(t->dtype, MX_TF_NEGATE, &x, &lt, &below);
    mx_tile_trsm(t->dtype, MX_TF_LOWER | MX_TF_UNIT | MX_TF_TRANS, &l11, &x);
    mx_lu_exchange_back(t->dtype, &c, (const int32_t *)t->mat[2].base, w);
  }
  return MARS_OK;
}
