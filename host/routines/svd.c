/*
 * SVD: ?gesdd, with ?gesvd behind it, or ?gesvd alone in little memory. Workspace: engine/routines/dense.h.
 *
 * The row-major matrix is its transpose to LAPACK, whose left vectors are then vh and right ones u, row-major as well.
 */
#include "engine/numeric.h"
#include "engine/routines/dense.h"
#include "host/routines/finite.h"
#include "host/routines/tile.h"

#include <string.h>

typedef struct svd {
  mars_dtype dt;
  int m, n, lda, ldu, ldv; /* as LAPACK sees it */
  char job;
  void *a, *s, *u, *v, *work, *rwork;
  lapack_int *iwork;
  mx_dense_work size;
} svd;

static lapack_int conquer(const svd *c) {
  const lapack_int nw = (lapack_int)c->size.work;

  switch (c->dt) {
  case MARS_F32:
    return BL(LAPACKE_sgesdd_work)(LAPACK_COL_MAJOR, c->job, c->m, c->n, c->a, c->lda, c->s, c->u, c->ldu, c->v, c->ldv, c->work, nw, c->iwork);
  case MARS_F64:
    return BL(LAPACKE_dgesdd_work)(LAPACK_COL_MAJOR, c->job, c->m, c->n, c->a, c->lda, c->s, c->u, c->ldu, c->v, c->ldv, c->work, nw, c->iwork);
  case MARS_C64:
    return BL(LAPACKE_cgesdd_work)(LAPACK_COL_MAJOR, c->job, c->m, c->n, c->a, c->lda, c->s, c->u, c->ldu, c->v, c->ldv, c->work, nw, c->rwork,
                                   c->iwork);
  default:
    return BL(LAPACKE_zgesdd_work)(LAPACK_COL_MAJOR, c->job, c->m, c->n, c->a, c->lda, c->s, c->u, c->ldu, c->v, c->ldv, c->work, nw, c->rwork,
                                   c->iwork);
  }
}

static lapack_int iterate(const svd *c) {
  const lapack_int nw = (lapack_int)c->size.work;

  switch (c->dt) {
  case MARS_F32:
    return BL(LAPACKE_sgesvd_work)(LAPACK_COL_MAJOR, c->job, c->job, c->m, c->n, c->a, c->lda, c->s, c->u, c->ldu, c->v, c->ldv, c->work, nw);
  case MARS_F64:
    return BL(LAPACKE_dgesvd_work)(LAPACK_COL_MAJOR, c->job, c->job, c->m, c->n, c->a, c->lda, c->s, c->u, c->ldu, c->v, c->ldv, c->work, nw);
  case MARS_C64:
    return BL(LAPACKE_cgesvd_work)(LAPACK_COL_MAJOR, c->job, c->job, c->m, c->n, c->a, c->lda, c->s, c->u, c->ldu, c->v, c->ldv, c->work, nw,
                                   c->rwork);
  default:
    return BL(LAPACKE_zgesvd_work)(LAPACK_COL_MAJOR, c->job, c->job, c->m, c->n, c->a, c->lda, c->s, c->u, c->ldu, c->v, c->ldv, c->work, nw,
                                   c->rwork);
  }
}

static void copy_rows(const svd *c, char *to, const mx_mat *from) {
  const size_t row = (size_t)c->m * mars_dtype_bytes(c->dt);

  for (int64_t i = 0; i < from->rows; i++) memcpy(to + i * (int64_t)row, from->base + i * from->rs * (int64_t)mars_dtype_bytes(c->dt), row);
}

/* `kept`: the matrix, which may be destroyed; `copy`: room for another where the first try works, or NULL. */
static lapack_int decompose(svd *c, const mx_mat *kept, char *copy) {
  lapack_int info;

  if (copy != NULL) {
    copy_rows(c, copy, kept);
    c->a = copy;
    c->lda = c->m;
    info = conquer(c);
    if (info <= 0) return info;
  }
  c->a = kept->base;
  c->lda = mx_mat_ld(kept);
  return iterate(c);
}

int64_t mx_tile_units_svd(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_svd(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mx_mat *s = &t->mat[0], *a = &t->mat[1];
  const int64_t es = (int64_t)mars_dtype_bytes(t->dtype), real = mx_dense_real_bytes(t->dtype), k = a->rows < a->cols ? a->rows : a->cols;
  const int job = (int)t->p[0];
  const bool conquers = t->p[1] == MX_DENSE_CONQUER;
  svd c = {.dt = t->dtype, .m = (int)a->cols, .n = (int)a->rows, .ldu = 1, .ldv = 1,
           .job = job == MX_DENSE_VALUES ? 'N' : job == MX_DENSE_FULL ? 'A' : 'S',
           .size = conquers ? mx_dense_gesdd(t->dtype, a->rows, a->cols, job) : mx_dense_gesvd(t->dtype, a->rows, a->cols)};
  char *copy = NULL;
  int64_t row, col;
  lapack_int info;

  if (!mx_finite_triangle(t->dtype, a, 0, &row, &col))
    return mx_fail_infinite(err, t->fn, t->p[3], row, col);
  if (job != MX_DENSE_VALUES) {
    c.v = t->mat[2].base; /* u is LAPACK's right side */
    c.ldv = mx_mat_ld(&t->mat[2]);
    c.u = t->mat[3].base;
    c.ldu = mx_mat_ld(&t->mat[3]);
  }
  c.s = scratch;
  scratch += mx_dense_values_bytes(t->dtype, k);
  if (conquers) {
    copy = scratch;
    scratch += mx_dense_round(a->rows * a->cols * es);
  }
  c.work = scratch;
  c.rwork = scratch += mx_dense_round(c.size.work * es);
  scratch += mx_dense_round(c.size.rwork * real);
  c.iwork = (lapack_int *)(void *)scratch;
  info = decompose(&c, a, copy);
  if (info != 0) return mx_fail_diverged(err, t->fn, t->p[3], "singular values", "LAPACK", (int)info);
  for (int64_t i = 0; i < k; i++) memcpy(s->base + i * s->cs * real, (char *)c.s + i * real, (size_t)real);
  return MARS_OK;
}
