/* atom and red: lanes one after another, each operation atomic towards other launches and the host. */
#include <cmath>

#include "ptx_access.h"
#include "ptx_half.h"

namespace sg {
namespace {

enum Kind { AND, OR, XOR, CAS, EXCH, ADD, INC, DEC, MIN, MAX };

float canonical(float x) {
  return x != x ? bits_to<float>(0x7fffffffu) : x;
}

template <class T> struct Integer {
  using Reg = T;
  static T apply(int kind, T old, T b, T c) {
    using U = std::make_unsigned_t<T>;
    switch (kind) {
    case AND:
      return old & b;
    case OR:
      return old | b;
    case XOR:
      return old ^ b;
    case CAS:
      return old == b ? c : old;
    case EXCH:
      return b;
    case ADD:
      return static_cast<T>(static_cast<U>(old) + static_cast<U>(b));
    case INC:
      return old >= b ? T(0) : static_cast<T>(old + 1);
    case DEC:
      return old == 0 || old > b ? b : static_cast<T>(old - 1);
    case MIN:
      return b < old ? b : old;
    default:
      return old < b ? b : old;
    }
  }
};
struct Single { // subnormals: as the hardware, kept in global and shared memory alike
  using Reg = uint32_t;
  static uint32_t apply(int kind, uint32_t old, uint32_t b, uint32_t) {
    if (kind == EXCH)
      return b;
    return bits_to<uint32_t>(canonical(bits_to<float>(old) + bits_to<float>(b)));
  }
};
struct Double {
  using Reg = uint64_t;
  static uint64_t apply(int kind, uint64_t old, uint64_t b, uint64_t) {
    if (kind == EXCH)
      return b;
    return bits_to<uint64_t>(bits_to<double>(old) + bits_to<double>(b));
  }
};
template <class H> struct Half {
  using Reg = uint16_t;
  static uint16_t add(uint16_t a, uint16_t b) { return H::from(H::to(a) + H::to(b)); }
  static uint16_t apply(int, uint16_t old, uint16_t b, uint16_t) { return add(old, b); }
};
template <class H> struct HalfPair {
  using Reg = uint32_t;
  static uint32_t apply(int, uint32_t old, uint32_t b, uint32_t) {
    uint32_t high = Half<H>::add(static_cast<uint16_t>(old >> 16), static_cast<uint16_t>(b >> 16));
    return high << 16 | Half<H>::add(static_cast<uint16_t>(old), static_cast<uint16_t>(b));
  }
};

template <class V> void atom_op(Warp &w, const Op &op, uint32_t mask) {
  using T = typename V::Reg;
  Access a;

  a.bytes = a.align = sizeof(T);
  a.touch = Touch::ATOMIC;
  w.cta->launch->counts.atomics += static_cast<uint64_t>(count_lanes(mask));
  if (!resolve(w, op, mask, &a))
    return;
  const T *b = slot<T>(w, op.b), *c = slot<T>(w, op.c == kNone ? op.b : op.c);
  each_lane(mask, [&](int l) {
    T *p = reinterpret_cast<T *>(a.host[l]);
    T old = __atomic_load_n(p, __ATOMIC_RELAXED), next;
    do
      next = V::apply(op.mode, old, b[l], c[l]);
    while (!__atomic_compare_exchange_n(p, &old, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    if (op.d != kNone)
      slot<T>(w, op.d)[l] = old;
  });
}

Handler pick(Type t, int kind) {
  bool is_bitwise = kind == AND || kind == OR || kind == XOR || kind == CAS || kind == EXCH;
  switch (t) {
  case Type::B16:
    if (kind != CAS)
      break;
    return atom_op<Integer<uint16_t>>;
  case Type::B32:
    if (!is_bitwise)
      break;
    return atom_op<Integer<uint32_t>>;
  case Type::B64:
    if (!is_bitwise)
      break;
    return atom_op<Integer<uint64_t>>;
  case Type::U32:
    return atom_op<Integer<uint32_t>>;
  case Type::S32:
    return atom_op<Integer<int32_t>>;
  case Type::U64:
    return atom_op<Integer<uint64_t>>;
  case Type::S64:
    return atom_op<Integer<int64_t>>;
  case Type::F32:
    if (kind != ADD && kind != EXCH)
      break;
    return atom_op<Single>;
  case Type::F64:
    if (kind != ADD && kind != EXCH)
      break;
    return atom_op<Double>;
  case Type::F16:
    if (kind != ADD)
      break;
    return atom_op<Half<F16>>;
  case Type::BF16:
    if (kind != ADD)
      break;
    return atom_op<Half<BF16>>;
  case Type::F16X2:
    if (kind != ADD)
      break;
    return atom_op<HalfPair<F16>>;
  case Type::BF16X2:
    if (kind != ADD)
      break;
    return atom_op<HalfPair<BF16>>;
  default:
    break;
  }
  throw Unknown{""};
}

template <bool HAS_RESULT> void decode_atom(Decoder &d, Mods &m) {
  int kind = m.take_one_of({"and", "or", "xor", "cas", "exch", "add", "inc", "dec", "min", "max"});
  size_t at = HAS_RESULT ? 1 : 0;

  m.take("noftz");
  Type t = m.take_type();
  if (kind < 0)
    throw Unknown{"operation"};
  d.need(at + (kind == CAS ? 3 : 2));
  decode_address(d, m, at, "atom");
  d.op.is_strong = true;
  d.op.mode = static_cast<uint8_t>(kind);
  d.op.run = pick(t, kind);
  if (HAS_RESULT && d.in->operands[0].kind != Operand::SINK)
    d.op.d = d.dst(0, t);
  d.op.b = d.src(at + 1, t);
  if (kind == CAS)
    d.op.c = d.src(at + 2, t);
}

} // namespace

const Row kAtomicRows[] = {{"atom", decode_atom<true>}, {"red", decode_atom<false>}, {nullptr, nullptr}};

} // namespace sg
