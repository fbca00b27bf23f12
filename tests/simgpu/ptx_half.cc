/* f16, f16x2, bf16 and bf16x2: arithmetic, and the few functions that PTX has for them. */
#include "ptx_half.h"

#include "ptx_families.h"

namespace sg {
namespace {

enum { FTZ = 1, SAT = 2, RELU = 4, NAN_OUT = 8, XORSIGN = 16 };

struct Add {
  static double f(double a, double b, double) { return a + b; }
};
struct Sub {
  static double f(double a, double b, double) { return a - b; }
};
struct Mul {
  static double f(double a, double b, double) { return a * b; }
};
struct Fma {
  static double f(double a, double b, double c) { return fma_to_odd(a, b, c); }
};
struct Ex2 {
  static double f(double a, double, double) { return std::exp2(a); }
};
struct Tanh {
  static double f(double a, double, double) { return std::tanh(a); }
};

template <class H> uint16_t finish(uint16_t r, int mode) {
  if (mode & FTZ)
    r = H::flush(r);
  if ((mode & SAT) || (mode & RELU)) {
    if (H::is_nan(r))
      return mode & SAT ? 0 : H::kNan;
    if (r & 0x8000)
      return 0;
    uint16_t one = H::from(1.0);
    if ((mode & SAT) && r > one)
      r = one;
  }
  return r;
}

template <class H> uint16_t start(uint16_t x, int mode) {
  return mode & FTZ ? H::flush(x) : x;
}

template <class H, class F> uint16_t compute(uint16_t a, uint16_t b, uint16_t c, int mode) {
  double r = F::f(H::to(start<H>(a, mode)), H::to(start<H>(b, mode)), H::to(start<H>(c, mode)));
  return finish<H>(H::from(r), mode);
}

template <class H, bool IS_MAX> uint16_t extreme(uint16_t a, uint16_t b, int mode) {
  a = start<H>(a, mode), b = start<H>(b, mode);
  if (H::is_nan(a) || H::is_nan(b)) {
    if ((mode & NAN_OUT) || (H::is_nan(a) && H::is_nan(b)))
      return H::kNan;
    return H::is_nan(a) ? b : a;
  }
  uint16_t sign = 0;
  if (mode & XORSIGN) {
    sign = static_cast<uint16_t>((a ^ b) & 0x8000);
    a &= 0x7fff, b &= 0x7fff;
  }
  // as integers that order like the floats, -0 before +0
  int x = a & 0x8000 ? -(a & 0x7fff) - 1 : a, y = b & 0x8000 ? -(b & 0x7fff) - 1 : b;
  return static_cast<uint16_t>((IS_MAX ? (x < y ? b : a) : (y < x ? b : a)) | sign);
}
template <class H> struct Min {
  static uint16_t g(uint16_t a, uint16_t b, uint16_t, int mode) { return extreme<H, false>(a, b, mode); }
};
template <class H> struct Max {
  static uint16_t g(uint16_t a, uint16_t b, uint16_t, int mode) { return extreme<H, true>(a, b, mode); }
};
template <class H, class F> struct Arithmetic {
  static uint16_t g(uint16_t a, uint16_t b, uint16_t c, int mode) { return compute<H, F>(a, b, c, mode); }
};
template <class H> struct Neg {
  static uint16_t g(uint16_t a, uint16_t, uint16_t, int mode) { return start<H>(a, mode) ^ 0x8000; }
};
template <class H> struct Abs {
  static uint16_t g(uint16_t a, uint16_t, uint16_t, int mode) { return start<H>(a, mode) & 0x7fff; }
};

/* G::g on one value (T = uint16_t) or on both halves (uint32_t); missing operands repeat the first. */
template <class G, class T> void half_op(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b == kNone ? op.a : op.b),
          *c = slot<T>(w, op.c == kNone ? op.a : op.c);
  int mode = op.mode;
  each_lane(mask, [=](int l) {
    uint32_t x = a[l], y = b[l], z = c[l];
    uint32_t r = G::g(static_cast<uint16_t>(x), static_cast<uint16_t>(y), static_cast<uint16_t>(z), mode);
    if (sizeof(T) == 4)
      r |= static_cast<uint32_t>(G::g(static_cast<uint16_t>(x >> 16), static_cast<uint16_t>(y >> 16),
                                      static_cast<uint16_t>(z >> 16), mode))
           << 16;
    d[l] = static_cast<T>(r);
  });
}

template <class G16, class GB16> Handler pick(Type t) {
  switch (t) {
  case Type::F16:
    return half_op<G16, uint16_t>;
  case Type::F16X2:
    return half_op<G16, uint32_t>;
  case Type::BF16:
    return half_op<GB16, uint16_t>;
  default:
    return half_op<GB16, uint32_t>;
  }
}
template <class F> Handler pick_arithmetic(Type t) {
  return pick<Arithmetic<F16, F>, Arithmetic<BF16, F>>(t);
}

void modes(Decoder &d, Mods &m, Type t) {
  if (m.take_round(Round::RN) != Round::RN)
    throw Unknown{"rounding"};
  if (m.take("ftz"))
    d.op.mode |= FTZ;
  if (m.take("sat"))
    d.op.mode |= SAT;
  if (m.take("relu"))
    d.op.mode |= RELU;
  if (m.take("NaN"))
    d.op.mode |= NAN_OUT;
  if (m.take("xorsign")) {
    if (!m.take("abs"))
      throw Unknown{""};
    d.op.mode |= XORSIGN;
  }
}

} // namespace

void decode_half_arithmetic(Decoder &d, Mods &m, Type t) {
  const std::string &word = d.in->op;
  bool is_fma = word == "fma";

  modes(d, m, t);
  if (word == "add")
    d.op.run = pick_arithmetic<Add>(t);
  else if (word == "sub")
    d.op.run = pick_arithmetic<Sub>(t);
  else if (word == "mul")
    d.op.run = pick_arithmetic<Mul>(t);
  else if (is_fma)
    d.op.run = pick_arithmetic<Fma>(t);
  else if (word == "min")
    d.op.run = pick<Min<F16>, Min<BF16>>(t);
  else if (word == "max")
    d.op.run = pick<Max<F16>, Max<BF16>>(t);
  else
    throw Unknown{""};
  d.need(is_fma ? 4 : 3);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
  if (is_fma)
    d.op.c = d.src(3, t);
}

void decode_half_function(Decoder &d, Mods &m, Type t) {
  if (!m.take("approx"))
    throw Unknown{""};
  modes(d, m, t);
  if (d.in->op == "ex2")
    d.op.run = pick_arithmetic<Ex2>(t);
  else if (d.in->op == "tanh")
    d.op.run = pick_arithmetic<Tanh>(t);
  else
    throw Unknown{""};
  d.need(2);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
}

void decode_half_sign(Decoder &d, Mods &m, Type t, bool is_neg) {
  modes(d, m, t);
  d.op.run = is_neg ? pick<Neg<F16>, Neg<BF16>>(t) : pick<Abs<F16>, Abs<BF16>>(t);
  d.need(2);
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
}

} // namespace sg
