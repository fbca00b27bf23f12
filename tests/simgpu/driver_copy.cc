/*
 * Copies and memsets. What an asynchronous copy really promises is all that is kept: it runs later, on the stream's thread;
 * memory that the driver does not know is staged, pinned memory is read and written when the copy runs.
 */
#include "driver_api.h"

#include <atomic>
#include <cstring>
#include <thread>

using namespace sg;

namespace sg {
namespace {

enum class Way { up, down, inside, host };

struct Copy {
  Way way;
  uintptr_t dst, src;
  size_t width, rows, dst_pitch, src_pitch;
};

uint64_t mix(const Copy &c) {
  uint64_t h = 0x9e3779b97f4a7c15u;
  for (size_t r = 0; r < c.rows; r++) {
    const char *p = reinterpret_cast<const char *>(c.src + r * c.src_pitch);
    size_t i = 0;
    for (; i + 8 <= c.width; i += 8) {
      uint64_t w;
      memcpy(&w, p + i, 8);
      h = (h ^ w) * 0xff51afd7ed558ccdu;
      h ^= h >> 29;
    }
    for (; i < c.width; i++) h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
  }
  return h;
}

Touch source(const Copy &c) { return reads2(reinterpret_cast<void *>(c.src), c.width, c.src_pitch, c.rows); }
Touch target(const Copy &c) { return writes2(reinterpret_cast<void *>(c.dst), c.width, c.dst_pitch, c.rows); }
uintptr_t end_of(uintptr_t base, const Copy &c, size_t pitch) { return base + (c.rows - 1) * pitch + c.width; }

void move_bytes(const Copy &c) {
  for (size_t r = 0; r < c.rows; r++)
    memmove(reinterpret_cast<char *>(c.dst + r * c.dst_pitch), reinterpret_cast<char *>(c.src + r * c.src_pitch), c.width);
}

void count_copy(const Copy &c) {
  sg_sim_count_info &n = state().counts;
  size_t bytes = c.width * c.rows;
  n.copies++;
  if (c.way == Way::up) n.up_bytes += bytes;
  if (c.way == Way::down) n.down_bytes += bytes;
  if (c.way == Way::inside) (pointer_device(c.dst) != pointer_device(c.src) ? n.peer_bytes : n.device_bytes) += bytes;
}

/* The device's side of a copy is looked up when it is asked for, as the real driver does. */
CUresult known(const char *name, uintptr_t p, size_t bytes) {
  if (sg_memory_find(state().memory, p, bytes, nullptr)) return CUDA_SUCCESS;
  fail_check("%s: %zu bytes at %#llx are not in one live allocation", name, bytes, (unsigned long long)p);
  return CUDA_ERROR_INVALID_VALUE;
}

struct Pending {
  Copy copy;
  bool dst_checked, src_checked; /* the registry knows it */
  std::vector<char> stage;       /* the source, where it is pageable */
  bool hashed = false;
  uint64_t hash = 0;
  bool held_back = false; /* the host has no right to its pinned memory until the copy's end */
};

/* May a change of these host bytes before the copy runs only be the application's mistake? */
bool host_must_wait(const Touch &t) { return !pending_touches(t); }

std::atomic<bool> holding{false};
std::atomic<int> held_up{0}, held_down{0};

/* A test wants to see what goes on meanwhile. */
void hold(const Copy &c) {
  if (!holding || (c.way != Way::up && c.way != Way::down)) return;
  std::atomic<int> &n = c.way == Way::up ? held_up : held_down;
  n++;
  while (holding) std::this_thread::sleep_for(std::chrono::microseconds(200));
  n--;
}

CUresult run_copy(const char *name, Pending &p) {
  const Copy &c = p.copy;
  hold(c);
  std::shared_lock<std::shared_mutex> guard(state().mapping);
  CUresult r = CUDA_SUCCESS;

  Touch from = source(c);
  /* what nobody wrote may be copied between devices and to memory that the driver knows, where chunks rest that are not full yet: the
     copy is then as unwritten. To other memory of the host, where results go, only as padding */
  from.write = c.way == Way::inside || (c.way == Way::down && p.dst_checked);
  if (c.way == Way::down && !p.dst_checked && c.rows == 1 && !sg_memory_is_written(state().memory, c.src, c.width))
    from.write = sg_memory_is_padded(state().memory, c.src, c.width) != 0;
  if (p.src_checked) r = check_touch(name, from, -1);
  if (r == CUDA_SUCCESS && p.dst_checked) r = check_touch(name, target(c), -1);
  if (r != CUDA_SUCCESS) return r;
  if (p.hashed && mix(c) != p.hash)
    fail_check("%s: the host changed its source at %#llx before the copy had run", name, (unsigned long long)c.src);
  if (c.way == Way::down && p.held_back)
    for (size_t row = 0; row < c.rows; row++)
      guard_write(c.dst + row * c.dst_pitch, reinterpret_cast<void *>(c.src + row * c.src_pitch), c.width);
  else move_bytes(c);
  if (c.way == Way::inside)
    for (size_t row = 0; row < c.rows; row++)
      sg_memory_copy_marks(state().memory, c.dst + row * c.dst_pitch, c.src + row * c.src_pitch, c.width);
  else if (p.dst_checked) mark_touch(target(c));
  if ((c.way == Way::up && p.src_checked) || (c.way == Way::down && p.dst_checked))
    for (size_t row = 0; row < c.rows; row++)
      (c.way == Way::up ? sg_memory_marks_up : sg_memory_marks_down)(state().memory, c.dst + row * c.dst_pitch, c.src + row * c.src_pitch, c.width);
  return CUDA_SUCCESS;
}

/* Before the lock may be lost: what becomes of host memory. Pinned targets are spoiled at once, so that who reads them too
   early sees it; pinned sources are remembered. */
void prepare_host(Pending &p, bool async, Lock &lock) {
  Copy &c = p.copy;

  if (c.way == Way::up && !p.src_checked) {
    p.stage.resize(c.width * c.rows);
    Copy to_stage = c;
    to_stage.dst = uintptr_t(p.stage.data());
    to_stage.dst_pitch = c.width;
    lock.unlock();
    move_bytes(to_stage);
    lock.lock();
    c.src = to_stage.dst;
    c.src_pitch = c.width;
  } else if (c.way == Way::up && async && host_must_wait(source(c))) {
    lock.unlock();
    p.hash = mix(c);
    p.hashed = p.held_back = true;
    lock.lock();
  } else if (c.way == Way::down && async && p.dst_checked && host_must_wait(target(c))) {
    lock.unlock();
    for (size_t r = 0; r < c.rows; r++) memset(reinterpret_cast<char *>(c.dst + r * c.dst_pitch), 0xdb, c.width);
    p.held_back = true;
    lock.lock();
  }
}

CUresult copy_on(const char *name, CUstream s, const Copy &c, bool async, Lock &lock) {
  auto p = std::make_shared<Pending>();
  CUresult r;

  if (c.width == 0 || c.rows == 0) return CUDA_SUCCESS;
  p->copy = c;
  p->src_checked = c.way == Way::down || c.way == Way::inside || host_range_known(reinterpret_cast<void *>(c.src), end_of(0, c, c.src_pitch));
  p->dst_checked = c.way == Way::up || c.way == Way::inside || host_range_known(reinterpret_cast<void *>(c.dst), end_of(0, c, c.dst_pitch));
  if (p->src_checked && (r = known(name, c.src, end_of(0, c, c.src_pitch))) != CUDA_SUCCESS) return r;
  if (p->dst_checked && (r = known(name, c.dst, end_of(0, c, c.dst_pitch))) != CUDA_SUCCESS) return r;
  bool waits = c.way == Way::host || (c.way == Way::down && !p->dst_checked) || (!async && c.way != Way::inside);
  auto op = std::make_unique<Op>();
  op->what = name;
  op->step = true;
  if (p->stage.empty() && p->src_checked) op->touches.push_back(source(c));
  if (p->dst_checked) op->touches.push_back(target(c));
  bool sticky = take_sticky_fault();
  prepare_host(*p, async, lock);
  op->sticky_fault = sticky;
  op->run = [p, name](Op &) { return run_copy(name, *p); };
  op->finish = [p] { count_copy(p->copy); };
  CUcontext ctx = s->ctx;
  Ticket t = stream_issue(s, std::move(op));
  if (!waits) {
    if (p->held_back) guard_protect(t, c.way == Way::down ? target(c) : source(c), name);
    return CUDA_SUCCESS;
  }
  ticket_wait(t, lock);
  return state().contexts.count(ctx) != 0 ? ctx->error : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult copy_call(const char *name, CUstream handle, const Copy &c, bool async) {
  return call(name, on_copy, [&](CUcontext ctx, Lock &lock) {
    CUstream s = nullptr;
    CUresult r = stream_resolve(ctx, handle, &s);
    if (r == CUDA_SUCCESS && s->ctx->error != CUDA_SUCCESS) r = s->ctx->error;
    if (r == CUDA_SUCCESS && c.width != 0 && (c.dst == 0 || c.src == 0)) r = CUDA_ERROR_INVALID_VALUE;
    return r != CUDA_SUCCESS ? r : copy_on(name, s, c, async, lock);
  });
}

Copy flat(Way way, uintptr_t dst, uintptr_t src, size_t bytes) { return {way, dst, src, bytes, 1, bytes, bytes}; }

/* For copies between pointers of any kind. */
Way way_of(uintptr_t dst, uintptr_t src) {
  bool to = pointer_device(dst) >= 0, from = pointer_device(src) >= 0;
  return to && from ? Way::inside : to ? Way::up : from ? Way::down : Way::host;
}

CUresult copy_2d(const char *name, const CUDA_MEMCPY2D *d, CUstream handle, bool async) {
  uintptr_t dst = 0, src = 0;
  bool dst_host = false, src_host = false;

  if (d == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (d->srcMemoryType) {
  case CU_MEMORYTYPE_HOST: src = uintptr_t(d->srcHost), src_host = true; break;
  case CU_MEMORYTYPE_DEVICE: src = uintptr_t(d->srcDevice); break;
  case CU_MEMORYTYPE_UNIFIED: src = uintptr_t(d->srcDevice), src_host = pointer_device(src) < 0; break;
  default: return CUDA_ERROR_NOT_SUPPORTED; /* arrays */
  }
  switch (d->dstMemoryType) {
  case CU_MEMORYTYPE_HOST: dst = uintptr_t(d->dstHost), dst_host = true; break;
  case CU_MEMORYTYPE_DEVICE: dst = uintptr_t(d->dstDevice); break;
  case CU_MEMORYTYPE_UNIFIED: dst = uintptr_t(d->dstDevice), dst_host = pointer_device(dst) < 0; break;
  default: return CUDA_ERROR_NOT_SUPPORTED;
  }
  size_t src_pitch = d->srcPitch != 0 ? d->srcPitch : d->WidthInBytes, dst_pitch = d->dstPitch != 0 ? d->dstPitch : d->WidthInBytes;
  if (d->srcXInBytes + d->WidthInBytes > src_pitch || d->dstXInBytes + d->WidthInBytes > dst_pitch) {
    if (d->Height > 1) return CUDA_ERROR_INVALID_VALUE;
  }
  if (src_pitch > 2147483647u || dst_pitch > 2147483647u) return CUDA_ERROR_INVALID_VALUE; /* MAX_PITCH */
  Way way = src_host ? (dst_host ? Way::host : Way::up) : dst_host ? Way::down : Way::inside;
  Copy c = {way,       dst + d->dstY * dst_pitch + d->dstXInBytes, src + d->srcY * src_pitch + d->srcXInBytes,
            d->WidthInBytes, d->Height, dst_pitch, src_pitch};
  return copy_call(name, handle, c, async);
}

CUresult set_call(const char *name, CUstream handle, uintptr_t dst, size_t pitch, unsigned value, size_t element, size_t width,
                  size_t rows) {
  return call(name, on_copy, [&](CUcontext ctx, Lock &) {
    CUstream s = nullptr;
    CUresult r = stream_resolve(ctx, handle, &s);
    if (r == CUDA_SUCCESS && s->ctx->error != CUDA_SUCCESS) r = s->ctx->error;
    if (r != CUDA_SUCCESS) return r;
    if (dst % element != 0 || (rows > 1 && pitch % element != 0)) return CUDA_ERROR_INVALID_VALUE;
    if (width == 0 || rows == 0) return CUDA_SUCCESS;
    Touch t = writes2(reinterpret_cast<void *>(dst), width * element, rows > 1 ? pitch : width * element, rows);
    r = known(name, dst, (rows - 1) * t.pitch + t.width);
    if (r != CUDA_SUCCESS) return r;
    auto op = std::make_unique<Op>();
    op->what = name;
    op->step = true;
    op->touches.push_back(t);
    op->run = [=](Op &) {
      std::shared_lock<std::shared_mutex> guard(state().mapping);
      CUresult checked = check_touch(name, t, -1);
      if (checked != CUDA_SUCCESS) return checked;
      for (size_t row = 0; row < t.rows; row++) {
        char *at = reinterpret_cast<char *>(t.base + row * t.pitch);
        if (element == 1) memset(at, int(value & 0xff), width);
        else
          for (size_t i = 0; i < width; i++) memcpy(at + i * element, &value, element); /* little endian */
      }
      mark_touch(t);
      return CUDA_SUCCESS;
    };
    stream_issue(s, std::move(op));
    return CUDA_SUCCESS;
  });
}

uintptr_t addr(const void *p) { return uintptr_t(p); }

} // namespace
} // namespace sg

CUresult CUDAAPI cuMemcpyHtoD(CUdeviceptr dst, const void *src, size_t n) {
  return copy_call("cuMemcpyHtoD", nullptr, flat(Way::up, uintptr_t(dst), addr(src), n), false);
}
CUresult CUDAAPI cuMemcpyDtoH(void *dst, CUdeviceptr src, size_t n) {
  return copy_call("cuMemcpyDtoH", nullptr, flat(Way::down, addr(dst), uintptr_t(src), n), false);
}
CUresult CUDAAPI cuMemcpyDtoD(CUdeviceptr dst, CUdeviceptr src, size_t n) {
  return copy_call("cuMemcpyDtoD", nullptr, flat(Way::inside, uintptr_t(dst), uintptr_t(src), n), false);
}
CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr dst, const void *src, size_t n, CUstream s) {
  return copy_call("cuMemcpyHtoDAsync", s, flat(Way::up, uintptr_t(dst), addr(src), n), true);
}
CUresult CUDAAPI cuMemcpyDtoHAsync(void *dst, CUdeviceptr src, size_t n, CUstream s) {
  return copy_call("cuMemcpyDtoHAsync", s, flat(Way::down, addr(dst), uintptr_t(src), n), true);
}
CUresult CUDAAPI cuMemcpyDtoDAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s) {
  return copy_call("cuMemcpyDtoDAsync", s, flat(Way::inside, uintptr_t(dst), uintptr_t(src), n), true);
}
CUresult CUDAAPI cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t n) {
  return copy_call("cuMemcpy", nullptr, flat(way_of(uintptr_t(dst), uintptr_t(src)), uintptr_t(dst), uintptr_t(src), n), false);
}
CUresult CUDAAPI cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s) {
  return copy_call("cuMemcpyAsync", s, flat(way_of(uintptr_t(dst), uintptr_t(src)), uintptr_t(dst), uintptr_t(src), n), true);
}

static bool peers_valid(CUcontext a, CUcontext b) {
  Lock lock(state().mutex);
  return state().contexts.count(a) != 0 && state().contexts.count(b) != 0;
}

CUresult CUDAAPI cuMemcpyPeer(CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n) {
  if (!peers_valid(to, from)) return CUDA_ERROR_INVALID_CONTEXT;
  return copy_call("cuMemcpyPeer", nullptr, flat(Way::inside, uintptr_t(dst), uintptr_t(src), n), false);
}
CUresult CUDAAPI cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n, CUstream s) {
  if (!peers_valid(to, from)) return CUDA_ERROR_INVALID_CONTEXT;
  return copy_call("cuMemcpyPeerAsync", s, flat(Way::inside, uintptr_t(dst), uintptr_t(src), n), true);
}
CUresult CUDAAPI cuMemcpy2D(const CUDA_MEMCPY2D *d) { return copy_2d("cuMemcpy2D", d, nullptr, false); }
CUresult CUDAAPI cuMemcpy2DUnaligned(const CUDA_MEMCPY2D *d) { return copy_2d("cuMemcpy2DUnaligned", d, nullptr, false); }
CUresult CUDAAPI cuMemcpy2DAsync(const CUDA_MEMCPY2D *d, CUstream s) { return copy_2d("cuMemcpy2DAsync", d, s, true); }

CUresult CUDAAPI cuMemsetD8(CUdeviceptr p, unsigned char v, size_t n) { return set_call("cuMemsetD8", nullptr, uintptr_t(p), 0, v, 1, n, 1); }
CUresult CUDAAPI cuMemsetD16(CUdeviceptr p, unsigned short v, size_t n) { return set_call("cuMemsetD16", nullptr, uintptr_t(p), 0, v, 2, n, 1); }
CUresult CUDAAPI cuMemsetD32(CUdeviceptr p, unsigned int v, size_t n) { return set_call("cuMemsetD32", nullptr, uintptr_t(p), 0, v, 4, n, 1); }
CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, CUstream s) {
  return set_call("cuMemsetD8Async", s, uintptr_t(p), 0, v, 1, n, 1);
}
CUresult CUDAAPI cuMemsetD16Async(CUdeviceptr p, unsigned short v, size_t n, CUstream s) {
  return set_call("cuMemsetD16Async", s, uintptr_t(p), 0, v, 2, n, 1);
}
CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr p, unsigned int v, size_t n, CUstream s) {
  return set_call("cuMemsetD32Async", s, uintptr_t(p), 0, v, 4, n, 1);
}
CUresult CUDAAPI cuMemsetD2D8Async(CUdeviceptr p, size_t pitch, unsigned char v, size_t w, size_t h, CUstream s) {
  return set_call("cuMemsetD2D8Async", s, uintptr_t(p), pitch, v, 1, w, h);
}
CUresult CUDAAPI cuMemsetD2D32Async(CUdeviceptr p, size_t pitch, unsigned int v, size_t w, size_t h, CUstream s) {
  return set_call("cuMemsetD2D32Async", s, uintptr_t(p), pitch, v, 4, w, h);
}

extern "C" __attribute__((visibility("default"))) void sg_sim_hold_copies(int hold) { sg::holding = hold != 0; }
extern "C" __attribute__((visibility("default"))) void sg_sim_held_copies(int *up, int *down) {
  *up = sg::held_up;
  *down = sg::held_down;
}
