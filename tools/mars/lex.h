/*
 * Lexer of calc expressions: Python's tokens, with byte positions.
 *
 * Layer: tools; no libmars. Threads: one.
 */
#ifndef MT_LEX_H
#define MT_LEX_H

#include "text.h"

typedef enum mt_token_kind {
  MT_TOKEN_END,
  MT_TOKEN_SEPARATOR, /* ';' or a line break outside brackets */
  MT_TOKEN_INT,       /* i; `big` for 2**63, legal only behind a minus */
  MT_TOKEN_FLOAT,     /* f */
  MT_TOKEN_IMAGINARY, /* f */
  MT_TOKEN_STRING,    /* text */
  MT_TOKEN_NAME,      /* text */
  MT_TOKEN_OP         /* op */
} mt_token_kind;

/* Operators and punctuation: constant, spelling. */
#define MT_OP_LIST(X)                                                                                        \
  X(MT_POW, "**") X(MT_FLOOR_DIV, "//") X(MT_SHL, "<<") X(MT_SHR, ">>") X(MT_LE, "<=") X(MT_GE, ">=")        \
  X(MT_EQ, "==") X(MT_NE, "!=") X(MT_ELLIPSIS, "...") X(MT_ADD, "+") X(MT_SUB, "-") X(MT_MUL, "*")           \
  X(MT_DIV, "/") X(MT_MOD, "%") X(MT_MATMUL, "@") X(MT_NOT_BITS, "~") X(MT_AND, "&") X(MT_OR, "|")           \
  X(MT_XOR, "^") X(MT_LT, "<") X(MT_GT, ">") X(MT_LPAREN, "(") X(MT_RPAREN, ")") X(MT_LBRACKET, "[")         \
  X(MT_RBRACKET, "]") X(MT_COMMA, ",") X(MT_COLON, ":") X(MT_DOT, ".") X(MT_ASSIGN, "=") X(MT_NOT, "not")
typedef enum mt_op {
#define X(id, text) id,
  MT_OP_LIST(X)
#undef X
      MT_OP_COUNT
} mt_op;
const char *mt_op_text(mt_op op);

typedef struct mt_token {
  mt_token_kind kind;
  size_t pos, end; /* bytes [pos, end) of the source */
  mt_op op;
  bool big;
  int64_t i;
  double f;
  const char *text;
} mt_token;

typedef struct mt_lexer {
  const char *source;
  size_t at;
  int brackets; /* open ones: line breaks inside mean nothing */
  mt_arena *arena;
  mt_diag *diag;
} mt_lexer;

void mt_lexer_init(mt_lexer *lexer, const char *source, mt_arena *arena, mt_diag *diag);
/* False: an error is in diag. Behind the end it gives MT_TOKEN_END for ever. */
bool mt_lex(mt_lexer *lexer, mt_token *out);

#endif
