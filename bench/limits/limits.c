/* mars-bench limits: what this machine can do at most, with 1 and with all threads. */
#include "bench/bench.h"
#include "bench/hand/kernels.h"
#include "bench/limits/disk.h"
#include "bench/util.h"

#include <stdio.h>
#include <string.h>

typedef struct arrays {
  double *x, *y, *out;
  int64_t n;
} arrays;

typedef enum stream_kind {
  READ,
  WRITE,
  WRITE_NT,
  COPY,
  COPY_NT,
  TRIAD,
  TRIAD_NT,
  SCALE,
  N_STREAMS
} stream_kind;

static volatile double sink; /* keeps results alive */

static void stream_once(const arrays *a, stream_kind kind, int threads) {
  switch (kind) {
  case READ:
    sink = hand_read(a->x, a->n, threads);
    break;
  case WRITE:
    hand_map_run(HAND_WRITE, a->out, a->x, a->n, threads);
    break;
  case WRITE_NT:
    hand_map_run(HAND_WRITE_NT, a->out, a->x, a->n, threads);
    break;
  case COPY:
    hand_map_run(HAND_COPY, a->out, a->x, a->n, threads);
    break;
  case COPY_NT:
    hand_map_run(HAND_COPY_NT, a->out, a->x, a->n, threads);
    break;
  case TRIAD:
    hand_triad(a->out, a->x, a->y, a->n, false, threads);
    break;
  case TRIAD_NT:
    hand_triad(a->out, a->x, a->y, a->n, true, threads);
    break;
  case SCALE:
    hand_map_run(HAND_SCALE, a->out, a->x, a->n, threads);
    break;
  case N_STREAMS:
    break;
  }
}

static double stream_rate(const arrays *a, stream_kind kind, int arrays_moved, int threads, int repeat) {
  double seconds[BENCH_MAX_REPEAT];

  stream_once(a, kind, threads);
  for (int i = 0; i < repeat; i++) {
    const double start = bench_now();
    stream_once(a, kind, threads);
    seconds[i] = bench_now() - start;
  }
  return (double)arrays_moved * (double)a->n * sizeof(double) / bench_median(seconds, repeat) * 1e-9;
}

static bool memory_limits(const bench_options *o, int repeat) {
  static const struct {
    const char *name;
    int arrays;
  } rows[N_STREAMS] = {{"read", 1},
                       {"write", 1},
                       {"write, non-temporal", 1},
                       {"copy", 2},
                       {"copy, non-temporal", 2},
                       {"triad", 3},
                       {"triad, non-temporal", 3},
                       {"scale, non-temporal", 2}};
  const int64_t n = (int64_t)bench_size(o, 6.4e7, 4e6, 6.4e7) & ~(int64_t)63;
  const size_t bytes = (size_t)n * sizeof(double);
  arrays a = {bench_alloc(bytes, o->threads), bench_alloc(bytes, o->threads), bench_alloc(bytes, o->threads),
              n};
  const bool ok = a.x != NULL && a.y != NULL && a.out != NULL;

  if (ok) {
    bench_fill_f64(a.x, 0, n, o->threads);
    bench_fill_f64(a.y, 1, n, o->threads);
  }
  for (int i = 0; i < N_STREAMS && ok && !bench_interrupted(); i++) {
    const double one = stream_rate(&a, (stream_kind)i, rows[i].arrays, 1, repeat);
    const double all = stream_rate(&a, (stream_kind)i, rows[i].arrays, o->threads, repeat);
    printf("%-34s %9.1f %9.1f  GB/s\n", rows[i].name, one, all);
    fflush(stdout);
  }
  bench_free(a.x, bytes);
  bench_free(a.y, bytes);
  bench_free(a.out, bytes);
  return ok;
}

static double philox_rate(int64_t n, int threads, int repeat) {
  double seconds[BENCH_MAX_REPEAT];

  for (int i = 0; i < repeat; i++) {
    const double start = bench_now();
    sink = hand_philox_sum(1, 0, n, threads);
    seconds[i] = bench_now() - start;
  }
  return (double)n / bench_median(seconds, repeat) * 1e-9;
}

static double pi_rate(int64_t n, int threads, int repeat) {
  double seconds[BENCH_MAX_REPEAT];

  for (int i = 0; i < repeat; i++) {
    const double start = bench_now();
    sink = (double)hand_pi_count(1, 0, 1, n, threads);
    seconds[i] = bench_now() - start;
  }
  return (double)n / bench_median(seconds, repeat) * 1e-9;
}

static void compute_limits(const bench_options *o, int repeat) {
  const int64_t n = o->scale == BENCH_QUICK ? 10000000 : 200000000;

  printf("%-34s %9.1f %9.1f  GFLOP/s\n", "fused multiply-add, f64", hand_fma_rate(1),
         hand_fma_rate(o->threads));
  printf("%-34s %9.3f %9.3f  G doubles/s\n", "Philox 4x32-10 alone", philox_rate(n, 1, repeat),
         philox_rate(n, o->threads, repeat));
  printf("%-34s %9.3f %9.3f  G points/s\n", "pi, hand-written", pi_rate(n, 1, repeat),
         pi_rate(n, o->threads, repeat));
  fflush(stdout);
}

static bool disk_limits(const bench_options *o) {
  const size_t bytes = o->scale == BENCH_QUICK ? (size_t)64 << 20 : (size_t)4 << 30;
  char from[BENCH_PATH + 16], to[BENCH_PATH + 16], error[BENCH_TEXT] = "";
  double rate[3][2];

  snprintf(from, sizeof from, "%s/limits-in", o->work_dir);
  snprintf(to, sizeof to, "%s/limits-out", o->work_dir);
  if (!disk_make_npy(from, (int64_t)((bytes - DISK_NPY_HEADER) / sizeof(double)), 0, error))
    goto failed;
  for (int d = 0; d < 2 && !bench_interrupted(); d++) {
    const int depth = d == 0 ? 16 : 32;
    rate[0][d] = disk_time_read(from, bytes, depth, NULL, NULL, error);
    rate[1][d] = disk_time_write(to, bytes, depth, NULL, NULL, error);
    rate[2][d] = disk_time_copy(from, to, bytes, depth, NULL, NULL, false, error);
    for (int k = 0; k < 3; k++)
      if (rate[k][d] < 0)
        goto failed;
  }
  if (bench_interrupted())
    return true;
  printf("%-34s %9s %9s\n", "drive, O_DIRECT, 4 MiB requests", "depth 16", "depth 32");
  for (int k = 0; k < 3; k++) {
    static const char *const names[] = {"  read", "  write", "  copy (in + out count once)"};
    printf("%-34s %9.2f %9.2f  GB/s\n", names[k], (double)bytes / rate[k][0] * 1e-9,
           (double)bytes / rate[k][1] * 1e-9);
  }
  return true;
failed:
  fprintf(stderr, "mars-bench limits: %s\n", error);
  return false;
}

int bench_limits(const bench_options *o) {
  const int repeat = o->repeat > 0 ? o->repeat : 5;
  bool ok;

  printf("%-34s %9s %6d threads   (%s)\n", "limit", "1 thread", o->threads, hand_kernels_get()->isa);
  ok = memory_limits(o, repeat);
  if (!ok)
    fprintf(stderr, "mars-bench limits: no memory for the arrays\n");
  if (!bench_interrupted())
    compute_limits(o, repeat);
  if (!bench_interrupted())
    ok = disk_limits(o) && ok;
  return ok ? 0 : 1;
}
