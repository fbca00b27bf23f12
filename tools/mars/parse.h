/*
 * Parser of calc expressions: Python's expression grammar (Pratt), to a tree with byte positions.
 *
 *   program    = statement { (';' | line break) statement }
 *   statement  = [ name { ',' name } '=' ] expressions
 *   expressions = expression { ',' expression } [',']          several make a tuple
 * Binding, loosest first: not; comparisons (chained); |; ^; &; << >>; + -; * / // % @; unary + - ~; **;
 * calls, indices and attributes.
 *
 * Layer: tools; no libmars. Threads: one.
 */
#ifndef MT_PARSE_H
#define MT_PARSE_H

#include "lex.h"

/* Brackets, signs and powers within each other, and levels of the finished tree: what the stack of any thread can bear. */
enum { MT_MAX_NESTING = 200, MT_MAX_DEPTH = 2000 };

typedef enum mt_ast_kind {
  MT_AST_INT,       /* i, big */
  MT_AST_FLOAT,     /* f */
  MT_AST_IMAGINARY, /* f */
  MT_AST_STRING,    /* text */
  MT_AST_NAME,      /* text; True, False and None as well */
  MT_AST_ELLIPSIS,
  MT_AST_UNARY,     /* op kid[0] */
  MT_AST_BINARY,    /* kid[0] op kid[1] */
  MT_AST_COMPARE,   /* kid[0] ops[0] kid[1] ops[1] kid[2] ... */
  MT_AST_CALL,      /* kid[0](kid[1], ...) */
  MT_AST_KEYWORD,   /* text=kid[0], only in calls */
  MT_AST_ATTRIBUTE, /* kid[0].text */
  MT_AST_INDEX,     /* kid[0][kid[1], ...]; `comma`: a comma was there */
  MT_AST_SLICE,     /* kid[0]:kid[1]:kid[2], each may be NULL; only in indices */
  MT_AST_TUPLE,     /* kids */
  MT_AST_LIST       /* kids */
} mt_ast_kind;

typedef struct mt_ast {
  mt_ast_kind kind;
  mt_op op;
  bool big;
  size_t pos; /* where an error of this node is shown: operator, name, literal */
  int depth;
  int64_t i;
  double f;
  const char *text;
  struct mt_ast **kid;
  size_t n;
  const mt_op *ops;
  const size_t *ops_pos;
} mt_ast;

typedef struct mt_statement {
  size_t n_targets; /* 0: an expression */
  const char **target;
  size_t *target_pos;
  mt_ast *value;
} mt_statement;

typedef struct mt_program {
  const char *source;
  size_t n;
  mt_statement *statement;
} mt_program;

/* Parse source, which must outlive the program, as must the arena. False: an error is in diag (exit code 2). */
bool mt_parse(const char *source, mt_arena *arena, mt_diag *diag, mt_program *out);

/* The tree as text in prefix form, "(* (+ x 1) 2)", for tests. */
void mt_ast_write(const mt_ast *ast, mt_str *out);

#endif
