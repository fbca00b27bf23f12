/*
 * f32 and f64 arithmetic, and the rows of the words that integers and 16-bit floats share with them.
 * Approximations are computed in double and rounded once: within PTX's error bounds whatever they are.
 */
#include <cfenv>
#include <cmath>

#include "ptx_families.h"
#include "ptx_half.h"

namespace sg {
namespace {

enum { FTZ = 1, SAT = 2, NAN_OUT = 4, XORSIGN = 8 };

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

/* An f32 NaN is always the same one; f64 keeps payloads. */
inline float result(float x) {
  return x != x ? bits_to<float>(0x7fffffffu) : x;
}
inline double result(double x) {
  return x;
}
inline float flush(float x) {
  return std::fabs(x) < 1.17549435e-38f ? std::copysign(0.0f, x) : x;
}
inline double flush(double x) {
  return x;
}
template <class T> T saturate(T x) {
  return x > 0 ? (x < 1 ? x : T(1)) : T(0);
} // NaN gives +0

template <class T> struct Add {
  static T f(T a, T b) { return a + b; }
};
template <class T> struct Sub {
  static T f(T a, T b) { return a - b; }
};
template <class T> struct Mul {
  static T f(T a, T b) { return a * b; }
};
template <class T> struct Div {
  static T f(T a, T b) { return a / b; }
};
template <class T> struct Rcp {
  static T f(T a) { return T(1) / a; }
};
template <class T> struct Sqrt {
  static T f(T a) { return std::sqrt(a); }
};
template <class T> struct Rsqrt {
  static T f(T a) { return static_cast<T>(1.0 / std::sqrt(static_cast<double>(a))); }
};
template <class T> struct Fma {
  static T f(T a, T b, T c) { return std::fma(a, b, c); }
};
struct Ex2 {
  static float f(float a) { return static_cast<float>(std::exp2(static_cast<double>(a))); }
};
struct Lg2 {
  static float f(float a) { return static_cast<float>(std::log2(static_cast<double>(a))); }
};
struct Sin {
  static float f(float a) { return static_cast<float>(std::sin(static_cast<double>(a))); }
};
struct Cos {
  static float f(float a) { return static_cast<float>(std::cos(static_cast<double>(a))); }
};
struct Tanh {
  static float f(float a) { return static_cast<float>(std::tanh(static_cast<double>(a))); }
};

/* The high words count: the low 32 bits of argument and result are zeros. */
inline double high_word(double x) {
  return bits_to<double>(bits_to<uint64_t>(x) & ~0xffffffffull);
}
inline double flush64(double x) {
  return std::fabs(x) < 2.2250738585072014e-308 ? std::copysign(0.0, x) : x;
}
struct RcpGross {
  static double f(double a) { return high_word(flush64(1.0 / flush64(high_word(a)))); }
};
struct RsqrtGross {
  static double f(double a) { return high_word(1.0 / std::sqrt(flush64(high_word(a)))); }
};

/* min and max: -0 < +0; a NaN loses unless .NaN is said. */
template <class T, bool IS_MAX> T extreme(T a, T b, int mode) {
  if (a != a || b != b) {
    if ((mode & NAN_OUT) || (a != a && b != b))
      return result(std::numeric_limits<T>::quiet_NaN());
    return a != a ? b : a;
  }
  if (mode & XORSIGN) {
    bool is_negative = std::signbit(a) != std::signbit(b);
    a = std::fabs(a), b = std::fabs(b);
    T r = IS_MAX ? (a < b ? b : a) : (b < a ? b : a);
    return is_negative ? -r : r;
  }
  if (a == b)
    return (IS_MAX ? std::signbit(a) : std::signbit(b)) ? b : a;
  return IS_MAX ? (a < b ? b : a) : (b < a ? b : a);
}

template <class T> T finish(T r, int mode) {
  r = result(r);
  if (mode & FTZ)
    r = flush(r);
  if (mode & SAT)
    r = saturate(r);
  return r;
}
template <class T> T start(T x, int mode) {
  return mode & FTZ ? flush(x) : x;
}

template <class F, class T> void plain1(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a);
  lanes(mask, [=](int l) { d[l] = result(F::f(a[l])); });
}
template <class F, class T> void plain2(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b);
  lanes(mask, [=](int l) { d[l] = result(F::f(a[l], b[l])); });
}
template <class F, class T> void plain3(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b), *c = slot<T>(w, op.c);
  lanes(mask, [=](int l) { d[l] = result(F::f(a[l], b[l], c[l])); });
}
/* With a rounding direction, .ftz or .sat. The calls that set the direction keep the arithmetic between them.
 */
template <class F, class T> void full1(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a);
  RoundScope scope(op.round);
  each_lane(mask, [&](int l) { d[l] = finish(F::f(start(a[l], op.mode)), op.mode); });
}
template <class F, class T> void full2(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b);
  RoundScope scope(op.round);
  each_lane(mask, [&](int l) { d[l] = finish(F::f(start(a[l], op.mode), start(b[l], op.mode)), op.mode); });
}
template <class F, class T> void full3(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b), *c = slot<T>(w, op.c);
  RoundScope scope(op.round);
  each_lane(mask, [&](int l) {
    d[l] = finish(F::f(start(a[l], op.mode), start(b[l], op.mode), start(c[l], op.mode)), op.mode);
  });
}

/* Without the instruction every fused multiply-add is a call of libm: kernels consist of them. */
#if defined(__x86_64__) && defined(__GNUC__)
template <class T> __attribute__((target("avx2,fma"))) void fast_fma(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b), *c = slot<T>(w, op.c);
  if (mask == kFull) {
#pragma GCC ivdep
    for (int l = 0; l < kLanes; l++) {
      T r = std::fma(a[l], b[l], c[l]);
      d[l] = r != r ? result(r) : r;
    }
  } else {
    for (uint32_t m = mask; m; m &= m - 1) {
      int l = __builtin_ctz(m);
      d[l] = result(std::fma(a[l], b[l], c[l]));
    }
  }
}
bool has_fma() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
template <class T> void fast_fma(Warp &w, const Op &op, uint32_t mask) {
  plain3<Fma<T>, T>(w, op, mask);
}
bool has_fma() {
  return false;
}
#endif

template <class T, bool IS_MAX> void extreme_op(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b), *c = op.c == kNone ? nullptr : slot<T>(w, op.c);
  each_lane(mask, [&](int l) {
    T r = extreme<T, IS_MAX>(start(a[l], op.mode), start(b[l], op.mode), op.mode);
    if (c)
      r = extreme<T, IS_MAX>(r, start(c[l], op.mode), op.mode);
    d[l] = r;
  });
}

template <class T> struct Neg {
  static T f(T a) { return -a; }
};
template <class T> struct Abs {
  static T f(T a) { return std::fabs(a); }
};
template <class F, class T> void sign_op(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a);
  int mode = op.mode;
  lanes(mask, [=](int l) { d[l] = F::f(start(a[l], mode)); });
}

template <class T> void copysign_op(Warp &w, const Op &op, uint32_t mask) {
  T *d = slot<T>(w, op.d);
  const T *a = slot<T>(w, op.a), *b = slot<T>(w, op.b);
  lanes(mask, [=](int l) { d[l] = std::copysign(b[l], a[l]); }); // the sign of a, the value of b
}

template <class T> void testp_op(Warp &w, const Op &op, uint32_t mask) {
  const T *a = slot<T>(w, op.a);
  int mode = op.mode;
  uint32_t bits = lane_bits(mask, [=](int l) {
    int c = std::fpclassify(a[l]);
    switch (mode) {
    case 0:
      return c != FP_NAN && c != FP_INFINITE;
    case 1:
      return c == FP_INFINITE;
    case 2:
      return c != FP_NAN;
    case 3:
      return c == FP_NAN;
    case 4:
      return c == FP_NORMAL;
    default:
      return c == FP_SUBNORMAL;
    }
  });
  set_predicate(w, op.d, mask, bits);
}

/* ---- decoding
 * ---------------------------------------------------------------------------------------------------- */

void modes(Decoder &d, Mods &m, Type t) {
  d.op.round = m.take_round(Round::RN);
  if (d.op.round > Round::RP)
    throw Unknown{"rounding"};
  if (m.take("ftz"))
    d.op.mode |= FTZ;
  if (m.take("sat"))
    d.op.mode |= SAT;
  if (t == Type::F64 && d.op.mode)
    throw Unknown{""};
}

bool is_plain(const Op &op) {
  return op.mode == 0 && op.round == Round::RN;
}

template <template <class> class F> void decode1(Decoder &d, Mods &m, Type t) {
  modes(d, m, t);
  d.need(2);
  if (t == Type::F32)
    d.op.run = is_plain(d.op) ? plain1<F<float>, float> : full1<F<float>, float>;
  else if (t == Type::F64)
    d.op.run = is_plain(d.op) ? plain1<F<double>, double> : full1<F<double>, double>;
  else
    throw Unknown{""};
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
}

template <template <class> class F> void decode2(Decoder &d, Mods &m, Type t) {
  modes(d, m, t);
  d.need(3);
  if (t == Type::F32)
    d.op.run = is_plain(d.op) ? plain2<F<float>, float> : full2<F<float>, float>;
  else if (t == Type::F64)
    d.op.run = is_plain(d.op) ? plain2<F<double>, double> : full2<F<double>, double>;
  else
    throw Unknown{""};
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
}

template <template <class> class F> void decode3(Decoder &d, Mods &m, Type t) {
  modes(d, m, t);
  d.need(4);
  if (t == Type::F32)
    d.op.run = is_plain(d.op) ? plain3<F<float>, float> : full3<F<float>, float>;
  else if (t == Type::F64)
    d.op.run = is_plain(d.op) ? plain3<F<double>, double> : full3<F<double>, double>;
  else
    throw Unknown{""};
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
  d.op.c = d.src(3, t);
}

/* Approximations of f32. */
template <class F> void decode_approx(Decoder &d, Mods &m, Type t) {
  if (!m.take("approx") || t != Type::F32)
    throw Unknown{""};
  if (m.take("ftz"))
    d.op.mode |= FTZ;
  d.need(2);
  d.op.run = d.op.mode ? full1<F, float> : plain1<F, float>;
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
}

template <bool IS_SUB> void decode_add(Decoder &d, Mods &m) {
  if (decode_int_halves(d, m, d.in->op))
    return;
  Type t = m.take_type();
  if (is_small_float(t))
    decode_half_arithmetic(d, m, t);
  else if (!is_float(t))
    decode_int_add(d, m, t, IS_SUB);
  else if (IS_SUB)
    decode2<Sub>(d, m, t);
  else
    decode2<Add>(d, m, t);
}

void decode_mul(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (is_small_float(t))
    decode_half_arithmetic(d, m, t);
  else if (!is_float(t))
    decode_int_mul(d, m, t);
  else
    decode2<Mul>(d, m, t);
}

void decode_float_fma(Decoder &d, Mods &m, Type t) {
  decode3<Fma>(d, m, t);
  if (!is_plain(d.op) || !has_fma())
    return;
  d.op.run = t == Type::F32 ? fast_fma<float> : fast_fma<double>;
}

void decode_fma(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (is_small_float(t))
    decode_half_arithmetic(d, m, t);
  else
    decode_float_fma(d, m, t);
}

void decode_mad_or_int(Decoder &d, Mods &m) { // mad.f32 is fma
  for (const std::string &word : d.in->mods)
    if (word == "f32" || word == "f64") {
      decode_float_fma(d, m, m.take_type());
      return;
    }
  decode_int_mad(d, m);
}

void decode_div(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (!is_float(t)) {
    decode_int_div(d, t);
    return;
  }
  if ((m.take("approx") || m.take("full")) && t != Type::F32)
    throw Unknown{""};
  decode2<Div>(d, m, t);
}

void decode_gross(Decoder &d, Mods &m, Handler run) {
  if (!m.take("ftz"))
    throw Unknown{""};
  d.need(2);
  d.op.run = run;
  d.op.d = d.dst(0, Type::F64);
  d.op.a = d.src(1, Type::F64);
}

void decode_rcp(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (m.take("approx") && t == Type::F64)
    decode_gross(d, m, plain1<RcpGross, double>);
  else
    decode1<Rcp>(d, m, t);
}

void decode_sqrt(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (m.take("approx") && t != Type::F32)
    throw Unknown{""};
  decode1<Sqrt>(d, m, t);
}

void decode_rsqrt(Decoder &d, Mods &m) {
  Type t = m.take_type();
  bool is_ftz = false;
  for (const std::string &word : d.in->mods)
    is_ftz = is_ftz || word == "ftz";
  if (!m.take("approx"))
    throw Unknown{""};
  if (t == Type::F64 && is_ftz)
    decode_gross(d, m, plain1<RsqrtGross, double>);
  else
    decode1<Rsqrt>(d, m, t);
}

template <class F> void decode_function(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (is_small_float(t))
    decode_half_function(d, m, t);
  else
    decode_approx<F>(d, m, t);
}

template <bool IS_MAX> void decode_extreme(Decoder &d, Mods &m) {
  if (decode_int_halves(d, m, d.in->op))
    return;
  Type t = m.take_type();
  if (is_small_float(t)) {
    decode_half_arithmetic(d, m, t);
    return;
  }
  if (!is_float(t)) {
    decode_int_min(d, m, t, IS_MAX);
    return;
  }
  if (m.take("ftz"))
    d.op.mode |= FTZ;
  if (m.take("NaN"))
    d.op.mode |= NAN_OUT;
  if (m.take("xorsign")) {
    if (!m.take("abs"))
      throw Unknown{""};
    d.op.mode |= XORSIGN;
  }
  d.need(3, 4);
  d.op.run = t == Type::F32 ? extreme_op<float, IS_MAX> : extreme_op<double, IS_MAX>;
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
  if (d.operand_count() == 4)
    d.op.c = d.src(3, t);
}

template <bool IS_NEG> void decode_sign(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (is_small_float(t)) {
    decode_half_sign(d, m, t, IS_NEG);
    return;
  }
  if (!is_float(t)) {
    decode_int_sign(d, t, IS_NEG);
    return;
  }
  if (m.take("ftz"))
    d.op.mode |= FTZ;
  d.need(2);
  if (t == Type::F32)
    d.op.run = IS_NEG ? sign_op<Neg<float>, float> : sign_op<Abs<float>, float>;
  else
    d.op.run = IS_NEG ? sign_op<Neg<double>, double> : sign_op<Abs<double>, double>;
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
}

void decode_copysign(Decoder &d, Mods &m) {
  Type t = m.take_type();
  if (t != Type::F32 && t != Type::F64)
    throw Unknown{""};
  d.need(3);
  d.op.run = t == Type::F32 ? copysign_op<float> : copysign_op<double>;
  d.op.d = d.dst(0, t);
  d.op.a = d.src(1, t);
  d.op.b = d.src(2, t);
}

void decode_testp(Decoder &d, Mods &m) {
  int which = m.take_one_of({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  Type t = m.take_type();
  if (which < 0 || (t != Type::F32 && t != Type::F64))
    throw Unknown{""};
  d.need(2);
  d.op.mode = static_cast<uint8_t>(which);
  d.op.run = t == Type::F32 ? testp_op<float> : testp_op<double>;
  d.op.d = d.dst(0, Type::PRED);
  d.op.a = d.src(1, t);
}

} // namespace

const Row kFloatRows[] = {
    {"add", decode_add<false>},    {"sub", decode_add<true>},       {"mul", decode_mul},
    {"fma", decode_fma},           {"mad", decode_mad_or_int},      {"div", decode_div},
    {"rcp", decode_rcp},           {"sqrt", decode_sqrt},           {"rsqrt", decode_rsqrt},
    {"ex2", decode_function<Ex2>}, {"lg2", decode_function<Lg2>},   {"sin", decode_function<Sin>},
    {"cos", decode_function<Cos>}, {"tanh", decode_function<Tanh>}, {"min", decode_extreme<false>},
    {"max", decode_extreme<true>}, {"neg", decode_sign<true>},      {"abs", decode_sign<false>},
    {"copysign", decode_copysign}, {"testp", decode_testp},         {nullptr, nullptr},
};

} // namespace sg
