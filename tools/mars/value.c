#include "value.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>

static const char too_large[] = "the integer does not fit 64 bits; use floats, e.g. 1e20";
static const char by_zero[] = "division by zero";

const char *mt_kind_name(const mt_value *v) {
  static const char *const names[] = {"None", "bool", "int", "float", "complex", "string", "dtype", "...", "tuple", "tensor"};

  return v->kind == MT_TUPLE && v->list ? "list" : names[v->kind];
}

double mt_to_double(const mt_value *v) { return v->kind == MT_FLOAT ? v->f : (double)v->i; }

static double complex to_complex(const mt_value *v) {
  return v->kind == MT_COMPLEX ? CMPLX(v->c[0], v->c[1]) : CMPLX(mt_to_double(v), 0);
}

static const char *give_int(int64_t v, mt_value *out) {
  *out = mt_of_int(v);
  return NULL;
}
static const char *give_float(double v, mt_value *out) {
  *out = mt_of_float(v);
  return NULL;
}
static const char *give_bool(bool v, mt_value *out) {
  *out = mt_of_bool(v);
  return NULL;
}

static const char *power_int(int64_t x, int64_t n, mt_value *out) {
  int64_t r = 1;

  if (n < 0) return x == 0 ? by_zero : give_float(pow((double)x, (double)n), out);
  while (n) {
    if ((n & 1) && __builtin_mul_overflow(r, x, &r)) return too_large;
    n >>= 1;
    if (n && __builtin_mul_overflow(x, x, &x)) return too_large;
  }
  return give_int(r, out);
}

static const char *shift_int(mx_sign op, int64_t x, int64_t n, mt_value *out) {
  if (n < 0) return "negative shift count";
  if (op == MX_SIGN_SHR) return give_int(x >> (n > 63 ? 63 : n), out);
  if (x == 0) return give_int(0, out);
  if (n > 62 || x > (INT64_MAX >> n) || x < (INT64_MIN >> n)) return too_large;
  return give_int((int64_t)((uint64_t)x << n), out);
}

static int64_t floor_quotient(int64_t x, int64_t y) {
  int64_t q = x / y;
  return x % y != 0 && (x < 0) != (y < 0) ? q - 1 : q;
}

static const char *fold_int(mx_sign op, int64_t x, int64_t y, mt_value *out) {
  int64_t r = 0;
  bool over = false;

  switch (op) {
  case MX_SIGN_ADD: over = __builtin_add_overflow(x, y, &r); break;
  case MX_SIGN_SUB: over = __builtin_sub_overflow(x, y, &r); break;
  case MX_SIGN_MUL: over = __builtin_mul_overflow(x, y, &r); break;
  case MX_SIGN_DIV: return y == 0 ? by_zero : give_float((double)x / (double)y, out);
  case MX_SIGN_FLOOR_DIV:
  case MX_SIGN_MOD:
    if (y == 0) return by_zero;
    if (y == -1) { /* INT64_MIN / -1 traps */
      if (op == MX_SIGN_FLOOR_DIV) over = __builtin_sub_overflow((int64_t)0, x, &r);
    } else if (op == MX_SIGN_FLOOR_DIV) {
      r = floor_quotient(x, y);
    } else {
      r = x % y;
      if (r != 0 && (r < 0) != (y < 0)) r += y;
    }
    break;
  case MX_SIGN_POW: return power_int(x, y, out);
  case MX_SIGN_AND: r = x & y; break;
  case MX_SIGN_OR: r = x | y; break;
  case MX_SIGN_XOR: r = x ^ y; break;
  case MX_SIGN_SHL:
  case MX_SIGN_SHR: return shift_int(op, x, y, out);
  default: return "unsupported operand";
  }
  return over ? too_large : give_int(r, out);
}

static double floor_mod(double x, double y) {
  double r = fmod(x, y);

  if (r != 0 ? (r < 0) != (y < 0) : 0) return r + y;
  return r != 0 ? r : copysign(0.0, y);
}

static const char *fold_float(mx_sign op, double x, double y, mt_value *out) {
  switch (op) {
  case MX_SIGN_ADD: return give_float(x + y, out);
  case MX_SIGN_SUB: return give_float(x - y, out);
  case MX_SIGN_MUL: return give_float(x * y, out);
  case MX_SIGN_DIV: return y == 0 ? by_zero : give_float(x / y, out);
  case MX_SIGN_FLOOR_DIV: return y == 0 ? by_zero : give_float(rint((x - floor_mod(x, y)) / y), out);
  case MX_SIGN_MOD: return y == 0 ? by_zero : give_float(floor_mod(x, y), out);
  case MX_SIGN_POW:
    if (x == 0 && y < 0) return by_zero;
    if (x < 0 && isfinite(x) && isfinite(y) && y != floor(y)) {
      double complex r = cpow(CMPLX(x, 0), CMPLX(y, 0));
      *out = mt_of_complex(creal(r), cimag(r));
      return NULL;
    }
    return give_float(pow(x, y), out);
  default: return "floats have no bits to combine or shift";
  }
}

static const char *fold_complex(mx_sign op, double complex x, double complex y, mt_value *out) {
  double complex r;

  switch (op) {
  case MX_SIGN_ADD: r = x + y; break;
  case MX_SIGN_SUB: r = x - y; break;
  case MX_SIGN_MUL: r = x * y; break;
  case MX_SIGN_DIV:
    if (y == 0) return by_zero;
    r = x / y;
    break;
  case MX_SIGN_POW:
    if (x == 0 && y != 0 && (creal(y) < 0 || cimag(y) != 0)) return by_zero;
    r = x == 0 ? (y == 0 ? 1 : 0) : cpow(x, y);
    break;
  default: return "complex numbers have no such operation";
  }
  *out = mt_of_complex(creal(r), cimag(r));
  return NULL;
}

static bool is_comparison(mx_sign op) {
  return op == MX_SIGN_LT || op == MX_SIGN_LE || op == MX_SIGN_GT || op == MX_SIGN_GE || op == MX_SIGN_EQ || op == MX_SIGN_NE;
}

#define COMPARE(op, x, y, out)                                                                               \
  give_bool(op == MX_SIGN_LT ? x < y : op == MX_SIGN_LE ? x <= y : op == MX_SIGN_GT ? x > y                                 \
            : op == MX_SIGN_GE ? x >= y : op == MX_SIGN_EQ ? x == y : x != y, out)

static const char *fold_comparison(mx_sign op, const mt_value *a, const mt_value *b, mt_value *out) {
  if (a->kind == MT_COMPLEX || b->kind == MT_COMPLEX) {
    if (op != MX_SIGN_EQ && op != MX_SIGN_NE) return "complex numbers have no order";
    return give_bool((to_complex(a) == to_complex(b)) == (op == MX_SIGN_EQ), out);
  }
  if (a->kind == MT_FLOAT || b->kind == MT_FLOAT) return COMPARE(op, mt_to_double(a), mt_to_double(b), out);
  return COMPARE(op, a->i, b->i, out);
}

const char *mt_fold_binary(mx_sign op, const mt_value *a, const mt_value *b, mt_value *out) {
  if (is_comparison(op)) return fold_comparison(op, a, b, out);
  if (a->kind == MT_COMPLEX || b->kind == MT_COMPLEX) return fold_complex(op, to_complex(a), to_complex(b), out);
  if (a->kind == MT_FLOAT || b->kind == MT_FLOAT) return fold_float(op, mt_to_double(a), mt_to_double(b), out);
  if (a->kind == MT_BOOL && b->kind == MT_BOOL && (op == MX_SIGN_AND || op == MX_SIGN_OR || op == MX_SIGN_XOR))
    return give_bool(op == MX_SIGN_AND ? a->i & b->i : op == MX_SIGN_OR ? a->i | b->i : a->i ^ b->i, out);
  return fold_int(op, a->i, b->i, out);
}

const char *mt_fold_unary(mx_sign op, const mt_value *a, mt_value *out) {
  switch (op) {
  case MX_SIGN_NOT:
    return give_bool(a->kind == MT_COMPLEX ? to_complex(a) == 0 : mt_to_double(a) == 0, out);
  case MX_SIGN_NOT_BITS:
    if (a->kind == MT_BOOL) return "'~' of True or False is an integer in Python; use not";
    return a->kind == MT_INT ? give_int(~a->i, out) : "floats have no bits to invert";
  case MX_SIGN_ADD:
    if (a->kind == MT_BOOL) return give_int(a->i, out);
    *out = *a;
    return NULL;
  default:
    if (a->kind == MT_COMPLEX) *out = mt_of_complex(-a->c[0], -a->c[1]);
    else if (a->kind == MT_FLOAT) *out = mt_of_float(-a->f);
    else return a->i == INT64_MIN ? too_large : give_int(-a->i, out);
    return NULL;
  }
}

/* Through decimal text: the only way that rounds 2.675 to 2.67 and 0.15 to 0.1 as Python does. */
const char *mt_fold_round(const mt_value *a, int64_t decimals, mt_value *out) {
  char text[400];

  if (a->kind != MT_FLOAT) {
    if (decimals >= 0) return give_int(a->i, out);
    if (decimals < -18) return give_int(0, out);
    int64_t unit = 1, down, half;
    for (int64_t k = decimals; k < 0; k++) unit *= 10;
    down = floor_quotient(a->i, unit);
    half = a->i - down * unit;
    if (half > unit / 2 || (half == unit / 2 && (down & 1))) down++;
    return __builtin_mul_overflow(down, unit, &out->i) ? too_large : give_int(down * unit, out);
  }
  if (!isfinite(a->f) || decimals > 300) return give_float(a->f, out);
  if (decimals < -300) return give_float(copysign(0.0, a->f), out);
  if (decimals < 0) {
    double unit = pow(10, (double)-decimals);
    return give_float(rint(a->f / unit) * unit, out);
  }
  if (fabs(a->f) >= 0x1p53) return give_float(a->f, out);
  snprintf(text, sizeof text, "%.*f", (int)decimals, a->f);
  return give_float(strtod(text, NULL), out);
}
