/*
 * The thread's own state of the driver: current contexts, and whether the thread runs an application's stream function.
 *
 * Layer: tests/simgpu, inside libcuda.so.1. Threads: each its own.
 */
#pragma once
#include "driver_core.h"

namespace sg {

std::vector<CUcontext> &current_stack();
void set_inside_host_function(bool inside);
/* After sg_sim_reset: the devices and the registry of a new configuration. No context may exist. */
void state_rebuild();

} // namespace sg
