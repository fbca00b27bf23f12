#include "engine/expr/parse.h"

#include <string.h>

typedef struct parser {
  mx_lexer lexer;
  mx_token token; /* the next one */
  const mx_text_memory *memory;
  mx_text_fault *fault;
  const char *source;
  int nesting;
} parser;

/* A list of nodes that grows. */
typedef struct kids {
  mx_ast **item;
  size_t n, capacity;
} kids;

/* Binding powers of what may stand behind an operand, and of the prefix operators. */
enum { BP_NOT = 5, BP_COMPARE = 10, BP_OR = 20, BP_XOR = 30, BP_AND = 40, BP_SHIFT = 50, BP_ADD = 60, BP_MUL = 70,
       BP_UNARY = 80, BP_POW = 90 };

static mx_ast *parse_expression(parser *p, int min_bp);

static mx_ast *fail_at(parser *p, size_t pos, const char *text) {
  mx_text_fail(p->fault, pos, "%s", text);
  return NULL;
}

static void *take(parser *p, size_t bytes) { return mx_text_take(p->memory, p->fault, p->token.pos, bytes); }
static bool advance(parser *p) { return mx_lex(&p->lexer, &p->token); }
static bool at_op(const parser *p, mx_sign op) { return p->token.kind == MX_TOKEN_OP && p->token.op == op; }

static bool kids_add(parser *p, kids *k, mx_ast *item) {
  if (k->n == k->capacity) {
    size_t capacity = k->capacity ? 2 * k->capacity : 4;
    mx_ast **grown = take(p, capacity * sizeof *grown);
    if (!grown) return false;
    if (k->n) memcpy(grown, k->item, k->n * sizeof *grown);
    k->item = grown;
    k->capacity = capacity;
  }
  k->item[k->n++] = item;
  return true;
}

static mx_ast *leaf(parser *p, mx_ast_kind kind, const mx_token *t) {
  mx_ast *a = take(p, sizeof *a);

  if (!a) return NULL;
  a->kind = kind;
  a->pos = t->pos;
  a->depth = 1;
  a->op = t->op;
  a->big = t->big;
  a->i = t->i;
  a->f = t->f;
  a->text = t->text;
  return a;
}

/* NULL: too deep, or no memory. */
static mx_ast *branch(parser *p, mx_ast_kind kind, size_t pos, mx_ast **kid, size_t n) {
  mx_ast *a = take(p, sizeof *a);

  if (!a) return NULL;
  a->kind = kind;
  a->pos = pos;
  a->kid = kid;
  a->n = n;
  a->depth = 1;
  for (size_t i = 0; i < n; i++)
    if (kid[i] && kid[i]->depth >= a->depth) a->depth = kid[i]->depth + 1;
  if (a->depth > MX_MAX_DEPTH) {
    mx_text_fail(p->fault, pos,
            "the expression nests more than %d levels deep here; give parts of it names: a = ...; b = ...", MX_MAX_DEPTH);
    return NULL;
  }
  return a;
}

static mx_ast *branch2(parser *p, mx_ast_kind kind, size_t pos, mx_ast *a, mx_ast *b) {
  mx_ast **kid = take(p, 2 * sizeof *kid);

  if (!kid) return NULL;
  kid[0] = a;
  kid[1] = b;
  return branch(p, kind, pos, kid, b ? 2 : 1);
}

/* Words of Python that are no names here, and what to write instead. */
static const char *keyword_advice(const char *word) {
  static const struct {
    const char *word, *advice;
  } table[] = {
      {"and", "'and' does not work on tensors; use & with each condition in brackets: (a > 0) & (b > 0)"},
      {"or", "'or' does not work on tensors; use | with each condition in brackets: (a > 0) | (b > 0)"},
      {"not", "'not' cannot stand here; put it in brackets or use ~"},
      {"if", "'if' is not supported; use where(condition, a, b)"},
      {"else", "'else' is not supported; use where(condition, a, b)"},
      {"in", "'in' is not supported"},
      {"is", "'is' is not supported; use == or isnan(x)"},
      {"lambda", "functions cannot be defined here"},
      {"def", "functions cannot be defined here"},
      {"for", "loops and comprehensions are not supported: write the operation on whole tensors"},
      {"while", "loops are not supported: write the operation on whole tensors"},
      {"import", "nothing needs to be imported: np.sin, mt.sin and sin are the same"},
      {"from", "nothing needs to be imported: np.sin, mt.sin and sin are the same"},
      {"del", "'del' is not supported"},
      {"return", "'return' is not supported: the last expression is the result"},
  };

  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (!strcmp(table[i].word, word)) return table[i].advice;
  return NULL;
}

static mx_ast *unexpected(parser *p, const char *wanted) {
  const mx_token *t = &p->token;
  const char *advice = t->kind == MX_TOKEN_NAME ? keyword_advice(t->text) : NULL;

  if (advice) return fail_at(p, t->pos, advice);
  if (t->kind == MX_TOKEN_END)
    mx_text_fail(p->fault, t->pos, "the expression ends where %s was expected", wanted);
  else if (t->kind == MX_TOKEN_SEPARATOR)
    mx_text_fail(p->fault, t->pos, "the statement ends where %s was expected", wanted);
  else
    mx_text_fail(p->fault, t->pos, "%s was expected here, not '%.*s'", wanted,
            (int)(t->end - t->pos > 40 ? 40 : t->end - t->pos), p->source + t->pos);
  return NULL;
}

/* expressions up to a closing bracket or the end of the statement; `first` is the one that is already there */
static mx_ast *parse_tuple(parser *p, mx_ast *first, size_t pos) {
  kids k = {0};

  if (!kids_add(p, &k, first)) return NULL;
  while (at_op(p, MX_SIGN_COMMA)) {
    mx_ast *e;
    if (!advance(p)) return NULL;
    if (at_op(p, MX_SIGN_RPAREN) || p->token.kind == MX_TOKEN_END || p->token.kind == MX_TOKEN_SEPARATOR) break;
    if (!(e = parse_expression(p, 0)) || !kids_add(p, &k, e)) return NULL;
  }
  return branch(p, MX_AST_TUPLE, pos, k.item, k.n);
}

static mx_ast *parse_parenthesis(parser *p) {
  size_t pos = p->token.pos;
  mx_ast *e;

  if (!advance(p)) return NULL;
  if (at_op(p, MX_SIGN_RPAREN)) return advance(p) ? branch(p, MX_AST_TUPLE, pos, NULL, 0) : NULL;
  if (!(e = parse_expression(p, 0))) return NULL;
  if (at_op(p, MX_SIGN_COMMA) && !(e = parse_tuple(p, e, pos))) return NULL;
  if (!at_op(p, MX_SIGN_RPAREN)) return unexpected(p, "')'");
  return advance(p) ? e : NULL;
}

static mx_ast *parse_list(parser *p) {
  size_t pos = p->token.pos;
  kids k = {0};

  if (!advance(p)) return NULL;
  while (!at_op(p, MX_SIGN_RBRACKET)) {
    mx_ast *e = parse_expression(p, 0);
    if (!e || !kids_add(p, &k, e)) return NULL;
    if (at_op(p, MX_SIGN_RBRACKET)) break;
    if (!at_op(p, MX_SIGN_COMMA)) return unexpected(p, "',' or ']'");
    if (!advance(p)) return NULL;
  }
  return advance(p) ? branch(p, MX_AST_LIST, pos, k.item, k.n) : NULL;
}

/* A prefix operator and its operand. */
static mx_ast *parse_prefix(parser *p, mx_sign op, int bp) {
  mx_token t = p->token;
  mx_ast *operand, *a;

  if (!advance(p) || !(operand = parse_expression(p, bp))) return NULL;
  if (operand->kind == MX_AST_INT && operand->big && op == MX_SIGN_SUB) { /* -2**63, the one literal that needs its sign */
    operand->big = false;
    operand->pos = t.pos;
    return operand;
  }
  if ((a = branch2(p, MX_AST_UNARY, t.pos, operand, NULL))) a->op = op;
  return a;
}

static mx_ast *parse_operand(parser *p, int min_bp) {
  static const mx_ast_kind literal[] = {
      [MX_TOKEN_INT] = MX_AST_INT, [MX_TOKEN_FLOAT] = MX_AST_FLOAT, [MX_TOKEN_IMAGINARY] = MX_AST_IMAGINARY,
      [MX_TOKEN_STRING] = MX_AST_STRING, [MX_TOKEN_NAME] = MX_AST_NAME};
  mx_token t = p->token;

  if (t.kind == MX_TOKEN_OP) {
    switch (t.op) {
    case MX_SIGN_ADD: case MX_SIGN_SUB: case MX_SIGN_NOT_BITS: return parse_prefix(p, t.op, BP_UNARY);
    case MX_SIGN_LPAREN: return parse_parenthesis(p);
    case MX_SIGN_LBRACKET: return parse_list(p);
    case MX_SIGN_ELLIPSIS: return advance(p) ? leaf(p, MX_AST_ELLIPSIS, &t) : NULL;
    default: return unexpected(p, "an operand");
    }
  }
  if (t.kind == MX_TOKEN_END || t.kind == MX_TOKEN_SEPARATOR) return unexpected(p, "an operand");
  if (t.kind == MX_TOKEN_NAME) {
    if (!strcmp(t.text, "not") && min_bp <= BP_NOT) return parse_prefix(p, MX_SIGN_NOT, BP_NOT);
    if (keyword_advice(t.text)) return unexpected(p, "an operand");
  }
  return advance(p) ? leaf(p, literal[t.kind], &t) : NULL;
}

static mx_ast *parse_argument(parser *p) {
  mx_token t = p->token;
  mx_ast *e = parse_expression(p, 0), *a;

  if (!e || !at_op(p, MX_SIGN_ASSIGN)) return e;
  if (e->kind != MX_AST_NAME || e->pos != t.pos) return unexpected(p, "',' or ')'");
  if (!advance(p) || !(e = parse_expression(p, 0))) return NULL;
  if ((a = branch2(p, MX_AST_KEYWORD, t.pos, e, NULL))) a->text = t.text;
  return a;
}

static mx_ast *parse_call(parser *p, mx_ast *callee) {
  size_t pos = callee->pos;
  kids k = {0};

  if (!kids_add(p, &k, callee) || !advance(p)) return NULL;
  while (!at_op(p, MX_SIGN_RPAREN)) {
    mx_ast *e = parse_argument(p);
    if (!e) return NULL;
    if (e->kind != MX_AST_KEYWORD && k.n > 1 && k.item[k.n - 1]->kind == MX_AST_KEYWORD)
      return fail_at(p, e->pos, "a positional argument cannot follow a keyword argument");
    if (!kids_add(p, &k, e)) return NULL;
    if (at_op(p, MX_SIGN_RPAREN)) break;
    if (!at_op(p, MX_SIGN_COMMA)) return unexpected(p, "',' or ')'");
    if (!advance(p)) return NULL;
  }
  return advance(p) ? branch(p, MX_AST_CALL, pos, k.item, k.n) : NULL;
}

/* One item of an index: an expression or start:stop:step. */
static mx_ast *parse_index_item(parser *p) {
  mx_ast **kid = take(p, 3 * sizeof *kid);
  size_t pos = p->token.pos;
  bool slice = false;

  for (int part = 0; kid && part < 3; part++) {
    if (!at_op(p, MX_SIGN_COLON) && !at_op(p, MX_SIGN_COMMA) && !at_op(p, MX_SIGN_RBRACKET) && !(kid[part] = parse_expression(p, 0)))
      return NULL;
    if (!at_op(p, MX_SIGN_COLON)) break;
    if (part == 2) return unexpected(p, "',' or ']'");
    slice = true;
    if (!advance(p)) return NULL;
  }
  if (!kid) return NULL;
  if (slice) return branch(p, MX_AST_SLICE, pos, kid, 3);
  return kid[0] ? kid[0] : unexpected(p, "an index");
}

static mx_ast *parse_index(parser *p, mx_ast *operand) {
  size_t pos = p->token.pos;
  kids k = {0};

  if (!kids_add(p, &k, operand) || !advance(p)) return NULL;
  do {
    mx_ast *e = parse_index_item(p);
    if (!e || !kids_add(p, &k, e)) return NULL;
    if (at_op(p, MX_SIGN_RBRACKET)) break;
    if (!at_op(p, MX_SIGN_COMMA)) return unexpected(p, "',' or ']'");
    if (!advance(p)) return NULL;
  } while (!at_op(p, MX_SIGN_RBRACKET));
  return advance(p) ? branch(p, MX_AST_INDEX, pos, k.item, k.n) : NULL;
}

static mx_ast *parse_attribute(parser *p, mx_ast *operand) {
  mx_ast *a;
  mx_token t;

  if (!advance(p)) return NULL;
  t = p->token;
  if (t.kind != MX_TOKEN_NAME) return unexpected(p, "a name");
  if (!advance(p) || !(a = branch2(p, MX_AST_ATTRIBUTE, t.pos, operand, NULL))) return NULL;
  a->text = t.text;
  return a;
}

/* Calls, indices and attributes behind an operand: they bind tightest. */
static mx_ast *parse_postfix(parser *p, mx_ast *a) {
  while (a) {
    if (at_op(p, MX_SIGN_LPAREN)) a = parse_call(p, a);
    else if (at_op(p, MX_SIGN_LBRACKET)) a = parse_index(p, a);
    else if (at_op(p, MX_SIGN_DOT)) a = parse_attribute(p, a);
    else break;
  }
  return a;
}

static int left_power(const mx_token *t) {
  if (t->kind != MX_TOKEN_OP) return -1;
  switch (t->op) {
  case MX_SIGN_LT: case MX_SIGN_LE: case MX_SIGN_GT: case MX_SIGN_GE: case MX_SIGN_EQ: case MX_SIGN_NE: return BP_COMPARE;
  case MX_SIGN_OR: return BP_OR;
  case MX_SIGN_XOR: return BP_XOR;
  case MX_SIGN_AND: return BP_AND;
  case MX_SIGN_SHL: case MX_SIGN_SHR: return BP_SHIFT;
  case MX_SIGN_ADD: case MX_SIGN_SUB: return BP_ADD;
  case MX_SIGN_MUL: case MX_SIGN_DIV: case MX_SIGN_FLOOR_DIV: case MX_SIGN_MOD: case MX_SIGN_MATMUL: return BP_MUL;
  case MX_SIGN_POW: return BP_POW;
  default: return -1;
  }
}

/* a < b < c is one node: b is evaluated once. */
static mx_ast *parse_comparison(parser *p, mx_ast *first) {
  size_t pos = p->token.pos, n = 0, capacity = 0;
  mx_sign *ops = NULL;
  size_t *ops_pos = NULL;
  kids k = {0};
  mx_ast *a;

  if (!kids_add(p, &k, first)) return NULL;
  while (left_power(&p->token) == BP_COMPARE) {
    mx_ast *e;
    if (n == capacity) {
      mx_sign *grown = take(p, (2 * capacity + 2) * sizeof *grown);
      size_t *grown_pos = take(p, (2 * capacity + 2) * sizeof *grown_pos);
      if (!grown || !grown_pos) return NULL;
      if (n) memcpy(grown, ops, n * sizeof *ops), memcpy(grown_pos, ops_pos, n * sizeof *ops_pos);
      ops = grown;
      ops_pos = grown_pos;
      capacity = 2 * capacity + 2;
    }
    ops[n] = p->token.op;
    ops_pos[n++] = p->token.pos;
    if (!advance(p) || !(e = parse_expression(p, BP_COMPARE + 1)) || !kids_add(p, &k, e)) return NULL;
  }
  if ((a = branch(p, MX_AST_COMPARE, pos, k.item, k.n))) {
    a->ops = ops;
    a->ops_pos = ops_pos;
  }
  return a;
}

static mx_ast *parse_binary(parser *p, mx_ast *left) {
  mx_token t = p->token;
  int bp = left_power(&t);
  mx_ast *right, *a;

  if (!advance(p)) return NULL;
  /* ** groups to the right, and a sign may follow it: 2 ** -1 */
  right = parse_expression(p, bp == BP_POW ? BP_UNARY : bp + 1);
  if (!right || !(a = branch2(p, MX_AST_BINARY, t.pos, left, right))) return NULL;
  a->op = t.op;
  return a;
}

static mx_ast *parse_expression(parser *p, int min_bp) {
  mx_ast *a = NULL;
  int bp;

  if (++p->nesting > MX_MAX_NESTING) {
    mx_text_fail(p->fault, p->token.pos, "brackets and signs nest more than %d deep here",
            MX_MAX_NESTING);
    return NULL;
  }
  a = parse_postfix(p, parse_operand(p, min_bp));
  while (a && (bp = left_power(&p->token)) >= 0 && bp >= min_bp)
    a = bp == BP_COMPARE ? parse_comparison(p, a) : parse_binary(p, a);
  p->nesting--;
  return a;
}

/* The left side of '=': names only. */
static bool set_targets(parser *p, mx_statement *st, const mx_ast *left) {
  const mx_ast *const *item = left->kind == MX_AST_TUPLE ? (const mx_ast *const *)left->kid : &left;

  st->n_targets = left->kind == MX_AST_TUPLE ? left->n : 1;
  st->target = take(p, (st->n_targets + 1) * sizeof *st->target);
  st->target_pos = take(p, (st->n_targets + 1) * sizeof *st->target_pos);
  if (!st->target || !st->target_pos) return false;
  for (size_t i = 0; i < st->n_targets; i++) {
    if (item[i]->kind != MX_AST_NAME || !strcmp(item[i]->text, "True") || !strcmp(item[i]->text, "False") ||
        !strcmp(item[i]->text, "None"))
      return fail_at(p, item[i]->pos, "only names can be assigned to: name = expression, or a, b = expression");
    st->target[i] = item[i]->text;
    st->target_pos[i] = item[i]->pos;
  }
  return st->n_targets > 0 || fail_at(p, left->pos, "only names can be assigned to: name = expression");
}

static mx_ast *parse_expressions(parser *p) {
  size_t pos = p->token.pos;
  mx_ast *a = parse_expression(p, 0);

  return a && at_op(p, MX_SIGN_COMMA) ? parse_tuple(p, a, pos) : a;
}

static bool parse_statement(parser *p, mx_statement *st) {
  mx_ast *a = parse_expressions(p);

  if (a && at_op(p, MX_SIGN_ASSIGN)) {
    if (!set_targets(p, st, a) || !advance(p)) return false;
    a = parse_expressions(p);
  }
  if (!a) return false;
  st->value = a;
  if (p->token.kind == MX_TOKEN_END || p->token.kind == MX_TOKEN_SEPARATOR) return true;
  unexpected(p, "an operator or the end");
  return false;
}

bool mx_parse(const char *source, const mx_text_memory *memory, mx_text_fault *fault, mx_script *out) {
  parser p = {.memory = memory, .fault = fault, .source = source};
  size_t capacity = 0;

  *out = (mx_script){.source = source};
  mx_lexer_init(&p.lexer, source, memory, fault);
  if (!advance(&p)) return false;
  for (;;) {
    while (p.token.kind == MX_TOKEN_SEPARATOR)
      if (!advance(&p)) return false;
    if (p.token.kind == MX_TOKEN_END) break;
    if (out->n == capacity) {
      mx_statement *grown = take(&p, (2 * capacity + 4) * sizeof *grown);
      if (!grown) return false;
      if (out->n) memcpy(grown, out->statement, out->n * sizeof *grown);
      out->statement = grown;
      capacity = 2 * capacity + 4;
    }
    if (!parse_statement(&p, &out->statement[out->n])) return false;
    out->n++;
  }
  return out->n > 0 || mx_text_fail(fault, 0, "the expression is empty");
}
