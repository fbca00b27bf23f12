/* LU_ORDER, LU_LOWER, LU_DIAG, LU_DET: from panels and pivots to what was asked for. */
#include "host/routines/lu.h"

#include <math.h>
#include <string.h>

int64_t mx_tile_units_lu_order(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_lu_order(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  int64_t *order = (int64_t *)t->mat[0].base;
  const int64_t n = t->mat[0].rows * t->mat[0].cols;

  for (int64_t i = 0; i < n; i++) order[i] = t->p[0] + i;
  for (int m = 1; m < t->n; m++) {
    const int32_t *pivot = (const int32_t *)t->mat[m].base;
    int64_t *from = order + t->p[2] - t->p[0] + (m - 1) * t->p[1];

    for (int64_t i = 0; i < t->mat[m].rows; i++) {
      const int64_t x = from[i];
      from[i] = from[pivot[i]];
      from[pivot[i]] = x;
    }
  }
  return MARS_OK;
}

/* ---- the unit lower factor ---- */

/* Rows [begin, end) of columns that come from one panel, some columns at a time: as many as fill cache lines of a row, and
   as stay in cache while rows are picked from all over them. */
#define LOWER_RUN(name, type, W)                                                                             \
  static void name(const mx_mat *d, int64_t begin, int64_t end, int64_t row, const mx_mat *l, const int64_t *order, int64_t start) {   \
    enum { COLUMNS = 16 };                                                                                   \
    for (int64_t c0 = 0; c0 < l->cols; c0 += COLUMNS) {                                                      \
      const int64_t c1 = c0 + COLUMNS < l->cols ? c0 + COLUMNS : l->cols;                                    \
      for (int64_t i = begin; i < end; i++) {                                                                \
        const int64_t below = row + i - start, from = below >= 0 ? order[below] - start : 0;                 \
        for (int64_t c = c0; c < c1; c++) {                                                                  \
          type *to = (type *)d->base + W * (i * d->rs + c * d->cs);                                          \
          const type *at = (const type *)l->base + W * (from * l->rs + c * l->cs);                           \
          for (int w = 0; w < W; w++) to[w] = below > c ? at[w] : below == c && w == 0 ? 1 : 0;              \
        }                                                                                                    \
      }                                                                                                      \
    }                                                                                                        \
  }

LOWER_RUN(lower_s, float, 1)
LOWER_RUN(lower_d, double, 1)
LOWER_RUN(lower_c, float, 2)
LOWER_RUN(lower_z, double, 2)

int64_t mx_tile_units_lu_lower(const mx_tile_call *t, int threads) { return mx_tile_parts(t->mat[0].rows); }

mars_status mx_tile_run_lu_lower(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  int64_t begin, end, col = 0;

  mx_tile_part(t->mat[0].rows, 1, unit, units, &begin, &end);
  for (int m = 1; m + 1 < t->n; m += 2) {
    const mx_mat *l = &t->mat[m], d = mx_mat_sub(&t->mat[0], mars_dtype_bytes(t->dtype), 0, col, t->mat[0].rows, l->cols);
    const int64_t *order = (const int64_t *)t->mat[m + 1].base, start = t->p[1] + col; /* the panel's first row and column */

    switch (t->dtype) {
    case MARS_F32: lower_s(&d, begin, end, t->p[0], l, order, start); break;
    case MARS_F64: lower_d(&d, begin, end, t->p[0], l, order, start); break;
    case MARS_C64: lower_c(&d, begin, end, t->p[0], l, order, start); break;
    default: lower_z(&d, begin, end, t->p[0], l, order, start);
    }
    col += l->cols;
  }
  return MARS_OK;
}

/* ---- determinants ---- */

int64_t mx_tile_units_lu_diag(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_lu_diag(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const size_t es = mars_dtype_bytes(t->dtype);
  const mx_mat *d = &t->mat[0], *a = &t->mat[1];

  for (int64_t i = 0; i < a->cols; i++) memcpy(d->base + (size_t)i * es, a->base + (size_t)(i * (a->rs + a->cs)) * es, es);
  return MARS_OK;
}

/* A product with its exponent apart, so that it neither overflows nor underflows on the way. */
typedef struct product {
  double re, im;
  int64_t exponent;
} product;

static void times(product *x, double re, double im) {
  const double big = fmax(fabs(re), fabs(im));
  int e = 0;

  if (isfinite(big) && big != 0) {
    frexp(big, &e);
    re = ldexp(re, -e);
    im = ldexp(im, -e);
    x->exponent += e;
  }
  const double r = im == 0 && x->im == 0 ? x->re * re : x->re * re - x->im * im;
  const double i = im == 0 && x->im == 0 ? 0 : x->re * im + x->im * re;
  const double most = fmax(fabs(r), fabs(i));
  e = 0;
  if (isfinite(most) && most != 0) frexp(most, &e);
  x->re = ldexp(r, -e);
  x->im = ldexp(i, -e);
  x->exponent += e;
}

static void set_complex(char *p, mars_dtype dt, double re, double im) {
  switch (dt) {
  case MARS_F32: *(float *)p = (float)re; break;
  case MARS_F64: *(double *)p = re; break;
  case MARS_C64: ((float *)p)[0] = (float)re, ((float *)p)[1] = (float)im; break;
  default: ((double *)p)[0] = re, ((double *)p)[1] = im;
  }
}

static double part_of(const mx_tile_call *t, int64_t i, int which) {
  const char *base = t->mat[3].base;

  switch (t->dtype) {
  case MARS_F32: return which ? 0 : ((const float *)base)[i];
  case MARS_F64: return which ? 0 : ((const double *)base)[i];
  case MARS_C64: return ((const float *)base)[2 * i + which];
  default: return ((const double *)base)[2 * i + which];
  }
}

int64_t mx_tile_units_lu_det(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_lu_det(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  product det = {1, 0, 0};
  product sign = {1, 0, 0};
  double log_of = 0, lost = 0; /* a sum with its rounding errors apart */
  bool odd = false, zero = false;

  for (int m = 4; m < t->n; m++)
    for (int64_t i = 0; i < t->mat[m].rows; i++) odd ^= ((const int32_t *)t->mat[m].base)[i] != i;
  for (int64_t i = 0; i < t->mat[3].rows; i++) {
    const double re = part_of(t, i, 0), im = part_of(t, i, 1), size = im == 0 ? fabs(re) : hypot(re, im);

    times(&det, re, im);
    zero |= size == 0;
    if (im == 0 && !isnan(re)) times(&sign, re < 0 ? -1 : 1, 0);
    else times(&sign, re / size, im / size);
    const double x = log(size), sum = log_of + x;
    lost += fabs(log_of) >= fabs(x) ? (log_of - sum) + x : (x - sum) + log_of;
    log_of = sum;
  }
  if (odd) det.re = -det.re, det.im = -det.im, sign.re = -sign.re, sign.im = -sign.im;
  if (isfinite(log_of)) log_of += lost;
  const int scale = det.exponent > 100000 ? 100000 : det.exponent < -100000 ? -100000 : (int)det.exponent;
  set_complex(t->mat[0].base, t->dtype, ldexp(det.re, scale), ldexp(det.im, scale));
  sign.re = ldexp(sign.re, (int)sign.exponent), sign.im = ldexp(sign.im, (int)sign.exponent);
  if (zero && !isnan(log_of)) sign.re = sign.im = 0, log_of = -INFINITY;
  set_complex(t->mat[1].base, t->dtype, sign.re, sign.im);
  if (t->dtype == MARS_F32 || t->dtype == MARS_C64) *(float *)t->mat[2].base = (float)log_of;
  else *(double *)t->mat[2].base = log_of;
  return MARS_OK;
}
