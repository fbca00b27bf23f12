/*
 * CHOL: the Cholesky factor of one tile, recursively: halves, a triangular solve and a symmetric update between them, down to
 * blocks that fit the first cache.
 */
#include "engine/numeric.h"
#include "host/routines/tile.h"

#include <math.h>
#include <string.h>

enum { BASE = 32 };

/* 0, or 1 + the row where the leading minor is not positive definite. NaN counts as that. */
#define CHOL_REAL(name, type, root)                                                                          \
  static int64_t name(const mx_mat *m) {                                                                     \
    for (int64_t i = 0; i < m->rows; i++) {                                                                  \
      type *ai = (type *)m->base + i * m->rs;                                                                \
      for (int64_t j = 0; j <= i; j++) {                                                                     \
        const type *aj = (const type *)m->base + j * m->rs;                                                  \
        type sum = ai[j * m->cs];                                                                            \
        for (int64_t k = 0; k < j; k++) sum -= ai[k * m->cs] * aj[k * m->cs];                                \
        if (j < i) ai[j * m->cs] = sum / aj[j * m->cs];                                                      \
        else if (!(sum > 0)) return i + 1;                                                                   \
        else ai[i * m->cs] = root(sum);                                                                      \
      }                                                                                                      \
    }                                                                                                        \
    return 0;                                                                                                \
  }

#define CHOL_COMPLEX(name, type, root)                                                                       \
  static int64_t name(const mx_mat *m) {                                                                     \
    for (int64_t i = 0; i < m->rows; i++) {                                                                  \
      type *ai = (type *)m->base + 2 * i * m->rs;                                                            \
      for (int64_t j = 0; j <= i; j++) {                                                                     \
        const type *aj = (const type *)m->base + 2 * j * m->rs;                                              \
        type re = ai[2 * j * m->cs], im = ai[2 * j * m->cs + 1];                                             \
        for (int64_t k = 0; k < j; k++) {                                                                    \
          const type *x = ai + 2 * k * m->cs, *y = aj + 2 * k * m->cs;                                       \
          re -= x[0] * y[0] + x[1] * y[1];                                                                   \
          im -= x[1] * y[0] - x[0] * y[1];                                                                   \
        }                                                                                                    \
        if (j < i) {                                                                                         \
          ai[2 * j * m->cs] = re / aj[2 * j * m->cs];                                                        \
          ai[2 * j * m->cs + 1] = im / aj[2 * j * m->cs];                                                    \
        } else if (!(re > 0)) {                                                                              \
          return i + 1;                                                                                      \
        } else {                                                                                             \
          ai[2 * i * m->cs] = root(re);                                                                      \
          ai[2 * i * m->cs + 1] = 0;                                                                         \
        }                                                                                                    \
      }                                                                                                      \
    }                                                                                                        \
    return 0;                                                                                                \
  }

CHOL_REAL(base_s, float, sqrtf)
CHOL_REAL(base_d, double, sqrt)
CHOL_COMPLEX(base_c, float, sqrtf)
CHOL_COMPLEX(base_z, double, sqrt)

static int64_t factor(mars_dtype dt, const mx_mat *a) {
  const size_t es = mars_dtype_bytes(dt);
  const int64_t n = a->rows, h = n / 2 / 16 * 16;

  if (n <= BASE) return dt == MARS_F32 ? base_s(a) : dt == MARS_F64 ? base_d(a) : dt == MARS_C64 ? base_c(a) : base_z(a);
  const mx_mat a11 = mx_mat_sub(a, es, 0, 0, h, h), a21 = mx_mat_sub(a, es, h, 0, n - h, h), a22 = mx_mat_sub(a, es, h, h, n - h, n - h);
  int64_t bad = factor(dt, &a11);
  if (bad) return bad;
  mx_tile_trsm(dt, MX_TF_LOWER | MX_TF_TRANS | MX_TF_CONJ | MX_TF_RIGHT, &a11, &a21);
  mx_tile_syrk(dt, MX_TF_NEGATE | MX_TF_HERM, &a22, &a21);
  bad = factor(dt, &a22);
  return bad ? h + bad : 0;
}

int64_t mx_tile_units_chol(const mx_tile_call *t, int threads) { return 1; }

mars_status mx_tile_run_chol(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  const int64_t es = (int64_t)mars_dtype_bytes(t->dtype);
  const mx_mat *a = &t->mat[0];
  const int64_t bad = factor(t->dtype, a);

  if (bad)
    return mx_fail_minor(err, t->fn, t->p[3], t->p[0] + bad);
  for (int64_t i = 0; i < a->rows; i++)
    for (int64_t j = i + 1; j < a->cols; j++) memset(a->base + (i * a->rs + j * a->cs) * es, 0, (size_t)es);
  return MARS_OK;
}
