// Oracle of NumPy 2's promotion (a table written by hand) and of the documented random streams.
#include "tests/oracle.h"

namespace oracle {

// Rows and columns in the order of MARS_DTYPE_LIST: b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 bf f4 f8 c8 cz. bfloat16 is
// not NumPy's own: it joins as ml_dtypes defines it (with float16: float32, with any integer: bfloat16 never
// exact, so as float16).
static const char *const kTable[15] = {
    "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 bf f4 f8 c8 cz", // bool
    "i1 i1 i2 i4 i8 i2 i4 i8 f8 f2 bf f4 f8 c8 cz", // int8
    "i2 i2 i2 i4 i8 i2 i4 i8 f8 f4 f4 f4 f8 c8 cz", // int16
    "i4 i4 i4 i4 i8 i4 i4 i8 f8 f8 f8 f8 f8 cz cz", // int32
    "i8 i8 i8 i8 i8 i8 i8 i8 f8 f8 f8 f8 f8 cz cz", // int64
    "u1 i2 i2 i4 i8 u1 u2 u4 u8 f2 bf f4 f8 c8 cz", // uint8
    "u2 i4 i4 i4 i8 u2 u2 u4 u8 f4 f4 f4 f8 c8 cz", // uint16
    "u4 i8 i8 i8 i8 u4 u4 u4 u8 f8 f8 f8 f8 cz cz", // uint32
    "u8 f8 f8 f8 f8 u8 u8 u8 u8 f8 f8 f8 f8 cz cz", // uint64
    "f2 f2 f4 f8 f8 f2 f4 f8 f8 f2 f4 f4 f8 c8 cz", // float16
    "bf bf f4 f8 f8 bf f4 f8 f8 f4 bf f4 f8 c8 cz", // bfloat16
    "f4 f4 f4 f8 f8 f4 f4 f8 f8 f4 f4 f4 f8 c8 cz", // float32
    "f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 cz cz", // float64
    "c8 c8 c8 cz cz c8 c8 cz cz c8 c8 c8 cz c8 cz", // complex64
    "cz cz cz cz cz cz cz cz cz cz cz cz cz cz cz", // complex128
};

mars_dtype promote(mars_dtype a, mars_dtype b) {
  static const std::string codes = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 bf f4 f8 c8 cz";
  std::string code(kTable[a] + 3 * b, 2);
  return (mars_dtype)(codes.find(code) / 3);
}

mars_dtype promote_weak(mars_dtype a, char weak) {
  char k = kind_of(a);
  switch (weak) {
  case 'b':
    return a;
  case 'i':
    return k == 'b' ? MARS_I64 : a;
  case 'f':
    return k == 'f' || k == 'c' ? a : MARS_F64;
  default:
    return k == 'c' ? a : a == MARS_F16 || a == MARS_BF16 || a == MARS_F32 ? MARS_C64 : MARS_C128;
  }
}

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k1,
                        (uint32_t)p0};
    for (int i = 0; i < 4; i++)
      c[i] = next[i];
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 4; i++)
    out[i] = c[i];
}

static void block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t attempt, uint32_t out[4]) {
  uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream,
                         attempt << 24 | (uint32_t)((stream >> 32) & 0xffffff)};
  philox4x32_10(counter, key, out);
}

static uint64_t word64(uint64_t seed, uint64_t stream, uint64_t index, uint32_t attempt) {
  uint32_t w[4];
  block(seed, stream, index / 2, attempt, w);
  const uint32_t *p = w + 2 * (index % 2);
  return (uint64_t)p[1] << 32 | p[0];
}

double uniform_f64(uint64_t seed, uint64_t stream, uint64_t index) {
  return (double)(word64(seed, stream, index, 0) >> 11) * 0x1p-53;
}

float uniform_f32(uint64_t seed, uint64_t stream, uint64_t index) {
  uint32_t w[4];
  block(seed, stream, index / 4, 0, w);
  return (float)(w[index % 4] >> 8) * 0x1p-24f;
}

int64_t integer(uint64_t seed, uint64_t stream, uint64_t index, int64_t low, uint64_t range) {
  if (range == 0)
    return (int64_t)((uint64_t)low + word64(seed, stream, index, 0));
  uint64_t threshold = (0 - range) % range; // Lemire 2019: words whose low product falls below it are biased
  for (uint32_t attempt = 0;; attempt++) {
    unsigned __int128 m = (unsigned __int128)word64(seed, stream, index, attempt) * range;
    if ((uint64_t)m >= threshold)
      return (int64_t)((uint64_t)low + (uint64_t)(m >> 64));
  }
}

} // namespace oracle
