/*
 * Factoring one panel with partial pivoting, recursively by halves of its columns (Toledo 1997), so that nearly all of the work is
 * matrix products; a few columns at a time are eliminated one by one. Our own and not LAPACK's because pivots must be valid rows
 * whatever NaNs the panel holds.
 */
#include "host/routines/lu.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BASE = 8 };

/* from: 0 or the last; step: 1 or -1 */
#define LU_EXCHANGE(name, type)                                                                              \
  static void name(type *a, int64_t ld, int64_t cols, const int32_t *pivot, int64_t n, int64_t from, int64_t step) {                   \
    for (int64_t j = 0; j < cols; j++, a += ld)                                                              \
      for (int64_t i = from, left = n; left > 0; left--, i += step) {                                        \
        const type t = a[i];                                                                                 \
        a[i] = a[pivot[i]];                                                                                  \
        a[pivot[i]] = t;                                                                                     \
      }                                                                                                      \
  }

typedef struct pair {
  uint64_t lo, hi;
} pair;
LU_EXCHANGE(exchange4, uint32_t)
LU_EXCHANGE(exchange8, uint64_t)
LU_EXCHANGE(exchange16, pair)

static void exchange(mars_dtype dt, const mx_mat *a, const int32_t *pivot, int64_t n, int64_t from, int64_t step) {
  switch (mars_dtype_bytes(dt)) {
  case 4: exchange4((uint32_t *)a->base, a->cs, a->cols, pivot, n, from, step); break;
  case 8: exchange8((uint64_t *)a->base, a->cs, a->cols, pivot, n, from, step); break;
  default: exchange16((pair *)a->base, a->cs, a->cols, pivot, n, from, step);
  }
}

void mx_lu_exchange(mars_dtype dt, const mx_mat *a, const int32_t *pivot, int64_t n) { exchange(dt, a, pivot, n, 0, 1); }

void mx_lu_exchange_back(mars_dtype dt, const mx_mat *a, const int32_t *pivot, int64_t n) { exchange(dt, a, pivot, n, n - 1, -1); }

/* Columns one by one, each brought up to date with those before it when its turn comes. */
#define LU_BASE(name, type, abs_of, least, TIMES, SCALE, MODULUS, W)                                         \
  static int64_t name(type *a, int64_t ld, int64_t m, int64_t n, int32_t *pivot) {                           \
    int64_t zero = 0;                                                                                        \
    for (int64_t j = 0; j < n; j++) {                                                                        \
      type *c = a + W * j * ld;                                                                              \
      for (int64_t k = 0; k < j; k++) {                                                                      \
        type t[W];                                                                                           \
        memcpy(t, c + W * pivot[k], sizeof t);                                                               \
        memcpy(c + W * pivot[k], c + W * k, sizeof t);                                                       \
        memcpy(c + W * k, t, sizeof t);                                                                      \
      }                                                                                                      \
      for (int64_t k = 0; k < j; k++) {                                                                      \
        const type *l = a + W * k * ld;                                                                      \
        type t[W];                                                                                           \
        memcpy(t, c + W * k, sizeof t);                                                                      \
        for (int64_t i = k + 1; i < m; i++) TIMES(c, l, t, i)                                                \
      }                                                                                                      \
      int64_t p = j;                                                                                         \
      type best = MODULUS(c, j, abs_of);                                                                     \
      for (int64_t i = j + 1; i < m; i++) {                                                                  \
        const type x = MODULUS(c, i, abs_of);                                                                \
        if (x > best) best = x, p = i;                                                                       \
      }                                                                                                      \
      pivot[j] = (int32_t)p;                                                                                 \
      if (best == 0) {                                                                                       \
        if (!zero) zero = j + 1;                                                                             \
        continue;                                                                                            \
      }                                                                                                      \
      for (int64_t k = 0; k <= j; k++) {                                                                     \
        type *x = a + W * k * ld, t[W];                                                                      \
        memcpy(t, x + W * p, sizeof t);                                                                      \
        memcpy(x + W * p, x + W * j, sizeof t);                                                              \
        memcpy(x + W * j, t, sizeof t);                                                                      \
      }                                                                                                      \
      SCALE(type, c, j, m, best, least)                                                                      \
    }                                                                                                        \
    return zero;                                                                                             \
  }

#define TIMES_REAL(c, l, t, i) c[i] -= l[i] * t[0];
#define MODULUS_REAL(c, i, abs_of) abs_of(c[i])
#define SCALE_REAL(type, c, j, m, best, least)                                                               \
  if (best >= least) {                                                                                       \
    const type r = 1 / c[j];                                                                                 \
    for (int64_t i = j + 1; i < m; i++) c[i] *= r;                                                           \
  } else {                                                                                                   \
    for (int64_t i = j + 1; i < m; i++) c[i] /= c[j];                                                        \
  }
#define TIMES_COMPLEX(c, l, t, i)                                                                            \
  {                                                                                                          \
    c[2 * i] -= l[2 * i] * t[0] - l[2 * i + 1] * t[1];                                                       \
    c[2 * i + 1] -= l[2 * i] * t[1] + l[2 * i + 1] * t[0];                                                   \
  }
#define MODULUS_COMPLEX(c, i, abs_of) (abs_of(c[2 * (i)]) + abs_of(c[2 * (i) + 1]))
#define SCALE_COMPLEX(type, c, j, m, best, least)                                                            \
  {                                                                                                          \
    const type _Complex d = ((const type _Complex *)c)[j];                                                   \
    if (best >= least) {                                                                                     \
      const type _Complex r = 1 / d;                                                                         \
      const type re = ((const type *)&r)[0], im = ((const type *)&r)[1];                                     \
      for (int64_t i = j + 1; i < m; i++) {                                                                  \
        const type x = c[2 * i], y = c[2 * i + 1];                                                           \
        c[2 * i] = x * re - y * im;                                                                          \
        c[2 * i + 1] = x * im + y * re;                                                                      \
      }                                                                                                      \
    } else {                                                                                                 \
      for (int64_t i = j + 1; i < m; i++) ((type _Complex *)c)[i] /= d;                                      \
    }                                                                                                        \
  }

LU_BASE(base_s, float, fabsf, FLT_MIN, TIMES_REAL, SCALE_REAL, MODULUS_REAL, 1)
LU_BASE(base_d, double, fabs, DBL_MIN, TIMES_REAL, SCALE_REAL, MODULUS_REAL, 1)
LU_BASE(base_c, float, fabsf, FLT_MIN, TIMES_COMPLEX, SCALE_COMPLEX, MODULUS_COMPLEX, 2)
LU_BASE(base_z, double, fabs, DBL_MIN, TIMES_COMPLEX, SCALE_COMPLEX, MODULUS_COMPLEX, 2)

int64_t mx_lu_panel(mars_dtype dt, const mx_mat *a, int32_t *pivot) {
  const size_t es = mars_dtype_bytes(dt);
  const int64_t m = a->rows, n = a->cols, h = n / 2 > BASE ? n / 2 / BASE * BASE : n / 2;

  if (n <= BASE) switch (dt) {
    case MARS_F32: return base_s((float *)a->base, a->cs, m, n, pivot);
    case MARS_F64: return base_d((double *)a->base, a->cs, m, n, pivot);
    case MARS_C64: return base_c((float *)a->base, a->cs, m, n, pivot);
    default: return base_z((double *)a->base, a->cs, m, n, pivot);
    }
  const mx_mat left = mx_mat_sub(a, es, 0, 0, m, h), right = mx_mat_sub(a, es, 0, h, m, n - h);
  const mx_mat l11 = mx_mat_sub(a, es, 0, 0, h, h), l21 = mx_mat_sub(a, es, h, 0, m - h, h);
  const mx_mat u12 = mx_mat_sub(a, es, 0, h, h, n - h), a22 = mx_mat_sub(a, es, h, h, m - h, n - h);
  const int64_t zero = mx_lu_panel(dt, &left, pivot);
  mx_lu_exchange(dt, &right, pivot, h);
  mx_tile_trsm(dt, MX_TF_LOWER | MX_TF_UNIT, &l11, &u12);
  mx_tile_gemm(dt, MX_TF_NEGATE, &a22, &l21, &u12);
  const int64_t later = mx_lu_panel(dt, &a22, pivot + h);
  mx_lu_exchange(dt, &l21, pivot + h, n - h);
  for (int64_t i = h; i < n; i++) pivot[i] += (int32_t)h;
  return zero ? zero : later ? later + h : 0;
}
