/* EIGH: ?syevd and ?heevd, or ?syev and ?heev in little memory. Workspace: engine/routines/dense.h. */
#include "engine/numeric.h"
#include "engine/routines/dense.h"
#include "host/routines/finite.h"
#include "host/routines/tile.h"

#include <string.h>

typedef struct eigh {
  mars_dtype dt;
  int n, ld;
  char job, triangle;
  void *a, *w, *work, *rwork;
  lapack_int *iwork;
  mx_dense_work size;
} eigh;

static lapack_int conquer(const eigh *e) {
  const lapack_int nw = (lapack_int)e->size.work, nr = (lapack_int)e->size.rwork, ni = (lapack_int)e->size.iwork;

  switch (e->dt) {
  case MARS_F32:
    return BL(LAPACKE_ssyevd_work)(LAPACK_COL_MAJOR, e->job, e->triangle, e->n, e->a, e->ld, e->w, e->work, nw, e->iwork, ni);
  case MARS_F64:
    return BL(LAPACKE_dsyevd_work)(LAPACK_COL_MAJOR, e->job, e->triangle, e->n, e->a, e->ld, e->w, e->work, nw, e->iwork, ni);
  case MARS_C64:
    return BL(LAPACKE_cheevd_work)(LAPACK_COL_MAJOR, e->job, e->triangle, e->n, e->a, e->ld, e->w, e->work, nw, e->rwork, nr, e->iwork, ni);
  default:
    return BL(LAPACKE_zheevd_work)(LAPACK_COL_MAJOR, e->job, e->triangle, e->n, e->a, e->ld, e->w, e->work, nw, e->rwork, nr, e->iwork, ni);
  }
}

static lapack_int iterate(const eigh *e) {
  const lapack_int nw = (lapack_int)e->size.work;

  switch (e->dt) {
  case MARS_F32: return BL(LAPACKE_ssyev_work)(LAPACK_COL_MAJOR, e->job, e->triangle, e->n, e->a, e->ld, e->w, e->work, nw);
  case MARS_F64: return BL(LAPACKE_dsyev_work)(LAPACK_COL_MAJOR, e->job, e->triangle, e->n, e->a, e->ld, e->w, e->work, nw);
  case MARS_C64: return BL(LAPACKE_cheev_work)(LAPACK_COL_MAJOR, e->job, e->triangle, e->n, e->a, e->ld, e->w, e->work, nw, e->rwork);
  default: return BL(LAPACKE_zheev_work)(LAPACK_COL_MAJOR, e->job, e->triangle, e->n, e->a, e->ld, e->w, e->work, nw, e->rwork);
  }
}

int64_t mx_tile_units_eigh(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_eigh(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mx_mat *w = &t->mat[0], *a = &t->mat[1];
  const int64_t n = a->rows, es = (int64_t)mars_dtype_bytes(t->dtype), real = mx_dense_real_bytes(t->dtype);
  eigh e = {.dt = t->dtype, .n = (int)n, .ld = mx_mat_ld(a), .job = t->p[0] == MX_DENSE_VALUES ? 'N' : 'V',
            .triangle = t->flags & MX_TF_LOWER ? 'L' : 'U', .a = a->base, .size = mx_dense_eigh(t->dtype, n, (int)t->p[0], (int)t->p[1])};
  int64_t row, col;
  lapack_int info;

  if (!mx_finite_triangle(t->dtype, a, t->flags & (MX_TF_LOWER | MX_TF_UPPER), &row, &col))
    return mx_fail_infinite(err, t->fn, t->p[3], row, col);
  e.w = scratch;
  e.work = scratch += mx_dense_values_bytes(t->dtype, n);
  e.rwork = scratch += mx_dense_round(e.size.work * es);
  scratch += mx_dense_round(e.size.rwork * real);
  e.iwork = (lapack_int *)(void *)scratch;
  info = t->p[1] == MX_DENSE_ITERATE ? iterate(&e) : conquer(&e);
  if (info != 0) return mx_fail_diverged(err, t->fn, t->p[3], "eigenvalues", "LAPACK", (int)info);
  for (int64_t i = 0; i < n; i++) memcpy(w->base + i * w->cs * real, (char *)e.w + i * real, (size_t)real);
  return MARS_OK;
}
