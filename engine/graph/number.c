/* Arithmetic among numbers. Contract: engine/graph/number.h. */
#include "engine/graph/number.h"

#include "engine/graph/build.h"

#include <math.h>

#define TOO_LARGE "the result has more than 64 bits; write one of the numbers as a float, e.g. 2.0"
#define BY_ZERO "division by zero"

static int64_t floor_quotient(int64_t x, int64_t y) { return x / y - (x % y != 0 && (x % y < 0) != (y < 0)); }

static bool power(int64_t x, int64_t n, int64_t *out) {
  int64_t r = 1;

  for (;; n >>= 1) {
    if ((n & 1) && __builtin_mul_overflow(r, x, &r)) return false;
    if (n <= 1) break;
    if (__builtin_mul_overflow(x, x, &x)) return false;
  }
  *out = r;
  return true;
}

/* false: the result is a float */
static bool fold_integers(mx_sign sign, int64_t x, int64_t y, mx_const *out, const char **why) {
  bool large = false;
  int64_t r = 0;

  switch (sign) {
  case MX_SIGN_ADD: large = __builtin_add_overflow(x, y, &r); break;
  case MX_SIGN_SUB: large = __builtin_sub_overflow(x, y, &r); break;
  case MX_SIGN_MUL: large = __builtin_mul_overflow(x, y, &r); break;
  case MX_SIGN_FLOOR_DIV:
  case MX_SIGN_MOD:
    if (y == 0) *why = BY_ZERO;
    else if (x == INT64_MIN && y == -1) large = sign == MX_SIGN_FLOOR_DIV;
    else r = sign == MX_SIGN_FLOOR_DIV ? floor_quotient(x, y) : x - floor_quotient(x, y) * y;
    break;
  case MX_SIGN_POW:
    if (y < 0) return false;
    large = !power(x, y, &r);
    break;
  default: return false;
  }
  if (large) *why = TOO_LARGE;
  mx_const_i64(out, r);
  return true;
}

static double value_of(const mx_const *c) { return c->dtype == MARS_I64 ? (double)c->v.i : c->v.f; }

bool mx_number_fold(mx_sign sign, const mx_const *a, const mx_const *b, mx_const *out, const char **why) {
  const bool divides = sign == MX_SIGN_DIV || sign == MX_SIGN_FLOOR_DIV || sign == MX_SIGN_MOD;
  double x, y, r;

  *why = NULL;
  if ((a->dtype != MARS_I64 && a->dtype != MARS_F64) || (b->dtype != MARS_I64 && b->dtype != MARS_F64)) return false;
  if (a->dtype == MARS_I64 && b->dtype == MARS_I64 && fold_integers(sign, a->v.i, b->v.i, out, why)) return true;
  x = value_of(a);
  y = value_of(b);
  if ((divides && y == 0) || (sign == MX_SIGN_POW && x == 0 && y < 0)) {
    *why = BY_ZERO;
    return true;
  }
  switch (sign) {
  case MX_SIGN_ADD: r = x + y; break;
  case MX_SIGN_SUB: r = x - y; break;
  case MX_SIGN_MUL: r = x * y; break;
  case MX_SIGN_DIV: r = x / y; break;
  case MX_SIGN_POW:
    if (x < 0 && y != floor(y)) return false; /* complex in Python */
    r = pow(x, y);
    break;
  default: return false; /* float // and % are the graph's: one definition of them */
  }
  mx_const_f64(out, r);
  return true;
}
