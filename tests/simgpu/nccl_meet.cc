/* How ranks meet, and what is done with their data. Contract: nccl_core.h. */
#include "nccl_core.h"

#include "half_bits.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace sg {
namespace {

constexpr auto patience = std::chrono::seconds(30); /* a real device would wait for ever */

template <class W> W combine(ncclRedOp_t op, W a, W b) {
  using A = typename std::conditional<std::is_integral<W>::value, uint64_t, W>::type; /* integers wrap */
  switch (op) {
  case ncclProd: return W(A(a) * A(b));
  case ncclMax: return a > b || a != a ? a : b;
  case ncclMin: return a < b || a != a ? a : b;
  default: return W(A(a) + A(b));
  }
}

/* out[i] = the ranks' values combined in the order of ranks, computed as W. */
template <class T, class W> void reduce(const Collective &c, const std::vector<Part> &parts, size_t first, size_t count, char *out) {
  int ranks = int(parts.size());
  for (size_t i = 0; i < count; i++) {
    auto value = [&](int r) { return W(widen(reinterpret_cast<const T *>(parts[size_t(r)].send)[first + i])); };
    W sum = value(0);
    for (int r = 1; r < ranks; r++) sum = combine<W>(c.op, sum, value(r));
    if (c.op == ncclAvg) sum = W(sum / W(ranks));
    narrow(sum, &reinterpret_cast<T *>(out)[i]);
  }
}

void reduce_any(const Collective &c, const std::vector<Part> &parts, size_t first, size_t count, char *out) {
  switch (c.type) {
  case ncclInt8: return reduce<int8_t, int8_t>(c, parts, first, count, out);
  case ncclUint8: return reduce<uint8_t, uint8_t>(c, parts, first, count, out);
  case ncclInt32: return reduce<int32_t, int32_t>(c, parts, first, count, out);
  case ncclUint32: return reduce<uint32_t, uint32_t>(c, parts, first, count, out);
  case ncclInt64: return reduce<int64_t, int64_t>(c, parts, first, count, out);
  case ncclUint64: return reduce<uint64_t, uint64_t>(c, parts, first, count, out);
  case ncclFloat16: return reduce<half_bits, float>(c, parts, first, count, out);
  case ncclBfloat16: return reduce<bf16_bits, float>(c, parts, first, count, out);
  case ncclFloat32: return reduce<float, float>(c, parts, first, count, out);
  case ncclFloat64: return reduce<double, double>(c, parts, first, count, out);
  default: return; /* refused at the call */
  }
}

} // namespace

size_t type_bytes(ncclDataType_t type) {
  switch (type) {
  case ncclInt8:
  case ncclUint8: return 1;
  case ncclFloat16:
  case ncclBfloat16: return 2;
  case ncclInt32:
  case ncclUint32:
  case ncclFloat32: return 4;
  case ncclInt64:
  case ncclUint64:
  case ncclFloat64: return 8;
  default: return 0;
  }
}

/* Results are made aside first: a rank's target may be its own source, whole or in part. */
void move_collective(const Collective &c, const std::vector<Part> &parts) {
  size_t ranks = parts.size(), size = type_bytes(c.type), share = c.count * size;
  std::vector<char> whole;

  switch (c.kind) {
  case Coll::broadcast:
    for (size_t r = 0; r < ranks; r++) memmove(parts[r].recv, parts[size_t(c.root)].send, share);
    break;
  case Coll::all_reduce:
    whole.resize(share);
    reduce_any(c, parts, 0, c.count, whole.data());
    for (const Part &p : parts) memcpy(p.recv, whole.data(), share);
    break;
  case Coll::reduce:
    whole.resize(share);
    reduce_any(c, parts, 0, c.count, whole.data());
    memcpy(parts[size_t(c.root)].recv, whole.data(), share);
    break;
  case Coll::all_gather:
    whole.resize(share * ranks);
    for (size_t r = 0; r < ranks; r++) memcpy(whole.data() + r * share, parts[r].send, share);
    for (const Part &p : parts) memcpy(p.recv, whole.data(), share * ranks);
    break;
  case Coll::reduce_scatter:
    whole.resize(share * ranks);
    reduce_any(c, parts, 0, c.count * ranks, whole.data());
    for (size_t r = 0; r < ranks; r++) memcpy(parts[r].recv, whole.data() + r * share, share);
    break;
  }
}

void Clique::fail(const char *text, ncclResult_t why) {
  export_fail_check(text);
  if (error == ncclSuccess) error = why;
  aborted = true;
  changed.notify_all();
}

bool Clique::wait(std::unique_lock<std::mutex> &lock, const char *what, int rank, const std::function<bool()> &ready) {
  bool there = changed.wait_for(lock, patience, [&] { return aborted || ready(); });
  if (!there) fail(("nccl: rank " + std::to_string(rank) + " waits for others in " + what + ", which do not come").c_str(), ncclSystemError);
  return !aborted;
}

void Clique::meet(uint64_t number, int rank, const Collective &what, const Part &part) {
  std::unique_lock<std::mutex> lock(mutex);
  if (aborted) return;
  Meeting &m = meetings[number];
  if (m.arrived == 0) {
    m.what = what;
    m.parts.resize(size_t(ranks));
  } else if (!m.what.same(what)) {
    fail("nccl: ranks call different collectives, or with different counts, types or roots", ncclInvalidUsage);
    return;
  }
  m.parts[size_t(rank)] = part;
  if (++m.arrived == ranks) {
    move_collective(m.what, m.parts);
    m.done = true;
    alone.erase(number);
    changed.notify_all();
  }
  if (!wait(lock, "a collective", rank, [&] { return m.done; })) return;
  if (++m.left == ranks) meetings.erase(number);
}

void Clique::post(const std::vector<std::pair<int, std::shared_ptr<Post>>> &to,
                  const std::vector<std::pair<int, std::shared_ptr<Post>>> &from, int rank) {
  std::unique_lock<std::mutex> lock(mutex);
  if (aborted) return;
  for (const auto &s : to) sends[{rank, s.first}].push_back(s.second);
  for (const auto &r : from) receives[{r.first, rank}].push_back(r.second);
  for (auto &pair : sends) {
    auto &s = pair.second;
    auto &r = receives[pair.first];
    while (!s.empty() && !r.empty()) {
      if (s.front()->bytes != r.front()->bytes) return fail("nccl: a send and its receive differ in size", ncclInvalidUsage);
      memmove(r.front()->p, s.front()->p, s.front()->bytes);
      s.front()->done = r.front()->done = true;
      s.pop_front();
      r.pop_front();
      changed.notify_all();
    }
  }
  wait(lock, "a send or receive", rank, [&] {
    for (const auto *all : {&to, &from})
      for (const auto &p : *all)
        if (!p.second->done) return false;
    return true;
  });
}

} // namespace sg
