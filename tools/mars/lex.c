#include "lex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *text;
  mt_op op;
} ops[] = {
#define X(id, text) {text, id},
    MT_OP_LIST(X)
#undef X
};

const char *mt_op_text(mt_op op) { return op < MT_OP_COUNT ? ops[op].text : "?"; }

void mt_lexer_init(mt_lexer *lexer, const char *source, mt_arena *arena, mt_diag *diag) {
  *lexer = (mt_lexer){.source = source, .arena = arena, .diag = diag};
}

/* ctype.h depends on the locale and on the sign of char */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_name(char c) { return is_name_start(c) || is_digit(c); }

static bool lex_fail(mt_lexer *lexer, size_t pos, const char *text) {
  return mt_fail(lexer->diag, MT_EXIT_USAGE, lexer->source, pos, "%s", text);
}

/* Copy of [pos, end) without the underscores that group digits. */
static char *digits_of(mt_lexer *lexer, size_t pos, size_t end) {
  char *text = mt_alloc(lexer->arena, end - pos + 1);
  size_t n = 0;

  for (size_t i = pos; i < end; i++)
    if (lexer->source[i] != '_') text[n++] = lexer->source[i];
  return text;
}

static bool set_integer(mt_lexer *lexer, mt_token *out, const char *digits, int base) {
  unsigned long long v;
  char *end;

  errno = 0;
  v = strtoull(digits, &end, base);
  if (*end || end == digits) return lex_fail(lexer, out->pos, "this is no number");
  if (errno == ERANGE || v > (unsigned long long)INT64_MAX + 1)
    return lex_fail(lexer, out->pos, "integers have 64 bits here; write a larger number as a float, e.g. 1e20");
  out->kind = MT_TOKEN_INT;
  out->big = v == (unsigned long long)INT64_MAX + 1;
  out->i = out->big ? INT64_MIN : (int64_t)v;
  return true;
}

static size_t skip_digits(const char *s, size_t at) {
  while (is_digit(s[at]) || (s[at] == '_' && is_digit(s[at + 1]))) at++;
  return at;
}

static bool lex_number(mt_lexer *lexer, mt_token *out) {
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
    out->kind = MT_TOKEN_IMAGINARY;
    out->f = strtod(digits_of(lexer, out->pos, at), NULL);
    lexer->at = out->end = ++at;
  } else if (is_float) {
    out->kind = MT_TOKEN_FLOAT;
    out->f = strtod(digits_of(lexer, out->pos, at), NULL);
  } else if (!set_integer(lexer, out, digits_of(lexer, out->pos, at), 10)) {
    return false;
  }
  if (is_name(s[at])) return lex_fail(lexer, at, "a number runs into a letter or digit here");
  return true;
}

static bool lex_string(mt_lexer *lexer, mt_token *out) {
  const char *s = lexer->source;
  size_t at = lexer->at + 1, n = 0;
  char quote = s[lexer->at];
  char *text = mt_alloc(lexer->arena, strlen(s + lexer->at) + 1);

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
  out->kind = MT_TOKEN_STRING;
  out->text = text;
  return true;
}

/* What C and other languages spell differently gets an answer of its own. */
static bool lex_unknown(mt_lexer *lexer) {
  const char *s = lexer->source + lexer->at;

  if (!strncmp(s, "&&", 2)) return lex_fail(lexer, lexer->at, "'&&' is no operator; use & between conditions in brackets");
  if (!strncmp(s, "||", 2)) return lex_fail(lexer, lexer->at, "'||' is no operator; use | between conditions in brackets");
  if (*s == '!') return lex_fail(lexer, lexer->at, "'!' is no operator; use ~ or != ");
  if ((unsigned char)*s >= 128)
    return lex_fail(lexer, lexer->at, "only ASCII characters can stand outside of strings");
  return mt_fail(lexer->diag, MT_EXIT_USAGE, lexer->source, lexer->at,
                 (unsigned char)*s < 32 || *s == 127 ? "unexpected control character 0x%02x" : "unexpected character '%c'", *s);
}

static bool lex_op(mt_lexer *lexer, mt_token *out) {
  const char *s = lexer->source + lexer->at;

  if (strncmp(s, "&&", 2) && strncmp(s, "||", 2))
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
      size_t n = strlen(ops[i].text);
      if (ops[i].op == MT_NOT || strncmp(s, ops[i].text, n)) continue;
      out->kind = MT_TOKEN_OP;
      out->op = ops[i].op;
      lexer->at += n;
      out->end = lexer->at;
      if (out->op == MT_LPAREN || out->op == MT_LBRACKET) lexer->brackets++;
      if ((out->op == MT_RPAREN || out->op == MT_RBRACKET) && lexer->brackets > 0) lexer->brackets--;
      return true;
    }
  return lex_unknown(lexer);
}

bool mt_lex(mt_lexer *lexer, mt_token *out) {
  const char *s = lexer->source;

  *out = (mt_token){.kind = MT_TOKEN_END};
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
    out->kind = MT_TOKEN_SEPARATOR;
    out->end = ++lexer->at;
    return true;
  }
  if (is_digit(s[lexer->at]) || (s[lexer->at] == '.' && is_digit(s[lexer->at + 1]))) return lex_number(lexer, out);
  if (s[lexer->at] == '\'' || s[lexer->at] == '"') return lex_string(lexer, out);
  if (is_name_start(s[lexer->at])) {
    while (is_name(s[lexer->at])) lexer->at++;
    out->kind = MT_TOKEN_NAME;
    out->end = lexer->at;
    out->text = mt_strndup(lexer->arena, s + out->pos, out->end - out->pos);
    return true;
  }
  return lex_op(lexer, out);
}
