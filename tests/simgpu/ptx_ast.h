/*
 * A parsed module: names are resolved (registers to numbers, symbols to variables), instructions are still
 * words.
 */
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace sg {

enum class Type : uint8_t {
  NONE,
  B8,
  B16,
  B32,
  B64,
  B128,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  F16,
  BF16,
  F16X2,
  BF16X2,
  F32,
  F64,
  PRED
};
enum class Space : uint8_t { GENERIC, GLOBAL, SHARED, LOCAL, CONST, PARAM };

Type type_of_name(const std::string &word); // NONE: not a type
size_t type_bytes(Type t);                  // 0: NONE, PRED
inline bool is_float(Type t) {
  return t >= Type::F16 && t <= Type::F64;
}
inline bool is_signed(Type t) {
  return t >= Type::S8 && t <= Type::S64;
}

/* A word of an initial value that is the address of something. */
struct Fixup {
  size_t offset, bytes;
  int shift; // of the address, in bits: 0xFF00(x) is one byte of it
  std::string symbol;
  int64_t addend;
  int line;
};

struct Variable {
  std::string name;
  Space space = Space::GLOBAL;
  Type type = Type::B8;
  size_t align = 1, bytes = 0;
  bool is_unsized = false; // .extern .shared x[]: all of dynamic shared memory
  bool is_extern = false;
  std::vector<uint8_t> init; // shorter than bytes: zeros follow
  std::vector<Fixup> fixups;
  uint64_t addr = 0; // offset in its space; global and const: the address, once it is laid out
  int line = 0;
};

struct Operand {
  enum Kind { NONE, REG, INT, FLOAT, SPECIAL, SYMBOL, VECTOR, ADDR, FUNCTION, LABEL, SINK };
  Kind kind = NONE;
  int reg = -1;      // REG, or the base of an ADDR
  uint64_t bits = 0; // INT, FLOAT (its double's value in `value`)
  double value = 0;
  bool is_f32_bits = false;      // FLOAT written as 0f..: bits are exact
  bool is_negated = false;       // !p
  std::string name;              // SPECIAL, FUNCTION, LABEL
  const Variable *var = nullptr; // SYMBOL, or the base of an ADDR
  int64_t offset = 0;            // SYMBOL, ADDR
  std::vector<Operand> elems;
};

struct Instr {
  int line = 0;
  int loc_file = 0, loc_line = 0;
  int guard = -1; // predicate register
  bool is_guard_negated = false;
  std::string op;                // fma
  std::vector<std::string> mods; // rn, f32
  std::vector<Operand> operands;
  Operand dst2; // the predicate of setp p|q and shfl d|p
  // call
  std::vector<const Variable *> call_results, call_params;

  std::string text() const;
  bool has(const char *mod) const;
};

struct Function {
  std::string name;
  bool is_entry = false, is_defined = false;
  int line = 0;
  std::deque<Variable> params, results, locals; // locals: .local, .param and .shared of the body
  std::vector<Type> regs;
  std::map<std::string, size_t> labels; // index of the next instruction
  std::map<std::string, std::vector<std::string>> tables;
  std::vector<Instr> code;
  size_t max_threads = 0;
  unsigned required_block[3] = {0, 0, 0};
};

struct Module {
  int target = 0, version = 0;
  std::deque<Variable> variables;
  std::deque<Function> functions; // a declaration and its definition are one
  std::map<std::string, Variable *> variable_names;
  std::map<std::string, Function *> function_names;
  std::map<int, std::string> files;
};

void parse(const char *text, Module *out); // throws ParseError

} // namespace sg
