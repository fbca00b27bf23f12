/*
 * Choice of the loops for this CPU.
 *
 * Layer: host.
 */
#include "host/loops_impl.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { BASELINE, AVX2, AVX512, N_ISA };

static mx_loops tables[N_ISA];
static bool present[N_ISA];
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define FILL(slot, name)                                                                                     \
  do {                                                                                                       \
    tables[slot].isa = #name;                                                                                \
    mx_loops_fill_int_##name(&tables[slot]);                                                                 \
    mx_loops_fill_float_##name(&tables[slot]);                                                               \
    mx_loops_fill_cast_##name(&tables[slot]);                                                                \
    mx_loops_fill_random_##name(&tables[slot]);                                                              \
    present[slot] = true;                                                                                    \
  } while (0)

static void detect(void) {
  FILL(BASELINE, baseline);
#if defined(__x86_64__)
  unsigned a, b, c, d;
  bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
  __builtin_cpu_init();
  if (f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"))
    FILL(AVX2, avx2);
  if (present[AVX2] && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
    FILL(AVX512, avx512);
#endif
}

const mx_loops *mx_loops_select(const char *isa) {
  pthread_once(&once, detect);
  for (int k = N_ISA - 1; k >= 0; k--)
    if (present[k] && (isa == NULL || strcmp(isa, tables[k].isa) == 0)) return &tables[k];
  return NULL;
}
