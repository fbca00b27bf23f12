/* Contexts: primary and created ones, the stack of current ones, peer access. */
#include "driver_api.h"

#include <algorithm>

using namespace sg;

namespace sg {

CUcontext context_create(int device, unsigned flags, bool primary) {
  State &s = state();
  auto ctx = std::make_unique<CUctx_st>();
  ctx->device = device;
  ctx->flags = flags;
  ctx->primary = primary;
  ctx->id = s.next_id++;
  s.contexts.insert(ctx.get());
  s.ended_contexts.erase(ctx.get());
  return ctx.release();
}

namespace {

/* A healthy context's end frees what is left in it; the application has forgotten it all the same. */
void report_left(CUcontext ctx) {
  size_t bytes = 0, host = 0, streams = 0;
  for (const auto &a : state().allocations)
    if (a.second.ctx == ctx) (a.second.kind == SG_MEMORY_DEVICE ? bytes : host) += a.second.bytes;
  for (CUstream st : ctx->streams) streams += !st->null_stream && !st->thread_stream;
  if (ctx->error != CUDA_SUCCESS || bytes + host + streams + ctx->events.size() + ctx->modules.size() == 0) return;
  fail_check("leak: the context of device %d ends with %zu bytes of device memory, %zu of host memory, %zu streams, %zu events and "
             "%zu modules in it",
             ctx->device, bytes, host, streams, ctx->events.size(), ctx->modules.size());
}

} // namespace

/* Kernels of a device may use a peer's memory while any context of that device has enabled it, or a
   pool of the peer's was opened to it. */
void update_peers(int device) {
  State &s = state();
  for (int to = 0; to < int(s.devices.size()); to++) {
    bool allowed = false;
    for (CUcontext c : s.contexts) allowed |= c->device == device && c->peers.count(to) != 0;
    for (CUmemoryPool p : s.pools) allowed |= p->device == to && p->access.count(device) != 0;
    if (to != device) sg_memory_set_peer(s.memory, device, to, allowed);
  }
}

void context_destroy(CUcontext ctx, Lock &lock) {
  State &s = state();

  context_wait(ctx, lock); /* memory whose release is in a queue is no leak */
  report_left(ctx);
  while (!ctx->streams.empty()) stream_end(*ctx->streams.begin(), lock);
  s.changed.wait(lock, [&] {
    for (const auto &lane : s.sched.lanes)
      if (lane->ctx == ctx && !lane->gone) return false;
    return true;
  });
  while (!ctx->events.empty()) {
    CUevent e = *ctx->events.begin();
    ctx->events.erase(e);
    s.events.erase(e);
    delete e;
  }
  while (!ctx->modules.empty()) module_end(*ctx->modules.begin());
  for (auto it = s.allocations.begin(); it != s.allocations.end();) {
    auto next = std::next(it);
    if (it->second.ctx == ctx) allocation_free(it);
    it = next;
  }
  pools_release(ctx->device, true);
  s.contexts.erase(ctx);
  s.ended_contexts.insert(ctx);
  update_peers(ctx->device);
  for (const auto &lane : s.sched.lanes)
    if (lane->ctx == ctx) lane->ctx = nullptr;
  delete ctx;
}

} // namespace sg

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev) {
  return call("cuDevicePrimaryCtxRetain", on_nothing, [&](CUcontext, Lock &) {
    if (pctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    Device &d = state().devices[size_t(dev)];
    if (d.primary == nullptr) {
      if (d.lost) return CUDA_ERROR_DEVICE_UNAVAILABLE;
      d.primary = context_create(dev, d.primary_flags, true);
    }
    d.primary_refs++;
    *pctx = d.primary;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice dev) {
  return call("cuDevicePrimaryCtxRelease", on_nothing_release, [&](CUcontext, Lock &lock) {
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    Device &d = state().devices[size_t(dev)];
    if (d.primary_refs == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--d.primary_refs == 0) {
      CUcontext ctx = d.primary;
      d.primary = nullptr;
      context_destroy(ctx, lock);
    }
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDevicePrimaryCtxReset(CUdevice dev) {
  return call("cuDevicePrimaryCtxReset", on_nothing_release, [&](CUcontext, Lock &lock) {
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    Device &d = state().devices[size_t(dev)];
    if (d.primary != nullptr) {
      CUcontext ctx = d.primary;
      d.primary = nullptr;
      context_destroy(ctx, lock);
      if (d.primary_refs > 0 && !d.lost) d.primary = context_create(dev, d.primary_flags, true);
    }
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned int flags) {
  return call("cuDevicePrimaryCtxSetFlags", on_nothing, [&](CUcontext, Lock &) {
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    if ((flags & ~unsigned(CU_CTX_FLAGS_MASK)) != 0 || (flags & CU_CTX_SCHED_MASK) > CU_CTX_SCHED_BLOCKING_SYNC)
      return CUDA_ERROR_INVALID_VALUE;
    Device &d = state().devices[size_t(dev)];
    d.primary_flags = flags;
    if (d.primary != nullptr) d.primary->flags = flags;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active) {
  return call("cuDevicePrimaryCtxGetState", on_nothing, [&](CUcontext, Lock &) {
    if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    *flags = state().devices[size_t(dev)].primary_flags;
    *active = state().devices[size_t(dev)].primary != nullptr;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxCreate(CUcontext *pctx, CUctxCreateParams *params, unsigned int flags, CUdevice dev) {
  return call("cuCtxCreate", on_nothing, [&](CUcontext, Lock &) {
    if (pctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (params != nullptr && (params->numExecAffinityParams != 0 || params->cigParams != nullptr)) return CUDA_ERROR_NOT_SUPPORTED;
    if (!device_valid(dev)) return CUDA_ERROR_INVALID_DEVICE;
    if (state().devices[size_t(dev)].lost) return CUDA_ERROR_DEVICE_UNAVAILABLE;
    *pctx = context_create(dev, flags, false);
    current_stack().push_back(*pctx);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxDestroy(CUcontext ctx) {
  return call("cuCtxDestroy", on_nothing_release, [&](CUcontext, Lock &lock) {
    if (ctx == nullptr || state().contexts.count(ctx) == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (ctx->primary) return CUDA_ERROR_INVALID_CONTEXT;
    if (current_context() == ctx) current_stack().pop_back();
    context_destroy(ctx, lock);
    return CUDA_SUCCESS;
  });
}

static bool context_valid(const char *name, CUcontext ctx) {
  if (state().contexts.count(ctx) != 0) return true;
  if (state().ended_contexts.count(ctx) != 0) fail_check("%s: the context has been destroyed", name);
  return false;
}

CUresult CUDAAPI cuCtxPushCurrent(CUcontext ctx) {
  return call("cuCtxPushCurrent", on_nothing, [&](CUcontext, Lock &) {
    if (!context_valid("cuCtxPushCurrent", ctx)) return CUDA_ERROR_INVALID_CONTEXT;
    current_stack().push_back(ctx);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxPopCurrent(CUcontext *pctx) {
  return call("cuCtxPopCurrent", on_nothing_release, [&](CUcontext, Lock &) {
    if (current_stack().empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (pctx != nullptr) *pctx = current_context();
    current_stack().pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxSetCurrent(CUcontext ctx) {
  return call("cuCtxSetCurrent", on_nothing, [&](CUcontext, Lock &) {
    if (ctx != nullptr && !context_valid("cuCtxSetCurrent", ctx)) return CUDA_ERROR_INVALID_CONTEXT;
    if (!current_stack().empty()) current_stack().pop_back();
    if (ctx != nullptr) current_stack().push_back(ctx);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetCurrent(CUcontext *pctx) {
  return call("cuCtxGetCurrent", on_nothing, [&](CUcontext, Lock &) {
    if (pctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pctx = current_context();
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetDevice(CUdevice *device) {
  return call("cuCtxGetDevice", {true, false, Kind::plain}, [&](CUcontext ctx, Lock &) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = ctx->device;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetFlags(unsigned int *flags) {
  return call("cuCtxGetFlags", {true, false, Kind::plain}, [&](CUcontext ctx, Lock &) {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = ctx->flags;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetId(CUcontext ctx, unsigned long long *id) {
  return call("cuCtxGetId", on_nothing, [&](CUcontext current, Lock &) {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (ctx == nullptr) ctx = current;
    if (ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (!context_valid("cuCtxGetId", ctx)) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *id = ctx->id;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetApiVersion(CUcontext ctx, unsigned int *version) {
  return call("cuCtxGetApiVersion", on_nothing, [&](CUcontext current, Lock &) {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (ctx == nullptr) ctx = current;
    if (ctx == nullptr || !context_valid("cuCtxGetApiVersion", ctx)) return CUDA_ERROR_INVALID_CONTEXT;
    *version = 3020;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxSynchronize(void) {
  return call("cuCtxSynchronize", on_wait, [&](CUcontext ctx, Lock &lock) {
    context_wait(ctx, lock);
    pools_release(ctx->device, false);
    return ctx->error;
  });
}

CUresult CUDAAPI cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  return call("cuCtxGetStreamPriorityRange", on_ctx, [&](CUcontext, Lock &) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxGetLimit(size_t *value, CUlimit limit) {
  return call("cuCtxGetLimit", on_ctx, [&](CUcontext, Lock &) {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (limit) {
    case CU_LIMIT_STACK_SIZE: *value = 1024; return CUDA_SUCCESS;
    case CU_LIMIT_PRINTF_FIFO_SIZE: *value = 7 << 20; return CUDA_SUCCESS;
    case CU_LIMIT_MALLOC_HEAP_SIZE: *value = 8 << 20; return CUDA_SUCCESS;
    default: return CUDA_ERROR_UNSUPPORTED_LIMIT;
    }
  });
}

CUresult CUDAAPI cuCtxEnablePeerAccess(CUcontext peer, unsigned int flags) {
  return call("cuCtxEnablePeerAccess", on_ctx, [&](CUcontext ctx, Lock &) {
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (!context_valid("cuCtxEnablePeerAccess", peer) || peer == ctx) return CUDA_ERROR_INVALID_CONTEXT;
    if (peer->device == ctx->device || state().config.links[size_t(ctx->device)][size_t(peer->device)] == Link::none)
      return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    if (!ctx->peers.insert(peer->device).second) return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
    update_peers(ctx->device);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuCtxDisablePeerAccess(CUcontext peer) {
  return call("cuCtxDisablePeerAccess", on_ctx, [&](CUcontext ctx, Lock &) {
    if (!context_valid("cuCtxDisablePeerAccess", peer)) return CUDA_ERROR_INVALID_CONTEXT;
    if (ctx->peers.erase(peer->device) == 0) return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
    update_peers(ctx->device);
    return CUDA_SUCCESS;
  });
}
