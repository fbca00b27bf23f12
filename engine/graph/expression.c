/* mars_elementwise: a text becomes nodes, as the calls of the same operations would. */
#include "engine/expr/parse.h"
#include "engine/graph/build.h"
#include "engine/graph/number.h"
#include "engine/pool.h"
#include "engine/session.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct variable {
  const char *name;
  mx_term term;
} variable;

typedef struct reader {
  mx_build *b;
  const char *source;
  mx_pool pool;
  MX_VEC(variable) names; /* the operands, then what statements named */
} reader;

static bool eval(reader *r, const mx_ast *ast, mx_term *out);

/* ---- failures ---- */

/* "line 1, column 9 ('z - 1')": */
static void place_text(const reader *r, size_t pos, char *out, size_t bytes) {
  const char *here = r->source + pos;
  int line = 1, column = 1;

  for (const char *p = r->source; p < here; p++) {
    column = *p == '\n' ? 1 : column + 1;
    line += *p == '\n';
  }
  if (*here == '\0' || *here == '\n') snprintf(out, bytes, "line %d, column %d (its end)", line, column);
  else snprintf(out, bytes, "line %d, column %d ('%.*s')", line, column, (int)strcspn(here, "\n") > 24 ? 24 : (int)strcspn(here, "\n"), here);
}

static bool fail(reader *r, size_t pos, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool fail(reader *r, size_t pos, const char *fmt, ...) {
  char place[100], text[300];
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  place_text(r, pos, place, sizeof place);
  mx_build_fail(r->b, MARS_E_ARG, "%s: %s", place, text);
  return false;
}

/* What an op said gets the place where it stands. */
static void place_failure(reader *r, size_t pos) {
  char place[100], text[sizeof r->b->error.message];

  place_text(r, pos, place, sizeof place);
  memcpy(text, r->b->error.message, sizeof text);
  (void)mx_fail(&r->b->error, r->b->st, "mars_elementwise: %s: %.360s", place, text);
}

/* ---- operations ---- */

static bool apply(reader *r, size_t pos, mx_op op, const mx_term *term, mx_term *out) {
  mx_build *b = r->b;
  const char *fn = b->fn;

  b->fn = mx_op_row_of(op)->info.name; /* for messages */
  *out = (mx_term){NULL, false};
  out->node = mx_build_apply(b, op, term, mx_op_row_of(op)->info.arity, &out->weak);
  b->fn = fn;
  if (b->st != MARS_OK) place_failure(r, pos);
  return b->st == MARS_OK;
}

static mx_op op_of(mx_sign sign, bool unary) {
  switch (sign) {
  case MX_SIGN_ADD: return unary ? MX_OP_POSITIVE : MX_OP_ADD;
  case MX_SIGN_SUB: return unary ? MX_OP_NEGATIVE : MX_OP_SUBTRACT;
  case MX_SIGN_NOT_BITS: return MX_OP_INVERT;
  case MX_SIGN_NOT: return MX_OP_LOGICAL_NOT;
  case MX_SIGN_MUL: return MX_OP_MULTIPLY;
  case MX_SIGN_DIV: return MX_OP_DIVIDE;
  case MX_SIGN_FLOOR_DIV: return MX_OP_FLOOR_DIVIDE;
  case MX_SIGN_MOD: return MX_OP_REMAINDER;
  case MX_SIGN_POW: return MX_OP_POWER;
  case MX_SIGN_AND: return MX_OP_BITWISE_AND;
  case MX_SIGN_OR: return MX_OP_BITWISE_OR;
  case MX_SIGN_XOR: return MX_OP_BITWISE_XOR;
  case MX_SIGN_SHL: return MX_OP_LEFT_SHIFT;
  case MX_SIGN_SHR: return MX_OP_RIGHT_SHIFT;
  case MX_SIGN_LT: return MX_OP_LESS;
  case MX_SIGN_LE: return MX_OP_LESS_EQUAL;
  case MX_SIGN_GT: return MX_OP_GREATER;
  case MX_SIGN_GE: return MX_OP_GREATER_EQUAL;
  case MX_SIGN_EQ: return MX_OP_EQUAL;
  case MX_SIGN_NE: return MX_OP_NOT_EQUAL;
  default: return MX_OP_COUNT;
  }
}

static bool give_const(reader *r, const mx_const *c, mx_term *out) {
  static const mars_shape scalar;

  *out = (mx_term){mx_build_const(r->b, c->dtype, &scalar, c), true};
  return r->b->st == MARS_OK;
}

static bool give_double(reader *r, double value, mx_term *out) {
  mx_const c;

  mx_const_f64(&c, value);
  return give_const(r, &c, out);
}

static bool binary(reader *r, mx_sign sign, size_t pos, const mx_term *a, const mx_term *b, mx_term *out) {
  const mx_term pair[2] = {*a, *b};
  const mx_op op = op_of(sign, false);
  const char *why;
  mx_const c;

  if (op == MX_OP_COUNT) return fail(r, pos, "'%s' is no elementwise operation", mx_sign_text(sign));
  if (a->weak && b->weak && a->node->op == MX_OP_CONST && b->node->op == MX_OP_CONST &&
      mx_number_fold(sign, &a->node->attr.constant, &b->node->attr.constant, &c, &why))
    return why != NULL ? fail(r, pos, "%s", why) : give_const(r, &c, out);
  return apply(r, pos, op, pair, out);
}

/* a < b < c: (a < b) and (b < c) */
static bool eval_compare(reader *r, const mx_ast *ast, mx_term *out) {
  mx_term left, right, part;

  if (!eval(r, ast->kid[0], &left)) return false;
  for (size_t i = 1; i < ast->n; i++) {
    mx_term both[2];

    if (!eval(r, ast->kid[i], &right) || !binary(r, ast->ops[i - 1], ast->ops_pos[i - 1], &left, &right, &part)) return false;
    left = right;
    both[0] = *out;
    both[1] = part;
    if (i == 1) *out = part;
    else if (!apply(r, ast->ops_pos[i - 1], MX_OP_LOGICAL_AND, both, out)) return false;
  }
  return true;
}

/* ---- names ---- */

static bool find_name(const reader *r, const char *name, mx_term *out) {
  for (int64_t i = r->names.n; i-- > 0;)
    if (strcmp(r->names.at[i].name, name) == 0) {
      *out = r->names.at[i].term;
      return true;
    }
  return false;
}

static bool is_module(const char *name) {
  static const char *const modules[] = {"np", "numpy", "mt", "mars", "math", "scipy", "special"};

  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
    if (strcmp(modules[i], name) == 0) return true;
  return false;
}

/* "sin" of sin and of np.sin; NULL: it is neither. */
static const char *name_of(const reader *r, const mx_ast *ast) {
  mx_term t;

  if (ast->kind == MX_AST_NAME) return ast->text;
  if (ast->kind != MX_AST_ATTRIBUTE || ast->kid[0]->kind != MX_AST_NAME) return NULL;
  return is_module(ast->kid[0]->text) && !find_name(r, ast->kid[0]->text, &t) ? ast->text : NULL;
}

static bool eval_name(reader *r, const mx_ast *ast, const char *name, mx_term *out) {
  static const struct {
    const char *name;
    double value;
  } constants[] = {{"pi", 3.141592653589793}, {"e", 2.718281828459045}, {"euler_gamma", 0.5772156649015329}, {"inf", INFINITY}, {"nan", NAN}};
  char known[160] = "";
  size_t n = 0;

  if (ast->kind == MX_AST_NAME && find_name(r, name, out)) return true;
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
    if (strcmp(constants[i].name, name) == 0) return give_double(r, constants[i].value, out);
  if (strcmp(name, "True") == 0 || strcmp(name, "False") == 0) {
    mx_const c;
    mx_const_bool(&c, name[0] == 'T');
    return give_const(r, &c, out);
  }
  for (int64_t i = 0; i < r->names.n && n < sizeof known; i++)
    n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i > 0 ? ", " : "", r->names.at[i].name);
  return fail(r, ast->pos, "unknown name '%.60s'; there are: %s", name, known);
}

/* ---- calls ---- */

static bool eval_cast(reader *r, const mx_ast *ast, mars_dtype dt, mx_term *out) {
  mx_term t;

  if (ast->n != 2) return fail(r, ast->pos, "a dtype takes 1 operand, not %zu", ast->n - 1);
  if (!eval(r, ast->kid[1], &t)) return false;
  *out = (mx_term){mx_build_cast_term(r->b, &t, dt), false};
  if (r->b->st != MARS_OK) place_failure(r, ast->pos);
  return r->b->st == MARS_OK;
}

static bool eval_call(reader *r, const mx_ast *ast, mx_term *out) {
  const char *name = name_of(r, ast->kid[0]);
  const mx_op_row *row;
  mx_term term[3];
  mx_op op;

  if (name == NULL) return fail(r, ast->pos, "only functions can be called: sin(x), where(c, a, b)");
  for (size_t i = 1; i < ast->n; i++)
    if (ast->kid[i]->kind == MX_AST_KEYWORD) return fail(r, ast->kid[i]->pos, "elementwise functions take no keywords");
  if (mars_dtype_from_name(name) != MARS_DTYPE_AUTO) return eval_cast(r, ast, mars_dtype_from_name(name), out);
  op = mx_op_find(mx_canonical_name(name));
  if (op == MX_OP_COUNT) return fail(r, ast->pos, "there is no elementwise function '%.60s'", name);
  row = mx_op_row_of(op);
  if (row->kind != MX_KIND_UNARY && row->kind != MX_KIND_BINARY && row->kind != MX_KIND_TERNARY)
    return fail(r, ast->pos, "'%.60s' is not elementwise: apply it to the result, mars_%s", name, row->info.name);
  if (ast->n - 1 != (size_t)row->info.arity)
    return fail(r, ast->pos, "'%.60s' takes %d operand%s, not %zu", name, row->info.arity, row->info.arity == 1 ? "" : "s", ast->n - 1);
  for (size_t i = 1; i < ast->n; i++)
    if (!eval(r, ast->kid[i], &term[i - 1])) return false;
  return apply(r, ast->pos, op, term, out);
}

static bool eval(reader *r, const mx_ast *ast, mx_term *out) {
  mx_term a, b;
  mx_const c;

  switch (ast->kind) {
  case MX_AST_INT:
    if (ast->big) return fail(r, ast->pos, "integers have 64 bits here; write a larger number as a float, e.g. 1e20");
    mx_const_i64(&c, ast->i);
    return give_const(r, &c, out);
  case MX_AST_FLOAT: return give_double(r, ast->f, out);
  case MX_AST_IMAGINARY: mx_const_c128(&c, 0, ast->f); return give_const(r, &c, out);
  case MX_AST_NAME:
  case MX_AST_ATTRIBUTE:
    if (name_of(r, ast) != NULL) return eval_name(r, ast, name_of(r, ast), out);
    if (strcmp(ast->text, "real") != 0 && strcmp(ast->text, "imag") != 0) break;
    return eval(r, ast->kid[0], &a) && apply(r, ast->pos, ast->text[0] == 'r' ? MX_OP_REAL_PART : MX_OP_IMAG_PART, &a, out);
  case MX_AST_UNARY: return eval(r, ast->kid[0], &a) && apply(r, ast->pos, op_of(ast->op, true), &a, out);
  case MX_AST_BINARY: return eval(r, ast->kid[0], &a) && eval(r, ast->kid[1], &b) && binary(r, ast->op, ast->pos, &a, &b, out);
  case MX_AST_COMPARE: return eval_compare(r, ast, out);
  case MX_AST_CALL: return eval_call(r, ast, out);
  default: break;
  }
  return fail(r, ast->pos, "this is not elementwise: an expression has operators, functions, names and numbers");
}

/* ---- the whole ---- */

static bool add_name(reader *r, const char *name, mx_term term) {
  if (!mx_vec_push(&r->b->session->mem, &r->names, ((variable){name, term})))
    mx_build_fail(r->b, MARS_E_MEMORY, "no memory for %lld names", (long long)r->names.n + 1);
  return r->b->st == MARS_OK;
}

static bool is_name(const char *s) {
  if (s == NULL || *s == '\0' || (*s >= '0' && *s <= '9')) return false;
  return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")] == '\0';
}

static void add_operands(reader *r, const mars_named *operands, size_t n) {
  mx_term same;

  for (size_t i = 0; i < n && r->b->st == MARS_OK; i++) {
    const char *name = operands[i].name;
    if (!is_name(name)) mx_build_fail(r->b, MARS_E_ARG, "operand %zu is called '%.40s', which is no name", i + 1, name != NULL ? name : "NULL");
    else if (find_name(r, name, &same)) mx_build_fail(r->b, MARS_E_ARG, "two operands are called '%.40s'", name);
    else add_name(r, name, mx_term_of(operands[i].tensor));
  }
}

static void *take(void *pool, size_t bytes) { return mx_pool_alloc(pool, bytes); }

static mx_term eval_text(reader *r) {
  const mx_text_memory memory = {take, &r->pool};
  mx_text_fault fault = {0};
  mx_term out = {NULL, false};
  mx_script script;

  if (!mx_parse(r->source, &memory, &fault, &script)) {
    if (fault.no_memory) mx_build_fail(r->b, MARS_E_MEMORY, "no memory to read the expression");
    else fail(r, fault.pos, "%s", fault.message);
    return out;
  }
  for (size_t i = 0; i < script.n; i++) {
    const mx_statement *s = &script.statement[i];

    if (s->n_targets > 1) fail(r, s->target_pos[1], "one name is assigned to at a time");
    if (i + 1 < script.n && s->n_targets == 0) fail(r, s->value->pos, "only the last statement is a result: give this one a name, t = ...");
    if (r->b->st != MARS_OK || !eval(r, s->value, &out) || (s->n_targets == 1 && !add_name(r, s->target[0], out))) break;
  }
  return out;
}

mars_tensor *mars_elementwise(mars_session *s, const char *expression, const mars_named *operands, size_t n) {
  mx_build b;
  reader r = {.b = &b, .source = expression};
  mx_term out = {NULL, false};

  mx_build_open(&b, s, "elementwise");
  if (s == NULL) return NULL;
  mx_pool_init(&r.pool, &s->mem);
  if (expression == NULL) mx_build_fail(&b, MARS_E_ARG, "the expression is NULL");
  if (n > 0 && operands == NULL) mx_build_fail(&b, MARS_E_ARG, "operands is NULL, but %zu are announced", n);
  for (size_t i = 0; i < n && b.st == MARS_OK; i++) mx_build_check(&b, operands[i].tensor, i);
  if (b.st == MARS_OK) add_operands(&r, operands, n);
  if (b.st == MARS_OK) out = eval_text(&r);
  mx_vec_free(&s->mem, &r.names);
  mx_pool_reset(&r.pool);
  return mx_build_close(&b, out.node, out.weak);
}
