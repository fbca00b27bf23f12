/* Function bodies: declarations, labels, instructions and their operands. */
#include "ptx_parser.h"

namespace sg {

void Parser::body() {
  int depth = 1;

  while (depth > 0) {
    if (peek().kind == Token::END)
      fail("function " + fn->name + " without '}'");
    if (accept('{')) {
      depth++;
      scopes.emplace_back();
    } else if (accept('}')) {
      depth--;
      scopes.pop_back();
    } else {
      statement();
    }
  }
}

void Parser::statement() {
  if (accept(';'))
    return;
  if (peek().kind == Token::DOT) {
    if (!local_directive())
      fail("unknown directive ." + peek().text);
  } else if (peek().kind == Token::NAME && peek(1).is(':')) {
    label();
  } else {
    instruction();
  }
}

bool Parser::local_directive() {
  std::string word = peek().text;
  bool is_extern = false;

  if (word == "extern") {
    take();
    word = peek().text;
    is_extern = true;
  }
  if (word == "reg") {
    take();
    registers();
  } else if (word == "loc") {
    take();
    loc_directive();
  } else if (word == "file") {
    take();
    file_directive();
  } else if (word == "pragma") {
    skip_statement();
  } else if (word == "local" || word == "param" || word == "shared" || word == "global" || word == "const") {
    take();
    Space space = word == "local"    ? Space::LOCAL
                  : word == "param"  ? Space::PARAM
                  : word == "shared" ? Space::SHARED
                  : word == "global" ? Space::GLOBAL
                                     : Space::CONST;
    bool is_module = space == Space::SHARED || space == Space::GLOBAL || space == Space::CONST;
    for (Variable &v : variable_list(space, is_extern)) {
      std::deque<Variable> &owner = is_module ? module.variables : fn->locals;
      owner.push_back(v);
      scopes.back().variables[v.name] = &owner.back();
    }
  } else {
    return false;
  }
  return true;
}

void Parser::registers() {
  while (peek().kind == Token::DOT) {
    Type type = type_of_name(peek().text);
    if (type == Type::NONE)
      fail("registers of type ." + peek().text);
    take();
    do {
      std::string name = take_name();
      int first = static_cast<int>(fn->regs.size());
      if (accept('<')) {
        int64_t count = static_cast<int64_t>(unary_expression()); // not an expression: > follows
        if (count < 0 || count > 1000000)
          fail("number of registers");
        expect('>');
        scopes.back().ranges[name] = Range{first, static_cast<int>(count)};
        fn->regs.insert(fn->regs.end(), static_cast<size_t>(count), type);
      } else {
        scopes.back().regs[name] = first;
        fn->regs.push_back(type);
      }
    } while (accept(','));
  }
  expect(';');
}

void Parser::label() {
  std::string name = take_name();
  expect(':');
  if (accept_dot("branchtargets")) {
    std::vector<std::string> &table = fn->tables[name];
    do
      table.push_back(take_name());
    while (accept(','));
    expect(';');
  } else if (peek().is_dot("callprototype") || peek().is_dot("calltargets")) {
    skip_statement();
  } else if (!fn->labels.emplace(name, fn->code.size()).second) {
    fail("label " + name + " is there twice");
  }
}

void Parser::instruction() {
  Instr in;

  in.line = peek().line;
  in.loc_file = loc_file;
  in.loc_line = loc_line;
  if (accept('@')) {
    in.is_guard_negated = accept('!');
    std::string name = take_name();
    in.guard = find_register(name);
    if (in.guard < 0 || fn->regs[static_cast<size_t>(in.guard)] != Type::PRED)
      fail(name + " is not a predicate");
    in.line = peek().line;
  }
  in.op = take_name();
  while (peek().kind == Token::DOT)
    in.mods.push_back(take().text);
  if (in.op == "call") {
    call_operands(&in);
  } else {
    while (!peek().is(';')) {
      in.operands.push_back(operand());
      if (in.operands.size() == 1 && accept('|'))
        in.dst2 = operand();
      if (peek().is(';'))
        break;
      expect(',');
      if (peek().is(';'))
        fail("an operand is missing");
    }
  }
  expect(';');
  fn->code.push_back(std::move(in));
}

/* call[.uni] [(results),] function [, (params)] [, prototype] */
void Parser::call_operands(Instr *in) {
  if (peek().is('(')) {
    in->call_results = call_list();
    expect(',');
  }
  in->operands.push_back(operand());
  while (accept(',')) {
    if (peek().is('('))
      in->call_params = call_list();
    else
      take_name(); // the prototype or the list of targets
  }
}

std::vector<const Variable *> Parser::call_list() {
  std::vector<const Variable *> out;

  expect('(');
  while (!accept(')')) {
    std::string name = take_name();
    Variable *v = find_variable(name);
    if (!v || v->space != Space::PARAM)
      fail(name + " is not a .param variable: calls by register are not known");
    out.push_back(v);
    if (!peek().is(')'))
      expect(',');
  }
  return out;
}

int Parser::find_register(const std::string &name) const {
  size_t digits = name.size();

  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
    digits--;
  for (size_t i = scopes.size(); i-- > 0;) {
    auto exact = scopes[i].regs.find(name);
    if (exact != scopes[i].regs.end())
      return exact->second;
    if (scopes[i].ranges.empty())
      continue;
    for (size_t cut = digits; cut < name.size() && cut > 0; cut++) { // a prefix may end with digits itself
      auto range = scopes[i].ranges.find(name.substr(0, cut));
      if (range == scopes[i].ranges.end() || (name[cut] == '0' && cut + 1 < name.size()))
        continue;
      if (name.size() - cut > 7)
        continue;
      int number = atoi(name.c_str() + cut);
      if (number < range->second.count)
        return range->second.first + number;
    }
  }
  return -1;
}

Variable *Parser::find_variable(const std::string &name) {
  for (size_t i = scopes.size(); i-- > 0;) {
    auto it = scopes[i].variables.find(name);
    if (it != scopes[i].variables.end())
      return it->second;
  }
  auto it = module.variable_names.find(name);
  return it == module.variable_names.end() ? nullptr : it->second;
}

/* ---- operands
 * ---------------------------------------------------------------------------------------------------- */

Operand Parser::operand() {
  Operand o;

  if (peek().is('['))
    return address();
  if (peek().is('{'))
    return vector();
  if (peek().is('!') && peek(1).kind == Token::NAME) {
    take();
    o = name_operand();
    o.is_negated = true;
    return o;
  }
  if (peek().kind == Token::NAME && !peek().is_name("WARP_SZ"))
    return name_operand();
  bool is_minus = peek().is('-') && peek(1).kind == Token::FLOAT;
  if (is_minus)
    take();
  if (peek().kind == Token::FLOAT) {
    const Token &t = take();
    o.kind = Operand::FLOAT;
    o.bits = t.bits;
    o.is_f32_bits = t.is_hex_float && t.is_f32;
    o.value = is_minus ? -t.value : t.value;
    if (is_minus)
      o.bits ^= o.is_f32_bits ? 1ull << 31 : 1ull << 63;
    return o;
  }
  o.kind = Operand::INT;
  o.bits = integer_expression();
  return o;
}

Operand Parser::vector() {
  Operand o;

  o.kind = Operand::VECTOR;
  expect('{');
  while (!accept('}')) {
    o.elems.push_back(operand());
    if (!peek().is('}'))
      expect(',');
  }
  return o;
}

/* [base], [base+4], [base+-4], [base-4], [4]; the base is a register or a variable. Others (textures) are no
 * addresses. */
Operand Parser::address() {
  Operand o;

  expect('[');
  o.kind = Operand::ADDR;
  if (peek().kind == Token::NAME) {
    Operand base = name_operand();
    o.reg = base.reg;
    o.var = base.var;
    o.offset = base.offset;
    if (base.kind != Operand::REG && base.kind != Operand::SYMBOL)
      fail("address " + base.name);
  }
  if (peek().is('+') || peek().is('-') || peek().kind == Token::INT) {
    accept('+');
    o.offset += static_cast<int64_t>(integer_expression());
  }
  while (
      accept(',')) { // tensor coordinates of instructions that are not known: kept readable for the refusal
    o.elems.push_back(operand());
  }
  expect(']');
  return o;
}

Operand Parser::name_operand() {
  Operand o;

  o.name = take_name();
  if (o.name == "_") {
    o.kind = Operand::SINK;
    return o;
  }
  o.reg = find_register(o.name);
  if (o.reg >= 0) {
    o.kind = Operand::REG;
    return o;
  }
  if (o.name[0] == '%') { // %tid.x
    o.kind = Operand::SPECIAL;
    while (peek().kind == Token::DOT)
      o.name += "." + take().text;
    return o;
  }
  o.var = find_variable(o.name);
  if (o.var) {
    o.kind = Operand::SYMBOL;
    if ((peek().is('+') || peek().is('-')) && peek(1).kind == Token::INT)
      o.offset = take_int();
    return o;
  }
  o.kind = module.function_names.count(o.name) ? Operand::FUNCTION : Operand::LABEL;
  return o;
}

} // namespace sg
