/* The CUDA device. Contract: cuda/device.h, engine/device.h. */
#include "cuda/device.h"

#include "cuda/ranges.h"

#include "engine/session.h"

#include <stdio.h>
#include <string.h>

/* Left free for contexts, kernels, libraries' workspaces and other programs. */
static size_t reserve_of(size_t total) {
  size_t part = total / 16, least = (size_t)16 << 20, most = (size_t)1 << 30;

  return part < least ? least : part > most ? most : part;
}

/* ---- contexts and errors ---- */

/* After these the context is of no use. */
static bool lasts(CUresult r) {
  switch (r) {
  case CUDA_ERROR_ILLEGAL_ADDRESS:
  case CUDA_ERROR_LAUNCH_FAILED:
  case CUDA_ERROR_LAUNCH_TIMEOUT:
  case CUDA_ERROR_HARDWARE_STACK_ERROR:
  case CUDA_ERROR_ILLEGAL_INSTRUCTION:
  case CUDA_ERROR_MISALIGNED_ADDRESS:
  case CUDA_ERROR_INVALID_ADDRESS_SPACE:
  case CUDA_ERROR_INVALID_PC:
  case CUDA_ERROR_ASSERT:
  case CUDA_ERROR_ECC_UNCORRECTABLE:
  case CUDA_ERROR_NVLINK_UNCORRECTABLE:
  case CUDA_ERROR_CONTEXT_IS_DESTROYED:
  case CUDA_ERROR_DEINITIALIZED:
  case CUDA_ERROR_DEVICE_UNAVAILABLE: return true;
  default: return false;
  }
}

mars_status mx_cuda_check(mx_cuda *dev, CUresult r, const char *what, mars_error *err) {
  int none = 0;

  if (r == CUDA_SUCCESS) return MARS_OK;
  if (lasts(r)) atomic_compare_exchange_strong(&dev->lost, &none, (int)r);
  return mx_cuda_fail(dev->cu, r, dev->name, what, err);
}

mars_status mx_cuda_enter(mx_cuda *dev, mars_error *err) {
  int lost = atomic_load(&dev->lost);

  if (lost != 0) return mx_cuda_fail(dev->cu, (CUresult)lost, dev->name, "the device was lost before", err);
  return mx_cuda_check(dev, dev->cu->cuCtxPushCurrent(dev->ctx), "entering the context", err);
}

void mx_cuda_leave(mx_cuda *dev) {
  CUcontext old;

  (void)dev->cu->cuCtxPopCurrent(&old);
}

/* ---- the vtable ---- */

static const char *cuda_name(mx_device *d) { return ((mx_cuda *)d)->name; }

static mars_status cuda_kernel_create(mx_device *d, const mx_program *prog, mx_kernel **out, mars_error *err) {
  return mx_cuda_kernel_create((mx_cuda *)d, prog, out, err);
}

static void cuda_kernel_destroy(mx_device *d, mx_kernel *k) {
  (void)d;
  mx_cuda_kernel_destroy(k);
}

static size_t cuda_kernel_scratch(mx_device *d, const mx_kernel *k, const int64_t *shape) {
  (void)d;
  return mx_cuda_scratch(k, shape);
}

static mars_status cuda_launch(mx_device *d, mx_call *const *calls, int n, mars_error *err) {
  return mx_cuda_launch((mx_cuda *)d, calls, n, err);
}

static void *cuda_memory(mx_device *d, size_t *bytes) {
  mx_cuda *dev = (mx_cuda *)d;

  *bytes = dev->arena_bytes;
  return dev->arena;
}

static void cuda_info(mx_device *d, mx_device_info *out) {
  mx_cuda *dev = (mx_cuda *)d;
  bool full_rate = dev->capability == 80 || dev->capability == 90 || dev->capability == 100; /* f64 at half of f32's rate */
  double lanes = (double)dev->sms * (full_rate ? (dev->capability == 80 ? 32 : 64) : 2);

  *out = (mx_device_info){.model = dev->model, .memory_bytes = dev->arena_bytes, .flops = 2 * lanes * dev->clock_hz,
                          .memory_bytes_per_second = dev->bandwidth};
}

static mars_status cuda_host_memory(mx_device *d, void *arena, size_t bytes, mars_error *err) {
  mx_cuda *dev = (mx_cuda *)d;
  mars_status st = mx_cuda_enter(dev, err);
  CUresult r;

  if (st != MARS_OK) return st;
  r = dev->cu->cuMemHostRegister(arena, bytes, CU_MEMHOSTREGISTER_PORTABLE);
  if (r == CUDA_SUCCESS || r == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED) { /* by a neighbour: portable, ours as well */
    dev->host = arena;
    dev->host_bytes = bytes;
    dev->registered = r == CUDA_SUCCESS;
  } else {
    st = mx_cuda_check(dev, r, "registering the host's arena", err);
  }
  mx_cuda_leave(dev);
  return st;
}

static void cuda_transfer(mx_device *d, mx_transfer *t) {
  mx_cuda *dev = (mx_cuda *)d;

  if (t->kind == MX_TRANSFER_PEER && dev->clique != NULL && t->peer != d && !mx_cuda_linked(dev, (const mx_cuda *)t->peer)) {
    t->also = NULL;
    t->on = d;
    mx_clique_push(dev->clique, t);
    return;
  }
  mx_lane_push(&dev->lane[t->kind], t);
}

/* What the clique takes as one. */
static void link_set(mx_transfer *const *list, mx_device *const *on, int n) {
  for (int i = 0; i < n; i++) {
    list[i]->on = on[i];
    list[i]->also = i + 1 < n ? list[i + 1] : NULL;
  }
}

static void cuda_broadcast(mx_device *d, mx_transfer *const *list, mx_device *const *to, int n) {
  mx_cuda *dev = (mx_cuda *)d;

  link_set(list, to, n);
  if (dev->clique != NULL) mx_clique_push(dev->clique, list[0]);
  for (int i = 0; i < n && dev->clique == NULL; i++) cuda_transfer(to[i], list[i]);
}

/* All members of the communicators take part. */
static bool cuda_can_join(mx_device *d, int n) {
  const mx_cuda *dev = (const mx_cuda *)d;

  return dev->clique != NULL && mx_clique_members(dev->clique) == n;
}

static void cuda_join(mx_device *d, mx_transfer *const *list, mx_device *const *of, int n) {
  const mx_cuda *dev = (const mx_cuda *)d;

  link_set(list, of, n);
  mx_clique_push(dev->clique, list[0]);
}

static bool cuda_can_program(mx_device *d, const mx_program *prog) {
  return ((mx_cuda *)d)->arch != 0 && mx_text_can(prog, NULL);
}

static bool cuda_can_tile(mx_device *d, mx_tile_op op, mars_dtype dtype) { return mx_cuda_can_tile((mx_cuda *)d, op, dtype); }

static bool cuda_lacks(mx_device *d, char *text, size_t bytes) {
  const mx_cuda *dev = (const mx_cuda *)d;
  const mx_cuda_library *nvrtc = &dev->cu->lib[MX_LIB_NVRTC];

  if (dev->arch != 0) return false;
  if (mx_cuda_has(dev->cu, MX_LIB_NVRTC))
    snprintf(text, bytes, "libnvrtc %s does not compile for the compute capability of %s, %d.%d", nvrtc->version, dev->name, dev->capability / 10, dev->capability % 10);
  else snprintf(text, bytes, "libnvrtc is missing: %s", nvrtc->missing);
  return true;
}

static bool cuda_tile_scratch(mx_device *d, const mx_tile_call *t, size_t *bytes) { return mx_cuda_tile_scratch((mx_cuda *)d, t, bytes); }

static void cuda_destroy(mx_device *d) {
  mx_cuda *dev = (mx_cuda *)d;
  const mx_cuda_api *cu;
  bool entered;

  if (dev == NULL) return;
  cu = dev->cu;
  mx_clique_destroy(dev->clique);
  /* a second try: without its context nothing could be given back */
  entered = dev->retained && (cu->cuCtxPushCurrent(dev->ctx) == CUDA_SUCCESS || cu->cuCtxPushCurrent(dev->ctx) == CUDA_SUCCESS);
  for (int i = 0; i < MX_LANES; i++) mx_lane_reset(&dev->lane[i]);
  if (dev->compute != NULL) (void)cu->cuStreamSynchronize(dev->compute);
  mx_cuda_blas_destroy(dev);
  mx_cuda_unload(dev);
  if (dev->done != NULL) (void)cu->cuEventDestroy(dev->done);
  if (dev->compute != NULL) (void)cu->cuStreamDestroy(dev->compute);
  if (dev->table != 0) (void)cu->cuMemFree(dev->table);
  if (dev->table_host != NULL) (void)cu->cuMemFreeHost(dev->table_host);
  if (dev->slab != 0) (void)cu->cuMemFree(dev->slab);
  if (dev->registered) (void)cu->cuMemHostUnregister(dev->host);
  if (dev->has_lock) pthread_mutex_destroy(&dev->lock);
  if (dev->has_tiles) pthread_mutex_destroy(&dev->tiles);
  if (entered) mx_cuda_leave(dev);
  if (dev->retained) (void)cu->cuDevicePrimaryCtxRelease(dev->device);
  mx_free(dev->mem, dev);
}

bool mx_cuda_linked(const mx_cuda *dev, const mx_cuda *peer) {
  int can = 0;

  if (dev->cu->cuDeviceCanAccessPeer == NULL || dev->cu->cuMemcpyPeerAsync == NULL) return false;
  return dev->cu->cuDeviceCanAccessPeer(&can, dev->device, peer->device) == CUDA_SUCCESS && can != 0;
}

static bool cuda_can_peer(mx_device *d, mx_device *peer) {
  const mx_cuda *dev = (const mx_cuda *)d;

  return dev->clique != NULL || mx_cuda_linked(dev, (const mx_cuda *)peer);
}

static const mx_device_ops cuda_ops = {
    .name = cuda_name,
    .kernel_create = cuda_kernel_create,
    .kernel_destroy = cuda_kernel_destroy,
    .kernel_scratch = cuda_kernel_scratch,
    .launch = cuda_launch,
    .memory = cuda_memory,
    .destroy = cuda_destroy,
    .info = cuda_info,
    .host_memory = cuda_host_memory,
    .transfer = cuda_transfer,
    .can_program = cuda_can_program,
    .can_tile = cuda_can_tile,
    .lacks = cuda_lacks,
    .tile_scratch = cuda_tile_scratch,
    .can_peer = cuda_can_peer,
    .broadcast = cuda_broadcast,
    .can_join = cuda_can_join,
    .join = cuda_join,
    .reaches = mx_cuda_reaches,
    .mark_create = mx_cuda_mark_create,
    .mark_wait = mx_cuda_mark_wait,
    .mark_destroy = mx_cuda_mark_destroy,
};

/* ---- creation ---- */

static CUresult count_devices(const mx_cuda_api *cu, int *n) {
  CUresult r = cu->cuInit(0);

  *n = 0;
  return r != CUDA_SUCCESS ? r : cu->cuDeviceGetCount(n);
}

/* For CUDA 11.2: what NVRTC 11.2, the oldest that is looked for, makes is read by it. */
enum { OLDEST_DRIVER = 11020 };

static int driver_version(const mx_cuda_api *cu) {
  int version = 0;

  return cu->cuDriverGetVersion(&version) == CUDA_SUCCESS ? version : 0;
}

static int kind_count(void *ctx) {
  const mx_cuda_api *cu = mx_cuda_load(MX_LIB_DRIVER);
  int n = 0;

  (void)ctx;
  if (!mx_cuda_has(cu, MX_LIB_DRIVER) || driver_version(cu) < OLDEST_DRIVER) return 0;
  return count_devices(cu, &n) == CUDA_SUCCESS ? n : 0;
}

static void kind_why(void *ctx, char *text, size_t bytes) {
  const mx_cuda_api *cu = mx_cuda_load(MX_LIB_DRIVER);
  const char *id = NULL, *says = NULL;
  int n = 0, version;
  CUresult r;

  (void)ctx;
  if (!mx_cuda_has(cu, MX_LIB_DRIVER)) {
    snprintf(text, bytes, "libcuda is missing: %.200s", cu->lib[MX_LIB_DRIVER].missing);
    return;
  }
  version = driver_version(cu);
  if (version < OLDEST_DRIVER) {
    snprintf(text, bytes, "the driver, %.120s, is one for CUDA %d.%d; one for %d.%d or newer is needed", cu->lib[MX_LIB_DRIVER].path, version / 1000,
             version % 1000 / 10, OLDEST_DRIVER / 1000, OLDEST_DRIVER % 1000 / 10);
    return;
  }
  r = count_devices(cu, &n);
  if (r == CUDA_SUCCESS) {
    snprintf(text, bytes, "the driver has %d device%s", n, n == 1 ? "" : "s");
    return;
  }
  if (cu->cuGetErrorName(r, &id) != CUDA_SUCCESS || id == NULL) id = "an unknown error";
  if (cu->cuGetErrorString(r, &says) != CUDA_SUCCESS || says == NULL) says = "";
  snprintf(text, bytes, "the driver says %s: %s", id, says);
}

/* Once in a session: what its GPUs do not do for want of a library. */
static void warn_if_missing(mx_cuda_lib lib, void (*log)(void *user, mars_log_level level, const char *text), void *user) {
  const mx_cuda_api *cu = mx_cuda_load(lib);
  char text[480];

  if (mx_cuda_has(cu, lib) || log == NULL) return;
  snprintf(text, sizeof text, "%s is missing: %s", cu->lib[lib].name, cu->lib[lib].told);
  log(user, MARS_LOG_WARNING, text);
}

static void warn_of_missing(mx_cuda *dev, const mx_device_request *request) {
  static const mx_cuda_lib wanted[] = {MX_LIB_NVRTC, MX_LIB_CUBLAS, MX_LIB_CUSOLVER};
  char lacking[300], text[400];

  for (size_t i = 0; request->first && i < sizeof wanted / sizeof *wanted; i++) warn_if_missing(wanted[i], request->log, request->log_user);
  if (request->log == NULL || !mx_cuda_has(dev->cu, MX_LIB_NVRTC) || !cuda_lacks(&dev->base, lacking, sizeof lacking)) return;
  snprintf(text, sizeof text, "%s; programs stay on the host", lacking);
  request->log(request->log_user, MARS_LOG_WARNING, text);
}

static mars_status kind_describe(void *ctx, int index, mx_device_info *out, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_cuda_api *cu = mx_cuda_load(MX_LIB_DRIVER);
  char name[24];
  size_t bytes = 0;
  CUdevice device;
  CUresult r;

  (void)ctx;
  *out = (mx_device_info){.host = false};
  MX_TRY(mx_cuda_need(cu, MX_LIB_DRIVER, "mars_session_create: a CUDA device", err));
  snprintf(name, sizeof name, "cuda:%d", index);
  r = cu->cuDeviceGet(&device, index);
  if (r == CUDA_SUCCESS) r = cu->cuDeviceTotalMem(&bytes, device);
  if (r != CUDA_SUCCESS) MX_TRY(mx_cuda_fail(cu, r, name, "its memory", err));
  out->memory_bytes = bytes - reserve_of(bytes);

done:
  return st;
}

static mars_status describe(mx_cuda *dev, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_cuda_api *cu = dev->cu;
  int major = 0, minor = 0, clock_khz = 0, memory_khz = 0, bus_bits = 0;

  MX_TRY(mx_cuda_check(dev, cu->cuDeviceGetName(dev->model, sizeof dev->model, dev->device), "its name", err));
  MX_TRY(mx_cuda_check(dev, cu->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, dev->device),
                       "its compute capability", err));
  MX_TRY(mx_cuda_check(dev, cu->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, dev->device),
                       "its compute capability", err));
  MX_TRY(mx_cuda_check(dev, cu->cuDeviceGetAttribute(&dev->sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, dev->device),
                       "its multiprocessors", err));
  if (dev->sms < 1) dev->sms = 1;
  /* for the planner's estimates: unknown ones stay 0 */
  (void)cu->cuDeviceGetAttribute(&clock_khz, CU_DEVICE_ATTRIBUTE_CLOCK_RATE, dev->device);
  (void)cu->cuDeviceGetAttribute(&memory_khz, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, dev->device);
  (void)cu->cuDeviceGetAttribute(&bus_bits, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, dev->device);
  dev->clock_hz = 1e3 * clock_khz;
  dev->bandwidth = 2e3 * memory_khz * (bus_bits / 8.0);
  dev->capability = 10 * major + minor;
  if (dev->capability < 70)
    MX_TRY(mx_fail(err, MARS_E_UNSUPPORTED, "mars_session_create: %s (%s) has compute capability %d.%d; 7.0 is needed", dev->name, dev->model,
                   major, minor));
  if (mx_cuda_has(mx_cuda_load(MX_LIB_NVRTC), MX_LIB_NVRTC)) dev->arch = mx_compile_arch(cu, dev->capability);

done:
  return st;
}

static mars_status make_slab(mx_cuda *dev, size_t want, mars_error *err) {
  mars_status st = MARS_OK;
  size_t free_bytes = 0, total = 0, most;

  MX_TRY(mx_cuda_check(dev, dev->cu->cuMemGetInfo(&free_bytes, &total), "its free memory", err));
  most = free_bytes > reserve_of(total) ? free_bytes - reserve_of(total) : 0;
  if (want > most)
    MX_TRY(mx_fail(err, MARS_E_BUDGET, "mars_session_create: %s: a budget of %zu bytes, but of its %zu bytes %zu are free, of which %zu stay in reserve",
                   dev->name, want, total, free_bytes, reserve_of(total)));
  if (want == 0) want = most;
  want &= ~(size_t)4095;
  if (want == 0) MX_TRY(mx_fail(err, MARS_E_BUDGET, "mars_session_create: %s: %zu of %zu bytes are free: too few", dev->name, free_bytes, total));
  MX_TRY(mx_cuda_check(dev, dev->cu->cuMemAlloc(&dev->slab, want + 4096), "its arena", err));
  dev->arena = (char *)(uintptr_t)((dev->slab + 4095) & ~(CUdeviceptr)4095);
  dev->arena_bytes = want;

done:
  return st;
}

static mars_status set_up(mx_cuda *dev, size_t budget_bytes, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_cuda_api *cu = dev->cu;

  if (pthread_mutex_init(&dev->lock, NULL) != 0) MX_TRY(mx_fail(err, MARS_E_MEMORY, "mars_session_create: %s: no lock", dev->name));
  dev->has_lock = true;
  if (pthread_mutex_init(&dev->tiles, NULL) != 0) MX_TRY(mx_fail(err, MARS_E_MEMORY, "mars_session_create: %s: no lock", dev->name));
  dev->has_tiles = true;
  MX_TRY(make_slab(dev, budget_bytes, err));
  MX_TRY(mx_cuda_check(dev, cu->cuStreamCreate(&dev->compute, CU_STREAM_NON_BLOCKING), "its stream", err));
  MX_TRY(mx_cuda_check(dev, cu->cuEventCreate(&dev->done, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC), "its event", err));
  for (int i = 0; i < MX_LANES; i++) MX_TRY(mx_lane_init(&dev->lane[i], dev, err));

done:
  return st;
}

static mars_status kind_create(void *ctx, const mx_device_request *request, mx_device **out, mars_error *err) {
  mars_status st = MARS_OK;
  const mx_cuda_api *cu = mx_cuda_load(MX_LIB_DRIVER);
  mx_cuda *dev = NULL;
  bool entered = false;
  int n = 0;

  (void)ctx;
  *out = NULL;
  MX_TRY(mx_cuda_need(cu, MX_LIB_DRIVER, "mars_session_create: a CUDA device", err));
  dev = mx_alloc(request->mem, sizeof *dev);
  if (dev == NULL) MX_TRY(mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for cuda:%d", request->index));
  dev->base.ops = &cuda_ops;
  dev->mem = request->mem;
  dev->cu = cu;
  dev->ordinal = request->index;
  dev->log = request->log;
  dev->log_user = request->log_user;
  snprintf(dev->name, sizeof dev->name, "cuda:%d", request->index);
  MX_TRY(mx_cuda_check(dev, count_devices(cu, &n), "starting CUDA", err));
  if (request->index < 0 || request->index >= n)
    MX_TRY(mx_fail(err, MARS_E_ARG, "mars_session_create: there is no %s; the driver has %d device%s", dev->name, n, n == 1 ? "" : "s"));
  MX_TRY(mx_cuda_check(dev, cu->cuDeviceGet(&dev->device, request->index), "opening it", err));
  MX_TRY(describe(dev, err));
  MX_TRY(mx_cuda_check(dev, cu->cuDevicePrimaryCtxRetain(&dev->ctx, dev->device), "its primary context", err));
  dev->retained = true;
  MX_TRY(mx_cuda_enter(dev, err));
  entered = true;
  MX_TRY(set_up(dev, request->budget_bytes, err));
  warn_of_missing(dev, request);
  *out = &dev->base;

done:
  if (entered) mx_cuda_leave(dev);
  if (st != MARS_OK && dev != NULL) cuda_destroy(&dev->base);
  return st;
}

static bool all_linked(mx_cuda *const *devs, int n) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      if (i != j && !mx_cuda_linked(devs[i], devs[j])) return false;
  return true;
}

static void kind_connect(void *ctx, mx_device *const *devs, int n) {
  mx_cuda *members[MX_MAX_DEVICES] = {NULL};

  (void)ctx;
  for (int i = 0; i < n; i++) members[i] = (mx_cuda *)devs[i];
  mx_clique_join(members, n);
  if (!mx_cuda_has(mx_cuda_load(MX_LIB_NCCL), MX_LIB_NCCL) && !all_linked(members, n))
    warn_if_missing(MX_LIB_NCCL, members[0]->log, members[0]->log_user);
}

const mx_device_kind mx_cuda_kind = {
    .name = "cuda", .count = kind_count, .why = kind_why, .describe = kind_describe, .create = kind_create, .connect = kind_connect,
    .ranges = &mx_cuda_ranges};
