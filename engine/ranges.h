/*
 * Ranges for profilers: what the executor tells of its steps. A kind of devices may know a profiler's interface (cuda/ranges.c: NVTX); the
 * session then tells it of every step, those of the host and the store too.
 *
 * Layer: engine owns it. Threads: any. Names are static texts. Where no profiler listens a call costs a branch or two.
 */
#ifndef MX_RANGES_H
#define MX_RANGES_H

#include <stdint.h>

typedef struct mx_ranges {
  /* Of what ends later, maybe on another thread. number: of the step in its plan. */
  uint64_t (*start)(const char *name, int64_t number);
  void (*end)(uint64_t id);
  /* Around what this thread does. */
  void (*push)(const char *name, int64_t number);
  void (*pop)(void);
} mx_ranges;

#endif
