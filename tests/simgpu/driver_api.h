/*
 * The thread's own state of the driver: current contexts, and whether the thread runs an application's stream function.
 *
 * Layer: tests/simgpu, inside libcuda.so.1. Threads: each its own.
 */
#pragma once
#include "driver_core.h"
#include <cstdlib>

namespace sg {

/* The contexts that a thread has pushed. No destructor: exit handlers of the application may still call the driver, after this
   thread's own objects are gone. */
class ContextStack {
public:
  bool empty() const { return n_ == 0; }
  CUcontext back() const { return at_[n_ - 1]; }
  void push_back(CUcontext ctx) {
    if (n_ == kMost) abort(); /* somebody pushes and never pops */
    at_[n_++] = ctx;
  }
  void pop_back() { n_--; }
  void clear() { n_ = 0; }

private:
  static constexpr int kMost = 1024;
  CUcontext at_[kMost];
  int n_;
};
ContextStack &current_stack();
void set_inside_host_function(bool inside);
/* After sg_sim_reset: the devices and the registry of a new configuration. No context may exist. */
void state_rebuild();

} // namespace sg
