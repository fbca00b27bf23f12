/*
 * Streams as threads: a queue of work each, what one piece waits for, and which pieces are ordered.
 *
 * Order is kept by vector clocks: lane (stream) l's entry is the number of the last piece of work on l that is known to
 * be before. The clock of the host is one for all of the application's threads, since they order one another unseen: that
 * can hide a race, never report one that is none.
 *
 * Layer: tests/simgpu, inside libcuda.so.1.
 * Threads: all under State's lock; run functions are called without it.
 */
#pragma once
#include "driver_export.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <thread>
#include <vector>

namespace sg {

using Clock = std::vector<uint64_t>;
void clock_join(Clock &into, const Clock &from);

struct Op;

/* The part of a stream that lives until its last piece of work is done and nobody remembers it. */
struct Lane {
  int index = 0; /* into clocks */
  int device = 0;
  CUcontext ctx = nullptr;
  uint64_t issued = 0, done = 0;
  Clock clock; /* of the last piece issued */
  std::deque<std::unique_ptr<Op>> queue;
  bool closed = false, gone = false; /* no more work comes; its thread has ended */
  /* A hundred streams and more may be open, most of them idle: each is woken for what is its own only. */
  std::condition_variable more, progress; /* work has come, or none will; `done` has gone up */
};

/* One point of a lane's work. */
struct Ticket {
  std::shared_ptr<Lane> lane;
  uint64_t number = 0;
  Clock clock;
  bool complete() const { return !lane || lane->done >= number; }
};

struct Op {
  const char *what = "";
  std::function<CUresult(Op &)> run; /* without the lock; not CUDA_SUCCESS: the context has failed */
  std::function<void()> finish;      /* with the lock, after it has run without an error and was looked at for races */
  std::vector<Touch> touches;        /* memory read and written */
  std::vector<Touch> met;            /* by run: what it turned out to touch beyond that */
  std::vector<Ticket> after;         /* beyond the lane's own order */
  bool even_broken = false;          /* runs though the context has failed */
  bool tells_host = false;           /* the application's own function: what is before it is then known to the host */
  bool step = false;                 /* counts for "lose:DEVICE:N" */
  bool sticky_fault = false;
  /* filled by issue */
  uint64_t number = 0;
  Clock clock;
};

struct Access {
  int lane;
  uint64_t number;
  Clock clock;
  const char *what;
  std::vector<Touch> touches;
  uintptr_t low, high; /* what all of them lie in */
};

struct Scheduler {
  std::vector<std::shared_ptr<Lane>> lanes; /* by index; an index is used again when its lane is gone */
  Clock host;                               /* what the application knows to be done */
  std::deque<Access> history;               /* work done that something may still race with */
  size_t prune_at = 32;                     /* length of the history at which it is looked through */
  std::mt19937_64 random;
  uint64_t reports = 0;
};

std::shared_ptr<Lane> lane_open(CUcontext ctx, int device);
void lane_close(const std::shared_ptr<Lane> &lane); /* its thread ends after the work it has */
Ticket lane_issue(const std::shared_ptr<Lane> &lane, std::unique_ptr<Op> op);
Ticket lane_last(const std::shared_ptr<Lane> &lane);
/* The host waits for it, and knows it to be done from then on. */
void ticket_wait(const Ticket &t, std::unique_lock<std::mutex> &lock);
void host_learns(const Clock &clock);

/* Races between copies, memsets, kernels and library calls of different lanes: reported when the later one is done. */
void race_check(const Lane &lane, const Op &op);
void race_forget(uintptr_t base, size_t bytes); /* the memory is gone */
bool touch_overlap(const Touch &a, const Touch &b);
const char *pending_work_on(const Touch &t); /* its name; NULL: none */
/* Is work pending that touches any of these bytes, or that could (the application's own functions)? */
bool pending_touches(const Touch &t);

} // namespace sg
