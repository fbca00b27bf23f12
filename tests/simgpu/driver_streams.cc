/* Streams, events and functions of the application's on streams. */
#include "driver_api.h"

#include <chrono>

using namespace sg;

namespace sg {
namespace {
int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
bool blocking(CUstream s) { return (s->flags & CU_STREAM_NON_BLOCKING) == 0; }
} // namespace

CUresult stream_make(CUcontext ctx, unsigned flags, int priority, CUstream *out) {
  State &s = state();
  auto made = std::make_unique<CUstream_st>();
  try {
    made->lane = lane_open(ctx, ctx->device);
  } catch (const std::system_error &) {
    return CUDA_ERROR_OUT_OF_MEMORY; /* no thread */
  }
  made->ctx = ctx;
  made->flags = flags;
  made->priority = priority;
  made->id = s.next_id++;
  s.streams.insert(made.get());
  ctx->streams.insert(made.get());
  *out = made.release();
  return CUDA_SUCCESS;
}

CUresult stream_resolve(CUcontext ctx, CUstream handle, CUstream *out) {
  State &s = state();
  CUresult r = CUDA_SUCCESS;

  if (handle == nullptr || handle == CU_STREAM_LEGACY) {
    if (ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (ctx->null_stream == nullptr) {
      r = stream_make(ctx, 0, 0, &ctx->null_stream);
      if (r == CUDA_SUCCESS) ctx->null_stream->null_stream = true;
    }
    *out = ctx->null_stream;
    return r;
  }
  if (handle == CU_STREAM_PER_THREAD) {
    if (ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    CUstream &mine = ctx->thread_streams[std::this_thread::get_id()];
    if (mine == nullptr) {
      r = stream_make(ctx, 0, 0, &mine);
      if (r == CUDA_SUCCESS) mine->thread_stream = true;
    }
    *out = mine;
    return r;
  }
  if (s.streams.count(handle) == 0) {
    fail_check("use of a stream that does not exist, or no longer");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  *out = handle;
  return CUDA_SUCCESS;
}

void stream_end(CUstream s, Lock &) {
  lane_close(s->lane);
  state().streams.erase(s);
  s->ctx->streams.erase(s);
  if (s->ctx->null_stream == s) s->ctx->null_stream = nullptr;
  delete s;
}

/* The legacy default stream and the blocking streams of its context wait for one another. */
Ticket stream_issue(CUstream s, std::unique_ptr<Op> op) {
  if (s->null_stream) {
    for (CUstream other : s->ctx->streams)
      if (other != s && blocking(other)) op->after.push_back(lane_last(other->lane));
  } else if (blocking(s) && s->ctx->null_stream != nullptr) {
    op->after.push_back(lane_last(s->ctx->null_stream->lane));
  }
  if (op->step && take_sticky_fault()) op->sticky_fault = true;
  return lane_issue(s->lane, std::move(op));
}

CUresult stream_wait(CUstream s, Lock &lock) {
  CUcontext ctx = s->ctx;
  std::vector<Ticket> last = {lane_last(s->lane)};
  if (s->null_stream)
    for (CUstream other : ctx->streams)
      if (blocking(other)) last.push_back(lane_last(other->lane));
  for (const Ticket &t : last) ticket_wait(t, lock);
  return state().contexts.count(ctx) != 0 ? ctx->error : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

void context_wait(CUcontext ctx, Lock &lock) {
  std::vector<Ticket> last;
  for (const auto &lane : state().sched.lanes) /* streams that were destroyed with work in them too */
    if (lane->ctx == ctx) last.push_back(lane_last(lane));
  for (const Ticket &t : last) ticket_wait(t, lock);
}

void device_wait(int device, Lock &lock) {
  std::vector<Ticket> last;
  for (const auto &lane : state().sched.lanes)
    if (lane->ctx != nullptr && lane->device == device) last.push_back(lane_last(lane));
  for (const Ticket &t : last) ticket_wait(t, lock);
}

namespace {

CUresult event_valid(CUevent e) {
  if (e == nullptr || state().events.count(e) == 0) {
    if (e != nullptr) fail_check("use of an event that does not exist, or no longer");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  return CUDA_SUCCESS;
}

template <class F> CUresult on_stream(const char *name, CUstream handle, F body) {
  return call(name, on_ctx, [&](CUcontext ctx, Lock &lock) {
    CUstream s = nullptr;
    CUresult r = stream_resolve(ctx, handle, &s);
    if (r == CUDA_SUCCESS && s->ctx->error != CUDA_SUCCESS) r = s->ctx->error;
    return r != CUDA_SUCCESS ? r : body(s, lock);
  });
}

template <class F> CUresult on_event(const char *name, CUevent e, F body) {
  return call(name, on_nothing, [&](CUcontext, Lock &lock) {
    CUresult r = event_valid(e);
    return r != CUDA_SUCCESS ? r : body(lock);
  });
}

} // namespace
} // namespace sg

CUresult CUDAAPI cuStreamCreate(CUstream *out, unsigned int flags) { return cuStreamCreateWithPriority(out, flags, 0); }

CUresult CUDAAPI cuStreamCreateWithPriority(CUstream *out, unsigned int flags, int priority) {
  return call("cuStreamCreate", on_ctx, [&](CUcontext ctx, Lock &) {
    if (out == nullptr || (flags & ~unsigned(CU_STREAM_NON_BLOCKING)) != 0) return CUDA_ERROR_INVALID_VALUE;
    return stream_make(ctx, flags, priority > 0 ? 0 : priority < -5 ? -5 : priority, out);
  });
}

CUresult CUDAAPI cuStreamDestroy(CUstream handle) {
  return call("cuStreamDestroy", on_release, [&](CUcontext, Lock &lock) {
    if (handle == nullptr || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) return CUDA_ERROR_INVALID_HANDLE;
    if (state().streams.count(handle) == 0) {
      fail_check("cuStreamDestroy of a stream that does not exist, or no longer");
      return CUDA_ERROR_INVALID_HANDLE;
    }
    if (handle->ctx->error != CUDA_SUCCESS) return handle->ctx->error;
    stream_end(handle, lock);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamSynchronize(CUstream handle) {
  /* In a context that has failed, too: what runs there has ended when the call returns, and the rest never begins. */
  return call("cuStreamSynchronize", on_wait, [&](CUcontext ctx, Lock &lock) {
    CUstream s = nullptr;
    CUresult r = stream_resolve(ctx, handle, &s);
    if (r == CUDA_SUCCESS) r = stream_wait(s, lock);
    if (r == CUDA_SUCCESS && state().contexts.count(ctx) != 0) pools_release(ctx->device, false);
    return r == CUDA_SUCCESS && state().contexts.count(ctx) != 0 ? ctx->error : r;
  });
}

CUresult CUDAAPI cuStreamQuery(CUstream handle) {
  return on_stream("cuStreamQuery", handle, [&](CUstream s, Lock &) {
    Ticket t = lane_last(s->lane);
    if (!t.complete()) return CUDA_ERROR_NOT_READY;
    host_learns(t.clock);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetCtx(CUstream handle, CUcontext *pctx) {
  return on_stream("cuStreamGetCtx", handle, [&](CUstream s, Lock &) {
    if (pctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pctx = s->ctx;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetFlags(CUstream handle, unsigned int *flags) {
  return on_stream("cuStreamGetFlags", handle, [&](CUstream s, Lock &) {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = s->flags;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetPriority(CUstream handle, int *priority) {
  return on_stream("cuStreamGetPriority", handle, [&](CUstream s, Lock &) {
    if (priority == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *priority = s->priority;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetId(CUstream handle, unsigned long long *id) {
  return on_stream("cuStreamGetId", handle, [&](CUstream s, Lock &) {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *id = s->id;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamGetDevice(CUstream handle, CUdevice *device) {
  return on_stream("cuStreamGetDevice", handle, [&](CUstream s, Lock &) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = s->ctx->device;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode) {
  return on_stream("cuStreamBeginCapture", handle, [&](CUstream, Lock &) { return CUDA_ERROR_NOT_SUPPORTED; });
}

CUresult CUDAAPI cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
  return on_stream("cuStreamIsCapturing", handle, [&](CUstream, Lock &) {
    if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuStreamWaitEvent(CUstream handle, CUevent e, unsigned int flags) {
  return on_stream("cuStreamWaitEvent", handle, [&](CUstream s, Lock &) {
    CUresult r = event_valid(e);
    if (r != CUDA_SUCCESS) return r;
    if ((flags & ~1u) != 0) return CUDA_ERROR_INVALID_VALUE;
    if (!e->recorded) return CUDA_SUCCESS; /* nothing to wait for */
    auto op = std::make_unique<Op>();
    op->what = "cuStreamWaitEvent";
    op->after.push_back(e->ticket);
    stream_issue(s, std::move(op));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuLaunchHostFunc(CUstream handle, CUhostFn fn, void *user) {
  return on_stream("cuLaunchHostFunc", handle, [&](CUstream s, Lock &) {
    if (fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
    auto op = std::make_unique<Op>();
    op->what = "cuLaunchHostFunc";
    op->tells_host = true; /* in a context that has failed it is not called, as the real driver does */
    op->run = [fn, user](Op &) {
      set_inside_host_function(true);
      fn(user);
      set_inside_host_function(false);
      return CUDA_SUCCESS;
    };
    stream_issue(s, std::move(op));
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuEventCreate(CUevent *out, unsigned int flags) {
  return call("cuEventCreate", on_ctx, [&](CUcontext ctx, Lock &) {
    unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    if (out == nullptr || (flags & ~known) != 0) return CUDA_ERROR_INVALID_VALUE;
    if ((flags & CU_EVENT_INTERPROCESS) != 0) return CUDA_ERROR_NOT_SUPPORTED;
    auto e = std::make_unique<CUevent_st>();
    e->ctx = ctx;
    e->flags = flags;
    state().events.insert(e.get());
    ctx->events.insert(e.get());
    *out = e.release();
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuEventDestroy(CUevent e) {
  return call("cuEventDestroy", on_release, [&](CUcontext, Lock &) {
    CUresult r = event_valid(e);
    if (r != CUDA_SUCCESS) return r;
    if (e->ctx->error != CUDA_SUCCESS) return e->ctx->error;
    e->ctx->events.erase(e);
    state().events.erase(e);
    delete e;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuEventRecord(CUevent e, CUstream handle) {
  return on_stream("cuEventRecord", handle, [&](CUstream s, Lock &) {
    CUresult r = event_valid(e);
    if (r != CUDA_SUCCESS) return r;
    if (e->ctx != s->ctx) return CUDA_ERROR_INVALID_HANDLE;
    auto time = std::make_shared<int64_t>(0);
    auto op = std::make_unique<Op>();
    op->what = "cuEventRecord";
    op->run = [time](Op &) {
      *time = now_ns();
      return CUDA_SUCCESS;
    };
    e->ticket = stream_issue(s, std::move(op));
    e->time_ns = time;
    e->recorded = true;
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuEventQuery(CUevent e) {
  return on_event("cuEventQuery", e, [&](Lock &) {
    if (e->ctx->error != CUDA_SUCCESS) return e->ctx->error;
    if (!e->recorded) return CUDA_SUCCESS;
    if (!e->ticket.complete()) return CUDA_ERROR_NOT_READY;
    host_learns(e->ticket.clock);
    return CUDA_SUCCESS;
  });
}

CUresult CUDAAPI cuEventSynchronize(CUevent e) {
  return on_event("cuEventSynchronize", e, [&](Lock &lock) {
    CUcontext ctx = e->ctx;
    if (e->recorded) {
      Ticket t = e->ticket;
      ticket_wait(t, lock);
    }
    if (state().contexts.count(ctx) == 0) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    pools_release(ctx->device, false);
    return ctx->error;
  });
}

CUresult CUDAAPI cuEventElapsedTime(float *ms, CUevent start, CUevent end) {
  return on_event("cuEventElapsedTime", start, [&](Lock &) {
    CUresult r = event_valid(end);
    if (r != CUDA_SUCCESS) return r;
    if (ms == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (start->ctx->error != CUDA_SUCCESS) return start->ctx->error;
    if (start->ctx != end->ctx || !start->recorded || !end->recorded) return CUDA_ERROR_INVALID_HANDLE;
    if (((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) != 0) return CUDA_ERROR_INVALID_HANDLE;
    if (!start->ticket.complete() || !end->ticket.complete()) return CUDA_ERROR_NOT_READY;
    host_learns(start->ticket.clock);
    host_learns(end->ticket.clock);
    *ms = float(double(*end->time_ns - *start->time_ns) * 1e-6);
    return CUDA_SUCCESS;
  });
}
