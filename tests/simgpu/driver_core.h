/*
 * The stand-in driver's objects, and what its parts share.
 *
 * Layer: tests/simgpu, inside libcuda.so.1.
 * Threads: one lock (sg::State::mutex) guards everything here; the work of streams runs without it.
 */
#pragma once
#pragma GCC visibility push(default)
#include <cuda.h>
#pragma GCC visibility pop

#include "driver_guard.h"
#include "driver_stream.h"
#include "memory.h"
#include "ptx.h"
#include "simgpu.h"

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace sg {

enum class Link { none, pcie, nvlink };

/* The environment. */
struct Config {
  int devices = 1;
  size_t bytes = size_t(1) << 30;
  int cc_major = 9, cc_minor = 0;
  std::vector<std::vector<Link>> links; /* [devices][devices] */
  uint64_t seed = 0;                    /* 0: no delays */
  int driver = 0;                       /* version that it says it is of, 0: the headers' */
  std::string report;
  bool guard = true; /* pages of pending copies are protected */
  std::string machine; /* folder with the PTX of machine code, see machine_code.h */
};

/* What a driver call is to the fault plan. */
enum class Kind { plain, alloc, copy, launch, release, free_of_charge };

struct FaultPlan {
  struct Entry {
    Kind kind;
    bool any_call;
    bool nccl;
    uint64_t at;
    bool sticky;
  };
  std::vector<Entry> entries;
  struct Loss {
    int device;
    uint64_t step;
  };
  std::vector<Loss> losses;
  uint64_t calls = 0, allocs = 0, copies = 0, launches = 0, nccl_calls = 0;
};

struct Device {
  size_t used = 0;       /* bytes of allocations, rounded as the driver rounds, and what pools keep */
  size_t pending_free = 0; /* bytes of no pool whose stream-ordered free has been issued and not run */
  uint64_t steps = 0;    /* copies, memsets and launches run */
  bool lost = false;
  CUcontext primary = nullptr;
  unsigned primary_flags = 0;
  int primary_refs = 0;
  CUmemoryPool default_pool = nullptr, current_pool = nullptr;
};

/* One allocation of the application's: device memory, pinned memory or a registration. */
struct Allocation {
  size_t bytes = 0, charged = 0, mapped = 0;
  int device = -1;
  CUcontext ctx = nullptr; /* whose end frees it; NULL: of a pool */
  CUmemoryPool pool = nullptr;
  sg_memory_kind kind = SG_MEMORY_DEVICE;
  unsigned flags = 0;
  bool freeing = false; /* cuMemFreeAsync was called */
  uint64_t id = 0;
};

struct State {
  std::mutex mutex;
  std::condition_variable changed;
  bool initialised = false;
  Config config;
  FaultPlan faults;
  sg_memory *memory = nullptr;
  std::vector<Device> devices;
  std::set<CUcontext> contexts, ended_contexts;
  std::set<CUstream> streams;
  std::set<CUevent> events;
  std::set<CUmodule> modules;
  std::set<CUfunction> functions;
  std::set<CUmemoryPool> pools;
  std::map<uintptr_t, Allocation> allocations; /* by address */
  int communicators = 0, handles = 0;
  uint64_t next_id = 1, next_pointer_id = 1;
  sg_sim_count_info counts = {};
  struct KernelCount {
    uint64_t launches = 0, read = 0, written = 0, sectors = 0;
  };
  std::map<std::string, KernelCount> kernels;
  Scheduler sched;
  /* Work that touches memory holds it shared, what unmaps memory holds it alone. Nobody who holds it takes `mutex`. */
  std::shared_mutex mapping;
  std::vector<std::pair<void *, size_t>> unmap_later;
  std::deque<std::pair<void *, size_t>> resting; /* freed addresses */
};

State &state(); /* made at the first use, never destroyed: threads may outlive main */
using Lock = std::unique_lock<std::mutex>;

/* driver_config.cc */
bool config_parse(const std::string &text, Config *config, FaultPlan *faults, std::string *why);
bool config_from_environment(Config *config, FaultPlan *faults, std::string *why);

/* driver_report.cc: a failed check, with or without the state's lock held. */
void fail_check(const char *format, ...) __attribute__((format(printf, 1, 2)));
size_t failed_checks();
std::string failed_check(size_t i);
void forget_failed_checks();
void set_report_file(const std::string &path);

/* driver_api.cc: what stands at the head of every call. */
struct Gate {
  bool ctx;    /* needs a current context */
  bool sticky; /* fails where the current context has failed */
  Kind kind;
};
constexpr Gate on_nothing{false, false, Kind::plain}, on_ctx{true, true, Kind::plain}, on_wait{true, false, Kind::plain}, on_alloc{true, true, Kind::alloc},
    on_copy{true, true, Kind::copy}, on_launch{true, true, Kind::launch}, on_release{true, true, Kind::release},
    on_nothing_release{false, false, Kind::release};

/* CUDA_SUCCESS, or what the call returns at once. *injected: what the call returns in place of success (release calls do
   their work all the same, as the real ones report errors of earlier work). */
CUresult gate_enter(const char *name, const Gate &gate, Lock &lock, CUcontext *ctx, CUresult *injected);

template <class F> CUresult call(const char *name, const Gate &gate, F body) {
  CUcontext ctx = nullptr;
  CUresult injected = CUDA_SUCCESS, result;
  InsideDriver inside;
  Lock lock(state().mutex);

  try {
    result = gate_enter(name, gate, lock, &ctx, &injected);
    if (result == CUDA_SUCCESS) result = body(ctx, lock);
  } catch (const std::bad_alloc &) {
    result = CUDA_ERROR_OUT_OF_MEMORY;
  }
  return result == CUDA_SUCCESS ? injected : result;
}

bool take_fault(Kind kind); /* counts a call for the fault plan; true: it is to fail */
CUcontext current_context();
bool inside_host_function();
/* Whether the fault plan wants this copy or launch to fail when it runs; counted by gate_enter. */
bool take_sticky_fault();

/* driver_context.cc */
CUcontext context_create(int device, unsigned flags, bool primary);
void context_destroy(CUcontext ctx, Lock &lock); /* waits for its work and frees all that is its */
bool device_valid(CUdevice dev);
void device_uuid(int dev, unsigned char bytes[16]);
void update_peers(int device); /* of the registry, from contexts and pools */

/* driver_streams.cc */
CUresult stream_resolve(CUcontext ctx, CUstream handle, CUstream *out); /* NULL and the special handles too */
CUresult stream_make(CUcontext ctx, unsigned flags, int priority, CUstream *out);
void stream_end(CUstream s, Lock &lock);
void context_wait(CUcontext ctx, Lock &lock);
void device_wait(int device, Lock &lock);
/* Give one piece of work to a stream. */
Ticket stream_issue(CUstream s, std::unique_ptr<Op> op);
CUresult stream_wait(CUstream s, Lock &lock);

/* driver_memory.cc */
CUresult device_allocate(CUcontext ctx, int device, CUmemoryPool pool, size_t bytes, Lock &lock, CUdeviceptr *out);
void allocation_free(std::map<uintptr_t, Allocation>::iterator it);

/* driver_pool.cc: what pools of a device hold beyond their release thresholds goes back to it; all that is unused, where `all`. */
void pools_release(int device, bool all);
bool host_range_known(const void *p, size_t bytes); /* pinned or registered */

/* driver_check.cc, without the lock, `mapping` held shared: is the memory there; CUDA_ERROR_ILLEGAL_ADDRESS and a failed
   check if not. device: -1 where peer access does not matter. */
CUresult check_touch(const char *what, const Touch &t, int device);
void mark_touch(const Touch &t); /* written now */
int pointer_device(uintptr_t p); /* of live device memory, module variables too; -1 */

/* driver_module.cc */
void module_end(CUmodule module);

} // namespace sg

struct CUctx_st {
  int device = 0;
  unsigned flags = 0;
  bool primary = false;
  CUresult error = CUDA_SUCCESS; /* sticky */
  uint64_t id = 0;
  std::set<int> peers; /* devices whose memory it may access */
  std::set<CUstream> streams;
  std::set<CUevent> events;
  std::set<CUmodule> modules;
  CUstream null_stream = nullptr;
  std::map<std::thread::id, CUstream> thread_streams;
};

struct CUstream_st {
  CUcontext ctx = nullptr;
  std::shared_ptr<sg::Lane> lane;
  unsigned flags = 0;
  int priority = 0;
  uint64_t id = 0;
  bool null_stream = false, thread_stream = false;
};

struct CUevent_st {
  CUcontext ctx = nullptr;
  unsigned flags = 0;
  bool recorded = false;
  sg::Ticket ticket;
  std::shared_ptr<int64_t> time_ns; /* of the latest record */
};

struct CUmemPoolHandle_st {
  int device = 0;
  bool owned_by_device = false;
  size_t used = 0, used_high = 0; /* less what has been asked to be freed: allocations behind that may have it, whatever their stream */
  size_t pending = 0;             /* of that, what has not been freed yet */
  size_t reserved = 0, reserved_high = 0; /* of the device's memory: used, pending, and freed but kept */
  uint64_t threshold = 0;
  int reuse[3] = {1, 1, 1};
  size_t max_bytes = 0;
  std::set<int> access;
};

struct CUmod_st {
  CUcontext ctx = nullptr;
  sg_ptx_module *ptx = nullptr;
  std::map<std::string, CUfunction> functions;
};

struct CUfunc_st {
  CUmodule module = nullptr;
  const sg_ptx_kernel *kernel = nullptr;
  int dynamic_shared_limit = 48 * 1024, carveout = -1, cache = 0;
};
