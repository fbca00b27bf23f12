/*
 * The store vtable: files that tensors come from and go to, and the spill store, all asynchronous.
 *
 * Layer: engine owns it; io/ implements it. Threads: every function may be called from the session's thread while the
 * store's own thread works; completions are called on the store's thread.
 */
#ifndef MX_STORE_H
#define MX_STORE_H

#include "engine/mem.h"

typedef struct mx_store mx_store;
typedef struct mx_source mx_source; /* an input file, refcounted */
typedef struct mx_sink mx_sink;     /* an output file being written */

#define MX_IO_ALIGN 4096 /* memory, offsets and lengths of direct requests */

typedef struct mx_source_info {
  mars_dtype dtype;
  mars_shape shape;      /* as stored, C order: for a Fortran-order file reversed */
  bool fortran;          /* the tensor is the transpose of `shape` */
  bool swap;             /* other endian: reads deliver native values */
  int64_t data_offset;   /* bytes of the first element in the file */
} mx_source_info;

/* Where a spilled chunk lives. Plain memory of the engine; zero means "none". */
typedef struct mx_slot {
  int32_t dir;      /* 1 + number of the directory */
  int32_t slab;
  int64_t offset;
  int64_t bytes;    /* multiple of MX_IO_ALIGN: phase + bytes of the request, rounded up */
  uint64_t sum;     /* XXH3 of the data, seeded with tag */
  uint64_t tag;     /* chunk id and generation */
} mx_slot;

typedef enum mx_io_kind { MX_IO_SOURCE_READ, MX_IO_SINK_WRITE, MX_IO_SPILL_WRITE, MX_IO_SPILL_READ } mx_io_kind;

typedef struct mx_io mx_io;
typedef void mx_io_done(mx_io *req); /* on the store's thread; may submit nothing, must return soon */

/* One transfer. The struct is the engine's and stays valid until done is called. Whole buffers of the arena
   [buf, buf + buf_bytes) are MX_IO_ALIGN-aligned; the chunk's data stands at buf + phase, where phase = mx_store_phase()
   for sources and sinks: then the transfer is direct and needs no copy. What lies around the data inside the buffer may
   be overwritten by reads and is never kept by sink writes. For spilled chunks the phase is free, but a SPILL_READ must
   have the phase and bytes of its SPILL_WRITE. A failed SPILL_WRITE leaves the slot zero. Requests are begun in the order
   of submission and may finish in any. */
struct mx_io {
  mx_io_kind kind;
  mx_source *source;
  mx_sink *sink;
  mx_slot *slot;       /* spill: written by SPILL_WRITE, read and verified by SPILL_READ */
  uint64_t tag;        /* spill: chunk id and generation */
  int64_t offset;      /* source, sink: bytes from the first element */
  char *buf;
  size_t buf_bytes, phase, bytes; /* data: buf[phase, phase + bytes) */
  /* Region not contiguous in the file (rows > 1): `rows` runs of `bytes / rows`, run r at file_step[...]: the run's
     offset is `offset` + sum over row_ndim of index * row_step, indices in C order; in memory the runs follow another. */
  int64_t rows;
  int row_ndim;
  const int64_t *row_extent, *row_step;
  mx_io_done *done;
  void *user;
  /* filled before done */
  mars_status status;
  mars_error err;
  mx_io *next; /* the store's own */
};

typedef struct mx_store_config {
  mx_mem *mem;
  const char *backend; /* NULL, "uring", "threads" */
  bool no_direct;
  const char *const *spill_dirs; /* may be empty: spilling then fails with a message that says so */
  int n_spill_dirs;
  size_t spill_budget_bytes; /* 0: none */
  /* Registered in pieces as fixed buffers where the system allows it: while the store lives, its pages must not be
     discarded or mapped anew (no MADV_DONTNEED). */
  void *arena;
  size_t arena_bytes;
  void (*log)(void *user, mars_log_level level, const char *text); /* may be NULL; any thread */
  void *log_user;
} mx_store_config;

typedef struct mx_store_info {
  const char *backend; /* "io_uring", "threads" */
  bool fixed_buffers, direct;
  int n_spill_dirs;
  const char *const *spill_dirs;
  size_t spill_used_bytes; /* live slots */
} mx_store_info;

typedef struct mx_store_ops {
  void (*info)(mx_store *store, mx_store_info *out);
  /* fn: public function for messages. The header is checked (also against the file's size) before anything is allocated. */
  mars_status (*source_open)(mx_store *store, const char *fn, const char *path, mx_source_info *info, mx_source **out,
                             mars_error *err);
  void (*source_retain)(mx_source *source);
  void (*source_release)(mx_source *source); /* NULL is fine */
  /* Temporary file beside `path`, header written, space reserved where the file system can (ENOSPC is told now). */
  mars_status (*sink_create)(mx_store *store, const char *fn, const char *path, mars_dtype dtype, const mars_shape *shape,
                             mx_sink **out, mars_error *err);
  mars_status (*sink_commit)(mx_sink *sink, mars_error *err); /* fsync, rename, fsync of the directory; frees either way;
                                                            all writes must be done */
  void (*sink_abort)(mx_sink *sink); /* removes the temporary file, frees; NULL is fine */
  /* (address of the byte `offset`) mod MX_IO_ALIGN that makes its transfer direct */
  size_t (*source_phase)(mx_source *source, int64_t offset);
  size_t (*sink_phase)(mx_sink *sink, int64_t offset);
  /* Queue n requests; done is called once for each, also on failure. */
  void (*submit)(mx_store *store, mx_io *const *reqs, int n);
  /* Forget a spilled chunk; its space is used again. */
  void (*slot_free)(mx_store *store, mx_slot *slot);
  /* Tests: the n-th read (write) from now (0: the next) fails with errnum; n < 0: none. Counted are the parts of requests
     (4 MiB or one stretch of rows) in the order of submission, header reads, and as writes also headers, reserving space,
     making files, fsync and rename. */
  void (*inject)(mx_store *store, int64_t read_at, int64_t write_at, int errnum);
  void (*destroy)(mx_store *store); /* waits for what is queued; sources and sinks must be gone */
} mx_store_ops;

struct mx_store {
  const mx_store_ops *ops;
};

/* io/store.c */
mars_status mx_io_store_create(const mx_store_config *config, mx_store **out, mars_error *err);

#endif
