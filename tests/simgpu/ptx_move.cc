/* mov (registers, constants, addresses, packing), cvta, isspacep, the clocks. */
#include <chrono>

#include "ptx_decode.h"

namespace sg {
namespace {

template <class T> void mov_op(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a);
  lanes(mask, [=](int l) { d[l] = a[l]; });
}

/* Elements of type E in the lanes of slots, to and from one register of type R. */
template <class E, class R> void pack_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *list = w.frames.back().code->lists.data() + op.list;
  const E *e[8];
  R *d = slot<R>(w, op.d);
  for (int i = 0; i < op.n; i++)
    e[i] = slot<E>(w, list[i]);
  if (op.n == 2) {
    const E *low = e[0], *high = e[1];
    lanes(mask, [=](int l) { d[l] = static_cast<R>(static_cast<R>(high[l]) << (8 * sizeof(E)) | low[l]); });
    return;
  }
  each_lane(mask, [&](int l) {
    R r = 0;
    for (int i = 0; i < op.n; i++)
      r |= static_cast<R>(e[i][l]) << (8 * sizeof(E) * static_cast<size_t>(i));
    d[l] = r;
  });
}

template <class E, class R> void unpack_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *list = w.frames.back().code->lists.data() + op.list;
  const R *a = slot<R>(w, op.a);
  R copy[kLanes]; // an element may be the register itself
  memcpy(copy, a, sizeof copy);
  for (int i = 0; i < op.n; i++) {
    E *d = slot<E>(w, list[i]);
    const size_t shift = 8 * sizeof(E) * static_cast<size_t>(i);
    lanes(mask, [=, &copy](int l) { d[l] = static_cast<E>(copy[l] >> shift); });
  }
}

/* Bytes: their registers are 16 bits wide. */
template <class R> void pack_bytes_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *list = w.frames.back().code->lists.data() + op.list;
  R *d = slot<R>(w, op.d);
  each_lane(mask, [&](int l) {
    uint32_t r = 0;
    for (int i = 0; i < op.n; i++)
      r |= (slot<uint16_t>(w, list[i])[l] & 0xffu) << (8 * i);
    d[l] = static_cast<R>(r);
  });
}

template <class R> void unpack_bytes_op(Warp &w, const Op &op, uint32_t mask) {
  const uint32_t *list = w.frames.back().code->lists.data() + op.list;
  const R *a = slot<R>(w, op.a);
  each_lane(mask, [&](int l) {
    uint32_t r = a[l];
    for (int i = 0; i < op.n; i++)
      slot<uint16_t>(w, list[i])[l] = static_cast<uint16_t>(r >> (8 * i) & 0xff);
  });
}

Type element_type(size_t bytes) {
  return bytes == 2 ? Type::B16 : bytes == 4 ? Type::B32 : Type::B64;
}

void decode_packing(Decoder &d, Type t, bool is_pack) {
  const Operand &vector = d.in->operands[is_pack ? 1 : 0];
  size_t n = vector.elems.size(), bytes = type_bytes(t);
  std::vector<uint32_t> slots;

  bool is_bytes = bytes == n && (n == 2 || n == 4);
  if (n < 2 || n > 4 || bytes % n || (!is_bytes && bytes / n != 2 && bytes / n != 4))
    throw Unknown{"elements"};
  Type e = is_bytes ? Type::B16 : element_type(bytes / n);
  for (const Operand &o : vector.elems)
    slots.push_back(is_pack ? d.source(o, e) : d.destination(o, e));
  d.op.n = static_cast<uint8_t>(n);
  d.op.list = d.add_list(slots);
  if (is_pack) {
    d.op.d = d.dst(0, t);
    if (is_bytes)
      d.op.run = n == 2 ? pack_bytes_op<uint16_t> : pack_bytes_op<uint32_t>;
    else
      d.op.run = bytes == 4 ? pack_op<uint16_t, uint32_t>
                 : n == 2   ? pack_op<uint32_t, uint64_t>
                            : pack_op<uint16_t, uint64_t>;
  } else {
    d.op.a = d.src(1, t);
    if (is_bytes)
      d.op.run = n == 2 ? unpack_bytes_op<uint16_t> : unpack_bytes_op<uint32_t>;
    else
      d.op.run = bytes == 4 ? unpack_op<uint16_t, uint32_t>
                 : n == 2   ? unpack_op<uint32_t, uint64_t>
                            : unpack_op<uint16_t, uint64_t>;
  }
}

/* Clocks count the warp's instructions: deterministic, and they advance in a loop that waits. */
uint64_t read_clock(const Warp &w, int which) {
  if (which == 2)
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  return w.cta->launch->counts.warp_instructions + w.executed + ++w.cta->ticks;
}

bool decode_clock(Decoder &d, Type t) {
  static const char *const names[] = {"%clock",    "%clock64",        "%globaltimer",
                                      "%clock_hi", "%globaltimer_lo", "%globaltimer_hi"};
  const Operand &o = d.in->operands[1];
  size_t i = 0;

  if (o.kind != Operand::SPECIAL)
    return false;
  while (i < 6 && o.name != names[i])
    i++;
  if (i == 6)
    return false;
  d.op.mode = i == 2 || i >= 4 ? 2 : 0;
  bool is_high = i == 3 || i == 5;
  d.op.imm = is_high ? 32 : 0;
  d.op.d = d.dst(0, t);
  if (type_bytes(t) == 8)
    d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
      uint64_t now = read_clock(w, op.mode) >> op.imm;
      lanes(mask, [x = slot<uint64_t>(w, op.d), now](int l) { x[l] = now; });
    };
  else
    d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
      uint32_t now = static_cast<uint32_t>(read_clock(w, op.mode) >> op.imm);
      lanes(mask, [x = slot<uint32_t>(w, op.d), now](int l) { x[l] = now; });
    };
  return true;
}

void decode_mov(Decoder &d, Mods &m) {
  Type t = m.take_type();
  d.need(2);
  if (d.in->operands[1].kind == Operand::VECTOR)
    return decode_packing(d, t, true);
  if (d.in->operands[0].kind == Operand::VECTOR)
    return decode_packing(d, t, false);
  if (t == Type::PRED) {
    bool is_negated;
    d.op.d = d.dst(0, t);
    d.op.a = d.predicate_source(d.in->operands[1], &is_negated);
    d.op.mode = is_negated;
    d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
      uint32_t p = predicate(w, op.a);
      set_predicate(w, op.d, mask, op.mode ? ~p : p);
    };
    return;
  }
  if (decode_clock(d, t))
    return;
  size_t bytes = type_bytes(t);
  if (bytes < 2 || bytes > 8)
    throw Unknown{""};
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.run = bytes == 2 ? mov_op<uint16_t> : bytes == 4 ? mov_op<uint32_t> : mov_op<uint64_t>;
}

/* ---- address spaces
 * ---------------------------------------------------------------------------------------------- */

uint64_t window(int space) { // of take_space
  return space == 1 ? kSharedWindow : space == 2 ? kLocalWindow : space == 4 ? kParamWindow : 0;
}

int take_space(Mods &m) {
  int space = m.take_one_of({"global", "shared", "local", "const", "param", "shared::cta", "param::entry"});
  if (space == 5)
    space = 1;
  if (space == 6)
    space = 4;
  if (space < 0)
    throw Unknown{"space"};
  return space;
}

/* cvta.space d, a: add the window; cvta.to.space: take it away */
void decode_cvta(Decoder &d, Mods &m) {
  bool is_to = m.take("to");
  uint64_t base = window(take_space(m));
  if (type_bytes(m.take_type()) != 8)
    throw Unknown{"32-bit addresses"};
  d.need(2);
  d.op.imm = static_cast<int64_t>(base);
  d.op.d = d.dst(0, Type::B64);
  d.op.a = d.src(1, Type::B64);
  if (is_to)
    d.op.imm = -d.op.imm;
  d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
    uint64_t *x = slot<uint64_t>(w, op.d);
    const uint64_t *a = slot<uint64_t>(w, op.a);
    uint64_t add = static_cast<uint64_t>(op.imm);
    lanes(mask, [=](int l) { x[l] = a[l] + add; });
  };
}

void decode_isspacep(Decoder &d, Mods &m) {
  int space = take_space(m);
  d.need(2);
  d.op.mode = static_cast<uint8_t>(space);
  d.op.d = d.dst(0, Type::PRED);
  d.op.a = d.src(1, Type::B64);
  d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
    const uint64_t *a = slot<uint64_t>(w, op.a);
    uint64_t base = window(op.mode);
    uint32_t bits = lane_bits(mask, [&](int l) {
      if ((a[l] & kWindowMask) != base)
        return false;
      if (base)
        return true;
      sg_memory_info info;
      bool is_const = sg_memory_find(w.cta->launch->mem, a[l], 1, &info) && info.kind == SG_MEMORY_CONST;
      return is_const == (op.mode == 3);
    });
    set_predicate(w, op.d, mask, bits);
  };
}

} // namespace

const Row kMoveRows[] = {
    {"mov", decode_mov}, {"cvta", decode_cvta}, {"isspacep", decode_isspacep}, {nullptr, nullptr}};

} // namespace sg
