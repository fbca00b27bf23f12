/*
 * Parser of expressions: Python's expression grammar (Pratt), to a tree with byte positions.
 *
 *   program    = statement { (';' | line break) statement }
 *   statement  = [ name { ',' name } '=' ] expressions
 *   expressions = expression { ',' expression } [',']          several make a tuple
 * Binding, loosest first: not; comparisons (chained); |; ^; &; << >>; + -; * / // % @; unary + - ~; **;
 * calls, indices and attributes.
 *
 * Layer: engine/expr, as lex.h. Threads: any; no state.
 */
#ifndef MX_PARSE_H
#define MX_PARSE_H

#include "engine/expr/lex.h"

/* Brackets, signs and powers within each other, and levels of the finished tree: what the stack of any thread can bear. */
enum { MX_MAX_NESTING = 200, MX_MAX_DEPTH = 2000 };

typedef enum mx_ast_kind {
  MX_AST_INT,       /* i, big */
  MX_AST_FLOAT,     /* f */
  MX_AST_IMAGINARY, /* f */
  MX_AST_STRING,    /* text */
  MX_AST_NAME,      /* text; True, False and None as well */
  MX_AST_ELLIPSIS,
  MX_AST_UNARY,     /* op kid[0] */
  MX_AST_BINARY,    /* kid[0] op kid[1] */
  MX_AST_COMPARE,   /* kid[0] ops[0] kid[1] ops[1] kid[2] ... */
  MX_AST_CALL,      /* kid[0](kid[1], ...) */
  MX_AST_KEYWORD,   /* text=kid[0], only in calls */
  MX_AST_ATTRIBUTE, /* kid[0].text */
  MX_AST_INDEX,     /* kid[0][kid[1], ...]; `comma`: a comma was there */
  MX_AST_SLICE,     /* kid[0]:kid[1]:kid[2], each may be NULL; only in indices */
  MX_AST_TUPLE,     /* kids */
  MX_AST_LIST       /* kids */
} mx_ast_kind;

typedef struct mx_ast {
  mx_ast_kind kind;
  mx_sign op;
  bool big;
  size_t pos; /* where an error of this node is shown: operator, name, literal */
  int depth;
  int64_t i;
  double f;
  const char *text;
  struct mx_ast **kid;
  size_t n;
  const mx_sign *ops;
  const size_t *ops_pos;
} mx_ast;

typedef struct mx_statement {
  size_t n_targets; /* 0: an expression */
  const char **target;
  size_t *target_pos;
  mx_ast *value;
} mx_statement;

typedef struct mx_script {
  const char *source;
  size_t n;
  mx_statement *statement;
} mx_script;

/* Parse source, which must outlive the script, as must the memory. False: an error is in *fault. */
bool mx_parse(const char *source, const mx_text_memory *memory, mx_text_fault *fault, mx_script *out);

/* The name in the op table of what NumPy, the array API standard or Python call otherwise ("abs": "absolute"); else the name
   itself. */
const char *mx_canonical_name(const char *name);
/* The index-th of those other names, NULL behind the last. */
const char *mx_other_name(size_t index);

#endif
