#include "ptx_parser.h"

#include <cstring>

namespace sg {

/* ---- words
 * ------------------------------------------------------------------------------------------------------- */

namespace {
struct TypeName {
  const char *name;
  Type type;
  size_t bytes;
};
const TypeName kTypes[] = {
    {"b8", Type::B8, 1},         {"b16", Type::B16, 2}, {"b32", Type::B32, 4},   {"b64", Type::B64, 8},
    {"b128", Type::B128, 16},    {"u8", Type::U8, 1},   {"u16", Type::U16, 2},   {"u32", Type::U32, 4},
    {"u64", Type::U64, 8},       {"s8", Type::S8, 1},   {"s16", Type::S16, 2},   {"s32", Type::S32, 4},
    {"s64", Type::S64, 8},       {"f16", Type::F16, 2}, {"bf16", Type::BF16, 2}, {"f16x2", Type::F16X2, 4},
    {"bf16x2", Type::BF16X2, 4}, {"f32", Type::F32, 4}, {"f64", Type::F64, 8},   {"pred", Type::PRED, 0},
};
} // namespace

Type type_of_name(const std::string &word) {
  for (const TypeName &t : kTypes)
    if (word == t.name)
      return t.type;
  return Type::NONE;
}

size_t type_bytes(Type type) {
  for (const TypeName &t : kTypes)
    if (type == t.type)
      return t.bytes;
  return 0;
}

std::string Instr::text() const {
  std::string s = op;
  for (const std::string &m : mods)
    s += "." + m;
  return s;
}

bool Instr::has(const char *mod) const {
  for (const std::string &m : mods)
    if (m == mod)
      return true;
  return false;
}

/* ---- tokens
 * ------------------------------------------------------------------------------------------------------ */

bool Parser::accept(char c) {
  if (!peek().is(c))
    return false;
  take();
  return true;
}

bool Parser::accept_dot(const char *word) {
  if (!peek().is_dot(word))
    return false;
  take();
  return true;
}

void Parser::expect(char c) {
  if (!accept(c))
    fail(std::string("expected '") + c + "' before '" + peek().text + "'");
}

std::string Parser::take_name() {
  if (peek().kind != Token::NAME)
    fail("expected a name before '" + peek().text + "'");
  return take().text;
}

int64_t Parser::take_int() {
  return static_cast<int64_t>(integer_expression());
}

void Parser::skip_line() {
  int line = peek().line;
  while (peek().kind != Token::END && peek().line == line)
    take();
}

void Parser::skip_statement() {
  while (peek().kind != Token::END && !peek().is(';'))
    take();
  expect(';');
}

void Parser::skip_braces() {
  int depth = 0;
  do {
    if (peek().kind == Token::END)
      fail("'{' without '}'");
    depth += peek().is('{') ? 1 : peek().is('}') ? -1 : 0;
    take();
  } while (depth > 0);
}

/* ---- module
 * ------------------------------------------------------------------------------------------------------ */

void Parser::run() {
  bool is_extern = false;

  while (peek().kind != Token::END) {
    if (accept(';'))
      continue;
    if (peek().kind != Token::DOT)
      fail("expected a directive before '" + peek().text + "'");
    std::string word = take().text;
    if (word == "version") {
      module.version = static_cast<int>(take().value * 10 + 0.5);
    } else if (word == "target") {
      std::string target = take_name();
      if (target.compare(0, 3, "sm_") == 0)
        module.target = atoi(target.c_str() + 3);
      while (accept(','))
        take_name();
    } else if (word == "address_size") {
      if (take_int() != 64)
        fail("only .address_size 64");
    } else if (word == "file") {
      file_directive();
    } else if (word == "loc") {
      loc_directive();
    } else if (word == "section") {
      if (peek().kind == Token::DOT || peek().kind == Token::NAME)
        take();
      skip_braces();
    } else if (word == "pragma" || word == "alias") {
      skip_statement();
    } else if (word == "visible" || word == "weak" || word == "common") {
      is_extern = false;
    } else if (word == "extern") {
      is_extern = true;
    } else if (word == "entry" || word == "func") {
      function(word == "entry");
      is_extern = false;
    } else if (word == "global" || word == "const" || word == "shared") {
      Space space = word == "global" ? Space::GLOBAL : word == "const" ? Space::CONST : Space::SHARED;
      for (Variable &v : variable_list(space, is_extern)) {
        module.variables.push_back(v);
        module.variable_names[v.name] = &module.variables.back();
      }
      is_extern = false;
    } else {
      throw ParseError(peek().line, "unknown directive ." + word);
    }
  }
  if (module.version == 0)
    throw ParseError(1, "no .version: this is not PTX");
}

void Parser::file_directive() {
  int number = static_cast<int>(take_int());
  if (peek().kind == Token::STRING)
    module.files[number] = take().text;
  while (accept(','))
    take_int(); // time stamp and size
}

/* .loc 1 6 32[, function_name $x, inlined_at 1 6 32]: ends with its line */
void Parser::loc_directive() {
  int line = peek().line;
  if (peek().kind == Token::INT && peek(1).kind == Token::INT && peek(1).line == line) {
    loc_file = static_cast<int>(peek().bits);
    loc_line = static_cast<int>(peek(1).bits);
  }
  while (peek().kind != Token::END && peek().line == line)
    take();
}

void Parser::param_list(std::deque<Variable> *out) {
  if (!accept('('))
    return;
  out->clear(); // a definition names the parameters anew
  while (!accept(')')) {
    if (!accept_dot("param"))
      fail("only .param parameters, not ." + peek().text);
    out->push_back(variable_declaration(Space::PARAM, false));
    if (!peek().is(')'))
      expect(',');
  }
  uint64_t offset = 0;
  for (Variable &v : *out) {
    offset = (offset + v.align - 1) / v.align * v.align;
    v.addr = offset;
    offset += v.bytes;
  }
}

void Parser::function(bool is_entry) {
  std::deque<Variable> results, params;
  int line = peek().line;

  while (peek().kind == Token::DOT)
    take(); // .noreturn, .FORCE_INLINE
  param_list(&results);
  std::string name = take_name();
  Function *&known = module.function_names[name];
  if (!known) {
    module.functions.emplace_back();
    known = &module.functions.back();
  }
  Function *f = known;
  param_list(&params);
  if (f->is_defined)
    throw ParseError(line, "function " + name + " is defined twice");
  f->name = name;
  f->is_entry = is_entry;
  f->line = line;
  f->params.swap(params);
  f->results.swap(results);
  function_attributes(f);
  if (accept(';'))
    return;
  expect('{');
  fn = f;
  f->is_defined = true;
  scopes.assign(1, Scope());
  for (Variable &v : f->params)
    scopes[0].variables[v.name] = &v;
  for (Variable &v : f->results)
    scopes[0].variables[v.name] = &v;
  body();
  fn = nullptr;
}

void Parser::function_attributes(Function *f) {
  while (peek().kind == Token::DOT) {
    std::string word = take().text;
    std::vector<int64_t> numbers;
    if (word == "pragma") {
      skip_statement();
      continue;
    }
    if (peek().kind == Token::INT) {
      do
        numbers.push_back(take_int());
      while (accept(','));
    }
    if (word == "maxntid" || word == "reqntid") {
      f->max_threads = 1;
      for (int64_t n : numbers)
        f->max_threads *= static_cast<size_t>(n);
    }
    if (word == "reqntid")
      for (size_t i = 0; i < 3; i++)
        f->required_block[i] = i < numbers.size() ? static_cast<unsigned>(numbers[i]) : 1;
  }
}

void parse(const char *text, Module *out) {
  Parser(text, out).run();
}

} // namespace sg
