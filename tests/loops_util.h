// Shared by the tests of host/loops.h: instruction sets, numbers to try, guarded blocks.
#ifndef TESTS_LOOPS_UTIL_H
#define TESTS_LOOPS_UTIL_H

#include "tests/loops_shim.h"
#include "tests/oracle.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace loops {

// Those that this CPU has; the first is the portable one.
inline std::vector<const char *> isas() {
  std::vector<const char *> out;
  for (const char *isa : {"baseline", "avx2", "avx512"})
    if (loops_has(isa)) out.push_back(isa);
  return out;
}

inline std::vector<mars_dtype> dtypes() {
  std::vector<mars_dtype> out;
  for (int dt = 0; dt < MARS_DTYPE_COUNT; dt++) out.push_back((mars_dtype)dt);
  return out;
}

using Bytes = std::vector<unsigned char>;

// A block at an odd multiple of its element's alignment, with guards around.
class Block {
public:
  Block(mars_dtype dt, int64_t n) : size_(mars_dtype_bytes(dt)), n_(n), raw_(kGuard * 2 + 64 + n * size_, 0xA5) {
    size_t align = std::min<size_t>(size_, 8);
    size_t at = (size_t)(uintptr_t)(raw_.data() + kGuard) % 64;
    start_ = kGuard + (at == align ? 0 : (64 + align - at) % 64); // one element beyond a cache line
  }
  unsigned char *data() { return raw_.data() + start_; }
  bool guards_intact() const {
    for (size_t i = 0; i < raw_.size(); i++)
      if ((i < start_ || i >= start_ + n_ * size_) && raw_[i] != 0xA5) return false;
    return true;
  }

private:
  static constexpr size_t kGuard = 64;
  size_t size_, n_, start_;
  Bytes raw_;
};

// Equal bits, any NaN being as good as another.
inline bool same(mars_dtype dt, const unsigned char *a, const unsigned char *b) {
  size_t size = mars_dtype_bytes(dt);
  if (std::memcmp(a, b, size) == 0) return true;
  char k = oracle::kind_of(dt);
  if (k != 'f' && k != 'c') return false;
  size_t part = k == 'c' ? size / 2 : size;
  mars_dtype f = oracle::float_of(dt);
  for (size_t at = 0; at < size; at += part) {
    bool nan_a = std::isnan(oracle::load(f, a + at).re), nan_b = std::isnan(oracle::load(f, b + at).re);
    if (nan_a != nan_b || (!nan_a && std::memcmp(a + at, b + at, part) != 0)) return false;
  }
  return true;
}

// -1: all n elements are the same; else the first that is not.
inline int64_t first_difference(mars_dtype dt, int64_t n, const unsigned char *a, const unsigned char *b) {
  size_t size = mars_dtype_bytes(dt);
  for (int64_t i = 0; i < n; i++)
    if (!same(dt, a + i * size, b + i * size)) return i;
  return -1;
}

// Numbers of a dtype: limits and small values, then random ones of many sizes.
class Numbers {
public:
  explicit Numbers(uint64_t seed) : random_(seed) {}

  std::vector<oracle::Num> special(mars_dtype dt) const {
    std::vector<oracle::Num> out;
    char k = oracle::kind_of(dt);
    if (k == 'b' || k == 'i' || k == 'u') {
      int bits = oracle::bits_of(dt);
      for (oracle::wide v : {0, 1, 2, 3, -1, -2, 7, 8, 31, 63, 64, 65, -64, 100})
        out.push_back(whole(k, oracle::wrap(dt, v)));
      oracle::wide top = (oracle::wide)1 << (k == 'u' ? bits : bits - 1);
      if (k != 'b')
        for (oracle::wide v : {top - 1, top - 2, -top, -top + 1}) out.push_back(whole(k, oracle::wrap(dt, v)));
      return out;
    }
    mars_dtype f = oracle::float_of(dt);
    oracle::real tiny = oracle::ulp_at(f, 0), inf = std::numeric_limits<oracle::real>::infinity();
    oracle::real top = f == MARS_F64 ? std::numeric_limits<double>::max()
                       : f == MARS_F16 ? 65504
                       : f == MARS_F32 ? std::numeric_limits<float>::max()
                                       : std::ldexp((oracle::real)255, 120);
    oracle::real least_normal = f == MARS_F64 ? 0x1p-1022L : f == MARS_F16 ? 0x1p-14L : 0x1p-126L;
    std::vector<oracle::real> parts = {0, -0.0L, 1, -1, inf, -inf, std::nanl(""), tiny, -tiny, top, -top, least_normal,
                                       -least_normal, 0.5L, 1.5L, -2.5L, 3, -3, 1000};
    if (k == 'f')
      for (oracle::real v : parts) out.push_back(number(k, v, 0));
    else
      for (oracle::real re : {0.0L, -0.0L, 1.0L, -2.0L, inf, -inf, (oracle::real)std::nanl("")})
        for (oracle::real im : {0.0L, -0.0L, 1.0L, -3.0L, inf, (oracle::real)std::nanl("")}) out.push_back(number(k, re, im));
    return out;
  }

  oracle::Num draw(mars_dtype dt) {
    char k = oracle::kind_of(dt);
    if (k == 'b' || k == 'i' || k == 'u') {
      uint64_t bits = random_();
      int drop = (int)(random_() % (uint64_t)oracle::bits_of(dt));
      return whole(k, k == 'b' ? (oracle::wide)(bits & 1) : oracle::wrap(dt, (oracle::wide)((int64_t)bits >> drop)));
    }
    mars_dtype f = oracle::float_of(dt);
    unsigned char t[16];
    oracle::store(dt, k == 'c' ? number(k, part(f, false), part(f, false)) : number(k, part(f, true), 0), t);
    return oracle::load(dt, t);
  }

private:
  // wild: also any bit pattern. Complex parts stay where long double functions are good enough to judge by.
  oracle::real part(mars_dtype f, bool wild) {
    uint64_t bits = random_();
    double t = (double)(bits >> 11) * 0x1p-52 - 1;
    switch (random_() % (wild ? 8 : 6)) {
    case 0: return t;
    case 1: return t * 10;
    case 2: return 1 + t * 1e-3;
    case 3: return std::nearbyint(t * 40) / 4;
    case 4: return t * (f == MARS_F64 ? 700 : f == MARS_F16 ? 12 : 85);
    case 5: return std::ldexp(t, (int)(bits % 16) - 12);
    case 6: return std::nearbyint(t * 300) * 1.57079632679489661923;
    default: return oracle::load(f, &bits).re;
    }
  }
  static oracle::Num whole(char kind, oracle::wide i) {
    oracle::Num n;
    n.kind = kind;
    n.i = i;
    return n;
  }
  static oracle::Num number(char kind, oracle::real re, oracle::real im) {
    oracle::Num n;
    n.kind = kind;
    n.re = re;
    n.im = im;
    return n;
  }
  std::mt19937_64 random_;
};

// A row of the op table over a dtype, and data for it.
class Row {
protected:
  // Every special value with every other, then `more` random ones.
  void set_row(int op, mars_dtype dt, int64_t more) {
    dt_ = dt;
    row_ = loops_row_of(op);
    half_ = oracle::is_half(dt);
    stored_ = half_ ? MARS_F32 : dt; // halves live in f32 registers
    result_ = half_ ? MARS_F32 : loops_result_dtype(op, dt);
    Numbers numbers((uint64_t)op * 31 + dt);
    std::vector<oracle::Num> special = numbers.special(dt);
    size_t s = special.size(), pairs = row_.arity == 1 ? s : s * s;
    n_ = (int64_t)pairs + more;
    for (int k = 0; k < row_.arity; k++) {
      mars_dtype own = operand(k);
      size_t size = mars_dtype_bytes(own);
      in_[k].resize((size_t)n_ * size);
      for (int64_t i = 0; i < n_; i++) {
        oracle::Num v = (size_t)i < pairs ? special[k == 0 ? i % s : k == 1 ? i / s : (i * 7 + i / s) % s] : numbers.draw(dt);
        if (k == 1 && std::string(row_.name) == "ldexp") v.re = std::nearbyint(v.re * 4); // exponents
        if (own == MARS_BOOL && dt != MARS_BOOL) v = oracle::cast(v, dt, MARS_BOOL);
        oracle::store(own, v, &in_[k][(size_t)i * size]);
      }
    }
  }
  mars_dtype operand(int k) const { return k == 0 && std::string(row_.name) == "where" ? MARS_BOOL : stored_; }
  oracle::Num argument(int k, int64_t i) const {
    return oracle::load(operand(k), &in_[k][(size_t)i * mars_dtype_bytes(operand(k))]);
  }
  // Complex operands that NumPy's formulas and the oracle's treat apart are left out.
  bool judged(const oracle::Num *args) const {
    std::string name = row_.name;
    if (oracle::kind_of(dt_) != 'c') return true;
    auto nan = [](const oracle::Num &z) { return std::isnan(z.re) || std::isnan(z.im); };
    if (name == "fmax" || name == "fmin") return !(nan(args[0]) && nan(args[1]));
    if (row_.ulp == 0) return true;
    for (int k = 0; k < row_.arity; k++)
      if (!std::isfinite(args[k].re) || !std::isfinite(args[k].im)) return false;
    if (name == "divide") return args[1].re != 0 || args[1].im != 0;
    return name != "power" || args[0].re != 0 || args[0].im != 0;
  }

  mars_dtype dt_, stored_, result_;
  loops_row row_;
  bool half_;
  int64_t n_;
  Bytes in_[3];
};

} // namespace loops
#endif
