/*
 * The 16-bit floats. Arithmetic is done in double: products and sums of two are exact there or rounded at so
 * many more bits that the second rounding cannot go wrong; a fused multiply-add is rounded to odd first,
 * which makes it safe, too.
 */
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "ptx_exec.h"

namespace sg {

template <class To, class From> inline To bits_to(From from) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

/* Should |x| = kept + rest be rounded away from zero? half: of the last kept bit. */
inline bool rounds_up(Round round, bool is_negative, uint64_t kept, uint64_t rest, uint64_t half) {
  switch (round) {
  case Round::RZ:
  case Round::RZI:
    return false;
  case Round::RM:
  case Round::RMI:
    return is_negative && rest != 0;
  case Round::RP:
  case Round::RPI:
    return !is_negative && rest != 0;
  case Round::RNA:
    return rest >= half;
  default:
    return rest > half || (rest == half && (kept & 1));
  }
}

/* A 16-bit float with MANTISSA explicit bits. */
template <int MANTISSA> struct Small {
  static constexpr int kExponentBits = 15 - MANTISSA, kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr uint16_t kInf = static_cast<uint16_t>(((1 << kExponentBits) - 1) << MANTISSA),
                            kNan = 0x7fff;

  static double to(uint16_t h) {
    uint32_t sign = h >> 15, exponent = h >> MANTISSA & ((1u << kExponentBits) - 1),
             fraction = h & ((1u << MANTISSA) - 1);
    if (exponent == 0) {
      double tiny = static_cast<double>(fraction) *
                    bits_to<double>(static_cast<uint64_t>(1023 + 1 - kBias - MANTISSA) << 52);
      return sign ? -tiny : tiny;
    }
    uint64_t e = exponent == (1u << kExponentBits) - 1 ? 0x7ff : exponent - kBias + 1023;
    return bits_to<double>(static_cast<uint64_t>(sign) << 63 | e << 52 |
                           static_cast<uint64_t>(fraction) << (52 - MANTISSA));
  }

  static uint16_t from(double x, Round round = Round::RN) {
    uint64_t b = bits_to<uint64_t>(x);
    bool is_negative = b >> 63;
    uint16_t sign = static_cast<uint16_t>(is_negative << 15);
    int e = static_cast<int>(b >> 52 & 0x7ff) - 1023;
    uint64_t m = b & ((1ull << 52) - 1);
    if (e == 1024)
      return m ? kNan : static_cast<uint16_t>(sign | kInf);
    if (e == -1023) {
      if (m == 0)
        return sign;
      e = -1022; // a subnormal double: only its being there matters
    } else {
      m |= 1ull << 52;
    }
    const int least = 1 - kBias;
    int shift = 52 - MANTISSA + (e < least ? least - e : 0);
    uint64_t kept = shift > 63 ? 0 : m >> shift;
    uint64_t rest = shift > 63 ? 1 : m & ((1ull << shift) - 1);
    uint64_t half = shift > 63 ? 2 : 1ull << (shift - 1);
    kept += rounds_up(round, is_negative, kept, rest, half);
    uint64_t packed = kept + (e < least ? 0 : static_cast<uint64_t>(e - least) << MANTISSA);
    if (e > kBias || packed >= kInf) {
      bool is_finite =
          round == Round::RZ || (round == Round::RM && !is_negative) || (round == Round::RP && is_negative);
      packed = is_finite ? kInf - 1 : kInf;
    }
    return static_cast<uint16_t>(sign | packed);
  }

  static bool is_nan(uint16_t h) { return (h & 0x7fff) > kInf; }
  static uint16_t flush(uint16_t h) { return (h & kInf) == 0 ? h & 0x8000 : h; }
};

using F16 = Small<10>;
using BF16 = Small<7>;

/* a * b + c, where a * b is exact in double, rounded to odd. */
inline double fma_to_odd(double a, double b, double c) {
  double p = a * b, s = p + c, back = s - p;
  double error = (p - (s - back)) + (c - back);
  if (error == 0 || !std::isfinite(s))
    return s; // NaN, too
  uint64_t bits = bits_to<uint64_t>(s);
  if (bits & 1)
    return s;
  bool is_larger = (error > 0) == (s > 0);
  return bits_to<double>(is_larger ? bits + 1 : bits - 1);
}

} // namespace sg
