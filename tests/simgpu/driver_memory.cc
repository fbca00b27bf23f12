/* Device memory, pinned memory, registrations, and what is known of a pointer. */
#include "driver_api.h"

#include <algorithm>
#include <cerrno>
#include <sys/mman.h>
#include <unistd.h>

using namespace sg;

namespace sg {
namespace {

constexpr size_t granule = 512;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* Pages of their own and a hole behind them: the end of one allocation is never the start of another. */
void *map_pages(size_t bytes, size_t *mapped) {
  size_t page = size_t(sysconf(_SC_PAGESIZE)), body = round_up(bytes, page);
  if (body < bytes) return nullptr;
  void *p = mmap(nullptr, body + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  if (mprotect(p, body, PROT_READ | PROT_WRITE) != 0) {
    munmap(p, body + page);
    return nullptr;
  }
  *mapped = body + page;
  return p;
}

/* Memory that running work may be looking at stays mapped until nothing runs. Addresses are given out again late, so that
   stale pointers are seen. */
void unmap(void *p, size_t bytes) {
  State &s = state();
  s.unmap_later.emplace_back(p, bytes);
  if (!s.mapping.try_lock()) return;
  for (auto &range : s.unmap_later) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (mmap(range.first, range.second, PROT_NONE, flags, -1, 0) == range.first) s.resting.push_back(range);
  }
  s.unmap_later.clear();
  for (; s.resting.size() > 256; s.resting.pop_front()) munmap(s.resting.front().first, s.resting.front().second);
  s.mapping.unlock();
}

std::map<uintptr_t, Allocation>::iterator find(uintptr_t p) {
  auto &all = state().allocations;
  auto it = all.upper_bound(p);
  if (it == all.begin()) return all.end();
  --it;
  return p - it->first < it->second.bytes ? it : all.end();
}

CUresult host_allocate(CUcontext ctx, size_t bytes, unsigned flags, void **out) {
  State &s = state();
  Allocation a;

  if (out == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  void *p = map_pages(bytes, &a.mapped);
  if (p == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  a.bytes = bytes;
  a.ctx = ctx;
  a.kind = SG_MEMORY_PINNED;
  a.flags = flags;
  a.id = s.next_pointer_id++;
  if (sg_memory_add(s.memory, p, bytes, -1, SG_MEMORY_PINNED) != 0) {
    munmap(p, a.mapped);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  s.allocations[uintptr_t(p)] = a;
  *out = p;
  return CUDA_SUCCESS;
}

} // namespace

CUresult device_allocate(CUcontext ctx, int device, CUmemoryPool pool, size_t bytes, Lock &lock, CUdeviceptr *out) {
  State &s = state();
  Device &d = s.devices[size_t(device)];
  Allocation a;

  if (out == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  a.charged = round_up(bytes, granule);
  if (a.charged < bytes) return CUDA_ERROR_OUT_OF_MEMORY;
  auto grows = [&] { /* the device's part of it, beyond what the pool keeps */
    size_t kept = pool != nullptr && pool->reserved > pool->used ? pool->reserved - pool->used : 0;
    return a.charged > kept ? a.charged - kept : 0;
  };
  auto fits = [&] { return d.used <= s.config.bytes && grows() <= s.config.bytes - d.used; };
  /* what a stream is about to give back counts: the allocation is put behind it */
  if (!fits() && d.pending_free > 0 && a.charged <= s.config.bytes - (d.used - d.pending_free))
    s.changed.wait(lock, [&] { return fits() || d.pending_free == 0 || ctx->error != CUDA_SUCCESS; });
  if (!fits()) return CUDA_ERROR_OUT_OF_MEMORY;
  if (pool != nullptr && pool->max_bytes != 0 && pool->used + a.charged > pool->max_bytes) return CUDA_ERROR_OUT_OF_MEMORY;
  void *p = map_pages(bytes, &a.mapped);
  if (p == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  a.bytes = bytes;
  a.device = device;
  a.ctx = ctx;
  a.pool = pool;
  a.id = s.next_pointer_id++;
  if (sg_memory_add(s.memory, p, bytes, device, SG_MEMORY_DEVICE) != 0) {
    munmap(p, a.mapped);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  s.allocations[uintptr_t(p)] = a;
  d.used += grows();
  if (pool != nullptr) {
    pool->reserved += grows();
    pool->used += a.charged;
    pool->used_high = std::max(pool->used_high, pool->used);
    pool->reserved_high = std::max(pool->reserved_high, pool->reserved);
  }
  *out = uintptr_t(p);
  return CUDA_SUCCESS;
}

void allocation_free(std::map<uintptr_t, Allocation>::iterator it) {
  State &s = state();
  Allocation a = it->second;
  void *p = reinterpret_cast<void *>(it->first);

  s.allocations.erase(it);
  sg_memory_remove(s.memory, p);
  race_forget(uintptr_t(p), a.bytes);
  guard_forget(uintptr_t(p), a.bytes);
  if (a.device >= 0) {
    Device &d = s.devices[size_t(a.device)];
    if (a.pool == nullptr) d.used -= a.charged;
    if (a.pool == nullptr && a.freeing) d.pending_free -= a.charged;
  }
  if (a.pool != nullptr) (a.freeing ? a.pool->pending : a.pool->used) -= a.charged;
  if (a.mapped != 0) unmap(p, a.mapped);
  s.changed.notify_all();
}

bool host_range_known(const void *p, size_t bytes) {
  auto it = find(uintptr_t(p));
  return it != state().allocations.end() && it->second.kind != SG_MEMORY_DEVICE &&
         uintptr_t(p) - it->first + bytes <= it->second.bytes;
}

} // namespace sg

CUresult CUDAAPI cuMemGetInfo(size_t *free, size_t *total) {
  return call("cuMemGetInfo", on_ctx, [&](CUcontext ctx, Lock &) {
    if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    size_t bytes = state().config.bytes, used = state().devices[size_t(ctx->device)].used;
    *total = bytes;
    *free = used < bytes ? bytes - used : 0;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemAlloc(CUdeviceptr *out, size_t bytes) {
  return call("cuMemAlloc", on_alloc,
              [&](CUcontext ctx, Lock &lock) { return device_allocate(ctx, ctx->device, nullptr, bytes, lock, out); });
}

CUresult CUDAAPI cuMemAllocPitch(CUdeviceptr *out, size_t *pitch, size_t width, size_t height, unsigned int element) {
  return call("cuMemAllocPitch", on_alloc, [&](CUcontext ctx, Lock &lock) {
    if (pitch == nullptr || (element != 4 && element != 8 && element != 16) || width == 0 || height == 0)
      return CUDA_ERROR_INVALID_VALUE;
    size_t row = (width + 511) / 512 * 512, bytes;
    if (row < width || __builtin_mul_overflow(row, height, &bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
    *pitch = row;
    return device_allocate(ctx, ctx->device, nullptr, bytes, lock, out);
  });
}

CUresult CUDAAPI cuMemFree(CUdeviceptr p) {
  return call("cuMemFree", on_release, [&](CUcontext, Lock &lock) {
    State &s = state();
    if (p == 0) return CUDA_SUCCESS;
    auto it = s.allocations.find(uintptr_t(p));
    if (it == s.allocations.end() || it->second.kind != SG_MEMORY_DEVICE || it->second.freeing) {
      fail_check("cuMemFree of %#llx, which is no live allocation", (unsigned long long)p);
      return CUDA_ERROR_INVALID_VALUE;
    }
    device_wait(it->second.device, lock);
    it = s.allocations.find(uintptr_t(p));
    if (it == s.allocations.end()) return CUDA_ERROR_INVALID_VALUE;
    allocation_free(it);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemGetAddressRange(CUdeviceptr *base, size_t *bytes, CUdeviceptr p) {
  return call("cuMemGetAddressRange", on_ctx, [&](CUcontext, Lock &) {
    auto it = sg::find(uintptr_t(p));
    if (it == state().allocations.end()) return CUDA_ERROR_NOT_FOUND;
    if (base != nullptr) *base = it->first;
    if (bytes != nullptr) *bytes = it->second.bytes;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemAllocHost(void **out, size_t bytes) {
  return call("cuMemAllocHost", on_alloc, [&](CUcontext ctx, Lock &) { return host_allocate(ctx, bytes, 0, out); });
}

CUresult CUDAAPI cuMemHostAlloc(void **out, size_t bytes, unsigned int flags) {
  return call("cuMemHostAlloc", on_alloc, [&](CUcontext ctx, Lock &) {
    if ((flags & ~7u) != 0) return CUDA_ERROR_INVALID_VALUE;
    return host_allocate(ctx, bytes, flags, out);
  });
}

CUresult CUDAAPI cuMemFreeHost(void *p) {
  return call("cuMemFreeHost", on_release, [&](CUcontext ctx, Lock &lock) {
    State &s = state();
    auto it = s.allocations.find(uintptr_t(p));
    if (it == s.allocations.end() || it->second.kind != SG_MEMORY_PINNED) {
      fail_check("cuMemFreeHost of %p, which is no pinned allocation", p);
      return CUDA_ERROR_INVALID_VALUE;
    }
    for (int d = 0; d < int(s.devices.size()); d++) device_wait(d, lock);
    it = s.allocations.find(uintptr_t(p));
    if (it != s.allocations.end()) allocation_free(it);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemHostRegister(void *p, size_t bytes, unsigned int flags) {
  return call("cuMemHostRegister", on_alloc, [&](CUcontext ctx, Lock &) {
    State &s = state();
    uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE)), first = uintptr_t(p) / page * page;
    unsigned char resident;
    if (p == nullptr || bytes == 0 || uintptr_t(p) + bytes < uintptr_t(p) || (flags & ~15u) != 0) return CUDA_ERROR_INVALID_VALUE;
    uintptr_t last = (uintptr_t(p) + bytes - 1) / page * page;
    for (uintptr_t at : {first, last})
      if (mincore(reinterpret_cast<void *>(at), page, &resident) != 0 && errno == ENOMEM) return CUDA_ERROR_INVALID_VALUE;
    if (sg_memory_add(s.memory, p, bytes, -1, SG_MEMORY_MAPPED) != 0) {
      auto it = s.allocations.upper_bound(uintptr_t(p) + bytes - 1);
      bool overlap = it != s.allocations.begin() && (--it, it->first + it->second.bytes > uintptr_t(p));
      return overlap ? CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED : CUDA_ERROR_OUT_OF_MEMORY;
    }
    Allocation a;
    a.bytes = bytes;
    a.ctx = ctx;
    a.kind = SG_MEMORY_MAPPED;
    a.flags = flags;
    a.id = s.next_pointer_id++;
    s.allocations[uintptr_t(p)] = a;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemHostUnregister(void *p) {
  return call("cuMemHostUnregister", on_release, [&](CUcontext, Lock &lock) {
    State &s = state();
    auto it = s.allocations.find(uintptr_t(p));
    if (it == s.allocations.end()) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    if (it->second.kind != SG_MEMORY_MAPPED) return CUDA_ERROR_INVALID_VALUE;
    Touch all = {uintptr_t(p), it->second.bytes, it->second.bytes, 1, true, false};
    if (const char *what = pending_work_on(all)) fail_check("cuMemHostUnregister of %p while %s on it is pending", p, what);
    for (int d = 0; d < int(s.devices.size()); d++) device_wait(d, lock);
    it = s.allocations.find(uintptr_t(p));
    if (it != s.allocations.end()) allocation_free(it);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemHostGetDevicePointer(CUdeviceptr *out, void *p, unsigned int flags) {
  return call("cuMemHostGetDevicePointer", on_ctx, [&](CUcontext, Lock &) {
    if (out == nullptr || flags != 0 || !host_range_known(p, 1)) return CUDA_ERROR_INVALID_VALUE;
    *out = uintptr_t(p);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemHostGetFlags(unsigned int *flags, void *p) {
  return call("cuMemHostGetFlags", on_ctx, [&](CUcontext, Lock &) {
    auto it = sg::find(uintptr_t(p));
    if (flags == nullptr || it == state().allocations.end() || it->second.kind == SG_MEMORY_DEVICE)
      return CUDA_ERROR_INVALID_VALUE;
    *flags = it->second.flags;
    return CUDA_SUCCESS;
  });
}

/* One attribute of an allocation, or of a pointer that is nobody's. */
static CUresult pointer_attribute(void *out, CUpointer_attribute what, CUdeviceptr p, bool strict) {
  State &s = state();
  auto it = sg::find(uintptr_t(p));
  bool known = it != s.allocations.end();
  Allocation a = known ? it->second : Allocation();
  bool device = known && a.kind == SG_MEMORY_DEVICE;

  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!known && strict) return CUDA_ERROR_INVALID_VALUE;
  switch (what) {
  case CU_POINTER_ATTRIBUTE_CONTEXT: *static_cast<CUcontext *>(out) = a.pool != nullptr ? nullptr : a.ctx; break;
  case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    *static_cast<unsigned *>(out) = !known ? 0 : device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    break;
  case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *static_cast<CUdeviceptr *>(out) = known ? p : 0; break;
  case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    if (device && strict) return CUDA_ERROR_INVALID_VALUE;
    *static_cast<void **>(out) = known && !device ? reinterpret_cast<void *>(p) : nullptr;
    break;
  case CU_POINTER_ATTRIBUTE_BUFFER_ID: *static_cast<unsigned long long *>(out) = a.id; break;
  case CU_POINTER_ATTRIBUTE_IS_MANAGED: *static_cast<unsigned *>(out) = 0; break;
  case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *static_cast<int *>(out) = device ? a.device : known ? a.ctx->device : -2; break;
  case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *static_cast<void **>(out) = known ? reinterpret_cast<void *>(it->first) : nullptr; break;
  case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *static_cast<size_t *>(out) = known ? a.bytes : 0; break;
  case CU_POINTER_ATTRIBUTE_MAPPED: *static_cast<bool *>(out) = known; break;
  case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE: *static_cast<CUmemoryPool *>(out) = a.pool; break;
  default: return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuPointerGetAttribute(void *data, CUpointer_attribute what, CUdeviceptr p) {
  return call("cuPointerGetAttribute", on_nothing,
              [&](CUcontext, Lock &) { return pointer_attribute(data, what, p, true); });
}

CUresult CUDAAPI cuPointerGetAttributes(unsigned int n, CUpointer_attribute *what, void **data, CUdeviceptr p) {
  return call("cuPointerGetAttributes", on_nothing, [&](CUcontext, Lock &) {
    if (n == 0 || what == nullptr || data == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < n; i++) {
      CUresult r = pointer_attribute(data[i], what[i], p, false);
      if (r != CUDA_SUCCESS) return r;
    }
    return CUDA_SUCCESS;
  });
}
