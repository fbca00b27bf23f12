/* What tests ask of the platform, and what the other stand-ins ask of the driver. Contracts: simgpu.h, driver_export.h. */
#include "driver_api.h"

#include <cstring>

using namespace sg;

#define SIM_API extern "C" __attribute__((visibility("default")))

static std::string &last_error() {
  static std::string *text = new std::string;
  return *text;
}

/* Devices as the configuration says; nothing may be alive. */
void sg::state_rebuild() {
  State &s = state();
  sg_memory_destroy(s.memory);
  s.devices.assign(size_t(s.config.devices), Device());
  s.memory = sg_memory_create(s.config.devices);
  s.sched.history.clear();
}

static void end_everything(Lock &lock) {
  State &s = state();
  while (!s.contexts.empty()) context_destroy(*s.contexts.begin(), lock);
  for (auto &a : s.allocations) a.second.pool = nullptr;
  for (CUmemoryPool p : s.pools) delete p;
  s.pools.clear();
  while (!s.allocations.empty()) allocation_free(s.allocations.begin());
  s.ended_contexts.clear();
}

SIM_API void sg_sim_reset(void) {
  State &s = state();
  Lock lock(s.mutex);
  std::string why;

  end_everything(lock);
  current_stack().clear();
  s.initialised = false;
  config_from_environment(&s.config, &s.faults, &why);
  s.counts = sg_sim_count_info();
  s.kernels.clear();
  s.communicators = s.handles = 0;
  s.sched.random.seed(s.config.seed);
  s.sched.reports = 0;
  state_rebuild();
  set_report_file(s.config.report);
  forget_failed_checks();
}

SIM_API int sg_sim_configure(const char *text) {
  State &s = state();
  Lock lock(s.mutex);
  Config config = s.config;
  FaultPlan faults = s.faults;
  std::string why;

  last_error().clear();
  if (!config_parse(text, &config, &faults, &why)) {
    last_error() = why;
    return -1;
  }
  bool rebuild = config.devices != s.config.devices || config.bytes != s.config.bytes || config.cc_major != s.config.cc_major ||
                 config.cc_minor != s.config.cc_minor || config.links != s.config.links;
  if (rebuild && !s.contexts.empty()) {
    last_error() = "devices, bytes, cc and links cannot change while a context exists";
    return -1;
  }
  s.config = config;
  s.faults = faults;
  s.sched.random.seed(config.seed);
  set_report_file(config.report);
  if (rebuild) {
    end_everything(lock);
    state_rebuild();
  }
  for (Device &d : s.devices) {
    d.steps = 0;
    d.lost = d.lost && !s.contexts.empty(); /* the next application finds it in order */
  }
  return 0;
}

SIM_API const char *sg_sim_error(void) { return last_error().c_str(); }

SIM_API void sg_sim_live(sg_sim_live_info *out) {
  State &s = state();
  Lock lock(s.mutex);
  memset(out, 0, sizeof *out);
  for (const auto &a : s.allocations) switch (a.second.kind) {
    case SG_MEMORY_PINNED: out->pinned_bytes += a.second.bytes; break;
    case SG_MEMORY_MAPPED: out->registered_bytes += a.second.bytes; break;
    default: out->device_bytes += a.second.bytes; break;
    }
  for (CUstream st : s.streams) out->streams += !st->null_stream && !st->thread_stream;
  for (CUmemoryPool p : s.pools) out->pools += !p->owned_by_device;
  out->events = int(s.events.size());
  out->modules = int(s.modules.size());
  out->contexts = int(s.contexts.size());
  out->communicators = s.communicators;
  out->handles = s.handles;
}

SIM_API size_t sg_sim_failed_checks(char *first, size_t size) {
  if (first != nullptr && size > 0) snprintf(first, size, "%s", failed_check(0).c_str());
  return failed_checks();
}

SIM_API void sg_sim_failed_check(size_t i, char *text, size_t size) {
  if (text != nullptr && size > 0) snprintf(text, size, "%s", failed_check(i).c_str());
}

SIM_API void sg_sim_forget_failed_checks(void) { forget_failed_checks(); }

SIM_API void sg_sim_counts(sg_sim_count_info *out) {
  Lock lock(state().mutex);
  *out = state().counts;
}

SIM_API int sg_sim_kernel_counts(const char *name, uint64_t *launches, uint64_t *read_bytes, uint64_t *written_bytes) {
  State &s = state();
  Lock lock(s.mutex);
  auto it = s.kernels.find(name);
  State::KernelCount k = it != s.kernels.end() ? it->second : State::KernelCount();
  if (launches != nullptr) *launches = k.launches;
  if (read_bytes != nullptr) *read_bytes = k.read;
  if (written_bytes != nullptr) *written_bytes = k.written;
  return it != s.kernels.end();
}

SIM_API uint64_t sg_sim_kernel_sectors(const char *name) {
  State &s = state();
  Lock lock(s.mutex);
  auto it = s.kernels.find(name);
  return it != s.kernels.end() ? it->second.sectors : 0;
}

SIM_API uint64_t sg_sim_calls(void) {
  Lock lock(state().mutex);
  return state().faults.calls;
}

SIM_API uint64_t sg_sim_nccl_calls(void) {
  Lock lock(state().mutex);
  return state().faults.nccl_calls;
}

namespace sg {

static CUresult check_all(const char *what, const std::vector<Touch> &touches, int device) {
  CUresult r = CUDA_SUCCESS;
  for (size_t i = 0; i < touches.size() && r == CUDA_SUCCESS; i++) r = check_touch(what, touches[i], device);
  return r;
}

CUresult export_enqueue(CUstream handle, const char *what, std::vector<Touch> touches, std::function<CUresult()> body, bool waits) {
  State &s = state();
  Lock lock(s.mutex);
  CUstream stream = nullptr;

  if (!s.initialised) return CUDA_ERROR_NOT_INITIALIZED;
  if (!waits && take_fault(Kind::launch)) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES; /* NCCL's calls have their own count */
  CUresult r = stream_resolve(current_context(), handle, &stream);
  if (r != CUDA_SUCCESS) return r;
  if (stream->ctx->error != CUDA_SUCCESS) return stream->ctx->error;
  auto op = std::make_unique<Op>();
  op->what = what;
  op->step = true;
  op->touches = std::move(touches);
  int device = stream->ctx->device;
  op->run = [what, device, waits, body = std::move(body)](Op &self) {
    std::shared_lock<std::shared_mutex> guard(state().mapping);
    CUresult ran = check_all(what, self.touches, device);
    if (waits) guard.unlock(); /* or memory could not be unmapped meanwhile */
    if (ran == CUDA_SUCCESS) ran = body();
    if (ran == CUDA_SUCCESS)
      for (const Touch &t : self.touches) mark_touch(t);
    return ran;
  };
  stream_issue(stream, std::move(op));
  return CUDA_SUCCESS;
}

int export_stream_device(CUstream handle) {
  State &s = state();
  Lock lock(s.mutex);
  CUstream stream = nullptr;
  return stream_resolve(current_context(), handle, &stream) == CUDA_SUCCESS ? stream->ctx->device : -1;
}

int export_pointer_device(const void *p) { return pointer_device(uintptr_t(p)); }

int export_current_device() {
  State &s = state();
  Lock lock(s.mutex);
  CUcontext ctx = current_context();
  return ctx != nullptr && s.contexts.count(ctx) != 0 ? ctx->device : -1;
}

CUresult export_context_error() {
  State &s = state();
  Lock lock(s.mutex);
  CUcontext ctx = current_context();
  if (!s.initialised) return CUDA_ERROR_NOT_INITIALIZED;
  return ctx == nullptr || s.contexts.count(ctx) == 0 ? CUDA_ERROR_INVALID_CONTEXT : ctx->error;
}

CUresult export_create() {
  CUresult r = export_context_error();
  if (r != CUDA_SUCCESS) return r;
  Lock lock(state().mutex);
  if (take_fault(Kind::alloc)) return CUDA_ERROR_OUT_OF_MEMORY;
  state().handles++;
  return CUDA_SUCCESS;
}

void export_count_communicators(int by) {
  Lock lock(state().mutex);
  state().communicators += by;
}

void export_destroy() {
  Lock lock(state().mutex);
  state().handles--;
}

bool export_nccl_fault() {
  State &s = state();
  Lock lock(s.mutex);
  uint64_t n = s.faults.nccl_calls++;
  for (const FaultPlan::Entry &e : s.faults.entries)
    if (e.nccl && e.at == n) {
      s.counts.faults++;
      return true;
    }
  return false;
}

void export_fail_check(const char *text) { fail_check("%s", text); }

int export_link(int from, int to) {
  Lock lock(state().mutex);
  return device_valid(from) && device_valid(to) ? int(state().config.links[size_t(from)][size_t(to)]) : 0;
}

int export_devices() {
  Lock lock(state().mutex);
  return int(state().devices.size());
}

void export_memory(int device, size_t *used, size_t *total) {
  Lock lock(state().mutex);
  *used = state().devices[size_t(device)].used;
  *total = state().config.bytes;
}

void export_uuid(int device, unsigned char uuid[16]) { device_uuid(device, uuid); }

} // namespace sg
