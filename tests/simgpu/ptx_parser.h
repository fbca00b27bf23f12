/*
 * The parser's state: tokens, names in scope. ptx_parser.cc reads modules, ptx_parse_data.cc variables and
 * constant expressions, ptx_parse_body.cc functions.
 */
#pragma once
#include "ptx_ast.h"
#include "ptx_lexer.h"

namespace sg {

class Parser {
public:
  Parser(const char *text, Module *out) : tokens(tokenize(text)), module(*out) {}
  void run();

private:
  /* %r<35>: a prefix, and the number of the first of its registers */
  struct Range {
    int first, count;
  };
  struct Scope {
    std::map<std::string, int> regs;
    std::map<std::string, Range> ranges;
    std::map<std::string, Variable *> variables;
  };

  std::vector<Token> tokens;
  size_t pos = 0;
  Module &module;
  Function *fn = nullptr;
  std::vector<Scope> scopes;
  int loc_file = 0, loc_line = 0;

  // tokens
  const Token &peek(size_t ahead = 0) const { return tokens[std::min(pos + ahead, tokens.size() - 1)]; }
  const Token &take() { return tokens[pos + 1 < tokens.size() ? pos++ : pos]; }
  bool accept(char c);
  bool accept_dot(const char *word);
  void expect(char c);
  std::string take_name();
  int64_t take_int();
  void skip_line();
  void skip_statement();
  void skip_braces();
  [[noreturn]] void fail(const std::string &what) const { throw ParseError(peek().line, what); }

  // module
  void file_directive();
  void loc_directive();
  void function(bool is_entry);
  void function_attributes(Function *f);
  void param_list(std::deque<Variable> *out);
  void resolve_variables();

  // data
  Variable variable_declaration(Space space, bool is_extern);
  std::vector<Variable> variable_list(Space space, bool is_extern);
  void initial_value(Variable *v, size_t depth, size_t *at);
  void initial_element(Variable *v, size_t *at);
  uint64_t integer_expression() { return binary_expression(0); }
  uint64_t binary_expression(int level);
  uint64_t unary_expression();

  // body
  void body();
  void statement();
  bool local_directive();
  void label();
  void instruction();
  void call_operands(Instr *in);
  std::vector<const Variable *> call_list();
  void registers();
  Operand operand();
  Operand address();
  Operand vector();
  Operand name_operand();
  int find_register(const std::string &name) const;
  Variable *find_variable(const std::string &name);
};

} // namespace sg
