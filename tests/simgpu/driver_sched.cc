/* Streams' threads. Contract: driver_stream.h. */
#include "driver_core.h"

#include <chrono>

namespace sg {

void clock_join(Clock &into, const Clock &from) {
  if (into.size() < from.size()) into.resize(from.size());
  for (size_t i = 0; i < from.size(); i++)
    if (into[i] < from[i]) into[i] = from[i];
}

namespace {

void wait_until_complete(const Ticket &t, Lock &lock) {
  if (!t.complete()) t.lane->progress.wait(lock, [&] { return t.complete(); });
}

/* Most work starts at once, some late, a little very late: orders that nothing enforces come out differently. */
std::chrono::microseconds delay() {
  State &s = state();
  if (s.config.seed == 0) return std::chrono::microseconds(0);
  uint64_t r = s.sched.random();
  uint64_t kind = r % 16;
  r >>= 8;
  return std::chrono::microseconds(kind < 8 ? 0 : kind < 15 ? r % 300 : r % 3000);
}

/* A device that is lost takes every context of its with it. */
void count_step(const Lane &lane) {
  State &s = state();
  Device &d = s.devices[size_t(lane.device)];
  uint64_t step = d.steps++;
  for (const FaultPlan::Loss &loss : s.faults.losses)
    if (loss.device == lane.device && loss.step == step && !d.lost) {
      d.lost = true;
      s.counts.faults++;
      for (CUcontext c : s.contexts)
        if (c->device == lane.device && c->error == CUDA_SUCCESS) c->error = CUDA_ERROR_ECC_UNCORRECTABLE;
    }
}

void run_one(Lane &lane, Op &op, Lock &lock) {
  CUresult r = CUDA_SUCCESS;
  bool ran = false;

  if (op.step) count_step(lane);
  if (op.tells_host) host_learns(op.clock);
  if (lane.ctx->error == CUDA_SUCCESS && op.sticky_fault) {
    state().counts.faults++;
    lane.ctx->error = CUDA_ERROR_LAUNCH_FAILED;
  }
  if (lane.ctx->error == CUDA_SUCCESS || op.even_broken) {
    ran = true;
    if (op.run) {
      lock.unlock();
      r = op.run(op);
      lock.lock();
    }
  }
  if (r != CUDA_SUCCESS && lane.ctx->error == CUDA_SUCCESS) lane.ctx->error = r;
  if (!ran || r != CUDA_SUCCESS) return;
  op.touches.insert(op.touches.end(), op.met.begin(), op.met.end());
  if (!op.touches.empty()) race_check(lane, op);
  if (op.finish) op.finish();
}

void work(std::shared_ptr<Lane> lane) {
  State &s = state();
  InsideDriver inside;
  Lock lock(s.mutex);

  for (;;) {
    lane->more.wait(lock, [&] { return lane->closed || !lane->queue.empty(); });
    if (lane->queue.empty()) break;
    Op *op = lane->queue.front().get();
    for (const Ticket &t : op->after) wait_until_complete(t, lock);
    auto late = delay();
    if (late.count() > 0) {
      lock.unlock();
      std::this_thread::sleep_for(late);
      lock.lock();
    }
    run_one(*lane, *op, lock);
    std::unique_ptr<Op> over = std::move(lane->queue.front());
    lane->queue.pop_front();
    lane->done++;
    lane->progress.notify_all();
    s.changed.notify_all(); /* pending releases, contexts that failed */
    lock.unlock(); /* what the work holds may take the lock when it goes */
    over.reset();
    lock.lock();
  }
  lane->gone = true;
  s.changed.notify_all();
}

} // namespace

std::shared_ptr<Lane> lane_open(CUcontext ctx, int device) {
  Scheduler &sched = state().sched;
  auto lane = std::make_shared<Lane>();

  lane->index = int(sched.lanes.size());
  for (size_t i = 0; i < sched.lanes.size(); i++)
    if (sched.lanes[i]->gone) {
      lane->index = int(i);
      lane->issued = lane->done = sched.lanes[i]->issued; /* numbers of one index go up for ever */
      break;
    }
  lane->device = device;
  lane->ctx = ctx;
  std::thread(work, lane).detach();
  if (size_t(lane->index) == sched.lanes.size()) sched.lanes.push_back(lane);
  else sched.lanes[size_t(lane->index)] = lane;
  return lane;
}

void lane_close(const std::shared_ptr<Lane> &lane) {
  lane->closed = true;
  lane->more.notify_one();
}

Ticket lane_issue(const std::shared_ptr<Lane> &lane, std::unique_ptr<Op> op) {
  State &s = state();

  op->number = lane->issued + 1;
  op->clock = lane->clock;
  clock_join(op->clock, s.sched.host);
  for (const Ticket &t : op->after) clock_join(op->clock, t.clock);
  if (op->clock.size() <= size_t(lane->index)) op->clock.resize(size_t(lane->index) + 1);
  op->clock[size_t(lane->index)] = op->number;
  lane->clock = op->clock;
  Ticket ticket{lane, op->number, op->clock};
  lane->queue.push_back(std::move(op));
  lane->issued++;
  lane->more.notify_one();
  return ticket;
}

Ticket lane_last(const std::shared_ptr<Lane> &lane) { return {lane, lane->issued, lane->clock}; }

void host_learns(const Clock &clock) {
  clock_join(state().sched.host, clock);
  guard_learned(state().sched.host);
}

void ticket_wait(const Ticket &t, Lock &lock) {
  wait_until_complete(t, lock);
  host_learns(t.clock);
}

} // namespace sg
