/* bar.sync, bar.red, bar.arrive: who waits where, and who never comes. */
#include <algorithm>

#include "ptx_families.h"
#include "ptx_shared.h"

namespace sg {
namespace {

enum { MODE_SYNC, MODE_ARRIVE, MODE_POPC, MODE_AND, MODE_OR };

uint32_t barrier_id(Warp &w, const Op &op) {
  return slot<uint32_t>(w, op.a)[__builtin_ctz(w.wait_mask)];
}
/* Threads that the barrier waits for: 0 all of the block. */
uint32_t barrier_count(Warp &w, const Op &op) {
  return op.b == kNone ? 0 : slot<uint32_t>(w, op.b)[__builtin_ctz(w.wait_mask)];
}

uint32_t red_bits(Warp &w, const Op &op) {
  uint32_t bits = predicate(w, op.c);
  return op.is_c_negated ? ~bits : bits;
}

/* Give all participants of a bar.red their result. */
void reduce(Cta &cta, const std::vector<Warp *> &members) {
  uint32_t total = 0, threads = 0;
  for (Warp *w : members) {
    total += static_cast<uint32_t>(__builtin_popcount(red_bits(*w, *w->wait_op) & w->wait_mask));
    threads += static_cast<uint32_t>(__builtin_popcount(w->wait_mask));
  }
  for (Warp *w : members) {
    const Op &op = *w->wait_op;
    if (op.mode == MODE_POPC)
      lanes(w->wait_mask, [d = slot<uint32_t>(*w, op.d), total](int l) { d[l] = total; });
    if (op.mode == MODE_AND)
      set_predicate(*w, op.d, w->wait_mask, total == threads ? kFull : 0);
    if (op.mode == MODE_OR)
      set_predicate(*w, op.d, w->wait_mask, total > 0 ? kFull : 0);
  }
}

} // namespace

bool arrive(Warp &w, const Op &op, uint32_t mask) {
  Launch &launch = *w.cta->launch;
  w.wait_op = &op;
  w.wait_mask = mask;

  uint32_t count = barrier_count(w, op);
  if (barrier_id(w, op) > 15 || count % kLanes != 0 || (op.mode == MODE_ARRIVE && count == 0)) {
    fault(w, op, __builtin_ctz(mask), SG_PTX_E_BARRIER,
          "barrier " + std::to_string(barrier_id(w, op)) + " with " + std::to_string(count) + " threads");
    return false;
  }
  if (mask != w.live) {
    int missing = __builtin_ctz(w.live & ~mask);
    fault(w, op, __builtin_ctz(mask), SG_PTX_E_BARRIER,
          "divergent barrier: " + std::to_string(__builtin_popcount(w.live & ~mask)) +
              " lanes of the warp are elsewhere, thread " + thread_name(launch, w.index * kLanes + missing) +
              " among them");
    return false;
  }
  if (op.mode == MODE_ARRIVE) {
    w.cta->arrivals.push_back(Arrival{barrier_id(w, op), count, w.index});
    return true;
  }
  w.state = Warp::WAITING;
  return false;
}

bool release_barriers(Cta &cta) {
  bool is_any = false;

  for (uint32_t id = 0; id < 16; id++) {
    std::vector<Warp *> members;
    uint32_t arrived = 0, expected = 0, warps = 0;
    for (Warp &w : cta.warps) {
      if (w.state != Warp::WAITING || barrier_id(w, *w.wait_op) != id)
        continue;
      members.push_back(&w);
      uint32_t count = barrier_count(w, *w.wait_op);
      // a thread count is in whole warps; without one every thread that the block began with is waited for
      arrived += count ? kLanes : static_cast<uint32_t>(__builtin_popcount(w.wait_mask));
      expected = std::max(expected, count ? count : static_cast<uint32_t>(cta.launch->threads));
      warps |= 1u << w.index;
    }
    if (members.empty())
      continue;
    for (const Arrival &a : cta.arrivals)
      if (a.id == id)
        arrived += kLanes, warps |= 1u << a.warp;
    if (arrived < expected)
      continue;
    if (members[0]->wait_op->mode >= MODE_POPC)
      reduce(cta, members);
    for (Warp *w : members)
      w->state = Warp::READY;
    cta.arrivals.erase(std::remove_if(cta.arrivals.begin(), cta.arrivals.end(),
                                      [id](const Arrival &a) { return a.id == id; }),
                       cta.arrivals.end());
    cta.launch->counts.barriers++;
    if (cta.shadow)
      cta.shadow->barrier(cta, warps);
    is_any = true;
  }
  return is_any;
}

/* Nobody can go on: some wait, the rest has ended or waits at another barrier. */
void report_stuck(Cta &cta) {
  Warp *waiting = nullptr;
  for (Warp &w : cta.warps)
    if (w.state == Warp::WAITING && !waiting)
      waiting = &w;
  if (!waiting)
    return;
  const Op &op = *waiting->wait_op;
  std::string text = "divergent barrier: barrier " + std::to_string(barrier_id(*waiting, op)) +
                     " is not reached by all of the block";
  uint32_t here = 0, ended = 0;
  const Warp *other = nullptr;
  for (Warp &w : cta.warps) {
    int all = std::min(kLanes, cta.launch->threads - w.index * kLanes);
    ended += static_cast<uint32_t>(all - __builtin_popcount(w.live));
    if (w.state != Warp::WAITING)
      continue;
    if (w.wait_op == waiting->wait_op)
      here += static_cast<uint32_t>(__builtin_popcount(w.wait_mask));
    else if (!other)
      other = &w;
  }
  text += ": " + std::to_string(here) + " of " + std::to_string(cta.launch->threads) + " threads wait";
  if (ended)
    text += ", " + std::to_string(ended) + " have ended";
  if (other)
    text += ", thread " + thread_name(*cta.launch, other->index * kLanes + __builtin_ctz(other->wait_mask)) +
            " waits at line " + std::to_string(other->wait_op->in->line);
  fault(*waiting, op, __builtin_ctz(waiting->wait_mask), SG_PTX_E_BARRIER, text);
}

/* ---- decoding
 * ---------------------------------------------------------------------------------------------------- */

/* bar{.cta}.sync a{, b}; barrier{.cta}.sync{.aligned}; .red.popc.u32 d, a{, b}, {!}c; .red.and.pred p, a{,
 * b}, c; .arrive a, b */
void decode_barrier(Decoder &d, Mods &m) {
  size_t at = 0, n = d.operand_count();

  if (m.take("warp"))
    return decode_warp_sync(d, m);
  m.take("cta");
  m.take("aligned");
  if (m.take("red")) {
    int how = m.take_one_of({"popc", "and", "or"});
    Type type = m.take_type();
    if (how < 0 || type != (how == 0 ? Type::U32 : Type::PRED))
      throw Unknown{""};
    d.need(3, 4);
    d.op.mode = static_cast<uint8_t>(MODE_POPC + how);
    d.op.d = d.dst(0, type);
    d.op.c = d.predicate_source(d.in->operands[n - 1], &d.op.is_c_negated);
    at = 1;
    n--;
  } else if (m.take("arrive")) {
    d.need(2);
    d.op.mode = MODE_ARRIVE;
  } else if (m.take("sync")) {
    d.need(1, 2);
    d.op.mode = MODE_SYNC;
  } else {
    throw Unknown{""};
  }
  d.op.flow = Flow::BARRIER;
  d.op.a = d.src(at, Type::U32);
  if (at + 1 < n)
    d.op.b = d.src(at + 1, Type::U32);
}

} // namespace sg
