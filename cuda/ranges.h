/* Ranges for profilers, in the NVTX domain "mars" (engine/ranges.h). Nothing where NVTX's headers were missing at build time;
   nothing is loaded unless a profiler asks for it ($NVTX_INJECTION64_PATH). */
#ifndef MX_CUDA_RANGES_H
#define MX_CUDA_RANGES_H

#include "engine/ranges.h"

void mx_range_push(const char *name, int64_t number);
void mx_range_pop(void);
extern const mx_ranges mx_cuda_ranges;

#endif
