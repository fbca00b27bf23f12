#include "ptx_decode.h"

#include <algorithm>

namespace sg {

/* ---- modifiers
 * --------------------------------------------------------------------------------------------------- */

bool Mods::take(const char *word) {
  auto it = std::find(left.begin(), left.end(), word);
  if (it == left.end())
    return false;
  left.erase(it);
  return true;
}

int Mods::take_one_of(std::initializer_list<const char *> words) {
  int i = 0;
  for (const char *word : words) {
    if (take(word))
      return i;
    i++;
  }
  return -1;
}

Type Mods::take_type() {
  for (size_t i = 0; i < left.size(); i++) {
    Type t = type_of_name(left[i]);
    if (t == Type::NONE)
      continue;
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
    return t;
  }
  throw Unknown{"type"};
}

Round Mods::take_round(Round otherwise) {
  static const Round rounds[] = {Round::RN,  Round::RZ,  Round::RM,  Round::RP, Round::RNI,
                                 Round::RZI, Round::RMI, Round::RPI, Round::RNA};
  int i = take_one_of({"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "rna"});
  return i < 0 ? otherwise : rounds[i];
}

/* ---- frames
 * ------------------------------------------------------------------------------------------------------ */

Decoder::Decoder(LoadedModule *m, Code *c, const Function *f) : module(m), code(c), fn(f) {
  code->fn = f;
  lay_out_frame();
}

void Decoder::lay_out_frame() {
  uint64_t at = 0;

  for (Type t : fn->regs) {
    reg_slots.push_back(static_cast<uint32_t>(code->frame_bytes));
    code->frame_bytes += (slot_bytes(t) + 63) / 64 * 64;
  }
  auto place_local = [&](const Variable &v) {
    at = (at + v.align - 1) / v.align * v.align;
    locals[&v] = at;
    at += v.bytes;
  };
  for (const Variable &v : fn->locals)
    if (v.space == Space::LOCAL)
      place_local(v);
  code->visible_local_bytes = at;
  for (const Variable &v : fn->locals)
    if (v.space == Space::PARAM)
      place_local(v);
  if (!fn->is_entry) {
    for (const Variable &v : fn->params)
      place_local(v), code->param_offsets.push_back(locals[&v]);
    for (const Variable &v : fn->results)
      place_local(v), code->result_offsets.push_back(locals[&v]);
  }
  code->local_bytes = (at + 15) / 16 * 16;
}

uint64_t Decoder::local_offset(const Variable *v) const {
  auto it = locals.find(v);
  if (it == locals.end())
    throw Unknown{v->name + " is not of this function"};
  return it->second;
}

void Decoder::use_shared(const Variable *v) {
  if (std::find(code->shared.begin(), code->shared.end(), v) == code->shared.end())
    code->shared.push_back(v);
}

/* ---- slots
 * ------------------------------------------------------------------------------------------------------- */

uint32_t Decoder::constant(uint64_t bits, size_t bytes) {
  int width = bytes == 2 ? 0 : bytes == 4 ? 1 : bytes == 8 ? 2 : 3; // 3: a predicate
  if (width == 3)
    bytes = 4;
  if (bytes < 8)
    bits &= (1ull << (bytes * 8)) - 1;
  auto found = constant_slots[width].find(bits);
  if (found != constant_slots[width].end())
    return found->second;
  uint32_t at = static_cast<uint32_t>(code->constants.size() * sizeof(Block64));
  size_t total = width == 3 ? 4 : bytes * kLanes;
  code->constants.resize(code->constants.size() + (total + 63) / 64);
  uint8_t *p = code->constants[at / 64].bytes;
  for (size_t i = 0; i < total; i += bytes)
    memcpy(p + i, &bits, bytes);
  return constant_slots[width][bits] = at | BASE_CONSTANT;
}

uint32_t Decoder::temporary(size_t bytes) {
  uint32_t at = static_cast<uint32_t>(code->frame_bytes);
  code->frame_bytes += (bytes * kLanes + 63) / 64 * 64;
  return at;
}

Type Decoder::register_type(const Operand &o) const {
  return o.kind == Operand::REG ? fn->regs[static_cast<size_t>(o.reg)] : Type::NONE;
}

size_t Decoder::register_bytes(const Operand &o) const {
  Type t = register_type(o);
  return t == Type::NONE || t == Type::PRED ? 0 : std::max<size_t>(type_bytes(t), 2);
}

uint32_t Decoder::destination(const Operand &o, Type type) {
  if (o.kind == Operand::SINK)
    return type == Type::PRED ? temporary(4) : temporary(std::max<size_t>(type_bytes(type), 2));
  if (o.kind != Operand::REG)
    throw Unknown{"a destination that is no register"};
  if (slot_bytes(register_type(o)) != slot_bytes(type))
    throw Unknown{"width of register " + o.name};
  return reg_slots[static_cast<size_t>(o.reg)];
}

uint32_t Decoder::predicate_source(const Operand &o, bool *is_negated) {
  *is_negated = o.is_negated;
  if (o.kind == Operand::INT)
    return constant(o.bits ? kFull : 0, 0);
  if (register_type(o) != Type::PRED)
    throw Unknown{"a predicate is wanted"};
  return reg_slots[static_cast<size_t>(o.reg)];
}

uint32_t Decoder::immediate(const Operand &o, Type type) {
  size_t bytes = std::max<size_t>(type_bytes(type), 2);
  uint64_t bits = o.bits;

  if (o.kind == Operand::INT) {
    if (type == Type::F32 || type == Type::F64) { // mov.f32 %f, 1 means the value
      double value = static_cast<double>(static_cast<int64_t>(o.bits));
      float single = static_cast<float>(value);
      bits = 0;
      if (type == Type::F32)
        memcpy(&bits, &single, 4);
      else
        memcpy(&bits, &value, 8);
    }
    return constant(bits, bytes);
  }
  bool is_wide = bytes == 8;
  if (bytes == 2)
    throw Unknown{"a 16-bit float constant"};
  if (o.is_f32_bits && !is_wide)
    return constant(bits, bytes);
  if (o.is_f32_bits && !is_float(type))
    return constant(bits, bytes);
  bits = 0;
  float single = static_cast<float>(o.value);
  if (is_wide)
    memcpy(&bits, &o.value, 8);
  else
    memcpy(&bits, &single, 4);
  return constant(bits, bytes);
}

uint32_t Decoder::source(const Operand &o, Type type) {
  size_t bytes = std::max<size_t>(type_bytes(type), 2);

  if (o.is_negated)
    throw Unknown{"negated operand"};
  switch (o.kind) {
  case Operand::REG:
    if (slot_bytes(register_type(o)) != slot_bytes(type))
      throw Unknown{"width of register " + o.name};
    return reg_slots[static_cast<size_t>(o.reg)];
  case Operand::INT:
  case Operand::FLOAT:
    return immediate(o, type);
  case Operand::SPECIAL: {
    uint32_t s = special(o.name);
    if (bytes == 4)
      return s;
    Op move; // %tid.x as 16 or 64 bits
    move.in = in;
    move.a = s;
    move.d = temporary(bytes);
    move.run = bytes == 2 ? [](Warp &w, const Op &p, uint32_t m) {
      lanes(m, [d = slot<uint16_t>(w, p.d), a = slot<uint32_t>(w, p.a)](int l) { d[l] = static_cast<uint16_t>(a[l]); });
    } : [](Warp &w, const Op &p, uint32_t m) {
      lanes(m, [d = slot<uint64_t>(w, p.d), a = slot<uint32_t>(w, p.a)](int l) { d[l] = a[l]; });
    };
    emit(move);
    return move.d;
  }
  case Operand::SYMBOL:
  case Operand::FUNCTION:
  case Operand::LABEL:
    return symbol(o, bytes);
  default:
    throw Unknown{"operand"};
  }
}

uint32_t Decoder::wide_source(const Operand &o, Type type) {
  if (o.kind != Operand::REG)
    return source(o, type);
  Type t = register_type(o);
  if (t == Type::PRED || type_bytes(t) < type_bytes(type))
    throw Unknown{"width of register " + o.name};
  return reg_slots[static_cast<size_t>(o.reg)];
}

uint32_t Decoder::special(const std::string &name) {
  static const char *const lane_names[] = {
      "%tid.x",           "%tid.y",         "%tid.z",       "%laneid",   "%lanemask_eq", "%lanemask_le",
      "%lanemask_lt",     "%lanemask_ge",   "%lanemask_gt", "%ntid.x",   "%ntid.y",      "%ntid.z",
      "%ctaid.x",         "%ctaid.y",       "%ctaid.z",     "%nctaid.x", "%nctaid.y",    "%nctaid.z",
      "%warpid",          "%nwarpid",       "%smid",        "%nsmid",    "%gridid",      "%dynamic_smem_size",
      "%total_smem_size", "%aggr_smem_size"};
  for (uint32_t i = 0; i < sizeof lane_names / sizeof *lane_names; i++)
    if (name == lane_names[i])
      return BASE_SPECIAL | i * 128;
  throw Unknown{"special register " + name};
}

/* The address of a variable or function in its own space. */
uint32_t Decoder::symbol(const Operand &o, size_t bytes) {
  if (o.kind == Operand::SYMBOL) {
    const Variable *v = o.var;
    uint64_t at = v->addr + static_cast<uint64_t>(o.offset);
    if (v->space == Space::SHARED) {
      use_shared(v);
      if (v->is_unsized)
        at = module->dynamic_base + static_cast<uint64_t>(o.offset);
    }
    bool is_local = v->space == Space::LOCAL || (v->space == Space::PARAM && locals.count(v));
    if (!is_local)
      return constant(at, bytes);
    Op move; // depends on the depth of calls
    move.in = in;
    move.d = temporary(bytes);
    move.imm = static_cast<int64_t>(local_offset(v)) + o.offset;
    move.run = bytes == 8 ? [](Warp &w, const Op &p, uint32_t m) {
      uint64_t value = w.local_base() + static_cast<uint64_t>(p.imm);
      lanes(m, [d = slot<uint64_t>(w, p.d), value](int l) { d[l] = value; });
    } : [](Warp &w, const Op &p, uint32_t m) {
      uint32_t value = w.local_base() + static_cast<uint32_t>(p.imm);
      lanes(m, [d = slot<uint32_t>(w, p.d), value](int l) { d[l] = value; });
    };
    emit(move);
    return move.d;
  }
  auto it = module->ast.function_names.find(o.name);
  if (it == module->ast.function_names.end())
    throw Unknown{"name " + o.name};
  uint64_t index = 0;
  for (const Function &f : module->ast.functions) {
    if (&f == it->second)
      break;
    index++;
  }
  return constant(kCodeWindow | index << 4, bytes);
}

void Decoder::address(const Operand &o, Space space) {
  if (o.kind != Operand::ADDR || !o.elems.empty())
    throw Unknown{"an address is wanted"};
  op.imm = o.offset;
  if (o.reg >= 0) {
    Type t = fn->regs[static_cast<size_t>(o.reg)];
    if (type_bytes(t) != 4 && type_bytes(t) != 8)
      throw Unknown{"width of the address"};
    op.is_address_32 = type_bytes(t) == 4;
    op.a = reg_slots[static_cast<size_t>(o.reg)];
    return;
  }
  op.is_address_32 = false;
  if (!o.var) {
    op.a = constant(0, 8);
    return;
  }
  Operand base = o;
  base.kind = Operand::SYMBOL;
  base.offset = 0;
  op.a = symbol(base, 8);
  if (space == Space::GENERIC) { // a variable's name in a generic access: its generic address
    if (o.var->space == Space::SHARED)
      op.imm += static_cast<int64_t>(kSharedWindow);
    if (o.var->space == Space::LOCAL)
      op.imm += static_cast<int64_t>(kLocalWindow);
  }
}

uint32_t Decoder::add_list(const std::vector<uint32_t> &slots) {
  uint32_t first = static_cast<uint32_t>(code->lists.size());
  code->lists.insert(code->lists.end(), slots.begin(), slots.end());
  return first;
}

void Decoder::emit(const Op &o) {
  code->ops.push_back(o);
}

/* ---- instructions
 * ------------------------------------------------------------------------------------------------ */

static const std::unordered_map<std::string, const Row *> &rows() {
  static const std::unordered_map<std::string, const Row *> table = [] {
    std::unordered_map<std::string, const Row *> t;
    for (const Row *family : {kIntRows, kBitRows, kCompareRows, kFloatRows, kConvertRows, kMoveRows,
                              kMemoryRows, kAtomicRows, kWarpRows, kFlowRows})
      for (const Row *r = family; r->word; r++)
        t[r->word] = r;
    return t;
  }();
  return table;
}

void Decoder::decode_one(const Instr &instr) {
  auto row = rows().find(instr.op);
  Mods mods(instr);

  in = &instr;
  op = Op();
  op.in = in;
  if (instr.guard >= 0) {
    op.guard = reg_slots[static_cast<size_t>(instr.guard)];
    op.is_guard_negated = instr.is_guard_negated;
  }
  size_t first = code->ops.size();
  try {
    if (row == rows().end())
      throw Unknown{""};
    row->second->decode(*this, mods);
    mods.done();
  } catch (const Unknown &u) {
    code->ops.resize(first);
    op.run = nullptr;
    op.flow = Flow::TRAP;
    if (code->unknown.empty())
      code->unknown = "line " + std::to_string(instr.line) + ": instruction " + instr.text() +
                      " is not implemented" + (u.why.empty() ? "" : " (" + u.why + ")");
  }
  emit(op);
}

void Decoder::run() {
  for (const Instr &instr : fn->code) {
    op_of_instr.push_back(static_cast<uint32_t>(code->ops.size()));
    decode_one(instr);
  }
  Op end; // falling off the end is a return
  end.flow = fn->is_entry ? Flow::EXIT : Flow::RET;
  end.in = fn->code.empty() ? nullptr : &fn->code.back();
  op_of_instr.push_back(static_cast<uint32_t>(code->ops.size()));
  emit(end);
  patch_targets();
  find_joins(code);
}

void Decoder::branch() {
  const Operand &o = in->operands[0];
  auto label = fn->labels.find(o.name);

  if (o.kind != Operand::LABEL || label == fn->labels.end())
    throw Unknown{"label " + o.name};
  op.flow = Flow::BRANCH;
  op.target = static_cast<uint32_t>(label->second); // an instruction; patch_targets makes it an op
}

void Decoder::branch_table() {
  const Operand &o = in->operands[1];
  auto table = fn->tables.find(o.name);
  std::vector<uint32_t> targets;

  if (table == fn->tables.end())
    throw Unknown{"branch table " + o.name};
  for (const std::string &name : table->second) {
    auto label = fn->labels.find(name);
    if (label == fn->labels.end())
      throw Unknown{"label " + name};
    targets.push_back(static_cast<uint32_t>(label->second));
  }
  op.flow = Flow::TABLE;
  op.target = static_cast<uint32_t>(code->tables.size());
  code->tables.push_back(targets);
}

void Decoder::patch_targets() {
  for (Op &o : code->ops)
    if (o.flow == Flow::BRANCH)
      o.target = op_of_instr[o.target];
  for (std::vector<uint32_t> &table : code->tables)
    for (uint32_t &t : table)
      t = op_of_instr[t];
}

void Decoder::call() {
  const Operand &target = in->operands[0];
  Call c;

  auto it = module->ast.function_names.find(target.name);
  if (target.kind == Operand::REG) {
    op.a = source(target, Type::B64);
    code->has_indirect_call = true;
  } else if (it != module->ast.function_names.end()) {
    c.name = target.name;
    if (it->second->is_defined)
      c.callee = module->code_of.at(it->second);
    else if (c.name != "vprintf" && c.name != "__assertfail")
      throw Unknown{"function " + c.name + " is declared only"};
  } else {
    throw Unknown{"function " + target.name};
  }
  for (const Variable *v : in->call_params)
    c.params.emplace_back(local_offset(v), v->bytes);
  for (const Variable *v : in->call_results)
    c.results.emplace_back(local_offset(v), v->bytes);
  op.flow = Flow::CALL;
  op.target = static_cast<uint32_t>(code->calls.size());
  code->calls.push_back(c);
}

} // namespace sg
