#include "tests/io_shim.h"

#include "io/extent.h"
#include "io/internal.h"
#include "io/npy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert(sizeof(shim_slot) == sizeof(mx_slot), "shim_slot mirrors mx_slot");
_Static_assert(sizeof(shim_info) == sizeof(mx_source_info), "shim_info mirrors mx_source_info");

struct shim_store {
  mx_mem mem;
  mx_store *store;
  char *arena;
  size_t arena_bytes;
  pthread_mutex_t lock;
  char log[8192];
};

static void take_log(void *user, mars_log_level level, const char *text) {
  shim_store *s = user;
  pthread_mutex_lock(&s->lock);
  size_t n = strlen(s->log), m = strlen(text);
  if (n + m + 2 < sizeof s->log) {
    memcpy(s->log + n, text, m);
    memcpy(s->log + n + m, "\n", 2);
  }
  pthread_mutex_unlock(&s->lock);
}

shim_store *shim_store_open(const shim_store_config *c, long long fail_alloc, mars_error *err) {
  shim_store *s = calloc(1, sizeof *s);
  mx_mem_init(&s->mem, NULL);
  atomic_store(&s->mem.fail_at, fail_alloc);
  pthread_mutex_init(&s->lock, NULL);
  s->arena_bytes = c->arena_bytes ? c->arena_bytes : (size_t)64 << 20;
  s->arena =
      mmap(NULL, s->arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  mx_store_config config = {.mem = &s->mem,
                            .backend = c->backend,
                            .no_direct = c->no_direct,
                            .spill_dirs = c->dirs,
                            .n_spill_dirs = c->n_dirs,
                            .spill_budget_bytes = c->spill_budget,
                            .arena = s->arena,
                            .arena_bytes = s->arena_bytes,
                            .log = take_log,
                            .log_user = s};
  if (mx_io_store_create(&config, &s->store, err) != MARS_OK) {
    long long left = shim_store_close(s);
    if (left) err->code = 1000000 + left; /* a leak: no errno looks like this */
    return NULL;
  }
  return s;
}

long long shim_store_close(shim_store *s) {
  if (s->store) s->store->ops->destroy(s->store);
  long long left = atomic_load(&s->mem.live);
  munmap(s->arena, s->arena_bytes);
  pthread_mutex_destroy(&s->lock);
  free(s);
  return left;
}

static mx_store_info info_of(shim_store *s) {
  mx_store_info info;
  s->store->ops->info(s->store, &info);
  return info;
}

void shim_store_fail_alloc(shim_store *s, long long n) {
  atomic_store(&s->mem.fail_at, n);
}
long long shim_store_live(shim_store *s) {
  return atomic_load(&s->mem.live);
}
char *shim_store_arena(shim_store *s) {
  return s->arena;
}
const char *shim_store_backend(shim_store *s) {
  return info_of(s).backend;
}
bool shim_store_direct(shim_store *s) {
  return info_of(s).direct;
}
bool shim_store_fixed_buffers(shim_store *s) {
  return info_of(s).fixed_buffers;
}
size_t shim_store_spill_used(shim_store *s) {
  return info_of(s).spill_used_bytes;
}
const char *shim_store_log(shim_store *s) {
  return s->log;
}
void shim_store_inject(shim_store *s, int64_t read_at, int64_t write_at, int errnum) {
  s->store->ops->inject(s->store, read_at, write_at, errnum);
}

typedef struct batch {
  pthread_mutex_t lock;
  pthread_cond_t change;
  int left;
} batch;
typedef struct pending {
  mx_io io;
  shim_io *shim;
  batch *batch;
} pending;

static void one_done(mx_io *io) {
  pending *p = (pending *)io;
  batch *b = p->batch;
  pthread_mutex_lock(&b->lock);
  p->shim->times++;
  p->shim->status = io->status;
  p->shim->err = io->err;
  b->left--;
  pthread_cond_signal(&b->change);
  pthread_mutex_unlock(&b->lock);
}

static long long run(shim_store *s, shim_io *reqs, int n, bool closing) {
  long long left = 0;
  static const mx_io_kind kinds[] = {MX_IO_SOURCE_READ, MX_IO_SINK_WRITE, MX_IO_SPILL_WRITE,
                                     MX_IO_SPILL_READ};
  batch b = {.left = n};
  pthread_mutex_init(&b.lock, NULL);
  pthread_cond_init(&b.change, NULL);
  pending *all = calloc((size_t)n, sizeof *all);
  mx_io **list = calloc((size_t)n, sizeof *list);
  for (int i = 0; i < n; i++) {
    shim_io *r = &reqs[i];
    r->times = 0;
    all[i] = (pending){.io = {.kind = kinds[r->kind],
                              .source = r->source,
                              .sink = r->sink,
                              .slot = (mx_slot *)r->slot,
                              .tag = r->tag,
                              .offset = r->offset,
                              .buf = r->buf,
                              .buf_bytes = r->buf_bytes,
                              .phase = r->phase,
                              .bytes = r->bytes,
                              .rows = r->rows,
                              .row_ndim = r->row_ndim,
                              .row_extent = r->row_extent,
                              .row_step = r->row_step,
                              .done = one_done},
                       .shim = r,
                       .batch = &b};
    list[i] = &all[i].io;
  }
  s->store->ops->submit(s->store, list, n);
  if (closing) left = shim_store_close(s);
  pthread_mutex_lock(&b.lock);
  while (!closing && b.left > 0) pthread_cond_wait(&b.change, &b.lock);
  pthread_mutex_unlock(&b.lock);
  free(all);
  free(list);
  pthread_cond_destroy(&b.change);
  pthread_mutex_destroy(&b.lock);
  return left;
}

void shim_run(shim_store *s, shim_io *reqs, int n) {
  run(s, reqs, n, false);
}
long long shim_run_and_close(shim_store *s, shim_io *reqs, int n) {
  return run(s, reqs, n, true);
}

void shim_slot_free(shim_store *s, shim_slot *slot) {
  s->store->ops->slot_free(s->store, (mx_slot *)slot);
}

mars_status shim_source_open(shim_store *s, const char *path, shim_info *info, mx_source **out,
                             mars_error *err) {
  mx_source_info got;
  mars_status st = s->store->ops->source_open(s->store, "mars_from_npy", path, &got, out, err);
  if (st == MARS_OK) *info = (shim_info){got.dtype, got.shape, got.fortran, got.swap, got.data_offset};
  return st;
}
void shim_source_release(shim_store *s, mx_source *source) {
  s->store->ops->source_release(source);
}
size_t shim_source_phase(shim_store *s, mx_source *source, int64_t offset) {
  return s->store->ops->source_phase(source, offset);
}
mars_status shim_sink_create(shim_store *s, const char *path, mars_dtype dtype, const mars_shape *shape,
                             mx_sink **out, mars_error *err) {
  return s->store->ops->sink_create(s->store, "mars_run", path, dtype, shape, out, err);
}
mars_status shim_sink_commit(shim_store *s, mx_sink *sink, mars_error *err) {
  return s->store->ops->sink_commit(sink, err);
}
void shim_sink_abort(shim_store *s, mx_sink *sink) {
  s->store->ops->sink_abort(sink);
}
size_t shim_sink_phase(shim_store *s, mx_sink *sink, int64_t offset) {
  return s->store->ops->sink_phase(sink, offset);
}

mars_status shim_npy_parse(const void *bytes, size_t n, shim_info *info, mars_error *err) {
  int64_t offset = 0, length = 0;
  mx_source_info got = {0};
  mars_status st = mx_npy_prefix("mars_from_npy", "x.npy", bytes, n, &offset, &length, err);
  if (st != MARS_OK) return st;
  if (offset + length > (int64_t)n) return mx_fail(err, MARS_E_FORMAT, "the header is cut");
  /* a copy of the exact size, so that a read beyond the end is seen by the sanitizer */
  char *dict = malloc((size_t)length + !length);
  memcpy(dict, (const char *)bytes + offset, (size_t)length);
  st = mx_npy_parse("mars_from_npy", "x.npy", dict, (size_t)length, &got, err);
  free(dict);
  if (st == MARS_OK) *info = (shim_info){got.dtype, got.shape, got.fortran, got.swap, offset + length};
  return st;
}
void shim_npy_swap(void *data, size_t bytes, mars_dtype dtype) {
  mx_npy_swap(data, bytes, dtype);
}

struct shim_extents {
  mx_mem mem;
  mx_extents e;
};
shim_extents *shim_extents_create(void) {
  shim_extents *s = calloc(1, sizeof *s);
  mx_mem_init(&s->mem, NULL);
  mx_extents_init(&s->e, &s->mem);
  return s;
}
void shim_extents_destroy(shim_extents *s) {
  mx_extents_reset(&s->e);
  free(s);
}
bool shim_extents_add(shim_extents *s, int32_t slab, int64_t bytes) {
  return mx_extents_add(&s->e, slab, bytes);
}
int shim_extents_acquire(shim_extents *s, int64_t bytes, int32_t *slab, int64_t *offset) {
  return mx_extents_acquire(&s->e, bytes, slab, offset);
}
void shim_extents_release(shim_extents *s, int32_t slab, int64_t offset, int64_t bytes) {
  mx_extents_release(&s->e, slab, offset, bytes);
}
