/*
 * Stream-ordered allocation. Memory that is freed stays the pool's, for allocations from it alone and at once, until the next call that
 * waits for a stream, an event or the context: then what is more than the release threshold goes back to the device, as the
 * documentation has it.
 * Not modelled, as nothing says how it is: the unit in which a pool grows, memory in pieces inside it, and whether the driver takes
 * what a pool keeps for other allocations of the process.
 */
#include "driver_api.h"

#include <algorithm>

using namespace sg;

namespace sg {
namespace {

CUmemoryPool pool_make(int device, size_t max_bytes, bool owned_by_device) {
  auto pool = std::make_unique<CUmemPoolHandle_st>();
  pool->device = device;
  pool->max_bytes = max_bytes;
  pool->owned_by_device = owned_by_device;
  pool->access.insert(device);
  state().pools.insert(pool.get());
  return pool.release();
}

CUmemoryPool default_pool(int device) {
  Device &d = state().devices[size_t(device)];
  if (d.default_pool == nullptr) d.default_pool = pool_make(device, 0, true);
  return d.default_pool;
}

void pool_shrink(CUmemoryPool pool, size_t keep) {
  const size_t to = std::min(pool->reserved, std::max(pool->used + pool->pending, keep));
  state().devices[size_t(pool->device)].used -= pool->reserved - to;
  pool->reserved = to;
  state().changed.notify_all();
}

bool pool_valid(CUmemoryPool pool) { return pool != nullptr && state().pools.count(pool) != 0; }

CUresult allocate_on(CUdeviceptr *out, size_t bytes, CUmemoryPool pool, CUcontext ctx, CUstream handle, Lock &lock) {
  CUstream s = nullptr;
  CUresult r = stream_resolve(ctx, handle, &s);
  if (r != CUDA_SUCCESS) return r;
  if (s->ctx->error != CUDA_SUCCESS) return s->ctx->error;
  if (pool == nullptr) {
    Device &d = state().devices[size_t(s->ctx->device)];
    pool = d.current_pool != nullptr ? d.current_pool : default_pool(s->ctx->device);
  }
  r = device_allocate(s->ctx, pool->device, pool, bytes, lock, out);
  if (r != CUDA_SUCCESS) return r;
  auto op = std::make_unique<Op>(); /* for other streams the memory begins here */
  op->what = "cuMemAllocAsync";
  op->touches.push_back(writes(reinterpret_cast<void *>(*out), bytes));
  stream_issue(s, std::move(op));
  return CUDA_SUCCESS;
}

} // namespace

void pools_release(int device, bool all) {
  for (CUmemoryPool pool : state().pools)
    if (pool->device == device) pool_shrink(pool, all ? 0 : size_t(pool->threshold));
}

} // namespace sg

CUresult CUDAAPI cuMemAllocAsync(CUdeviceptr *out, size_t bytes, CUstream handle) {
  return call("cuMemAllocAsync", on_alloc,
              [&](CUcontext ctx, Lock &lock) { return allocate_on(out, bytes, nullptr, ctx, handle, lock); });
}

CUresult CUDAAPI cuMemAllocFromPoolAsync(CUdeviceptr *out, size_t bytes, CUmemoryPool pool, CUstream handle) {
  return call("cuMemAllocFromPoolAsync", on_alloc, [&](CUcontext ctx, Lock &lock) {
    if (!pool_valid(pool)) return CUDA_ERROR_INVALID_VALUE;
    return allocate_on(out, bytes, pool, ctx, handle, lock);
  });
}

CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr p, CUstream handle) {
  return call("cuMemFreeAsync", on_release, [&](CUcontext ctx, Lock &) {
    State &s = state();
    CUstream stream = nullptr;
    CUresult r = stream_resolve(ctx, handle, &stream);
    if (r != CUDA_SUCCESS) return r;
    if (stream->ctx->error != CUDA_SUCCESS) return stream->ctx->error;
    if (p == 0) return CUDA_SUCCESS;
    auto it = s.allocations.find(uintptr_t(p));
    if (it == s.allocations.end() || it->second.kind != SG_MEMORY_DEVICE || it->second.freeing) {
      fail_check("cuMemFreeAsync of %#llx, which is no live allocation", (unsigned long long)p);
      return CUDA_ERROR_INVALID_VALUE;
    }
    auto op = std::make_unique<Op>();
    op->what = "cuMemFreeAsync";
    op->touches.push_back(writes(reinterpret_cast<void *>(p), it->second.bytes));
    uint64_t id = it->second.id;
    op->finish = [p, id] {
      auto at = state().allocations.find(uintptr_t(p));
      if (at != state().allocations.end() && at->second.id == id) allocation_free(at);
    };
    it->second.freeing = true;
    if (CUmemoryPool pool = it->second.pool) {
      pool->used -= it->second.charged;
      pool->pending += it->second.charged;
    } else {
      s.devices[size_t(it->second.device)].pending_free += it->second.charged;
    }
    stream_issue(stream, std::move(op));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetDefaultMemPool(CUmemoryPool *out, CUdevice dev) {
  return call("cuDeviceGetDefaultMemPool", on_nothing, [&](CUcontext, Lock &) {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    *out = default_pool(dev);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceGetMemPool(CUmemoryPool *out, CUdevice dev) {
  return call("cuDeviceGetMemPool", on_nothing, [&](CUcontext, Lock &) {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    CUmemoryPool set = state().devices[size_t(dev)].current_pool;
    *out = set != nullptr ? set : default_pool(dev);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool) {
  return call("cuDeviceSetMemPool", on_nothing, [&](CUcontext, Lock &) {
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    if (!pool_valid(pool) || pool->device != dev) return CUDA_ERROR_INVALID_VALUE;
    state().devices[size_t(dev)].current_pool = pool;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemPoolCreate(CUmemoryPool *out, const CUmemPoolProps *props) {
  return call("cuMemPoolCreate", {false, false, Kind::alloc}, [&](CUcontext, Lock &) {
    if (out == nullptr || props == nullptr || props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED) return CUDA_ERROR_INVALID_VALUE;
    if (props->location.type != CU_MEM_LOCATION_TYPE_DEVICE || props->handleTypes != CU_MEM_HANDLE_TYPE_NONE)
      return CUDA_ERROR_NOT_SUPPORTED;
    if (!device_valid(props->location.id)) return CUDA_ERROR_INVALID_VALUE;
    *out = pool_make(props->location.id, props->maxSize, false);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemPoolDestroy(CUmemoryPool pool) {
  return call("cuMemPoolDestroy", on_nothing_release, [&](CUcontext, Lock &) {
    State &s = state();
    if (!pool_valid(pool) || pool->owned_by_device) return CUDA_ERROR_INVALID_VALUE;
    pool_shrink(pool, 0);
    for (auto &a : s.allocations) { /* they live until they are freed */
      if (a.second.pool != pool) continue;
      a.second.pool = nullptr;
      if (a.second.freeing) s.devices[size_t(a.second.device)].pending_free += a.second.charged;
    }
    for (Device &d : s.devices)
      if (d.current_pool == pool) d.current_pool = nullptr;
    s.pools.erase(pool);
    for (int d : pool->access) update_peers(d);
    delete pool;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemPoolTrimTo(CUmemoryPool pool, size_t keep) {
  return call("cuMemPoolTrimTo", on_nothing, [&](CUcontext, Lock &) {
    if (!pool_valid(pool)) return CUDA_ERROR_INVALID_VALUE;
    pool_shrink(pool, keep);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute what, void *value) {
  return call("cuMemPoolSetAttribute", on_nothing, [&](CUcontext, Lock &) {
    if (!pool_valid(pool) || value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (what) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES: pool->reuse[0] = *static_cast<int *>(value); break;
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC: pool->reuse[1] = *static_cast<int *>(value); break;
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES: pool->reuse[2] = *static_cast<int *>(value); break;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: pool->threshold = *static_cast<cuuint64_t *>(value); break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      if (*static_cast<cuuint64_t *>(value) != 0) return CUDA_ERROR_INVALID_VALUE;
      if (what == CU_MEMPOOL_ATTR_USED_MEM_HIGH) pool->used_high = pool->used;
      else pool->reserved_high = pool->reserved;
      break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute what, void *value) {
  return call("cuMemPoolGetAttribute", on_nothing, [&](CUcontext, Lock &) {
    if (!pool_valid(pool) || value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (what) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES: *static_cast<int *>(value) = pool->reuse[0]; break;
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC: *static_cast<int *>(value) = pool->reuse[1]; break;
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES: *static_cast<int *>(value) = pool->reuse[2]; break;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: *static_cast<cuuint64_t *>(value) = pool->threshold; break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT: *static_cast<cuuint64_t *>(value) = pool->reserved; break;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT: *static_cast<cuuint64_t *>(value) = pool->used; break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH: *static_cast<cuuint64_t *>(value) = pool->reserved_high; break;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH: *static_cast<cuuint64_t *>(value) = pool->used_high; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *map, size_t n) {
  return call("cuMemPoolSetAccess", on_nothing, [&](CUcontext, Lock &) {
    if (!pool_valid(pool) || (map == nullptr && n != 0)) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < n; i++) {
      int to = map[i].location.id;
      if (map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE || !device_valid(to)) return CUDA_ERROR_INVALID_VALUE;
      if (to != pool->device && state().config.links[size_t(to)][size_t(pool->device)] == Link::none) return CUDA_ERROR_INVALID_DEVICE;
      if (to == pool->device) continue;
      if (map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_NONE) pool->access.erase(to);
      else pool->access.insert(to);
      update_peers(to);
    }
    return CUDA_SUCCESS;
  });
}
