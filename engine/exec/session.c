#include "engine/exec/export.h"
#include "engine/user.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_BUDGET = 16 << 10 };

static const char *const NO_DIRS[1];

void mars_session_config_init(mars_session_config *config) {
  *config = (mars_session_config){.struct_bytes = sizeof *config, .bind_threads = true};
}

void mx_log(mars_session *s, mars_log_level level, const char *fmt, ...) {
  char text[512];
  va_list ap;
  if (!s->config.log) return;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  s->config.log(s->config.user, level, text);
}

static void store_log(void *user, mars_log_level level, const char *text) { mx_log(user, level, "%s", text); }

static mars_status check_config(const mars_session_config *c, mars_error *err) {
  if (c->struct_bytes != sizeof *c)
    return mx_fail(err, MARS_E_ARG, "mars_session_create: config.struct_bytes is %zu, not %zu: fill it with mars_session_config_init",
                   c->struct_bytes, sizeof *c);
  if (c->threads < 0) return mx_fail(err, MARS_E_ARG, "mars_session_create: config.threads is %d; give 0 (all cores) or more", c->threads);
  if (c->chunk_elements < 0)
    return mx_fail(err, MARS_E_ARG, "mars_session_create: config.chunk_elements is %lld; give 0 (chosen) or more", (long long)c->chunk_elements);
  if (c->host_budget_bytes && c->host_budget_bytes < LEAST_BUDGET)
    return mx_fail(err, MARS_E_BUDGET, "mars_session_create: config.host_budget_bytes is %zu; at least %d bytes are needed", c->host_budget_bytes,
                   LEAST_BUDGET);
  if (c->n_spill_dirs < MARS_SPILL_OFF || (c->n_spill_dirs > 0 && !c->spill_dirs))
    return mx_fail(err, MARS_E_ARG, "mars_session_create: config.n_spill_dirs is %d, but spill_dirs names none", c->n_spill_dirs);
  for (int i = 0; i < c->n_spill_dirs; i++)
    if (!c->spill_dirs[i] || !c->spill_dirs[i][0])
      return mx_fail(err, MARS_E_ARG, "mars_session_create: config.spill_dirs[%d] is empty", i);
  return MARS_OK;
}

/* The directories that the caller named must work; a default that does not is only told. */
static mars_status create_store(mars_session *s, mars_error *err) {
  const mars_session_config *c = &s->config;
  size_t arena_bytes;
  void *arena = s->device->ops->memory(s->device, &arena_bytes);
  mx_store_config sc = {.mem = &s->mem, .backend = c->io_backend ? c->io_backend : getenv("MARS_IO"), .no_direct = c->no_direct_io,
                        .spill_dirs = NO_DIRS, .spill_budget_bytes = c->spill_budget_bytes, .arena = arena, .arena_bytes = arena_bytes,
                        .log = store_log, .log_user = s};
  if (c->n_spill_dirs > 0) {
    sc.spill_dirs = c->spill_dirs;
    sc.n_spill_dirs = c->n_spill_dirs;
  }
  const char *fallback = getenv("MARS_SPILL_DIR");
  if (!fallback || !fallback[0]) fallback = getenv("TMPDIR");
  if (!fallback || !fallback[0]) fallback = "/tmp";
  if (c->n_spill_dirs == 0) {
    sc.spill_dirs = &fallback;
    sc.n_spill_dirs = 1;
  }
  mars_status st = mx_io_store_create(&sc, &s->store, err);
  if (st == MARS_E_MEMORY || st == MARS_OK || c->n_spill_dirs != 0) return st;
  mx_log(s, MARS_LOG_WARNING, "no spilling: %s", err ? err->message : mars_status_text(st));
  mx_error_clear(err);
  sc.n_spill_dirs = 0;
  return mx_io_store_create(&sc, &s->store, err);
}

static void describe(mars_session *s) {
  mx_host_info h;
  mx_store_info io;
  mx_host_device_info(s->device, &h);
  s->store->ops->info(s->store, &io);
  size_t arena_bytes;
  (void)s->device->ops->memory(s->device, &arena_bytes);
  s->machine = (mx_machine){.arena_bytes = arena_bytes, .threads = h.threads, .chunk_elements = s->config.chunk_elements,
                            .no_fusion = s->config.no_fusion, .spill = io.n_spill_dirs > 0,
                            .spill_budget_bytes = s->config.spill_budget_bytes, .l2_bytes = h.l2_bytes ? h.l2_bytes : 1 << 20};
  s->info = (mars_session_info){.version = mars_version(), .cpu = h.cpu, .isa = h.isa, .cores = h.cores, .threads = h.threads,
                                .numa_nodes = h.numa_nodes, .memory_bytes = h.memory_bytes,
                                .host_budget_bytes = s->config.host_budget_bytes, .arena_bytes = arena_bytes,
                                .huge_pages = h.huge_pages, .io_backend = io.backend, .io_fixed_buffers = io.fixed_buffers,
                                .io_direct = io.direct, .n_spill_dirs = io.n_spill_dirs, .spill_dirs = io.spill_dirs};
}

/* The built-in kinds of devices besides the host. */
static const mx_device_kind *const kinds[] = {&mx_cuda_kind};

mars_status mars_session_create(const mars_session_config *config, mars_session **out, mars_error *err) {
  return mx_session_create_with(config, kinds, (int)(sizeof kinds / sizeof *kinds), out, err);
}

mars_status mx_session_create_with(const mars_session_config *config, const mx_device_kind *const *given, int n_given,
                                   mars_session **out, mars_error *err) {
  mars_status st = MARS_OK;
  mars_session_config c;
  mars_session *s = NULL;
  mars_error local = {0};
  if (!err) err = &local;
  if (!out) return mx_fail(err, MARS_E_ARG, "mars_session_create: out is NULL: there is no place for the session");
  *out = NULL;
  mars_session_config_init(&c);
  if (config) {
    MX_TRY(check_config(config, err));
    c = *config;
  }
  if (!c.host_budget_bytes) c.host_budget_bytes = mx_host_memory_limit() / 2;
  mx_mem mem;
  mx_mem_init(&mem, &c.allocator);
  s = mx_alloc(&mem, sizeof *s);
  if (!s) MX_TRY(MX_NOMEM(err, "mars_session_create"));
  mx_mem_init(&s->mem, &c.allocator);
  s->config = c;
  pthread_mutex_init(&s->export_lock, NULL);
  for (int d = 0; d < MX_MAX_DEVICES; d++) s->stream[d] = MARS_NO_STREAM;
  MX_TRY(mx_graph_init(&s->graph, &s->mem, err));
  mx_host_config hc = {.mem = &s->mem, .arena_bytes = c.host_budget_bytes / 4096 * 4096, .threads = c.threads,
                       .bind_threads = c.bind_threads, .isa = c.isa};
  MX_TRY(mx_host_device_create(&hc, &s->device, err));
  MX_TRY(create_store(s, err));
  describe(s);
  MX_TRY(mx_session_add_devices(s, given, n_given, err));
  s->config.spill_dirs = NULL; /* the caller's memory; the store has its own copy */
  s->config.isa = s->config.io_backend = s->config.devices = NULL;
  MX_TRY(mx_actor_create(s, &s->actor, err));
  *out = s;
  s = NULL;
done:
  mars_session_destroy(s);
  return st;
}

void mars_session_destroy(mars_session *s) {
  if (!s) return;
  mx_actor_destroy(s->actor);
  if (s->graph.mem) mx_graph_reset(&s->graph);
  mx_actor_free(s->actor);
  s->actor = NULL;
  if (s->store) s->store->ops->destroy(s->store);
  s->store = NULL;
  while (s->kernels) {
    mx_user_kernel *next = s->kernels->next;
    mx_free(&s->mem, s->kernels);
    s->kernels = next;
  }
  pthread_mutex_lock(&s->export_lock);
  s->closed = true;
  s->lent++; /* nobody else finishes it before what follows is done */
  pthread_mutex_unlock(&s->export_lock);
  (void)mx_export_settle(s, false, NULL);
  pthread_mutex_lock(&s->export_lock);
  const bool last = --s->lent == 0;
  pthread_mutex_unlock(&s->export_lock);
  if (last) mx_session_finish(s);
}

void mx_session_finish(mars_session *s) {
  pthread_mutex_destroy(&s->export_lock);
  for (int d = s->machine.n_devices; --d > 0;) s->machine.device[d].dev->ops->destroy(s->machine.device[d].dev);
  if (s->device) s->device->ops->destroy(s->device);
  mx_mem mem = s->mem; /* the record itself was not counted in its own mem */
  mem.live = 0;
  mx_free(&mem, s);
}

void mars_session_get_info(mars_session *s, mars_session_info *out) {
  *out = s->info;
  out->blas = mx_host_blas();
  out->live_allocations = atomic_load(&s->mem.live);
  out->arena_used_bytes = (size_t)atomic_load(&s->actor->used_bytes);
}

const char *mars_version(void) { return "0.1.0"; }
