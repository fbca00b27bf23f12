/* Elementwise ops: NumPy 2's promotion with weak scalars, domains, broadcasting. Contract: engine/graph/build.h. */
#include "engine/graph/build.h"

#include <stdio.h>
#include <string.h>

/* ---- dtypes ---- */

/* bool < integers < floats < complex */
static int rank_of(mars_dtype dt) {
  return dt == MARS_BOOL ? 0 : mx_dtype_is_integer(dt) ? 1 : mx_dtype_is_float(dt) ? 2 : 3;
}

/* A Python scalar's kind counts, its width does not (NEP 50). */
static mars_dtype promote_weak(mars_dtype strong, mars_dtype weak) {
  if (rank_of(strong) >= rank_of(weak)) return strong;
  if (rank_of(weak) == 3 && rank_of(strong) == 2) return strong == MARS_F64 ? MARS_C128 : MARS_C64;
  return weak; /* NumPy's default dtype of the kind */
}

mars_dtype mx_build_promote(mx_build *b, const mx_term *term, int n, bool *weak) {
  mars_dtype strong = MARS_DTYPE_AUTO, soft = MARS_DTYPE_AUTO;

  *weak = false;
  if (b->st != MARS_OK) return MARS_DTYPE_AUTO;
  for (int i = 0; i < n; i++) {
    mars_dtype *to = term[i].weak ? &soft : &strong, dt = term[i].node->dtype;
    *to = *to == MARS_DTYPE_AUTO ? dt : mars_dtype_promote(*to, dt);
  }
  *weak = strong == MARS_DTYPE_AUTO;
  return *weak ? soft : soft == MARS_DTYPE_AUTO ? strong : promote_weak(strong, soft);
}

/* Results of what are operators in Python stay Python-like scalars; functions give NumPy scalars. */
static bool keeps_weak(mx_op op) {
  switch (op) {
  case MX_OP_POSITIVE: case MX_OP_NEGATIVE: case MX_OP_ABSOLUTE: case MX_OP_INVERT:
  case MX_OP_ADD: case MX_OP_SUBTRACT: case MX_OP_MULTIPLY: case MX_OP_DIVIDE:
  case MX_OP_FLOOR_DIVIDE: case MX_OP_REMAINDER: case MX_OP_POWER:
  case MX_OP_BITWISE_AND: case MX_OP_BITWISE_OR: case MX_OP_BITWISE_XOR:
  case MX_OP_LEFT_SHIFT: case MX_OP_RIGHT_SHIFT: return true;
  default: return false;
  }
}

static bool is_comparison(mx_op op) { return op >= MX_OP_EQUAL && op <= MX_OP_GREATER_EQUAL; }

static bool is_weak_integer(const mx_term *t) {
  return t->weak && t->node->op == MX_OP_CONST && t->node->dtype == MARS_I64;
}

/* x < 300 for a uint8 x has an answer, though 300 is no uint8. Against uint64 a negative number goes to f64: it keeps
   its sign there, which decides. */
static mars_dtype widen_comparison(const mx_term *term, int n, mars_dtype loop) {
  if (!mx_dtype_is_integer(loop)) return loop;
  for (int i = 0; i < n; i++)
    if (is_weak_integer(&term[i]) && !mx_dtype_holds(loop, term[i].node->attr.constant.v.i))
      return loop == MARS_U64 ? MARS_F64 : MARS_I64;
  return loop;
}

/* ---- messages ---- */

#define TERMS_TEXT 300

static const char *terms_text(const mx_term *term, int n, char *buf, size_t bytes) {
  char shape[MX_SHAPE_TEXT];
  size_t at = 0;

  buf[0] = '\0';
  for (int i = 0; i < n && at < bytes; i++)
    at += (size_t)snprintf(buf + at, bytes - at, "%s%s %s", i == 0 ? "" : i + 1 == n ? " and " : ", ",
                           mars_dtype_name(term[i].node->dtype),
                           mx_shape_text(&term[i].node->shape, shape, sizeof shape));
  return buf;
}

static const char *domain_text(mx_op op) {
  switch (mx_op_row_of(op)->domain) {
  case MX_DOM_NUM: return "integers, floats and complex numbers";
  case MX_DOM_NUMB: return "bool, integers, floats and complex numbers";
  case MX_DOM_REAL:
  case MX_DOM_REALB:
  case MX_DOM_FLT: return "bool, integers and floats";
  case MX_DOM_BITS:
  case MX_DOM_INTS: return "bool and integers";
  default: return "every dtype";
  }
}

static mx_node *fail_domain(mx_build *b, mx_op op, const mx_term *term, int n) {
  char text[TERMS_TEXT];
  const char *hint = "";

  if (op == MX_OP_SUBTRACT) hint = "; for bool use mars_logical_xor";
  if (op == MX_OP_NEGATIVE) hint = "; for bool use mars_logical_not";
  return mx_build_fail(b, MARS_E_DTYPE, "not defined for %s; it takes %s%s", terms_text(term, n, text, sizeof text),
                       domain_text(op), hint);
}

/* ---- broadcasting ---- */

bool mx_build_broadcast_shapes(mx_build *b, const mx_term *term, int n, mars_shape *out) {
  char text[TERMS_TEXT];

  if (b->st != MARS_OK) return false;
  memset(out, 0, sizeof *out);
  for (int i = 0; i < n; i++)
    if (term[i].node->shape.ndim > out->ndim) out->ndim = term[i].node->shape.ndim;
  for (int d = 0; d < out->ndim; d++) out->dims[d] = 1;
  for (int i = 0; i < n; i++) {
    const mars_shape *shape = &term[i].node->shape;
    for (int d = 0; d < shape->ndim; d++) {
      int64_t *extent = &out->dims[out->ndim - shape->ndim + d];
      if (*extent == 1) *extent = shape->dims[d];
      if (shape->dims[d] != 1 && shape->dims[d] != *extent) {
        mx_build_fail(b, MARS_E_SHAPE, "%s do not broadcast; extents, paired from the last, must be equal or 1",
                      terms_text(term, n, text, sizeof text));
        return false;
      }
    }
  }
  return true;
}

/* ---- applying a row ---- */

mx_node *mx_build_cast_term(mx_build *b, const mx_term *term, mars_dtype dt) {
  if (b->st != MARS_OK) return NULL;
  if (is_weak_integer(term) && mx_dtype_is_integer(dt) && !mx_dtype_holds(dt, term->node->attr.constant.v.i))
    return mx_build_fail(b, MARS_E_OVERFLOW, "integer %lld is out of bounds for %s, whose values are %lld to %llu",
                         (long long)term->node->attr.constant.v.i, mars_dtype_name(dt), (long long)mx_dtype_min(dt),
                         (unsigned long long)mx_dtype_max(dt));
  return mx_build_cast(b, term->node, dt);
}

static mx_node *check_exponent(mx_build *b, mars_dtype loop, const mx_node *y) {
  if (b->st != MARS_OK || !mx_dtype_is_signed(loop) || y->op != MX_OP_CONST || y->attr.constant.v.i >= 0) return NULL;
  return mx_build_fail(b, MARS_E_ARG, "integers to negative integer powers are not allowed; exponent %lld, dtype %s",
                       (long long)y->attr.constant.v.i, mars_dtype_name(loop));
}

/* -3 is written as the negative of 3: it must stay a constant, so that its value can be checked. */
static bool is_negatable(const mx_term *t) {
  return t->weak && t->node->op == MX_OP_CONST &&
         (t->node->dtype != MARS_I64 || t->node->attr.constant.v.i != INT64_MIN);
}

static mx_node *negate_weak(mx_build *b, const mx_node *node) {
  mx_const c;

  memcpy(&c, &node->attr.constant, sizeof c);
  if (c.dtype == MARS_I64) c.v.i = -c.v.i;
  else if (c.dtype == MARS_F64) c.v.f = -c.v.f;
  else {
    c.v.c[0] = -c.v.c[0];
    c.v.c[1] = -c.v.c[1];
  }
  return mx_build_const(b, node->dtype, &node->shape, &c);
}

static bool is_identity_op(mx_op op, mars_dtype loop) {
  return op == MX_OP_POSITIVE || ((op == MX_OP_CONJ || op == MX_OP_REAL_PART) && !mx_dtype_is_complex(loop));
}

/* x * 2**y with an integer y has x's dtype. In halves an exponent may have no exact value: they go by way of f32. */
static mx_node *apply_ldexp(mx_build *b, const mx_term *term) {
  mars_dtype half, loop = mx_op_loop_dtype(MX_OP_LDEXP, term[0].node->dtype);
  mx_term cast[2] = {{NULL, false}, {NULL, false}};
  mx_node *node;

  if (loop == MARS_DTYPE_AUTO) return fail_domain(b, MX_OP_LDEXP, term, 2);
  half = loop;
  if (mx_dtype_is_half(loop)) loop = MARS_F32;
  cast[0].node = mx_build_cast(b, mx_build_cast(b, term[0].node, half), loop);
  cast[1].node = mx_build_cast(b, term[1].node, loop);
  if (b->st != MARS_OK) return NULL;
  node = mx_build_apply(b, MX_OP_LDEXP, cast, 2, NULL);
  return mx_build_cast(b, node, half);
}

/* A signed integer against a uint64: f64, their common dtype, would take 2**63 and 2**63 - 1 for equal. NumPy 2 compares the
   values, by the sign first. */
static bool is_mixed_comparison(mx_op op, const mx_term *term) {
  mars_dtype x, y;

  if (!is_comparison(op) || term[0].weak || term[1].weak) return false;
  x = term[0].node->dtype;
  y = term[1].node->dtype;
  return (x == MARS_U64 && mx_dtype_is_signed(y)) || (y == MARS_U64 && mx_dtype_is_signed(x));
}

static mx_op mirrored(mx_op op) {
  switch (op) {
  case MX_OP_LESS: return MX_OP_GREATER;
  case MX_OP_LESS_EQUAL: return MX_OP_GREATER_EQUAL;
  case MX_OP_GREATER: return MX_OP_LESS;
  case MX_OP_GREATER_EQUAL: return MX_OP_LESS_EQUAL;
  default: return op;
  }
}

static mx_node *compare_mixed(mx_build *b, mx_op op, const mx_term *term) {
  static const mars_shape scalar;
  bool swap = term[0].node->dtype == MARS_U64;
  mx_node *x = term[swap].node, *y = term[!swap].node, *zero = mx_build_number(b, x->dtype, &scalar, 0), *same;
  bool negative_holds;
  mars_shape shape;

  if (!mx_build_broadcast_shapes(b, term, 2, &shape)) return NULL; /* to be told with the caller's operands */
  if (swap) op = mirrored(op);
  same = mx_build_op2(b, op, mx_build_cast(b, x, MARS_U64), y);
  negative_holds = op == MX_OP_NOT_EQUAL || op == MX_OP_LESS || op == MX_OP_LESS_EQUAL;
  if (b->st != MARS_OK) return NULL;
  if (negative_holds) return mx_build_op2(b, MX_OP_LOGICAL_OR, mx_build_op2(b, MX_OP_LESS, x, zero), same);
  return mx_build_op2(b, MX_OP_LOGICAL_AND, mx_build_op2(b, MX_OP_GREATER_EQUAL, x, zero), same);
}

/* The whole exponent 1..8 or -1 that a constant is, else 0. More products would leave the row's error bound; so would any in
   halves beyond the square, which round after every op. */
static int small_exponent(const mx_node *y, mars_dtype loop) {
  const mx_const *c = &y->attr.constant;
  double v;

  if (y->op != MX_OP_CONST) return 0;
  if (mx_dtype_is_signed(c->dtype)) v = c->v.i >= 1 && c->v.i <= 8 ? (double)c->v.i : 0;
  else if (mx_dtype_is_integer(c->dtype)) v = c->v.u <= 8 ? (double)c->v.u : 0;
  else if (mx_dtype_is_complex(c->dtype)) v = c->v.c[1] == 0 && c->v.c[0] == 2 ? 2 : 0;
  else v = c->v.f;
  if (mx_dtype_is_half(loop)) return v == 1 || v == 2 ? (int)v : 0;
  return v == 1 || v == 2 || v == 3 || v == 4 || v == 5 || v == 6 || v == 7 || v == 8 || v == -1 ? (int)v : 0;
}

/* x**exponent by repeated squaring, which costs a twentieth of a power; special values come out as pow's. */
static mx_node *power_by_products(mx_build *b, mars_dtype loop, mx_node *x, int exponent) {
  mx_node *result = NULL, *square = x;

  if (exponent < 0) return mx_build_row(b, MX_OP_RECIPROCAL, loop, &x, 1);
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) {
      mx_node *pair[2] = {result, square};
      result = result == NULL ? square : mx_build_row(b, MX_OP_MULTIPLY, loop, pair, 2);
    }
    if (exponent > 1) square = mx_build_row(b, MX_OP_SQUARE, loop, &square, 1);
    if (b->st != MARS_OK) return NULL;
  }
  return result;
}

mx_node *mx_build_apply(mx_build *b, mx_op op, const mx_term *term, int n, bool *weak) {
  int exponent, first = op == MX_OP_WHERE; /* the condition takes no part in promotion */
  bool all_weak;
  mars_dtype loop;
  mars_shape shape;
  mx_node *operand[3] = {NULL, NULL, NULL};

  if (weak != NULL) *weak = false;
  if (b->st != MARS_OK) return NULL;
  if (op == MX_OP_LDEXP && rank_of(term[1].node->dtype) <= 1) return apply_ldexp(b, term);
  if (is_mixed_comparison(op, term)) return compare_mixed(b, op, term);
  loop = mx_op_loop_dtype(op, mx_build_promote(b, term + first, n - first, &all_weak));
  if (loop == MARS_DTYPE_AUTO) return fail_domain(b, op, term, n);
  if (is_comparison(op)) loop = widen_comparison(term, n, loop);
  if (!mx_build_broadcast_shapes(b, term, n, &shape)) return NULL;
  if (weak != NULL) *weak = all_weak && keeps_weak(op);
  if (op == MX_OP_NEGATIVE && is_negatable(term)) return negate_weak(b, term->node);
  for (int i = 0; i < n; i++) {
    mx_term at = {mx_build_broadcast(b, term[i].node, &shape), term[i].weak};
    operand[i] = i < first ? mx_build_cast(b, at.node, MARS_BOOL) : mx_build_cast_term(b, &at, loop);
  }
  if (op == MX_OP_POWER) check_exponent(b, loop, operand[1]);
  if (op == MX_OP_POWER && b->st == MARS_OK && (exponent = small_exponent(operand[1], loop)) != 0)
    return power_by_products(b, loop, operand[0], exponent);
  if (is_identity_op(op, loop)) return operand[0];
  return mx_build_row(b, op, loop, operand, n);
}

mx_node *mx_build_op1(mx_build *b, mx_op op, mx_node *x) {
  mx_term term = {x, false};

  return mx_build_apply(b, op, &term, 1, NULL);
}

mx_node *mx_build_op2(mx_build *b, mx_op op, mx_node *x, mx_node *y) {
  mx_term term[2] = {{x, false}, {y, false}};

  return mx_build_apply(b, op, term, 2, NULL);
}

mx_node *mx_build_where(mx_build *b, mx_node *condition, mx_node *y, mx_node *z) {
  mx_term term[3] = {{condition, false}, {y, false}, {z, false}};

  return mx_build_apply(b, MX_OP_WHERE, term, 3, NULL);
}
