/*
 * Lexer of expressions: Python's tokens, with byte positions.
 *
 * Layer: engine/expr: text alone. It includes nothing of the engine, so that the command-line tool is built from the same files.
 * Threads: any; no state.
 */
#ifndef MX_LEX_H
#define MX_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory of tokens and trees: take gives zeroed bytes, aligned for any type, that live as long as what is parsed; NULL: there are
   none left. */
typedef struct mx_text_memory {
  void *(*take)(void *ctx, size_t bytes);
  void *ctx;
} mx_text_memory;

/* The first error, and the byte of the source that it is about. */
typedef struct mx_text_fault {
  bool failed, no_memory;
  size_t pos;
  char message[300];
} mx_text_fault;
/* Records it, unless there is one; always false. */
bool mx_text_fail(mx_text_fault *fault, size_t pos, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* NULL, and it is recorded, if there is no memory. */
void *mx_text_take(const mx_text_memory *memory, mx_text_fault *fault, size_t pos, size_t bytes);

typedef enum mx_token_kind {
  MX_TOKEN_END,
  MX_TOKEN_SEPARATOR, /* ';' or a line break outside brackets */
  MX_TOKEN_INT,       /* i; `big` for 2**63, legal only behind a minus */
  MX_TOKEN_FLOAT,     /* f */
  MX_TOKEN_IMAGINARY, /* f */
  MX_TOKEN_STRING,    /* text */
  MX_TOKEN_NAME,      /* text */
  MX_TOKEN_OP         /* op */
} mx_token_kind;

/* Operators and punctuation: constant, spelling. */
#define MX_SIGN_LIST(X)                                                                                        \
  X(MX_SIGN_POW, "**") X(MX_SIGN_FLOOR_DIV, "//") X(MX_SIGN_SHL, "<<") X(MX_SIGN_SHR, ">>") X(MX_SIGN_LE, "<=") X(MX_SIGN_GE, ">=")        \
  X(MX_SIGN_EQ, "==") X(MX_SIGN_NE, "!=") X(MX_SIGN_ELLIPSIS, "...") X(MX_SIGN_ADD, "+") X(MX_SIGN_SUB, "-") X(MX_SIGN_MUL, "*")           \
  X(MX_SIGN_DIV, "/") X(MX_SIGN_MOD, "%") X(MX_SIGN_MATMUL, "@") X(MX_SIGN_NOT_BITS, "~") X(MX_SIGN_AND, "&") X(MX_SIGN_OR, "|")           \
  X(MX_SIGN_XOR, "^") X(MX_SIGN_LT, "<") X(MX_SIGN_GT, ">") X(MX_SIGN_LPAREN, "(") X(MX_SIGN_RPAREN, ")") X(MX_SIGN_LBRACKET, "[")         \
  X(MX_SIGN_RBRACKET, "]") X(MX_SIGN_COMMA, ",") X(MX_SIGN_COLON, ":") X(MX_SIGN_DOT, ".") X(MX_SIGN_ASSIGN, "=") X(MX_SIGN_NOT, "not")
typedef enum mx_sign {
#define X(id, text) id,
  MX_SIGN_LIST(X)
#undef X
      MX_SIGN_COUNT
} mx_sign;
const char *mx_sign_text(mx_sign op);

typedef struct mx_token {
  mx_token_kind kind;
  size_t pos, end; /* bytes [pos, end) of the source */
  mx_sign op;
  bool big;
  int64_t i;
  double f;
  const char *text;
} mx_token;

typedef struct mx_lexer {
  const char *source;
  size_t at;
  int brackets; /* open ones: line breaks inside mean nothing */
  const mx_text_memory *memory;
  mx_text_fault *fault;
} mx_lexer;

void mx_lexer_init(mx_lexer *lexer, const char *source, const mx_text_memory *memory, mx_text_fault *fault);
/* False: an error is in *fault. Behind the end it gives MX_TOKEN_END for ever. */
bool mx_lex(mx_lexer *lexer, mx_token *out);

#endif
