/* Control flow, calls, memory spaces, warp operations and atomics by hand. */
#include <chrono>
#include <numeric>

#include "ptx_test_util.h"

namespace {

/* A kernel whose thread i (of all) stores %r9 at p0[i]; the body sees %i and %tid in %t. */
std::vector<uint32_t> run_body(const std::string &body, unsigned blocks, unsigned threads,
                               const std::string &before = "", size_t shared = 0, Device *device = nullptr) {
  Device own;
  Device &dev = device ? *device : own;
  std::string text =
      ".reg .b64 %o, %d<10>;\n.reg .b32 %r<20>, %i, %t, %b;\n.reg .f32 %f<4>;\n.reg .pred %p<8>;\n"
      "mov.u32 %t, %tid.x;\nmov.u32 %b, %ctaid.x;\nmov.u32 %r0, %ntid.x;\nmad.lo.u32 %i, %b, %r0, %t;\n" +
      body + "\nld.param.u64 %o, [p0];\nmad.wide.u32 %o, %i, 4, %o;\nst.global.u32 [%o], %r9;\nret;";
  size_t n = static_cast<size_t>(blocks) * threads;
  uint32_t *out = dev.raw<uint32_t>(n);
  if (!dev.load(ptx_kernel(text, before)))
    return {};
  uint64_t p0 = reinterpret_cast<uint64_t>(out), none = 0;
  EXPECT_EQ(dev.launch("k", blocks, threads, {&p0, &none, &none, &none}, shared), SG_PTX_OK)
      << dev.error << "\n"
      << body;
  return std::vector<uint32_t>(out, out + n);
}

TEST(Flow, LoopsOfDifferentLength) { // lane i goes around i times; all meet behind it
  auto r = run_body("mov.u32 %r9, 0; mov.u32 %r1, 0;\nLOOP: setp.ge.u32 %p0, %r1, %t; @%p0 bra OUT; add.u32 "
                    "%r9, %r9, %r1; add.u32 %r1, %r1, 1; bra LOOP;\n"
                    "OUT: activemask.b32 %r2; setp.ne.u32 %p1, %r2, 0xffffffff; @%p1 mov.u32 %r9, 999999;",
                    2, 64);
  for (uint32_t i = 0; i < 128; i++)
    EXPECT_EQ(r[i], (i % 64) * (i % 64 - 1) / 2) << i;
}

TEST(Flow, NestedBranchesMeetAgain) {
  auto r =
      run_body("and.b32 %r1, %t, 1; and.b32 %r2, %t, 2; setp.eq.u32 %p0, %r1, 0; setp.eq.u32 %p1, %r2, 0;\n"
               "@%p0 bra A; @%p1 bra B; mov.u32 %r9, 3; bra INNER; B: mov.u32 %r9, 1; INNER: activemask.b32 "
               "%r3; bra END;\n"
               "A: mov.u32 %r9, 0; activemask.b32 %r3;\nEND: activemask.b32 %r4; shl.b32 %r9, %r9, 4; "
               "popc.b32 %r3, %r3; popc.b32 %r4, %r4; shl.b32 %r4, %r4, 16; or.b32 %r9, %r9, %r4; shl.b32 "
               "%r3, %r3, 8; or.b32 %r9, %r9, %r3;",
               1, 32);
  for (uint32_t i = 0; i < 32; i++) {
    uint32_t k = i % 2 == 0 ? 0 : i & 2 ? 3 : 1;
    EXPECT_EQ(r[i], k << 4 | 16u << 8 | 32u << 16) << i; // odd lanes had met at INNER
  }
}

TEST(Flow, BranchTable) {
  auto r = run_body("and.b32 %r1, %t, 3;\nT: .branchtargets L0, L1, L2, L1;\nbrx.idx %r1, T;\nL0: mov.u32 "
                    "%r9, 10; bra END;\nL1: mov.u32 %r9, 11; bra END;\nL2: mov.u32 %r9, 12;\n"
                    "END: activemask.b32 %r2; setp.ne.u32 %p0, %r2, 0xffffffff; @%p0 mov.u32 %r9, 0;",
                    1, 64);
  const uint32_t want[] = {10, 11, 12, 11};
  for (uint32_t i = 0; i < 64; i++)
    EXPECT_EQ(r[i], want[i % 4]) << i;
}

TEST(Flow, LanesEndOneByOne) { // the others go on, and are not waited for by warp operations
  Device dev;
  std::vector<uint32_t> fresh(32, 7);
  uint32_t *out = dev.put(fresh);
  ASSERT_TRUE(dev.load(ptx_kernel(
      ".reg .b64 %o; .reg .b32 %r<4>, %t; .reg .pred %p<3>; mov.u32 %t, %tid.x; ld.param.u64 %o, [p0]; "
      "mad.wide.u32 %o, %t, 4, %o;\n"
      "and.b32 %r0, %t, 1; setp.eq.u32 %p0, %r0, 0; @%p0 ret; setp.lt.u32 %p1, %t, 9; @%p1 exit;\n"
      "setp.lt.u32 %p2, %t, 100; vote.sync.ballot.b32 %r1, %p2, 0xffffffff; st.global.u32 [%o], %r1;")));
  ASSERT_EQ(dev.run("k", 1, 32, out, nullptr, nullptr, nullptr), SG_PTX_OK) << dev.error;
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(out[i], i % 2 == 0 || i < 9 ? 7u : 0xaaaaaa00u) << i;
}

const char *const kFunctions =
    ".func (.param .b32 r) twice(.param .b32 x) { .reg .b32 %a; ld.param.b32 %a, [x]; add.u32 %a, %a, %a; "
    "st.param.b32 [r], %a; ret; }\n"
    ".func (.param .b32 r) fact(.param .b32 n) { .reg .b32 %a<4>; .reg .pred %p; ld.param.b32 %a0, [n]; "
    "setp.gt.u32 %p, %a0, 1; @%p bra REC; mov.u32 %a3, 1; st.param.b32 [r], %a3; ret;\n"
    "REC: sub.u32 %a1, %a0, 1; { .param .b32 p; .param .b32 q; st.param.b32 [p], %a1; call (q), fact, (p); "
    "ld.param.b32 %a2, [q]; } mul.lo.u32 %a3, %a2, %a0; st.param.b32 [r], %a3; ret; }\n"
    ".func (.param .align 8 .b8 r[16]) both(.param .align 8 .b8 s[16]) { .reg .b64 %a<2>; ld.param.v2.b64 "
    "{%a0, %a1}, [s]; st.param.v2.b64 [r], {%a1, %a0}; ret; }\n";

TEST(Flow, Calls) {
  auto r = run_body("{ .param .b32 p; .param .b32 q; st.param.b32 [p+0], %i; call.uni (q), twice, (p); "
                    "ld.param.b32 %r9, [q+0]; }",
                    1, 40, kFunctions);
  for (uint32_t i = 0; i < 40; i++)
    EXPECT_EQ(r[i], 2 * i);
  r = run_body("and.b32 %r1, %t, 7; { .param .b32 p; .param .b32 q; st.param.b32 [p], %r1; call (q), fact, "
               "(p); ld.param.b32 %r9, [q]; }\n"
               "activemask.b32 %r2; setp.ne.u32 %p0, %r2, 0xffffffff; @%p0 mov.u32 %r9, 0;",
               1, 32, kFunctions);
  const uint32_t fact[] = {1, 1, 2, 6, 24, 120, 720, 5040};
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(r[i], fact[i % 8]) << i;
  r = run_body("cvt.u64.u32 %d0, %i; add.u64 %d1, %d0, 100; { .param .align 8 .b8 p[16]; .param .align 8 .b8 "
               "q[16]; st.param.b64 [p], %d0; st.param.b64 [p+8], %d1;\n"
               "call (q), both, (p); ld.param.b64 %d2, [q]; } cvt.u32.u64 %r9, %d2;",
               1, 32, kFunctions);
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(r[i], i + 100);
}

TEST(Flow, CallsThroughRegisters) { // lanes call different functions, by a table of addresses
  auto r = run_body("and.b32 %r1, %t, 1; mul.wide.u32 %d0, %r1, 8; mov.u64 %d1, table; add.u64 %d1, %d1, "
                    "%d0; ld.global.u64 %d2, [%d1]; and.b32 %r2, %t, 3;\n"
                    "{ .param .b32 p; .param .b32 q; proto: .callprototype (.param .b32 _) _ (.param .b32 "
                    "_); st.param.b32 [p], %r2; call (q), %d2, (p), proto; ld.param.b32 %r9, [q]; }",
                    1, 32, std::string(kFunctions) + ".global .u64 table[2] = {twice, fact};\n");
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(r[i], i % 2 ? (i % 4 == 3 ? 6u : 1u) : 2 * (i % 4)) << i;
}

TEST(Memory, VariablesAndInitialValues) {
  const char *vars = ".const .align 4 .u32 c[3] = {5, 6, 0x7};\n.global .align 4 .b8 bytes[8] = {1, 2, 3, 4, "
                     "255};\n.global .f32 f = 0f40490FDB;\n.global .f64 d[2] = {1.5, -2.0};\n"
                     ".global .u64 where[2] = {bytes+4, generic(c)};\n.global .align 8 .b8 packed[9] = {9, "
                     "0xFF(bytes), 0xFF00(bytes), 0xFF0000(bytes), 0xFF000000(bytes), 0xFF00000000(bytes), "
                     "0xFF0000000000(bytes), 0, 0};\n.global .u32 zero[4];\n";
  auto r = run_body("ld.const.u32 %r9, [c+8]; ld.global.u32 %r1, [bytes]; add.u32 %r9, %r9, %r1; mov.u64 "
                    "%d0, where; ld.global.u64 %d1, [%d0]; ld.u8 %r2, [%d1]; add.u32 %r9, %r9, %r2;\n"
                    "ld.global.u64 %d2, [where+8]; ld.u32 %r3, [%d2+4]; add.u32 %r9, %r9, %r3; ld.global.u32 "
                    "%r4, [zero+12]; add.u32 %r9, %r9, %r4;\n"
                    "ld.global.f32 %f0, [f]; cvt.rzi.u32.f32 %r5, %f0; add.u32 %r9, %r9, %r5;",
                    1, 1, vars);
  EXPECT_EQ(r[0], 7u + 0x04030201u + 255 + 6 + 0 + 3);
  Device dev;
  ASSERT_TRUE(dev.load(ptx_kernel("ret;", vars)));
  uint64_t addr, bytes_addr;
  size_t bytes;
  ASSERT_TRUE(sg_ptx_find_global(dev.module, "packed", &addr, &bytes));
  EXPECT_EQ(bytes, 9u);
  ASSERT_TRUE(sg_ptx_find_global(dev.module, "bytes", &bytes_addr, &bytes));
  uint64_t low = 0;
  memcpy(&low, reinterpret_cast<uint8_t *>(addr) + 1, 6);
  EXPECT_EQ(low, bytes_addr & 0xffffffffffff);
  EXPECT_FALSE(sg_ptx_find_global(dev.module, "nothing", &addr, &bytes));
  sg_memory_info info;
  EXPECT_TRUE(sg_memory_find(dev.mem, bytes_addr, 8, &info));
  EXPECT_EQ(info.kind, SG_MEMORY_DEVICE);
}

TEST(Memory, SharedLocalAndGeneric) {
  // static and dynamic shared memory, a local array, and generic addresses of both
  auto r = run_body(
      ".shared .align 4 .b8 s[256]; .local .align 4 .b8 l[32];\n"
      "mov.u32 %r1, s; mad.lo.u32 %r1, %t, 4, %r1; st.shared.u32 [%r1], %i; mov.u64 %d0, dyn; mad.wide.u32 "
      "%d0, %t, 4, %d0; cvta.shared.u64 %d1, %d0; add.u32 %r2, %i, 1000; st.u32 [%d1], %r2;\n"
      "bar.sync 0;\nxor.b32 %r3, %t, 63; mov.u64 %d2, s; cvta.shared.u64 %d2, %d2; mad.wide.u32 %d2, %r3, 4, "
      "%d2; ld.u32 %r9, [%d2];\n"
      "mov.u64 %d3, dyn; mad.wide.u32 %d3, %r3, 4, %d3; ld.shared.u32 %r4, [%d3]; add.u32 %r9, %r9, %r4;\n"
      "and.b32 %r5, %t, 7; mov.u64 %d4, l; mad.wide.u32 %d5, %r5, 4, %d4; st.local.u32 [%d5], %t; "
      "cvta.local.u64 %d6, %d5; ld.u32 %r6, [%d6]; add.u32 %r9, %r9, %r6;\n"
      "isspacep.shared %p0, %d2; isspacep.local %p1, %d6; isspacep.global %p2, %d6; @!%p0 mov.u32 %r9, 0; "
      "@!%p1 mov.u32 %r9, 0; @%p2 mov.u32 %r9, 0;",
      2, 64, ".extern .shared .align 16 .b8 dyn[];\n", 256);
  for (uint32_t i = 0; i < 128; i++) {
    uint32_t other = i - i % 64 + (63 - i % 64);
    EXPECT_EQ(r[i], other + other + 1000 + i % 64) << i;
  }
}

TEST(Memory, VectorsAndWidths) {
  Device dev;
  std::vector<uint8_t> in(64);
  std::iota(in.begin(), in.end(), static_cast<uint8_t>(0xf0));
  uint8_t *src = dev.put(in), *dst = dev.raw<uint8_t>(64);
  ASSERT_TRUE(dev.load(
      ptx_kernel(".reg .b64 %a, %b, %x<4>; .reg .b32 %r<8>; .reg .b16 %h<4>; ld.param.u64 %a, [p0]; "
                 "ld.param.u64 %b, [p1];\n"
                 "ld.global.nc.L1::no_allocate.v4.u8 {%h0, %h1, %h2, %h3}, [%a]; st.global.v4.u8 [%b], {%h3, "
                 "%h2, %h1, %h0};\n"
                 "ld.global.s8 %r0, [%a+1]; st.global.u32 [%b+4], %r0; ld.volatile.global.s16 %x0, [%a+2]; "
                 "st.global.u64 [%b+8], %x0;\n"
                 "ld.global.v2.b64 {%x0, %x1}, [%a+16]; st.global.v2.b64 [%b+16], {%x1, %x0}; "
                 "ld.relaxed.gpu.global.v4.b32 {%r0, %r1, _, %r3}, [%a+32];\n"
                 "st.global.v4.b32 [%b+32], {%r3, %r1, 5, %r0}; st.global.u8 [%b+48], %r1; st.global.v4.f32 "
                 "[%b+52+-4+16], {0f3F800000, 0f3F800000, 0f3F800000, 0f3F800000};")));
  // the last store is at +64: outside
  EXPECT_EQ(dev.run("k", 1, 1, src, dst, nullptr, nullptr), SG_PTX_E_ILLEGAL_ADDRESS);
  EXPECT_EQ(dst[0], 0xf3);
  EXPECT_EQ(dst[3], 0xf0);
  int32_t s8;
  memcpy(&s8, dst + 4, 4);
  EXPECT_EQ(s8, static_cast<int8_t>(0xf1));
  int64_t s16;
  memcpy(&s16, dst + 8, 8);
  EXPECT_EQ(s16, static_cast<int16_t>(0xf3f2));
  EXPECT_EQ(memcmp(dst + 16, src + 24, 8), 0);
  EXPECT_EQ(memcmp(dst + 24, src + 16, 8), 0);
  EXPECT_EQ(memcmp(dst + 32, src + 44, 4), 0);
  EXPECT_EQ(dst[40], 5);
  EXPECT_EQ(dst[48], src[36]);
}

TEST(Warp, Shuffles) {
  auto shfl = [](const std::string &mode, uint32_t by, uint32_t c) {
    return run_body("shfl.sync." + mode + ".b32 %r9|%p0, %t, " + std::to_string(by) + ", " +
                        std::to_string(c) + ", 0xffffffff; @!%p0 add.u32 %r9, %r9, 100;",
                    1, 32);
  };
  auto up = shfl("up", 3, 0), down = shfl("down", 5, 31), bfly = shfl("bfly", 9, 31),
       idx = shfl("idx", 6, 31), segment = shfl("down", 2, (24 << 8) | 31),
       broadcast = shfl("idx", 1, (24 << 8) | 31);
  for (uint32_t i = 0; i < 32; i++) {
    EXPECT_EQ(up[i], i < 3 ? i + 100 : i - 3);
    EXPECT_EQ(down[i], i + 5 > 31 ? i + 100 : i + 5);
    EXPECT_EQ(bfly[i], i ^ 9);
    EXPECT_EQ(idx[i], 6u);
    EXPECT_EQ(segment[i], i % 8 + 2 > 7 ? i + 100 : i + 2); // groups of 8
    EXPECT_EQ(broadcast[i], i / 8 * 8 + 1);
  }
}

TEST(Warp, VotesMatchesReductions) {
  auto r = run_body("setp.lt.u32 %p0, %t, 5; vote.sync.ballot.b32 %r9, !%p0, 0xffffffff;", 1, 32);
  EXPECT_EQ(r[0], ~31u);
  r = run_body("setp.lt.u32 %p0, %t, 5; vote.sync.any.pred %p1, %p0, 0xffffffff; vote.sync.all.pred %p2, "
               "%p0, 0xffffffff; vote.sync.uni.pred %p3, %p0, 0xffffffff;\n"
               "selp.b32 %r1, 1, 0, %p1; selp.b32 %r2, 2, 0, %p2; selp.b32 %r3, 4, 0, %p3; or.b32 %r9, %r1, "
               "%r2; or.b32 %r9, %r9, %r3;",
               1, 32);
  EXPECT_EQ(r[31], 1u);
  r = run_body("and.b32 %r1, %t, 3; match.any.sync.b32 %r9, %r1, 0xffffffff;", 1, 32);
  EXPECT_EQ(r[2], 0x44444444u);
  r = run_body("mov.u64 %d0, 7; match.all.sync.b64 %r9|%p0, %d0, 0xffffffff; @!%p0 mov.u32 %r9, 1;", 1, 32);
  EXPECT_EQ(r[2], 0xffffffffu);
  r = run_body("match.all.sync.b32 %r9|%p0, %t, 0xffffffff; @%p0 mov.u32 %r9, 1;", 1, 32);
  EXPECT_EQ(r[2], 0u);
  r = run_body(
      "redux.sync.add.u32 %r1, %t, 0xffffffff; sub.u32 %r2, 3, %t; redux.sync.min.s32 %r3, %r2, 0xffffffff; "
      "redux.sync.max.u32 %r4, %r2, 0xffffffff; redux.sync.xor.b32 %r5, %t, 0xffffffff;\n"
      "sub.u32 %r9, %r1, %r3; add.u32 %r9, %r9, %r5; setp.ne.u32 %p0, %r4, 0xffffffff; @%p0 mov.u32 %r9, 0;",
      1, 32);
  EXPECT_EQ(r[9], 496u + 28);
  r = run_body("elect.sync %r9|%p0, 0xffffffff; @%p0 add.u32 %r9, %r9, 50;", 1, 32);
  EXPECT_EQ(r[0], 50u);
  EXPECT_EQ(r[1], 0u);
  r = run_body("mov.u32 %r9, %lanemask_lt; mov.u32 %r1, %lanemask_ge; xor.b32 %r9, %r9, %r1; mov.u32 %r2, "
               "%warpid; add.u32 %r9, %r9, %r2; mov.u32 %r3, %laneid; add.u32 %r9, %r9, %r3;",
               1, 64);
  EXPECT_EQ(r[35], 0xffffffffu + 1 + 3);
}

TEST(Warp, BarrierReductions) {
  auto r = run_body(
      "setp.lt.u32 %p0, %t, 70; bar.red.popc.u32 %r1, 0, %p0; bar.red.and.pred %p1, 0, %p0; "
      "barrier.sync.aligned 1; bar.red.or.pred %p2, 2, !%p0;\n"
      "selp.b32 %r2, 1000, 0, %p1; selp.b32 %r3, 2000, 0, %p2; add.u32 %r9, %r1, %r2; add.u32 %r9, %r9, %r3;",
      1, 96);
  for (uint32_t x : r)
    EXPECT_EQ(x, 70u + 2000);
}

TEST(Warp, NamedBarriers) { // warp 1 produces for warp 0, which alone waits for it
  auto r = run_body(".shared .u32 s[32]; mov.u32 %r9, 0; mov.u32 %r1, %warpid; mov.u32 %r2, %laneid; mov.u64 "
                    "%d0, s; mad.wide.u32 %d0, %r2, 4, %d0; setp.eq.u32 %p0, %r1, 1; @%p0 bra PRODUCE; "
                    "setp.ne.u32 %p1, %r1, 0; @%p1 bra END;\n"
                    "bar.sync 1, 64; ld.shared.u32 %r9, [%d0]; bra END;\nPRODUCE: add.u32 %r3, %r2, 500; "
                    "st.shared.u32 [%d0], %r3; bar.arrive 1, 64;\nEND:",
                    1, 96);
  for (uint32_t i = 0; i < 96; i++)
    EXPECT_EQ(r[i], i < 32 ? 500 + i : 0) << i;
}

TEST(Atomic, EveryOperation) {
  struct Case {
    const char *text;
    uint64_t before, want;
  } cases[] = {
      {"atom.global.add.u32 %r1, [%a], %t;", 5, 5 + 2016},
      {"red.global.add.s32 [%a], -1;", 5, static_cast<uint32_t>(5 - 64)},
      {"atom.global.add.u64 %d1, [%a], %w;", 1ull << 40, (1ull << 40) + 2016},
      {"atom.global.min.s32 %r1, [%a], %m;", 0, static_cast<uint32_t>(-63)},
      {"atom.global.max.u32 %r1, [%a], %m;", 1, 0xffffffff},
      {"red.relaxed.gpu.global.max.u64 [%a], %w;", 1, 63},
      {"atom.global.min.s64 %d1, [%a], -7;", 1, static_cast<uint64_t>(-7)},
      {"atom.global.and.b32 %r1, [%a], 0xf0;", 0xff, 0xf0},
      {"atom.global.or.b64 %d1, [%a], %w;", 64, 127},
      {"atom.global.xor.b32 %r1, [%a], %t;", 9, 9},
      {"atom.global.inc.u32 %r1, [%a], 9;", 0, 4}, // wraps behind 9: 64 steps of 10
      {"atom.global.dec.u32 %r1, [%a], 9;", 0, 6},
      {"atom.global.exch.b32 %r1, [%a], 77;", 1, 77},
      {"atom.global.cas.b32 %r1, [%a], 3, 4;", 3, 4},
      {"atom.acq_rel.sys.global.cas.b64 %d1, [%a], 4, 5;", 3, 3},
      {"atom.global.add.f32 %f1, [%a], 0f3F000000;", 0x3f800000, 0x42040000}, // 1 + 32
      {"atom.global.add.f64 %e1, [%a], 0d3FE0000000000000;", 0x3ff0000000000000, 0x4040800000000000},
      {"mov.b32 %m, 0x3c003800; atom.global.add.noftz.f16x2 %r1, [%a], %m;", 0x3c003c00,
       0x54105020}, // 65 and 33
      {"mov.b32 %m, 0x3f800000; red.global.add.noftz.bf16x2 [%a], %m;", 0, 0x42800000},
      {"atom.add.u32 %r1, [%a], 1;", 0, 64}, // a generic address
  };
  for (const Case &c : cases) {
    Device dev;
    std::vector<uint64_t> word = {c.before};
    uint64_t *p = dev.put(word);
    ASSERT_TRUE(dev.load(
        ptx_kernel(".reg .b64 %a, %w, %d<2>; .reg .b32 %t, %m, %r<2>; .reg .f32 %f<2>; .reg .f64 %e<2>; "
                   "mov.u32 %t, %tid.x; cvt.u64.u32 %w, %t; neg.s32 %m, %t; ld.param.u64 %a, [p0];\n" +
                   std::string(c.text))))
        << c.text;
    ASSERT_EQ(dev.run("k", 1, 64, p, nullptr, nullptr, nullptr), SG_PTX_OK) << dev.error;
    EXPECT_EQ(*p, c.want) << c.text << std::hex << " " << *p;
    EXPECT_EQ(dev.counts.atomics, 64u);
  }
}

TEST(Atomic, ReturnsTheOldValueAndWorksInSharedMemory) {
  auto r = run_body(".shared .u32 n; setp.eq.u32 %p0, %t, 0; mov.u64 %d0, n; @%p0 st.shared.u32 [%d0], 100; "
                    "bar.sync 0; atom.shared.add.u32 %r9, [%d0], 2; bar.sync 0; ld.shared.u32 %r1, [%d0]; "
                    "setp.ne.u32 %p1, %r1, 228; @%p1 mov.u32 %r9, 0;",
                    1, 64);
  for (uint32_t i = 0; i < 64; i++)
    EXPECT_EQ(r[i], 100 + 2 * i);
}

TEST(Launch, OrderOfBlocksIsDrawnFromTheSeed) {
  const char *body =
      ".reg .b64 %a, %o; .reg .b32 %r<4>; ld.param.u64 %a, [p0]; ld.param.u64 %o, [p1]; atom.global.add.u32 "
      "%r0, [%a], 1; mov.u32 %r1, %ctaid.x; mad.wide.u32 %o, %r0, 4, %o; st.global.u32 [%o], %r1;";
  auto order = [&](uint64_t seed) {
    Device dev;
    EXPECT_TRUE(dev.load(ptx_kernel(body)));
    uint32_t *n = dev.put(std::vector<uint32_t>{0}), *o = dev.raw<uint32_t>(30);
    dev.grid.order_seed = seed;
    EXPECT_EQ(dev.run("k", 30, 1, n, o, nullptr, nullptr), SG_PTX_OK) << dev.error;
    return std::vector<uint32_t>(o, o + 30);
  };
  std::vector<uint32_t> plain(30);
  std::iota(plain.begin(), plain.end(), 0u);
  EXPECT_EQ(order(0), plain);
  auto a = order(1);
  EXPECT_NE(a, plain);
  EXPECT_EQ(order(1), a);
  std::sort(a.begin(), a.end());
  EXPECT_EQ(a, plain);
}

// Twenty million thread-instructions. How long they may take is for no test to say: the rate is printed.
TEST(Launch, ALongLoopIsCountedToTheLast) {
  const uint64_t blocks = 16, threads = 256, rounds = 814, around = 6, apart = 9;
  Device dev;
  uint32_t *out = dev.raw<uint32_t>(blocks * threads);
  ASSERT_TRUE(dev.load(ptx_kernel(".reg .b64 %o; .reg .b32 %r<6>; .reg .pred %p; ld.param.u64 %o, [p0]; mov.u32 %r0, %ctaid.x; mov.u32 %r1, "
                                  "%tid.x; mad.lo.u32 %r0, %r0, 256, %r1; mov.u32 %r2, %r0; mov.u32 %r3, 0;\n"
                                  "LOOP: mad.lo.u32 %r2, %r2, 1664525, 1013904223; shr.u32 %r4, %r2, 13; xor.b32 %r2, %r2, %r4; add.u32 %r3, %r3, 1; "
                                  "setp.lt.u32 %p, %r3, 814; @%p bra LOOP;\n"
                                  "mad.wide.u32 %o, %r0, 4, %o; st.global.u32 [%o], %r2; ret;")));
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(dev.run("k", blocks, threads, out, nullptr, nullptr, nullptr), SG_PTX_OK) << dev.error;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  // the last branch is passed over
  EXPECT_EQ(dev.counts.instructions, blocks * threads * (rounds * around - 1 + apart));
  EXPECT_EQ(dev.counts.warp_instructions, blocks * threads / 32 * (rounds * around + apart));
  for (uint32_t i = 0; i < blocks * threads; i++) {
    uint32_t x = i;
    for (uint64_t k = 0; k < rounds; k++) x = x * 1664525 + 1013904223, x ^= x >> 13;
    ASSERT_EQ(out[i], x) << i;
  }
  printf("%.1f million thread-instructions in %.3f s: %.0f million a second\n", static_cast<double>(dev.counts.instructions) / 1e6, seconds,
         static_cast<double>(dev.counts.instructions) / 1e6 / seconds);
}

TEST(Launch, ThreeDimensionsAndCounts) {
  Device dev;
  uint32_t *o = dev.raw<uint32_t>(2 * 3 * 4 * 5 * 2 * 2);
  ASSERT_TRUE(dev.load(ptx_kernel(
      ".reg .b64 %o; .reg .b32 %r<12>; mov.u32 %r0, %tid.x; mov.u32 %r1, %tid.y; mov.u32 %r2, %tid.z; "
      "mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ctaid.y; mov.u32 %r5, %ctaid.z;\n"
      "mov.u32 %r6, %nctaid.x; mov.u32 %r7, %nctaid.y; mad.lo.u32 %r8, %r5, %r7, %r4; mad.lo.u32 %r8, %r8, "
      "%r6, %r3; mov.u32 %r9, %ntid.z; mad.lo.u32 %r8, %r8, %r9, %r2; mov.u32 %r9, %ntid.y; mad.lo.u32 %r8, "
      "%r8, %r9, %r1; mov.u32 %r9, %ntid.x; mad.lo.u32 %r8, %r8, %r9, %r0;\n"
      "ld.param.u64 %o, [p0]; mad.wide.u32 %o, %r8, 4, %o; st.global.u32 [%o], %r8; ret;")));
  dev.grid.grid[1] = 3, dev.grid.grid[2] = 4, dev.grid.block[1] = 2, dev.grid.block[2] = 2;
  sg_ptx_traffic traffic[2];
  dev.grid.max_traffic = 2, dev.grid.traffic = traffic, dev.grid.flags = SG_PTX_COUNT_DISTINCT;
  ASSERT_EQ(dev.run("k", 2, 5, o, nullptr, nullptr, nullptr), SG_PTX_OK) << dev.error;
  for (uint32_t i = 0; i < 480; i++)
    ASSERT_EQ(o[i], i);
  EXPECT_EQ(dev.counts.global_written_bytes, 480u * 4);
  EXPECT_EQ(dev.counts.global_stores, 480u);
  EXPECT_EQ(dev.counts.global_sectors, 24u * 3); // 80 bytes of a warp, from the beginning or the middle of a sector
  EXPECT_EQ(dev.counts.global_read_bytes, 0u);
  EXPECT_EQ(dev.counts.instructions, 480u * 20);
  EXPECT_EQ(dev.counts.warp_instructions, 24u * 20);
  ASSERT_EQ(dev.grid.traffic_count, 1u);
  EXPECT_EQ(traffic[0].written_bytes, 1920u);
  EXPECT_EQ(traffic[0].distinct_written_bytes, 1920u);
  EXPECT_EQ(traffic[0].distinct_read_bytes, 0u);
}

} // namespace
