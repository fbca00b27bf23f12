/*
 * What one CUDA device reaches: bandwidth of kernels by CUDA events against a plain copy on the device and its nominal rate,
 * products against cuBLAS called directly, transfers and kernels side by side. Every kernel's result is compared with the host's.
 *
 * usage: gpu_measure [--device N] [--bytes B]      B: of the largest operand; default 256 MiB, on the simulated platform 64 KiB
 * Exit status: 0 all right, 1 a wrong result or an error, 77 no device.
 */
#include "cuda/routines/routines.h"
#include "tests/cuda_sim.h"
#include "tests/gpu/cases.h"

#include <dlfcn.h>
#include <math.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct bench {
  vm_dev *vm, *host;
  mx_cuda *dev;
  __typeof__(cuEventElapsedTime) *elapsed;
  CUevent begin, end;
  size_t bytes; /* of the largest operand */
  int repeats;
  double copy_rate; /* bytes a second, read and written, of a copy on the device */
  int wrong;
} bench;

static double now(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool good(bench *b, CUresult r, const char *what) {
  if (r == CUDA_SUCCESS) return true;
  printf("%s: CUDA error %d\n", what, (int)r);
  b->wrong++;
  return false;
}

/* ---- times ---- */

typedef mars_status work_fn(bench *b, void *ctx, mars_error *err);

/* Seconds by the device's own clock; negative after an error. The context is entered. */
static double timed(bench *b, work_fn *work, void *ctx) {
  mars_error err = {0};
  float ms = 0;
  mars_status st = work(b, ctx, &err); /* compiles, and warms up */

  if (st == MARS_OK) st = mx_cuda_check(b->dev, b->dev->cu->cuStreamSynchronize(b->dev->compute), "warming up", &err);
  if (st == MARS_OK) st = mx_cuda_check(b->dev, b->dev->cu->cuEventRecord(b->begin, b->dev->compute), "timing", &err);
  if (st == MARS_OK) st = work(b, ctx, &err);
  if (st == MARS_OK) st = mx_cuda_check(b->dev, b->dev->cu->cuEventRecord(b->end, b->dev->compute), "timing", &err);
  if (st == MARS_OK) st = mx_cuda_check(b->dev, b->dev->cu->cuEventSynchronize(b->end), "timing", &err);
  if (st == MARS_OK) st = mx_cuda_check(b->dev, b->elapsed(&ms, b->begin, b->end), "timing", &err);
  if (st == MARS_OK) return 1e-3 * (double)ms;
  printf("%s\n", err.message);
  b->wrong++;
  return -1;
}

static mars_status copies(bench *b, void *ctx, mars_error *err) {
  mars_status st = MARS_OK;
  CUdeviceptr at = (CUdeviceptr)(uintptr_t)b->dev->arena;

  (void)ctx;
  for (int i = 0; i < b->repeats; i++)
    MX_TRY(mx_cuda_check(b->dev, b->dev->cu->cuMemcpyDtoDAsync(at + b->bytes, at, b->bytes, b->dev->compute), "a copy", err));

done:
  return st;
}

typedef struct launches {
  mx_call *call;
} launches;

static mars_status launch(bench *b, void *ctx, mars_error *err) {
  mx_call *list[64];

  for (int i = 0; i < b->repeats; i++) list[i] = ((launches *)ctx)->call;
  return b->dev->base.ops->launch(&b->dev->base, list, b->repeats, err);
}

/* ---- kernels ---- */

typedef struct slots {
  mx_bind in[CASE_MAX_IN], gen, out;
  int64_t stride[CASE_MAX_IN + 2][MARS_MAX_DIMS];
} slots;

static void c_strides(const kernel_case *c, size_t es, int64_t *stride) {
  int64_t s = (int64_t)es;

  for (int d = c->ndim - 1; d >= 0; d--) {
    stride[d] = s;
    s *= c->shape[d];
  }
}

/* Operands one after another from base on, 256 bytes apart; returns the end. */
static char *bind(const kernel_case *c, slots *s, char *base) {
  for (int i = 0; i < c->n_in; i++) {
    c_strides(c, mars_dtype_bytes(c->in[i]), s->stride[i]);
    s->in[i] = (mx_bind){.base = base, .stride = s->stride[i]};
    base += (case_points(c) * mars_dtype_bytes(c->in[i]) + 255) & ~(size_t)255;
  }
  c_strides(c, 1, s->stride[CASE_MAX_IN]);
  s->gen = (mx_bind){.stride = s->stride[CASE_MAX_IN]};
  c_strides(c, mars_dtype_bytes(c->out), s->stride[CASE_MAX_IN + 1]);
  s->out = (mx_bind){.base = base, .stride = s->stride[CASE_MAX_IN + 1]};
  return base + ((case_results(c) * mars_dtype_bytes(c->out) + 255) & ~(size_t)255);
}

static mx_call make_call(const kernel_case *c, slots *s, mx_kernel *k, char *scratch) {
  static const int64_t origin[MARS_MAX_DIMS];

  return (mx_call){.kind = MX_CALL_PROGRAM, .kernel = k, .ndim = c->ndim, .shape = c->shape, .origin = origin, .in = s->in, .gen = &s->gen,
                   .out = &s->out, .final_mask = c->mask != 0 && !c->scan, .scratch = scratch};
}

static bool on_host(bench *b, const kernel_case *c, vm_prog *p, char *memory, char *scratch, mars_error *err) {
  mx_device *host = vm_device(b->host);
  mx_kernel *k = NULL;
  slots s;
  mars_status st = host->ops->kernel_create(host, vm_program(p), &k, err);

  if (st == MARS_OK) {
    (void)bind(c, &s, memory);
    mx_call call = make_call(c, &s, k, scratch), *list[1] = {&call};
    st = host->ops->launch(host, list, 1, err);
  }
  host->ops->kernel_destroy(host, k);
  return st == MARS_OK;
}

/* Runs the case on the device: seconds of one launch, and the result in `got`. */
static double on_device(bench *b, const kernel_case *c, vm_prog *p, const char *memory, char *got, mars_error *err) {
  mx_device *d = &b->dev->base;
  mx_kernel *k = NULL;
  slots s, host;
  double seconds = -1;
  char *end = bind(c, &s, b->dev->arena);
  size_t in_bytes = (size_t)(s.out.base - b->dev->arena), out_bytes = case_results(c) * mars_dtype_bytes(c->out);

  (void)bind(c, &host, NULL);
  if (d->ops->kernel_create(d, vm_program(p), &k, err) != MARS_OK) return -1;
  if ((size_t)(end - b->dev->arena) + d->ops->kernel_scratch(d, k, c->shape) > b->dev->arena_bytes) {
    snprintf(err->message, sizeof err->message, "%s does not fit the device", c->name);
  } else if (in_bytes == 0 ||
             good(b, b->dev->cu->cuMemcpyHtoDAsync((CUdeviceptr)(uintptr_t)b->dev->arena, memory, in_bytes, b->dev->compute), "operands")) {
    mx_call call = make_call(c, &s, k, end);
    launches l = {&call};

    seconds = timed(b, launch, &l) / b->repeats;
    if (!good(b, b->dev->cu->cuMemcpyDtoHAsync(got, (CUdeviceptr)(uintptr_t)s.out.base, out_bytes, b->dev->compute), "the result") ||
        !good(b, b->dev->cu->cuStreamSynchronize(b->dev->compute), "the result"))
      seconds = -1;
  }
  d->ops->kernel_destroy(d, k);
  return seconds;
}

static void measure_kernel(bench *b, const kernel_case *c) {
  size_t room = 4096, out_at = 0, out_bytes = case_results(c) * mars_dtype_bytes(c->out), moved = out_bytes;
  vm_prog *p = case_program(c);
  mars_error err = {0};
  double seconds = -1, peak = b->dev->bandwidth;
  char *memory, *got, *scratch;
  bool right = false;

  for (int i = 0; i < c->n_in; i++) {
    out_at += (case_points(c) * mars_dtype_bytes(c->in[i]) + 255) & ~(size_t)255;
    moved += case_points(c) * mars_dtype_bytes(c->in[i]);
  }
  room += out_at + out_bytes;
  memory = aligned_alloc(4096, (room + 4095) & ~(size_t)4095);
  got = malloc(out_bytes);
  scratch = aligned_alloc(64, 1 << 22);
  if (memory != NULL && got != NULL && scratch != NULL) {
    case_fill(c, memory);
    seconds = on_device(b, c, p, memory, got, &err);
    right = seconds >= 0 && on_host(b, c, p, memory, scratch, &err) && case_equal(c, got, memory + out_at);
  }
  if (seconds < 0) printf("%-24s %s\n", c->name, err.message);
  else
    printf("%-24s %9.1f %10.3f %9.1f %11.0f%% %10s %7s\n", c->name, (double)moved / 1e6, 1e3 * seconds, (double)moved / seconds / 1e9,
           100 * (double)moved / seconds / b->copy_rate, peak > 0 ? case_percent((double)moved / seconds / peak) : "?", right ? "yes" : "NO");
  if (!right) b->wrong++;
  vm_prog_free(p);
  free(memory);
  free(got);
  free(scratch);
}

static void measure_kernels(bench *b) {
  double seconds = timed(b, copies, NULL) / b->repeats;

  if (seconds <= 0) return;
  b->copy_rate = 2 * (double)b->bytes / seconds;
  printf("\n%-24s %9s %10s %9s %12s %10s %7s\n", "kernel", "MB moved", "ms", "GB/s", "of a copy", "of nominal", "right");
  printf("%-24s %9.1f %10.3f %9.1f %11.0f%% %10s\n", "copy on the device", 2 * (double)b->bytes / 1e6, 1e3 * seconds, b->copy_rate / 1e9, 100.0,
         b->dev->bandwidth > 0 ? case_percent(b->copy_rate / b->dev->bandwidth) : "?");
  for (int i = 0; i < CASE_COUNT; i++) {
    kernel_case c;

    case_make(i, b->bytes, &c);
    measure_kernel(b, &c);
  }
}

/* ---- products ---- */

typedef struct product {
  mars_dtype dt;
  int n;
  mx_call call;
} product;

static mars_status ours(bench *b, void *ctx, mars_error *err) {
  launches l = {&((product *)ctx)->call};

  return launch(b, &l, err);
}

static mars_status theirs(bench *b, void *ctx, mars_error *err) {
  const product *p = ctx;
  const mx_mat *m = p->call.tile->mat;
  const float one = 1, none = 0;
  const double wide = 1, zero = 0;
  mars_status st = MARS_OK;

  for (int i = 0; i < b->repeats; i++)
    MX_TRY(mx_cuda_blas_check(b->dev,
                              p->dt == MARS_F32
                                ? (int)b->dev->cu->cublasSgemm(b->dev->blas->blas, CUBLAS_OP_N, CUBLAS_OP_N, p->n, p->n, p->n, &one, (float *)m[2].base,
                                                               p->n, (float *)m[1].base, p->n, &none, (float *)m[0].base, p->n)
                                : (int)b->dev->cu->cublasDgemm(b->dev->blas->blas, CUBLAS_OP_N, CUBLAS_OP_N, p->n, p->n, p->n, &wide, (double *)m[2].base,
                                                               p->n, (double *)m[1].base, p->n, &zero, (double *)m[0].base, p->n),
                              "cuBLAS", err));

done:
  return st;
}

/* Element (row, col) of operand 1 or 2: of both signs, a multiple of 2^-12, so that f32 has it exactly. */
static double element(int operand, int row, int col) {
  uint32_t h = (uint32_t)row * 2654435761u ^ ((uint32_t)col + 77u) * 2246822519u ^ (uint32_t)operand * 3266489917u;

  h = (h ^ h >> 15) * 2246822519u;
  return (double)((h ^ h >> 13) & 4095) / 4096 - 0.5;
}

static void put(mars_dtype dt, char *at, double x) {
  if (dt == MARS_F32) memcpy(at, &(float){(float)x}, sizeof(float));
  else
    memcpy(at, &x, sizeof x);
}

static bool fill_operands(bench *b, const product *p) {
  const mx_mat *m = p->call.tile->mat;
  size_t es = mars_dtype_bytes(p->dt), row = (size_t)p->n * es;
  char *line = malloc(row);
  bool ok = line != NULL;

  for (int operand = 1; operand <= 2; operand++)
    for (int i = 0; ok && i < p->n; i++) {
      for (int j = 0; j < p->n; j++) put(p->dt, line + (size_t)j * es, element(operand, i, j));
      ok = good(b, b->dev->cu->cuMemcpyHtoDAsync((CUdeviceptr)(uintptr_t)m[operand].base + (size_t)i * row, line, row, b->dev->compute), "operands") &&
           good(b, b->dev->cu->cuStreamSynchronize(b->dev->compute), "operands");
    }
  free(line);
  return ok;
}

/* Some elements of the result, its corners among them, as sums of the host's in double; within the bound of any order of the terms. */
static bool is_product(bench *b, const product *p) {
  const mx_mat *m = p->call.tile->mat;
  size_t es = mars_dtype_bytes(p->dt);
  double unit = p->dt == MARS_F32 ? 0x1p-24 : 0x1p-53;
  bool right = true;

  for (int k = 0; k < 64; k++) {
    int i = k < 4 ? (k / 2) * (p->n - 1) : (k * 7919) % p->n, j = k < 4 ? (k % 2) * (p->n - 1) : (k * 104729) % p->n;
    double want = 0, size = 0, got = 0;
    float narrow = 0;
    void *into = p->dt == MARS_F32 ? (void *)&narrow : &got;

    for (int l = 0; l < p->n; l++) {
      double term = element(1, i, l) * element(2, l, j);
      want += term, size += fabs(term);
    }
    if (!good(b, b->dev->cu->cuMemcpyDtoHAsync(into, (CUdeviceptr)(uintptr_t)m[0].base + ((size_t)i * (size_t)p->n + (size_t)j) * es, es, b->dev->compute), "the result") ||
        !good(b, b->dev->cu->cuStreamSynchronize(b->dev->compute), "the result"))
      return false;
    if (p->dt == MARS_F32) got = (double)narrow;
    right = right && fabs(got - want) <= (double)p->n * unit * size; /* not of NaN */
  }
  return right;
}

/* Seconds of one product, and whether it is one: before it there is nothing but NaN. Negative after an error. */
static double timed_product(bench *b, work_fn *work, product *p, bool *right) {
  const mx_mat *m = p->call.tile->mat;
  size_t bytes = (size_t)p->n * (size_t)p->n * mars_dtype_bytes(p->dt);
  double seconds;

  if (!good(b, b->dev->cu->cuMemsetD8Async((CUdeviceptr)(uintptr_t)m[0].base, 0xff, bytes, b->dev->compute), "operands")) return -1;
  seconds = timed(b, work, p) / b->repeats;
  *right = seconds >= 0 && is_product(b, p) && *right;
  return seconds;
}

static void measure_products(bench *b, int n) {
  printf("\n%-24s %9s %10s %9s %12s %7s\n", "product", "order", "ms", "Tflop/s", "of cuBLAS", "right");
  for (int i = 0; i < 2; i++) {
    mars_dtype dt = i == 0 ? MARS_F32 : MARS_F64;
    size_t each = (size_t)n * (size_t)n * mars_dtype_bytes(dt);
    char *at = b->dev->arena;
    mx_mat mat[3] = {{at, n, n, n, 1}, {at + each, n, n, n, 1}, {at + 2 * each, n, n, n, 1}};
    mx_tile_call tile = {.op = MX_TILE_GEMM, .flags = MX_TF_FIRST, .dtype = dt, .n = 3, .mat = mat, .fn = "matmul"};
    product p = {dt, n, {.kind = MX_CALL_TILE, .tile = &tile}};
    bool right = true;

    if (3 * each > b->dev->arena_bytes || !mx_cuda_can_tile(b->dev, MX_TILE_GEMM, dt)) {
      printf("%-24s %s\n", mars_dtype_name(dt), 3 * each > b->dev->arena_bytes ? "does not fit" : "no cuBLAS");
      continue;
    }
    if (!fill_operands(b, &p)) return;
    double mine = timed_product(b, ours, &p, &right), direct = mine >= 0 ? timed_product(b, theirs, &p, &right) : -1;
    if (mine < 0 || direct < 0) return;
    printf("%-24s %9d %10.3f %9.2f %11.0f%% %7s\n", mars_dtype_name(dt), n, 1e3 * mine, 2.0 * n * n * n / mine / 1e12, 100 * direct / mine,
           right ? "yes" : "NO");
    if (!right) b->wrong++;
  }
}

/* ---- transfers ---- */

enum { PIECES = 16 };
static void wake(mx_transfer *t) { sem_post(t->user); }

/* Seconds of PIECES copies each way that is asked for, and of kernels beside them. */
static double travel(bench *b, char *host, bool up, bool down, mx_call *beside) {
  mx_transfer t[2 * PIECES];
  mx_device *d = &b->dev->base;
  size_t each = b->bytes / PIECES;
  double t0 = now();
  launches l = {beside};
  mars_error err = {0};
  sem_t done;
  int n = 0;

  sem_init(&done, 0, 0);
  for (int i = 0; i < PIECES; i++) {
    size_t at = (size_t)i * each;

    if (up) t[n++] = (mx_transfer){.kind = MX_TRANSFER_UP, .dst = b->dev->arena + at, .src = host + at, .bytes = each, .done = wake, .user = &done};
    if (down)
      t[n++] = (mx_transfer){.kind = MX_TRANSFER_DOWN, .dst = host + b->bytes + at, .src = b->dev->arena + b->bytes + at, .bytes = each, .done = wake,
                             .user = &done};
  }
  for (int i = 0; i < n; i++) d->ops->transfer(d, &t[i]);
  if (beside != NULL && launch(b, &l, &err) != MARS_OK) b->wrong++;
  for (int i = 0; i < n; i++) sem_wait(&done);
  t0 = now() - t0;
  for (int i = 0; i < n; i++)
    if (t[i].status != MARS_OK) {
      printf("%s\n", t[i].err.message);
      b->wrong++;
    }
  sem_destroy(&done);
  return t0;
}

static void measure_transfers(bench *b) {
  char *host = aligned_alloc(4096, 2 * b->bytes), *work = b->dev->arena + 2 * b->bytes;
  mx_device *d = &b->dev->base;
  mx_kernel *k = NULL;
  mars_error err = {0};
  kernel_case c;
  slots s;
  double rate = (double)b->bytes / 1e9, up, down, both, alone, all;

  case_make(CASE_CHAIN, b->bytes, &c);
  vm_prog *p = case_program(&c);
  char *end = bind(&c, &s, work);
  if (host == NULL || (size_t)(end - b->dev->arena) > b->dev->arena_bytes || d->ops->kernel_create(d, vm_program(p), &k, &err) != MARS_OK) {
    printf("transfers: %s\n", err.message[0] != '\0' ? err.message : "there is no room");
    b->wrong++;
  } else {
    memset(host, 0, 2 * b->bytes);
    if (mx_cuda_enter(b->dev, &err) == MARS_OK) {
      (void)good(b, b->dev->cu->cuMemsetD8Async((CUdeviceptr)(uintptr_t)b->dev->arena, 0, (size_t)(end - b->dev->arena), b->dev->compute), "operands");
      (void)good(b, b->dev->cu->cuStreamSynchronize(b->dev->compute), "operands");
      mx_cuda_leave(b->dev);
    }
    bool direct = d->ops->host_memory(d, host, 2 * b->bytes, &err) == MARS_OK;
    mx_call call = make_call(&c, &s, k, end);

    (void)travel(b, host, true, true, &call);
    up = travel(b, host, true, false, NULL), down = travel(b, host, false, true, NULL), both = travel(b, host, true, true, NULL);
    alone = travel(b, host, false, false, &call), all = travel(b, host, true, true, &call);
    printf("\ntransfers of %.1f MB each way, host memory %s\n", (double)b->bytes / 1e6, direct ? "registered" : "not registered: through pinned buffers");
    printf("  up %.2f GB/s, down %.2f GB/s, both at once %.2f GB/s\n", rate / up, rate / down, 2 * rate / both);
    printf("  overlap of up and down: %.0f%% of the shorter one is hidden\n", case_hidden(up + down - both, up < down ? up : down));
    printf("  overlap with kernels: %.0f%% of the shorter of transfers and kernels is hidden\n", case_hidden(both + alone - all, both < alone ? both : alone));
  }
  d->ops->kernel_destroy(d, k);
  vm_prog_free(p);
  vm_close(b->vm); /* it has registered the memory */
  b->vm = NULL;
  free(host);
}

/* ---- all ---- */

static int run(bench *b, int ordinal) {
  mars_error err = {0};
  bool simulated;

  if (vm_open_cuda(ordinal, 0, &b->vm, &err) != MARS_OK || vm_open(1, false, NULL, 0, &b->host, &err) != MARS_OK) {
    printf("gpu_measure: %s\n", err.message);
    return 77;
  }
  simulated = cuda_sim_is_used();
  b->dev = (mx_cuda *)vm_device(b->vm);
  b->repeats = simulated ? 1 : 20;
  if (b->bytes == 0) b->bytes = simulated ? 64 << 10 : 256 << 20;
  if (b->bytes > b->dev->arena_bytes / 8) b->bytes = b->dev->arena_bytes / 8;
  b->bytes &= ~(size_t)65535;
  printf("%s, %s, compute capability %d.%d, %d multiprocessors\n", b->dev->name, b->dev->model, b->dev->capability / 10, b->dev->capability % 10,
         b->dev->sms);
  if (simulated) printf("This is the SIMULATED platform: results are real, every time below is the interpreter's and says nothing of a GPU.\n");
  void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  for (int i = 0; i < 2 && b->elapsed == NULL && lib != NULL; i++) /* the same to us, by the newer name and the older one */
    b->elapsed = (__typeof__(cuEventElapsedTime) *)dlsym(lib, i == 0 ? "cuEventElapsedTime_v2" : "cuEventElapsedTime");
  if (b->elapsed == NULL || mx_cuda_enter(b->dev, &err) != MARS_OK) {
    printf("gpu_measure: no clock of the device\n");
    return 1;
  }
  if (!good(b, b->dev->cu->cuEventCreate(&b->begin, CU_EVENT_DEFAULT), "an event") || !good(b, b->dev->cu->cuEventCreate(&b->end, CU_EVENT_DEFAULT), "an event"))
    return 1;
  if (simulated) (void)b->dev->cu->cuMemsetD8Async((CUdeviceptr)(uintptr_t)b->dev->arena, 0, 2 * b->bytes, b->dev->compute);
  measure_kernels(b);
  measure_products(b, simulated ? 64 : 8192);
  (void)b->dev->cu->cuEventDestroy(b->begin);
  (void)b->dev->cu->cuEventDestroy(b->end);
  mx_cuda_leave(b->dev);
  measure_transfers(b);
  return b->wrong > 0 ? 1 : 0;
}

int main(int argc, char **argv) {
  bench b = {0};
  int ordinal = 0, result;
  char text[1024];

  for (int i = 1; i < argc; i += 2) {
    if (i + 1 < argc && strcmp(argv[i], "--device") == 0) ordinal = atoi(argv[i + 1]);
    else if (i + 1 < argc && strcmp(argv[i], "--bytes") == 0) b.bytes = strtoull(argv[i + 1], NULL, 10);
    else {
      fprintf(stderr, "usage: gpu_measure [--device N] [--bytes B]\n");
      return 2;
    }
  }
  result = run(&b, ordinal);
  vm_close(b.vm);
  vm_close(b.host);
  if (cuda_sim_failed_checks(text, sizeof text) > 0) {
    printf("failed checks of the simulated platform, the first: %s\n", text);
    result = 1;
  }
  return result;
}
