/* Races between streams. Contract: driver_stream.h. */
#include "driver_core.h"

#include <algorithm>

namespace sg {
namespace {

constexpr size_t history_limit = 4096;

bool before(const Access &a, const Clock &clock) {
  return size_t(a.lane) < clock.size() && a.number <= clock[size_t(a.lane)];
}

/* Does the run [begin, end) meet one of t's rows? */
bool run_meets(uintptr_t begin, uintptr_t end, const Touch &t) {
  uintptr_t last = t.base + (t.rows - 1) * t.pitch + t.width;
  if (end <= t.base || begin >= last) return false;
  if (t.whole() && t.triangle == 0) return true;
  size_t first = begin <= t.base ? 0 : (begin - t.base) / t.pitch, last_row = end <= t.base ? 0 : (end - 1 - t.base) / t.pitch;
  for (size_t r = first; r < t.rows && r <= last_row; r++)
    if (begin < t.end(r) && end > t.begin(r)) return true;
  return false;
}

/* Past: the host knows of it, and so does all that is still to be done. */
bool past(const Access &a) {
  Scheduler &sched = state().sched;
  if (!before(a, sched.host)) return false;
  for (const auto &lane : sched.lanes)
    for (const auto &op : lane->queue)
      if (lane->index != a.lane && !before(a, op->clock)) return false;
  return true;
}

void report(const Access &a, const Lane &lane, const Op &op, const Touch &x, const Touch &y) {
  uintptr_t from = std::max(x.base, y.base);
  if (state().sched.reports++ > 200) return;
  fail_check("race: %s (stream %d, work %llu) %s and %s (stream %d, work %llu) %s the same bytes near %#llx, and nothing orders "
             "them",
             a.what, a.lane, (unsigned long long)a.number, x.write ? "writes" : "reads", op.what, lane.index,
             (unsigned long long)op.number, y.write ? "writes" : "reads", (unsigned long long)from);
}

} // namespace

bool touch_overlap(const Touch &a, const Touch &b) {
  if (a.width == 0 || b.width == 0 || a.rows == 0 || b.rows == 0) return false;
  uintptr_t a_end = a.base + (a.rows - 1) * a.pitch + a.width, b_end = b.base + (b.rows - 1) * b.pitch + b.width;
  if (a_end <= b.base || b_end <= a.base) return false;
  const Touch &few = a.rows <= b.rows ? a : b, &many = a.rows <= b.rows ? b : a;
  for (size_t r = 0; r < few.rows; r++)
    if (few.end(r) > few.begin(r) && run_meets(few.begin(r), few.end(r), many)) return true;
  return false;
}

void race_check(const Lane &lane, const Op &op) {
  std::deque<Access> &history = state().sched.history;

  if (history.size() >= state().sched.prune_at) {
    history.erase(std::remove_if(history.begin(), history.end(), past), history.end());
    while (history.size() >= history_limit) history.pop_front();
    state().sched.prune_at = std::max<size_t>(32, 2 * history.size());
  }
  Access mine = {lane.index, op.number, op.clock, op.what, op.touches, UINTPTR_MAX, 0};
  for (const Touch &t : mine.touches) {
    mine.low = std::min(mine.low, t.base);
    mine.high = std::max(mine.high, t.base + (t.rows - 1) * t.pitch + t.width);
  }
  for (const Access &a : history) {
    if (a.lane == lane.index || before(a, op.clock) || a.high <= mine.low || mine.high <= a.low) continue;
    for (const Touch &x : a.touches) {
      bool found = false;
      for (const Touch &y : op.touches)
        if ((x.write || y.write) && touch_overlap(x, y)) {
          report(a, lane, op, x, y);
          found = true;
          break;
        }
      if (found) break;
    }
  }
  history.push_back(std::move(mine));
}

void race_forget(uintptr_t base, size_t bytes) {
  Touch gone = {base, bytes, bytes, 1, true, false};
  for (Access &a : state().sched.history)
    a.touches.erase(std::remove_if(a.touches.begin(), a.touches.end(), [&](const Touch &t) { return touch_overlap(t, gone); }),
                    a.touches.end());
}

const char *pending_work_on(const Touch &t) {
  for (const auto &lane : state().sched.lanes)
    for (const auto &op : lane->queue)
      for (const Touch &x : op->touches)
        if (touch_overlap(x, t)) return op->what;
  return nullptr;
}

bool pending_touches(const Touch &t) {
  for (const auto &lane : state().sched.lanes)
    for (const auto &op : lane->queue)
      if (op->tells_host) return true;
  return pending_work_on(t) != nullptr;
}

} // namespace sg
