/* FN(...) for bool: one byte, 0 or 1. Template of host/scalar.h; prefix b_. */
static inline uint8_t b_abs(uint8_t x) { return x; }
static inline uint8_t b_floor(uint8_t x) { return x; }
static inline uint8_t b_ceil(uint8_t x) { return x; }
static inline uint8_t b_trunc(uint8_t x) { return x; }
static inline uint8_t b_real(uint8_t x) { return x; }
static inline uint8_t b_imag(uint8_t x) { return 0; }
static inline uint8_t b_isnan(uint8_t x) { return 0; }
static inline uint8_t b_isinf(uint8_t x) { return 0; }
static inline uint8_t b_isfinite(uint8_t x) { return 1; }
static inline uint8_t b_lnot(uint8_t x) { return x == 0; }
static inline uint8_t b_inv(uint8_t x) { return x == 0; }
static inline uint8_t b_add(uint8_t x, uint8_t y) { return x | y; }
static inline uint8_t b_mul(uint8_t x, uint8_t y) { return x & y; }
static inline uint8_t b_maximum(uint8_t x, uint8_t y) { return x | y; }
static inline uint8_t b_minimum(uint8_t x, uint8_t y) { return x & y; }
static inline uint8_t b_fmax(uint8_t x, uint8_t y) { return x | y; }
static inline uint8_t b_fmin(uint8_t x, uint8_t y) { return x & y; }
static inline uint8_t b_eq(uint8_t x, uint8_t y) { return x == y; }
static inline uint8_t b_ne(uint8_t x, uint8_t y) { return x != y; }
static inline uint8_t b_lt(uint8_t x, uint8_t y) { return x < y; }
static inline uint8_t b_le(uint8_t x, uint8_t y) { return x <= y; }
static inline uint8_t b_gt(uint8_t x, uint8_t y) { return x > y; }
static inline uint8_t b_ge(uint8_t x, uint8_t y) { return x >= y; }
static inline uint8_t b_land(uint8_t x, uint8_t y) { return x & y; }
static inline uint8_t b_lor(uint8_t x, uint8_t y) { return x | y; }
static inline uint8_t b_lxor(uint8_t x, uint8_t y) { return x ^ y; }
static inline uint8_t b_band(uint8_t x, uint8_t y) { return x & y; }
static inline uint8_t b_bor(uint8_t x, uint8_t y) { return x | y; }
static inline uint8_t b_bxor(uint8_t x, uint8_t y) { return x ^ y; }
