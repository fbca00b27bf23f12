/* Creation from nothing: Python-like scalars, constants, index ranges. */
#include "engine/graph/build.h"
#include "engine/session.h"

#include <math.h>
#include <string.h>

static const mars_shape scalar_shape;

/* ---- Python-like scalars ---- */

static mars_tensor *scalar(mars_session *s, const char *fn, mars_dtype dt, const mx_const *value) {
  mx_build b;

  mx_build_open(&b, s, fn);
  return mx_build_close(&b, mx_build_const(&b, dt, &scalar_shape, value), true);
}

mars_tensor *mars_bool(mars_session *s, bool value) {
  mx_const c;

  mx_const_bool(&c, value);
  return scalar(s, "bool", MARS_BOOL, &c);
}

mars_tensor *mars_int(mars_session *s, int64_t value) {
  mx_const c;

  mx_const_i64(&c, value);
  return scalar(s, "int", MARS_I64, &c);
}

mars_tensor *mars_float(mars_session *s, double value) {
  mx_const c;

  mx_const_f64(&c, value);
  return scalar(s, "float", MARS_F64, &c);
}

mars_tensor *mars_complex(mars_session *s, double re, double im) {
  mx_const c;

  mx_const_c128(&c, re, im);
  return scalar(s, "complex", MARS_C128, &c);
}

/* ---- constants ---- */

static mars_tensor *filled(mars_session *s, const char *fn, mars_dtype dt, const mars_shape *shape, int value) {
  mx_node *node = NULL;
  mars_shape clean;
  mx_build b;

  mx_build_open(&b, s, fn);
  if (dt == MARS_DTYPE_AUTO) dt = MARS_F64;
  if (mx_build_dtype(&b, dt) && mx_build_shape(&b, dt, shape, &clean)) node = mx_build_number(&b, dt, &clean, value);
  return mx_build_close(&b, node, false);
}

static mars_tensor *filled_like(const char *fn, mars_tensor *a, int value) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, fn, &a, 1);
  if (b.st == MARS_OK) node = mx_build_number(&b, a->node->dtype, &a->node->shape, value);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_empty(mars_session *s, mars_dtype dt, mars_shape shape) { return filled(s, "empty", dt, &shape, 0); }
mars_tensor *mars_zeros(mars_session *s, mars_dtype dt, mars_shape shape) { return filled(s, "zeros", dt, &shape, 0); }
mars_tensor *mars_ones(mars_session *s, mars_dtype dt, mars_shape shape) { return filled(s, "ones", dt, &shape, 1); }
mars_tensor *mars_empty_like(mars_tensor *a) { return filled_like("empty_like", a, 0); }
mars_tensor *mars_zeros_like(mars_tensor *a) { return filled_like("zeros_like", a, 0); }
mars_tensor *mars_ones_like(mars_tensor *a) { return filled_like("ones_like", a, 1); }

static mx_node *fill_node(mx_build *b, mars_dtype dt, const mars_shape *shape, const mars_tensor *fill) {
  char text[MX_SHAPE_TEXT];
  mx_term term = mx_term_of(fill);

  if (fill->node->shape.ndim != 0)
    return mx_build_fail(b, MARS_E_SHAPE, "the fill value has shape %s; it must be one value, of 0 dimensions",
                         mx_shape_text(&fill->node->shape, text, sizeof text));
  return mx_build_broadcast(b, mx_build_cast_term(b, &term, dt), shape);
}

mars_tensor *mars_full(mars_session *s, mars_dtype dt, mars_shape shape, mars_tensor *fill) {
  mx_node *node = NULL;
  mars_shape clean;
  mx_build b;

  mx_build_open_on(&b, s, "full", &fill, 1);
  if (b.st == MARS_OK && dt == MARS_DTYPE_AUTO) dt = fill->node->dtype;
  if (b.st == MARS_OK && mx_build_dtype(&b, dt) && mx_build_shape(&b, dt, &shape, &clean))
    node = fill_node(&b, dt, &clean, fill);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_full_like(mars_tensor *a, mars_tensor *fill) {
  mars_tensor *operands[2] = {a, fill};
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "full_like", operands, 2);
  if (b.st == MARS_OK) node = fill_node(&b, a->node->dtype, &a->node->shape, fill);
  return mx_build_close(&b, node, false);
}

/* ---- ranges ---- */

static mx_node *scalar_i64(mx_build *b, int64_t value) {
  mx_const c;

  mx_const_i64(&c, value);
  return mx_build_const(b, MARS_I64, &scalar_shape, &c);
}

static mx_node *scalar_f64(mx_build *b, double value) { return mx_build_number(b, MARS_F64, &scalar_shape, value); }

static mx_node *iota_1d(mx_build *b, int64_t n) {
  mars_shape shape = {1, {0}};

  shape.dims[0] = n;
  return mx_build_iota(b, &shape, 0);
}

/* start + step * i in f64, then in dt */
static mx_node *ramp(mx_build *b, int64_t n, double start, double step) {
  mx_node *x = mx_build_cast(b, iota_1d(b, n), MARS_F64);

  if (step != 1) x = mx_build_op2(b, MX_OP_MULTIPLY, x, scalar_f64(b, step));
  if (start != 0) x = mx_build_op2(b, MX_OP_ADD, x, scalar_f64(b, start));
  return x;
}

/* Counts in integers: exact for every start and step that a double can say, modulo 2**64 on the way, which the last
   cast to a dtype that holds all the values undoes. */
static mx_node *count(mx_build *b, mars_dtype dt, int64_t n, __int128 start, __int128 step) {
  mx_node *x = iota_1d(b, n);

  if (step != 1) x = mx_build_op2(b, MX_OP_MULTIPLY, x, scalar_i64(b, (int64_t)(uint64_t)step));
  if (start != 0) x = mx_build_op2(b, MX_OP_ADD, x, scalar_i64(b, (int64_t)(uint64_t)start));
  return mx_build_cast(b, x, dt);
}

static bool is_integral(double x) { return x == trunc(x); }

static mx_node *arange_integers(mx_build *b, mars_dtype dt, double start, double stop, double step) {
  __int128 first, end, by, span, n = 0, last;

  if (!is_integral(start) || !is_integral(step))
    return mx_build_fail(b, MARS_E_ARG, "start %g and step %g must be integers for %s", start, step, mars_dtype_name(dt));
  if (fabs(start) > 0x1p64 || fabs(stop) > 0x1p65 || fabs(step) > 0x1p65)
    return mx_build_fail(b, MARS_E_OVERFLOW, "start %g, stop %g, step %g do not fit %s", start, stop, step, mars_dtype_name(dt));
  first = (__int128)start;
  by = (__int128)step;
  end = (__int128)(step > 0 ? ceil(stop) : floor(stop));
  span = step > 0 ? end - first : first - end;
  if (span > 0) n = (span - 1) / (by > 0 ? by : -by) + 1;
  if (n > INT64_MAX) return mx_build_fail(b, MARS_E_OVERFLOW, "more than 2**63 - 1 elements");
  last = n > 0 ? first + (n - 1) * by : first;
  for (int i = 0; i < 2 && n > 0; i++) {
    __int128 value = i == 0 ? first : last;
    if (value < mx_dtype_min(dt) || value > (__int128)mx_dtype_max(dt))
      return mx_build_fail(b, MARS_E_OVERFLOW, "%g is out of bounds for %s, whose values are %lld to %llu", (double)value,
                           mars_dtype_name(dt), (long long)mx_dtype_min(dt), (unsigned long long)mx_dtype_max(dt));
  }
  return count(b, dt, (int64_t)n, first, by);
}

static mx_node *arange_floats(mx_build *b, mars_dtype dt, double start, double stop, double step) {
  double n = ceil((stop - start) / step);

  if (!(n < 0x1p63)) return mx_build_fail(b, MARS_E_OVERFLOW, "%g elements; at most 2**63 - 1", n);
  return mx_build_cast(b, ramp(b, n > 0 ? (int64_t)n : 0, start, step), dt);
}

mars_tensor *mars_arange(mars_session *s, mars_dtype dt, double start, double stop, double step) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open(&b, s, "arange");
  if (dt == MARS_DTYPE_AUTO) dt = is_integral(start) && is_integral(stop) && is_integral(step) ? MARS_I64 : MARS_F64;
  if (!isfinite(start) || !isfinite(stop) || !isfinite(step))
    mx_build_fail(&b, MARS_E_ARG, "start %g, stop %g, step %g must be finite", start, stop, step);
  else if (step == 0)
    mx_build_fail(&b, MARS_E_ARG, "step is 0; it must be another number");
  else if (dt == MARS_BOOL)
    mx_build_fail(&b, MARS_E_DTYPE, "bool does not count; give an integer, float or complex dtype");
  else if (mx_build_dtype(&b, dt))
    node = mx_dtype_is_integer(dt) ? arange_integers(&b, dt, start, stop, step) : arange_floats(&b, dt, start, stop, step);
  return mx_build_close(&b, node, false);
}

static mx_node *linspace_node(mx_build *b, mars_dtype dt, double start, double stop, int64_t num, bool endpoint) {
  double step = (stop - start) / (double)(endpoint ? (num > 1 ? num - 1 : 1) : (num > 0 ? num : 1));
  mx_node *x, *last;

  if (!isfinite(step)) return mx_build_fail(b, MARS_E_OVERFLOW, "stop %g - start %g overflows", stop, start);
  x = ramp(b, num, start, step);
  if (endpoint && num > 1) {
    /* start + (num - 1) * step may miss stop by a rounding */
    last = mx_build_op2(b, MX_OP_EQUAL, iota_1d(b, num), scalar_i64(b, num - 1));
    x = mx_build_where(b, last, scalar_f64(b, stop), x);
  }
  if (mx_dtype_is_integer(dt)) x = mx_build_op1(b, MX_OP_FLOOR, x); /* as NumPy */
  return mx_build_cast(b, x, dt);
}

mars_tensor *mars_linspace(mars_session *s, mars_dtype dt, double start, double stop, int64_t num, bool endpoint) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open(&b, s, "linspace");
  if (dt == MARS_DTYPE_AUTO) dt = MARS_F64;
  if (num < 0)
    mx_build_fail(&b, MARS_E_ARG, "num is %lld; it must be 0 or more", (long long)num);
  else if (!isfinite(start) || !isfinite(stop))
    mx_build_fail(&b, MARS_E_ARG, "start %g, stop %g must be finite", start, stop);
  else if (mx_build_dtype(&b, dt))
    node = linspace_node(&b, dt, start, stop, num, endpoint);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_eye(mars_session *s, mars_dtype dt, int64_t n, int64_t m, int64_t k) {
  mars_shape shape = {2, {n, m}}, clean;
  mx_node *row, *node = NULL;
  mx_build b;

  mx_build_open(&b, s, "eye");
  if (dt == MARS_DTYPE_AUTO) dt = MARS_F64;
  if (mx_build_dtype(&b, dt) && mx_build_shape(&b, dt, &shape, &clean)) {
    /* beyond the corners there is no diagonal; limited, row + k cannot overflow into one */
    if (k > m) k = m;
    if (k < -n) k = -n;
    row = mx_build_iota(&b, &clean, 0);
    if (k != 0) row = mx_build_op2(&b, MX_OP_ADD, row, scalar_i64(&b, k));
    node = mx_build_cast(&b, mx_build_op2(&b, MX_OP_EQUAL, row, mx_build_iota(&b, &clean, 1)), dt);
  }
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_iota(mars_session *s, mars_dtype dt, mars_shape shape, int axis) {
  mx_node *node = NULL;
  mars_shape clean;
  int at;
  mx_build b;

  mx_build_open(&b, s, "iota");
  if (dt == MARS_DTYPE_AUTO) dt = MARS_I64;
  if (mx_build_dtype(&b, dt) && mx_build_shape(&b, dt, &shape, &clean) && mx_build_axis(&b, axis, clean.ndim, &at)) {
    if (mx_dtype_is_integer(dt) && clean.dims[at] > 0 && !mx_dtype_holds(dt, clean.dims[at] - 1))
      mx_build_fail(&b, MARS_E_OVERFLOW, "index %lld is out of bounds for %s", (long long)clean.dims[at] - 1, mars_dtype_name(dt));
    node = mx_build_cast(&b, mx_build_iota(&b, &clean, at), dt);
  }
  return mx_build_close(&b, node, false);
}
