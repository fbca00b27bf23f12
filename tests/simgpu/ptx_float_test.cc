/* f32, f64 and the 16-bit floats by hand: directions of rounding, .ftz, .sat, NaNs, and single rounding of
 * half results. */
#include <cfenv>
#include <cmath>
#include <random>

#include "ptx_test_util.h"

namespace {

const std::string kF = " mov.b32 %r3, %f3; cvt.u64.u32 %x0, %r3;", kD = " mov.b64 %x0, %d3;",
                  kH = " cvt.u64.u16 %x0, %h3;", kR = " cvt.u64.u32 %x0, %r3;",
                  kP = " selp.b64 %x0, 1, 0, %p0;";

uint64_t one32(const std::string &text, float a, float b = 0, float c = 0) {
  return ptx_one(text + kF, {f32(a), f32(b), f32(c)});
}
uint64_t one64(const std::string &text, double a, double b = 0, double c = 0) {
  return ptx_one(text + kD, {f64(a), f64(b), f64(c)});
}
bool holds32(const std::string &text, float a, float b) {
  return ptx_one(text + kP, {f32(a), f32(b)}) != 0;
}

template <class T> T machine(const std::string &op, T a0, T b0, T c0) {
  volatile T a = a0, b = b0, c = c0, r;
  if (op == "add")
    r = a + b;
  else if (op == "sub")
    r = a - b;
  else if (op == "mul")
    r = a * b;
  else if (op == "div")
    r = a / b;
  else if (op == "rcp")
    r = T(1) / a;
  else if (op == "sqrt")
    r = std::sqrt(a);
  else
    r = std::fma(a, b, c);
  return r;
}

TEST(Float, DirectionsAgainstTheMachine) {
  const struct {
    const char *name;
    int mode;
  } kModes[] = {{"rn", FE_TONEAREST}, {"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
  std::mt19937_64 rng(5);
  Words a32, b32, c32, a64, b64, c64;
  for (int i = 0; i < 500; i++) {
    auto single = [&] { return (rng() & 0x807fffff) | (100 + rng() % 60) << 23; };
    auto dbl = [&] { return (rng() & 0x800fffffffffffff) | (1000 + rng() % 60) << 52; };
    a32.push_back(single() & (i % 2 ? 0x7fffffff : ~0u)), b32.push_back(single()), c32.push_back(single());
    a64.push_back(dbl() & (i % 2 ? ~(1ull << 63) : ~0ull)), b64.push_back(dbl()), c64.push_back(dbl());
  }
  for (auto &m : kModes)
    for (std::string op : {"add", "sub", "mul", "div", "rcp", "sqrt", "fma"}) {
      std::string args = op == "fma" ? "0, @1, @2;" : op == "rcp" || op == "sqrt" ? "0;" : "0, @1;";
      auto with = [&](const std::string &reg) {
        std::string s = args;
        for (size_t at; (at = s.find('@')) != std::string::npos;)
          s.replace(at, 1, reg);
        return reg + "3, " + reg + s;
      };
      Words got32 = ptx_eval(op + "." + m.name + ".f32 " + with("%f") + kF, {a32, b32, c32})[0];
      Words got64 = ptx_eval(op + "." + m.name + ".f64 " + with("%d") + kD, {a64, b64, c64})[0];
      std::vector<float> want32;
      std::vector<double> want64;
      fesetround(m.mode);
      for (size_t i = 0; i < a32.size(); i++) {
        want32.push_back(machine<float>(op, as_f32(a32[i]), as_f32(b32[i]), as_f32(c32[i])));
        want64.push_back(machine<double>(op, as_f64(a64[i]), as_f64(b64[i]), as_f64(c64[i])));
      }
      fesetround(FE_TONEAREST);
      for (size_t i = 0; i < a32.size(); i++) {
        if (std::isnan(want32[i]))
          ASSERT_EQ(got32[i], 0x7fffffffu);
        else
          ASSERT_EQ(got32[i], f32(want32[i]))
              << op << m.name << " " << as_f32(a32[i]) << " " << as_f32(b32[i]);
        if (std::isnan(want64[i]))
          ASSERT_TRUE(std::isnan(as_f64(got64[i])));
        else
          ASSERT_EQ(got64[i], f64(want64[i]))
              << op << m.name << " " << as_f64(a64[i]) << " " << as_f64(b64[i]);
      }
    }
}

TEST(Float, FusedIsNotMulAndAdd) {
  float a = 1 + std::ldexp(1.0f, -12), c = -1 - std::ldexp(1.0f, -11); // a * a = -c + 2^-24: half an ulp more
  EXPECT_EQ(one32("fma.rn.f32 %f3, %f0, %f0, %f2;", a, 0, c), f32(std::ldexp(1.0f, -24)));
  EXPECT_EQ(one32("mul.f32 %f4, %f0, %f0; add.f32 %f3, %f4, %f2;", a, 0, c), f32(0));
}

TEST(Float, FlushAndSaturate) {
  const float tiny = 1e-40f;
  EXPECT_EQ(one32("add.f32 %f3, %f0, %f1;", tiny, tiny), f32(tiny + tiny));
  EXPECT_EQ(one32("add.ftz.f32 %f3, %f0, %f1;", tiny, tiny), f32(0));
  EXPECT_EQ(one32("mul.ftz.f32 %f3, %f0, %f1;", -1e-20f, 1e-20f), f32(-0.0f)); // the result is flushed, too
  EXPECT_EQ(one32("fma.rn.ftz.f32 %f3, %f0, %f1, %f2;", tiny, 1e30f, 1), f32(1));
  EXPECT_EQ(one32("add.sat.f32 %f3, %f0, %f1;", 0.75f, 0.5f), f32(1));
  EXPECT_EQ(one32("sub.sat.f32 %f3, %f0, %f1;", 0.25f, 0.5f), f32(0));
  EXPECT_EQ(one32("mul.sat.f32 %f3, %f0, %f1;", NAN, 1), f32(0));
  EXPECT_EQ(one32("abs.ftz.f32 %f3, %f0;", -tiny), f32(0));
  EXPECT_EQ(one32("sqrt.approx.ftz.f32 %f3, %f0;", tiny), f32(0));
  EXPECT_EQ(one32("rcp.approx.ftz.f32 %f3, %f0;", tiny), f32(INFINITY));
}

TEST(Float, NaNs) {
  EXPECT_EQ(one32("add.f32 %f3, %f0, %f1;", INFINITY, -INFINITY), 0x7fffffffu); // the one NaN of f32
  EXPECT_EQ(one32("fma.rn.f32 %f3, %f0, %f1, %f2;", 0, INFINITY, 1), 0x7fffffffu);
  EXPECT_EQ(ptx_one("mul.f32 %f3, %f0, %f1;" + kF, {0xffc12345, f32(1)}), 0x7fffffffu);
  EXPECT_EQ(ptx_one("add.f64 %d3, %d0, %d1;" + kD, {0x7ff8000000001234, f64(1)}),
            0x7ff8000000001234u); // f64 keeps payloads
  EXPECT_EQ(one32("min.f32 %f3, %f0, %f1;", NAN, 3), f32(3));
  EXPECT_EQ(one32("max.f32 %f3, %f0, %f1;", 3, NAN), f32(3));
  EXPECT_EQ(one32("max.NaN.f32 %f3, %f0, %f1;", 3, NAN), 0x7fffffffu);
  EXPECT_EQ(one32("min.f32 %f3, %f0, %f1;", NAN, NAN), 0x7fffffffu);
  EXPECT_TRUE(std::isnan(as_f64(one64("sqrt.rn.f64 %d3, %d0;", -1))));
}

TEST(Float, MinMaxSigns) {
  EXPECT_EQ(one32("min.f32 %f3, %f0, %f1;", 0, -0.0f), f32(-0.0f));
  EXPECT_EQ(one32("max.f32 %f3, %f0, %f1;", -0.0f, 0), f32(0));
  EXPECT_EQ(one64("max.f64 %d3, %d0, %d1;", -3, 2), f64(2));
  EXPECT_EQ(one32("max.xorsign.abs.f32 %f3, %f0, %f1;", -3, 2), f32(-3));
  EXPECT_EQ(one32("min.f32 %f3, %f0, %f1, %f2;", 3, 2, 5), f32(2)); // of sm_100
  EXPECT_EQ(one32("copysign.f32 %f3, %f0, %f1;", -1, 5),
            f32(-5)); // the sign of the first, the value of the second
  EXPECT_EQ(one64("copysign.f64 %d3, %d0, %d1;", 1, -5), f64(5));
  EXPECT_EQ(one64("neg.f64 %d3, %d0;", 0), f64(-0.0));
}

TEST(Float, Constants) {
  EXPECT_EQ(one32("mov.f32 %f3, 0f3F800000;", 0), f32(1));
  EXPECT_EQ(one32("add.f32 %f3, %f0, 0d3FF8000000000000;", 1), f32(2.5f));
  EXPECT_EQ(one32("add.f32 %f3, %f0, 1.5;", 1), f32(2.5f));
  EXPECT_EQ(one64("mul.f64 %d3, %d0, -2.25;", 2), f64(-4.5));
  EXPECT_EQ(one64("mov.f64 %d3, 0f40000000;", 2), f64(2));
}

TEST(Float, Approximations) {
  EXPECT_EQ(one32("ex2.approx.f32 %f3, %f0;", 10), f32(1024));
  EXPECT_EQ(one32("ex2.approx.f32 %f3, %f0;", -INFINITY), f32(0));
  EXPECT_EQ(one32("lg2.approx.f32 %f3, %f0;", 0.125f), f32(-3));
  EXPECT_EQ(one32("lg2.approx.f32 %f3, %f0;", -1), 0x7fffffffu);
  EXPECT_EQ(one32("lg2.approx.f32 %f3, %f0;", 0), f32(-INFINITY));
  EXPECT_EQ(one32("rsqrt.approx.f32 %f3, %f0;", 0.25f), f32(2));
  EXPECT_EQ(one32("rcp.approx.f32 %f3, %f0;", -0.0f), f32(-INFINITY));
  EXPECT_NEAR(as_f32(one32("sin.approx.f32 %f3, %f0;", 1)), std::sin(1.0), 1e-6);
  EXPECT_NEAR(as_f32(one32("cos.approx.f32 %f3, %f0;", 1)), std::cos(1.0), 1e-6);
  EXPECT_NEAR(as_f32(one32("tanh.approx.f32 %f3, %f0;", 0.5f)), std::tanh(0.5), 1e-6);
  EXPECT_NEAR(as_f64(one64("rcp.approx.ftz.f64 %d3, %d0;", 3)), 1.0 / 3, 1e-6);
  EXPECT_EQ(one64("rcp.approx.ftz.f64 %d3, %d0;", 3) & 0xffffffff, 0u);
  EXPECT_EQ(one32("div.full.f32 %f3, %f0, %f1;", 1, 4), f32(0.25f));
}

TEST(Float, Comparisons) {
  const char *const kOrdered[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  for (float a : {1.0f, 2.0f, -0.0f, NAN})
    for (float b : {0.0f, 2.0f, NAN}) {
      bool is_nan = std::isnan(a) || std::isnan(b);
      bool want[] = {a == b, a != b && !is_nan, a<b, a <= b, a> b, a >= b};
      for (int i = 0; i < 6; i++) {
        EXPECT_EQ(holds32(std::string("setp.") + kOrdered[i] + ".f32 %p0, %f0, %f1;", a, b), want[i])
            << kOrdered[i] << a << " " << b;
        EXPECT_EQ(holds32(std::string("setp.") + kOrdered[i] + "u.f32 %p0, %f0, %f1;", a, b),
                  want[i] || is_nan)
            << kOrdered[i] << "u " << a << " " << b;
      }
      EXPECT_EQ(holds32("setp.num.f32 %p0, %f0, %f1;", a, b), !is_nan);
      EXPECT_EQ(holds32("setp.nan.f32 %p0, %f0, %f1;", a, b), is_nan);
    }
  EXPECT_TRUE(holds32("setp.eq.ftz.f32 %p0, %f0, %f1;", 1e-40f, 0));
  EXPECT_FALSE(holds32("setp.eq.f32 %p0, %f0, %f1;", 1e-40f, 0));
  EXPECT_TRUE(holds32("testp.subnormal.f32 %p0, %f0;", 1e-40f, 0));
  EXPECT_TRUE(holds32("testp.finite.f32 %p0, %f0;", 1, 0));
  EXPECT_TRUE(holds32("testp.notanumber.f32 %p0, %f0;", NAN, 0));
  EXPECT_FALSE(holds32("testp.normal.f32 %p0, %f0;", 0, 0));
  EXPECT_EQ(ptx_one("slct.f32.f32 %f3, %f0, %f1, %f2;" + kF, {f32(1), f32(2), f32(-1)}), f32(2));
}

/* ---- halves
 * ------------------------------------------------------------------------------------------------------ */

long double half_value(uint32_t h, int mantissa) {
  int bits = 15 - mantissa, bias = (1 << (bits - 1)) - 1;
  int e = static_cast<int>(h >> mantissa) & ((1 << bits) - 1),
      m = static_cast<int>(h) & ((1 << mantissa) - 1);
  long double v = e == 0 ? std::ldexp(static_cast<long double>(m), 1 - bias - mantissa)
                         : std::ldexp(static_cast<long double>(m + (1 << mantissa)), e - bias - mantissa);
  return h & 0x8000 ? -v : v;
}

/* Round to nearest even by searching the format; exact sums of long doubles: 64 bits hold any f16 result
 * here. */
uint32_t round_half(long double x, int mantissa) {
  uint32_t inf = ((1u << (15 - mantissa)) - 1) << mantissa, low = 0, high = inf - 1;
  long double a = std::fabs(x);
  while (low < high) {
    uint32_t mid = (low + high + 1) / 2;
    if (half_value(mid, mantissa) <= a)
      low = mid;
    else
      high = mid - 1;
  }
  long double below = half_value(low, mantissa),
              above = low + 1 == inf ? std::ldexp(1.0L, 1 << (14 - mantissa)) : half_value(low + 1, mantissa);
  bool is_up = a - below > above - a || (a - below == above - a && (low & 1));
  return (low + is_up) | (std::signbit(x) ? 0x8000 : 0);
}

TEST(Half, ArithmeticIsRoundedOnce) {
  std::mt19937_64 rng(11);
  for (int mantissa : {10, 7}) {
    std::string t = mantissa == 10 ? "f16" : "bf16";
    uint32_t exponents = (1u << (15 - mantissa)) - 1;
    Words a, b, c;
    for (int i = 0; i < 4000; i++) {
      // close exponents: the interesting roundings; bf16 is kept where a long double's sum is exact
      auto near = [&](uint32_t mid, uint32_t spread) {
        uint32_t e = std::min(exponents - 1, mid + static_cast<uint32_t>(rng() % spread));
        return static_cast<uint64_t>((rng() & 0x8000) | e << mantissa | (rng() & ((1u << mantissa) - 1)));
      };
      uint32_t mid = exponents / 2 - 3;
      a.push_back(near(mid, 6)), b.push_back(near(mid, 6)), c.push_back(near(mid - 6, 14));
      if (mantissa == 10 && i % 3 == 0)
        a.back() &= 0x83ff; // subnormals
    }
    Words add =
        ptx_eval("add." + std::string(mantissa == 7 ? "rn." : "") + t + " %h3, %h0, %h1;" + kH, {a, b, c})[0];
    Words mul =
        ptx_eval("mul." + std::string(mantissa == 7 ? "rn." : "") + t + " %h3, %h0, %h1;" + kH, {a, b, c})[0];
    Words fma = ptx_eval("fma.rn." + t + " %h3, %h0, %h1, %h2;" + kH, {a, b, c})[0];
    for (size_t i = 0; i < a.size(); i++) {
      long double x = half_value(static_cast<uint32_t>(a[i]), mantissa),
                  y = half_value(static_cast<uint32_t>(b[i]), mantissa),
                  z = half_value(static_cast<uint32_t>(c[i]), mantissa);
      if (x + y != 0) {
        ASSERT_EQ(add[i], round_half(x + y, mantissa)) << t << i;
      }
      if (x != 0) {
        ASSERT_EQ(mul[i], round_half(x * y, mantissa)) << t << i;
      }
      if (x * y + z != 0) {
        ASSERT_EQ(fma[i], round_half(x * y + z, mantissa))
            << t << " " << static_cast<double>(x) << " " << static_cast<double>(y) << " "
            << static_cast<double>(z);
      }
    }
  }
}

TEST(Half, FusedWithATinyAddend) {             // double alone would round twice
  uint64_t a = 0x3c01, b = 0x3c00, c = 0x0001; // (1 + 2^-10) * 1 + 2^-24
  EXPECT_EQ(ptx_one("fma.rn.f16 %h3, %h0, %h1, %h2;" + kH, {a, b, c}), 0x3c01u);
  // bf16: a tie broken by an addend far below double's last bit
  uint64_t tiny = 0x0080;          // 2^-126
  uint64_t r = 0x3f8c, s = 0x3f90; // 1.09375 * 1.125 = 1.23046875 = 157.5 / 128: a tie
  EXPECT_EQ(ptx_one("fma.rn.bf16 %h3, %h0, %h1, %h2;" + kH, {r, s, 0}), 0x3f9eu);
  EXPECT_EQ(ptx_one("fma.rn.bf16 %h3, %h0, %h1, %h2;" + kH, {r, s, tiny}), 0x3f9eu);
  EXPECT_EQ(ptx_one("fma.rn.bf16 %h3, %h0, %h1, %h2;" + kH, {r, s, tiny | 0x8000}), 0x3f9du);
}

TEST(Half, PairsAndModes) {
  auto r = [](const std::string &text, uint64_t a, uint64_t b, uint64_t c = 0) {
    return ptx_one(text + kR, {a, b, c});
  };
  EXPECT_EQ(r("add.f16x2 %r3, %r0, %r1;", 0x3c004000, 0x3c003c00), 0x40004200u);
  EXPECT_EQ(r("fma.rn.f16x2 %r3, %r0, %r1, %r2;", 0x40004000, 0x40004200, 0x3c003c00), 0x45004700u);
  EXPECT_EQ(r("fma.rn.bf16x2 %r3, %r0, %r1, %r2;", 0x40004000, 0x40003f80, 0x3f803f80), 0x40a04040u);
  EXPECT_EQ(r("mul.sat.f16x2 %r3, %r0, %r1;", 0x4000bc00, 0x3c003c00), 0x3c000000u);
  EXPECT_EQ(r("fma.rn.relu.f16x2 %r3, %r0, %r1, %r2;", 0x4000c000, 0x3c003c00, 0), 0x40000000u);
  EXPECT_EQ(r("max.f16x2 %r3, %r0, %r1;", 0x7e00bc00, 0x3c00c000), 0x3c00bc00u);
  EXPECT_EQ(r("min.NaN.bf16x2 %r3, %r0, %r1;", 0x7fc03f80, 0x3f803f80), 0x7fff3f80u);
  EXPECT_EQ(r("neg.f16x2 %r3, %r0;", 0x3c00bc00, 0), 0xbc003c00u);
  EXPECT_EQ(r("abs.bf16x2 %r3, %r0;", 0xbf803f80, 0), 0x3f803f80u);
  EXPECT_EQ(r("ex2.approx.f16x2 %r3, %r0;", 0x40003c00, 0), 0x44004000u);
  EXPECT_EQ(r("set.eq.f16x2.f16x2 %r3, %r0, %r1;", 0x3c004000, 0x3c003c00), 0x3c000000u);
  EXPECT_EQ(r("setp.gt.f16x2 %p0|%p1, %r0, %r1; selp.b32 %r3, 1, 0, %p0; selp.b32 %r4, 2, 0, %p1; or.b32 "
              "%r3, %r3, %r4;",
              0x3c004000, 0x3c003c00),
            1u);
  EXPECT_EQ(ptx_one("setp.lt.bf16 %p0, %h0, %h1;" + kP, {0xbf80, 0x3f80}), 1u);
  EXPECT_EQ(ptx_one("set.gtu.f16.f16 %h3, %h0, %h1;" + kH, {0x7e00, 0x3c00}), 0x3c00u);
  EXPECT_EQ(ptx_one("mul.ftz.f16 %h3, %h0, %h1;" + kH, {0x0001, 0x4000}), 0u);
  EXPECT_EQ(ptx_one("sub.f16 %h3, %h0, %h1;" + kH, {0x7c00, 0x7c00}), 0x7fffu);
  EXPECT_EQ(ptx_one("min.f16 %h3, %h0, %h1;" + kH, {0x8000, 0x0000}), 0x8000u);
  EXPECT_EQ(ptx_one("tanh.approx.bf16 %h3, %h0;" + kH, {0x42c8}), 0x3f80u);
}

} // namespace
