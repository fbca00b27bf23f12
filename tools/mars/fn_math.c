/* Composed operations, those with several results, and Python's builtins on numbers. */
#include "fn.h"

#include <math.h>
#include <string.h>

/* NumPy's defaults where one bound is None. */
static bool fn_clip(mt_call *c, mt_value *out) {
  const mt_value *all[3] = {&c->v[0], &c->v[1], &c->v[2]}, *high[2] = {&c->v[0], &c->v[2]};

  if (c->given[1] && c->given[2]) return mt_eval_apply(c->ev, c->pos, "clip", all, 3, out);
  if (c->given[1]) return mt_eval_apply(c->ev, c->pos, "maximum", all, 2, out);
  if (c->given[2]) return mt_eval_apply(c->ev, c->pos, "minimum", high, 2, out);
  return mt_eval_fail(c->ev, c->pos, "%s(): one of min and max is needed", c->name);
}

static bool fn_where(mt_call *c, mt_value *out) {
  const mt_value *operands[3] = {&c->v[0], &c->v[1], &c->v[2]};

  if (!c->given[1] && !c->given[2])
    return mt_eval_fail(c->ev, c->pos, "where() with a condition only is not available yet: where(condition, x, y)");
  return mt_eval_apply(c->ev, c->pos, "where", operands, 3, out);
}

static bool fn_round(mt_call *c, mt_value *out) {
  mars_tensor *a;
  int decimals;

  return mt_arg_tensor(c, 0, &a) && mt_arg_small(c, 1, 0, &decimals) && mt_give(c, mars_round(a, decimals), out);
}

static bool fn_nan_to_num(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && mt_give(c, mars_nan_to_num(a), out);
}
static bool fn_float_power(mt_call *c, mt_value *out) {
  mars_tensor *a, *b;
  return mt_arg_tensor(c, 0, &a) && mt_arg_tensor(c, 1, &b) && mt_give(c, mars_float_power(a, b), out);
}
static bool fn_isposinf(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && mt_give(c, mars_isposinf(a), out);
}
static bool fn_isneginf(mt_call *c, mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && mt_give(c, mars_isneginf(a), out);
}

static bool fn_divmod(mt_call *c, mt_value *out) {
  mars_tensor *a, *b, *t[2] = {NULL};

  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_tensor(c, 1, &b)) return false;
  mars_divmod(a, b, &t[0], &t[1]);
  return mt_give_tuple(c, t, 2, out);
}
static bool fn_modf(mt_call *c, mt_value *out) {
  mars_tensor *a, *t[2] = {NULL};

  if (!mt_arg_tensor(c, 0, &a)) return false;
  mars_modf(a, &t[0], &t[1]);
  return mt_give_tuple(c, t, 2, out);
}
static bool fn_frexp(mt_call *c, mt_value *out) {
  mars_tensor *a, *t[2] = {NULL};

  if (!mt_arg_tensor(c, 0, &a)) return false;
  mars_frexp(a, &t[0], &t[1]);
  return mt_give_tuple(c, t, 2, out);
}

/* max - min over axes */
static bool fn_ptp(mt_call *c, mt_value *out) {
  mars_reduce_options o = {.axes = MARS_ALL};
  const mt_value *operands[2];
  mt_value high, low;
  mars_tensor *a;

  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_axes(c, 1, MARS_ALL, &o.axes) || !mt_arg_bool(c, 2, false, &o.keepdims) ||
      !mt_give(c, mars_apply_reduce("max", a, &o), &high) || !mt_give(c, mars_apply_reduce("min", a, &o), &low))
    return false;
  operands[0] = &high;
  operands[1] = &low;
  return mt_eval_apply(c->ev, c->pos, "subtract", operands, 2, out);
}

const mt_fn mt_fn_math[] = {
    {"clip", "a/x, min/a_min=None, max/a_max=None", true, fn_clip, "Limited to [min, max]."},
    {"where", "condition, x=None, y=None", false, fn_where, "x where the condition is true, else y."},
    {"round", "a/x, decimals/ndigits=0", true, fn_round, "Rounded to decimals, ties to even."},
    {"nan_to_num", "x/a", false, fn_nan_to_num, "NaN as 0, infinities as the greatest finite values."},
    {"float_power", "x, y", false, fn_float_power, "x**y in float64 at least."},
    {"isposinf", "x", false, fn_isposinf, "Whether it is +inf."},
    {"isneginf", "x", false, fn_isneginf, "Whether it is -inf."},
    {"divmod", "x, y", false, fn_divmod, "(x // y, x % y)."},
    {"modf", "x", false, fn_modf, "(fractional part, integral part)."},
    {"frexp", "x", false, fn_frexp, "(mantissa in [0.5, 1), exponent)."},
    {"ptp", "a/x, axis=None, |, keepdims=False", false, fn_ptp, "Greatest minus smallest element."},
    {NULL, NULL, false, NULL, NULL},
};

/* ---- Python's builtins on its own numbers --------------------------------------------------------- */

static const char *fold_abs(const mt_value *a, mt_value *out) {
  if (a->kind == MT_COMPLEX) *out = mt_of_float(hypot(a->c[0], a->c[1]));
  else if (a->kind == MT_FLOAT) *out = mt_of_float(fabs(a->f));
  else if (a->i == INT64_MIN) return "the integer does not fit 64 bits";
  else *out = mt_of_int(a->i < 0 ? -a->i : a->i);
  return NULL;
}

/* int(x), float(x), bool(x), complex(x) or complex(re, im) */
static const char *fold_cast(char which, const mt_value *a, size_t n, const mt_argument *args, mt_value *out) {
  if (which == 'b') {
    mt_value no;
    const char *problem = mt_fold_unary(MX_SIGN_NOT, a, &no);
    *out = mt_of_bool(!no.i);
    return problem;
  }
  if (which == 'c') {
    if (a->kind == MT_COMPLEX && n == 1) *out = *a;
    else if (!mt_is_real(a) || (n == 2 && !mt_is_real(&args[1].value))) return "the parts of a complex number are real";
    else *out = mt_of_complex(mt_to_double(a), n == 2 ? mt_to_double(&args[1].value) : 0);
    return NULL;
  }
  if (a->kind == MT_COMPLEX) return "a complex number has no order: take .real";
  if (which == 'f') *out = mt_of_float(mt_to_double(a));
  else if (a->kind != MT_FLOAT) *out = mt_of_int(a->i);
  else if (!(fabs(a->f) < 0x1p63)) return "the number does not fit 64 bits";
  else *out = mt_of_int((int64_t)a->f);
  return NULL;
}

static const char *fold_extreme(mx_sign better, const mt_argument *args, size_t n, mt_value *out) {
  mt_value is_better;

  *out = args[0].value;
  for (size_t i = 1; i < n; i++) {
    const char *problem = mt_fold_binary(better, &args[i].value, out, &is_better);
    if (problem) return problem;
    if (is_better.i) *out = args[i].value;
  }
  return NULL;
}

static const char *fold_divmod(mt_eval *ev, const mt_value *a, const mt_value *b, mt_value *out) {
  mt_value *item = mt_alloc(ev->arena, 2 * sizeof *item);
  const char *problem = mt_fold_binary(MX_SIGN_FLOOR_DIV, a, b, &item[0]);

  if (!problem) problem = mt_fold_binary(MX_SIGN_MOD, a, b, &item[1]);
  *out = (mt_value){.kind = MT_TUPLE, .item = item, .n = 2};
  return problem;
}

bool mt_fold_builtin(mt_eval *ev, const char *name, size_t pos, const mt_argument *args, size_t n, mt_value *out,
                     bool *done) {
  static const struct {
    const char *name;
    char code;
    size_t least, most;
  } builtins[] = {{"abs", 'a', 1, 1},  {"round", 'r', 1, 2}, {"max", '>', 2, 64}, {"min", '<', 2, 64}, {"pow", 'p', 2, 2},
                  {"divmod", 'd', 2, 2}, {"int", 'i', 1, 1}, {"float", 'f', 1, 1}, {"bool", 'b', 1, 1}, {"complex", 'c', 1, 2}};
  const mt_value *a = &args[0].value;
  const char *problem = NULL;
  char code = 0;

  *done = false;
  for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
    if (!strcmp(builtins[i].name, name) && n >= builtins[i].least && n <= builtins[i].most) code = builtins[i].code;
  if (!code) return true;
  for (size_t i = 0; i < n; i++)
    if (args[i].name || !mt_is_number(&args[i].value)) return true;
  if (code == 'r' && (!mt_is_real(a) || (n == 2 && args[1].value.kind != MT_INT))) return true;
  *done = true;
  switch (code) {
  case 'a': problem = fold_abs(a, out); break;
  case 'r': problem = mt_fold_round(a, n == 2 ? args[1].value.i : 0, out); break;
  case '>': problem = fold_extreme(MX_SIGN_GT, args, n, out); break;
  case '<': problem = fold_extreme(MX_SIGN_LT, args, n, out); break;
  case 'p': problem = mt_fold_binary(MX_SIGN_POW, a, &args[1].value, out); break;
  case 'd': problem = fold_divmod(ev, a, &args[1].value, out); break;
  default: problem = fold_cast(code, a, n, args, out); break;
  }
  return problem ? mt_eval_fail(ev, pos, "%s(): %s", name, problem) : true;
}
