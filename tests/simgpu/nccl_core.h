/*
 * The stand-in of NCCL: communicators, and how the work of several streams meets.
 *
 * A collective is one piece of work on each rank's stream. Each arrives at the meeting that its number in the communicator
 * names; the last one to arrive moves the data of all; then all go on. Sends and receives of a group are one piece of work
 * that waits until each has met its other half.
 *
 * Layer: tests/simgpu, inside libnccl.so.2. Threads: any; work runs on the streams' threads.
 */
#pragma once
#pragma GCC visibility push(default)
#include <nccl.h>
#pragma GCC visibility pop

#include "driver_export.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace sg {

enum class Coll { broadcast, all_reduce, reduce, all_gather, reduce_scatter };

/* What one rank brings to a collective. */
struct Part {
  const char *send = nullptr;
  char *recv = nullptr;
};

struct Collective {
  Coll kind;
  size_t count; /* elements, of a rank's share where ranks have shares */
  ncclDataType_t type;
  ncclRedOp_t op;
  int root;
  bool same(const Collective &o) const {
    return kind == o.kind && count == o.count && type == o.type && op == o.op && root == o.root;
  }
};

struct Meeting {
  Collective what{};
  std::vector<Part> parts;
  int arrived = 0, left = 0;
  bool done = false;
};

/* One half of a transfer between two ranks. */
struct Post {
  char *p;
  size_t bytes;
  bool done = false;
};

/* All ranks of one communicator, across threads. */
struct Clique {
  std::mutex mutex;
  std::condition_variable changed;
  int ranks = 0, joined = 0;
  std::vector<int> device;
  bool aborted = false;
  ncclResult_t error = ncclSuccess;
  std::map<uint64_t, Meeting> meetings;
  std::map<std::pair<int, int>, std::deque<std::shared_ptr<Post>>> sends, receives; /* by source and target */
  /* to see a single thread that starts a collective rank by rank, which a real device may never get out of */
  std::map<uint64_t, std::thread::id> alone;

  /* Called by the streams' threads; return when the data are there or the communicator is aborted. */
  void meet(uint64_t number, int rank, const Collective &what, const Part &part);
  void post(const std::vector<std::pair<int, std::shared_ptr<Post>>> &to, const std::vector<std::pair<int, std::shared_ptr<Post>>> &from,
            int rank);

private:
  bool wait(std::unique_lock<std::mutex> &lock, const char *what, int rank, const std::function<bool()> &ready);
  void fail(const char *text, ncclResult_t why);
};

size_t type_bytes(ncclDataType_t type); /* 0: not one that is simulated */
/* The data of a whole collective; parts by rank. */
void move_collective(const Collective &what, const std::vector<Part> &parts);

} // namespace sg

struct ncclComm {
  std::shared_ptr<sg::Clique> clique;
  int rank = 0, device = 0;
  uint64_t collectives = 0;
  bool finalized = false;
};
