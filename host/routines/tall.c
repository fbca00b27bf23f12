/* TALL_GRAM, TALL_CHOL, TALL_R, TALL_SVD, TALL_MUL: Cholesky QR of tall matrices. */
#include "engine/numeric.h"
#include "engine/routines/tall.h"
#include "host/routines/tall.h"

#include <math.h>
#include <string.h>

static bool is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }
static bool is_narrow(mars_dtype dt) { return dt == MARS_F32 || dt == MARS_C64; }
static mars_dtype wide_of(mars_dtype dt) { return is_complex(dt) ? MARS_C128 : MARS_F64; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* d = s with other elements: complex numbers count as two. */
static void widen(const mx_mat *d, const mx_mat *s, int64_t parts) {
  for (int64_t i = 0; i < d->rows; i++) {
    double *restrict to = (double *)d->base + i * d->rs * parts;
    const float *restrict from = (const float *)s->base + i * s->rs * parts;

    if (d->cs == 1 && s->cs == 1)
      for (int64_t j = 0; j < d->cols * parts; j++) to[j] = from[j];
    else
      for (int64_t j = 0; j < d->cols; j++)
        for (int64_t k = 0; k < parts; k++) to[j * d->cs * parts + k] = from[j * s->cs * parts + k];
  }
}

static void narrow(const mx_mat *d, const mx_mat *s, int64_t parts) {
  for (int64_t i = 0; i < d->rows; i++) {
    float *restrict to = (float *)d->base + i * d->rs * parts;
    const double *restrict from = (const double *)s->base + i * s->rs * parts;

    if (d->cs == 1 && s->cs == 1)
      for (int64_t j = 0; j < d->cols * parts; j++) to[j] = (float)from[j];
    else
      for (int64_t j = 0; j < d->cols; j++)
        for (int64_t k = 0; k < parts; k++) to[j * d->cs * parts + k] = (float)from[j * s->cs * parts + k];
  }
}

static void copy(mars_dtype dt, const mx_mat *d, const mx_mat *s) {
  const mx_mat mat[2] = {*d, *s};
  const mx_tile_call call = {.op = MX_TILE_COPY, .dtype = dt, .n = 2, .mat = mat};

  (void)mx_tile_run(&call, NULL, 0, 1, NULL); /* cannot fail */
}

void mx_tall_widen(mars_dtype dt, const mx_mat *d, const mx_mat *s) {
  if (is_narrow(dt)) widen(d, s, is_complex(dt) ? 2 : 1);
  else copy(dt, d, s);
}

void mx_tall_narrow(mars_dtype dt, const mx_mat *d, const mx_mat *s) {
  if (is_narrow(dt)) narrow(d, s, is_complex(dt) ? 2 : 1);
  else copy(dt, d, s);
}

static mx_mat matrix(char *base, int64_t rows, int64_t cols) { return (mx_mat){base, rows, cols, cols, 1}; }

/* b = b r^-1 */
static void divide(mars_dtype wide, const mx_mat *b, const mx_mat *r) {
  static const double one[2] = {1, 0};
  const int m = (int)b->rows, n = (int)b->cols;

  if (wide == MARS_F64)
    BL(cblas_dtrsm)(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, m, n, 1, (const double *)r->base, n,
                    (double *)b->base, n);
  else
    BL(cblas_ztrsm)(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, m, n, one, r->base, n, b->base, n);
}

/* Rows [row, row + rows) of a, or of a r^-1, wide and with stride 1 along its rows; in buf if they do not stand so. */
static mx_mat panel(mars_dtype dt, const mx_mat *a, const mx_mat *r, int64_t row, int64_t rows, char *buf) {
  const mx_mat part = mx_mat_sub(a, mars_dtype_bytes(dt), row, 0, rows, a->cols), own = matrix(buf, rows, a->cols);

  if (!is_narrow(dt) && a->cs == 1 && r == NULL) return part;
  mx_tall_widen(dt, &own, &part);
  if (r != NULL) divide(wide_of(dt), &own, r);
  return own;
}

/* ---- TALL_GRAM ---- */

enum { PANELS = 8 /* that are added without compensation */ };

/* sum + lost is the exact sum but for rounding of `lost`. */
static void add_compensated(double *restrict sum, double *restrict lost, const double *restrict x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const double a = sum[i], b = x[i], s = a + b, t = s - a;

    lost[i] += (a - (s - t)) + (b - t);
    sum[i] = s;
  }
}

/* g = (first ? 0 : g) + p^H p, or the upper triangle of that and some of the lower one. Few columns: a few rows of g at a time, from
   the diagonal on, since OpenBLAS's dsyrk is no faster than the whole product there. */
static void gram(mars_dtype wide, const mx_mat *g, const mx_mat *p, bool first) {
  enum { ROWS = 8, LEAST = 16 };
  const int n = (int)p->cols, k = (int)p->rows, ld = mx_mat_ld(p), rows = n > LEAST ? ROWS : n;
  const int64_t es = (int64_t)mars_dtype_bytes(wide);
  const double keep = first ? 0 : 1;

  if (n < MX_TALL_SYRK) {
    const mx_mat pt = mx_mat_t(p);

    for (int i = 0; i < n; i += rows) {
      const int h = (int)least(rows, n - i);
      const mx_mat to = mx_mat_sub(g, (size_t)es, i, i, h, n - i), left = mx_mat_sub(&pt, (size_t)es, i, 0, h, k),
                   right = mx_mat_sub(p, (size_t)es, 0, i, k, n - i);

      mx_tile_gemm(wide, (first ? MX_TF_FIRST : 0) | MX_TF_CONJ, &to, &left, &right);
    }
  } else if (wide == MARS_F64) {
    BL(cblas_dsyrk)(CblasRowMajor, CblasUpper, CblasTrans, n, k, 1, (const double *)p->base, ld, keep, (double *)g->base, n);
  } else {
    BL(cblas_zherk)(CblasRowMajor, CblasUpper, CblasConjTrans, n, k, 1, p->base, ld, keep, g->base, n);
  }
}

static int64_t gram_parts(const mx_tile_call *t) { return t->mat[0].rows / (2 * t->mat[1].cols); }

static int64_t gram_bytes(const mx_tile_call *t) { return mx_tall_gram_bytes(t->mat[1].cols, (int64_t)mx_tile_wide_bytes(t->dtype)); }

int64_t mx_tile_gram_scratch(const mx_tile_call *t) { return gram_parts(t) * gram_bytes(t); }

int64_t mx_tile_units_tall_gram(const mx_tile_call *t, int threads) { return least(gram_parts(t), threads); }

bool mx_tile_rows_tall_gram(const mx_tile_call *t, int64_t units) {
  const int64_t rows = t->mat[1].rows, parts = gram_parts(t);

  return t->mat[1].cs == 1 && rows % (parts * mx_tall_panel(t->mat[1].cols)) == 0 && parts % units == 0;
}

/* Rows of one part to its sums. */
static void gram_part(const mx_tile_call *t, char *scratch, int64_t part, int64_t parts) {
  const mx_mat *a = &t->mat[1], *r = t->n > 2 ? &t->mat[2] : NULL;
  const mars_dtype wide = wide_of(t->dtype);
  const int64_t n = a->cols, es = (int64_t)mars_dtype_bytes(wide), c = is_complex(wide) ? 2 : 1, step = mx_tall_panel(n);
  double *sum = (double *)(t->mat[0].base + part * 2 * n * n * es), *lost = sum + n * n * c;
  const mx_mat g = matrix(scratch, n, n);
  int64_t begin, end;
  int group = 0;

  mx_tile_part(a->rows, step, part, parts, &begin, &end);
  if (t->flags & MX_TF_FIRST) memset(sum, 0, (size_t)(2 * n * n * es));
  for (int64_t i = begin; i < end; i += step) {
    const mx_mat p = panel(t->dtype, a, r, i, least(step, end - i), scratch + n * n * es);

    gram(wide, &g, &p, group == 0);
    group = (group + 1) % PANELS;
    for (int64_t row = 0; row < n && (group == 0 || i + step >= end); row++) /* what is below the diagonal may not be there */
      add_compensated(sum + row * (n + 1) * c, lost + row * (n + 1) * c, (double *)g.base + row * (n + 1) * c, (n - row) * c);
  }
}

mars_status mx_tile_run_tall_gram(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const int64_t parts = gram_parts(t);

  for (int64_t i = parts * unit / units; i < parts * (unit + 1) / units; i++) gram_part(t, scratch + i * gram_bytes(t), i, parts);
  return MARS_OK;
}

/* ---- TALL_CHOL ---- */

static mars_status ask_for(const mx_tile_call *t, int level, double condition, mars_error *err) {
  mars_status st;

  if (condition > 0) st = mx_fail(err, MX_E_CONDITION, "mars_%s: the condition (columns scaled) is about %.2g", t->fn, condition);
  else st = mx_fail(err, MX_E_CONDITION, "mars_%s: the Gram matrix is numerically singular", t->fn);
  if (err != NULL) err->code = level;
  return st;
}

/* Upper triangle of the sum of all accumulators, of which a matrix may hold several; 0 below. */
static void sum_up(const mx_tile_call *t, double *g, int64_t n, int64_t parts) {
  const int64_t n2 = n * n * parts;

  memset(g, 0, (size_t)n2 * sizeof *g);
  for (int64_t i = 0; i < n; i++)
    for (int64_t at = (i * n + i) * parts; at < (i + 1) * n * parts; at++) {
      double sum = 0, lost = 0;

      for (int k = 1; k < t->n; k++)
        for (int64_t part = 0; part < t->mat[k].rows / (2 * n); part++) {
          const double *x = (const double *)t->mat[k].base + part * 2 * n2;

          lost += x[n2 + at];
          add_compensated(&sum, &lost, &x[at], 1);
        }
      g[at] = isfinite(lost) ? sum + lost : sum; /* an overflow leaves NaN in what was lost */
    }
}

static int potrf(mars_dtype wide, int n, void *g) { /* row-major upper is column-major lower */
  if (wide == MARS_F64) return BL(LAPACKE_dpotrf_work)(LAPACK_COL_MAJOR, 'L', n, g, n);
  return BL(LAPACKE_zpotrf_work)(LAPACK_COL_MAJOR, 'L', n, g, n);
}

/* x = r^-1 x or r^-H x, one column */
static void solve_one(mars_dtype wide, int n, const void *r, double *x, CBLAS_TRANSPOSE op) {
  static const double one[2] = {1, 0};

  if (wide == MARS_F64) BL(cblas_dtrsm)(CblasRowMajor, CblasLeft, CblasUpper, op, CblasNonUnit, n, 1, 1, r, n, x, 1);
  else BL(cblas_ztrsm)(CblasRowMajor, CblasLeft, CblasUpper, op, CblasNonUnit, n, 1, one, r, n, x, 1);
}

static double normalise(double *x, int64_t n) {
  double sum = 0;

  for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
  for (int64_t i = 0; i < n; i++) x[i] /= sqrt(sum);
  return sqrt(sum);
}

/* Norm of r (inverse: of r^-1) by power iteration: never too large, rarely too small by much. x, y: n wide elements each. */
static double norm_of(mars_dtype wide, int64_t n, const char *r, bool inverse, double *x, double *y) {
  enum { STEPS = 12 };
  const int64_t parts = is_complex(wide) ? 2 : 1;
  const mx_mat rm = matrix((char *)(uintptr_t)r, n, n), rt = mx_mat_t(&rm), xm = matrix((char *)x, n, 1), ym = matrix((char *)y, n, 1);
  double norm = 0;

  for (int64_t i = 0; i < n * parts; i++) x[i] = 1 + (double)(i * 7919 % 101) / 101; /* no eigenvector of anything */
  normalise(x, n * parts);
  for (int i = 0; i < STEPS; i++) {
    if (inverse) {
      solve_one(wide, (int)n, r, x, CblasConjTrans);
      solve_one(wide, (int)n, r, x, CblasNoTrans);
    } else {
      mx_tile_gemm(wide, MX_TF_FIRST, &ym, &rm, &xm);
      mx_tile_gemm(wide, MX_TF_FIRST | MX_TF_CONJ, &xm, &rt, &ym);
    }
    norm = sqrt(normalise(x, n * parts));
  }
  return norm;
}

/* In the 2-norm. What LAPACK estimates in the 1-norm is within a factor n of it, and much above it where columns are alike. */
static double condition_of(mars_dtype wide, int n, const void *r, double *work, int *iwork) {
  const int64_t parts = is_complex(wide) ? 2 : 1;
  double rcond = 0, condition;

  if (wide == MARS_F64) (void)BL(LAPACKE_dtrcon_work)(LAPACK_COL_MAJOR, '1', 'L', 'N', n, r, n, &rcond, work, iwork);
  else
    (void)BL(LAPACKE_ztrcon_work)(LAPACK_COL_MAJOR, '1', 'L', 'N', n, r, n, &rcond, (lapack_complex_double *)work, work + 4 * n);
  if (!(rcond > 0)) return INFINITY;
  condition = norm_of(wide, n, r, false, work, work + n * parts) * norm_of(wide, n, r, true, work, work + n * parts);
  return condition > 1 / rcond / n ? condition : 1 / rcond / n;
}

/* Element (i, j) times 2^(sign (e_i + e_j)), or 2^(sign e_j). */
static void scale(double *g, int64_t n, int64_t parts, const int *e, int sign, bool rows) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i; j < n; j++)
      for (int64_t k = 0; k < parts; k++) {
        double *x = &g[(i * n + j) * parts + k];

        *x = ldexp(*x, sign * (e[j] + (rows ? e[i] : 0)));
      }
}

int64_t mx_tile_units_tall_chol(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_tall_chol(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mars_dtype wide = wide_of(t->dtype);
  const int64_t n = t->mat[0].cols, parts = is_complex(wide) ? 2 : 1;
  double *g = (double *)t->mat[0].base, *work = (double *)scratch, condition;
  int *e = (int *)(work + 6 * n), *iwork = e + n;

  sum_up(t, g, n, parts);
  for (int64_t i = 0; i < n; i++) { /* the columns' lengths, to a power of two */
    const double d = g[i * (n + 1) * parts];

    if (isnan(d)) return mx_fail_infinite(err, t->fn, t->p[3], -1, i);
    if (!(d > 1e-280 && d < 1e300)) return ask_for(t, 2, 0, err); /* 0, or squares under- or overflow */
    (void)frexp(sqrt(d), &e[i]);
  }
  scale(g, n, parts, e, -1, true);
  if (potrf(wide, (int)n, g) != 0) return ask_for(t, 2, 0, err);
  condition = condition_of(wide, (int)n, g, work, iwork);
  if (!(condition <= (double)t->p[0])) return ask_for(t, condition <= (double)t->p[1] ? 1 : 2, condition, err);
  scale(g, n, parts, e, 1, false);
  return MARS_OK;
}

/* ---- TALL_R, TALL_SVD ---- */

static mars_status all_finite(const mx_tile_call *t, const mx_mat *r, mars_error *err) {
  const int64_t parts = is_complex(t->dtype) ? 2 : 1;

  for (int64_t i = 0; i < r->rows * r->cols * parts; i++)
    if (!isfinite(((const double *)r->base)[i])) return mx_fail_infinite(err, t->fn, t->p[3], -1, -1);
  return MARS_OK;
}

/* R2, or R2 R1 */
static void whole_r(mars_dtype wide, const mx_mat *r, const mx_mat *r2, const mx_mat *r1) {
  if (r1 != NULL) mx_tile_gemm(wide, MX_TF_FIRST, r, r2, r1);
  else copy(wide, r, r2);
}

static void set_identity(const mx_mat *x, int64_t parts) {
  memset(x->base, 0, (size_t)(x->rows * x->cols * parts) * sizeof(double));
  for (int64_t i = 0; i < x->rows; i++) ((double *)x->base)[i * (x->cols + 1) * parts] = 1;
}

/* x = r^-1 x */
static void solve(mars_dtype wide, const mx_mat *r, const mx_mat *x) {
  static const double one[2] = {1, 0};
  const int n = (int)x->rows;

  if (wide == MARS_F64)
    BL(cblas_dtrsm)(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, n, n, 1, (const double *)r->base, n,
                    (double *)x->base, n);
  else
    BL(cblas_ztrsm)(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, n, n, one, r->base, n, x->base, n);
}

int64_t mx_tile_units_tall_r(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_tall_r(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mx_mat *r2 = &t->mat[2], *r1 = t->n > 3 ? &t->mat[3] : NULL;
  const mars_dtype wide = wide_of(t->dtype);
  const mx_mat r = matrix(scratch, r2->rows, r2->cols);
  mars_status st = all_finite(t, r2, err);

  if (st != MARS_OK) return st;
  whole_r(wide, &r, r2, r1);
  mx_tall_narrow(t->dtype, &t->mat[0], &r);
  set_identity(&t->mat[1], is_complex(wide) ? 2 : 1);
  if (!t->p[0]) solve(wide, r2, &t->mat[1]);
  return MARS_OK;
}

/* r = u s vh; r is lost. Row-major matrices are their transposes to LAPACK: r^T = vh^T s u^T. */
static int gesdd(mars_dtype wide, int n, char *r, double *s, char *u, char *vh, char *scratch) {
  lapack_int *iwork = (lapack_int *)scratch;
  double *work = (double *)(scratch + (int64_t)n * 8 * (int64_t)sizeof *iwork);

  if (wide == MARS_F64)
    return BL(LAPACKE_dgesdd_work)(LAPACK_COL_MAJOR, 'A', n, n, (double *)r, n, s, (double *)vh, n, (double *)u, n, work,
                                   4 * n * n + 130 * n, iwork);
  return BL(LAPACKE_zgesdd_work)(LAPACK_COL_MAJOR, 'A', n, n, (void *)r, n, s, (void *)vh, n, (void *)u, n,
                                 (void *)(work + 5 * (int64_t)n * n + 8 * n), n * n + 130 * n, work, iwork);
}

int64_t mx_tile_units_tall_svd(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_tall_svd(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mx_mat *x = &t->mat[2], *r2 = &t->mat[3], *r1 = t->n > 4 ? &t->mat[4] : NULL;
  const mars_dtype wide = wide_of(t->dtype), real = is_narrow(t->dtype) ? MARS_F32 : MARS_F64;
  const int64_t n = x->rows, bytes = n * n * (int64_t)mars_dtype_bytes(wide);
  const mx_mat r = matrix(scratch, n, n), vh = matrix(scratch + bytes, n, n), s = matrix(scratch + 2 * bytes, 1, n);
  mars_status st = all_finite(t, r2, err);
  int info;

  if (st != MARS_OK) return st;
  whole_r(wide, &r, r2, r1);
  info = gesdd(wide, (int)n, r.base, (double *)s.base, x->base, vh.base, s.base + n * 8);
  if (info != 0) return mx_fail(err, MARS_E_NUMERIC, "mars_%s: the decomposition of the %lld x %lld factor does not converge", t->fn, (long long)n, (long long)n);
  mx_tall_narrow(real, &t->mat[0], &s);
  mx_tall_narrow(t->dtype, &t->mat[1], &vh);
  if (!t->p[0]) solve(wide, r2, x);
  return MARS_OK;
}

/* ---- TALL_MUL ---- */

int64_t mx_tile_units_tall_mul(const mx_tile_call *t, int threads) {
  const int64_t panels = (t->mat[0].rows + mx_tall_panel(t->mat[0].cols) - 1) / mx_tall_panel(t->mat[0].cols);

  return least(panels, least(threads, t->p[0]));
}

bool mx_tile_rows_tall_mul(const mx_tile_call *t, int64_t units) {
  const int64_t rows = t->mat[0].rows, step = mx_tall_panel(t->mat[0].cols);

  return t->n == 3 && !is_narrow(t->dtype) && t->mat[1].cs == 1 && rows % step == 0 && rows / step % units == 0; /* without scratch */
}

mars_status mx_tile_run_tall_mul(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const mx_mat *u = &t->mat[0], *a = &t->mat[1], *x = &t->mat[2], *r = t->n > 3 ? &t->mat[3] : NULL;
  const mars_dtype wide = wide_of(t->dtype);
  const int64_t n = a->cols, es = (int64_t)mars_dtype_bytes(wide), step = mx_tall_panel(n);
  char *own = scratch + unit * mx_tall_panel_bytes(n, es);
  int64_t begin, end;

  mx_tile_part(u->rows, step, unit, units, &begin, &end); /* panels begin at the same rows whoever makes them */
  for (int64_t i = begin; i < end; i += step) {
    const int64_t rows = least(step, end - i);
    const mx_mat to = mx_mat_sub(u, mars_dtype_bytes(t->dtype), i, 0, rows, n), p = panel(t->dtype, a, r, i, rows, own);
    const mx_mat product = is_narrow(t->dtype) ? matrix(own + step * n * es, rows, n) : to;

    mx_tile_gemm(wide, MX_TF_FIRST, &product, &p, x);
    if (is_narrow(t->dtype)) mx_tall_narrow(t->dtype, &to, &product);
  }
  return MARS_OK;
}
