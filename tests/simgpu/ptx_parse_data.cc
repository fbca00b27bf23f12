/* Variables, their initial values, and constant expressions. */
#include <cstring>

#include "ptx_parser.h"

namespace sg {

/* [.attribute(..)] [.align n] .type [.ptr [.space] [.align n]] name[n][m] [= value], after the word of the
 * space */
Variable Parser::variable_declaration(Space space, bool is_extern) {
  Variable v;
  bool is_pointer = false;

  v.space = space;
  v.is_extern = is_extern;
  v.line = peek().line;
  v.align = 0;
  while (peek().kind == Token::DOT) {
    std::string word = take().text;
    if (word == "align") {
      size_t align = static_cast<size_t>(take_int());
      if (align == 0 || (align & (align - 1)))
        fail("an alignment is a power of two");
      if (!is_pointer)
        v.align = align; // else it is what the pointer points to
    } else if (word == "ptr") {
      is_pointer = true;
    } else if (word == "attribute") {
      expect('(');
      while (!accept(')'))
        take();
    } else if (type_of_name(word) != Type::NONE) {
      v.type = type_of_name(word);
    } else if (!is_pointer && word != "managed") {
      fail("unknown word ." + word + " in a declaration");
    }
  }
  size_t size = type_bytes(v.type);
  if (size == 0)
    fail("a variable of this type");
  if (v.align == 0)
    v.align = size;
  v.name = take_name();
  v.bytes = size;
  while (accept('[')) {
    if (accept(']')) {
      v.is_unsized = true;
      v.bytes = 0;
      continue;
    }
    v.bytes *= static_cast<size_t>(take_int());
    expect(']');
  }
  if (accept('=')) {
    size_t at = 0;
    initial_value(&v, 0, &at);
    if (v.is_unsized)
      v.bytes = v.init.size();
    if (v.init.size() > v.bytes)
      fail("more initial values than " + v.name + " has room for");
    v.is_unsized = false;
  }
  return v;
}

std::vector<Variable> Parser::variable_list(Space space, bool is_extern) {
  std::vector<Variable> out;
  out.push_back(variable_declaration(space, is_extern));
  while (accept(',')) { // .global .u32 a, b: the type is said once
    Variable v = out.front();
    v.init.clear();
    v.fixups.clear();
    v.name = take_name();
    v.bytes = type_bytes(v.type);
    while (accept('[')) {
      v.bytes *= static_cast<size_t>(take_int());
      expect(']');
    }
    size_t at = 0;
    if (accept('='))
      initial_value(&v, 0, &at);
    out.push_back(v);
  }
  expect(';');
  return out;
}

void Parser::initial_value(Variable *v, size_t depth, size_t *at) {
  if (!accept('{')) {
    initial_element(v, at);
    return;
  }
  while (!accept('}')) {
    initial_value(v, depth + 1, at);
    if (!peek().is('}'))
      expect(',');
  }
}

/* A number, an address (x, generic(x), x+4) or a byte of one (0xFF00(x)). */
void Parser::initial_element(Variable *v, size_t *at) {
  size_t bytes = type_bytes(v->type);
  uint64_t bits = 0;
  int line = peek().line;

  if (v->init.size() < *at + bytes)
    v->init.resize(*at + bytes);
  bool is_mask = peek().kind == Token::INT && peek(1).is('(');
  if (is_mask || (peek().kind == Token::NAME && !peek().is_name("WARP_SZ"))) {
    uint64_t mask = is_mask ? take().bits : 0;
    bool is_wrapped = is_mask || (peek().is_name("generic") && peek(1).is('('));
    Fixup f = {*at, bytes, 0, "", 0, line};
    if (is_wrapped && !is_mask)
      take();
    if (is_wrapped)
      expect('(');
    bool is_generic_inside = is_mask && peek().is_name("generic") && peek(1).is('(');
    if (is_generic_inside)
      take(), take();
    f.symbol = take_name();
    if (is_generic_inside)
      expect(')');
    if (peek().is('+') || peek().is('-')) {
      bool is_minus = take().is('-');
      f.addend = static_cast<int64_t>(unary_expression()) * (is_minus ? -1 : 1);
    }
    if (is_wrapped)
      expect(')');
    if (!is_mask && (peek().is('+') || peek().is('-'))) {
      bool is_minus = take().is('-');
      f.addend += static_cast<int64_t>(unary_expression()) * (is_minus ? -1 : 1);
    }
    while (mask && !(mask & 0xff))
      mask >>= 8, f.shift += 8;
    v->fixups.push_back(f);
  } else if (v->type == Type::F32 || v->type == Type::F64) {
    bool is_minus = accept('-');
    double value = peek().kind == Token::INT ? static_cast<double>(peek().bits) : peek().value;
    if (peek().kind != Token::INT && peek().kind != Token::FLOAT)
      fail("expected a number");
    uint64_t raw = take().bits;
    bool is_raw = tokens[pos - 1].is_hex_float && tokens[pos - 1].is_f32 == (v->type == Type::F32);
    float single = static_cast<float>(value);
    if (is_raw)
      bits = raw;
    else if (v->type == Type::F32)
      memcpy(&bits, &single, 4);
    else
      memcpy(&bits, &value, 8);
    if (is_minus)
      bits ^= 1ull << (bytes * 8 - 1);
  } else {
    bits = integer_expression();
  }
  memcpy(&v->init[*at], &bits, std::min<size_t>(bytes, 8));
  *at += bytes;
}

/* ---- constant expressions: 64-bit integers
 * ----------------------------------------------------------------------- */

namespace {
const char *const kLevels[] = {"||", "&&", "|", "^", "&", "==!=", "<><=>=", "<<>>", "+-", "*/%"};
}

uint64_t Parser::unary_expression() {
  if (accept('-'))
    return 0 - unary_expression();
  if (accept('+'))
    return unary_expression();
  if (accept('~'))
    return ~unary_expression();
  if (accept('!'))
    return !unary_expression();
  if (accept('(')) {
    if (peek().kind == Token::DOT) { // (.s64), (.u64): everything is 64 bits wide
      take();
      expect(')');
      return unary_expression();
    }
    uint64_t value = integer_expression();
    expect(')');
    return value;
  }
  if (peek().is_name("WARP_SZ")) {
    take();
    return 32;
  }
  if (peek().kind != Token::INT)
    fail("expected a constant before '" + peek().text + "'");
  return take().bits;
}

uint64_t Parser::binary_expression(int level) {
  const int levels = sizeof kLevels / sizeof *kLevels;
  if (level == levels)
    return unary_expression();
  uint64_t left = binary_expression(level + 1);
  for (;;) {
    if (peek().kind != Token::PUNCT)
      return left;
    std::string op = peek().text;
    if (peek(1).kind == Token::PUNCT && peek(1).line == peek().line &&
        (peek(1).is('=') || (peek(1).text == op && strchr("<>&|", op[0]))))
      op += peek(1).text;
    bool is_level2 = strlen(kLevels[level]) >= 2 && level <= 1;
    bool is_here = level <= 1   ? is_level2 && op == kLevels[level]
                   : level == 5 ? op == "==" || op == "!="
                   : level == 6 ? op == "<" || op == ">" || op == "<=" || op == ">="
                   : level == 7 ? op == "<<" || op == ">>"
                                : op.size() == 1 && strchr(kLevels[level], op[0]);
    if (!is_here)
      return left;
    for (size_t i = 0; i < op.size(); i++)
      take();
    uint64_t right = binary_expression(level + 1);
    int64_t a = static_cast<int64_t>(left), b = static_cast<int64_t>(right);
    if ((op == "/" || op == "%") && right == 0)
      fail("division by zero");
    left = op == "||"   ? (left || right)
           : op == "&&" ? (left && right)
           : op == "|"  ? left | right
           : op == "^"  ? left ^ right
           : op == "&"  ? left & right
           : op == "==" ? left == right
           : op == "!=" ? left != right
           : op == "<"  ? a < b
           : op == ">"  ? a > b
           : op == "<=" ? a <= b
           : op == ">=" ? a >= b
           : op == "<<" ? (b > 63 ? 0 : left << right)
           : op == ">>" ? (b > 63 ? 0 : left >> right)
           : op == "+"  ? left + right
           : op == "-"  ? left - right
           : op == "*"  ? left * right
           : op == "/"  ? (b == -1 ? 0 - left : static_cast<uint64_t>(a / b))
                        : (b == -1 ? 0 : static_cast<uint64_t>(a % b));
  }
}

} // namespace sg
