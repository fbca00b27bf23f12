/* Integer instructions by hand, over values where something happens: zeros, signs, carries, widths. */
#include <algorithm>
#include <random>

#include "ptx_test_util.h"

namespace {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;
using u128 = unsigned __int128;
using s128 = __int128;

/* text leaves its result in %r3 (R), %h3 (H), %x0 (X) or %p0 (P) */
struct Case {
  char where;
  const char *text;
  u64 (*want)(u64 a, u64 b, u64 c);
};

const u64 kEdges[] = {0,
                      1,
                      2,
                      3,
                      7,
                      31,
                      32,
                      33,
                      0x7f,
                      0x80,
                      0xff,
                      0x7fff,
                      0x8000,
                      0xffff,
                      0x10000,
                      0x7fffffff,
                      0x80000000,
                      0xfffffff6,
                      0xffffffff,
                      0x100000000,
                      0x7fffffffffffffff,
                      0x8000000000000000,
                      0xfffffffffffffffe,
                      0xffffffffffffffff};

void expect_cases(const std::vector<Case> &cases) {
  std::mt19937_64 rng(3);
  Words a, b, c;
  for (u64 x : kEdges)
    for (u64 y : kEdges)
      a.push_back(x), b.push_back(y), c.push_back(kEdges[rng() % (sizeof kEdges / 8)]);
  for (int i = 0; i < 300; i++)
    a.push_back(rng()), b.push_back(rng() >> (rng() % 64)), c.push_back(rng() >> (rng() % 64));
  for (const Case &k : cases) {
    std::string tail = k.where == 'R'   ? "cvt.u64.u32 %x0, %r3;"
                       : k.where == 'H' ? "cvt.u64.u16 %x0, %h3;"
                       : k.where == 'P' ? "selp.b64 %x0, 1, 0, %p0;"
                                        : "";
    Words got = ptx_eval(std::string(k.text) + tail, {a, b, c})[0];
    for (size_t i = 0; i < a.size(); i++) {
      u64 want = k.want(a[i], b[i], c[i]);
      want = k.where == 'R' ? static_cast<u32>(want) : k.where == 'H' ? static_cast<u16>(want) : want;
      ASSERT_EQ(got[i], want) << k.text << std::hex << " a " << a[i] << " b " << b[i] << " c " << c[i];
    }
  }
}

#define W [](u64 a, u64 b, u64 c) -> u64 { (void)a; (void)b; (void)c; return static_cast<u64>
#define E                                                                                                    \
  ;                                                                                                          \
  }

TEST(Int, Arithmetic) {
  expect_cases({
      {'R', "add.s32 %r3, %r0, %r1;", W(a + b) E},
      {'R', "add.u32 %r3, %r0, -5;", W(a - 5) E},
      {'H', "add.u16 %h3, %h0, %h1;", W(a + b) E},
      {'X', "add.s64 %x0, %a0, %a1;", W(a + b) E},
      {'R', "sub.u32 %r3, %r0, %r1;", W(a - b) E},
      {'H', "sub.s16 %h3, %h0, %h1;", W(a - b) E},
      {'X', "sub.u64 %x0, %a0, %a1;", W(a - b) E},
      {'R', "add.sat.s32 %r3, %r0, %r1;", W(std::clamp<s64>(s64(s32(a)) + s32(b), INT32_MIN, INT32_MAX)) E},
      {'R', "sub.sat.s32 %r3, %r0, %r1;", W(std::clamp<s64>(s64(s32(a)) - s32(b), INT32_MIN, INT32_MAX)) E},
      {'R', "mul.lo.s32 %r3, %r0, %r1;", W(a * b) E},
      {'H', "mul.lo.u16 %h3, %h0, %h1;", W(a * b) E},
      {'X', "mul.lo.s64 %x0, %a0, %a1;", W(a * b) E},
      {'R', "mul.hi.u32 %r3, %r0, %r1;", W((u64(u32(a)) * u32(b)) >> 32) E},
      {'R', "mul.hi.s32 %r3, %r0, %r1;", W((s64(s32(a)) * s32(b)) >> 32) E},
      {'H', "mul.hi.s16 %h3, %h0, %h1;", W((s32(s16(a)) * s16(b)) >> 16) E},
      {'X', "mul.hi.u64 %x0, %a0, %a1;", W((u128(a) * b) >> 64) E},
      {'X', "mul.hi.s64 %x0, %a0, %a1;", W((s128(s64(a)) * s64(b)) >> 64) E},
      {'X', "mul.wide.u32 %x0, %r0, %r1;", W(u64(u32(a)) * u32(b)) E},
      {'X', "mul.wide.s32 %x0, %r0, %r1;", W(s64(s32(a)) * s32(b)) E},
      {'R', "mul.wide.s16 %r3, %h0, %h1;", W(s32(s16(a)) * s16(b)) E},
      {'R', "mul.wide.u16 %r3, %h0, %h1;", W(u32(u16(a)) * u16(b)) E},
      {'R', "mad.lo.s32 %r3, %r0, %r1, %r2;", W(a * b + c) E},
      {'X', "mad.lo.u64 %x0, %a0, %a1, %a2;", W(a * b + c) E},
      {'R', "mad.hi.u32 %r3, %r0, %r1, %r2;", W(((u64(u32(a)) * u32(b)) >> 32) + c) E},
      {'X', "mad.hi.s64 %x0, %a0, %a1, %a2;", W(u64((s128(s64(a)) * s64(b)) >> 64) + c) E},
      {'R', "mad.hi.sat.s32 %r3, %r0, %r1, %r2;",
       W(std::clamp<s64>(((s64(s32(a)) * s32(b)) >> 32) + s32(c), INT32_MIN, INT32_MAX)) E},
      {'X', "mad.wide.s32 %x0, %r0, %r1, %a2;", W(u64(s64(s32(a)) * s32(b)) + c) E},
      {'X', "mad.wide.u32 %x0, %r0, 12, %a2;", W(u64(u32(a)) * 12 + c) E},
      {'R', "mul24.lo.u32 %r3, %r0, %r1;", W((a & 0xffffff) * (b & 0xffffff)) E},
      {'R', "mul24.hi.u32 %r3, %r0, %r1;", W(((a & 0xffffff) * (b & 0xffffff)) >> 16) E},
      {'R', "mad24.lo.u32 %r3, %r0, %r1, %r2;", W((a & 0xffffff) * (b & 0xffffff) + c) E},
      {'R', "sad.u32 %r3, %r0, %r1, %r2;", W((u32(a) < u32(b) ? b - a : a - b) + c) E},
      {'R', "sad.s32 %r3, %r0, %r1, %r2;", W((s32(a) < s32(b) ? b - a : a - b) + c) E},
      {'R', "abs.s32 %r3, %r0;", W(s32(a) < 0 ? 0 - a : a) E},
      {'X', "abs.s64 %x0, %a0;", W(s64(a) < 0 ? 0 - a : a) E},
      {'H', "neg.s16 %h3, %h0;", W(0 - a) E},
      {'R', "min.s32 %r3, %r0, %r1;", W(std::min(s32(a), s32(b))) E},
      {'R', "max.u32 %r3, %r0, %r1;", W(std::max(u32(a), u32(b))) E},
      {'X', "min.u64 %x0, %a0, %a1;", W(std::min(a, b)) E},
      {'X', "max.s64 %x0, %a0, %a1;", W(std::max(s64(a), s64(b))) E},
      {'H', "min.u16 %h3, %h0, %h1;", W(std::min(u16(a), u16(b))) E},
      {'R', "max.relu.s32 %r3, %r0, %r1;", W(std::max(0, std::max(s32(a), s32(b)))) E},
      {'R', "add.u16x2 %r3, %r0, %r1;", W((u32(u16((a >> 16) + (b >> 16))) << 16) | u16(a + b)) E},
      {'R', "min.s16x2 %r3, %r0, %r1;",
       W((u32(u16(std::min(s16(a >> 16), s16(b >> 16)))) << 16) | u16(std::min(s16(a), s16(b)))) E},
      {'R', "max.u16x2 %r3, %r0, %r1;",
       W((u32(std::max(u16(a >> 16), u16(b >> 16))) << 16) | std::max(u16(a), u16(b))) E},
  });
}

TEST(Int, Division) { // by zero: all ones, and the dividend
  expect_cases({
      {'R', "div.u32 %r3, %r0, %r1;", W(u32(b) ? u32(a) / u32(b) : ~0ull) E},
      {'R', "rem.u32 %r3, %r0, %r1;", W(u32(b) ? u32(a) % u32(b) : a) E},
      {'R', "div.s32 %r3, %r0, %r1;", W(s32(b) ? s64(s32(a)) / s32(b) : -1) E},
      {'R', "rem.s32 %r3, %r0, %r1;", W(s32(b) ? s64(s32(a)) % s32(b) : a) E},
      {'X', "div.u64 %x0, %a0, %a1;", W(b ? a / b : ~0ull) E},
      {'X', "rem.u64 %x0, %a0, %a1;", W(b ? a % b : a) E},
      {'X', "div.s64 %x0, %a0, %a1;", W(s64(b) ? s64(s128(s64(a)) / s64(b)) : -1) E},
      {'X', "rem.s64 %x0, %a0, %a1;", W(s64(b) ? s64(s128(s64(a)) % s64(b)) : a) E},
      {'H', "div.s16 %h3, %h0, %h1;", W(s16(b) ? s32(s16(a)) / s16(b) : -1) E},
      {'H', "rem.u16 %h3, %h0, %h1;", W(u16(b) ? u16(a) % u16(b) : a) E},
  });
}

u32 dot4(u64 a, u64 b, bool is_a_signed, bool is_b_signed) {
  u32 r = 0;
  for (int i = 0; i < 32; i += 8) {
    int x = is_a_signed ? s8(a >> i) : u8(a >> i), y = is_b_signed ? s8(b >> i) : u8(b >> i);
    r += static_cast<u32>(x * y);
  }
  return r;
}

TEST(Int, DotProducts) {
  expect_cases({
      {'R', "dp4a.u32.u32 %r3, %r0, %r1, %r2;", W(dot4(a, b, false, false) + c) E},
      {'R', "dp4a.s32.s32 %r3, %r0, %r1, %r2;", W(dot4(a, b, true, true) + c) E},
      {'R', "dp2a.lo.s32.u32 %r3, %r0, %r1, %r2;", W(u64(s16(a) * u8(b) + s16(a >> 16) * u8(b >> 8)) + c) E},
      {'R', "dp2a.hi.u32.s32 %r3, %r0, %r1, %r2;",
       W(u64(u16(a) * s8(b >> 16) + u16(a >> 16) * s8(b >> 24)) + c) E},
      {'R', "dp4a.u32.s32 %r3, %r0, %r1, %r2;", W(dot4(a, b, false, true) + c) E},
  });
}

/* 128-bit sums and products by carry chains: the upper word is what has to be right. */
TEST(Int, CarryChains) {
  expect_cases({
      {'X', "add.cc.u64 %x0, %a0, %a1; addc.u64 %x0, %a2, %a0;", W((u128(a) + b) >> 64) + c + a E},
      {'R', "add.cc.u32 %r4, %r0, %r1; addc.u32 %r3, %r2, 0;", W(((u64(u32(a)) + u32(b)) >> 32) + c) E},
      {'R', "sub.cc.u32 %r4, %r0, %r1; subc.u32 %r3, %r2, 0;", W(c - (u32(a) < u32(b))) E},
      {'X', "sub.cc.u64 %t0, %a0, %a1; subc.cc.u64 %t1, %a2, %a0; subc.u64 %x0, 0, 0;",
       [](u64 a, u64 b, u64 c) -> u64 { return (u128(c) << 64 | a) < ((u128(a) << 64) | b) ? ~0ull : 0; }},
      {'R', "add.cc.u32 %r4, %r0, %r1; addc.cc.u32 %r5, %r2, 0xffffffff; addc.u32 %r3, 0, 0;",
       [](u64 a, u64 b, u64 c) -> u64 {
         return (u64(u32(c)) + 0xffffffffull + ((u64(u32(a)) + u32(b)) >> 32)) >> 32;
       }},
      {'X', "mad.lo.cc.u64 %t0, %a0, %a1, %a2; madc.hi.u64 %x0, %a0, %a1, 0;", W((u128(a) * b + c) >> 64) E},
      {'R', "mad.lo.cc.u32 %r4, %r0, %r1, %r2; madc.hi.cc.u32 %r5, %r0, %r1, %r2; addc.u32 %r3, 0, 0;",
       [](u64 a, u64 b, u64 c) -> u64 {
         u64 p = u64(u32(a)) * u32(b), carry = (u64(u32(p)) + u32(c)) >> 32;
         return ((p >> 32) + u32(c) + carry) >> 32;
       }},
      {'R', "add.cc.s32 %r4, %r0, %r1; madc.lo.s32 %r3, %r0, %r1, %r2;",
       W(a * b + c + ((u64(u32(a)) + u32(b)) >> 32)) E},
  });
}

u64 bits_of(u64 x, u64 pos, u64 len, int width, bool is_signed) { // bfe as the manual's loop
  u64 p = pos & 0xff, n = len & 0xff;
  u64 msb = static_cast<u64>(width - 1);
  u64 sign = !is_signed || n == 0 ? 0 : x >> std::min(p + n - 1, msb) & 1;
  u64 d = 0;
  for (u64 i = 0; i <= msb; i++)
    d |= ((i < n && p + i <= msb ? x >> (p + i) & 1 : sign) << i);
  return d;
}

TEST(Int, Bits) {
  expect_cases({
      {'R', "and.b32 %r3, %r0, %r1;", W(a & b) E},
      {'H', "or.b16 %h3, %h0, %h1;", W(a | b) E},
      {'X', "xor.b64 %x0, %a0, %a1;", W(a ^ b) E},
      {'R', "not.b32 %r3, %r0;", W(~a) E},
      {'R', "cnot.b32 %r3, %r0;", W(u32(a) == 0) E},
      {'R', "shl.b32 %r3, %r0, %r1;", W(u32(b) > 31 ? 0 : a << u32(b)) E},
      {'X', "shl.b64 %x0, %a0, %r1;", W(u32(b) > 63 ? 0 : a << u32(b)) E},
      {'H', "shl.b16 %h3, %h0, %r1;", W(u32(b) > 15 ? 0 : a << u32(b)) E},
      {'R', "shr.u32 %r3, %r0, %r1;", W(u32(b) > 31 ? 0 : u32(a) >> u32(b)) E},
      {'R', "shr.s32 %r3, %r0, %r1;", W(s32(a) >> std::min<u32>(31, u32(b))) E},
      {'X', "shr.u64 %x0, %a0, %r1;", W(u32(b) > 63 ? 0 : a >> u32(b)) E},
      {'X', "shr.s64 %x0, %a0, %r1;", W(s64(a) >> std::min<u32>(63, u32(b))) E},
      {'H', "shr.s16 %h3, %h0, %r1;", W(s16(a) >> std::min<u32>(15, u32(b))) E},
      {'H', "shr.b16 %h3, %h0, %r1;", W(u32(b) > 15 ? 0 : u16(a) >> u32(b)) E},
      {'R', "shf.l.wrap.b32 %r3, %r0, %r1, %r2;", W(((u64(u32(b)) << 32 | u32(a)) << (c & 31)) >> 32) E},
      {'R', "shf.r.wrap.b32 %r3, %r0, %r1, %r2;", W((u64(u32(b)) << 32 | u32(a)) >> (c & 31)) E},
      {'R', "shf.l.clamp.b32 %r3, %r0, %r1, %r2;",
       W(((u64(u32(b)) << 32 | u32(a)) << std::min<u32>(32, u32(c))) >> 32) E},
      {'R', "shf.r.clamp.b32 %r3, %r0, %r1, %r2;",
       W((u64(u32(b)) << 32 | u32(a)) >> std::min<u32>(32, u32(c))) E},
      {'R', "bfe.u32 %r3, %r0, %r1, %r2;", W(bits_of(u32(a), b, c, 32, false)) E},
      {'R', "bfe.s32 %r3, %r0, %r1, %r2;", W(bits_of(u32(a), b, c, 32, true)) E},
      {'X', "bfe.u64 %x0, %a0, %r1, %r2;", W(bits_of(a, b, c, 64, false)) E},
      {'X', "bfe.s64 %x0, %a0, %r1, %r2;", W(bits_of(a, b, c, 64, true)) E},
      {'R', "bfi.b32 %r3, %r0, %r1, %r2, 7;", W([](u64 x, u64 y, u64 p) {
         u64 r = u32(y);
         for (u64 i = 0; i < 7 && (p & 0xff) + i < 32; i++)
           r = (r & ~(1ull << ((p & 0xff) + i))) | ((x >> i & 1) << ((p & 0xff) + i));
         return r;
       }(a, b, c)) E},
      {'X', "bfi.b64 %x0, %a0, %a1, 12, %r2;", W([](u64 x, u64 y, u64 n) {
         u64 r = y;
         for (u64 i = 0; i < (n & 0xff) && 12 + i < 64; i++)
           r = (r & ~(1ull << (12 + i))) | ((x >> i & 1) << (12 + i));
         return r;
       }(a, b, c)) E},
      {'R', "brev.b32 %r3, %r0;", W([](u64 x) {
         u64 r = 0;
         for (int i = 0; i < 32; i++)
           r |= (x >> i & 1) << (31 - i);
         return r;
       }(a)) E},
      {'X', "brev.b64 %x0, %a0;", W([](u64 x) {
         u64 r = 0;
         for (int i = 0; i < 64; i++)
           r |= (x >> i & 1) << (63 - i);
         return r;
       }(a)) E},
      {'R', "clz.b32 %r3, %r0;", W(u32(a) ? __builtin_clz(u32(a)) : 32) E},
      {'R', "clz.b64 %r3, %a0;", W(a ? __builtin_clzll(a) : 64) E},
      {'R', "popc.b32 %r3, %r0;", W(__builtin_popcount(u32(a))) E},
      {'R', "popc.b64 %r3, %a0;", W(__builtin_popcountll(a)) E},
      {'R', "bfind.u32 %r3, %r0;", W(u32(a) ? 31 - __builtin_clz(u32(a)) : -1) E},
      {'R', "bfind.s32 %r3, %r0;", W([](s32 x) {
         u32 y = u32(x < 0 ? ~x : x);
         return y ? 31 - __builtin_clz(y) : -1;
       }(s32(a))) E},
      {'R', "bfind.shiftamt.u64 %r3, %a0;", W(a ? __builtin_clzll(a) : -1) E},
      {'R', "lop3.b32 %r3, %r0, %r1, %r2, 0x1e;", W(a ^ (b | c)) E},
      {'R', "lop3.b32 %r3, %r0, %r1, %r2, 0xca;", W((a & b) | (~a & c)) E},
      {'R', "lop3.b32 %r3, %r0, %r1, %r2, 0xe8;", W((a & b) | (a & c) | (b & c)) E},
      {'R', "bmsk.clamp.b32 %r3, %r0, %r1;",
       W(u32(a) > 31 ? 0 : ((u32(b) > 31 ? ~0ull : (1ull << u32(b)) - 1) << u32(a))) E},
  });
}

TEST(Int, Permute) {
  auto prmt = [](const char *mode, u64 a, u64 b, u64 c) {
    return ptx_one(std::string("prmt.b32") + mode + " %r3, %r0, %r1, %r2; cvt.u64.u32 %x0, %r3;", {a, b, c});
  };
  const u64 a = 0x83020100, b = 0x07860504; // byte i is i, 3 and 6 with a sign
  EXPECT_EQ(prmt("", a, b, 0x3210), 0x83020100u);
  EXPECT_EQ(prmt("", a, b, 0x7654), 0x07860504u);
  EXPECT_EQ(prmt("", a, b, 0x0246), 0x00020486u);
  EXPECT_EQ(prmt("", a, b, 0xb8ef), 0xff00ff00u); // signs of 3, 0, 6, 7
  EXPECT_EQ(prmt(".f4e", a, b, 2), 0x05048302u);
  EXPECT_EQ(prmt(".b4e", a, b, 1), 0x86070001u);
  EXPECT_EQ(prmt(".rc8", a, b, 2), 0x02020202u);
  EXPECT_EQ(prmt(".ecl", a, b, 1), 0x83020101u);
  EXPECT_EQ(prmt(".ecr", a, b, 2), 0x02020100u);
  EXPECT_EQ(prmt(".rc16", a, b, 1), 0x83028302u);
}

TEST(Int, CompareAndSelect) {
  expect_cases({
      {'P', "setp.eq.s32 %p0, %r0, %r1;", W(u32(a) == u32(b)) E},
      {'P', "setp.ne.b64 %p0, %a0, %a1;", W(a != b) E},
      {'P', "setp.lt.s32 %p0, %r0, %r1;", W(s32(a) < s32(b)) E},
      {'P', "setp.lt.u32 %p0, %r0, %r1;", W(u32(a) < u32(b)) E},
      {'P', "setp.hs.u32 %p0, %r0, %r1;", W(u32(a) >= u32(b)) E},
      {'P', "setp.lo.u64 %p0, %a0, %a1;", W(a < b) E},
      {'P', "setp.ge.s64 %p0, %a0, %a1;", W(s64(a) >= s64(b)) E},
      {'P', "setp.gt.s16 %p0, %h0, %h1;", W(s16(a) > s16(b)) E},
      {'P', "setp.le.u16 %p0, %h0, 255;", W(u16(a) <= 255) E},
      {'P', "setp.lt.u32 %p1, %r1, %r2; setp.eq.and.s32 %p0, %r0, %r1, %p1;",
       W(u32(a) == u32(b) && u32(b) < u32(c)) E},
      {'P', "setp.lt.u32 %p1, %r1, %r2; setp.gt.or.s32 %p0, %r0, %r1, !%p1;",
       W(s32(a) > s32(b) || !(u32(b) < u32(c))) E},
      {'P', "setp.lt.u32 %p1, %r1, %r2; setp.gt.xor.s32 %p2|%p0, %r0, %r1, %p1;",
       W(!(s32(a) > s32(b)) != (u32(b) < u32(c))) E},
      {'P', "setp.lt.u32 %p1, %r0, %r1; setp.lt.u32 %p2, %r1, %r2; and.pred %p0, %p1, %p2;",
       W(u32(a) < u32(b) && u32(b) < u32(c)) E},
      {'P',
       "setp.lt.u32 %p1, %r0, %r1; setp.lt.u32 %p2, %r1, %r2; xor.pred %p3, %p1, %p2; not.pred %p0, %p3;",
       W((u32(a) < u32(b)) == (u32(b) < u32(c))) E},
      {'R', "set.lt.u32.s32 %r3, %r0, %r1;", W(s32(a) < s32(b) ? ~0u : 0) E},
      {'R', "set.ge.f32.u32 %f3, %r0, %r1; mov.b32 %r3, %f3;", W(u32(a) >= u32(b) ? 0x3f800000 : 0) E},
      {'R', "setp.lt.s32 %p0, %r0, %r1; selp.b32 %r3, %r0, 77, %p0;", W(s32(a) < s32(b) ? a : 77) E},
      {'X', "setp.lt.s32 %p0, %r0, %r1; selp.b64 %x0, %a0, %a2, %p0;", W(s32(a) < s32(b) ? a : c) E},
      {'R', "slct.b32.s32 %r3, %r0, %r1, %r2;", W(s32(c) >= 0 ? a : b) E},
  });
}

TEST(Int, MoveAndPack) {
  expect_cases({
      {'X', "mov.b64 %x0, {%r0, %r1};", W(u64(u32(b)) << 32 | u32(a)) E},
      {'R', "mov.b64 {%r4, %r3}, %a0;", W(a >> 32) E},
      {'R', "mov.b64 {_, %r3}, %a0;", W(a >> 32) E},
      {'R', "{ .reg .b32 %tmp; mov.b64 {%r3, %tmp}, %a0; }", W(a) E},
      {'R', "mov.b32 %r3, {%h0, %h1};", W(u32(u16(b)) << 16 | u16(a)) E},
      {'H', "mov.b32 {%h4, %h3}, %r0;", W(a >> 16) E},
      {'X', "mov.b64 %x0, {%h0, %h1, %h2, %h0};",
       W(u64(u16(a)) << 48 | u64(u16(c)) << 32 | u64(u16(b)) << 16 | u16(a)) E},
      {'H', "mov.b64 {%h4, %h5, %h3, %h6}, %a0;", W(a >> 32) E},
      {'R', "mov.b64 {%r4, %r5}, %a0; mov.b64 %t0, {%r5, %r4}; mov.b64 {%r3, _}, %t0;", W(a >> 32) E},
      {'H', "{ .reg.b8 %low; cvt.u8.u32 %low, %r0; mov.b16 %h3, {%low, 7}; }", W(u8(a) | 7 << 8) E},
      {'H', "{ .reg.b8 %b<4>; mov.b32 {%b0, %b1, %b2, %b3}, %r0; mov.b16 %h3, {%b3, %b1}; }",
       W(u8(a >> 24) | u32(u8(a >> 8)) << 8) E},
      {'R', "mov.u32 %r3, 0x7f;", W(0x7f) E},
      {'R', "mov.u32 %r3, (3 << 4) | (WARP_SZ - 1) ^ ~0;", W((3 << 4) | ((32 - 1) ^ ~0)) E},
      {'X', "mov.u64 %x0, -1;", W(~0ull) E},
  });
}

} // namespace
