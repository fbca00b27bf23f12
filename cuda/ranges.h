/* Ranges for profilers, in the domain "mars". Nothing where NVTX's headers were missing at build time; nothing is loaded
   unless a profiler asks for it. */
#ifndef MX_CUDA_RANGES_H
#define MX_CUDA_RANGES_H

void mx_range_push(const char *name);
void mx_range_pop(void);

#endif
