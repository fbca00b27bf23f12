/* What stands at the head of every driver call: initialised, a context, no failed context, the fault plan. */
#include "driver_api.h"

namespace sg {
namespace {
thread_local ContextStack context_stack;
thread_local bool in_host_function, sticky_fault;

/* The error that the fault plan gives a call of this kind. */
CUresult fault_error(Kind kind) {
  switch (kind) {
  case Kind::alloc: return CUDA_ERROR_OUT_OF_MEMORY;
  case Kind::launch: return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  default: return CUDA_ERROR_UNKNOWN;
  }
}

} // namespace

bool take_fault(Kind kind) {
  State &s = state();
  FaultPlan &f = s.faults;
  uint64_t call = f.calls++, of_kind = 0;
  bool fail = false;

  if (kind == Kind::alloc) of_kind = f.allocs++;
  else if (kind == Kind::copy) of_kind = f.copies++;
  else if (kind == Kind::launch) of_kind = f.launches++;
  for (const FaultPlan::Entry &e : f.entries) {
    bool hit = e.any_call ? e.at == call : !e.nccl && e.kind == kind && kind != Kind::plain && e.at == of_kind;
    if (hit && e.sticky) sticky_fault = true;
    else if (hit) fail = true;
  }
  if (fail) s.counts.faults++;
  return fail;
}

State &state() {
  static State *s = [] {
    State *made = new State;
    std::string why;
    if (!config_from_environment(&made->config, &made->faults, &why)) { /* another machine than the one asked for would prove nothing */
      fprintf(stderr, "simulated CUDA platform: MARS_SIMGPU: %s\n", why.c_str());
      _Exit(2);
    }
    set_report_file(made->config.report);
    made->devices.resize(size_t(made->config.devices));
    made->memory = sg_memory_create(made->config.devices);
    made->sched.random.seed(made->config.seed);
    return made;
  }();
  return *s;
}

ContextStack &current_stack() { return context_stack; }
CUcontext current_context() { return context_stack.empty() ? nullptr : context_stack.back(); }
bool inside_host_function() { return in_host_function; }
void set_inside_host_function(bool inside) { in_host_function = inside; }

bool take_sticky_fault() {
  bool taken = sticky_fault;
  sticky_fault = false;
  return taken;
}

CUresult gate_enter(const char *name, const Gate &gate, Lock &, CUcontext *ctx, CUresult *injected) {
  State &s = state();

  sticky_fault = false;
  if (in_host_function) {
    fail_check("%s is called by a function that cuLaunchHostFunc runs", name);
    return CUDA_ERROR_NOT_PERMITTED;
  }
  if (gate.kind != Kind::free_of_charge && take_fault(gate.kind)) {
    if (gate.kind != Kind::release) return fault_error(gate.kind);
    *injected = fault_error(gate.kind);
  }
  if (!s.initialised) return CUDA_ERROR_NOT_INITIALIZED;
  *ctx = current_context();
  if (!gate.ctx) return CUDA_SUCCESS;
  if (*ctx == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (s.contexts.count(*ctx) == 0) {
    fail_check("%s: the current context has been destroyed", name);
    return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  }
  if (gate.sticky && (*ctx)->error != CUDA_SUCCESS) return (*ctx)->error;
  return CUDA_SUCCESS;
}

} // namespace sg
