#include "ptx_lexer.h"

#include <cstdlib>
#include <cstring>

namespace sg {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return is_letter(c) || c == '_' || c == '$' || c == '%';
}
bool is_name_part(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '$';
}

class Lexer {
public:
  explicit Lexer(const char *text) : p(text) {}

  std::vector<Token> all() {
    std::vector<Token> out;
    for (;;) {
      skip_space();
      out.push_back(next());
      if (out.back().kind == Token::END)
        return out;
    }
  }

private:
  const char *p;
  int line = 1;

  void skip_space() {
    for (;;) {
      if (*p == '\n')
        line++, p++;
      else if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\f')
        p++;
      else if (p[0] == '/' && p[1] == '/') {
        while (*p && *p != '\n')
          p++;
      } else if (p[0] == '/' && p[1] == '*') {
        for (p += 2; *p && !(p[0] == '*' && p[1] == '/'); p++)
          line += *p == '\n';
        if (!*p)
          throw ParseError(line, "comment without an end");
        p += 2;
      } else {
        return;
      }
    }
  }

  Token next() {
    Token t;
    t.line = line;
    if (!*p)
      return t;
    if (is_name_start(*p))
      return name(t);
    if (*p == '.' && (is_name_part(p[1])))
      return dot(t);
    if (is_digit(*p))
      return number(t);
    if (*p == '"')
      return string(t);
    t.kind = Token::PUNCT;
    t.text = *p++;
    return t;
  }

  Token name(Token t) {
    const char *start = p++;
    while (is_name_part(*p))
      p++;
    t.kind = Token::NAME;
    t.text.assign(start, p);
    return t;
  }

  Token dot(Token t) {
    const char *start = ++p;
    while (is_name_part(*p) || (p[0] == ':' && p[1] == ':' && is_name_part(p[2])))
      p += *p == ':' ? 2 : 1;
    t.kind = Token::DOT;
    t.text.assign(start, p);
    return t;
  }

  Token string(Token t) {
    const char *start = ++p;
    while (*p && *p != '"' && *p != '\n')
      p += p[0] == '\\' && p[1] ? 2 : 1;
    if (*p != '"')
      throw ParseError(line, "string without an end");
    t.kind = Token::STRING;
    t.text.assign(start, p++);
    return t;
  }

  Token number(Token t) {
    char *end = nullptr;
    t.kind = Token::INT;
    if (p[0] == '0' && (p[1] == 'f' || p[1] == 'F'))
      return hex_float(t, 8);
    if (p[0] == '0' && (p[1] == 'd' || p[1] == 'D'))
      return hex_float(t, 16);
    if (p[0] == '0' && (p[1] == 'b' || p[1] == 'B')) {
      t.bits = strtoull(p + 2, &end, 2);
    } else {
      t.bits = strtoull(p, &end, 0);
      if (*end == '.' && is_digit(end[1])) {
        t.kind = Token::FLOAT;
        t.value = strtod(p, &end);
      }
    }
    t.text.assign(p, static_cast<const char *>(end));
    p = end;
    if (t.kind == Token::INT && *p == 'U')
      p++;
    if (is_name_part(*p))
      throw ParseError(line, "malformed number " + t.text + *p);
    return t;
  }

  Token hex_float(Token t, int digits) {
    const char *start = p;
    std::string hex;
    for (p += 2; isxdigit(static_cast<unsigned char>(*p)); p++)
      hex += *p;
    if (static_cast<int>(hex.size()) != digits)
      throw ParseError(line, "malformed number " + std::string(start, p));
    t.kind = Token::FLOAT;
    t.is_hex_float = true;
    t.is_f32 = digits == 8;
    t.bits = strtoull(hex.c_str(), nullptr, 16);
    if (t.is_f32) {
      uint32_t word = static_cast<uint32_t>(t.bits);
      float f;
      memcpy(&f, &word, sizeof f);
      t.value = f;
    } else {
      memcpy(&t.value, &t.bits, sizeof t.value);
    }
    t.text.assign(start, p);
    return t;
  }
};

} // namespace

std::vector<Token> tokenize(const char *text) {
  return Lexer(text).all();
}

} // namespace sg
