/*
 * QR_PANEL and QR_APPLY: ?geqrt3, which recurses over columns and so is made of matrix products, and ?larfb.
 *
 * QR_APPLY is cut into units of columns whose width the tile rule fixes: the same bits for any number of threads.
 */
#include "engine/numeric.h"
#include "host/routines/finite.h"
#include "host/routines/tile.h"

typedef struct reflector {
  mars_dtype dt;
  char trans;   /* 'N': I - V T V^H, else its conjugate transpose */
  int m, k;
  const void *v, *t;
  int ldv, ldt;
} reflector;

/* c (m x n, leading dimension ldc) = reflector * c; work: n * k elements */
static void reflect(const reflector *r, int n, void *c, int ldc, void *work) {
  switch (r->dt) {
  case MARS_F32:
    (void)BL(LAPACKE_slarfb_work)(LAPACK_COL_MAJOR, 'L', r->trans, 'F', 'C', r->m, n, r->k, r->v, r->ldv, r->t, r->ldt, c, ldc, work, n);
    break;
  case MARS_F64:
    (void)BL(LAPACKE_dlarfb_work)(LAPACK_COL_MAJOR, 'L', r->trans, 'F', 'C', r->m, n, r->k, r->v, r->ldv, r->t, r->ldt, c, ldc, work, n);
    break;
  case MARS_C64:
    (void)BL(LAPACKE_clarfb_work)(LAPACK_COL_MAJOR, 'L', r->trans, 'F', 'C', r->m, n, r->k, r->v, r->ldv, r->t, r->ldt, c, ldc, work, n);
    break;
  default:
    (void)BL(LAPACKE_zlarfb_work)(LAPACK_COL_MAJOR, 'L', r->trans, 'F', 'C', r->m, n, r->k, r->v, r->ldv, r->t, r->ldt, c, ldc, work, n);
  }
}

static char adjoint_of(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128 ? 'C' : 'T'; }

/* Columns of these panels have stride ld; one column has any. */
static int leading(const mx_mat *a) { return (int)(a->cols > 1 ? a->cs : a->rows > 0 ? a->rows : 1); }

/* Columns of the call's first matrix from `first` on. */
static mars_status check(const mx_tile_call *t, const mx_mat *a, int64_t first, mars_error *err) {
  int64_t row, col;

  if (!(t->flags & MX_TF_CHECK) || mx_finite_triangle(t->dtype, a, 0, &row, &col)) return MARS_OK;
  return mx_fail_infinite(err, t->fn, t->p[3], row, t->p[1] + first + col);
}

int64_t mx_tile_units_qr_panel(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_qr_panel(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mx_mat *a = &t->mat[0], *f = &t->mat[1];
  const int m = (int)a->rows, k = (int)f->cols, lda = leading(a), ldt = leading(f), rest = (int)a->cols - k;
  char *behind = a->base + k * a->cs * (int64_t)mars_dtype_bytes(t->dtype);
  const reflector r = {t->dtype, adjoint_of(t->dtype), m, k, a->base, f->base, lda, ldt};
  mars_status st = check(t, a, 0, err);
  lapack_int info;

  if (st != MARS_OK) return st;
  switch (t->dtype) {
  case MARS_F32: info = BL(LAPACKE_sgeqrt3_work)(LAPACK_COL_MAJOR, m, k, (float *)(void *)a->base, lda, (float *)(void *)f->base, ldt); break;
  case MARS_F64: info = BL(LAPACKE_dgeqrt3_work)(LAPACK_COL_MAJOR, m, k, (double *)(void *)a->base, lda, (double *)(void *)f->base, ldt); break;
  case MARS_C64: info = BL(LAPACKE_cgeqrt3_work)(LAPACK_COL_MAJOR, m, k, (void *)a->base, lda, (void *)f->base, ldt); break;
  default: info = BL(LAPACKE_zgeqrt3_work)(LAPACK_COL_MAJOR, m, k, (void *)a->base, lda, (void *)f->base, ldt);
  }
  if (info != 0) return mx_fail(err, MARS_E_INTERNAL, "mars_%s: LAPACK says %d of a panel of %d rows and %d columns", t->fn, (int)info, m, k);
  if (rest > 0) reflect(&r, rest, behind, lda, scratch);
  return MARS_OK;
}

int64_t mx_tile_units_qr_apply(const mx_tile_call *t, int threads) {
  return (t->mat[0].cols + t->p[0] - 1) / t->p[0];
}

mars_status mx_tile_run_qr_apply(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const int64_t es = (int64_t)mars_dtype_bytes(t->dtype), first = unit * t->p[0];
  const mx_mat *c = &t->mat[0], *v = &t->mat[1], *f = &t->mat[2];
  const int n = (int)(c->cols - first < t->p[0] ? c->cols - first : t->p[0]);
  const reflector r = {t->dtype, t->flags & MX_TF_TRANS ? adjoint_of(t->dtype) : 'N', (int)c->rows, (int)v->cols, v->base, f->base, leading(v),
                       leading(f)};

  const mx_mat own = mx_mat_sub(c, (size_t)es, 0, first, c->rows, n);
  const mars_status st = check(t, &own, first, err);

  if (st == MARS_OK) reflect(&r, n, own.base, leading(c), scratch + first * v->cols * es);
  return st;
}
