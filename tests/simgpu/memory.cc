#include "memory_internal.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>

using sg::Allocation;
using sg::ByteMap;

namespace {
const size_t kFreedKept = 4096;
const unsigned char kPale = 0xcb; /* in host memory: came from a device, where nobody had written it */
const size_t kPaleWord = 8;

const char *kind_name(sg_memory_kind kind) {
  static const char *const names[] = {"device", "pinned", "registered", "managed", "constant"};
  return names[kind];
}

/* Which bits of word i belong to bits [at, at + n). */
uint64_t word_mask(size_t i, size_t at, size_t n) {
  size_t first = i * 64;
  uint64_t mask = ~0ull;
  if (at > first)
    mask <<= at - first;
  if (at + n < first + 64)
    mask &= ~0ull >> (first + 64 - (at + n));
  return mask;
}
} // namespace

/* ---- ByteMap
 * ----------------------------------------------------------------------------------------------------- */

namespace sg {

// calloc: the pages of a large map come into being as they are used, and zeros are a valid state of these
// atomics
ByteMap::ByteMap(size_t bytes)
    : words(static_cast<std::atomic<uint64_t> *>(calloc((bytes + 63) / 64, sizeof(std::atomic<uint64_t>)))) {}

ByteMap::~ByteMap() {
  free(words);
}

bool ByteMap::all(size_t at, size_t n) const {
  if (n == 0)
    return true;
  for (size_t i = at / 64; i <= (at + n - 1) / 64; i++) {
    uint64_t mask = word_mask(i, at, n);
    if ((words[i].load(std::memory_order_relaxed) & mask) != mask)
      return false;
  }
  return true;
}

void ByteMap::set(size_t at, size_t n) {
  if (n == 0)
    return;
  for (size_t i = at / 64; i <= (at + n - 1) / 64; i++) {
    uint64_t mask = word_mask(i, at, n);
    // most writes are to bytes written before: a look is cheaper than a locked operation
    if ((words[i].load(std::memory_order_relaxed) & mask) != mask)
      words[i].fetch_or(mask, std::memory_order_relaxed);
  }
}

void ByteMap::clear(size_t at, size_t n) {
  if (n == 0)
    return;
  for (size_t i = at / 64; i <= (at + n - 1) / 64; i++)
    words[i].fetch_and(~word_mask(i, at, n), std::memory_order_relaxed);
}

size_t ByteMap::count(size_t bytes) const {
  size_t n = 0;
  for (size_t i = 0; i < (bytes + 63) / 64; i++)
    n += static_cast<size_t>(__builtin_popcountll(words[i].load(std::memory_order_relaxed)));
  return n;
}

std::string Allocation::text() const {
  char s[160];
  char owner[32];
  snprintf(owner, sizeof owner, info.device < 0 ? "the host" : "device %d", info.device);
  snprintf(s, sizeof s, "allocation #%" PRIu64 " (%zu bytes at 0x%" PRIx64 ", %s memory of %s)", info.id,
           info.bytes, info.base, kind_name(info.kind), owner);
  return s;
}

} // namespace sg

/* ---- the registry
 * ------------------------------------------------------------------------------------------------ */

std::shared_ptr<Allocation> sg_memory::lookup(uint64_t addr) {
  std::shared_lock<std::shared_mutex> hold(lock);
  auto it = live.upper_bound(addr);
  if (it == live.begin())
    return nullptr;
  --it;
  return addr < it->second->end ? it->second : nullptr;
}

bool sg_memory::may_access(int device, const Allocation &a) const {
  int owner = a.info.device;
  if (device < 0 || owner < 0 || owner == device)
    return true;
  if (device >= device_count || owner >= device_count)
    return false;
  if (a.info.kind == SG_MEMORY_PINNED || a.info.kind == SG_MEMORY_MAPPED || a.info.kind == SG_MEMORY_MANAGED)
    return true;
  return peers[static_cast<size_t>(device) * static_cast<size_t>(device_count) + static_cast<size_t>(owner)]
      .load();
}

std::string sg_memory::describe(uint64_t addr, bool *was_freed) {
  std::shared_lock<std::shared_mutex> hold(lock);
  char s[256];

  *was_freed = false;
  for (size_t i = freed.size(); i-- > 0;) {
    if (addr < freed[i].base || addr - freed[i].base >= freed[i].bytes)
      continue;
    *was_freed = true;
    return "use after free: it is " + std::to_string(addr - freed[i].base) + " bytes into freed " +
           Allocation(freed[i]).text();
  }
  auto next = live.upper_bound(addr);
  const Allocation *before = next == live.begin() ? nullptr : std::prev(next)->second.get();
  const Allocation *after = next == live.end() ? nullptr : next->second.get();
  if (before && after && after->info.base - addr < addr - before->end)
    before = nullptr;
  if (before) {
    snprintf(s, sizeof s, "it is %" PRIu64 " bytes past the end of ", addr - before->end);
    return "in no live allocation; " + (s + before->text());
  }
  if (after) {
    snprintf(s, sizeof s, "it is %" PRIu64 " bytes before ", after->info.base - addr);
    return "in no live allocation; " + (s + after->text());
  }
  return "in no live allocation; there is none";
}

extern "C" {

sg_memory *sg_memory_create(int devices) {
  try {
    return devices < 0 ? nullptr : new sg_memory(devices);
  } catch (const std::bad_alloc &) {
    return nullptr;
  }
}

void sg_memory_destroy(sg_memory *mem) {
  delete mem;
}

int sg_memory_add(sg_memory *mem, const void *base, size_t bytes, int device, sg_memory_kind kind) {
  sg_memory_info info = {reinterpret_cast<uint64_t>(base), bytes, device, kind, 0};

  if (bytes == 0 || info.base + bytes < info.base)
    return -1;
  try {
    auto a = std::make_shared<Allocation>(info);
    if (kind == SG_MEMORY_DEVICE) {
      a->written = std::make_unique<ByteMap>(bytes);
      if (!a->written->is_valid())
        return -1;
    }
    std::unique_lock<std::shared_mutex> hold(mem->lock);
    auto next = mem->live.lower_bound(info.base);
    if (next != mem->live.end() && next->first < a->end)
      return -1;
    if (next != mem->live.begin() && std::prev(next)->second->end > info.base)
      return -1;
    a->info.id = mem->next_id++;
    mem->live[info.base] = a;
    // the address is in use again: what was freed there says nothing any more
    for (size_t i = 0; i < mem->freed.size();) {
      bool is_over = mem->freed[i].base < a->end && info.base < mem->freed[i].base + mem->freed[i].bytes;
      if (is_over)
        mem->freed.erase(mem->freed.begin() + static_cast<std::ptrdiff_t>(i));
      else
        i++;
    }
  } catch (const std::bad_alloc &) {
    return -1;
  }
  return 0;
}

int sg_memory_remove(sg_memory *mem, const void *base) {
  std::unique_lock<std::shared_mutex> hold(mem->lock);
  auto it = mem->live.find(reinterpret_cast<uint64_t>(base));

  if (it == mem->live.end())
    return -1;
  it->second->is_live.store(false);
  if (mem->freed.size() == kFreedKept)
    mem->freed.pop_front();
  mem->freed.push_back(it->second->info);
  mem->live.erase(it);
  return 0;
}

int sg_memory_find(sg_memory *mem, uint64_t addr, size_t bytes, sg_memory_info *info) {
  std::shared_ptr<Allocation> a = mem->lookup(addr);

  if (!a || !a->holds(addr, bytes))
    return 0;
  if (info)
    *info = a->info;
  return 1;
}

void sg_memory_live(sg_memory *mem, int device, sg_memory_kind kind, size_t *bytes, size_t *count) {
  std::shared_lock<std::shared_mutex> hold(mem->lock);

  *bytes = *count = 0;
  for (const auto &it : mem->live) {
    const sg_memory_info &info = it.second->info;
    if (info.device != device || info.kind != kind)
      continue;
    *bytes += info.bytes;
    *count += 1;
  }
}

void sg_memory_set_peer(sg_memory *mem, int from, int to, int allowed) {
  if (from < 0 || to < 0 || from >= mem->device_count || to >= mem->device_count)
    return;
  mem->peers[static_cast<size_t>(from) * static_cast<size_t>(mem->device_count) + static_cast<size_t>(to)]
      .store(allowed != 0);
}

void sg_memory_mark_written(sg_memory *mem, uint64_t addr, size_t bytes) {
  std::shared_ptr<Allocation> a = mem->lookup(addr);
  if (a && a->holds(addr, bytes))
    a->mark(addr, bytes);
}

void sg_memory_mark_unwritten(sg_memory *mem, uint64_t addr, size_t bytes) {
  std::shared_ptr<Allocation> a = mem->lookup(addr);
  if (a && a->holds(addr, bytes) && a->written)
    a->written->clear(addr - a->info.base, bytes);
}

int sg_memory_is_written(sg_memory *mem, uint64_t addr, size_t bytes) {
  std::shared_ptr<Allocation> a = mem->lookup(addr);
  return a && a->holds(addr, bytes) && a->is_written(addr, bytes);
}

int sg_memory_is_padded(sg_memory *mem, uint64_t addr, size_t bytes) {
  std::shared_ptr<Allocation> a = mem->lookup(addr);
  if (!a || !a->holds(addr, bytes))
    return 0;
  for (uint64_t at = addr, end = addr + bytes; at < end;) {
    uint64_t next = std::min(end, (at / 64 + 1) * 64), gap = at;
    while (gap < next && a->is_written(gap, 1))
      gap++;
    for (uint64_t i = gap; i < next; i++)
      if (gap == at || a->is_written(i, 1))
        return 0;
    at = next;
  }
  return 1;
}

void sg_memory_copy_marks(sg_memory *mem, uint64_t dst, uint64_t src, size_t bytes) {
  std::shared_ptr<Allocation> to = mem->lookup(dst), from = mem->lookup(src);
  if (!to || !from || !to->holds(dst, bytes) || !from->holds(src, bytes))
    return;
  if (from->is_written(src, bytes)) {
    to->mark(dst, bytes);
    return;
  }
  for (size_t i = 0; i < bytes; i++)
    if (from->is_written(src + i, 1))
      to->mark(dst + i, 1);
    else if (to->written)
      to->written->clear(dst + i - to->info.base, 1);
}

void sg_memory_marks_down(sg_memory *mem, uint64_t host, uint64_t src, size_t bytes) {
  std::shared_ptr<Allocation> to = mem->lookup(host), from = mem->lookup(src);
  if (!to || !from || !to->holds(host, bytes) || !from->holds(src, bytes))
    return;
  const bool whole = from->is_written(src, bytes);
  {
    std::unique_lock<std::shared_mutex> hold(mem->lock);
    if (!whole && !to->pale)
      to->pale = std::make_unique<ByteMap>(to->info.bytes);
  }
  if (!to->pale || !to->pale->is_valid())
    return;
  to->pale->clear(host - to->info.base, bytes);
  for (size_t i = 0; i < bytes && !whole; i++)
    if (!from->is_written(src + i, 1)) {
      to->pale->set(host + i - to->info.base, 1);
      *reinterpret_cast<unsigned char *>(host + i) = kPale;
    }
}

void sg_memory_marks_up(sg_memory *mem, uint64_t dst, uint64_t host, size_t bytes) {
  std::shared_ptr<Allocation> to = mem->lookup(dst), from = mem->lookup(host);
  if (!to || !from || !to->holds(dst, bytes) || !from->holds(host, bytes) || !to->written || !from->pale || !from->pale->is_valid())
    return;
  for (size_t i = 0; i + kPaleWord <= bytes;) {
    size_t n = 0;
    while (n < kPaleWord && from->pale->all(host + i + n - from->info.base, 1) &&
           *reinterpret_cast<const unsigned char *>(host + i + n) == kPale)
      n++;
    if (n == kPaleWord)
      to->written->clear(dst + i - to->info.base, kPaleWord);
    i += n == kPaleWord ? n : n + 1;
  }
}

static sg_memory_fault check(sg_memory *mem, uint64_t addr, size_t bytes, size_t align, int device,
                             bool is_write, std::string *text) {
  std::shared_ptr<Allocation> a = mem->lookup(addr);
  bool was_freed = false;

  if (!a) {
    *text = mem->describe(addr, &was_freed);
    return was_freed ? SG_MEMORY_FREED : SG_MEMORY_OUT_OF_BOUNDS;
  }
  if (!a->holds(addr, bytes)) {
    *text = "it begins " + std::to_string(addr - a->info.base) + " bytes into and ends past the end of " +
            a->text();
    return SG_MEMORY_OUT_OF_BOUNDS;
  }
  std::string where = std::to_string(addr - a->info.base) + " bytes into " + a->text();
  if (align > 1 && (addr & (align - 1))) {
    *text = "not aligned to " + std::to_string(align) + " bytes; it is " + where;
    return SG_MEMORY_MISALIGNED;
  }
  if (!mem->may_access(device, *a)) {
    *text = "no peer access from device " + std::to_string(device) + "; it is " + where;
    return SG_MEMORY_NO_PEER;
  }
  if (is_write && a->info.kind == SG_MEMORY_CONST && device >= 0) {
    *text = "memory that kernels may not write; it is " + where;
    return SG_MEMORY_READ_ONLY;
  }
  if (!is_write && !a->is_written(addr, bytes)) {
    size_t first = 0;
    while (a->is_written(addr, first + 1))
      first++;
    *text = "byte " + std::to_string(first) + " of " + std::to_string(bytes) +
            " was written by nobody; it is " + where;
    return SG_MEMORY_UNWRITTEN;
  }
  return SG_MEMORY_OK;
}

static sg_memory_fault check_text(sg_memory *mem, uint64_t addr, size_t bytes, size_t align, int device,
                                  bool is_write, char *why, size_t size) {
  std::string text;
  sg_memory_fault fault = check(mem, addr, bytes, align, device, is_write, &text);

  if (fault != SG_MEMORY_OK && why && size > 0) {
    snprintf(why, size, "%s of %zu bytes at 0x%" PRIx64 ": %s", is_write ? "write" : "read", bytes, addr,
             text.c_str());
  }
  return fault;
}

sg_memory_fault sg_memory_check_read(sg_memory *mem, uint64_t addr, size_t bytes, size_t align, int device,
                                     char *why, size_t size) {
  return check_text(mem, addr, bytes, align, device, false, why, size);
}

sg_memory_fault sg_memory_check_write(sg_memory *mem, uint64_t addr, size_t bytes, size_t align, int device,
                                      char *why, size_t size) {
  return check_text(mem, addr, bytes, align, device, true, why, size);
}

} // extern "C"
