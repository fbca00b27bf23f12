/*
 * PTX text to tokens. Comments are dropped; the line of every token is kept, for .loc (which ends with its
 * line) and errors.
 */
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace sg {

struct Token {
  enum Kind {
    END,
    NAME,   // add, %r1, $L__BB0_1, main
    DOT,    // .reg, .f32, .shared::cta: text without the dot
    INT,    // bits
    FLOAT,  // value; bits hold the pattern when it was written as 0f.. or 0d..
    STRING, // text without the quotes
    PUNCT   // one character
  };
  Kind kind = END;
  std::string text;
  uint64_t bits = 0;
  double value = 0;
  int line = 0;
  bool is_hex_float = false, is_f32 = false;

  bool is(char c) const { return kind == PUNCT && text[0] == c; }
  bool is_dot(const char *word) const { return kind == DOT && text == word; }
  bool is_name(const char *word) const { return kind == NAME && text == word; }
};

/* What is wrong with the text, and where. */
struct ParseError : std::runtime_error {
  ParseError(int line, const std::string &what)
      : std::runtime_error("line " + std::to_string(line) + ": " + what) {}
};

std::vector<Token> tokenize(const char *text);

} // namespace sg
