/* Every check must fire, with a message that says where; and must be silent where the program is right. */
#include "ptx_test_util.h"

namespace {

const std::string kHead = ".reg .b64 %a, %b, %d<6>;\n.reg .b32 %r<12>, %t;\n.reg .pred %p<6>;\nmov.u32 %t, "
                          "%tid.x;\nld.param.u64 %a, [p0];\nld.param.u64 %b, [p1];\n";

bool says(const std::string &text, std::initializer_list<const char *> words) {
  for (const char *w : words)
    if (text.find(w) == std::string::npos) {
      ADD_FAILURE() << "\"" << w << "\" is not in: " << text;
      return false;
    }
  return true;
}

/* Run a body over p0 (64 words, written) and p1 (64 words, not written). */
sg_ptx_status check(const std::string &body, unsigned threads, std::string *error, Device *device = nullptr,
                    size_t shared = 0) {
  Device own;
  Device &dev = device ? *device : own;
  uint32_t *a = dev.put(std::vector<uint32_t>(64, 1)), *b = dev.raw<uint32_t>(64);
  if (!dev.load(ptx_kernel(kHead + body, ".extern .shared .align 16 .b8 dyn[];\n")))
    return SG_PTX_OK;
  uint64_t none = 0;
  sg_ptx_status status = dev.launch("k", 1, threads, {&a, &b, &none, &none}, shared);
  *error = dev.error;
  return status;
}

TEST(Check, GlobalOutOfBounds) {
  std::string e;
  EXPECT_EQ(check("mad.wide.u32 %d0, %t, 4, %a;\nst.global.u32 [%d0+4], %t;", 64, &e),
            SG_PTX_E_ILLEGAL_ADDRESS);
  says(e, {"kernel k", "PTX line 14 (st.global.u32)", "block (0,0,0), thread (63,0,0)", "write of 4 bytes",
           "0 bytes past the end of", "256 bytes"});
  EXPECT_EQ(check("mad.wide.u32 %d0, %t, 4, %a;\nld.global.v2.u32 {%r0, %r1}, [%d0+-8];", 1, &e),
            SG_PTX_E_ILLEGAL_ADDRESS);
  says(e, {"read of 8 bytes"});
  EXPECT_EQ(check("ld.global.u32 %r0, [%a+254];", 1, &e), SG_PTX_E_ILLEGAL_ADDRESS);       // it ends outside
  EXPECT_EQ(check("mov.u64 %d0, 0; ld.u32 %r0, [%d0];", 1, &e), SG_PTX_E_ILLEGAL_ADDRESS); // a null pointer
  EXPECT_EQ(check("atom.global.add.u32 %r0, [%a+256], 1;", 1, &e), SG_PTX_E_ILLEGAL_ADDRESS);
  EXPECT_EQ(check("mad.wide.u32 %d0, %t, 4, %a;\nst.global.u32 [%d0], %t;", 64, &e), SG_PTX_OK) << e;
}

TEST(Check, UseAfterFree) {
  Device dev;
  uint32_t *p = dev.put(std::vector<uint32_t>(16, 1));
  ASSERT_TRUE(dev.load(ptx_kernel(kHead + "ld.global.u32 %r0, [%a+8];")));
  EXPECT_EQ(dev.run("k", 1, 1, p, nullptr, nullptr, nullptr), SG_PTX_OK) << dev.error;
  dev.release(p);
  EXPECT_EQ(dev.run("k", 1, 1, p, nullptr, nullptr, nullptr), SG_PTX_E_ILLEGAL_ADDRESS);
  says(dev.error, {"use after free", "8 bytes into freed", "64 bytes"});
}

TEST(Check, Misaligned) {
  std::string e;
  EXPECT_EQ(check("ld.global.u32 %r0, [%a+2];", 1, &e), SG_PTX_E_MISALIGNED);
  says(e, {"not aligned to 4"});
  EXPECT_EQ(check("ld.global.v4.u32 {%r0, %r1, %r2, %r3}, [%a+8];", 1, &e), SG_PTX_E_MISALIGNED);
  EXPECT_EQ(check("st.shared.u32 [dyn+2], %t;", 1, &e, nullptr, 64), SG_PTX_E_MISALIGNED);
  EXPECT_EQ(check("ld.global.u8 %r0, [%a+3]; ld.global.v2.u32 {%r0, %r1}, [%a+8];", 1, &e), SG_PTX_OK) << e;
}

TEST(Check, UnwrittenGlobalMemory) {
  std::string e;
  EXPECT_EQ(check("mad.wide.u32 %d0, %t, 4, %b;\nld.global.u32 %r0, [%d0];", 32, &e), SG_PTX_E_UNWRITTEN);
  says(e, {"written by nobody", "thread (0,0,0)"});
  EXPECT_EQ(
      check("mad.wide.u32 %d0, %t, 4, %b;\nst.global.u32 [%d0], %t;\nld.global.u32 %r0, [%d0];", 64, &e),
      SG_PTX_OK)
      << e;
  EXPECT_EQ(check("st.global.u8 [%b], %t;\nst.global.u16 [%b+2], %t;\nld.global.u32 %r0, [%b];", 1, &e),
            SG_PTX_E_UNWRITTEN); // byte 1
  says(e, {"byte 1 of 4"});
  EXPECT_EQ(check("red.global.add.u32 [%b], 1;", 1, &e), SG_PTX_E_UNWRITTEN);
  Device dev;
  dev.grid.flags = SG_PTX_NO_UNWRITTEN_CHECK;
  EXPECT_EQ(check("ld.global.u32 %r0, [%b];", 1, &e, &dev), SG_PTX_OK) << e;
}

TEST(Check, PeersAndHostMemory) {
  Device dev(2);
  uint32_t *there = dev.put(std::vector<uint32_t>(4, 1), 1);
  ASSERT_TRUE(dev.load(ptx_kernel(kHead + "ld.global.u32 %r0, [%a];")));
  EXPECT_EQ(dev.run("k", 1, 1, there, nullptr, nullptr, nullptr), SG_PTX_E_ILLEGAL_ADDRESS);
  says(dev.error, {"no peer access from device 0", "memory of device 1"});
  sg_memory_set_peer(dev.mem, 0, 1, 1);
  EXPECT_EQ(dev.run("k", 1, 1, there, nullptr, nullptr, nullptr), SG_PTX_OK) << dev.error;
  std::vector<uint32_t> host(4, 2); // pinned: nobody says who wrote it
  ASSERT_EQ(sg_memory_add(dev.mem, host.data(), 16, -1, SG_MEMORY_PINNED), 0);
  EXPECT_EQ(dev.run("k", 1, 1, host.data(), nullptr, nullptr, nullptr), SG_PTX_OK) << dev.error;
  EXPECT_EQ(sg_memory_remove(dev.mem, host.data()), 0);
}

TEST(Check, ConstantsAreReadOnly) {
  Device dev;
  ASSERT_TRUE(dev.load(ptx_kernel(kHead + "mov.u64 %d0, c; cvta.const.u64 %d0, %d0; st.u32 [%d0], %t;",
                                  ".const .u32 c = 1;\n")));
  EXPECT_EQ(dev.run("k", 1, 1, nullptr, nullptr, nullptr, nullptr), SG_PTX_E_ILLEGAL_ADDRESS);
  says(dev.error, {"may not write"});
}

TEST(Check, SharedOutOfBoundsAndUnwritten) {
  std::string e;
  EXPECT_EQ(check(".shared .b8 s[16]; st.shared.u32 [s+16], %t;", 1, &e), SG_PTX_E_ILLEGAL_ADDRESS);
  says(e, {"shared address 0x10", "the block has 16 bytes"});
  EXPECT_EQ(check("st.shared.u32 [dyn+64], %t;", 1, &e, nullptr, 64), SG_PTX_E_ILLEGAL_ADDRESS);
  EXPECT_EQ(check("ld.shared.u32 %r0, [dyn+60];", 1, &e, nullptr, 64), SG_PTX_E_UNWRITTEN);
  says(e, {"nobody in the block wrote"});
  EXPECT_EQ(check(".local .b8 l[16]; ld.local.u32 %r0, [l+16];", 1, &e), SG_PTX_E_ILLEGAL_ADDRESS);
}

const std::string kPut =
    ".shared .align 4 .b8 s[512]; mov.u64 %d5, s; mad.wide.u32 %d0, %t, 4, %d5; xor.b32 %r0, %t, 1;\n"
    "mad.wide.u32 %d1, %r0, 4, %d5; xor.b32 %r1, %t, 32; mad.wide.u32 %d2, %r1, 4, %d5;\n";

TEST(Check, RacesInSharedMemory) {
  std::string e;
  // a neighbour's value without a barrier, within the warp and across warps
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], %t;\nld.shared.u32 %r2, [%d1];", 64, &e), SG_PTX_E_RACE);
  says(e, {"race in shared memory", "read of byte 4", "thread (1,0,0) wrote", "thread (0,0,0)"});
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], %t; bar.sync 0; ld.shared.u32 %r2, [%d2]; add.u32 %r2, %r2, "
                         "1; st.shared.u32 [%d0], %r2;",
                  64, &e),
            SG_PTX_E_RACE);
  says(e, {"read"}); // the second warp reads what the first has overwritten
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], %t; bar.sync 0; ld.shared.u32 %r2, [%d2]; bar.sync 0; "
                         "st.shared.u32 [%d0], %r2;",
                  64, &e),
            SG_PTX_OK)
      << e;
  // a write after another thread's read
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], %t; bar.sync 0; ld.shared.u32 %r2, [s]; setp.eq.u32 %p0, %t, "
                         "40; @%p0 st.shared.u32 [s], 5;",
                  64, &e),
            SG_PTX_E_RACE);
  says(e, {"write of byte 0", "several warps read"});
  // two writers of different values, in one instruction; of one value it is no race
  EXPECT_EQ(check(kPut + "st.shared.u32 [s], %t;", 2, &e), SG_PTX_E_RACE);
  EXPECT_EQ(check(kPut + "st.shared.u32 [s], 7;", 64, &e), SG_PTX_OK) << e;
  // atomics do not race with one another, but with plain accesses
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], 0; bar.sync 0; red.shared.add.u32 [s], 1;", 64, &e), SG_PTX_OK)
      << e;
  EXPECT_EQ(
      check(kPut + "st.shared.u32 [%d0], 0; bar.sync 0; red.shared.add.u32 [s], 1; ld.shared.u32 %r2, [s];",
            64, &e),
      SG_PTX_E_RACE);
  Device dev;
  dev.grid.flags = SG_PTX_NO_RACE_CHECK;
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], %t;\nld.shared.u32 %r2, [%d1];", 64, &e, &dev), SG_PTX_OK)
      << e;
}

TEST(Check, WarpSynchronousAccessIsNoRace) {
  std::string e;
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], %t; bar.warp.sync 0xffffffff; ld.shared.u32 %r2, [%d1]; "
                         "bar.warp.sync 0xffffffff; st.shared.u32 [%d0], %r2;",
                  64, &e),
            SG_PTX_OK)
      << e;
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], %t; bar.warp.sync 0xffffffff; ld.shared.u32 %r2, [%d1]; "
                         "add.u32 %r2, %r2, 9; st.shared.u32 [%d0], %r2;",
                  64, &e),
            SG_PTX_E_RACE);
  EXPECT_EQ(check(kPut + "st.shared.u32 [%d0], %t; bar.sync 0; st.shared.u32 [%d0], 99; bar.warp.sync "
                         "0xffffffff; ld.shared.u32 %r2, [%d2];",
                  64, &e),
            SG_PTX_E_RACE); // the other warp
  // a tile of 16 lanes: its barrier orders its lanes only
  const std::string half = "mov.u32 %r4, 0xffff; setp.gt.u32 %p1, %t, 15; @%p1 mov.u32 %r4, 0xffff0000;";
  EXPECT_EQ(
      check(kPut + half + "st.shared.u32 [%d0], %t; bar.warp.sync %r4; ld.shared.u32 %r2, [%d1];", 32, &e),
      SG_PTX_OK)
      << e;
  EXPECT_EQ(check(kPut + half +
                      "st.shared.u32 [%d0], %t; bar.warp.sync %r4; xor.b32 %r0, %t, 16; mad.wide.u32 %d1, "
                      "%r0, 4, %d5; ld.shared.u32 %r2, [%d1];",
                  32, &e),
            SG_PTX_E_RACE);
  EXPECT_EQ(check(kPut + "st.volatile.shared.u32 [%d0], %t; ld.volatile.shared.u32 %r2, [%d1];", 64, &e),
            SG_PTX_OK)
      << e; // volatile: strong accesses
}

TEST(Check, DivergentBarriers) {
  std::string e;
  EXPECT_EQ(check("setp.lt.u32 %p0, %t, 40; @%p0 bra A; bra B;\nA: bar.sync 0;\nB:", 64, &e),
            SG_PTX_E_BARRIER); // half a warp
  says(e, {"divergent barrier", "bar.sync"});
  EXPECT_EQ(check("setp.lt.u32 %p0, %t, 32; @!%p0 bra B;\nbar.sync 0;\nB:", 64, &e),
            SG_PTX_E_BARRIER); // the other warp ends
  says(e, {"divergent barrier", "32 of 64 threads wait", "32 have ended"});
  EXPECT_EQ(check("setp.lt.u32 %p0, %t, 32; @!%p0 bra B;\nbar.sync 0; bra C;\nB: bar.sync 1;\nC:", 64, &e),
            SG_PTX_E_BARRIER); // at another one
  says(e, {"waits at line"});
  EXPECT_EQ(check("setp.lt.u32 %p0, %t, 40; @%p0 ret; bar.sync 0;", 64, &e),
            SG_PTX_E_BARRIER); // threads that ended early
  EXPECT_EQ(
      check("setp.lt.u32 %p0, %t, 7; @%p0 bra B;\nshfl.sync.idx.b32 %r0, %t, 0, 31, 0xffffffff;\nB:", 32, &e),
      SG_PTX_E_BARRIER);
  says(e, {"member mask 0xffffffff names lanes that are elsewhere: 0x7f", "shfl.sync.idx.b32"});
  EXPECT_EQ(
      check("setp.lt.u32 %p0, %t, 7; @%p0 bra B;\nshfl.sync.idx.b32 %r0, %t, 7, 31, 0xffffff80;\nB:", 32, &e),
      SG_PTX_OK)
      << e;
  EXPECT_EQ(check("vote.sync.any.pred %p0, 1, 0xfffffffe;", 32, &e), SG_PTX_E_BARRIER);
  says(e, {"lacks the lane itself"});
}

TEST(Check, UnknownInstructions) {
  Device dev;
  std::string text = ptx_kernel(kHead + "add.s32 %r0, %t, 1;\nfrobnicate.sync.b32 %r0, [%a], {%r1, %r2};") +
                     ".visible .entry other() { ret; }\n";
  ASSERT_TRUE(dev.load(text)); // the module loads, and its other kernels run
  EXPECT_EQ(dev.run("k", 1, 1, nullptr, nullptr, nullptr, nullptr), SG_PTX_E_UNKNOWN);
  says(dev.error, {"kernel k", "line 13", "frobnicate.sync.b32"});
  EXPECT_EQ(dev.launch("other", 1, 1, {}), SG_PTX_OK) << dev.error;
  EXPECT_NE(sg_ptx_kernel_describe(sg_ptx_find_kernel(dev.module, "k"))->unknown, nullptr);
  // a known word with a modifier, a type or an operand that is not
  for (const char *bad : {"add.wrong.s32 %r0, %t, 1;", "mul.f32 %r0, %t, 1, 2;", "add.f16 %r0, %r1, %r2;",
                          "mov.u32 %r0, %nonsense;", "setp.xx.s32 %p0, %t, 1;", "bra NOWHERE;",
                          "tex.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [%a, {%r0, %r1}];"}) {
    ASSERT_TRUE(dev.load(ptx_kernel(kHead + bad))) << bad;
    EXPECT_EQ(dev.run("k", 1, 1, nullptr, nullptr, nullptr, nullptr), SG_PTX_E_UNKNOWN) << bad;
  }
}

TEST(Check, TrapsAndTimeouts) {
  std::string e;
  EXPECT_EQ(check("setp.eq.u32 %p0, %t, 33; @%p0 trap;", 64, &e), SG_PTX_E_TRAP);
  says(e, {"thread (33,0,0)"});
  Device dev;
  dev.grid.instruction_limit = 100000;
  EXPECT_EQ(check("L: bra L;", 32, &e, &dev), SG_PTX_E_TIMEOUT);
  says(e, {"endless loop"});
}

TEST(Check, SpinningWarpsLetTheOthersRun) { // warp 0 waits in a loop for what warp 1 writes
  std::string e;
  EXPECT_EQ(check("setp.ge.u32 %p0, %t, 32; @%p0 bra W;\nL: ld.volatile.global.u32 %r0, [%a]; setp.ne.u32 "
                  "%p1, %r0, 5; @%p1 bra L; bra E;\nW: st.volatile.global.u32 [%a], 5;\nE:",
                  64, &e),
            SG_PTX_OK)
      << e;
}

TEST(Check, MalformedText) {
  Device dev;
  char why[256];
  for (const char *bad :
       {"", "hello", ".version 9.0\n.target sm_90\n.entry k( {",
        ".version 9.0\n.entry k() { add.s32 %r0, ; }", ".version 9.0\n.entry k() { @%p bra X; }",
        ".version 9.0\n.global .u32 x = {1, 2};", ".version 9.0\n.entry k() { L: L: ret; }",
        ".version 9.0\n.entry k() { .reg .wrong %r; }", ".version 9.0\n.global .u64 x = nowhere;",
        ".version 9.0\n.extern .global .u32 x;", ".version 9.0 \"abc"}) {
    why[0] = 0;
    EXPECT_EQ(sg_ptx_load(bad, dev.mem, 0, why, sizeof why), nullptr) << bad;
    EXPECT_EQ(std::string(why).compare(0, 5, "line "), 0) << why;
  }
  size_t bytes, count;
  sg_memory_live(dev.mem, 0, SG_MEMORY_DEVICE, &bytes, &count);
  EXPECT_EQ(count, 0u); // nothing stays registered
}

TEST(Check, LaunchArguments) {
  Device dev;
  ASSERT_TRUE(
      dev.load(".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u8 a, .param "
               ".align 16 .b8 s[20], .param .u64 .ptr .align 1 p)\n.maxntid 64, 2, 1\n{ ret; }\n"));
  const sg_ptx_kernel_info *info = sg_ptx_kernel_describe(sg_ptx_find_kernel(dev.module, "k"));
  ASSERT_EQ(info->param_count, 3u);
  EXPECT_EQ(info->params[1].offset, 16u);
  EXPECT_EQ(info->params[1].bytes, 20u);
  EXPECT_EQ(info->params[2].offset, 40u);
  EXPECT_EQ(info->param_bytes, 48u);
  EXPECT_EQ(info->max_threads, 128u);
  int target, version;
  sg_ptx_version(dev.module, &target, &version);
  EXPECT_EQ(target, 90);
  EXPECT_EQ(version, 90);
  uint64_t room[3] = {0, 0, 0};
  std::vector<void *> args = {room, room, room};
  EXPECT_EQ(dev.launch("k", 1, 129, args), SG_PTX_E_ARGUMENT);
  EXPECT_EQ(dev.launch("k", 0, 1, args), SG_PTX_E_ARGUMENT);
  EXPECT_EQ(dev.launch("k", 1, 1, args, 1 << 20), SG_PTX_E_ARGUMENT);
  EXPECT_EQ(dev.launch("k", 1, 128, args), SG_PTX_OK) << dev.error;
}

TEST(Registry, FindsMarksAndForgets) {
  sg_memory *m = sg_memory_create(1);
  static uint8_t block[1024];
  uint64_t at = reinterpret_cast<uint64_t>(block);
  sg_memory_info info;
  size_t bytes, count;
  char why[256];

  EXPECT_EQ(sg_memory_add(m, block, 0, 0, SG_MEMORY_DEVICE), -1);
  EXPECT_EQ(sg_memory_add(m, block, 512, 0, SG_MEMORY_DEVICE), 0);
  EXPECT_EQ(sg_memory_add(m, block + 511, 10, 0, SG_MEMORY_DEVICE), -1); // overlaps
  EXPECT_EQ(sg_memory_add(m, block + 512, 512, -1, SG_MEMORY_PINNED), 0);
  EXPECT_TRUE(sg_memory_find(m, at + 500, 12, &info));
  EXPECT_FALSE(sg_memory_find(m, at + 500, 13, &info)); // over the border
  EXPECT_EQ(info.bytes, 512u);
  EXPECT_EQ(sg_memory_check_read(m, at + 600, 4, 4, 0, why, sizeof why), SG_MEMORY_OK);
  EXPECT_EQ(sg_memory_check_read(m, at + 64, 70, 1, 0, why, sizeof why), SG_MEMORY_UNWRITTEN);
  sg_memory_mark_written(m, at + 64, 69);
  EXPECT_EQ(sg_memory_check_read(m, at + 64, 69, 1, 0, why, sizeof why), SG_MEMORY_OK);
  EXPECT_EQ(sg_memory_check_read(m, at + 64, 70, 1, 0, why, sizeof why), SG_MEMORY_UNWRITTEN);
  says(why, {"byte 69 of 70"});
  EXPECT_TRUE(sg_memory_is_written(m, at + 100, 10));
  sg_memory_mark_unwritten(m, at + 105, 1);
  EXPECT_FALSE(sg_memory_is_written(m, at + 100, 10));
  EXPECT_TRUE(sg_memory_is_written(m, at + 106, 10));
  EXPECT_EQ(sg_memory_check_write(m, at + 1, 4, 4, 0, why, sizeof why), SG_MEMORY_MISALIGNED);
  sg_memory_live(m, 0, SG_MEMORY_DEVICE, &bytes, &count);
  EXPECT_EQ(bytes, 512u);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(sg_memory_remove(m, block + 1), -1);
  EXPECT_EQ(sg_memory_remove(m, block), 0);
  EXPECT_EQ(sg_memory_check_write(m, at + 3, 4, 1, 0, why, sizeof why), SG_MEMORY_FREED);
  EXPECT_EQ(sg_memory_add(m, block, 512, 0, SG_MEMORY_DEVICE), 0); // fresh again
  EXPECT_EQ(sg_memory_check_read(m, at + 64, 1, 1, 0, why, sizeof why), SG_MEMORY_UNWRITTEN);
  sg_memory_destroy(m);
}

} // namespace
