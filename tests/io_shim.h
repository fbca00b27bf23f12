/*
 * The store and the npy parser as the C++ tests see them: plain structs, transfers that wait.
 */
#ifndef TESTS_IO_SHIM_H
#define TESTS_IO_SHIM_H

#include <mars/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct shim_store shim_store;
typedef struct mx_source mx_source;
typedef struct mx_sink mx_sink;

typedef struct shim_store_config {
  const char *backend;
  bool no_direct;
  const char *const *dirs;
  int n_dirs;
  size_t spill_budget;
  size_t arena_bytes;
} shim_store_config;

typedef struct shim_slot { /* mx_slot */
  int32_t dir, slab;
  int64_t offset, bytes;
  uint64_t sum, tag;
} shim_slot;

typedef struct shim_info { /* mx_source_info */
  mars_dtype dtype;
  mars_shape shape;
  bool fortran, swap;
  int64_t data_offset;
} shim_info;

enum { SHIM_READ, SHIM_WRITE, SHIM_SPILL, SHIM_UNSPILL };

typedef struct shim_io {
  int kind;
  mx_source *source;
  mx_sink *sink;
  shim_slot *slot;
  uint64_t tag;
  int64_t offset;
  char *buf;
  size_t buf_bytes, phase, bytes;
  int64_t rows;
  int row_ndim;
  const int64_t *row_extent, *row_step;
  int times; /* how often done was called */
  mars_status status;
  mars_error err;
} shim_io;

/* fail_alloc: the n-th allocation (1: the first) fails; < 0: none. NULL on failure, with err filled. */
shim_store *shim_store_open(const shim_store_config *config, long long fail_alloc, mars_error *err);
long long shim_store_close(shim_store *s); /* allocations that are still live afterwards */
void shim_store_fail_alloc(shim_store *s, long long n);
long long shim_store_live(shim_store *s);
char *shim_store_arena(shim_store *s);
const char *shim_store_backend(shim_store *s);
bool shim_store_direct(shim_store *s);
bool shim_store_fixed_buffers(shim_store *s);
size_t shim_store_spill_used(shim_store *s);
const char *shim_store_log(shim_store *s); /* all lines said so far */
void shim_store_inject(shim_store *s, int64_t read_at, int64_t write_at, int errnum);

void shim_run(shim_store *s, shim_io *reqs, int n); /* submits all at once, waits for all */
/* Submits all and closes the store at once; live allocations afterwards, as shim_store_close. */
long long shim_run_and_close(shim_store *s, shim_io *reqs, int n);
void shim_slot_free(shim_store *s, shim_slot *slot);
mars_status shim_source_open(shim_store *s, const char *path, shim_info *info, mx_source **out,
                             mars_error *err);
void shim_source_release(shim_store *s, mx_source *source);
size_t shim_source_phase(shim_store *s, mx_source *source, int64_t offset);
mars_status shim_sink_create(shim_store *s, const char *path, mars_dtype dtype, const mars_shape *shape,
                             mx_sink **out, mars_error *err);
mars_status shim_sink_commit(shim_store *s, mx_sink *sink, mars_error *err);
void shim_sink_abort(shim_store *s, mx_sink *sink);
size_t shim_sink_phase(shim_store *s, mx_sink *sink, int64_t offset);

/* The header parser alone, on the bytes of a header (magic and all). */
mars_status shim_npy_parse(const void *bytes, size_t n, shim_info *info, mars_error *err);
void shim_npy_swap(void *data, size_t bytes, mars_dtype dtype);

typedef struct shim_extents shim_extents;
shim_extents *shim_extents_create(void);
void shim_extents_destroy(shim_extents *e);
bool shim_extents_add(shim_extents *e, int32_t slab, int64_t bytes);
int shim_extents_acquire(shim_extents *e, int64_t bytes, int32_t *slab, int64_t *offset);
void shim_extents_release(shim_extents *e, int32_t slab, int64_t offset, int64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
