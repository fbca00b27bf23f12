/*
 * One reserved slab with our allocator, or the driver's stream-ordered pools: which gives the better guarantee that a budget of bytes
 * can be had. The same fixed sequences of chunks for three contenders:
 *
 *   slab        one cuMemAlloc of the budget when the session begins, addresses by the planner's allocator (engine/plan/space.c)
 *   pool        cuMemAllocFromPoolAsync and cuMemFreeAsync for every chunk; the release threshold is 0, the driver's default
 *   kept pool   the same with a threshold of the budget, filled and emptied once when the session begins
 *
 * usage: gpu_pools [--device N] [--bytes B]      B: the budget; default 256 MiB, on the simulated platform 16 MiB
 * Exit status: 0 the slab kept what it promises, 1 it did not, or an error, 77 no device or no pools.
 */
#include "cuda/device.h"
#include "engine/plan/plan.h"
#include "tests/cuda_sim.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNITS = 64, STEPS = 4000, MOST_LIVE = 128, LARGEST = 8 };
enum { SLAB, POOL, KEPT_POOL, N_KINDS };
static const char *const names[] = {"slab", "pool", "kept pool"};

#define FUNCTIONS(X)                                                                                                                       \
  X(cuInit) X(cuDeviceGet) X(cuDeviceGetAttribute) X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease) X(cuCtxPushCurrent)            \
  X(cuCtxPopCurrent) X(cuCtxCreate) X(cuCtxDestroy) X(cuMemGetInfo) X(cuMemAlloc) X(cuMemFree) X(cuStreamCreate) X(cuStreamDestroy)        \
  X(cuStreamSynchronize) X(cuMemPoolCreate) X(cuMemPoolDestroy) X(cuMemPoolSetAttribute) X(cuMemPoolGetAttribute)                          \
  X(cuMemAllocFromPoolAsync) X(cuMemFreeAsync)

typedef struct driver {
#define FIELD(f) __typeof__(f) *f;
  FUNCTIONS(FIELD)
#undef FIELD
} driver;

typedef struct contender {
  const driver *cu;
  int kind;
  int64_t budget;
  CUstream stream;
  CUmemoryPool pool;
  CUdeviceptr slab;
  mx_mem mem;
  mx_space *space;
  int64_t calls; /* of the driver, for chunks */
  bool failed;   /* other than for want of memory */
} contender;

typedef struct chunk {
  CUdeviceptr at;
  int64_t bytes;
} chunk;

typedef struct figures {
  int64_t pairs, moved;             /* after fragmentation: chunks of two units that were had, of UNITS / 4; bytes moved for the others */
  int64_t refused, wants, mixed;    /* of a long sequence; bytes moved there */
  int64_t whole;                    /* largest chunk when all is free again */
  int64_t beyond, idle, after_wait; /* bytes held beyond the budget; while nothing lives: before and after somebody waits */
  int64_t calls, chunks;
  int64_t later;                    /* of the budget, what the next job has when another context took all that was free between the two */
} figures;

#if CUDA_VERSION >= 13000
#define CREATE_ON(device) NULL, 0, device
#else
#define CREATE_ON(device) 0, device
#endif

static bool check(contender *c, CUresult r, const char *what) {
  if (r != CUDA_SUCCESS && r != CUDA_ERROR_OUT_OF_MEMORY) {
    printf("%s: %s: CUDA error %d\n", names[c->kind], what, (int)r);
    c->failed = true;
  }
  return r == CUDA_SUCCESS;
}

/* ---- chunks ---- */

/* false: it cannot be had. */
static bool take(contender *c, int64_t bytes, chunk *out) {
  if (c->kind == SLAB) {
    mx_fence fence = {-1, -1};
    const int64_t at = mx_space_alloc(c->space, bytes, &fence);

    *out = (chunk){c->slab + (CUdeviceptr)at, bytes};
    return at >= 0;
  }
  c->calls++;
  out->bytes = bytes;
  return check(c, c->cu->cuMemAllocFromPoolAsync(&out->at, (size_t)bytes, c->pool, c->stream), "cuMemAllocFromPoolAsync");
}

static void give(contender *c, const chunk *k) {
  if (c->kind == SLAB) {
    if (!mx_space_free(c->space, (int64_t)(k->at - c->slab), k->bytes, (mx_fence){-1, -1})) c->failed = true;
    return;
  }
  c->calls++;
  check(c, c->cu->cuMemFreeAsync(k->at, c->stream), "cuMemFreeAsync");
}

static void wait_for(contender *c) { check(c, c->cu->cuStreamSynchronize(c->stream), "cuStreamSynchronize"); }

static int64_t pool_bytes(contender *c, CUmemPool_attribute what) {
  cuuint64_t bytes = 0;

  if (c->kind != SLAB) check(c, c->cu->cuMemPoolGetAttribute(c->pool, what, &bytes), "cuMemPoolGetAttribute");
  return (int64_t)bytes;
}

/* ---- the session's beginning and end ---- */

static void close_contender(contender *c) {
  mx_space_destroy(c->space);
  if (c->slab != 0) check(c, c->cu->cuMemFree(c->slab), "cuMemFree");
  if (c->pool != NULL) check(c, c->cu->cuMemPoolDestroy(c->pool), "cuMemPoolDestroy");
  if (c->stream != NULL) check(c, c->cu->cuStreamDestroy(c->stream), "cuStreamDestroy");
}

static bool open_pool(contender *c, CUdevice device) {
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
  cuuint64_t threshold = (cuuint64_t)c->budget;
  chunk all;

  if (!check(c, c->cu->cuMemPoolCreate(&c->pool, &props), "cuMemPoolCreate")) return false;
  if (c->kind == POOL) return true;
  if (!check(c, c->cu->cuMemPoolSetAttribute(c->pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold), "the release threshold")) return false;
  if (!take(c, c->budget, &all)) return false;
  give(c, &all);
  wait_for(c);
  c->calls = 0;
  return true;
}

static bool open_contender(contender *c, CUdevice device) {
  mx_mem_init(&c->mem, NULL);
  if (!check(c, c->cu->cuStreamCreate(&c->stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate")) return false;
  if (c->kind != SLAB) return open_pool(c, device);
  c->space = mx_space_create(&c->mem, (size_t)c->budget);
  if (c->space == NULL || !mx_space_ready(c->space)) return false;
  (void)mx_space_use_all(c->space);
  return check(c, c->cu->cuMemAlloc(&c->slab, (size_t)c->budget), "cuMemAlloc");
}

/* ---- the sequences ---- */

/* All of the budget in units, every second one given back, then chunks of two units: in place, else by moving a unit out (the planner
   sees that beforehand and spills or drops one). */
static void fragment(contender *c, figures *f) {
  const int64_t unit = c->budget / UNITS;
  chunk small[UNITS], pair[UNITS / 4];
  int n = 0, pairs = 0, oldest = 1;

  while (n < UNITS && take(c, unit, &small[n])) n++;
  for (int i = 0; i < n; i += 2) give(c, &small[i]);
  for (; pairs < UNITS / 4 && take(c, 2 * unit, &pair[pairs]); pairs++) {}
  f->pairs = pairs;
  while (pairs < UNITS / 4) {
    if (take(c, 2 * unit, &pair[pairs])) pairs++;
    else if (oldest < n) {
      give(c, &small[oldest]);
      f->moved += unit;
      oldest += 2;
    } else break;
  }
  for (int i = 0; i < pairs; i++) give(c, &pair[i]);
  for (int i = oldest; i < n; i += 2) give(c, &small[i]);
  f->chunks += n + pairs;
}

static uint64_t draw(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

/* Chunks of 1 to LARGEST units that come and go, 7/8 of the budget alive at most. */
static void mix(contender *c, figures *f) {
  const int64_t unit = c->budget / UNITS, most = c->budget / 8 * 7;
  chunk live[MOST_LIVE];
  int64_t used = 0;
  uint64_t state = 1;
  int n = 0;

  for (int i = 0; i < STEPS; i++) {
    const int64_t bytes = unit * (int64_t)(1 + draw(&state) % LARGEST);

    while (n > 0 && (used + bytes > most || n == MOST_LIVE)) {
      const int gone = (int)(draw(&state) % (uint64_t)n);

      used -= live[gone].bytes;
      give(c, &live[gone]);
      live[gone] = live[--n];
    }
    f->wants++;
    for (bool first = true; !take(c, bytes, &live[n]); first = false) {
      if (n == 0 || c->failed) return;
      f->refused += first;
      f->mixed += live[0].bytes;
      used -= live[0].bytes;
      give(c, &live[0]);
      memmove(live, live + 1, (size_t)--n * sizeof *live);
    }
    used += live[n++].bytes;
    f->chunks++;
  }
  while (n > 0) give(c, &live[--n]);
}

static void whole(contender *c, figures *f) {
  chunk k;

  for (int64_t bytes = c->budget; bytes >= c->budget / UNITS; bytes -= c->budget / UNITS) {
    if (!take(c, bytes, &k)) continue;
    f->whole = bytes;
    give(c, &k);
    return;
  }
}

/* Between two jobs another context takes what the device has left. */
static void another(contender *c, CUdevice device, figures *f) {
  const int64_t unit = c->budget / UNITS;
  chunk small[UNITS];
  size_t free_bytes = 0, total = 0;
  CUcontext other = NULL;
  CUdeviceptr taken = 0;
  int n = 0;

  wait_for(c);
  if (!check(c, c->cu->cuCtxCreate(&other, CREATE_ON(device)), "cuCtxCreate")) return;
  if (check(c, c->cu->cuMemGetInfo(&free_bytes, &total), "cuMemGetInfo"))
    for (size_t bytes = free_bytes; bytes > 0 && taken == 0; bytes -= bytes / 16 + 1)
      if (c->cu->cuMemAlloc(&taken, bytes) != CUDA_SUCCESS) taken = 0;
  check(c, c->cu->cuCtxPopCurrent(&other), "cuCtxPopCurrent");
  while (n < UNITS && take(c, unit, &small[n])) n++;
  f->later = n * unit;
  while (n > 0) give(c, &small[--n]);
  wait_for(c);
  check(c, c->cu->cuCtxPushCurrent(other), "cuCtxPushCurrent");
  if (taken != 0) check(c, c->cu->cuMemFree(taken), "cuMemFree");
  check(c, c->cu->cuCtxPopCurrent(&other), "cuCtxPopCurrent");
  check(c, c->cu->cuCtxDestroy(other), "cuCtxDestroy");
}

static bool run(const driver *cu, int kind, CUdevice device, int64_t budget, figures *f) {
  contender c = {.cu = cu, .kind = kind, .budget = budget};
  bool opened = open_contender(&c, device);

  if (opened) {
    fragment(&c, f);
    mix(&c, f);
    whole(&c, f);
    f->calls = c.calls;
    f->idle = kind == SLAB ? budget : pool_bytes(&c, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
    wait_for(&c);
    f->after_wait = kind == SLAB ? budget : pool_bytes(&c, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
    f->beyond = kind == SLAB ? 0 : pool_bytes(&c, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH) - budget;
    another(&c, device, f);
  }
  close_contender(&c);
  return opened && !c.failed;
}

/* ---- the report ---- */

static void row(const char *what, const figures *f, int64_t (*value)(const figures *)) {
  printf("%-58s", what);
  for (int k = 0; k < N_KINDS; k++) printf(" %12lld", (long long)value(&f[k]));
  printf("\n");
}

#define VALUE(name, expr)                                                                                                                  \
  static int64_t name(const figures *f) { return expr; }
VALUE(of_pairs, f->pairs)
VALUE(of_moved, f->moved >> 10)
VALUE(of_refused, f->refused)
VALUE(of_mixed, f->mixed >> 10)
VALUE(of_whole, f->whole >> 10)
VALUE(of_beyond, f->beyond >> 10)
VALUE(of_idle, f->idle >> 10)
VALUE(of_after, f->after_wait >> 10)
VALUE(of_calls, f->chunks > 0 ? f->calls / f->chunks : 0)
VALUE(of_later, f->later >> 10)

static void report(const figures *f, int64_t budget) {
  printf("%-58s", "budget in KiB, chunks of 1/64 of it");
  printf(" %12lld\n%-58s", (long long)(budget >> 10), "");
  for (int k = 0; k < N_KINDS; k++) printf(" %12s", names[k]);
  printf("\n");
  row("every second of 64 gone: chunks of two had, of 16", f, of_pairs);
  row("  KiB moved out of the way for the others", f, of_moved);
  row("4000 chunks of 1 to 8, 7/8 alive: not had in place", f, of_refused);
  row("  KiB moved out of the way for them", f, of_mixed);
  row("all given back: largest chunk, KiB", f, of_whole);
  row("KiB held at most beyond the budget", f, of_beyond);
  row("KiB held while nothing lives", f, of_idle);
  row("  and when somebody has waited", f, of_after);
  row("driver calls for a chunk", f, of_calls);
  row("next job, another context having taken all: KiB had", f, of_later);
}

static bool load(driver *cu) {
  const mx_cuda_api *api = mx_cuda_load(MX_LIB_DRIVER);
  void *lib = mx_cuda_has(api, MX_LIB_DRIVER) ? dlopen(api->lib[MX_LIB_DRIVER].path, RTLD_NOW | RTLD_LOCAL) : NULL;

  if (lib == NULL) return false;
#define TEXT(f) #f
#define LOAD(f) *(void **)&cu->f = dlsym(lib, TEXT(f));
#define MISSING(f) || cu->f == NULL
  FUNCTIONS(LOAD)
  return !(false FUNCTIONS(MISSING));
}

int main(int argc, char **argv) {
  figures f[N_KINDS] = {{0}};
  int64_t budget = 0;
  int number = 0, pools = 0;
  bool right = true;
  char text[1024];
  driver cu = {0};
  CUdevice device = 0;
  CUcontext ctx = NULL;

  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--device") == 0) number = atoi(argv[i + 1]);
    if (strcmp(argv[i], "--bytes") == 0) budget = strtoll(argv[i + 1], NULL, 10);
  }
  if (!load(&cu) || cu.cuInit(0) != CUDA_SUCCESS || cu.cuDeviceGet(&device, number) != CUDA_SUCCESS ||
      cu.cuDeviceGetAttribute(&pools, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, device) != CUDA_SUCCESS || pools == 0) {
    printf("no such device, or one without pools\n");
    return 77;
  }
  if (budget <= 0) budget = cuda_sim_is_used() ? 16 << 20 : 256 << 20;
  if (cu.cuDevicePrimaryCtxRetain(&ctx, device) != CUDA_SUCCESS || cu.cuCtxPushCurrent(ctx) != CUDA_SUCCESS) return 1;
  for (int k = 0; k < N_KINDS; k++) right = run(&cu, k, device, budget, &f[k]) && right;
  (void)cu.cuCtxPopCurrent(&ctx);
  (void)cu.cuDevicePrimaryCtxRelease(device);
  if (cuda_sim_is_used()) printf("on the SIMULATED driver, whose pools have no pieces inside and no unit (tests/simgpu/driver_pool.cc):\n");
  report(f, budget);
  /* what the engine relies on: planned addresses are there, whoever takes what meanwhile */
  if (f[SLAB].later != budget || f[SLAB].whole != budget || f[SLAB].beyond != 0) {
    printf("the slab did not keep its budget\n");
    right = false;
  }
  if (cuda_sim_failed_checks(text, sizeof text) > 0) {
    printf("failed checks of the simulated platform, the first: %s\n", text);
    right = false;
  }
  return right ? 0 : 1;
}
