/* Finished values from accumulators. Contract: host/reduce.h. */
#include "host/reduce.h"

#include <math.h>
#include <string.h>

static bool is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }

static mars_dtype sum_part(mx_op op, mars_dtype src) {
  mx_acc_layout layout;

  mx_acc_layout_of(mx_op_row_of(op)->acc, src, 1, &layout);
  return layout.dtype[0];
}

mars_dtype mx_reduce_natural(mx_op op, mars_dtype src) {
  switch (mx_op_row_of(op)->acc) {
  case MX_ACC_SUM:
    if (op == MX_OP_MEAN) return is_complex(src) ? MARS_C128 : MARS_F64;
    return sum_part(op, src);
  case MX_ACC_NANSUM: return is_complex(src) ? MARS_C128 : MARS_F64;
  case MX_ACC_MOMENTS:
  case MX_ACC_NANMOMENTS: return MARS_F64;
  case MX_ACC_ARGMIN:
  case MX_ACC_ARGMAX:
  case MX_ACC_NANARGMIN:
  case MX_ACC_NANARGMAX:
  case MX_ACC_COUNT: return MARS_I64;
  case MX_ACC_ANY:
  case MX_ACC_ALL: return MARS_BOOL;
  default: return sum_part(op, src);
  }
}

/* out = sum / count; counts NULL: the same count n for all */
static void finish_mean(mars_dtype sum, int64_t n, const char *part, const int64_t *counts, int64_t count, double *out) {
  for (int64_t i = 0; i < n; i++) {
    double c = (double)(counts != NULL ? counts[i] : count);

    switch (sum) {
    case MARS_I64: out[i] = (double)((const int64_t *)part)[i] / c; break;
    case MARS_U64: out[i] = (double)((const uint64_t *)part)[i] / c; break;
    case MARS_C128:
      out[2 * i] = ((const double *)part)[2 * i] / c;
      out[2 * i + 1] = ((const double *)part)[2 * i + 1] / c;
      break;
    default: out[i] = ((const double *)part)[i] / c; break;
    }
  }
}

/* NumPy's: what is not positive divides as 0, giving NaN or inf */
static void finish_variance(int64_t n, char *const *part, double ddof, bool root, double *out) {
  const double *m2 = (const double *)part[1];
  const int64_t *counts = (const int64_t *)part[2];

  for (int64_t i = 0; i < n; i++) {
    double left = (double)counts[i] - ddof, v = m2[i] / (left > 0 ? left : 0.0);

    out[i] = root ? sqrt(v) : v;
  }
}

void mx_reduce_finish(mx_op op, mars_dtype src, int64_t n, char *const *part, int64_t n_reduced, double ddof, void *out) {
  mx_acc acc = mx_op_row_of(op)->acc;

  switch (acc) {
  case MX_ACC_MOMENTS:
  case MX_ACC_NANMOMENTS:
    finish_variance(n, part, ddof, op == MX_OP_STD || op == MX_OP_NANSTD, out);
    return;
  case MX_ACC_NANSUM: finish_mean(sum_part(op, src), n, part[0], (const int64_t *)part[1], 0, out); return;
  case MX_ACC_ARGMIN:
  case MX_ACC_ARGMAX:
  case MX_ACC_NANARGMIN:
  case MX_ACC_NANARGMAX: memcpy(out, part[1], (size_t)n * sizeof(int64_t)); return;
  default:
    if (op == MX_OP_MEAN) {
      finish_mean(sum_part(op, src), n, part[0], NULL, n_reduced, out);
      return;
    }
    memcpy(out, part[0], (size_t)n * mars_dtype_bytes(mx_reduce_natural(op, src)));
  }
}

/* ---- scans ----
 * Plain and in order: NumPy's results to the bit, and one addition's latency an element for a single column. */

#define SCAN_BODY(T, COMBINE)                                                                                \
  const T *x = src;                                                                                          \
  T *restrict y = dst, *c = carry;                                                                           \
  if (width == 1) { /* keep the running value in a register */                                               \
    T run = *c;                                                                                              \
    for (int64_t r = 0; r < rows; r++) {                                                                     \
      const T a = run, b = x[r];                                                                             \
      run = first && r == 0 ? b : (COMBINE);                                                                 \
      y[r] = run;                                                                                            \
    }                                                                                                        \
    *c = run;                                                                                                \
    return;                                                                                                  \
  }                                                                                                          \
  for (int64_t r = 0; r < rows; r++, x += width, y += width)                                                 \
    for (int64_t i = 0; i < width; i++) {                                                                    \
      const T a = c[i], b = x[i];                                                                            \
      y[i] = c[i] = first && r == 0 ? b : (COMBINE);                                                         \
    }

typedef struct c64 { float re, im; } c64;
typedef struct c128 { double re, im; } c128;

static void cumsum_u64(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(uint64_t, a + b)
}
static void cumprod_u64(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(uint64_t, a *b)
}
static void cumsum_f32(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(float, a + b)
}
static void cumprod_f32(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(float, a *b)
}
static void cumsum_f64(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(double, a + b)
}
static void cumprod_f64(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(double, a *b)
}
static void cumsum_c64(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(c64, ((c64){a.re + b.re, a.im + b.im}))
}
static void cumprod_c64(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(c64, ((c64){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}))
}
static void cumsum_c128(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(c128, ((c128){a.re + b.re, a.im + b.im}))
}
static void cumprod_c128(int64_t rows, int64_t width, void *dst, const void *src, void *carry, bool first) {
  SCAN_BODY(c128, ((c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}))
}

mx_scan_fn *mx_scan_kernel(mx_op op, mars_dtype dtype) {
  bool sum = op == MX_OP_CUMSUM;

  if (!sum && op != MX_OP_CUMPROD) return NULL;
  switch (dtype) {
  case MARS_I64: /* two's complement: the same bits */
  case MARS_U64: return sum ? cumsum_u64 : cumprod_u64;
  case MARS_F32: return sum ? cumsum_f32 : cumprod_f32;
  case MARS_F64: return sum ? cumsum_f64 : cumprod_f64;
  case MARS_C64: return sum ? cumsum_c64 : cumprod_c64;
  case MARS_C128: return sum ? cumsum_c128 : cumprod_c128;
  default: return NULL;
  }
}
