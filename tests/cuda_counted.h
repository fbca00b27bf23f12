// What the simulated platform has counted of programs' kernels since the process began.
#ifndef TESTS_CUDA_COUNTED_H
#define TESTS_CUDA_COUNTED_H

#include "tests/cuda_sim.h"

struct Traffic {
  uint64_t read = 0, written = 0, sectors = 0; // bytes; sectors of 32 bytes
};
inline Traffic so_far() {
  Traffic t;
  cuda_sim_kernel_bytes("mx_kernel", &t.read, &t.written);
  t.sectors = cuda_sim_kernel_sectors("mx_kernel");
  return t;
}

#endif
