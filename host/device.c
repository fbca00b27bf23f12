/* The host as a device: the vtable of engine/device.h, creation and info of engine/session.h. */
#include "host/routines/blas.h"
#include "host/vm.h"

#include "engine/session.h"
#include "engine/status.h"

#include <stdlib.h>
#include <string.h>

static const char *host_name(mx_device *dev) {
  (void)dev;
  return "host";
}

static mars_status host_kernel_create(mx_device *dev, const mx_program *prog, mx_kernel **out, mars_error *err) {
  mx_host *host = (mx_host *)dev;
  mars_status st = prog->routine ? mx_blas_open(NULL, err) : MARS_OK;

  if (st != MARS_OK) {
    *out = NULL;
    return st;
  }
  return mx_vm_compile(host->mem, &host->isa, prog, out, err);
}

static void host_kernel_destroy(mx_device *dev, mx_kernel *kernel) {
  (void)dev;
  mx_vm_kernel_destroy(kernel);
}

static size_t host_kernel_scratch(mx_device *dev, const mx_kernel *kernel, const int64_t *shape) {
  mx_rshape g;

  (void)dev;
  if (kernel->n_reduce == 0) return 0;
  mx_reduce_shape(kernel, shape, &g);
  return mx_reduce_scratch(kernel, &g);
}

static mars_status host_launch(mx_device *dev, mx_call *const *calls, int n, mars_error *err) {
  return mx_vm_launch((mx_host *)dev, calls, n, false, err);
}

static mars_status host_launch_here(mx_device *dev, mx_call *const *calls, int n, mars_error *err) {
  return mx_vm_launch((mx_host *)dev, calls, n, true, err);
}

static bool host_follows(mx_device *dev, mx_call *const *calls, int n, const mx_call *next) {
  (void)dev;
  return mx_vm_follows(calls, n, next);
}

static mars_status host_launch_rows(mx_device *dev, mx_call *const *calls, int n, mars_error *err) {
  return mx_vm_launch_rows((mx_host *)dev, calls, n, err);
}

static void *host_memory(mx_device *dev, size_t *bytes) {
  mx_host *host = (mx_host *)dev;

  *bytes = host->arena.bytes;
  return host->arena.base;
}

static void host_destroy(mx_device *dev) {
  mx_host *host = (mx_host *)dev;
  mx_mem *mem;

  if (host == NULL) return;
  mem = host->mem;
  if (host->work != NULL)
    for (int t = 0; t < mx_pool_threads(host->pool); t++) mx_free(mem, host->work[t].mem);
  mx_free(mem, host->work);
  mx_free(mem, host->preps);
  mx_free(mem, host->views);
  mx_free(mem, host->pieces);
  mx_pool_destroy(host->pool);
  mx_arena_reset(&host->arena);
  mx_host_machine_reset(&host->machine);
  mx_free(mem, host);
}

static const mx_device_ops host_ops = {
    .name = host_name,
    .kernel_create = host_kernel_create,
    .kernel_destroy = host_kernel_destroy,
    .kernel_scratch = host_kernel_scratch,
    .launch = host_launch,
    .launch_here = host_launch_here,
    .follows = host_follows,
    .launch_rows = host_launch_rows,
    .memory = host_memory,
    .destroy = host_destroy,
};

/* The configuration's choice, else $MARS_ISA, else the best. */
static mars_status choose_isa(mx_host *host, const char *isa, mars_error *err) {
  const char *source = "config.isa";

  if (isa == NULL) {
    isa = getenv("MARS_ISA");
    source = "MARS_ISA";
    if (isa != NULL && isa[0] == '\0') isa = NULL;
  }
  host->isa.loops = mx_loops_select(isa);
  if (host->isa.loops == NULL)
    return mx_fail(err, MARS_E_ARG,
                   "mars_session_create: %s is \"%s\"; this CPU's choices are baseline%s%s", source, isa,
                   mx_loops_select("avx2") != NULL ? ", avx2" : "", mx_loops_select("avx512") != NULL ? ", avx512" : "");
  host->isa.reduce = mx_reduce_select(host->isa.loops->isa);
  host->isa.fused = mx_fused_select(host->isa.loops->isa);
  return MARS_OK;
}

mars_status mx_host_device_create(const mx_host_config *config, mx_device **out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_host *host = mx_alloc(config->mem, sizeof *host);

  *out = NULL;
  if (host == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for the host device");
  host->base.ops = &host_ops;
  host->mem = config->mem;
  MX_TRY(choose_isa(host, config->isa, err));
  MX_TRY(mx_host_machine_init(&host->machine, err));
  MX_TRY(mx_pool_create(host->mem, &host->machine, config->threads, config->bind_threads, &host->pool, err));
  MX_TRY(mx_arena_init(&host->arena, &host->machine, config->arena_bytes, err));
  host->work = mx_calloc(host->mem, (size_t)mx_pool_threads(host->pool), sizeof *host->work);
  if (host->work == NULL)
    MX_TRY(mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for %d workers", mx_pool_threads(host->pool)));
  *out = &host->base;
  host = NULL;

done:
  if (host != NULL) host_destroy(&host->base);
  return st;
}

void mx_host_device_info(mx_device *dev, mx_host_info *out) {
  const mx_host *host = (const mx_host *)dev;

  out->cpu = host->machine.cpu;
  out->isa = host->isa.loops->isa;
  out->cores = host->machine.cores;
  out->threads = mx_pool_threads(host->pool);
  out->numa_nodes = host->machine.numa_nodes;
  out->memory_bytes = host->machine.memory_bytes;
  out->l2_bytes = host->machine.l2_bytes;
  out->huge_pages = host->arena.huge_pages;
}
