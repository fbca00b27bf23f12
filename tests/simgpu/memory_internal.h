/*
 * The registry's records, for the interpreter: a launch keeps the allocations it met, so that most accesses
 * need no lock.
 */
#pragma once
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "memory.h"

namespace sg {

/* One bit a byte. Writers of different launches may set bits of one word at the same time. */
class ByteMap {
public:
  ByteMap() = default;
  explicit ByteMap(size_t bytes);
  ~ByteMap();
  ByteMap(const ByteMap &) = delete;
  ByteMap &operator=(const ByteMap &) = delete;

  bool is_valid() const { return words != nullptr; }
  bool all(size_t at, size_t bytes) const;
  void set(size_t at, size_t bytes);
  void clear(size_t at, size_t bytes);
  size_t count(size_t bytes) const; // of the first `bytes`

private:
  std::atomic<uint64_t> *words = nullptr;
};

struct Allocation {
  sg_memory_info info;
  uint64_t end;
  std::atomic<bool> is_live{true};  // a launch may hold the record of one that was freed meanwhile
  std::unique_ptr<ByteMap> written; // none: all of it counts as written
  std::unique_ptr<ByteMap> pale;    // host memory: bytes that came from a device unwritten; none: there are none

  Allocation(const sg_memory_info &i) : info(i), end(i.base + i.bytes) {}
  bool holds(uint64_t addr, size_t bytes) const {
    return addr >= info.base && addr <= end && bytes <= end - addr;
  }
  bool is_written(uint64_t addr, size_t bytes) const {
    return !written || written->all(addr - info.base, bytes);
  }
  void mark(uint64_t addr, size_t bytes) {
    if (written)
      written->set(addr - info.base, bytes);
  }
  std::string text() const;
};

} // namespace sg

struct sg_memory {
  explicit sg_memory(int devices)
      : peers(static_cast<size_t>(devices) * static_cast<size_t>(devices)), device_count(devices) {}

  std::shared_ptr<sg::Allocation> lookup(uint64_t addr);
  bool may_access(int device, const sg::Allocation &a) const;
  /* What is at or near an address that is in no live allocation; *was_freed: it was in one. */
  std::string describe(uint64_t addr, bool *was_freed);

  std::shared_mutex lock;
  std::map<uint64_t, std::shared_ptr<sg::Allocation>> live; // by base
  std::deque<sg_memory_info> freed;                         // the last ones, for messages
  std::vector<std::atomic<bool>> peers;                     // [from][to]
  int device_count;
  uint64_t next_id = 1;
};
