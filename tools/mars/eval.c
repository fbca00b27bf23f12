#include "eval.h"
#include "fn.h"

#include <string.h>

static bool eval(mt_eval *ev, const mx_ast *ast, mt_value *out);

bool mt_eval_fail(mt_eval *ev, size_t pos, const char *fmt, ...) {
  char message[sizeof ev->diag->message];
  va_list args;

  va_start(args, fmt);
  vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  return mt_fail(ev->diag, MT_EXIT_USAGE, ev->source, pos, "%s", message);
}

bool mt_eval_give(mt_eval *ev, size_t pos, mars_tensor *t, mt_value *out) {
  mars_error err = {0};

  if (mars_check(t, &err) != MARS_OK)
    return mt_fail(ev->diag, MT_EXIT_RUN, ev->source, pos, "%s", t ? err.message : "out of memory");
  *out = mt_of_tensor(t);
  return true;
}

bool mt_eval_tensor(mt_eval *ev, size_t pos, const mt_value *v, const char *what, mars_tensor **out) {
  mt_value t = {0};
  bool ok;

  switch (v->kind) {
  case MT_TENSOR: *out = v->tensor; return true;
  case MT_BOOL: ok = mt_eval_give(ev, pos, mars_bool(ev->session, v->i != 0), &t); break;
  case MT_INT: ok = mt_eval_give(ev, pos, mars_int(ev->session, v->i), &t); break;
  case MT_FLOAT: ok = mt_eval_give(ev, pos, mars_float(ev->session, v->f), &t); break;
  case MT_COMPLEX: ok = mt_eval_give(ev, pos, mars_complex(ev->session, v->c[0], v->c[1]), &t); break;
  case MT_TUPLE: ok = mt_eval_array(ev, pos, v, &t); break;
  default: return mt_eval_fail(ev, pos, "%s: a tensor or a number was expected, not %s", what, mt_kind_name(v));
  }
  *out = t.tensor;
  return ok;
}

bool mt_eval_apply(mt_eval *ev, size_t pos, const char *op, const mt_value *const *operands, size_t n, mt_value *out) {
  mars_tensor *t[3];

  for (size_t i = 0; i < n; i++)
    if (!mt_eval_tensor(ev, pos, operands[i], op, &t[i])) return false;
  return mt_eval_give(ev, pos, mars_apply(ev->session, op, t, n), out);
}

void mt_eval_set(mt_eval *ev, const char *name, const mt_value *value) {
  for (size_t i = 0; i < ev->n_variables; i++)
    if (!strcmp(ev->variable[i].name, name)) {
      ev->variable[i].value = *value;
      return;
    }
  if (ev->n_variables == ev->capacity) {
    size_t capacity = 2 * ev->capacity + 8;
    mt_variable *grown = mt_alloc(ev->arena, capacity * sizeof *grown);
    if (ev->n_variables) memcpy(grown, ev->variable, ev->n_variables * sizeof *grown);
    ev->variable = grown;
    ev->capacity = capacity;
  }
  ev->variable[ev->n_variables++] = (mt_variable){name, *value};
}

const mt_value *mt_eval_get(const mt_eval *ev, const char *name) {
  for (size_t i = 0; i < ev->n_variables; i++)
    if (!strcmp(ev->variable[i].name, name)) return &ev->variable[i].value;
  return NULL;
}

/* ---- names ---------------------------------------------------------------------------------------- */

static bool is_module(const char *name) {
  return !strcmp(name, "np") || !strcmp(name, "numpy") || !strcmp(name, "mt") || !strcmp(name, "mars") ||
         !strcmp(name, "math") || !strcmp(name, "scipy");
}
static bool is_submodule(const char *name) {
  return !strcmp(name, "random") || !strcmp(name, "linalg") || !strcmp(name, "fft") || !strcmp(name, "special");
}

/* "np.random.uniform" -> "random.uniform", "sin" -> "sin"; NULL: it is not a name from a module, but some value's
   attribute. */
static const char *global_name(mt_eval *ev, const mx_ast *ast) {
  const char *base;

  if (ast->kind == MX_AST_NAME) return mt_eval_get(ev, ast->text) ? NULL : ast->text;
  if (ast->kind != MX_AST_ATTRIBUTE || !(base = global_name(ev, ast->kid[0]))) return NULL;
  if (is_module(base) || !strcmp(base, "special")) return ast->text;
  return is_submodule(base) ? mt_sprintf(ev->arena, "%s.%s", base, ast->text) : NULL;
}

static bool eval_global(mt_eval *ev, size_t pos, const char *name, mt_value *out) {
  if (!strcmp(name, "True") || !strcmp(name, "False")) {
    *out = mt_of_bool(name[0] == 'T');
    return true;
  }
  if (!strcmp(name, "None")) {
    *out = (mt_value){.kind = MT_NONE};
    return true;
  }
  if (mt_find_constant(name, out)) return true;
  if (mt_function_exists(name)) return mt_eval_fail(ev, pos, "'%s' is a function: call it, %s(...)", name, name);
  if (is_module(name) || is_submodule(name)) return mt_eval_fail(ev, pos, "'%s' is a module: write %s.name", name, name);
  return mt_eval_fail(ev, pos, "unknown name '%s'%s", name, mt_suggest_name(ev, name));
}

/* ---- operators ------------------------------------------------------------------------------------ */

static const char *row_of_op(mx_sign op, bool unary) {
  switch (op) {
  case MX_SIGN_ADD: return unary ? "positive" : "add";
  case MX_SIGN_SUB: return unary ? "negative" : "subtract";
  case MX_SIGN_NOT_BITS: return "invert";
  case MX_SIGN_NOT: return "logical_not";
  case MX_SIGN_MUL: return "multiply";
  case MX_SIGN_DIV: return "divide";
  case MX_SIGN_FLOOR_DIV: return "floor_divide";
  case MX_SIGN_MOD: return "remainder";
  case MX_SIGN_POW: return "power";
  case MX_SIGN_MATMUL: return "matmul";
  case MX_SIGN_AND: return "bitwise_and";
  case MX_SIGN_OR: return "bitwise_or";
  case MX_SIGN_XOR: return "bitwise_xor";
  case MX_SIGN_SHL: return "left_shift";
  case MX_SIGN_SHR: return "right_shift";
  case MX_SIGN_LT: return "less";
  case MX_SIGN_LE: return "less_equal";
  case MX_SIGN_GT: return "greater";
  case MX_SIGN_GE: return "greater_equal";
  case MX_SIGN_EQ: return "equal";
  case MX_SIGN_NE: return "not_equal";
  default: return "?";
  }
}

/* As NumPy does: x ** 2 is x * x, x ** 0.5 the square root (exactly rounded, and cheaper than pow). */
static const char *cheap_power(const mt_value *base, const mt_value *exponent) {
  mars_dtype dt;

  if (base->kind != MT_TENSOR || !mt_is_real(exponent)) return NULL;
  dt = mars_dtype_of(base->tensor);
  if (dt == MARS_F16 || dt == MARS_BF16 || dt == MARS_F32 || dt == MARS_F64) {
    double p = mt_to_double(exponent);
    return p == 2 ? "square" : p == 0.5 ? "sqrt" : NULL;
  }
  return exponent->kind == MT_INT && exponent->i == 2 && dt != MARS_BOOL ? "square" : NULL;
}

static bool apply_binary(mt_eval *ev, mx_sign op, size_t pos, const mt_value *a, const mt_value *b, mt_value *out) {
  const mt_value *operands[2] = {a, b};
  const char *name;

  if (op == MX_SIGN_MATMUL) {
    mt_argument args[2] = {{NULL, pos, *a}, {NULL, pos, *b}};
    return mt_call_function(ev, "matmul", pos, NULL, 0, args, 2, out);
  }
  if (mt_is_number(a) && mt_is_number(b)) {
    const char *problem = mt_fold_binary(op, a, b, out);
    return problem ? mt_eval_fail(ev, pos, "%s %s %s: %s", mt_kind_name(a), mx_sign_text(op), mt_kind_name(b), problem) : true;
  }
  if (a->kind != MT_TENSOR && b->kind != MT_TENSOR)
    return mt_eval_fail(ev, pos, "%s %s %s: no such operation", mt_kind_name(a), mx_sign_text(op), mt_kind_name(b));
  if (op == MX_SIGN_POW && (name = cheap_power(a, b))) return mt_eval_apply(ev, pos, name, operands, 1, out);
  return mt_eval_apply(ev, pos, row_of_op(op, false), operands, 2, out);
}

static bool eval_binary(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  mt_value a, b;

  return eval(ev, ast->kid[0], &a) && eval(ev, ast->kid[1], &b) && apply_binary(ev, ast->op, ast->pos, &a, &b, out);
}

static bool eval_unary(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  const mt_value *operand;
  mt_value a;

  if (!eval(ev, ast->kid[0], &a)) return false;
  if (mt_is_number(&a)) {
    const char *problem = mt_fold_unary(ast->op, &a, out);
    return problem ? mt_eval_fail(ev, ast->pos, "%s %s: %s", mx_sign_text(ast->op), mt_kind_name(&a), problem) : true;
  }
  operand = &a;
  return mt_eval_apply(ev, ast->pos, row_of_op(ast->op, true), &operand, 1, out);
}

/* a < b < c: (a < b) and (b < c), b evaluated once */
static bool eval_compare(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  mt_value left, right, part, all = {0};

  if (!eval(ev, ast->kid[0], &left)) return false;
  for (size_t i = 1; i < ast->n; i++) {
    if (!eval(ev, ast->kid[i], &right)) return false;
    if (!apply_binary(ev, ast->ops[i - 1], ast->ops_pos[i - 1], &left, &right, &part)) return false;
    if (i == 1) {
      all = part;
    } else if (all.kind == MT_BOOL && part.kind == MT_BOOL) {
      all.i = all.i && part.i;
    } else {
      const mt_value *operands[2] = {&all, &part};
      mt_value both;
      if (!mt_eval_apply(ev, ast->ops_pos[i - 1], "logical_and", operands, 2, &both)) return false;
      all = both;
    }
    left = right;
  }
  *out = all;
  return true;
}

/* ---- calls, attributes, indices ------------------------------------------------------------------- */

static bool eval_arguments(mt_eval *ev, const mx_ast *ast, mt_argument *args) {
  for (size_t i = 1; i < ast->n; i++) {
    const mx_ast *kid = ast->kid[i];
    mt_argument *a = &args[i - 1];
    a->name = kid->kind == MX_AST_KEYWORD ? kid->text : NULL;
    a->pos = kid->pos;
    if (!eval(ev, a->name ? kid->kid[0] : kid, &a->value)) return false;
  }
  return true;
}

static bool eval_call(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  const mx_ast *callee = ast->kid[0];
  const char *name = global_name(ev, callee);
  mt_argument *args = mt_alloc(ev->arena, ast->n * sizeof *args);
  mt_value self;

  if (name) {
    if (!eval_arguments(ev, ast, args)) return false;
    return mt_call_function(ev, name, callee->pos, NULL, 0, args, ast->n - 1, out);
  }
  if (callee->kind != MX_AST_ATTRIBUTE) {
    if (!eval(ev, callee, &self)) return false;
    return mt_eval_fail(ev, callee->pos, "this is a %s: it cannot be called", mt_kind_name(&self));
  }
  if (!eval(ev, callee->kid[0], &self) || !eval_arguments(ev, ast, args)) return false;
  return mt_call_function(ev, callee->text, callee->pos, &self, callee->kid[0]->pos, args, ast->n - 1, out);
}

static void shape_to_tuple(mt_eval *ev, const mars_shape *shape, mt_value *out) {
  *out = (mt_value){.kind = MT_TUPLE, .n = (size_t)shape->ndim};
  out->item = mt_alloc(ev->arena, (out->n + 1) * sizeof *out->item);
  for (int d = 0; d < shape->ndim; d++) out->item[d] = mt_of_int(shape->dims[d]);
}

static bool eval_attribute(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  const char *global = global_name(ev, ast), *name = ast->text;
  const mt_value *operand;
  mars_shape shape;
  mars_tensor *t;
  mt_value a;

  if (global) return eval_global(ev, ast->pos, global, out);
  if (!eval(ev, ast->kid[0], &a)) return false;
  operand = &a;
  if (a.kind == MT_DTYPE && (!strcmp(name, "itemsize") || !strcmp(name, "name"))) {
    *out = name[0] == 'i' ? mt_of_int((int64_t)mars_dtype_bytes(a.dtype))
                          : (mt_value){.kind = MT_STRING, .text = mars_dtype_name(a.dtype)};
    return true;
  }
  if (a.kind != MT_TENSOR && !mt_is_number(&a))
    return mt_eval_fail(ev, ast->pos, "a %s has no attribute '%s'", mt_kind_name(&a), name);
  if (!strcmp(name, "real") || !strcmp(name, "imag")) return mt_eval_apply(ev, ast->pos, name, &operand, 1, out);
  if (!mt_eval_tensor(ev, ast->pos, &a, name, &t)) return false;
  shape = mars_shape_of(t);
  if (!strcmp(name, "T")) return mt_eval_give(ev, ast->pos, mars_transpose(t), out);
  if (!strcmp(name, "mT")) {
    if (shape.ndim < 2) return mt_eval_fail(ev, ast->pos, "mT needs at least 2 axes, not %d", shape.ndim);
    return mt_eval_give(ev, ast->pos, mars_swapaxes(t, -1, -2), out);
  }
  if (!strcmp(name, "shape")) shape_to_tuple(ev, &shape, out);
  else if (!strcmp(name, "dtype")) *out = mt_of_dtype(mars_dtype_of(t));
  else if (!strcmp(name, "size")) *out = mt_of_int(mars_size_of(t));
  else if (!strcmp(name, "ndim")) *out = mt_of_int(shape.ndim);
  else if (!strcmp(name, "itemsize")) *out = mt_of_int((int64_t)mars_dtype_bytes(mars_dtype_of(t)));
  else if (!strcmp(name, "nbytes")) *out = mt_of_int(mars_size_of(t) * (int64_t)mars_dtype_bytes(mars_dtype_of(t)));
  else if (mt_function_exists(name))
    return mt_eval_fail(ev, ast->pos, "'%s' is a function: call it, x.%s(...) or %s(x, ...)", name, name, name);
  else
    return mt_eval_fail(ev, ast->pos,
                        "a tensor has no attribute '%s'; there are T, mT, shape, dtype, size, ndim, real, imag, itemsize, nbytes",
                        name);
  return true;
}

/* Part of a slice: None or an integer. */
static bool eval_slice_part(mt_eval *ev, const mx_ast *ast, int64_t *out) {
  mt_value v;

  *out = MARS_NONE;
  if (!ast) return true;
  if (!eval(ev, ast, &v)) return false;
  if (v.kind == MT_NONE) return true;
  if (v.kind != MT_INT) return mt_eval_fail(ev, ast->pos, "a slice takes integers, not %s", mt_kind_name(&v));
  *out = v.i;
  return true;
}

static bool slice_of_value(mt_eval *ev, size_t pos, const mt_value *v, mars_slice *out) {
  *out = (mars_slice){0};
  switch (v->kind) {
  case MT_INT:
    out->kind = MARS_SLICE_INTEGER;
    out->start = v->i;
    return true;
  case MT_NONE: out->kind = MARS_SLICE_NEWAXIS; return true;
  case MT_DOTS: out->kind = MARS_SLICE_ELLIPSIS; return true;
  case MT_TENSOR:
  case MT_TUPLE: return mt_eval_fail(ev, pos, "boolean and array indices are not available yet");
  default: return mt_eval_fail(ev, pos, "an index is an integer, a slice, None or ..., not %s", mt_kind_name(v));
  }
}

static bool eval_slice(mt_eval *ev, const mx_ast *ast, mars_slice *out) {
  out->kind = MARS_SLICE_RANGE;
  return eval_slice_part(ev, ast->kid[0], &out->start) && eval_slice_part(ev, ast->kid[1], &out->stop) &&
         eval_slice_part(ev, ast->kid[2], &out->step);
}

/* x.shape[0], (a, b)[1], x.shape[1:] */
static bool index_tuple(mt_eval *ev, const mx_ast *ast, const mt_value *a, mt_value *out) {
  int64_t n = (int64_t)a->n, start, stop;
  mars_slice s = {0};
  mt_value v;

  if (ast->n != 2) return mt_eval_fail(ev, ast->pos, "a %s takes one index", mt_kind_name(a));
  if (ast->kid[1]->kind == MX_AST_SLICE) {
    if (!eval_slice(ev, ast->kid[1], &s)) return false;
    if (s.step != MARS_NONE && s.step != 1) return mt_eval_fail(ev, ast->pos, "a slice of a %s has step 1", mt_kind_name(a));
    start = s.start == MARS_NONE ? 0 : s.start < 0 ? s.start + n : s.start;
    stop = s.stop == MARS_NONE ? n : s.stop < 0 ? s.stop + n : s.stop;
    start = start < 0 ? 0 : start > n ? n : start;
    stop = stop < start ? start : stop > n ? n : stop;
    *out = *a;
    out->item = a->item + start;
    out->n = (size_t)(stop - start);
    return true;
  }
  if (!eval(ev, ast->kid[1], &v)) return false;
  if (v.kind != MT_INT) return mt_eval_fail(ev, ast->kid[1]->pos, "a %s takes an integer index", mt_kind_name(a));
  if (v.i < -n || v.i >= n)
    return mt_eval_fail(ev, ast->kid[1]->pos, "index %lld is out of range for a %s of %lld", (long long)v.i,
                        mt_kind_name(a), (long long)n);
  *out = a->item[v.i < 0 ? v.i + n : v.i];
  return true;
}

static bool eval_index(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  mars_slice items[2 * MARS_MAX_DIMS + 2];
  const size_t most = sizeof items / sizeof *items;
  mars_tensor *t;
  size_t n = 0;
  mt_value a, v;

  if (!eval(ev, ast->kid[0], &a)) return false;
  if (a.kind == MT_TUPLE) return index_tuple(ev, ast, &a, out);
  if (!mt_eval_tensor(ev, ast->pos, &a, "index", &t)) return false;
  for (size_t i = 1; i < ast->n; i++) {
    const mx_ast *kid = ast->kid[i];
    if (n == most) return mt_eval_fail(ev, kid->pos, "too many indices");
    if (kid->kind == MX_AST_SLICE) {
      if (!eval_slice(ev, kid, &items[n++])) return false;
      continue;
    }
    if (!eval(ev, kid, &v)) return false;
    if (v.kind == MT_TUPLE && !v.list && ast->n == 2) { /* x[(1, 2)] is x[1, 2] */
      if (v.n > most) return mt_eval_fail(ev, kid->pos, "too many indices");
      for (size_t j = 0; j < v.n; j++)
        if (!slice_of_value(ev, kid->pos, &v.item[j], &items[n++])) return false;
      continue;
    }
    if (!slice_of_value(ev, kid->pos, &v, &items[n++])) return false;
  }
  return mt_eval_give(ev, ast->pos, mars_index(t, items, n), out);
}

static bool eval_tuple(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  mt_value v = {.kind = MT_TUPLE, .list = ast->kind == MX_AST_LIST, .n = ast->n};

  v.item = mt_alloc(ev->arena, (v.n + 1) * sizeof *v.item);
  for (size_t i = 0; i < v.n; i++)
    if (!eval(ev, ast->kid[i], &v.item[i])) return false;
  *out = v;
  return true;
}

/* ---- everything ----------------------------------------------------------------------------------- */

static bool eval_name(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  const mt_value *v = mt_eval_get(ev, ast->text);

  if (!v) return eval_global(ev, ast->pos, ast->text, out);
  *out = *v;
  return true;
}

static bool eval(mt_eval *ev, const mx_ast *ast, mt_value *out) {
  *out = (mt_value){0};
  switch (ast->kind) {
  case MX_AST_INT:
    if (ast->big) return mt_eval_fail(ev, ast->pos, "the integer does not fit 64 bits; write a float, e.g. 1e20");
    *out = mt_of_int(ast->i);
    return true;
  case MX_AST_FLOAT: *out = mt_of_float(ast->f); return true;
  case MX_AST_IMAGINARY: *out = mt_of_complex(0, ast->f); return true;
  case MX_AST_STRING: *out = (mt_value){.kind = MT_STRING, .text = ast->text}; return true;
  case MX_AST_ELLIPSIS: *out = (mt_value){.kind = MT_DOTS}; return true;
  case MX_AST_NAME: return eval_name(ev, ast, out);
  case MX_AST_UNARY: return eval_unary(ev, ast, out);
  case MX_AST_BINARY: return eval_binary(ev, ast, out);
  case MX_AST_COMPARE: return eval_compare(ev, ast, out);
  case MX_AST_CALL: return eval_call(ev, ast, out);
  case MX_AST_ATTRIBUTE: return eval_attribute(ev, ast, out);
  case MX_AST_INDEX: return eval_index(ev, ast, out);
  case MX_AST_TUPLE:
  case MX_AST_LIST: return eval_tuple(ev, ast, out);
  case MX_AST_KEYWORD:
  case MX_AST_SLICE: break; /* the parser makes them inside calls and indices only */
  }
  return mt_eval_fail(ev, ast->pos, "this cannot stand here");
}

static bool assign(mt_eval *ev, const mx_statement *st, const mt_value *v) {
  if (st->n_targets == 1) {
    mt_eval_set(ev, st->target[0], v);
    return true;
  }
  if (v->kind != MT_TUPLE)
    return mt_eval_fail(ev, st->target_pos[0], "a %s cannot be split into %zu names", mt_kind_name(v), st->n_targets);
  if (v->n != st->n_targets)
    return mt_eval_fail(ev, st->target_pos[0], "%zu values cannot be given to %zu names", v->n, st->n_targets);
  for (size_t i = 0; i < v->n; i++) mt_eval_set(ev, st->target[i], &v->item[i]);
  return true;
}

bool mt_eval_program(mt_eval *ev, const mx_script *program, mt_value *out) {
  ev->source = program->source;
  for (size_t i = 0; i < program->n; i++) {
    const mx_statement *st = &program->statement[i];
    if (!eval(ev, st->value, out)) return false;
    if (st->n_targets && !assign(ev, st, out)) return false;
  }
  return true;
}
