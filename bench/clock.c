/* The clock of all timings. */
#include "bench/bench.h"

#include <time.h>

double bench_now(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
