/* Contract: host/routines/finite.h. */
#include "host/routines/finite.h"

#include <math.h>

/* x - x is 0 for finite x only, and such zeros add up to 0: no branch in the loop. */
#define FINITE_RUN(name, type)                                                                               \
  static bool name(const type *x, int64_t n) {                                                               \
    type sum = 0;                                                                                            \
    for (int64_t i = 0; i < n; i++) sum += x[i] - x[i];                                                      \
    return sum == 0;                                                                                         \
  }                                                                                                          \
  static int64_t name##_first(const type *x, int64_t n) {                                                    \
    for (int64_t i = 0; i < n; i++)                                                                          \
      if (!isfinite(x[i])) return i;                                                                         \
    return n;                                                                                                \
  }
FINITE_RUN(run32, float)
FINITE_RUN(run64, double)

/* n elements; parts: 2 for complex. Returns the first bad element, n if there is none. */
static int64_t bad_element(mars_dtype dt, const char *at, int64_t n) {
  const int64_t parts = dt == MARS_C64 || dt == MARS_C128 ? 2 : 1;

  if (dt == MARS_F32 || dt == MARS_C64) {
    const float *x = (const float *)(const void *)at;
    return run32(x, n * parts) ? n : run32_first(x, n * parts) / parts;
  }
  const double *x = (const double *)(const void *)at;
  return run64(x, n * parts) ? n : run64_first(x, n * parts) / parts;
}

bool mx_finite_triangle(mars_dtype dt, const mx_mat *a, unsigned flags, int64_t *row, int64_t *col) {
  const int64_t es = (int64_t)mars_dtype_bytes(dt);
  const bool by_rows = a->cs == 1, lower = flags & MX_TF_LOWER, upper = flags & MX_TF_UPPER;
  const int64_t lines = by_rows ? a->rows : a->cols, length = by_rows ? a->cols : a->rows;
  const int64_t line_step = by_rows ? a->rs : a->cs, step = by_rows ? a->cs : a->rs;
  const bool tail = by_rows ? upper : lower; /* of each line the part from the diagonal on */

  for (int64_t i = 0; i < lines; i++) {
    const int64_t diagonal = i < length ? i : length, from = tail ? diagonal : 0;
    const int64_t to = (lower || upper) && !tail ? (i + 1 < length ? i + 1 : length) : length;
    int64_t bad = from;

    if (step == 1) bad += bad_element(dt, a->base + (i * line_step + from) * es, to - from);
    else
      while (bad < to && bad_element(dt, a->base + (i * line_step + bad * step) * es, 1) == 1) bad++;
    if (bad >= to) continue;
    *row = by_rows ? i : bad;
    *col = by_rows ? bad : i;
    return false;
  }
  return true;
}
