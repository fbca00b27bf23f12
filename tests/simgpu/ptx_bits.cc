/* Bit operations on integers: and, or, xor, not, shl, shr, shf, bfe, bfi, brev, clz, popc, bfind, prmt, lop3.
 */
#include "ptx_decode.h"

namespace sg {
namespace {

template <class T> struct And {
  static T f(T a, T b) { return static_cast<T>(a & b); }
};
template <class T> struct Or {
  static T f(T a, T b) { return static_cast<T>(a | b); }
};
template <class T> struct Xor {
  static T f(T a, T b) { return static_cast<T>(a ^ b); }
};
template <class T> struct Not {
  static T f(T a) { return static_cast<T>(~a); }
};
template <class T> struct Cnot {
  static T f(T a) { return a == 0; }
};
/* Amounts at or above the width give 0, or the sign. */
template <class T> struct Shl {
  static T f(T a, uint32_t n) {
    return n >= sizeof(T) * 8 ? T(0) : static_cast<T>(static_cast<uint64_t>(a) << n);
  }
};
template <class T> struct Shr {
  static T f(T a, uint32_t n) {
    const uint32_t width = sizeof(T) * 8;
    return static_cast<T>(a >> (n >= width ? (T(-1) < T(0) ? width - 1 : width / 2) : n)) &
           (n >= width && T(-1) > T(0) ? T(0) : static_cast<T>(-1));
  }
};
template <class T> struct Brev {
  static T f(T a) {
    uint64_t r = 0;
    for (size_t i = 0; i < sizeof(T) * 8; i++)
      r |= static_cast<uint64_t>(a >> i & 1) << (sizeof(T) * 8 - 1 - i);
    return static_cast<T>(r);
  }
};
struct Clz32 {
  static uint32_t f(uint32_t a) { return a ? static_cast<uint32_t>(__builtin_clz(a)) : 32; }
};
struct Clz64 {
  static uint32_t f(uint64_t a) { return a ? static_cast<uint32_t>(__builtin_clzll(a)) : 64; }
};
struct Popc32 {
  static uint32_t f(uint32_t a) { return static_cast<uint32_t>(__builtin_popcount(a)); }
};
struct Popc64 {
  static uint32_t f(uint64_t a) { return static_cast<uint32_t>(__builtin_popcountll(a)); }
};

/* The highest bit that differs from the sign; all ones: there is none. */
template <class T, bool IS_SHIFT> struct Bfind {
  static uint32_t f(T a) {
    uint64_t x = static_cast<uint64_t>(a < 0 ? ~a : a);
    if (x == 0)
      return 0xffffffffu;
    uint32_t at = 63 - static_cast<uint32_t>(__builtin_clzll(x));
    return IS_SHIFT ? static_cast<uint32_t>(sizeof(T) * 8 - 1) - at : at;
  }
};

template <class T> struct Bfe {
  static T f(T a, uint32_t b, uint32_t c) {
    const uint32_t width = sizeof(T) * 8;
    uint32_t pos = b & 0xff, len = c & 0xff;
    uint64_t x = static_cast<uint64_t>(a); // a sign is carried on
    if (len == 0)
      return 0;
    bool is_signed = T(-1) < T(0);
    uint32_t top = pos + len - 1 < width - 1 ? pos + len - 1 : width - 1;
    uint64_t sign = is_signed && (x >> (top < 64 ? top : 63) & 1) ? ~0ull : 0;
    if (pos >= width)
      return static_cast<T>(sign);
    uint64_t r = (width == 64 ? x : x & 0xffffffffu) >> pos;
    uint32_t have = len < width - pos ? len : width - pos;
    if (have < 64)
      r = (r & ((1ull << have) - 1)) | (sign << have);
    return static_cast<T>(r);
  }
};

template <class T> void bfi_op(Warp &w, const Op &op, uint32_t mask) {
  T *f = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b);
  const uint32_t *c = slot<uint32_t>(w, op.c), *e = slot<uint32_t>(w, op.e);
  lanes(mask, [=](int l) {
    const uint32_t width = sizeof(T) * 8;
    uint32_t pos = c[l] & 0xff, len = e[l] & 0xff;
    if (pos >= width || len == 0) {
      f[l] = b[l];
      return;
    }
    if (len > width - pos)
      len = width - pos;
    T field = static_cast<T>((len == width ? ~T(0) : (T(1) << len) - 1) << pos);
    f[l] = static_cast<T>((b[l] & ~field) | ((a[l] << pos) & field));
  });
}

/* lop3: bit i of the table is the result for (a, b, c) = the bits of i */
void lop3_op(Warp &w, const Op &op, uint32_t mask) {
  uint32_t *d = slot<uint32_t>(w, op.d);
  const uint32_t *a = slot<uint32_t>(w, op.a), *b = slot<uint32_t>(w, op.b), *c = slot<uint32_t>(w, op.c);
  uint32_t table[8];
  for (int i = 0; i < 8; i++)
    table[i] = op.imm >> i & 1 ? kFull : 0;
  lanes(mask, [=](int l) {
    uint32_t x = a[l], y = b[l], z = c[l];
    d[l] = (table[0] & ~x & ~y & ~z) | (table[1] & ~x & ~y & z) | (table[2] & ~x & y & ~z) |
           (table[3] & ~x & y & z) | (table[4] & x & ~y & ~z) | (table[5] & x & ~y & z) |
           (table[6] & x & y & ~z) | (table[7] & x & y & z);
  });
}

enum { PRMT_DEFAULT = 0, F4E, B4E, RC8, ECL, ECR, RC16 };

/* Four selectors: bytes 0..7 of {b, a}; bit 3 copies the byte's sign. */
uint32_t permute(uint32_t a, uint32_t b, uint32_t c, int mode) {
  uint64_t all = static_cast<uint64_t>(b) << 32 | a;
  uint32_t s = c & 3, r = 0;
  for (uint32_t i = 0; i < 4; i++) {
    uint32_t sel = mode == PRMT_DEFAULT ? c >> (4 * i) & 15
                   : mode == F4E        ? s + i
                   : mode == B4E        ? (s - i) & 7
                   : mode == RC8        ? s
                   : mode == ECL        ? (i > s ? i : s)
                   : mode == ECR        ? (i < s ? i : s)
                                        : (s & 1) * 2 + (i & 1);
    uint32_t byte = static_cast<uint32_t>(all >> (8 * (sel & 7))) & 0xff;
    if (mode == PRMT_DEFAULT && (sel & 8))
      byte = byte & 0x80 ? 0xff : 0;
    r |= byte << (8 * i);
  }
  return r;
}

void prmt_op(Warp &w, const Op &op, uint32_t mask) {
  uint32_t *d = slot<uint32_t>(w, op.d);
  const uint32_t *a = slot<uint32_t>(w, op.a), *b = slot<uint32_t>(w, op.b), *c = slot<uint32_t>(w, op.c);
  int mode = op.mode;
  each_lane(mask, [=](int l) { d[l] = permute(a[l], b[l], c[l], mode); });
}

template <bool IS_LEFT, bool IS_CLAMP> struct Shf {
  static uint32_t f(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t n = IS_CLAMP ? (c < 32 ? c : 32) : c & 31;
    uint64_t both = static_cast<uint64_t>(b) << 32 | a;
    return static_cast<uint32_t>(IS_LEFT ? (both << n) >> 32 : both >> n);
  }
};

template <bool IS_CLAMP> struct Bmsk {
  static uint32_t f(uint32_t a, uint32_t b) {
    uint64_t pos = IS_CLAMP ? (a < 32 ? a : 32) : a & 31, len = IS_CLAMP ? (b < 32 ? b : 32) : b & 31;
    return static_cast<uint32_t>(((1ull << len) - 1) << pos);
  }
};

/* ---- decoding
 * ---------------------------------------------------------------------------------------------------- */

template <template <class> class F> void predicate_logic(Decoder &d) {
  bool a_negated, b_negated;
  d.need(3);
  d.op.d = d.dst(0, Type::PRED);
  d.op.a = d.predicate_source(d.in->operands[1], &a_negated);
  d.op.b = d.predicate_source(d.in->operands[2], &b_negated);
  if (a_negated || b_negated)
    throw Unknown{"negated predicate"};
  d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
    set_predicate(w, op.d, mask, F<uint32_t>::f(predicate(w, op.a), predicate(w, op.b)));
  };
}

template <template <class> class F> void decode_logic(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (t == Type::PRED) {
    predicate_logic<F>(d);
    return;
  }
  if (t == Type::B16)
    d.op.run = binary_op<F<uint16_t>, uint16_t, uint16_t, uint16_t>;
  else if (t == Type::B32)
    d.op.run = binary_op<F<uint32_t>, uint32_t, uint32_t, uint32_t>;
  else if (t == Type::B64)
    d.op.run = binary_op<F<uint64_t>, uint64_t, uint64_t, uint64_t>;
  else
    throw Unknown{""};
  d.need(3);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
}

template <template <class> class F> void decode_not(Decoder &d, Mods &m) {
  Type t = m.take_type();
  d.need(2);
  d.op.d = d.dst(0, t);
  if (t == Type::PRED) {
    bool is_negated;
    d.op.a = d.predicate_source(d.in->operands[1], &is_negated);
    if (is_negated)
      throw Unknown{"negated predicate"};
    d.op.run = [](Warp &w, const Op &op, uint32_t mask) {
      set_predicate(w, op.d, mask, ~predicate(w, op.a));
    };
    return;
  }
  if (t == Type::B16)
    d.op.run = unary_op<F<uint16_t>, uint16_t, uint16_t>;
  else if (t == Type::B32)
    d.op.run = unary_op<F<uint32_t>, uint32_t, uint32_t>;
  else if (t == Type::B64)
    d.op.run = unary_op<F<uint64_t>, uint64_t, uint64_t>;
  else
    throw Unknown{""};
  d.op.a = d.src(1, t);
}

void shift_operands(Decoder &d, Type t) {
  d.need(3);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, Type::U32); // the amount, whatever the type
}

void decode_shl(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (t == Type::B16)
    d.op.run = binary_op<Shl<uint16_t>, uint16_t, uint16_t, uint32_t>;
  else if (t == Type::B32)
    d.op.run = binary_op<Shl<uint32_t>, uint32_t, uint32_t, uint32_t>;
  else if (t == Type::B64)
    d.op.run = binary_op<Shl<uint64_t>, uint64_t, uint64_t, uint32_t>;
  else
    throw Unknown{""};
  shift_operands(d, t);
}

void decode_shr(Decoder &d, Mods &m) {
  Type t = m.take_type();
  switch (t) {
  case Type::B16:
  case Type::U16:
    d.op.run = binary_op<Shr<uint16_t>, uint16_t, uint16_t, uint32_t>;
    break;
  case Type::S16:
    d.op.run = binary_op<Shr<int16_t>, int16_t, int16_t, uint32_t>;
    break;
  case Type::B32:
  case Type::U32:
    d.op.run = binary_op<Shr<uint32_t>, uint32_t, uint32_t, uint32_t>;
    break;
  case Type::S32:
    d.op.run = binary_op<Shr<int32_t>, int32_t, int32_t, uint32_t>;
    break;
  case Type::B64:
  case Type::U64:
    d.op.run = binary_op<Shr<uint64_t>, uint64_t, uint64_t, uint32_t>;
    break;
  case Type::S64:
    d.op.run = binary_op<Shr<int64_t>, int64_t, int64_t, uint32_t>;
    break;
  default:
    throw Unknown{""};
  }
  shift_operands(d, t);
}

void three_words(Decoder &d) {
  d.need(4);
  d.op.d = d.dst(0, Type::B32);
  d.op.a = d.src(1, Type::B32);
  d.op.b = d.src(2, Type::B32);
  d.op.c = d.src(3, Type::B32);
}

template <class F> Handler words() {
  return ternary_op<F, uint32_t, uint32_t, uint32_t, uint32_t>;
}

void decode_shf(Decoder &d, Mods &m) {
  int side = m.take_one_of({"l", "r"}), how = m.take_one_of({"wrap", "clamp"});
  if (side < 0 || how < 0 || m.take_type() != Type::B32)
    throw Unknown{""};
  if (side == 0)
    d.op.run = how ? words<Shf<true, true>>() : words<Shf<true, false>>();
  else
    d.op.run = how ? words<Shf<false, true>>() : words<Shf<false, false>>();
  three_words(d);
}

void decode_bfe(Decoder &d, Mods &m) {
  Type t = m.take_type();
  switch (t) {
  case Type::U32:
    d.op.run = ternary_op<Bfe<uint32_t>, uint32_t, uint32_t, uint32_t, uint32_t>;
    break;
  case Type::S32:
    d.op.run = ternary_op<Bfe<int32_t>, int32_t, int32_t, uint32_t, uint32_t>;
    break;
  case Type::U64:
    d.op.run = ternary_op<Bfe<uint64_t>, uint64_t, uint64_t, uint32_t, uint32_t>;
    break;
  case Type::S64:
    d.op.run = ternary_op<Bfe<int64_t>, int64_t, int64_t, uint32_t, uint32_t>;
    break;
  default:
    throw Unknown{""};
  }
  d.need(4);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, Type::U32);
  d.op.c = d.src(3, Type::U32);
}

void decode_bfi(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (t != Type::B32 && t != Type::B64)
    throw Unknown{""};
  d.op.run = t == Type::B32 ? bfi_op<uint32_t> : bfi_op<uint64_t>;
  d.need(5);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
  d.op.c = d.src(3, Type::U32);
  d.op.e = d.src(4, Type::U32);
}

void decode_brev(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (t != Type::B32 && t != Type::B64)
    throw Unknown{""};
  d.op.run = t == Type::B32 ? unary_op<Brev<uint32_t>, uint32_t, uint32_t>
                            : unary_op<Brev<uint64_t>, uint64_t, uint64_t>;
  d.need(2);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
}

template <class F32, class F64> void decode_count(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (t != Type::B32 && t != Type::B64)
    throw Unknown{""};
  d.op.run = t == Type::B32 ? unary_op<F32, uint32_t, uint32_t> : unary_op<F64, uint32_t, uint64_t>;
  d.need(2);
  d.op.d = d.dst(0, Type::U32);
  d.op.a = d.src(1, t);
}

template <bool IS_SHIFT> Handler bfind_handler(Type t) {
  switch (t) {
  case Type::U32:
    return unary_op<Bfind<uint32_t, IS_SHIFT>, uint32_t, uint32_t>;
  case Type::S32:
    return unary_op<Bfind<int32_t, IS_SHIFT>, uint32_t, int32_t>;
  case Type::U64:
    return unary_op<Bfind<uint64_t, IS_SHIFT>, uint32_t, uint64_t>;
  case Type::S64:
    return unary_op<Bfind<int64_t, IS_SHIFT>, uint32_t, int64_t>;
  default:
    throw Unknown{""};
  }
}

void decode_bfind(Decoder &d, Mods &m) {
  bool is_shift = m.take("shiftamt");
  Type t = m.take_type();
  d.op.run = is_shift ? bfind_handler<true>(t) : bfind_handler<false>(t);
  d.need(2);
  d.op.d = d.dst(0, Type::U32);
  d.op.a = d.src(1, t);
}

void decode_prmt(Decoder &d, Mods &m) {
  if (m.take_type() != Type::B32)
    throw Unknown{""};
  d.op.mode = static_cast<uint8_t>(m.take_one_of({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"}) + 1);
  d.op.run = prmt_op;
  three_words(d);
}

void decode_lop3(Decoder &d, Mods &m) {
  if (m.take_type() != Type::B32)
    throw Unknown{""};
  d.need(5);
  if (d.in->operands[4].kind != Operand::INT)
    throw Unknown{"a table that is no constant"};
  d.op.run = lop3_op;
  d.op.imm = static_cast<int64_t>(d.in->operands[4].bits);
  d.op.d = d.dst(0, Type::B32);
  d.op.a = d.src(1, Type::B32);
  d.op.b = d.src(2, Type::B32);
  d.op.c = d.src(3, Type::B32);
}

void decode_bmsk(Decoder &d, Mods &m) {
  int how = m.take_one_of({"clamp", "wrap"});
  if (how < 0 || m.take_type() != Type::B32)
    throw Unknown{""};
  d.op.run = how ? binary_op<Bmsk<false>, uint32_t, uint32_t, uint32_t>
                 : binary_op<Bmsk<true>, uint32_t, uint32_t, uint32_t>;
  d.need(3);
  d.op.d = d.dst(0, Type::B32);
  d.op.a = d.src(1, Type::B32);
  d.op.b = d.src(2, Type::B32);
}

} // namespace

const Row kBitRows[] = {
    {"and", decode_logic<And>},
    {"or", decode_logic<Or>},
    {"xor", decode_logic<Xor>},
    {"not", decode_not<Not>},
    {"cnot", decode_not<Cnot>},
    {"shl", decode_shl},
    {"shr", decode_shr},
    {"shf", decode_shf},
    {"bfe", decode_bfe},
    {"bfi", decode_bfi},
    {"brev", decode_brev},
    {"clz", decode_count<Clz32, Clz64>},
    {"popc", decode_count<Popc32, Popc64>},
    {"bfind", decode_bfind},
    {"prmt", decode_prmt},
    {"lop3", decode_lop3},
    {"bmsk", decode_bmsk},
    {nullptr, nullptr},
};

} // namespace sg
