/* A launch: blocks one after another, the warps of a block by turns. */
#include <algorithm>
#include <cinttypes>
#include <numeric>

#include "ptx_decode.h"
#include "ptx_shared.h"

namespace sg {

std::string hex(uint64_t value) {
  char s[24];
  snprintf(s, sizeof s, "0x%" PRIx64, value);
  return s;
}

std::string thread_name(const Launch &launch, int thread) {
  unsigned t = static_cast<unsigned>(thread);
  unsigned x = launch.grid->block[0], y = launch.grid->block[1];
  return "(" + std::to_string(t % x) + "," + std::to_string(t / x % y) + "," + std::to_string(t / x / y) +
         ")";
}

std::string place(const Warp &w, const Op &op, int lane) {
  const Launch &launch = *w.cta->launch;
  const Function &fn = *w.frames.back().code->fn;
  std::string s =
      "kernel " + launch.code->fn->name + ", PTX line " + std::to_string(op.in->line) + " (" + op.in->text();

  if (fn.name != launch.code->fn->name)
    s += " in " + fn.name;
  if (op.in->loc_line) {
    auto file = launch.module->ast.files.find(op.in->loc_file);
    s += ", " + (file == launch.module->ast.files.end() ? std::string("source") : file->second) + ":" +
         std::to_string(op.in->loc_line);
  }
  const unsigned *id = w.cta->id;
  return s + "), block (" + std::to_string(id[0]) + "," + std::to_string(id[1]) + "," +
         std::to_string(id[2]) + "), thread " + thread_name(launch, w.index * kLanes + lane);
}

void fault(Warp &w, const Op &op, int lane, sg_ptx_status status, const std::string &what) {
  Launch &launch = *w.cta->launch;
  if (launch.status != SG_PTX_OK)
    return;
  launch.status = status;
  launch.error = place(w, op, lane) + ": " + what;
}

namespace {

const uint64_t kQuantum =
    4096; // warp-instructions of one turn: a warp that waits for another in a loop lets it run

enum Special {
  TID_X,
  TID_Y,
  TID_Z,
  LANEID,
  MASK_EQ,
  MASK_LE,
  MASK_LT,
  MASK_GE,
  MASK_GT,
  NTID,
  CTAID = NTID + 3,
  NCTAID = CTAID + 3,
  WARPID = NCTAID + 3,
  NWARPID,
  SMID,
  NSMID,
  GRIDID,
  DYNAMIC_SHARED,
  TOTAL_SHARED,
  AGGREGATE_SHARED,
  SPECIALS
};

void fill(Warp &w, int which, uint32_t value) {
  uint32_t *p = reinterpret_cast<uint32_t *>(w.bases[2] + which * 128);
  std::fill(p, p + kLanes, value);
}

/* What the last launch of this thread leaves to the next one: most launches of a test are so small that fresh pages for the
   registers would cost more than the kernel. */
struct Spare {
  std::vector<std::vector<Block64>> registers;
  std::vector<std::vector<Block64>> specials; // of the warps 0, 1, .. of a block of this shape:
  unsigned block[3] = {0, 0, 0};
  std::unique_ptr<SharedShadow> shadow;
};
thread_local Spare spare;

/* Zeros: what undefined registers hold is then the same in every run. */
std::vector<Block64> take_registers(size_t blocks) {
  std::vector<Block64> r;
  if (!spare.registers.empty()) {
    r = std::move(spare.registers.back());
    spare.registers.pop_back();
  }
  r.assign(blocks, Block64{});
  return r;
}

void give_back(Cta &cta) {
  spare.specials.clear();
  for (Warp &w : cta.warps)
    spare.specials.push_back(std::move(w.specials));
  std::copy_n(cta.launch->grid->block, 3, spare.block);
  for (size_t i = cta.warps.size(); i-- > 0;) {
    spare.registers.push_back(std::move(cta.warps[i].buffers[0]));
    if (spare.registers.size() == 32) break; // a block has no more warps
  }
  if (cta.shadow) spare.shadow = std::move(cta.shadow);
}

/* Which threads of the block the lanes are. Most launches have the shape of the one before. */
void number_lanes(Warp &w, int index, const unsigned *block) {
  const size_t at = static_cast<size_t>(index);
  if (std::equal(block, block + 3, spare.block) && at < spare.specials.size() && !spare.specials[at].empty()) {
    w.specials = std::move(spare.specials[at]);
    return;
  }
  w.specials.resize(SPECIALS * 2);
  uint32_t *s = reinterpret_cast<uint32_t *>(w.specials.data()->bytes);
  for (unsigned l = 0; l < kLanes; l++) {
    unsigned t = static_cast<unsigned>(index) * kLanes + l;
    s[TID_X * kLanes + l] = t % block[0];
    s[TID_Y * kLanes + l] = t / block[0] % block[1];
    s[TID_Z * kLanes + l] = t / block[0] / block[1];
    s[LANEID * kLanes + l] = l;
    s[MASK_EQ * kLanes + l] = 1u << l;
    s[MASK_LT * kLanes + l] = (1u << l) - 1;
    s[MASK_LE * kLanes + l] = (2u << l) - 1;
    s[MASK_GE * kLanes + l] = ~((1u << l) - 1);
    s[MASK_GT * kLanes + l] = ~((2u << l) - 1);
  }
}

/* What is the same for every block. */
void init_warp(Warp &w, Cta &cta, int index) {
  Launch &launch = *cta.launch;
  const unsigned *block = launch.grid->block;

  w.cta = &cta;
  w.index = index;
  number_lanes(w, index, block);
  w.bases[2] = w.specials.data()->bytes;
  w.bases[3] = nullptr;
  for (int i = 0; i < 3; i++) {
    fill(w, NTID + i, block[i]);
    fill(w, NCTAID + i, launch.grid->grid[i]);
  }
  fill(w, WARPID, static_cast<uint32_t>(index));
  fill(w, NWARPID, static_cast<uint32_t>(cta.warps.size()));
  fill(w, SMID, 0);
  fill(w, NSMID, 1);
  fill(w, GRIDID, 1);
  fill(w, DYNAMIC_SHARED, static_cast<uint32_t>(launch.grid->dynamic_shared_bytes));
  fill(w, TOTAL_SHARED, static_cast<uint32_t>(launch.shared_bytes));
  fill(w, AGGREGATE_SHARED, static_cast<uint32_t>(launch.shared_bytes));
  w.buffers.resize(1);
  w.buffers[0] = take_registers(std::max<size_t>(1, (launch.code->frame_bytes + 63) / 64));
  w.local.resize(launch.local_stride * kLanes);
}

void begin_block(Cta &cta) {
  Launch &launch = *cta.launch;
  for (Warp &w : cta.warps) {
    int threads = std::min(kLanes, launch.threads - w.index * kLanes);
    w.live = threads == kLanes ? kFull : (1u << threads) - 1;
    w.state = Warp::READY;
    w.carry = 0;
    w.executed = 0;
    w.syncs.clear();
    w.frames.assign(1, Frame{launch.code, w.buffers[0].data()->bytes, 0, nullptr});
    w.stack.assign(1, Entry{0, kNone, w.live, 0});
    for (int i = 0; i < 3; i++)
      fill(w, CTAID + i, cta.id[i]);
  }
  cta.arrivals.clear();
  // not zeros: a value that nobody wrote should not look like one
  std::fill(cta.shared.begin(), cta.shared.end(), static_cast<uint8_t>(0xcd));
  if (cta.shadow)
    cta.shadow->begin_block();
}

bool run_block(Cta &cta) {
  Launch &launch = *cta.launch;

  begin_block(cta);
  for (;;) {
    bool is_any = false, is_done = true;
    uint64_t executed = 0;
    for (Warp &w : cta.warps) {
      if (w.state == Warp::READY) {
        run_warp(w, cta.warps.size() == 1 ? kQuantum * 16 : kQuantum);
        is_any = true;
        if (launch.status != SG_PTX_OK)
          return false;
      }
      is_done = is_done && w.state == Warp::DONE;
      executed += w.executed;
    }
    if (is_done)
      return true;
    if (release_barriers(cta))
      continue;
    if (!is_any) {
      report_stuck(cta);
      return false;
    }
    if (executed > launch.limit) {
      Warp *busy = &cta.warps[0];
      for (Warp &w : cta.warps)
        if (w.state == Warp::READY)
          busy = &w;
      uint32_t pc = busy->stack.empty() ? 0 : busy->stack.back().pc;
      fault(*busy, busy->frames.back().code->ops[pc], 0, SG_PTX_E_TIMEOUT,
            "more than " + std::to_string(launch.limit) +
                " instructions: an endless loop, or a wait for what no other warp of the block does");
      return false;
    }
  }
}

/* The order of blocks: i -> (i * step + start) mod n, a permutation. */
struct Order {
  uint64_t n, step = 1, start = 0;
  Order(uint64_t count, uint64_t seed) : n(count) {
    if (seed == 0 || n < 2)
      return;
    uint64_t x = seed * 0x9e3779b97f4a7c15ull + 0x632be59bd9b4e019ull;
    x ^= x >> 29;
    start = x % n;
    step = (x >> 7) % n | 1;
    while (std::gcd(step, n) != 1)
      step++;
  }
  uint64_t at(uint64_t i) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(i) * step + start) % n);
  }
};

} // namespace

bool run_launch(Launch *launch) {
  const unsigned *grid = launch->grid->grid, *block = launch->grid->block;
  Cta cta;

  launch->threads = static_cast<int>(block[0] * block[1] * block[2]);
  cta.launch = launch;
  cta.shared.resize(launch->shared_bytes);
  if (launch->shared_bytes > 0) {
    cta.shadow = spare.shadow ? std::move(spare.shadow) : std::make_unique<SharedShadow>();
    cta.shadow->reserve(launch->shared_bytes);
  }
  cta.warps.resize(static_cast<size_t>((launch->threads + kLanes - 1) / kLanes));
  for (size_t i = 0; i < cta.warps.size(); i++)
    init_warp(cta.warps[i], cta, static_cast<int>(i));
  bool is_done = true;
  Order order(static_cast<uint64_t>(grid[0]) * grid[1] * grid[2], launch->grid->order_seed);
  for (uint64_t i = 0; i < order.n && is_done; i++) {
    uint64_t b = order.at(i);
    cta.id[0] = static_cast<unsigned>(b % grid[0]);
    cta.id[1] = static_cast<unsigned>(b / grid[0] % grid[1]);
    cta.id[2] = static_cast<unsigned>(b / grid[0] / grid[1]);
    is_done = run_block(cta);
  }
  give_back(cta);
  return is_done;
}

} // namespace sg
