/*
 * Numbers of 16 bits: as they are stored, computed with as float, rounded to nearest even.
 *
 * Layer: tests/simgpu, the stand-ins of cuBLAS and NCCL.
 */
#pragma once
#include <cstdint>
#include <cstring>

namespace sg {

struct half_bits {
  uint16_t bits;
};
struct bf16_bits {
  uint16_t bits;
};

inline float widen(half_bits h) {
  uint32_t sign = uint32_t(h.bits & 0x8000) << 16, exponent = (h.bits >> 10) & 31, mantissa = h.bits & 0x3ff, out;
  float f;
  if (exponent == 0) { /* zero, or mantissa * 2^-24 */
    f = float(mantissa) * 0x1p-24f;
    return sign != 0 ? -f : f;
  }
  out = sign | (exponent == 31 ? 0x7f800000u | mantissa << 13 : (exponent + 112) << 23 | mantissa << 13);
  memcpy(&f, &out, 4);
  return f;
}
inline float widen(bf16_bits h) {
  uint32_t bits = uint32_t(h.bits) << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
template <class T> T widen(T x) { return x; }

inline void narrow(float f, half_bits *out) {
  uint32_t bits, sign;
  memcpy(&bits, &f, 4);
  sign = (bits >> 16) & 0x8000;
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) out->bits = uint16_t(sign | 0x7fff);
  else if (bits >= 0x477ff000) out->bits = uint16_t(sign | 0x7c00); /* 65520 and up round to infinity */
  else if (bits < 0x38800000) { /* below 2^-14: a multiple of 2^-24, by an addition that rounds there */
    float magnitude;
    memcpy(&magnitude, &bits, 4);
    magnitude += 0.5f;
    memcpy(&bits, &magnitude, 4);
    out->bits = uint16_t(sign | (bits - 0x3f000000));
  } else {
    bits += 0xfff + ((bits >> 13) & 1);
    out->bits = uint16_t(sign | ((bits - 0x38000000) >> 13));
  }
}
inline void narrow(float f, bf16_bits *out) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) out->bits = uint16_t(bits >> 16 | 0x40);
  else out->bits = uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
template <class T> void narrow(T x, T *out) { *out = x; }

} // namespace sg
