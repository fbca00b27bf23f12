#include "parse.h"

#include <string.h>

typedef struct parser {
  mt_lexer lexer;
  mt_token token; /* the next one */
  mt_arena *arena;
  mt_diag *diag;
  const char *source;
  int nesting;
} parser;

/* A list of nodes that grows in the arena. */
typedef struct kids {
  mt_ast **item;
  size_t n, capacity;
} kids;

/* Binding powers of what may stand behind an operand, and of the prefix operators. */
enum { BP_NOT = 5, BP_COMPARE = 10, BP_OR = 20, BP_XOR = 30, BP_AND = 40, BP_SHIFT = 50, BP_ADD = 60, BP_MUL = 70,
       BP_UNARY = 80, BP_POW = 90 };

static mt_ast *parse_expression(parser *p, int min_bp);

static mt_ast *fail_at(parser *p, size_t pos, const char *text) {
  mt_fail(p->diag, MT_EXIT_USAGE, p->source, pos, "%s", text);
  return NULL;
}

static bool advance(parser *p) { return mt_lex(&p->lexer, &p->token); }
static bool at_op(const parser *p, mt_op op) { return p->token.kind == MT_TOKEN_OP && p->token.op == op; }

static void kids_add(parser *p, kids *k, mt_ast *item) {
  if (k->n == k->capacity) {
    size_t capacity = k->capacity ? 2 * k->capacity : 4;
    mt_ast **grown = mt_alloc(p->arena, capacity * sizeof *grown);
    if (k->n) memcpy(grown, k->item, k->n * sizeof *grown);
    k->item = grown;
    k->capacity = capacity;
  }
  k->item[k->n++] = item;
}

static mt_ast *leaf(parser *p, mt_ast_kind kind, const mt_token *t) {
  mt_ast *a = mt_alloc(p->arena, sizeof *a);

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

/* NULL: too deep. */
static mt_ast *branch(parser *p, mt_ast_kind kind, size_t pos, mt_ast **kid, size_t n) {
  mt_ast *a = mt_alloc(p->arena, sizeof *a);

  a->kind = kind;
  a->pos = pos;
  a->kid = kid;
  a->n = n;
  a->depth = 1;
  for (size_t i = 0; i < n; i++)
    if (kid[i] && kid[i]->depth >= a->depth) a->depth = kid[i]->depth + 1;
  if (a->depth > MT_MAX_DEPTH) {
    mt_fail(p->diag, MT_EXIT_USAGE, p->source, pos,
            "the expression nests more than %d levels deep here; give parts of it names: a = ...; b = ...", MT_MAX_DEPTH);
    return NULL;
  }
  return a;
}

static mt_ast *branch2(parser *p, mt_ast_kind kind, size_t pos, mt_ast *a, mt_ast *b) {
  mt_ast **kid = mt_alloc(p->arena, 2 * sizeof *kid);

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

static mt_ast *unexpected(parser *p, const char *wanted) {
  const mt_token *t = &p->token;
  const char *advice = t->kind == MT_TOKEN_NAME ? keyword_advice(t->text) : NULL;

  if (advice) return fail_at(p, t->pos, advice);
  if (t->kind == MT_TOKEN_END)
    mt_fail(p->diag, MT_EXIT_USAGE, p->source, t->pos, "the expression ends where %s was expected", wanted);
  else if (t->kind == MT_TOKEN_SEPARATOR)
    mt_fail(p->diag, MT_EXIT_USAGE, p->source, t->pos, "the statement ends where %s was expected", wanted);
  else
    mt_fail(p->diag, MT_EXIT_USAGE, p->source, t->pos, "%s was expected here, not '%.*s'", wanted,
            (int)(t->end - t->pos > 40 ? 40 : t->end - t->pos), p->source + t->pos);
  return NULL;
}

/* expressions up to a closing bracket or the end of the statement; `first` is the one that is already there */
static mt_ast *parse_tuple(parser *p, mt_ast *first, size_t pos) {
  kids k = {0};

  kids_add(p, &k, first);
  while (at_op(p, MT_COMMA)) {
    mt_ast *e;
    if (!advance(p)) return NULL;
    if (at_op(p, MT_RPAREN) || p->token.kind == MT_TOKEN_END || p->token.kind == MT_TOKEN_SEPARATOR) break;
    if (!(e = parse_expression(p, 0))) return NULL;
    kids_add(p, &k, e);
  }
  return branch(p, MT_AST_TUPLE, pos, k.item, k.n);
}

static mt_ast *parse_parenthesis(parser *p) {
  size_t pos = p->token.pos;
  mt_ast *e;

  if (!advance(p)) return NULL;
  if (at_op(p, MT_RPAREN)) return advance(p) ? branch(p, MT_AST_TUPLE, pos, NULL, 0) : NULL;
  if (!(e = parse_expression(p, 0))) return NULL;
  if (at_op(p, MT_COMMA) && !(e = parse_tuple(p, e, pos))) return NULL;
  if (!at_op(p, MT_RPAREN)) return unexpected(p, "')'");
  return advance(p) ? e : NULL;
}

static mt_ast *parse_list(parser *p) {
  size_t pos = p->token.pos;
  kids k = {0};

  if (!advance(p)) return NULL;
  while (!at_op(p, MT_RBRACKET)) {
    mt_ast *e = parse_expression(p, 0);
    if (!e) return NULL;
    kids_add(p, &k, e);
    if (at_op(p, MT_RBRACKET)) break;
    if (!at_op(p, MT_COMMA)) return unexpected(p, "',' or ']'");
    if (!advance(p)) return NULL;
  }
  return advance(p) ? branch(p, MT_AST_LIST, pos, k.item, k.n) : NULL;
}

/* A prefix operator and its operand. */
static mt_ast *parse_prefix(parser *p, mt_op op, int bp) {
  mt_token t = p->token;
  mt_ast *operand, *a;

  if (!advance(p) || !(operand = parse_expression(p, bp))) return NULL;
  if (operand->kind == MT_AST_INT && operand->big && op == MT_SUB) { /* -2**63, the one literal that needs its sign */
    operand->big = false;
    operand->pos = t.pos;
    return operand;
  }
  if ((a = branch2(p, MT_AST_UNARY, t.pos, operand, NULL))) a->op = op;
  return a;
}

static mt_ast *parse_operand(parser *p, int min_bp) {
  static const mt_ast_kind literal[] = {
      [MT_TOKEN_INT] = MT_AST_INT, [MT_TOKEN_FLOAT] = MT_AST_FLOAT, [MT_TOKEN_IMAGINARY] = MT_AST_IMAGINARY,
      [MT_TOKEN_STRING] = MT_AST_STRING, [MT_TOKEN_NAME] = MT_AST_NAME};
  mt_token t = p->token;

  if (t.kind == MT_TOKEN_OP) {
    switch (t.op) {
    case MT_ADD: case MT_SUB: case MT_NOT_BITS: return parse_prefix(p, t.op, BP_UNARY);
    case MT_LPAREN: return parse_parenthesis(p);
    case MT_LBRACKET: return parse_list(p);
    case MT_ELLIPSIS: return advance(p) ? leaf(p, MT_AST_ELLIPSIS, &t) : NULL;
    default: return unexpected(p, "an operand");
    }
  }
  if (t.kind == MT_TOKEN_END || t.kind == MT_TOKEN_SEPARATOR) return unexpected(p, "an operand");
  if (t.kind == MT_TOKEN_NAME) {
    if (!strcmp(t.text, "not") && min_bp <= BP_NOT) return parse_prefix(p, MT_NOT, BP_NOT);
    if (keyword_advice(t.text)) return unexpected(p, "an operand");
  }
  return advance(p) ? leaf(p, literal[t.kind], &t) : NULL;
}

static mt_ast *parse_argument(parser *p) {
  mt_token t = p->token;
  mt_ast *e = parse_expression(p, 0), *a;

  if (!e || !at_op(p, MT_ASSIGN)) return e;
  if (e->kind != MT_AST_NAME || e->pos != t.pos) return unexpected(p, "',' or ')'");
  if (!advance(p) || !(e = parse_expression(p, 0))) return NULL;
  if ((a = branch2(p, MT_AST_KEYWORD, t.pos, e, NULL))) a->text = t.text;
  return a;
}

static mt_ast *parse_call(parser *p, mt_ast *callee) {
  size_t pos = callee->pos;
  kids k = {0};

  kids_add(p, &k, callee);
  if (!advance(p)) return NULL;
  while (!at_op(p, MT_RPAREN)) {
    mt_ast *e = parse_argument(p);
    if (!e) return NULL;
    if (e->kind != MT_AST_KEYWORD && k.n > 1 && k.item[k.n - 1]->kind == MT_AST_KEYWORD)
      return fail_at(p, e->pos, "a positional argument cannot follow a keyword argument");
    kids_add(p, &k, e);
    if (at_op(p, MT_RPAREN)) break;
    if (!at_op(p, MT_COMMA)) return unexpected(p, "',' or ')'");
    if (!advance(p)) return NULL;
  }
  return advance(p) ? branch(p, MT_AST_CALL, pos, k.item, k.n) : NULL;
}

/* One item of an index: an expression or start:stop:step. */
static mt_ast *parse_index_item(parser *p) {
  mt_ast **kid = mt_alloc(p->arena, 3 * sizeof *kid);
  size_t pos = p->token.pos;
  bool slice = false;

  for (int part = 0; part < 3; part++) {
    if (!at_op(p, MT_COLON) && !at_op(p, MT_COMMA) && !at_op(p, MT_RBRACKET) && !(kid[part] = parse_expression(p, 0)))
      return NULL;
    if (!at_op(p, MT_COLON)) break;
    if (part == 2) return unexpected(p, "',' or ']'");
    slice = true;
    if (!advance(p)) return NULL;
  }
  if (slice) return branch(p, MT_AST_SLICE, pos, kid, 3);
  return kid[0] ? kid[0] : unexpected(p, "an index");
}

static mt_ast *parse_index(parser *p, mt_ast *operand) {
  size_t pos = p->token.pos;
  kids k = {0};

  kids_add(p, &k, operand);
  if (!advance(p)) return NULL;
  do {
    mt_ast *e = parse_index_item(p);
    if (!e) return NULL;
    kids_add(p, &k, e);
    if (at_op(p, MT_RBRACKET)) break;
    if (!at_op(p, MT_COMMA)) return unexpected(p, "',' or ']'");
    if (!advance(p)) return NULL;
  } while (!at_op(p, MT_RBRACKET));
  return advance(p) ? branch(p, MT_AST_INDEX, pos, k.item, k.n) : NULL;
}

static mt_ast *parse_attribute(parser *p, mt_ast *operand) {
  mt_ast *a;
  mt_token t;

  if (!advance(p)) return NULL;
  t = p->token;
  if (t.kind != MT_TOKEN_NAME) return unexpected(p, "a name");
  if (!advance(p) || !(a = branch2(p, MT_AST_ATTRIBUTE, t.pos, operand, NULL))) return NULL;
  a->text = t.text;
  return a;
}

/* Calls, indices and attributes behind an operand: they bind tightest. */
static mt_ast *parse_postfix(parser *p, mt_ast *a) {
  while (a) {
    if (at_op(p, MT_LPAREN)) a = parse_call(p, a);
    else if (at_op(p, MT_LBRACKET)) a = parse_index(p, a);
    else if (at_op(p, MT_DOT)) a = parse_attribute(p, a);
    else break;
  }
  return a;
}

static int left_power(const mt_token *t) {
  if (t->kind != MT_TOKEN_OP) return -1;
  switch (t->op) {
  case MT_LT: case MT_LE: case MT_GT: case MT_GE: case MT_EQ: case MT_NE: return BP_COMPARE;
  case MT_OR: return BP_OR;
  case MT_XOR: return BP_XOR;
  case MT_AND: return BP_AND;
  case MT_SHL: case MT_SHR: return BP_SHIFT;
  case MT_ADD: case MT_SUB: return BP_ADD;
  case MT_MUL: case MT_DIV: case MT_FLOOR_DIV: case MT_MOD: case MT_MATMUL: return BP_MUL;
  case MT_POW: return BP_POW;
  default: return -1;
  }
}

/* a < b < c is one node: b is evaluated once. */
static mt_ast *parse_comparison(parser *p, mt_ast *first) {
  size_t pos = p->token.pos, n = 0, capacity = 0;
  mt_op *ops = NULL;
  size_t *ops_pos = NULL;
  kids k = {0};
  mt_ast *a;

  kids_add(p, &k, first);
  while (left_power(&p->token) == BP_COMPARE) {
    mt_ast *e;
    if (n == capacity) {
      mt_op *grown = mt_alloc(p->arena, (2 * capacity + 2) * sizeof *grown);
      size_t *grown_pos = mt_alloc(p->arena, (2 * capacity + 2) * sizeof *grown_pos);
      if (n) memcpy(grown, ops, n * sizeof *ops), memcpy(grown_pos, ops_pos, n * sizeof *ops_pos);
      ops = grown;
      ops_pos = grown_pos;
      capacity = 2 * capacity + 2;
    }
    ops[n] = p->token.op;
    ops_pos[n++] = p->token.pos;
    if (!advance(p) || !(e = parse_expression(p, BP_COMPARE + 1))) return NULL;
    kids_add(p, &k, e);
  }
  if ((a = branch(p, MT_AST_COMPARE, pos, k.item, k.n))) {
    a->ops = ops;
    a->ops_pos = ops_pos;
  }
  return a;
}

static mt_ast *parse_binary(parser *p, mt_ast *left) {
  mt_token t = p->token;
  int bp = left_power(&t);
  mt_ast *right, *a;

  if (!advance(p)) return NULL;
  /* ** groups to the right, and a sign may follow it: 2 ** -1 */
  right = parse_expression(p, bp == BP_POW ? BP_UNARY : bp + 1);
  if (!right || !(a = branch2(p, MT_AST_BINARY, t.pos, left, right))) return NULL;
  a->op = t.op;
  return a;
}

static mt_ast *parse_expression(parser *p, int min_bp) {
  mt_ast *a = NULL;
  int bp;

  if (++p->nesting > MT_MAX_NESTING) {
    mt_fail(p->diag, MT_EXIT_USAGE, p->source, p->token.pos, "brackets and signs nest more than %d deep here",
            MT_MAX_NESTING);
    return NULL;
  }
  a = parse_postfix(p, parse_operand(p, min_bp));
  while (a && (bp = left_power(&p->token)) >= 0 && bp >= min_bp)
    a = bp == BP_COMPARE ? parse_comparison(p, a) : parse_binary(p, a);
  p->nesting--;
  return a;
}

/* The left side of '=': names only. */
static bool set_targets(parser *p, mt_statement *st, const mt_ast *left) {
  const mt_ast *const *item = left->kind == MT_AST_TUPLE ? (const mt_ast *const *)left->kid : &left;

  st->n_targets = left->kind == MT_AST_TUPLE ? left->n : 1;
  st->target = mt_alloc(p->arena, (st->n_targets + 1) * sizeof *st->target);
  st->target_pos = mt_alloc(p->arena, (st->n_targets + 1) * sizeof *st->target_pos);
  for (size_t i = 0; i < st->n_targets; i++) {
    if (item[i]->kind != MT_AST_NAME || !strcmp(item[i]->text, "True") || !strcmp(item[i]->text, "False") ||
        !strcmp(item[i]->text, "None"))
      return fail_at(p, item[i]->pos, "only names can be assigned to: name = expression, or a, b = expression");
    st->target[i] = item[i]->text;
    st->target_pos[i] = item[i]->pos;
  }
  return st->n_targets > 0 || fail_at(p, left->pos, "only names can be assigned to: name = expression");
}

static mt_ast *parse_expressions(parser *p) {
  size_t pos = p->token.pos;
  mt_ast *a = parse_expression(p, 0);

  return a && at_op(p, MT_COMMA) ? parse_tuple(p, a, pos) : a;
}

static bool parse_statement(parser *p, mt_statement *st) {
  mt_ast *a = parse_expressions(p);

  if (a && at_op(p, MT_ASSIGN)) {
    if (!set_targets(p, st, a) || !advance(p)) return false;
    a = parse_expressions(p);
  }
  if (!a) return false;
  st->value = a;
  if (p->token.kind == MT_TOKEN_END || p->token.kind == MT_TOKEN_SEPARATOR) return true;
  unexpected(p, "an operator or the end");
  return false;
}

bool mt_parse(const char *source, mt_arena *arena, mt_diag *diag, mt_program *out) {
  parser p = {.arena = arena, .diag = diag, .source = source};
  size_t capacity = 0;

  *out = (mt_program){.source = source};
  mt_lexer_init(&p.lexer, source, arena, diag);
  if (!advance(&p)) return false;
  for (;;) {
    while (p.token.kind == MT_TOKEN_SEPARATOR)
      if (!advance(&p)) return false;
    if (p.token.kind == MT_TOKEN_END) break;
    if (out->n == capacity) {
      mt_statement *grown = mt_alloc(arena, (2 * capacity + 4) * sizeof *grown);
      if (out->n) memcpy(grown, out->statement, out->n * sizeof *grown);
      out->statement = grown;
      capacity = 2 * capacity + 4;
    }
    if (!parse_statement(&p, &out->statement[out->n])) return false;
    out->n++;
  }
  return out->n > 0 || mt_fail(diag, MT_EXIT_USAGE, source, 0, "the expression is empty");
}
