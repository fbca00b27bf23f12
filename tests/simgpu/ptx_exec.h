/*
 * What runs: decoded operations, warps, blocks, launches.
 *
 * A register is an array of 32 lanes (predicates: one bit a lane). An operand is a slot: which base, and an
 * offset from it. Immediates are slots of a constant area, special registers slots of the warp, so a handler
 * never asks what an operand is.
 */
#pragma once
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "ptx_ranges.h"
#include "memory_internal.h"
#include "ptx.h"
#include "ptx_ast.h"

namespace sg {

constexpr int kLanes = 32;
constexpr uint32_t kFull = 0xffffffffu;
constexpr uint32_t kNone = 0xffffffffu; // no slot, no instruction

enum SlotBase : uint32_t { BASE_FRAME = 0u, BASE_CONSTANT = 1u << 30, BASE_SPECIAL = 2u << 30 };

/* Generic addresses: global memory is itself (host addresses); the other spaces are windows by the top byte.
 */
constexpr uint64_t kSharedWindow = 1ull << 56, kLocalWindow = 2ull << 56, kParamWindow = 3ull << 56,
                   kCodeWindow = 4ull << 56;
constexpr uint64_t kWindowMask = 0xffull << 56;

enum class Round : uint8_t { RN, RZ, RM, RP, RNI, RZI, RMI, RPI, RNA };

enum class Flow : uint8_t { NEXT, BRANCH, TABLE, CALL, RET, EXIT, BARRIER, TRAP };

struct Warp;
struct Op;
struct Code;
using Handler = void (*)(Warp &, const Op &, uint32_t mask);

struct Op {
  Handler run = nullptr;
  uint32_t d = kNone, d2 = kNone, a = kNone, b = kNone, c = kNone, e = kNone; // slots
  uint32_t guard = kNone;
  uint32_t target = 0;   // BRANCH: op index; TABLE: index in Code::tables; CALL: in Code::calls
  uint32_t join = kNone; // where the paths of a branch meet again; kNone: only at the end of the function
  int64_t imm = 0;
  Flow flow = Flow::NEXT;
  Space space = Space::GENERIC;
  Round round = Round::RN;
  bool is_guard_negated = false;
  bool may_fault = false;
  bool is_c_negated = false;   // predicate source
  bool is_address_32 = false;  // the address register is 32 bits wide
  bool is_local_param = false; // a .param variable of the function, in its local memory
  bool is_strong = false;      // volatile, relaxed, acquire, release, atomic
  uint8_t mode = 0;            // of the family
  uint8_t n = 1;               // elements of a vector
  uint16_t bytes = 0;          // of one element
  uint32_t list = 0;           // first of n slots in Code::lists
  const Instr *in = nullptr;
};

struct Call {
  const Code *callee = nullptr; // null: indirect (Op.a is the address) or a function of the system
  std::string name;
  std::vector<std::pair<uint64_t, size_t>> params, results; // offset in the caller's local memory, bytes
};

struct alignas(64) Block64 {
  uint8_t bytes[64];
};

/* A decoded function. */
struct Code {
  const Function *fn = nullptr;
  std::vector<Op> ops;
  std::vector<Block64> constants;
  std::vector<uint32_t> lists;
  std::vector<std::vector<uint32_t>> tables;
  std::vector<Call> calls;
  std::vector<const Variable *> shared; // used here
  size_t frame_bytes = 0;
  size_t local_bytes =
      0; // .local and .param variables of the body; a device function's parameters and results, too
  size_t visible_local_bytes = 0;                      // .local only
  std::vector<uint64_t> param_offsets, result_offsets; // of a device function, in its local memory
  bool has_indirect_call = false;
  std::string unknown; // the first instruction that is not implemented
};

/* Where the lanes of a mask are, and where they wait for the others. */
struct Entry {
  uint32_t pc, join, mask, frame;
};

struct Frame {
  const Code *code;
  uint8_t *regs;
  uint32_t local_base;
  const Op *call; // in the caller; null: the kernel
};

struct Cta;

struct Warp {
  uint8_t *bases[4];
  Cta *cta = nullptr;
  uint32_t live = 0, carry = 0;
  int index = 0; // in the block
  enum State { READY, WAITING, DONE } state = READY;
  const Op *wait_op = nullptr; // WAITING
  uint32_t wait_mask = 0;
  std::vector<Entry> stack;
  std::vector<Frame> frames;
  std::vector<std::vector<Block64>> buffers; // registers, by depth of calls
  std::vector<Block64> specials;
  std::vector<uint8_t> local;  // [lane][local_stride]
  uint64_t executed = 0;       // warp-instructions in this block
  std::vector<uint32_t> syncs; // masks of bar.warp.sync since the last barrier of the block

  uint32_t local_base() const { return frames.back().local_base; }
};

struct SharedShadow; // ptx_shared.h

struct Launch;

struct Arrival { // bar.arrive, not yet consumed
  uint32_t id, count;
  int warp;
};

struct Cta {
  Launch *launch = nullptr;
  unsigned id[3] = {0, 0, 0};
  std::vector<Warp> warps;
  std::vector<uint8_t> shared;
  std::vector<Arrival> arrivals;
  uint64_t ticks = 0; // makes every look at a clock a later one
  std::unique_ptr<SharedShadow> shadow;
};

/* The allocations that a launch met. */
struct Met {
  std::shared_ptr<Allocation> allocation;
  uint64_t read_bytes = 0, written_bytes = 0;
  std::unique_ptr<ByteMap> read_map, written_map;
  Ranges read_ranges, written_ranges; // open where the caller wants to know
  bool is_ours = false; // peer access was asked for and granted
};

struct LoadedModule;

struct Launch {
  const LoadedModule *module = nullptr;
  const Code *code = nullptr;
  const sg_ptx_kernel_info *info = nullptr;
  sg_ptx_grid *grid = nullptr;
  sg_memory *mem = nullptr;
  int device = 0;
  unsigned flags = 0;
  std::vector<uint8_t> params;
  size_t static_shared = 0, dynamic_base = 0,
         shared_bytes = 0; // valid: [0, static) and [dynamic_base, shared_bytes)
  size_t local_stride = 0;
  int threads = 0; // of a block
  sg_ptx_counts counts = {};
  std::vector<Met> met;
  size_t recent[4] = {0, 0, 0, 0}; // indices in met
  uint64_t limit = 0;
  sg_ptx_status status = SG_PTX_OK;
  std::string error;
};

/* ---- lanes
 * ------------------------------------------------------------------------------------------------------- */

template <class T> inline T *slot(Warp &w, uint32_t s) {
  return reinterpret_cast<T *>(w.bases[s >> 30] + (s & 0x3fffffffu));
}

inline uint32_t &predicate(Warp &w, uint32_t s) {
  return *slot<uint32_t>(w, s);
}

inline int count_lanes(uint32_t mask) {
  return mask == kFull ? kLanes : __builtin_popcount(mask);
}

template <class F> inline void each_lane(uint32_t mask, F f) {
  for (uint32_t m = mask; m; m &= m - 1)
    f(__builtin_ctz(m));
}

/* A handler's body: f(lane) for all lanes of the mask, vectorised where all take part. Lanes do not depend on
 * each other. */
template <class F> inline void lanes(uint32_t mask, F f) {
  if (mask == kFull) {
#pragma GCC ivdep
    for (int l = 0; l < kLanes; l++)
      f(l);
  } else {
    each_lane(mask, f);
  }
}

/* Function objects F: static R f(A...) */
template <class F, class D, class A> void unary_op(Warp &w, const Op &op, uint32_t mask) {
  D *d = slot<D>(w, op.d);
  const A *a = slot<A>(w, op.a);
  lanes(mask, [=](int l) { d[l] = F::f(a[l]); });
}

template <class F, class D, class A, class B> void binary_op(Warp &w, const Op &op, uint32_t mask) {
  D *d = slot<D>(w, op.d);
  const A *a = slot<A>(w, op.a);
  const B *b = slot<B>(w, op.b);
  lanes(mask, [=](int l) { d[l] = F::f(a[l], b[l]); });
}

template <class F, class D, class A, class B, class C> void ternary_op(Warp &w, const Op &op, uint32_t mask) {
  D *d = slot<D>(w, op.d);
  const A *a = slot<A>(w, op.a);
  const B *b = slot<B>(w, op.b);
  const C *c = slot<C>(w, op.c);
  lanes(mask, [=](int l) { d[l] = F::f(a[l], b[l], c[l]); });
}

/* Bits f(lane) of a predicate; lanes that do not take part give 0. */
template <class F> inline uint32_t lane_bits(uint32_t mask, F f) {
  uint32_t bits = 0;
  if (mask == kFull) {
    alignas(16) uint8_t bytes[kLanes];
    for (int l = 0; l < kLanes; l++)
      bytes[l] = f(l) ? 0xff : 0;
#ifdef __SSE2__
    for (int i = 0; i < kLanes; i += 16)
      bits |= static_cast<uint32_t>(
                  _mm_movemask_epi8(_mm_load_si128(reinterpret_cast<const __m128i *>(bytes + i))))
              << i;
#else
    for (int l = 0; l < kLanes; l++)
      bits |= static_cast<uint32_t>(bytes[l] & 1) << l;
#endif
  } else {
    each_lane(mask, [&](int l) { bits |= static_cast<uint32_t>(f(l) ? 1 : 0) << l; });
  }
  return bits;
}

inline void set_predicate(Warp &w, uint32_t s, uint32_t mask, uint32_t bits) {
  if (s == kNone)
    return;
  uint32_t &p = predicate(w, s);
  p = (p & ~mask) | (bits & mask);
}

/* ---- across files
 * ------------------------------------------------------------------------------------------------ */

/* Note the launch's first fault: `what` gets kernel, line, block and thread in front. */
void fault(Warp &w, const Op &op, int lane, sg_ptx_status status, const std::string &what);
std::string place(const Warp &w, const Op &op, int lane);
std::string thread_name(const Launch &launch, int thread);
std::string hex(uint64_t value);

bool run_launch(Launch *launch); // ptx_run.cc
/* Run a warp until it waits, ends, faults or has run `quantum` instructions. */
void run_warp(Warp &w, uint64_t quantum); // ptx_flow.cc
/* Let a finished barrier go on; false: none was. */
bool release_barriers(Cta &cta); // ptx_barrier.cc
void report_stuck(Cta &cta);
bool arrive(Warp &w, const Op &op, uint32_t mask);      // false: the warp waits (or faulted)
void system_call(Warp &w, const Op &op, uint32_t mask); // ptx_system.cc: vprintf, __assertfail

} // namespace sg
