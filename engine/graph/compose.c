/* Ops made of others: casts, rounding to decimals, NaN and infinity helpers, calls with two results. */
#include "engine/graph/build.h"
#include "engine/session.h"

#include <math.h>
#include <stdlib.h>

static const mars_shape scalar_shape;

mars_tensor *mars_astype(mars_tensor *a, mars_dtype dt) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "astype", &a, 1);
  if (b.st == MARS_OK && mx_build_dtype(&b, dt)) node = mx_build_cast(&b, a->node, dt);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_to_device(mars_tensor *a, const char *device) {
  mx_node *node = NULL;
  mx_build b;
  mars_error error = {0};

  mx_build_open_on(&b, NULL, "to_device", &a, 1);
  if (b.st == MARS_OK) {
    int d = mx_session_device(b.session, "mars_to_device", device, &error);
    node = d < 0 ? mx_build_fail_copy(&b, &error) : mx_build_to_device(&b, a->node, d);
  }
  return mx_build_close(&b, node, a != NULL && a->weak);
}

/* ---- round ---- */

/* x * 10**decimals to the nearest integer, and back; as NumPy does it, with its rounding errors. */
static mx_node *round_node(mx_build *b, mx_node *x, int decimals) {
  mars_dtype dt = x->dtype;
  mx_term scaled[2] = {{x, false}, {NULL, true}};
  double power = pow(10, abs(decimals));

  if (decimals > 308 || decimals < -308)
    return mx_build_fail(b, MARS_E_ARG, "decimals is %d; it must be in [-308, 308]", decimals);
  if (mx_dtype_is_integer(dt) && decimals >= 0) return x;
  if (decimals == 0) return mx_build_op1(b, MX_OP_RINT, x);
  scaled[1].node = mx_build_number(b, MARS_F64, &scalar_shape, power);
  if (b->st == MARS_OK) x = mx_build_apply(b, decimals > 0 ? MX_OP_MULTIPLY : MX_OP_DIVIDE, scaled, 2, NULL);
  x = b->st == MARS_OK ? mx_build_op1(b, MX_OP_RINT, x) : NULL;
  if (b->st == MARS_OK) {
    scaled[0].node = x;
    x = mx_build_apply(b, decimals > 0 ? MX_OP_DIVIDE : MX_OP_MULTIPLY, scaled, 2, NULL);
  }
  return mx_dtype_is_integer(dt) ? mx_build_cast(b, x, dt) : x;
}

mars_tensor *mars_round(mars_tensor *a, int decimals) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "round", &a, 1);
  if (b.st == MARS_OK) node = round_node(&b, a->node, decimals);
  return mx_build_close(&b, node, false);
}

/* ---- NaN and infinity ---- */

static mx_node *equals(mx_build *b, mx_node *x, double value) {
  mx_term term[2] = {{x, false}, {mx_build_number(b, MARS_F64, &scalar_shape, value), true}};

  return mx_build_apply(b, MX_OP_EQUAL, term, 2, NULL);
}

static mx_node *make_finite(mx_build *b, mx_node *x) {
  double huge_value;
  mx_node *capped;

  if (b->st != MARS_OK) return NULL;
  huge_value = mx_dtype_huge(x->dtype);
  capped = mx_build_where(b, equals(b, x, -INFINITY), mx_build_number(b, x->dtype, &scalar_shape, -huge_value), x);
  capped = mx_build_where(b, equals(b, x, INFINITY), mx_build_number(b, x->dtype, &scalar_shape, huge_value), capped);
  return mx_build_where(b, mx_build_op1(b, MX_OP_ISNAN, x), mx_build_number(b, x->dtype, &scalar_shape, 0), capped);
}

static mx_node *nan_to_num_node(mx_build *b, mx_node *x) {
  mx_const unit;
  mx_node *re, *im, *i;

  if (x->dtype < MARS_F16) return x;
  if (!mx_dtype_is_complex(x->dtype)) return make_finite(b, x);
  /* each part by itself; of finite parts im * 1j is exact */
  re = make_finite(b, mx_build_op1(b, MX_OP_REAL_PART, x));
  im = make_finite(b, mx_build_op1(b, MX_OP_IMAG_PART, x));
  mx_const_c128(&unit, 0, 1);
  mx_const_cast(&unit, x->dtype, &unit);
  i = mx_build_const(b, x->dtype, &scalar_shape, &unit);
  return mx_build_op2(b, MX_OP_ADD, re, mx_build_op2(b, MX_OP_MULTIPLY, im, i));
}

mars_tensor *mars_nan_to_num(mars_tensor *a) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "nan_to_num", &a, 1);
  if (b.st == MARS_OK) node = nan_to_num_node(&b, a->node);
  return mx_build_close(&b, node, false);
}

static mars_tensor *is_infinity(const char *fn, mars_tensor *a, double which) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, fn, &a, 1);
  if (b.st == MARS_OK) {
    if (mx_dtype_is_complex(a->node->dtype))
      mx_build_fail(&b, MARS_E_DTYPE, "not defined for %s, which has no sign; it takes bool, integers and floats",
                    mars_dtype_name(a->node->dtype));
    else
      node = equals(&b, a->node, which);
  }
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_isposinf(mars_tensor *a) { return is_infinity("isposinf", a, INFINITY); }
mars_tensor *mars_isneginf(mars_tensor *a) { return is_infinity("isneginf", a, -INFINITY); }

/* ---- power in floats ---- */

mars_tensor *mars_float_power(mars_tensor *x, mars_tensor *y) {
  mars_tensor *operands[2] = {x, y};
  mx_node *node = NULL;
  mx_term term[2];
  mars_dtype dt;
  bool weak;
  mx_build b;

  mx_build_open_on(&b, NULL, "float_power", operands, 2);
  if (b.st == MARS_OK) {
    for (int i = 0; i < 2; i++) term[i] = mx_term_of(operands[i]);
    dt = mx_dtype_is_complex(mx_build_promote(&b, term, 2, &weak)) ? MARS_C128 : MARS_F64;
    for (int i = 0; i < 2; i++) term[i] = (mx_term){mx_build_cast(&b, term[i].node, dt), false};
    if (b.st == MARS_OK) node = mx_build_apply(&b, MX_OP_POWER, term, 2, NULL);
  }
  return mx_build_close(&b, node, false);
}

/* ---- two results ---- */

static void deliver(mx_build *b, mx_node *first, mars_tensor **first_out, mx_node *second, mars_tensor **second_out) {
  mars_tensor *t;

  if (first_out != NULL) *first_out = mx_build_result(b, first);
  if (second_out == NULL) second = first; /* its handle is given back at once */
  t = mx_build_close(b, second, false);
  if (second_out != NULL) *second_out = t;
  else mars_release(t);
}

void mars_divmod(mars_tensor *x, mars_tensor *y, mars_tensor **quotient, mars_tensor **remainder) {
  mars_tensor *operands[2] = {x, y};
  mx_node *q = NULL, *r = NULL;
  mx_term term[2];
  mx_build b;

  mx_build_open_on(&b, NULL, "divmod", operands, 2);
  if (b.st == MARS_OK) {
    for (int i = 0; i < 2; i++) term[i] = mx_term_of(operands[i]);
    q = mx_build_apply(&b, MX_OP_FLOOR_DIVIDE, term, 2, NULL);
    r = mx_build_apply(&b, MX_OP_REMAINDER, term, 2, NULL);
  }
  deliver(&b, q, quotient, r, remainder);
}

void mars_modf(mars_tensor *a, mars_tensor **fraction, mars_tensor **integral) {
  mx_node *f = NULL, *i = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "modf", &a, 1);
  if (b.st == MARS_OK) {
    f = mx_build_op1(&b, MX_OP_MODF_FRAC, a->node);
    if (b.st == MARS_OK) i = mx_build_op1(&b, MX_OP_TRUNC, mx_build_cast(&b, a->node, f->dtype));
  }
  deliver(&b, f, fraction, i, integral);
}

void mars_frexp(mars_tensor *a, mars_tensor **mantissa, mars_tensor **exponent) {
  mx_node *m = NULL, *e = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "frexp", &a, 1);
  if (b.st == MARS_OK) {
    m = mx_build_op1(&b, MX_OP_FREXP_MANT, a->node);
    e = mx_build_op1(&b, MX_OP_FREXP_EXP, a->node);
  }
  deliver(&b, m, mantissa, e, exponent);
}
