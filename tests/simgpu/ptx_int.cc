/* Integer arithmetic: add, sub, mul, mad, div, rem, abs, neg, min, max, sad, dp4a, and the carry chains. */
#include <limits>
#include <type_traits>

#include "ptx_families.h"

namespace sg {
namespace {

template <class T> using Unsigned = std::make_unsigned_t<T>;
template <class T> struct WideOf;
template <> struct WideOf<uint16_t> { using type = uint32_t; };
template <> struct WideOf<int16_t> { using type = int32_t; };
template <> struct WideOf<uint32_t> { using type = uint64_t; };
template <> struct WideOf<int32_t> { using type = int64_t; };
template <> struct WideOf<uint64_t> { using type = unsigned __int128; };
template <> struct WideOf<int64_t> { using type = __int128; };
template <class T> using Wide = typename WideOf<T>::type;

/* Wrap-around without signed overflow; 16-bit values would be promoted to int. */
template <class T> uint64_t bits(T x) {
  return static_cast<uint64_t>(static_cast<Unsigned<T>>(x));
}
template <class T> T wrap(uint64_t x) {
  return static_cast<T>(static_cast<Unsigned<T>>(x));
}

template <class T> struct Add {
  static T f(T a, T b) {
    return static_cast<T>(
        static_cast<Unsigned<T>>(static_cast<Unsigned<T>>(a) + static_cast<Unsigned<T>>(b)));
  }
};
template <class T> struct Sub {
  static T f(T a, T b) {
    return static_cast<T>(
        static_cast<Unsigned<T>>(static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b)));
  }
};
template <class T> struct MulLo {
  using W = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  static T f(T a, T b) {
    return static_cast<T>(static_cast<Unsigned<T>>(static_cast<W>(a) * static_cast<W>(b)));
  }
};
template <class T> struct MulHi {
  static T f(T a, T b) {
    return static_cast<T>((static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b)) >> (sizeof(T) * 8));
  }
};
template <class T> struct MulWide {
  static Wide<T> f(T a, T b) { return static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b); }
};
template <class T> struct MadLo {
  static T f(T a, T b, T c) { return Add<T>::f(MulLo<T>::f(a, b), c); }
};
template <class T> struct MadHi {
  static T f(T a, T b, T c) { return Add<T>::f(MulHi<T>::f(a, b), c); }
};
template <class T> struct MadWide {
  static Wide<T> f(T a, T b, Wide<T> c) { return Add<Wide<T>>::f(MulWide<T>::f(a, b), c); }
};
/* Division by zero is unspecified in PTX; GPUs give all ones, and the dividend as remainder. */
template <class T> struct Div {
  static T f(T a, T b) {
    if (b == 0)
      return static_cast<T>(-1);
    if (std::is_signed<T>::value && b == static_cast<T>(-1))
      return Sub<T>::f(0, a);
    return static_cast<T>(a / b);
  }
};
template <class T> struct Rem {
  static T f(T a, T b) {
    if (b == 0)
      return a;
    if (std::is_signed<T>::value && b == static_cast<T>(-1))
      return 0;
    return static_cast<T>(a % b);
  }
};
template <class T> struct Abs {
  static T f(T a) { return a < 0 ? Sub<T>::f(0, a) : a; }
};
template <class T> struct Neg {
  static T f(T a) { return Sub<T>::f(0, a); }
};
template <class T> struct Min {
  static T f(T a, T b) { return b < a ? b : a; }
};
template <class T> struct Max {
  static T f(T a, T b) { return a < b ? b : a; }
};
template <class T> struct MinRelu {
  static T f(T a, T b) { return Max<T>::f(0, Min<T>::f(a, b)); }
};
template <class T> struct MaxRelu {
  static T f(T a, T b) { return Max<T>::f(0, Max<T>::f(a, b)); }
};
template <class T> struct Sad {
  static T f(T a, T b, T c) { return Add<T>::f(c, a < b ? Sub<T>::f(b, a) : Sub<T>::f(a, b)); }
};

int32_t clamp32(int64_t x) {
  return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : static_cast<int32_t>(x);
}
struct AddSat {
  static int32_t f(int32_t a, int32_t b) { return clamp32(static_cast<int64_t>(a) + b); }
};
struct SubSat {
  static int32_t f(int32_t a, int32_t b) { return clamp32(static_cast<int64_t>(a) - b); }
};
struct MadHiSat {
  static int32_t f(int32_t a, int32_t b, int32_t c) {
    return clamp32(static_cast<int64_t>(MulHi<int32_t>::f(a, b)) + c);
  }
};

template <class T> struct Mul24 { // 24 bits of each
  static int64_t in(T a) {
    return std::is_signed<T>::value
               ? static_cast<int64_t>(static_cast<int32_t>(static_cast<uint32_t>(a) << 8) >> 8)
               : static_cast<int64_t>(static_cast<uint32_t>(a) & 0xffffff);
  }
  static T lo(T a, T b) { return static_cast<T>(in(a)*in(b)); }
  static T hi(T a, T b) { return static_cast<T>((in(a)*in(b)) >> 16); }
};
template <class T> struct Mul24Lo {
  static T f(T a, T b) { return Mul24<T>::lo(a, b); }
};
template <class T> struct Mul24Hi {
  static T f(T a, T b) { return Mul24<T>::hi(a, b); }
};
template <class T> struct Mad24Lo {
  static T f(T a, T b, T c) { return Add<T>::f(Mul24<T>::lo(a, b), c); }
};
template <class T> struct Mad24Hi {
  static T f(T a, T b, T c) { return Add<T>::f(Mul24<T>::hi(a, b), c); }
};

/* Two 16-bit halves. */
template <template <class> class F, class T> struct Halves {
  static uint32_t f(uint32_t a, uint32_t b) {
    uint32_t lo = static_cast<uint16_t>(F<T>::f(static_cast<T>(a), static_cast<T>(b)));
    uint32_t hi = static_cast<uint16_t>(F<T>::f(static_cast<T>(a >> 16), static_cast<T>(b >> 16)));
    return hi << 16 | lo;
  }
};

template <class A, class B> struct Dot4 {
  static uint32_t f(uint32_t a, uint32_t b, uint32_t c) {
    for (int i = 0; i < 32; i += 8)
      c += static_cast<uint32_t>(static_cast<A>(a >> i) * static_cast<B>(b >> i));
    return c;
  }
};

/* Two 16-bit values of a, two bytes of b: the lower or the upper two. */
template <class A, class B, bool IS_HIGH> struct Dot2 {
  static uint32_t f(uint32_t a, uint32_t b, uint32_t c) {
    if (IS_HIGH)
      b >>= 16;
    for (int i = 0; i < 2; i++)
      c += static_cast<uint32_t>(static_cast<A>(a >> (16 * i)) * static_cast<B>(b >> (8 * i)));
    return c;
  }
};

/* ---- carry chains
 * ------------------------------------------------------------------------------------------------ */

enum { CARRY_ADD, CARRY_SUB, CARRY_MAD_LO, CARRY_MAD_HI };
struct CarryMode {
  bool reads, writes;
};

template <class T, int KIND, bool READS, bool WRITES> void carry_op(Warp &w, const Op &op, uint32_t mask) {
  using U = Unsigned<T>;
  U *d = slot<U>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b), *c = slot<T>(w, op.c == kNone ? op.a : op.c);
  uint32_t out = 0;

  each_lane(mask, [&](int l) {
    U x, y, sum;
    unsigned in = READS ? w.carry >> l & 1 : 0;
    if (KIND == CARRY_MAD_LO)
      x = static_cast<U>(MulLo<T>::f(a[l], b[l])), y = static_cast<U>(c[l]);
    else if (KIND == CARRY_MAD_HI)
      x = static_cast<U>(MulHi<T>::f(a[l], b[l])), y = static_cast<U>(c[l]);
    else
      x = static_cast<U>(a[l]), y = static_cast<U>(b[l]);
    bool carry;
    if (KIND == CARRY_SUB) {
      sum = x - y - in; // the flag is the borrow
      carry = x < y || (in && x == y);
    } else {
      sum = x + y + in;
      carry = sum < x || (in && sum == x);
    }
    d[l] = sum;
    out |= static_cast<uint32_t>(carry) << l;
  });
  if (WRITES)
    w.carry = (w.carry & ~mask) | out;
}

template <class T, int KIND> Handler carry_handler(CarryMode m) {
  if (m.reads)
    return m.writes ? carry_op<T, KIND, true, true> : carry_op<T, KIND, true, false>;
  return carry_op<T, KIND, false, true>;
}

template <int KIND> Handler carry_of(Type t, CarryMode m) {
  switch (t) {
  case Type::U32:
    return carry_handler<uint32_t, KIND>(m);
  case Type::S32:
    return carry_handler<int32_t, KIND>(m);
  case Type::U64:
    return carry_handler<uint64_t, KIND>(m);
  case Type::S64:
    return carry_handler<int64_t, KIND>(m);
  default:
    throw Unknown{""};
  }
}

/* ---- decoding
 * ---------------------------------------------------------------------------------------------------- */

template <template <class> class F> Handler pick2(Type t) {
  switch (t) {
  case Type::U16:
    return binary_op<F<uint16_t>, uint16_t, uint16_t, uint16_t>;
  case Type::S16:
    return binary_op<F<int16_t>, int16_t, int16_t, int16_t>;
  case Type::U32:
    return binary_op<F<uint32_t>, uint32_t, uint32_t, uint32_t>;
  case Type::S32:
    return binary_op<F<int32_t>, int32_t, int32_t, int32_t>;
  case Type::U64:
    return binary_op<F<uint64_t>, uint64_t, uint64_t, uint64_t>;
  case Type::S64:
    return binary_op<F<int64_t>, int64_t, int64_t, int64_t>;
  default:
    throw Unknown{""};
  }
}
template <template <class> class F> Handler pick3(Type t) {
  switch (t) {
  case Type::U16:
    return ternary_op<F<uint16_t>, uint16_t, uint16_t, uint16_t, uint16_t>;
  case Type::S16:
    return ternary_op<F<int16_t>, int16_t, int16_t, int16_t, int16_t>;
  case Type::U32:
    return ternary_op<F<uint32_t>, uint32_t, uint32_t, uint32_t, uint32_t>;
  case Type::S32:
    return ternary_op<F<int32_t>, int32_t, int32_t, int32_t, int32_t>;
  case Type::U64:
    return ternary_op<F<uint64_t>, uint64_t, uint64_t, uint64_t, uint64_t>;
  case Type::S64:
    return ternary_op<F<int64_t>, int64_t, int64_t, int64_t, int64_t>;
  default:
    throw Unknown{""};
  }
}
template <template <class> class F> Handler pick_signed(Type t) {
  switch (t) {
  case Type::S16:
    return unary_op<F<int16_t>, int16_t, int16_t>;
  case Type::S32:
    return unary_op<F<int32_t>, int32_t, int32_t>;
  case Type::S64:
    return unary_op<F<int64_t>, int64_t, int64_t>;
  default:
    throw Unknown{""};
  }
}

void operands2(Decoder &d, Type t) {
  d.need(3);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
}
void operands3(Decoder &d, Type t) {
  d.need(4);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
  d.op.c = d.src(3, t);
}

template <template <class> class F> void simple2(Decoder &d, Mods &m) {
  Type t = m.take_type();
  d.op.run = pick2<F>(t);
  operands2(d, t);
}

} // namespace

/* add and sub of integers, from ptx_float.cc, which looks at the type first */
void decode_int_add(Decoder &d, Mods &m, Type t, bool is_sub) {
  if (m.take("cc")) {
    d.op.run = is_sub ? carry_of<CARRY_SUB>(t, {false, true}) : carry_of<CARRY_ADD>(t, {false, true});
    operands2(d, t);
    return;
  }
  if (m.take("sat")) {
    if (t != Type::S32)
      throw Unknown{""};
    d.op.run =
        is_sub ? binary_op<SubSat, int32_t, int32_t, int32_t> : binary_op<AddSat, int32_t, int32_t, int32_t>;
  } else {
    d.op.run = is_sub ? pick2<Sub>(t) : pick2<Add>(t);
  }
  operands2(d, t);
}

void decode_int_mul(Decoder &d, Mods &m, Type t) {
  int part = m.take_one_of({"lo", "hi", "wide"});
  if (part == 2) {
    Type wide = Type::NONE;
    switch (t) {
    case Type::U16:
      wide = Type::U32, d.op.run = binary_op<MulWide<uint16_t>, uint32_t, uint16_t, uint16_t>;
      break;
    case Type::S16:
      wide = Type::S32, d.op.run = binary_op<MulWide<int16_t>, int32_t, int16_t, int16_t>;
      break;
    case Type::U32:
      wide = Type::U64, d.op.run = binary_op<MulWide<uint32_t>, uint64_t, uint32_t, uint32_t>;
      break;
    case Type::S32:
      wide = Type::S64, d.op.run = binary_op<MulWide<int32_t>, int64_t, int32_t, int32_t>;
      break;
    default:
      throw Unknown{""};
    }
    d.need(3);
    d.op.d = d.dst(0, wide);
    d.op.a = d.src(1, t);
    d.op.b = d.src(2, t);
    return;
  }
  if (part < 0)
    throw Unknown{""};
  d.op.run = part == 0 ? pick2<MulLo>(t) : pick2<MulHi>(t);
  operands2(d, t);
}

void decode_int_min(Decoder &d, Mods &m, Type t, bool is_max) {
  if (m.take("relu")) {
    if (t != Type::S32)
      throw Unknown{""};
    d.op.run = is_max ? binary_op<MaxRelu<int32_t>, int32_t, int32_t, int32_t>
                      : binary_op<MinRelu<int32_t>, int32_t, int32_t, int32_t>;
  } else {
    d.op.run = is_max ? pick2<Max>(t) : pick2<Min>(t);
  }
  operands2(d, t);
}

void decode_int_sign(Decoder &d, Type t, bool is_neg) {
  d.op.run = is_neg ? pick_signed<Neg>(t) : pick_signed<Abs>(t);
  d.need(2);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
}

/* .u16x2 and .s16x2, which are no types elsewhere. \return false: it is not one of them */
bool decode_int_halves(Decoder &d, Mods &m, const std::string &word) {
  int which = m.take_one_of({"u16x2", "s16x2"});
  if (which < 0)
    return false;
  if (word == "add")
    d.op.run = binary_op<Halves<Add, uint16_t>, uint32_t, uint32_t, uint32_t>;
  else if (word == "min")
    d.op.run = which ? binary_op<Halves<Min, int16_t>, uint32_t, uint32_t, uint32_t>
                     : binary_op<Halves<Min, uint16_t>, uint32_t, uint32_t, uint32_t>;
  else if (word == "max")
    d.op.run = which ? binary_op<Halves<Max, int16_t>, uint32_t, uint32_t, uint32_t>
                     : binary_op<Halves<Max, uint16_t>, uint32_t, uint32_t, uint32_t>;
  else
    throw Unknown{""};
  operands2(d, Type::U32);
  return true;
}

namespace {

template <bool IS_SUB> void decode_addc(Decoder &d, Mods &m) {
  bool writes = m.take("cc");
  Type t = m.take_type();
  d.op.run = IS_SUB ? carry_of<CARRY_SUB>(t, {true, writes}) : carry_of<CARRY_ADD>(t, {true, writes});
  operands2(d, t);
}

} // namespace

void decode_int_mad(Decoder &d, Mods &m) {
  Type t = m.take_type();
  int part = m.take_one_of({"lo", "hi", "wide"});

  if (part < 0)
    throw Unknown{""};
  if (part == 2) {
    Type wide = Type::NONE;
    switch (t) {
    case Type::U16:
      wide = Type::U32, d.op.run = ternary_op<MadWide<uint16_t>, uint32_t, uint16_t, uint16_t, uint32_t>;
      break;
    case Type::S16:
      wide = Type::S32, d.op.run = ternary_op<MadWide<int16_t>, int32_t, int16_t, int16_t, int32_t>;
      break;
    case Type::U32:
      wide = Type::U64, d.op.run = ternary_op<MadWide<uint32_t>, uint64_t, uint32_t, uint32_t, uint64_t>;
      break;
    case Type::S32:
      wide = Type::S64, d.op.run = ternary_op<MadWide<int32_t>, int64_t, int32_t, int32_t, int64_t>;
      break;
    default:
      throw Unknown{""};
    }
    d.need(4);
    d.op.d = d.dst(0, wide);
    d.op.a = d.src(1, t);
    d.op.b = d.src(2, t);
    d.op.c = d.src(3, wide);
    return;
  }
  if (m.take("cc"))
    d.op.run =
        part == 0 ? carry_of<CARRY_MAD_LO>(t, {false, true}) : carry_of<CARRY_MAD_HI>(t, {false, true});
  else if (m.take("sat")) {
    if (t != Type::S32 || part != 1)
      throw Unknown{""};
    d.op.run = ternary_op<MadHiSat, int32_t, int32_t, int32_t, int32_t>;
  } else
    d.op.run = part == 0 ? pick3<MadLo>(t) : pick3<MadHi>(t);
  operands3(d, t);
}

namespace {

void decode_madc(Decoder &d, Mods &m) {
  Type t = m.take_type();
  int part = m.take_one_of({"lo", "hi"});
  bool writes = m.take("cc");
  if (part < 0)
    throw Unknown{""};
  d.op.run =
      part == 0 ? carry_of<CARRY_MAD_LO>(t, {true, writes}) : carry_of<CARRY_MAD_HI>(t, {true, writes});
  operands3(d, t);
}

void decode_sad(Decoder &d, Mods &m) {
  Type t = m.take_type();
  d.op.run = pick3<Sad>(t);
  operands3(d, t);
}

void decode_mul24(Decoder &d, Mods &m) {
  Type t = m.take_type();
  int part = m.take_one_of({"lo", "hi"});
  if (part < 0 || (t != Type::U32 && t != Type::S32))
    throw Unknown{""};
  if (t == Type::U32)
    d.op.run = part ? binary_op<Mul24Hi<uint32_t>, uint32_t, uint32_t, uint32_t>
                    : binary_op<Mul24Lo<uint32_t>, uint32_t, uint32_t, uint32_t>;
  else
    d.op.run = part ? binary_op<Mul24Hi<int32_t>, int32_t, int32_t, int32_t>
                    : binary_op<Mul24Lo<int32_t>, int32_t, int32_t, int32_t>;
  operands2(d, t);
}

void decode_mad24(Decoder &d, Mods &m) {
  Type t = m.take_type();
  int part = m.take_one_of({"lo", "hi"});
  if (part < 0 || (t != Type::U32 && t != Type::S32))
    throw Unknown{""};
  if (t == Type::U32)
    d.op.run = part ? ternary_op<Mad24Hi<uint32_t>, uint32_t, uint32_t, uint32_t, uint32_t>
                    : ternary_op<Mad24Lo<uint32_t>, uint32_t, uint32_t, uint32_t, uint32_t>;
  else
    d.op.run = part ? ternary_op<Mad24Hi<int32_t>, int32_t, int32_t, int32_t, int32_t>
                    : ternary_op<Mad24Lo<int32_t>, int32_t, int32_t, int32_t, int32_t>;
  operands3(d, t);
}

void decode_dp4a(Decoder &d, Mods &m) {
  Type a = m.take_type(), b = m.take_type();
  if ((a != Type::U32 && a != Type::S32) || (b != Type::U32 && b != Type::S32))
    throw Unknown{""};
  if (a == Type::U32)
    d.op.run = b == Type::U32 ? ternary_op<Dot4<uint8_t, uint8_t>, uint32_t, uint32_t, uint32_t, uint32_t>
                              : ternary_op<Dot4<uint8_t, int8_t>, uint32_t, uint32_t, uint32_t, uint32_t>;
  else
    d.op.run = b == Type::U32 ? ternary_op<Dot4<int8_t, uint8_t>, uint32_t, uint32_t, uint32_t, uint32_t>
                              : ternary_op<Dot4<int8_t, int8_t>, uint32_t, uint32_t, uint32_t, uint32_t>;
  operands3(d, Type::U32);
}

template <class A, class B> Handler dot2(bool is_high) {
  return is_high ? ternary_op<Dot2<A, B, true>, uint32_t, uint32_t, uint32_t, uint32_t>
                 : ternary_op<Dot2<A, B, false>, uint32_t, uint32_t, uint32_t, uint32_t>;
}

void decode_dp2a(Decoder &d, Mods &m) {
  int part = m.take_one_of({"lo", "hi"});
  Type a = m.take_type(), b = m.take_type();
  if (part < 0 || (a != Type::U32 && a != Type::S32) || (b != Type::U32 && b != Type::S32))
    throw Unknown{""};
  if (a == Type::U32)
    d.op.run = b == Type::U32 ? dot2<uint16_t, uint8_t>(part) : dot2<uint16_t, int8_t>(part);
  else
    d.op.run = b == Type::U32 ? dot2<int16_t, uint8_t>(part) : dot2<int16_t, int8_t>(part);
  operands3(d, Type::U32);
}

} // namespace

const Row kIntRows[] = {
    {"addc", decode_addc<false>}, {"subc", decode_addc<true>}, {"madc", decode_madc},   {"rem", simple2<Rem>},
    {"sad", decode_sad},          {"mul24", decode_mul24},     {"mad24", decode_mad24}, {"dp4a", decode_dp4a},
    {"dp2a", decode_dp2a},        {nullptr, nullptr},
};

void decode_int_div(Decoder &d, Type t) {
  d.op.run = pick2<Div>(t);
  operands2(d, t);
}

} // namespace sg
