/* Contract: tests/cuda_sim.h. The symbols are the stand-in driver's: tests/simgpu/simgpu.h. */
#include "tests/cuda_sim.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef TESTS_SIMGPU /* the tree has the simulator */
#include "tests/simgpu/simgpu.h"

static void *symbol(const char *name) {
  static void *handle;

  if (handle == NULL) handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  return handle != NULL ? dlsym(handle, name) : NULL;
}
#define CALL(f) __typeof__(f) *fn = (__typeof__(f) *)symbol(#f)

bool cuda_sim_is_used(void) { return symbol("sg_sim_failed_checks") != NULL; }

size_t cuda_sim_failed_checks(char *first, size_t size) {
  CALL(sg_sim_failed_checks);

  if (size > 0) first[0] = '\0';
  return fn != NULL ? fn(first, size) : 0;
}

uint64_t cuda_sim_live(char *text, size_t size) {
  CALL(sg_sim_live);
  sg_sim_live_info i = {0};

  if (size > 0) text[0] = '\0';
  if (fn == NULL) return 0;
  fn(&i);
  snprintf(text, size,
           "%zu device, %zu pinned, %zu registered bytes, %d streams, %d events, %d modules, %d contexts, %d pools, %d communicators, "
           "%d handles",
           i.device_bytes, i.pinned_bytes, i.registered_bytes, i.streams, i.events, i.modules, i.contexts, i.pools, i.communicators,
           i.handles);
  return i.device_bytes + i.pinned_bytes + i.registered_bytes +
         (uint64_t)(i.streams + i.events + i.modules + i.contexts + i.pools + i.communicators + i.handles);
}

bool cuda_sim_configure(const char *text) {
  CALL(sg_sim_configure);

  return fn != NULL && fn(text) == 0;
}

void cuda_sim_reset(void) {
  CALL(sg_sim_reset);

  if (fn != NULL) fn();
}

uint64_t cuda_sim_calls(void) {
  CALL(sg_sim_calls);

  return fn != NULL ? fn() : 0;
}

uint64_t cuda_sim_faults(void) {
  CALL(sg_sim_counts);
  sg_sim_count_info c = {0};

  if (fn != NULL) fn(&c);
  return c.faults;
}

uint64_t cuda_sim_modules(bool machine) {
  CALL(sg_sim_counts);
  sg_sim_count_info c = {0};

  if (fn != NULL) fn(&c);
  return machine ? c.machine_modules : c.ptx_modules;
}

uint64_t cuda_sim_nccl_calls(void) {
  CALL(sg_sim_nccl_calls);

  return fn != NULL ? fn() : 0;
}

void cuda_sim_hold_copies(bool hold) {
  CALL(sg_sim_hold_copies);

  if (fn != NULL) fn(hold);
}

void cuda_sim_held_copies(int *up, int *down) {
  CALL(sg_sim_held_copies);

  *up = *down = 0;
  if (fn != NULL) fn(up, down);
}

bool cuda_sim_kernel_bytes(const char *name, uint64_t *read, uint64_t *written) {
  CALL(sg_sim_kernel_counts);
  uint64_t launches;

  return fn != NULL && fn(name, &launches, read, written) != 0;
}

uint64_t cuda_sim_kernel_sectors(const char *name) {
  CALL(sg_sim_kernel_sectors);

  return fn != NULL ? fn(name) : 0;
}
#else
bool cuda_sim_is_used(void) { return false; }
size_t cuda_sim_failed_checks(char *first, size_t size) {
  if (size > 0) first[0] = '\0';
  return 0;
}
uint64_t cuda_sim_live(char *text, size_t size) {
  if (size > 0) text[0] = '\0';
  return 0;
}
bool cuda_sim_configure(const char *text) { return false; }
void cuda_sim_reset(void) {}
uint64_t cuda_sim_calls(void) { return 0; }
uint64_t cuda_sim_faults(void) { return 0; }
uint64_t cuda_sim_modules(bool machine) { return (void)machine, 0; }
uint64_t cuda_sim_nccl_calls(void) { return 0; }
void cuda_sim_hold_copies(bool hold) {}
void cuda_sim_held_copies(int *up, int *down) { *up = *down = 0; }
bool cuda_sim_kernel_bytes(const char *name, uint64_t *read, uint64_t *written) { return false; }
uint64_t cuda_sim_kernel_sectors(const char *name) { return 0; }
#endif
