/*
 * From words to handlers: each family has a table of rows (word, decoding function); a decoding function
 * looks at the modifiers, sets Op.run and the slots, and throws Unknown for what it does not implement.
 */
#pragma once
#include <initializer_list>
#include <unordered_map>

#include "ptx_exec.h"

namespace sg {

struct LoadedModule;

struct Unknown {
  std::string why; // may be empty
};

/* The modifiers of an instruction; each is taken once, and what is left makes the instruction unknown. */
class Mods {
public:
  explicit Mods(const Instr &in) : left(in.mods) {}
  bool take(const char *word);
  int take_one_of(std::initializer_list<const char *> words); // its index, or -1
  Type take_type();                                           // the first; throws if there is none
  Round take_round(Round otherwise);
  void done() const { // throws if there are some left
    if (!left.empty())
      throw Unknown{"modifier ." + left[0]};
  }

private:
  std::vector<std::string> left;
};

class Decoder {
public:
  Decoder(LoadedModule *module, Code *code, const Function *fn);
  void run();

  const Instr *in = nullptr; // being decoded
  Op op;                     // the result; emit() puts others before it

  size_t operand_count() const { return in->operands.size(); }
  void need(size_t n) const { need(n, n); }
  void need(size_t least, size_t most) const {
    if (operand_count() < least || operand_count() > most)
      throw Unknown{"number of operands"};
  }
  uint32_t dst(size_t i, Type type) { return destination(in->operands[i], type); }
  uint32_t src(size_t i, Type type) { return source(in->operands[i], type); }
  uint32_t destination(const Operand &o, Type type);
  uint32_t source(const Operand &o, Type type);
  uint32_t predicate_source(const Operand &o, bool *is_negated);
  Type register_type(const Operand &o) const; // NONE: not a register
  size_t register_bytes(const Operand &o) const;
  uint32_t wide_source(const Operand &o, Type type); // of st and cvt: the register may be wider
  uint32_t constant(uint64_t bits, size_t bytes);
  uint32_t temporary(size_t bytes);
  void address(const Operand &o, Space space); // sets op.a, op.imm, op.is_address_32
  void emit(const Op &o);
  uint32_t add_list(const std::vector<uint32_t> &slots);
  bool is_own(const Variable *v) const { return locals.count(v) != 0; } // in the function's local memory
  bool is_entry() const { return fn->is_entry; }
  uint64_t local_offset(const Variable *v) const; // in the frame's local memory
  void use_shared(const Variable *v);
  void call(); // ptx_decode_flow.cc
  void branch();
  void branch_table();

private:
  LoadedModule *module;
  Code *code;
  const Function *fn;
  std::vector<uint32_t> reg_slots;
  std::unordered_map<const Variable *, uint64_t> locals;
  std::unordered_map<uint64_t, uint32_t> constant_slots[4]; // by log2 of the width
  std::vector<uint32_t> op_of_instr;

  void lay_out_frame();
  void decode_one(const Instr &in);
  void patch_targets();
  uint32_t special(const std::string &name);
  uint32_t symbol(const Operand &o, size_t bytes);
  uint32_t immediate(const Operand &o, Type type);
};

struct Row {
  const char *word;
  void (*decode)(Decoder &, Mods &);
};

/* Every family's table ends with a row of nulls. */
extern const Row kIntRows[], kBitRows[], kCompareRows[], kFloatRows[], kConvertRows[], kMoveRows[],
    kMemoryRows[], kAtomicRows[], kWarpRows[], kFlowRows[];

/* cfg: sets Op.join of every branch. */
void find_joins(Code *code);

inline size_t slot_bytes(Type t) {
  return t == Type::PRED ? 4 : std::max<size_t>(type_bytes(t), 2) * kLanes;
}

} // namespace sg

/* The C API's objects. */
struct sg_ptx_kernel {
  sg::LoadedModule *module;
  const sg::Code *code;
  sg_ptx_kernel_info info;
  std::vector<sg_ptx_param> params;
  std::string unknown;
  size_t deepest_local_bytes = 0; // with callees
};

namespace sg {

struct LoadedModule {
  Module ast;
  std::deque<Code> codes;
  std::unordered_map<const Function *, Code *> code_of;
  std::vector<std::unique_ptr<sg_ptx_kernel>> kernels;
  std::vector<Block64> data; // of the module's variables
  sg_memory *mem = nullptr;
  int device = 0;
  std::vector<const void *> registered; // in mem
  uint64_t dynamic_base = 0;            // of dynamic shared memory, behind every kernel's static
  size_t const_bytes = 0;
};

} // namespace sg

struct sg_ptx_module : sg::LoadedModule {};
