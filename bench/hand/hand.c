/* Choice of the instruction set, and OpenMP drivers that give every thread one contiguous range. */
#include "bench/bench.h"
#include "bench/hand/kernels.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static hand_kernels kernels;
static pthread_once_t kernels_once = PTHREAD_ONCE_INIT;

#define FILL(isa_name)                                                                                       \
  do {                                                                                                       \
    kernels.isa = #isa_name;                                                                                 \
    hand_fill_memory_##isa_name(&kernels);                                                                   \
    hand_fill_random_##isa_name(&kernels);                                                                   \
    hand_fill_reduce_##isa_name(&kernels);                                                                   \
    hand_fill_chain_f64_##isa_name(&kernels);                                                                \
    hand_fill_chain_f32_##isa_name(&kernels);                                                                \
  } while (0)

static void choose(void) {
#if defined(__x86_64__)
  const char *most = getenv("MARS_BENCH_ISA");
  const bool baseline = most != NULL && strcmp(most, "baseline") == 0;
  const bool no_avx512 = baseline || (most != NULL && strcmp(most, "avx2") == 0);

  __builtin_cpu_init();
  if (!no_avx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    FILL(avx512);
    return;
  }
  if (!baseline && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    FILL(avx2);
    return;
  }
#endif
  FILL(baseline);
}

const hand_kernels *hand_kernels_get(void) {
  pthread_once(&kernels_once, choose);
  return &kernels;
}

hand_moments hand_moments_merge(hand_moments a, hand_moments b) {
  const double count = a.count + b.count, delta = b.mean - a.mean;

  if (a.count == 0)
    return b;
  if (b.count == 0)
    return a;
  return (hand_moments){count, a.mean + delta * b.count / count,
                        a.m2 + b.m2 + delta * delta * a.count * b.count / count};
}

/* Range of thread t of `threads`: borders on multiples of `unit`, the last one takes what is left. */
static void share(int64_t n, int64_t unit, int threads, int t, int64_t *begin, int64_t *end) {
  const int64_t units = n / unit;

  *begin = units * t / threads * unit;
  *end = t == threads - 1 ? n : units * (t + 1) / threads * unit;
}

double hand_read(const double *x, int64_t n, int threads) {
  const hand_kernels *k = hand_kernels_get();
  double sum = 0;

#pragma omp parallel num_threads(threads) reduction(+ : sum)
  {
    int64_t b, e;
    share(n, 64, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    sum += k->read(x + b, e - b);
  }
  return sum;
}

void hand_map_run(hand_map what, double *out, const double *x, int64_t n, int threads) {
  const hand_kernels *k = hand_kernels_get();

#pragma omp parallel num_threads(threads)
  {
    int64_t b, e;
    share(n, 64, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    const int64_t whole = (e - b) & ~(int64_t)63;
    switch (what) {
    case HAND_COPY:
      k->copy(out + b, x + b, whole);
      break;
    case HAND_COPY_NT:
      k->copy_nt(out + b, x + b, whole);
      break;
    case HAND_WRITE:
      k->write(out + b, 1.5, whole);
      break;
    case HAND_WRITE_NT:
      k->write_nt(out + b, 1.5, whole);
      break;
    case HAND_SCALE:
      k->scale(out + b, x + b, whole);
      break;
    case HAND_AXPB:
      k->axpb(out + b, x + b, whole);
      break;
    }
    for (int64_t i = b + whole; i < e; i++) {
      out[i] = what == HAND_WRITE || what == HAND_WRITE_NT ? 1.5 : x[i];
      if (what == HAND_SCALE)
        out[i] = x[i] * 2;
      if (what == HAND_AXPB)
        out[i] = (x[i] + 1) * 2;
    }
  }
}

void hand_triad(double *out, const double *x, const double *y, int64_t n, bool streaming, int threads) {
  const hand_kernels *k = hand_kernels_get();

#pragma omp parallel num_threads(threads)
  {
    int64_t b, e;
    share(n & ~(int64_t)63, 64, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    (streaming ? k->triad_nt : k->triad)(out + b, x + b, y + b, e - b);
  }
}

double hand_fma_rate(int threads) {
  const hand_kernels *k = hand_kernels_get();
  double best = 0;

  for (int repeat = 0; repeat < 5; repeat++) {
    double flops = 0, keep = 0;
    const double start = bench_now();
#pragma omp parallel num_threads(threads) reduction(+ : flops, keep)
    {
      double mine;
      keep += k->fma(4000000, &mine);
      flops += mine;
    }
    const double rate = keep > 0 ? flops / (bench_now() - start) : 0;
    best = rate > best ? rate : best;
  }
  return best * 1e-9;
}

double hand_philox_at(uint64_t seed, uint64_t stream, uint64_t element) {
  const uint64_t block = element / 2;
  uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream,
                   (uint32_t)(stream >> 32) & 0xffffffu};
  uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

  for (int r = 0; r < 10; r++) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    const uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ key[0], (uint32_t)p1,
                              (uint32_t)(p0 >> 32) ^ c[3] ^ key[1], (uint32_t)p0};
    memcpy(c, next, sizeof c);
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  const uint64_t word = element % 2 == 0 ? c[0] | (uint64_t)c[1] << 32 : c[2] | (uint64_t)c[3] << 32;
  return (double)(word >> 11) * 0x1p-53;
}

#define BLOCKS 32 /* the kernels' unit */

double hand_philox_sum(uint64_t seed, uint64_t stream, int64_t n, int threads) {
  const hand_kernels *k = hand_kernels_get();
  const int64_t whole = n / (2 * BLOCKS) * BLOCKS;
  double sum = 0;

#pragma omp parallel num_threads(threads) reduction(+ : sum)
  {
    int64_t b, e;
    share(whole, BLOCKS, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    sum += k->philox(seed, stream, (uint64_t)b, e - b);
  }
  for (int64_t i = 2 * whole; i < n; i++)
    sum += hand_philox_at(seed, stream, (uint64_t)i);
  return sum;
}

void hand_uniform(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, double *out) {
  const int64_t head = n > 0 && first % 2 != 0 ? 1 : 0, whole = (n - head) / (2 * BLOCKS) * (2 * BLOCKS);

  if (head != 0)
    out[0] = hand_philox_at(seed, stream, first);
  hand_kernels_get()->uniform(seed, stream, (first + (uint64_t)head) / 2, whole / 2, out + head);
  for (int64_t i = head + whole; i < n; i++)
    out[i] = hand_philox_at(seed, stream, first + (uint64_t)i);
}

int64_t hand_pi_count(uint64_t seed, uint64_t stream_x, uint64_t stream_y, int64_t n, int threads) {
  const hand_kernels *k = hand_kernels_get();
  const int64_t whole = n / (2 * BLOCKS) * BLOCKS;
  int64_t count = 0;

#pragma omp parallel num_threads(threads) reduction(+ : count)
  {
    int64_t b, e;
    share(whole, BLOCKS, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    count += k->pi(seed, stream_x, stream_y, (uint64_t)b, e - b);
  }
  for (int64_t i = 2 * whole; i < n; i++) {
    const double x = hand_philox_at(seed, stream_x, (uint64_t)i),
                 y = hand_philox_at(seed, stream_y, (uint64_t)i);
    count += x * x + y * y <= 1;
  }
  return count;
}

double hand_std(const double *x, int64_t n, int threads) {
  const hand_kernels *k = hand_kernels_get();
  hand_moments all = {0, 0, 0};

#pragma omp parallel num_threads(threads)
  {
    int64_t b, e;
    share(n, 64, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    const hand_moments mine = k->moments(x + b, e - b);
#pragma omp critical
    all = hand_moments_merge(all, mine);
  }
  return sqrt(all.m2 / all.count);
}

hand_top hand_argmax(const double *x, int64_t n, int threads) {
  const hand_kernels *k = hand_kernels_get();
  hand_top best = {x[0], 0};

#pragma omp parallel num_threads(threads)
  {
    int64_t b, e;
    share(n, 64, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    if (e > b) {
      hand_top mine = k->top(x + b, e - b);
      mine.index += b;
#pragma omp critical
      if (mine.value > best.value || (mine.value == best.value && mine.index < best.index))
        best = mine;
    }
  }
  return best;
}

void hand_sum_axis0(double *out, const double *x, int64_t rows, int64_t cols, int threads) {
  const hand_kernels *k = hand_kernels_get();
  double *parts = calloc((size_t)threads * (size_t)cols, sizeof(double));

  if (parts == NULL)
    return;
#pragma omp parallel num_threads(threads)
  {
    const int t = omp_get_thread_num();
    int64_t b, e;
    share(rows, 1, omp_get_num_threads(), t, &b, &e);
    k->add_rows(parts + (int64_t)t * cols, x + b * cols, e - b, cols, cols);
  }
  memset(out, 0, (size_t)cols * sizeof(double));
  k->add_rows(out, parts, threads, cols, cols);
  free(parts);
}

void hand_sum_axis1(double *out, const double *x, int64_t rows, int64_t cols, int threads) {
  const hand_kernels *k = hand_kernels_get();

#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t r = 0; r < rows; r++)
    out[r] = k->read(x + r * cols, cols);
}

#define CHAIN_UNIT 64

void hand_chain(int which, bool f32, void *out, const void *const *in, int64_t n, int threads) {
  const hand_kernels *k = hand_kernels_get();
  const size_t width = f32 ? sizeof(float) : sizeof(double), out_width = which == HAND_CHAINS - 1 ? 1 : width;

#pragma omp parallel num_threads(threads)
  {
    const void *at[HAND_CHAIN_INPUTS];
    int64_t b, e;
    share(n, CHAIN_UNIT, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    for (int i = 0; i < HAND_CHAIN_INPUTS; i++)
      at[i] = (const char *)in[i] + (size_t)b * width;
    if (f32)
      k->chain_f32(which, (char *)out + (size_t)b * out_width, (const float *const *)at, e - b);
    else
      k->chain_f64(which, (char *)out + (size_t)b * out_width, (const double *const *)at, e - b);
  }
}

void hand_touch(bool f32, void *out, int out_bytes, const void *const *in, int n_in, int64_t n, int threads) {
  const hand_kernels *k = hand_kernels_get();
  const size_t width = f32 ? sizeof(float) : sizeof(double);

#pragma omp parallel num_threads(threads)
  {
    const void *at[HAND_CHAIN_INPUTS];
    int64_t b, e;
    share(n, CHAIN_UNIT, omp_get_num_threads(), omp_get_thread_num(), &b, &e);
    for (int i = 0; i < n_in; i++)
      at[i] = (const char *)in[i] + (size_t)b * width;
    if (f32)
      k->touch_f32((char *)out + b * out_bytes, out_bytes, (const float *const *)at, n_in, e - b);
    else
      k->touch_f64((char *)out + b * out_bytes, out_bytes, (const double *const *)at, n_in, e - b);
  }
}
