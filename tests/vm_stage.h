/* Calls whose operands lie in host memory, launched on a device with memory of its own: what they touch goes up, and comes
   back afterwards. */
#ifndef TESTS_VM_STAGE_H
#define TESTS_VM_STAGE_H

#include "engine/device.h"

/* prog[i]: the program of calls[i]'s kernel. Addresses keep their distance from a multiple of 256 bytes. */
mars_status vm_stage_launch(mx_device *dev, mx_call *const *calls, const mx_program *const *prog, int n, mars_error *err);
/* Not NULL: told of all calls, as the device is going to see them, before each launch. */
extern void (*vm_stage_watch)(mx_call *const *calls, int n);

#endif
