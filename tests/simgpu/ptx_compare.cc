/* setp, set, selp, slct. */
#include <cmath>

#include "ptx_families.h"
#include "ptx_half.h"

namespace sg {
namespace {

enum Cmp { EQ, NE, LT, LE, GT, GE, EQU, NEU, LTU, LEU, GTU, GEU, NUM, NOTANUM };
enum Bool { NONE, AND, OR, XOR };
enum { FTZ = 64 }; // in Op.mode, over the boolean operation

template <int CMP, class T> inline bool compare(T a, T b) {
  switch (CMP) {
  case EQ:
    return a == b;
  case NE:
    return a < b || a > b;
  case LT:
    return a < b;
  case LE:
    return a <= b;
  case GT:
    return a > b;
  case GE:
    return a >= b;
  case EQU:
    return !(a < b || a > b);
  case NEU:
    return a != b;
  case LTU:
    return !(a >= b);
  case LEU:
    return !(a > b);
  case GTU:
    return !(a <= b);
  case GEU:
    return !(a < b);
  case NUM:
    return a == a && b == b;
  default:
    return a != a || b != b;
  }
}

/* How a type's register is read. */
template <class T> struct Plain {
  using Reg = T;
  static T get(T x, bool) { return x; }
};
struct Single {
  using Reg = float;
  static float get(float x, bool is_ftz) { return is_ftz && std::fabs(x) < 1.17549435e-38f ? 0.0f : x; }
};
template <class H> struct HalfValue {
  using Reg = uint16_t;
  static float get(uint16_t x, bool is_ftz) { return static_cast<float>(H::to(is_ftz ? H::flush(x) : x)); }
};

template <class V, int CMP> uint32_t compare_lanes(Warp &w, const Op &op, uint32_t mask) {
  const typename V::Reg *a = slot<typename V::Reg>(w, op.a), *b = slot<typename V::Reg>(w, op.b);
  bool is_ftz = op.mode & FTZ;
  return lane_bits(mask, [=](int l) { return compare<CMP>(V::get(a[l], is_ftz), V::get(b[l], is_ftz)); });
}

uint32_t combine(Warp &w, const Op &op, uint32_t bits) {
  if ((op.mode & 3) == NONE)
    return bits;
  uint32_t c = predicate(w, op.c);
  if (op.is_c_negated)
    c = ~c;
  return (op.mode & 3) == AND ? bits & c : (op.mode & 3) == OR ? bits | c : bits ^ c;
}

template <class V, int CMP> void setp_op(Warp &w, const Op &op, uint32_t mask) {
  uint32_t bits = compare_lanes<V, CMP>(w, op, mask);
  uint32_t p = combine(w, op, bits), q = op.d2 == kNone ? 0 : combine(w, op, ~bits); // before p changes c
  set_predicate(w, op.d, mask, p);
  set_predicate(w, op.d2, mask, q);
}

/* set: op.imm is what a lane gets whose comparison holds */
template <class V, int CMP> void set_op(Warp &w, const Op &op, uint32_t mask) {
  uint32_t bits = combine(w, op, compare_lanes<V, CMP>(w, op, mask));
  each_lane(mask, [&](int l) {
    uint32_t value = bits >> l & 1 ? static_cast<uint32_t>(op.imm) : 0;
    if (op.bytes == 2)
      slot<uint16_t>(w, op.d)[l] = static_cast<uint16_t>(value);
    else
      slot<uint32_t>(w, op.d)[l] = value;
  });
}

/* Both halves of f16x2 or bf16x2: setp has a predicate for each, set a half for each. */
template <class H, bool IS_SETP> struct Pair {
  template <int CMP> static void op(Warp &w, const Op &op, uint32_t mask) {
    const uint32_t *a = slot<uint32_t>(w, op.a), *b = slot<uint32_t>(w, op.b);
    bool is_ftz = op.mode & FTZ;
    uint32_t bits[2];
    for (int half = 0; half < 2; half++)
      bits[half] =
          combine(w, op, lane_bits(mask, [=](int l) {
                    return compare<CMP>(HalfValue<H>::get(static_cast<uint16_t>(a[l] >> 16 * half), is_ftz),
                                        HalfValue<H>::get(static_cast<uint16_t>(b[l] >> 16 * half), is_ftz));
                  }));
    if (IS_SETP) {
      set_predicate(w, op.d, mask, bits[0]);
      set_predicate(w, op.d2, mask, bits[1]);
    } else {
      uint32_t one = static_cast<uint32_t>(op.imm) & 0xffff;
      each_lane(mask, [&](int l) {
        slot<uint32_t>(w, op.d)[l] = (bits[0] >> l & 1 ? one : 0) | (bits[1] >> l & 1 ? one << 16 : 0);
      });
    }
  }
};

template <template <class, int> class OP, class V> Handler pick_order(int cmp) {
  switch (cmp) {
  case EQ:
    return OP<V, EQ>::run;
  case NE:
    return OP<V, NE>::run;
  case LT:
    return OP<V, LT>::run;
  case LE:
    return OP<V, LE>::run;
  case GT:
    return OP<V, GT>::run;
  case GE:
    return OP<V, GE>::run;
  default:
    throw Unknown{"comparison"};
  }
}
template <template <class, int> class OP, class V> Handler pick_float(int cmp) {
  switch (cmp) {
  case EQU:
    return OP<V, EQU>::run;
  case NEU:
    return OP<V, NEU>::run;
  case LTU:
    return OP<V, LTU>::run;
  case LEU:
    return OP<V, LEU>::run;
  case GTU:
    return OP<V, GTU>::run;
  case GEU:
    return OP<V, GEU>::run;
  case NUM:
    return OP<V, NUM>::run;
  case NOTANUM:
    return OP<V, NOTANUM>::run;
  default:
    return pick_order<OP, V>(cmp);
  }
}
template <class V, int CMP> struct Setp { static constexpr Handler run = setp_op<V, CMP>; };
template <class V, int CMP> struct Set { static constexpr Handler run = set_op<V, CMP>; };
template <class P, int CMP> struct Both { static constexpr Handler run = P::template op<CMP>; };

template <template <class, int> class OP> Handler pick_compare(Type t, int cmp) {
  bool is_pair_setp = std::is_same<OP<Single, EQ>, Setp<Single, EQ>>::value;
  switch (t) {
  case Type::B16:
  case Type::U16:
    return pick_order<OP, Plain<uint16_t>>(cmp);
  case Type::B32:
  case Type::U32:
    return pick_order<OP, Plain<uint32_t>>(cmp);
  case Type::B64:
  case Type::U64:
    return pick_order<OP, Plain<uint64_t>>(cmp);
  case Type::S16:
    return pick_order<OP, Plain<int16_t>>(cmp);
  case Type::S32:
    return pick_order<OP, Plain<int32_t>>(cmp);
  case Type::S64:
    return pick_order<OP, Plain<int64_t>>(cmp);
  case Type::F32:
    return pick_float<OP, Single>(cmp);
  case Type::F64:
    return pick_float<OP, Plain<double>>(cmp);
  case Type::F16:
    return pick_float<OP, HalfValue<F16>>(cmp);
  case Type::BF16:
    return pick_float<OP, HalfValue<BF16>>(cmp);
  case Type::F16X2:
    return is_pair_setp ? pick_float<Both, Pair<F16, true>>(cmp) : pick_float<Both, Pair<F16, false>>(cmp);
  case Type::BF16X2:
    return is_pair_setp ? pick_float<Both, Pair<BF16, true>>(cmp) : pick_float<Both, Pair<BF16, false>>(cmp);
  default:
    throw Unknown{""};
  }
}

/* ---- decoding
 * ---------------------------------------------------------------------------------------------------- */

int take_compare(Mods &m) {
  int cmp = m.take_one_of({"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu",
                           "num", "nan", "lo", "ls", "hi", "hs"});
  if (cmp < 0)
    throw Unknown{"comparison"};
  return cmp <= NOTANUM ? cmp : LT + (cmp - NOTANUM - 1);
}

void take_modes(Decoder &d, Mods &m) {
  d.op.mode = static_cast<uint8_t>(m.take_one_of({"and", "or", "xor"}) + 1);
  if (m.take("ftz"))
    d.op.mode |= FTZ;
}

void sources(Decoder &d, Type t) {
  bool has_c = (d.op.mode & 3) != NONE;
  d.need(has_c ? 4 : 3);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
  if (has_c)
    d.op.c = d.predicate_source(d.in->operands[3], &d.op.is_c_negated);
}

void decode_setp(Decoder &d, Mods &m) {
  int cmp = take_compare(m);
  take_modes(d, m);
  Type t = m.take_type();
  d.op.run = pick_compare<Setp>(t, cmp);
  sources(d, t);
  d.op.d = d.dst(0, Type::PRED);
  if (d.in->dst2.kind != Operand::NONE)
    d.op.d2 = d.destination(d.in->dst2, Type::PRED);
}

void decode_set(Decoder &d, Mods &m) {
  int cmp = take_compare(m);
  take_modes(d, m);
  Type to = m.take_type(), t = m.take_type();
  d.op.run = pick_compare<Set>(t, cmp);
  sources(d, t);
  bool is_pair = t == Type::F16X2 || t == Type::BF16X2;
  switch (to) {
  case Type::U32:
  case Type::S32:
    d.op.imm = is_pair ? 0xffff : 0xffffffff;
    break;
  case Type::F32:
    d.op.imm = 0x3f800000;
    break;
  case Type::U16:
  case Type::S16:
    d.op.imm = 0xffff;
    break;
  case Type::F16:
  case Type::F16X2:
    d.op.imm = 0x3c00;
    break;
  case Type::BF16:
  case Type::BF16X2:
    d.op.imm = 0x3f80;
    break;
  default:
    throw Unknown{""};
  }
  d.op.bytes = static_cast<uint16_t>(type_bytes(to));
  d.op.d = d.dst(0, to);
}

template <class T> void selp_op(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b);
  uint32_t p = predicate(w, op.c);
  if (op.is_c_negated)
    p = ~p;
  lanes(mask, [=](int l) { d[l] = p >> l & 1 ? a[l] : b[l]; });
}

void decode_selp(Decoder &d, Mods &m) {
  Type t = m.take_type();
  d.need(4);
  size_t bytes = type_bytes(t);
  if (bytes != 2 && bytes != 4 && bytes != 8)
    throw Unknown{""};
  d.op.run = bytes == 2 ? selp_op<uint16_t> : bytes == 4 ? selp_op<uint32_t> : selp_op<uint64_t>;
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
  d.op.c = d.predicate_source(d.in->operands[3], &d.op.is_c_negated);
}

template <class T, class C> void slct_op(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b);
  const C *c = slot<C>(w, op.c);
  lanes(mask, [=](int l) { d[l] = c[l] >= 0 ? a[l] : b[l]; }); // a NaN gives b; -0 counts as 0
}

void decode_slct(Decoder &d, Mods &m) {
  Type t = m.take_type(), c = m.take_type();
  size_t bytes = type_bytes(t);
  m.take("ftz"); // subnormals count as 0: negative ones, too
  if (c != Type::S32 && c != Type::F32)
    throw Unknown{""};
  if (bytes != 2 && bytes != 4 && bytes != 8)
    throw Unknown{""};
  if (c == Type::S32)
    d.op.run = bytes == 2   ? slct_op<uint16_t, int32_t>
               : bytes == 4 ? slct_op<uint32_t, int32_t>
                            : slct_op<uint64_t, int32_t>;
  else
    d.op.run = bytes == 2   ? slct_op<uint16_t, float>
               : bytes == 4 ? slct_op<uint32_t, float>
                            : slct_op<uint64_t, float>;
  d.need(4);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
  d.op.c = d.src(3, c);
}

} // namespace

const Row kCompareRows[] = {
    {"setp", decode_setp}, {"set", decode_set}, {"selp", decode_selp},
    {"slct", decode_slct}, {nullptr, nullptr},
};

} // namespace sg
