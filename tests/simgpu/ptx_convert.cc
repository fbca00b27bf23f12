/* cvt: between all types, all roundings; cvt.pack. */
#include <cfenv>
#include <cmath>
#include <limits>
#include <type_traits>

#include "ptx_families.h"
#include "ptx_half.h"

namespace sg {
namespace {

enum { FTZ = 1, SAT = 2, RELU = 4, SATFINITE = 8 };

bool is_integer_round(Round r) {
  return r >= Round::RNI && r <= Round::RPI;
}

double round_to_integer(double x, Round r) {
  switch (r) {
  case Round::RNI:
    return std::nearbyint(x);
  case Round::RZI:
    return std::trunc(x);
  case Round::RMI:
    return std::floor(x);
  case Round::RPI:
    return std::ceil(x);
  default:
    return x;
  }
}

struct RoundScope {
  int before;
  explicit RoundScope(Round r) : before(fegetround()) {
    fesetround(r == Round::RZ   ? FE_TOWARDZERO
               : r == Round::RM ? FE_DOWNWARD
               : r == Round::RP ? FE_UPWARD
                                : FE_TONEAREST);
  }
  ~RoundScope() { fesetround(before); }
};

/* ---- integers
 * ---------------------------------------------------------------------------------------------------- */

/* S to the low part of register type R, clamped to D's range if SATURATES; R is D extended. */
template <class D, class R, class S, bool SATURATES> void int_to_int(Warp &w, const Op &op, uint32_t mask) {
  R *d = slot<R>(w, op.d);
  const S *a = reinterpret_cast<const S *>(slot<uint8_t>(w, op.a));
  const size_t stride = op.bytes / sizeof(S); // the register may be wider than the type
  if (stride == 1 && !SATURATES) {
    lanes(mask, [=](int l) { d[l] = static_cast<R>(static_cast<D>(a[l])); });
    return;
  }
  each_lane(mask, [=](int l) {
    S x = a[static_cast<size_t>(l) * stride];
    if (SATURATES) {
      __int128 wide = x, low = std::numeric_limits<D>::min(), high = std::numeric_limits<D>::max();
      wide = wide < low ? low : wide > high ? high : wide;
      d[l] = static_cast<R>(static_cast<D>(wide));
    } else {
      d[l] = static_cast<R>(static_cast<D>(x));
    }
  });
}

/* ---- floats to integers
 * ------------------------------------------------------------------------------------------ */

/* Out of range: the nearest value of the type. NaN: 0, or the highest bit when one side is 64 bits wide. */
template <class D> D to_integer(double x, bool is_source_64) {
  if (x != x) {
    bool is_wide = is_source_64 || sizeof(D) == 8;
    return is_wide ? static_cast<D>(static_cast<std::make_unsigned_t<D>>(1) << (sizeof(D) * 8 - 1)) : D(0);
  }
  double low = static_cast<double>(std::numeric_limits<D>::min());
  double end = std::ldexp(1.0, std::numeric_limits<D>::digits); // one above the greatest
  if (x < low)
    return std::numeric_limits<D>::min();
  if (x >= end)
    return std::numeric_limits<D>::max();
  return static_cast<D>(x);
}

struct FromSingle {
  using Reg = float;
  static double get(float x, int mode) {
    return mode & FTZ && std::fabs(x) < 1.17549435e-38f ? std::copysign(0.0, static_cast<double>(x)) : x;
  }
};
struct FromDouble {
  using Reg = double;
  static double get(double x, int) { return x; }
};
template <class H> struct FromSmall {
  using Reg = uint16_t;
  static double get(uint16_t x, int mode) { return H::to(mode & FTZ ? H::flush(x) : x); }
};

template <class V, class D, class R> void float_to_int(Warp &w, const Op &op, uint32_t mask) {
  R *d = slot<R>(w, op.d);
  const typename V::Reg *a = slot<typename V::Reg>(w, op.a);
  each_lane(mask, [&](int l) {
    d[l] = static_cast<R>(
        to_integer<D>(round_to_integer(V::get(a[l], op.mode), op.round), sizeof(typename V::Reg) == 8));
  });
}

/* ---- to floats
 * --------------------------------------------------------------------------------------------------- */

struct ToDouble {
  using Reg = double;
  static double put(double x, Round, int mode) { return mode & SAT ? (x > 0 ? (x < 1 ? x : 1.0) : 0.0) : x; }
  template <class I> static double from_integer(I x, Round) { return static_cast<double>(x); }
};
struct ToSingle {
  using Reg = float;
  static float put(double x, Round, int mode) { // under the rounding direction of the scope
    float r = static_cast<float>(x);
    if (r != r)
      r = bits_to<float>(0x7fffffffu);
    if (mode & FTZ && std::fabs(r) < 1.17549435e-38f)
      r = std::copysign(0.0f, r);
    if (mode & RELU)
      r = r != r ? r : r > 0 ? r : 0.0f;
    if (mode & SAT)
      r = r > 0 ? (r < 1 ? r : 1.0f) : 0.0f;
    return r;
  }
  template <class I> static float from_integer(I x, Round) { return static_cast<float>(x); }
};
template <class H> struct ToSmall {
  using Reg = uint16_t;
  static uint16_t put(double x, Round round, int mode) {
    uint16_t r = H::from(x, is_integer_round(round) ? Round::RN : round);
    if (mode & FTZ)
      r = H::flush(r);
    if (mode & SAT)
      return H::is_nan(r) || r & 0x8000 ? 0 : std::min(r, H::from(1.0));
    if (mode & RELU && !H::is_nan(r) && r & 0x8000)
      r = 0;
    if (mode & SATFINITE && (r & 0x7fff) == H::kInf)
      r = static_cast<uint16_t>(r - 1);
    return r;
  }
  /* 64 bits do not fit a double: what is cut off stays visible in the lowest bit (round to odd). */
  template <class I> static uint16_t from_integer(I x, Round round) {
    bool is_negative = x < 0;
    uint64_t m = is_negative ? 0 - static_cast<uint64_t>(x) : static_cast<uint64_t>(x);
    if (m >> 53)
      m = (m >> 11 | ((m & 0x7ff) != 0)) << 11;
    double v = static_cast<double>(m);
    return H::from(is_negative ? -v : v, round);
  }
};

template <class V, class P> void float_to_float(Warp &w, const Op &op, uint32_t mask) {
  typename P::Reg *d = slot<typename P::Reg>(w, op.d);
  const typename V::Reg *a = slot<typename V::Reg>(w, op.a);
  Round round = op.round;
  RoundScope scope(is_integer_round(round) ? Round::RN : round);
  each_lane(mask,
            [&](int l) { d[l] = P::put(round_to_integer(V::get(a[l], op.mode), round), round, op.mode); });
}

void single_to_double(Warp &w, const Op &op, uint32_t mask) {
  double *d = slot<double>(w, op.d);
  const float *a = slot<float>(w, op.a);
  lanes(mask, [=](int l) { d[l] = a[l]; });
}

template <class I, class P> void int_to_float(Warp &w, const Op &op, uint32_t mask) {
  typename P::Reg *d = slot<typename P::Reg>(w, op.d);
  const I *a = reinterpret_cast<const I *>(slot<uint8_t>(w, op.a));
  const size_t stride = op.bytes / sizeof(I);
  RoundScope scope(op.round);
  each_lane(mask, [&](int l) {
    typename P::Reg r = P::from_integer(a[static_cast<size_t>(l) * stride], op.round);
    if (op.mode & SAT)
      r = P::put(static_cast<double>(a[static_cast<size_t>(l) * stride]) > 0 ? 1.0 : 0.0, op.round, 0);
    d[l] = r;
  });
}

/* cvt.f16x2.f32 d, a, b: a is the upper half */
template <class H> void pair_op(Warp &w, const Op &op, uint32_t mask) {
  uint32_t *d = slot<uint32_t>(w, op.d);
  const float *a = slot<float>(w, op.a), *b = slot<float>(w, op.b);
  each_lane(mask, [&](int l) {
    uint32_t high = ToSmall<H>::put(a[l], op.round, op.mode);
    d[l] = high << 16 | ToSmall<H>::put(b[l], op.round, op.mode);
  });
}

void to_tf32(Warp &w, const Op &op, uint32_t mask) {
  uint32_t *d = slot<uint32_t>(w, op.d);
  const uint32_t *a = slot<uint32_t>(w, op.a);
  each_lane(mask, [&](int l) {
    uint32_t x = a[l];
    if ((x & 0x7fffffff) > 0x7f800000)
      d[l] = 0x7fffffff;
    else if ((x & 0x7f800000) == 0x7f800000)
      d[l] = x;
    else
      d[l] = ((x >> 13) + rounds_up(op.round, x >> 31, x >> 13, x & 0x1fff, 0x1000)) << 13;
    if (op.mode & RELU && d[l] >> 31 && d[l] <= 0xff800000u)
      d[l] = 0;
  });
}

/* ---- decoding
 * ---------------------------------------------------------------------------------------------------- */

bool is_int(Type t) {
  return t >= Type::U8 && t <= Type::S64;
}

template <class D, class R, bool SATURATES> Handler from_int(Type from) {
  switch (from) {
  case Type::U8:
    return int_to_int<D, R, uint8_t, SATURATES>;
  case Type::S8:
    return int_to_int<D, R, int8_t, SATURATES>;
  case Type::U16:
    return int_to_int<D, R, uint16_t, SATURATES>;
  case Type::S16:
    return int_to_int<D, R, int16_t, SATURATES>;
  case Type::U32:
    return int_to_int<D, R, uint32_t, SATURATES>;
  case Type::S32:
    return int_to_int<D, R, int32_t, SATURATES>;
  case Type::U64:
    return int_to_int<D, R, uint64_t, SATURATES>;
  default:
    return int_to_int<D, R, int64_t, SATURATES>;
  }
}

template <class D, class R> Handler to_int(Type from, bool is_saturating) {
  switch (from) {
  case Type::F16:
    return float_to_int<FromSmall<F16>, D, R>;
  case Type::BF16:
    return float_to_int<FromSmall<BF16>, D, R>;
  case Type::F32:
    return float_to_int<FromSingle, D, R>;
  case Type::F64:
    return float_to_int<FromDouble, D, R>;
  default:
    return is_saturating ? from_int<D, R, true>(from) : from_int<D, R, false>(from);
  }
}

/* The register is wide enough for D; its type is signed like D, so that the value is extended. */
template <class D> Handler to_int_register(Type from, bool is_saturating, size_t register_bytes) {
  constexpr bool kSigned = std::is_signed<D>::value;
  using R16 = std::conditional_t<kSigned, int16_t, uint16_t>;
  using R32 = std::conditional_t<kSigned, int32_t, uint32_t>;
  using R64 = std::conditional_t<kSigned, int64_t, uint64_t>;
  if (register_bytes == 2 && sizeof(D) <= 2)
    return to_int<D, R16>(from, is_saturating);
  if (register_bytes == 4 && sizeof(D) <= 4)
    return to_int<D, R32>(from, is_saturating);
  if (register_bytes == 8)
    return to_int<D, R64>(from, is_saturating);
  throw Unknown{"width of the destination"};
}

template <class P> Handler to_float(Type from) {
  switch (from) {
  case Type::U8:
    return int_to_float<uint8_t, P>;
  case Type::S8:
    return int_to_float<int8_t, P>;
  case Type::U16:
    return int_to_float<uint16_t, P>;
  case Type::S16:
    return int_to_float<int16_t, P>;
  case Type::U32:
    return int_to_float<uint32_t, P>;
  case Type::S32:
    return int_to_float<int32_t, P>;
  case Type::U64:
    return int_to_float<uint64_t, P>;
  case Type::S64:
    return int_to_float<int64_t, P>;
  case Type::F16:
    return float_to_float<FromSmall<F16>, P>;
  case Type::BF16:
    return float_to_float<FromSmall<BF16>, P>;
  case Type::F32:
    return float_to_float<FromSingle, P>;
  case Type::F64:
    return float_to_float<FromDouble, P>;
  default:
    throw Unknown{""};
  }
}

Handler pick(Type to, Type from, bool is_saturating, size_t register_bytes) {
  switch (to) {
  case Type::U8:
    return to_int_register<uint8_t>(from, is_saturating, register_bytes);
  case Type::S8:
    return to_int_register<int8_t>(from, is_saturating, register_bytes);
  case Type::U16:
    return to_int_register<uint16_t>(from, is_saturating, register_bytes);
  case Type::S16:
    return to_int_register<int16_t>(from, is_saturating, register_bytes);
  case Type::U32:
    return to_int_register<uint32_t>(from, is_saturating, register_bytes);
  case Type::S32:
    return to_int_register<int32_t>(from, is_saturating, register_bytes);
  case Type::U64:
    return to_int_register<uint64_t>(from, is_saturating, register_bytes);
  case Type::S64:
    return to_int_register<int64_t>(from, is_saturating, register_bytes);
  case Type::F16:
    return to_float<ToSmall<F16>>(from);
  case Type::BF16:
    return to_float<ToSmall<BF16>>(from);
  case Type::F32:
    return to_float<ToSingle>(from);
  case Type::F64:
    return to_float<ToDouble>(from);
  default:
    throw Unknown{""};
  }
}

void modes(Decoder &d, Mods &m) {
  d.op.round = m.take_round(Round::RN);
  if (m.take("ftz"))
    d.op.mode |= FTZ;
  if (m.take("sat"))
    d.op.mode |= SAT;
  if (m.take("relu"))
    d.op.mode |= RELU;
  if (m.take("satfinite"))
    d.op.mode |= SATFINITE;
}

/* cvt.pack.sat.u8.s32.b32 d, a, b, c: a and b clamped, behind the low half of c; without .b32: 16 bits each
 */
template <class T> void pack_op(Warp &w, const Op &op, uint32_t mask) {
  using U = std::make_unsigned_t<T>;
  uint32_t *d = slot<uint32_t>(w, op.d);
  const int32_t *a = slot<int32_t>(w, op.a), *b = slot<int32_t>(w, op.b);
  const uint32_t *c = op.c == kNone ? nullptr : slot<uint32_t>(w, op.c);
  each_lane(mask, [&](int l) {
    auto clamp = [](int32_t x) {
      int32_t low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
      return static_cast<uint32_t>(static_cast<U>(x < low ? low : x > high ? high : x));
    };
    uint32_t both = clamp(a[l]) << (8 * sizeof(T)) | clamp(b[l]);
    d[l] = sizeof(T) == 2 ? both : both | (c ? c[l] << 16 : 0);
  });
}

void decode_pack(Decoder &d, Mods &m) {
  Type to = m.take_type();
  if (!m.take("sat") || m.take_type() != Type::S32)
    throw Unknown{""};
  bool has_c = m.take("b32");
  d.need(has_c ? 4 : 3);
  switch (to) {
  case Type::U8:
    d.op.run = pack_op<uint8_t>;
    break;
  case Type::S8:
    d.op.run = pack_op<int8_t>;
    break;
  case Type::U16:
    d.op.run = pack_op<uint16_t>;
    break;
  case Type::S16:
    d.op.run = pack_op<int16_t>;
    break;
  default:
    throw Unknown{""};
  }
  if (has_c != (type_bytes(to) == 1))
    throw Unknown{""};
  d.op.d = d.dst(0, Type::B32);
  d.op.a = d.src(1, Type::S32);
  d.op.b = d.src(2, Type::S32);
  if (has_c)
    d.op.c = d.src(3, Type::B32);
}

void decode_cvt(Decoder &d, Mods &m) {
  if (m.take("pack")) {
    decode_pack(d, m);
    return;
  }
  modes(d, m);
  if (m.take("tf32")) {
    if (m.take_type() != Type::F32)
      throw Unknown{""};
    d.need(2);
    d.op.run = to_tf32;
    d.op.d = d.dst(0, Type::B32);
    d.op.a = d.src(1, Type::F32);
    return;
  }
  Type to = m.take_type(), from = m.take_type();
  if (to == Type::F16X2 || to == Type::BF16X2) {
    if (from != Type::F32)
      throw Unknown{""};
    d.need(3);
    d.op.run = to == Type::F16X2 ? pair_op<F16> : pair_op<BF16>;
    d.op.d = d.dst(0, to);
    d.op.a = d.src(1, from);
    d.op.b = d.src(2, from);
    return;
  }
  d.need(2);
  size_t register_bytes = d.register_bytes(d.in->operands[0]);
  bool is_wide_float = is_float(to) && register_bytes != type_bytes(to);
  if (register_bytes == 0 || is_wide_float)
    throw Unknown{"destination"};
  if (d.op.round == Round::RNA)
    throw Unknown{"rounding"};
  if (!is_float(from) && is_integer_round(d.op.round))
    throw Unknown{"rounding"};
  if (is_float(from) && is_int(to) && !is_integer_round(d.op.round))
    throw Unknown{"rounding"};
  bool is_exact = from == Type::F32 && to == Type::F64 && d.op.mode == 0 && d.op.round == Round::RN;
  d.op.run = is_exact ? single_to_double
                      : pick(to, from, (d.op.mode & SAT) && !is_float(from) && !is_float(to), register_bytes);
  d.op.d = d.destination(d.in->operands[0], register_bytes == 2   ? Type::B16
                                            : register_bytes == 4 ? Type::B32
                                                                  : Type::B64);
  d.op.a = is_float(from) ? d.src(1, from) : d.wide_source(d.in->operands[1], from);
  size_t source_bytes = d.register_bytes(d.in->operands[1]);
  d.op.bytes = static_cast<uint16_t>(source_bytes ? source_bytes : std::max<size_t>(2, type_bytes(from)));
}

} // namespace

const Row kConvertRows[] = {{"cvt", decode_cvt}, {nullptr, nullptr}};

} // namespace sg
