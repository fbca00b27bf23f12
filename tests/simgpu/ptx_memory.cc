/* ld and st, of every space and width; prefetches. */
#include "ptx_access.h"

namespace sg {
namespace {

/* Elements E to registers R, extended. */
template <class E, class R> void ld_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *list = w.frames.back().code->lists.data() + op.list;
  Access a;

  a.bytes = a.align = sizeof(E) * op.n;
  a.touch = Touch::READ;
  if (!resolve(w, op, mask, &a))
    return;
  if (op.n == 1) {
    R *d = slot<R>(w, list[0]);
    if (a.is_contiguous && sizeof(E) == sizeof(R)) {
      memcpy(d, a.host[0], sizeof(R) * kLanes);
      return;
    }
    lanes(mask, [=, &a](int l) {
      E e;
      memcpy(&e, a.host[l], sizeof e);
      d[l] = static_cast<R>(e);
    });
    return;
  }
  for (size_t i = 0; i < op.n; i++) {
    R *d = slot<R>(w, list[i]);
    each_lane(mask, [=, &a](int l) {
      E e;
      memcpy(&e, a.host[l] + i * sizeof e, sizeof e);
      d[l] = static_cast<R>(e);
    });
  }
}

template <class E, class R> void st_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *list = w.frames.back().code->lists.data() + op.list;
  uint8_t data[kLanes][kMaxAccess];
  Access a;

  a.bytes = a.align = sizeof(E) * op.n;
  a.touch = Touch::WRITE;
  a.data = data;
  if (op.n == 1 && sizeof(E) == sizeof(R) && op.space == Space::GLOBAL) {
    const R *s = slot<R>(w, list[0]);
    if (!resolve(w, op, mask, &a))
      return;
    if (a.is_contiguous)
      memcpy(a.host[0], s, sizeof(R) * kLanes);
    else
      each_lane(mask, [=, &a](int l) { memcpy(a.host[l], &s[l], sizeof(R)); });
    return;
  }
  for (size_t i = 0; i < op.n; i++) {
    const R *s = slot<R>(w, list[i]);
    each_lane(mask, [=, &data](int l) {
      E e = static_cast<E>(s[l]);
      memcpy(data[l] + i * sizeof e, &e, sizeof e);
    });
  }
  if (!resolve(w, op, mask, &a))
    return;
  each_lane(mask, [&](int l) { memcpy(a.host[l], data[l], a.bytes); });
}

/* A kernel's parameter at a fixed place: the same for all lanes. */
template <class E, class R> void ld_param_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *list = w.frames.back().code->lists.data() + op.list;
  const uint8_t *p = w.cta->launch->params.data() + op.imm;
  for (size_t i = 0; i < op.n; i++) {
    E e;
    memcpy(&e, p + i * sizeof e, sizeof e);
    R *d = slot<R>(w, list[i]);
    R value = static_cast<R>(e);
    lanes(mask, [=](int l) { d[l] = value; });
  }
}

template <template <class, class> class OP> Handler pick(Type t, size_t register_bytes) {
  size_t bytes = type_bytes(t);
  if (is_signed(t)) {
    switch (bytes << 4 | register_bytes) {
    case 1 << 4 | 2:
      return OP<int8_t, int16_t>::run;
    case 1 << 4 | 4:
      return OP<int8_t, int32_t>::run;
    case 1 << 4 | 8:
      return OP<int8_t, int64_t>::run;
    case 2 << 4 | 4:
      return OP<int16_t, int32_t>::run;
    case 2 << 4 | 8:
      return OP<int16_t, int64_t>::run;
    case 4 << 4 | 8:
      return OP<int32_t, int64_t>::run;
    default:
      break;
    }
  }
  switch (bytes << 4 | register_bytes) {
  case 1 << 4 | 2:
    return OP<uint8_t, uint16_t>::run;
  case 1 << 4 | 4:
    return OP<uint8_t, uint32_t>::run;
  case 1 << 4 | 8:
    return OP<uint8_t, uint64_t>::run;
  case 2 << 4 | 2:
    return OP<uint16_t, uint16_t>::run;
  case 2 << 4 | 4:
    return OP<uint16_t, uint32_t>::run;
  case 2 << 4 | 8:
    return OP<uint16_t, uint64_t>::run;
  case 4 << 4 | 4:
    return OP<uint32_t, uint32_t>::run;
  case 4 << 4 | 8:
    return OP<uint32_t, uint64_t>::run;
  case 8 << 4 | 8:
    return OP<uint64_t, uint64_t>::run;
  default:
    throw Unknown{"width of the register"};
  }
}
template <class E, class R> struct Ld { static constexpr Handler run = ld_op<E, R>; };
template <class E, class R> struct LdParam { static constexpr Handler run = ld_param_op<E, R>; };
template <class E, class R> struct St {
  static constexpr Handler run = st_op<std::make_unsigned_t<E>, std::make_unsigned_t<R>>;
};

size_t take_vector(Mods &m) {
  static const size_t sizes[] = {2, 4, 8};
  int v = m.take_one_of({"v2", "v4", "v8"});
  return v < 0 ? 1 : sizes[v];
}

const std::vector<Operand> elements(const Operand &o, size_t n) {
  if (n == 1) {
    if (o.kind == Operand::VECTOR)
      throw Unknown{"a vector without .v2, .v4, .v8"};
    return {o};
  }
  if (o.kind != Operand::VECTOR || o.elems.size() != n)
    throw Unknown{"elements"};
  return o.elems;
}

/* The width of the registers: all alike; sinks and constants take what the type needs. */
size_t common_bytes(Decoder &d, const std::vector<Operand> &elems, Type t) {
  size_t bytes = 0;
  for (const Operand &o : elems) {
    size_t b = d.register_bytes(o);
    if (b && bytes && b != bytes)
      throw Unknown{"registers of different widths"};
    if (b)
      bytes = b;
  }
  return bytes ? bytes : std::max<size_t>(2, type_bytes(t));
}

Type of_bytes(size_t bytes) {
  return bytes == 2 ? Type::B16 : bytes == 4 ? Type::B32 : Type::B64;
}

void decode_ld(Decoder &d, Mods &m) {
  size_t n = take_vector(m);
  Type t = m.take_type();
  std::vector<uint32_t> slots;

  d.need(2);
  if (type_bytes(t) == 0 || type_bytes(t) > 8 || type_bytes(t) * n > kMaxAccess)
    throw Unknown{""};
  decode_address(d, m, 1, "ld");
  std::vector<Operand> elems = elements(d.in->operands[0], n);
  size_t bytes = common_bytes(d, elems, t);
  for (const Operand &o : elems)
    slots.push_back(d.destination(o, of_bytes(bytes)));
  d.op.n = static_cast<uint8_t>(n);
  d.op.list = d.add_list(slots);
  d.op.run = pick<Ld>(t, bytes);
  const Operand &a = d.in->operands[1];
  bool is_fixed = d.op.space == Space::PARAM && !d.op.is_local_param && a.reg < 0 && a.var;
  if (!is_fixed)
    return;
  int64_t at = static_cast<int64_t>(a.var->addr) + a.offset, size = static_cast<int64_t>(type_bytes(t) * n);
  bool is_inside = a.offset >= 0 && a.offset + size <= static_cast<int64_t>(a.var->bytes);
  if (!is_inside || at % size != 0)
    return; // the checked way says so when it runs
  d.op.imm = at;
  d.op.may_fault = false;
  d.op.run = pick<LdParam>(t, bytes);
}

void decode_st(Decoder &d, Mods &m) {
  size_t n = take_vector(m);
  Type t = m.take_type();
  std::vector<uint32_t> slots;

  d.need(2);
  if (type_bytes(t) == 0 || type_bytes(t) > 8 || type_bytes(t) * n > kMaxAccess)
    throw Unknown{""};
  decode_address(d, m, 0, "st");
  std::vector<Operand> elems = elements(d.in->operands[1], n);
  size_t bytes = common_bytes(d, elems, t);
  Type constant = is_float(t) ? t : of_bytes(bytes);
  for (const Operand &o : elems)
    slots.push_back(d.register_bytes(o) ? d.source(o, of_bytes(bytes)) : d.source(o, constant));
  d.op.n = static_cast<uint8_t>(n);
  d.op.list = d.add_list(slots);
  d.op.run = pick<St>(t, bytes);
}

/* Hints: what they name need not exist. */
void decode_hint(Decoder &d, Mods &m) {
  m.take_one_of({"global", "local", "const", "param", "tensormap"});
  m.take_one_of({"L1", "L2", "uniform"});
  m.take_one_of({"L2::evict_last", "L2::evict_normal"});
  d.op.flow = Flow::NEXT;
}

} // namespace

const Row kMemoryRows[] = {{"ld", decode_ld},         {"ldu", decode_ld},         {"st", decode_st},
                           {"prefetch", decode_hint}, {"prefetchu", decode_hint}, {nullptr, nullptr}};

} // namespace sg
