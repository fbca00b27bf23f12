/*
 * f16 and bf16 as bits, to and from f32. Round to nearest even; the same bits as the machine's own conversions.
 *
 * Layer: host, private to the loop files.
 */
#ifndef MX_SCALAR_HALF_H
#define MX_SCALAR_HALF_H

#include "host/scalar.h"

static inline uint32_t mx_bits_of_f32(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}
static inline float mx_f32_of_bits(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

static inline uint16_t mx_f16_of_f32(float x) {
  uint32_t u = mx_bits_of_f32(x), sign = u & 0x80000000u, m = u ^ sign;
  uint32_t nan = 0x7e00u | ((m >> 13) & 0x3ffu);
  uint32_t big = m > 0x7f800000u ? nan : 0x7c00u;
  /* the last bit of 0.5f is f16's smallest denormal: the addition rounds to a multiple of it */
  uint32_t tiny = mx_bits_of_f32(mx_f32_of_bits(m) + 0.5f) - mx_bits_of_f32(0.5f);
  uint32_t normal = (m - (112u << 23) + 0xfffu + ((m >> 13) & 1u)) >> 13;
  uint32_t h = m >= 0x47800000u ? big : m < 0x38800000u ? tiny : normal;
  return (uint16_t)(h | sign >> 16);
}

static inline float mx_f32_of_f16(uint16_t h) {
  uint32_t m = (uint32_t)(h & 0x7fffu) << 13, e = m & (0x7c00u << 13), sign = (uint32_t)(h & 0x8000u) << 16;
  uint32_t normal = m + (112u << 23);
  uint32_t special = m + (224u << 23) + (m > (0x7c00u << 13) ? 0x400000u & ~m : 0u); /* NaN becomes quiet */
  uint32_t tiny = mx_bits_of_f32(mx_f32_of_bits(m + (113u << 23)) - mx_f32_of_bits(113u << 23));
  uint32_t r = e == (0x7c00u << 13) ? special : e == 0 ? tiny : normal;
  return mx_f32_of_bits(r | sign);
}

static inline uint16_t mx_bf16_of_f32(float x) {
  uint32_t u = mx_bits_of_f32(x);
  uint32_t r = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  uint32_t nan = u >> 16 | 0x40u;
  return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : r);
}
static inline float mx_f32_of_bf16(uint16_t h) { return mx_f32_of_bits((uint32_t)h << 16); }

/* f64 to f32 rounded to odd: a second rounding to a half is then the only one that counts. */
static inline float mx_f32_odd_of_f64(double x) {
  float f = (float)x;
  double back = (double)f;
  uint32_t u = mx_bits_of_f32(f);
  uint32_t odd = (u - (fabs(back) > fabs(x))) | 1u;
  return mx_f32_of_bits(back == x ? u : odd);
}
/* 64-bit integers to f64 with what does not fit or-ed into the last bit */
static inline double mx_f64_odd_of_u64(uint64_t u) {
  uint64_t keep = (u & ~(uint64_t)0x7ff) | (uint64_t)((u & 0x7ff) != 0) << 11;
  return (double)(u >> 53 != 0 ? keep : u);
}
static inline double mx_f64_odd_of_i64(int64_t i) {
  double d = mx_f64_odd_of_u64(i < 0 ? 0 - (uint64_t)i : (uint64_t)i);
  return i < 0 ? -d : d;
}

/* NEXTAFTER and SPACING on f32 registers that hold half values: as in host/scalar_float.h, on the half's bits. */
#define MX_HALF_STEPS(half)                                                                                  \
  static inline float mx_##half##_nextafter(float x, float y) {                                              \
    uint32_t u = mx_##half##_of_f32(x), mag = u & 0x7fffu;                                                   \
    uint32_t step = (x < y) == (x > 0) ? u + 1 : u - 1;                                                      \
    step = mag == 0 ? (mx_##half##_of_f32(y) & 0x8000u) | 1 : step;                                          \
    float r = mx_f32_of_##half((uint16_t)step);                                                              \
    r = x == y ? y : r;                                                                                      \
    return ((x != x) | (y != y)) ? x + y : r;                                                                  \
  }                                                                                                          \
  static inline float mx_##half##_spacing(float x) {                                                         \
    float r = mx_f32_of_##half((uint16_t)(mx_##half##_of_f32(x) + 1)) - x;                                   \
    return fabsf(x) < INFINITY ? r : x - x;                                                                  \
  }
MX_HALF_STEPS(f16)
MX_HALF_STEPS(bf16)
#undef MX_HALF_STEPS

#endif
