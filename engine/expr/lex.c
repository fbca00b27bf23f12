#include "engine/expr/lex.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *text;
  mx_sign op;
} ops[] = {
#define X(id, text) {text, id},
    MX_SIGN_LIST(X)
#undef X
};

const char *mx_sign_text(mx_sign op) { return op < MX_SIGN_COUNT ? ops[op].text : "?"; }

bool mx_text_fail(mx_text_fault *fault, size_t pos, const char *fmt, ...) {
  va_list args;

  if (fault->failed) return false;
  fault->failed = true;
  fault->pos = pos;
  va_start(args, fmt);
  vsnprintf(fault->message, sizeof fault->message, fmt, args);
  va_end(args);
  return false;
}

void *mx_text_take(const mx_text_memory *memory, mx_text_fault *fault, size_t pos, size_t bytes) {
  void *p = memory->take(memory->ctx, bytes);

  if (p == NULL && !fault->failed) {
    mx_text_fail(fault, pos, "no memory");
    fault->no_memory = true;
  }
  return p;
}

void mx_lexer_init(mx_lexer *lexer, const char *source, const mx_text_memory *memory, mx_text_fault *fault) {
  *lexer = (mx_lexer){.source = source, .memory = memory, .fault = fault};
}

/* ctype.h depends on the locale and on the sign of char */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_name(char c) { return is_name_start(c) || is_digit(c); }

static bool lex_fail(mx_lexer *lexer, size_t pos, const char *text) {
  return mx_text_fail(lexer->fault, pos, "%s", text);
}

static char *take(mx_lexer *lexer, size_t bytes) { return mx_text_take(lexer->memory, lexer->fault, lexer->at, bytes); }

/* Copy of [pos, end) without the underscores that group digits. NULL: no memory. */
static char *digits_of(mx_lexer *lexer, size_t pos, size_t end) {
  char *text = take(lexer, end - pos + 1);
  size_t n = 0;

  for (size_t i = pos; text && i < end; i++)
    if (lexer->source[i] != '_') text[n++] = lexer->source[i];
  return text;
}

static bool set_integer(mx_lexer *lexer, mx_token *out, const char *digits, int base) {
  unsigned long long v;
  char *end;

  if (!digits) return false;
  errno = 0;
  v = strtoull(digits, &end, base);
  if (*end || end == digits) return lex_fail(lexer, out->pos, "this is no number");
  if (errno == ERANGE || v > (unsigned long long)INT64_MAX + 1)
    return lex_fail(lexer, out->pos, "integers have 64 bits here; write a larger number as a float, e.g. 1e20");
  out->kind = MX_TOKEN_INT;
  out->big = v == (unsigned long long)INT64_MAX + 1;
  out->i = out->big ? INT64_MIN : (int64_t)v;
  return true;
}

static bool set_float(mx_lexer *lexer, mx_token *out, mx_token_kind kind, size_t end) {
  const char *digits = digits_of(lexer, out->pos, end);

  out->kind = kind;
  if (digits) out->f = strtod(digits, NULL);
  return digits != NULL;
}

static size_t skip_digits(const char *s, size_t at) {
  while (is_digit(s[at]) || (s[at] == '_' && is_digit(s[at + 1]))) at++;
  return at;
}

static bool lex_number(mx_lexer *lexer, mx_token *out) {
  const char *s = lexer->source;
  size_t at = lexer->at;
  bool is_float = false;
  int base = 10;

  if (s[at] == '0' && s[at + 1] && strchr("xXbBoO", s[at + 1])) {
    base = strchr("xX", s[at + 1]) ? 16 : strchr("bB", s[at + 1]) ? 2 : 8;
    at += 2;
    out->pos = lexer->at;
    while (is_name(s[at])) at++;
    lexer->at = out->end = at;
    return set_integer(lexer, out, digits_of(lexer, out->pos + 2, at), base);
  }
  at = skip_digits(s, at);
  if (s[at] == '.') {
    is_float = true;
    at = is_digit(s[at + 1]) ? skip_digits(s, at + 1) : at + 1;
  }
  if ((s[at] == 'e' || s[at] == 'E') &&
      (is_digit(s[at + 1]) || ((s[at + 1] == '+' || s[at + 1] == '-') && is_digit(s[at + 2])))) {
    is_float = true;
    at = skip_digits(s, at + 2);
  }
  lexer->at = out->end = at;
  if (s[at] == 'j' || s[at] == 'J') {
    if (!set_float(lexer, out, MX_TOKEN_IMAGINARY, at)) return false;
    lexer->at = out->end = ++at;
  } else if (is_float) {
    if (!set_float(lexer, out, MX_TOKEN_FLOAT, at)) return false;
  } else if (!set_integer(lexer, out, digits_of(lexer, out->pos, at), 10)) {
    return false;
  }
  if (is_name(s[at])) return lex_fail(lexer, at, "a number runs into a letter or digit here");
  return true;
}

static bool lex_string(mx_lexer *lexer, mx_token *out) {
  const char *s = lexer->source;
  size_t at = lexer->at + 1, n = 0;
  char quote = s[lexer->at];
  char *text = take(lexer, strlen(s + lexer->at) + 1);

  if (!text) return false;
  for (; s[at] && s[at] != quote; at++) {
    if (s[at] == '\n') break;
    if (s[at] == '\\') {
      const char *found = s[at + 1] ? strchr("\\'\"nt", s[at + 1]) : NULL;
      if (!found) return lex_fail(lexer, at, "unknown escape in a string; \\\\, \\', \\\", \\n and \\t are known");
      at++;
      text[n++] = *found == 'n' ? '\n' : *found == 't' ? '\t' : *found;
    } else {
      text[n++] = s[at];
    }
  }
  if (s[at] != quote) return lex_fail(lexer, lexer->at, "this string is not closed");
  lexer->at = out->end = at + 1;
  out->kind = MX_TOKEN_STRING;
  out->text = text;
  return true;
}

/* What C and other languages spell differently gets an answer of its own. */
static bool lex_unknown(mx_lexer *lexer) {
  const char *s = lexer->source + lexer->at;

  if (!strncmp(s, "&&", 2)) return lex_fail(lexer, lexer->at, "'&&' is no operator; use & between conditions in brackets");
  if (!strncmp(s, "||", 2)) return lex_fail(lexer, lexer->at, "'||' is no operator; use | between conditions in brackets");
  if (*s == '!') return lex_fail(lexer, lexer->at, "'!' is no operator; use ~ or != ");
  if ((unsigned char)*s >= 128)
    return lex_fail(lexer, lexer->at, "only ASCII characters can stand outside of strings");
  return mx_text_fail(lexer->fault, lexer->at,
                      (unsigned char)*s < 32 || *s == 127 ? "unexpected control character 0x%02x" : "unexpected character '%c'", *s);
}

static bool lex_op(mx_lexer *lexer, mx_token *out) {
  const char *s = lexer->source + lexer->at;

  if (strncmp(s, "&&", 2) && strncmp(s, "||", 2))
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
      size_t n = strlen(ops[i].text);
      if (ops[i].op == MX_SIGN_NOT || strncmp(s, ops[i].text, n)) continue;
      out->kind = MX_TOKEN_OP;
      out->op = ops[i].op;
      lexer->at += n;
      out->end = lexer->at;
      if (out->op == MX_SIGN_LPAREN || out->op == MX_SIGN_LBRACKET) lexer->brackets++;
      if ((out->op == MX_SIGN_RPAREN || out->op == MX_SIGN_RBRACKET) && lexer->brackets > 0) lexer->brackets--;
      return true;
    }
  return lex_unknown(lexer);
}

bool mx_lex(mx_lexer *lexer, mx_token *out) {
  const char *s = lexer->source;

  *out = (mx_token){.kind = MX_TOKEN_END};
  for (;; lexer->at++) {
    char c = s[lexer->at];
    if (c == '#')
      while (s[lexer->at + 1] && s[lexer->at + 1] != '\n') lexer->at++;
    else if (!(c == ' ' || c == '\t' || c == '\r' || (c == '\n' && lexer->brackets)))
      break;
  }
  out->pos = out->end = lexer->at;
  if (!s[lexer->at]) return true;
  if (s[lexer->at] == ';' || s[lexer->at] == '\n') {
    out->kind = MX_TOKEN_SEPARATOR;
    out->end = ++lexer->at;
    return true;
  }
  if (is_digit(s[lexer->at]) || (s[lexer->at] == '.' && is_digit(s[lexer->at + 1]))) return lex_number(lexer, out);
  if (s[lexer->at] == '\'' || s[lexer->at] == '"') return lex_string(lexer, out);
  if (is_name_start(s[lexer->at])) {
    while (is_name(s[lexer->at])) lexer->at++;
    out->kind = MX_TOKEN_NAME;
    out->end = lexer->at;
    char *text = take(lexer, out->end - out->pos + 1);
    if (text) memcpy(text, s + out->pos, out->end - out->pos);
    out->text = text;
    return text != NULL;
  }
  return lex_op(lexer, out);
}
