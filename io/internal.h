/*
 * What the files of io/ share: the store and its owner thread, open files, and the parts that transfers are
 * cut into.
 *
 * A request (mx_io) becomes a transfer (mx_xfer), a transfer becomes parts of at most MX_PART_BYTES, and a
 * ring (io_uring, or a few threads) moves parts. Everything from the mailbox to the completion happens on the
 * store's owner thread, so transfers, parts and rings need no lock.
 *
 * Layer: io. May call: engine/{store,mem,status}.h, liburing, xxhash, the system. Nothing outside io/
 * includes it, but its tests.
 */
#ifndef MX_IO_INTERNAL_H
#define MX_IO_INTERNAL_H

#include "engine/status.h"
#include "engine/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

#define MX_PART_BYTES ((size_t)4 << 20) /* best of 256 KiB .. 16 MiB on NVMe (io/README.md) */
#define MX_PART_DEPTH 32                /* parts in flight */
#define MX_PART_IOV 256                 /* memory runs of one part */
#define MX_GAP_BYTES                                                                                         \
  ((size_t)8 << 10) /* a hole up to this long is read and thrown away rather than skipped */

static inline int64_t mx_align_down(int64_t x) {
  return x & ~(int64_t)(MX_IO_ALIGN - 1);
}
static inline int64_t mx_align_up(int64_t x) {
  return mx_align_down(x + MX_IO_ALIGN - 1);
}

/* ---- things said once ----------------------------------------------------------------------------- */

typedef enum mx_said { MX_SAID_RING = 1, MX_SAID_DIRECT = 2, MX_SAID_BUFFERS = 4, MX_SAID_SPACE = 8 } mx_said;
typedef struct mx_io_log {
  void (*fn)(void *user, mars_log_level level, const char *text);
  void *user;
  atomic_uint said;
} mx_io_log;
/* Log unless `what` was said before. Any thread. */
void mx_io_say(mx_io_log *log, mx_said what, mars_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- files ---------------------------------------------------------------------------------------- */

/* One file, opened twice where its file system takes O_DIRECT. */
typedef struct mx_file {
  int fd;
  int fd_direct; /* -1: none */
  /* the owner thread's own */
  int fixed[2]; /* place in the ring's table of files for fd, fd_direct; -1: none */
  bool refused; /* a direct request met EINVAL: buffered from now on */
  bool random;  /* the kernel has been told not to read ahead */
  struct mx_file *next;
} mx_file;

typedef struct mx_io_store mx_io_store;

/* A file of the descriptor fd (owned from here on, also on failure), NULL when there is no memory. Looks for
   O_DIRECT unless the store goes without; `path` may be NULL. write: probe by writing (fd's first 4 KiB are
   then zeroed). */
mx_file *mx_file_create(mx_io_store *store, int fd, int flags, const char *path, bool write);
/* Close now; what the ring still knows of it is forgotten by the owner thread. NULL is fine. Any thread,
   nothing in flight. */
void mx_file_close(mx_io_store *store, mx_file *file);
/* Whole read or write on the calling thread; 0, an errno, or -1: the file ends early. Counts as one read or
   write for injected faults. */
int mx_file_read(mx_io_store *store, int fd, void *buf, size_t bytes, int64_t offset);
int mx_file_write(mx_io_store *store, int fd, const void *buf, size_t bytes, int64_t offset);
/* Give fd `bytes` bytes of disk from byte 0 on, or only the length where the file system cannot. 0 or an
 * errno. */
int mx_file_reserve(mx_io_store *store, int fd, int64_t bytes);
int mx_file_sync(mx_io_store *store, int fd);
/* A nameless file in directory dir for reading and writing; *fd. 0 or an errno. */
int mx_file_nameless(mx_io_store *store, const char *dir, int *fd);
/* A name of its own beside `path`: "<dir>/.<name>.mars-XXXXXX" into out; attempt makes it another one. */
void mx_file_temp_name(char *out, size_t out_bytes, const char *dir, const char *name, unsigned attempt);
/* Directory part of path ("." if none) into dir, returns the name part. */
const char *mx_file_split(const char *path, char *dir, size_t dir_bytes);

/* ---- parts and rings ------------------------------------------------------------------------------ */

typedef struct mx_xfer mx_xfer;

typedef struct mx_part {
  mx_xfer *xfer;
  mx_file *file;
  bool write, direct;
  int64_t begin;      /* file offset of the whole part */
  size_t want, moved; /* bytes that the whole part must move, and has moved */
  int64_t offset;     /* of what is still to move */
  size_t bytes;       /* asked for; may reach beyond the end of the file */
  size_t need;        /* of these, must be there */
  int tries;
  int iov_first, n_iov; /* iov[iov_first .. n_iov) */
  ssize_t result;       /* the ring's answer: bytes moved or -errno */
  struct mx_part *next;
  struct iovec iov[MX_PART_IOV];
} mx_part;

typedef struct mx_ring mx_ring;
typedef struct mx_ring_ops {
  const char *name;
  /* Owner thread. Take a part; at most MX_PART_DEPTH are in at a time. */
  void (*queue)(mx_ring *ring, mx_part *part);
  /* Owner thread. Start what was queued. */
  void (*flush)(mx_ring *ring);
  /* Owner thread. Finished parts as a list. wait: sleep until there is one or wake() was called. */
  mx_part *(*reap)(mx_ring *ring, bool wait);
  /* Any thread. */
  void (*wake)(mx_ring *ring);
  /* Owner thread. Drop the file from the table of files. */
  void (*forget)(mx_ring *ring, mx_file *file);
  /* Owner thread, at its end: let go of files and memory now, so that their space and file system are free. */
  void (*retire)(mx_ring *ring);
  void (*destroy)(mx_ring *ring);
} mx_ring_ops;
struct mx_ring {
  const mx_ring_ops *ops;
  atomic_bool fixed_buffers;
};
typedef struct mx_ring_config {
  mx_mem *mem;
  mx_io_log *log;
  char *arena;
  size_t arena_bytes;
} mx_ring_config;
/* 0, an errno of the system's, or -1: mem has no memory. On the thread that will own the ring. */
int mx_ring_uring_create(const mx_ring_config *config, mx_ring **out);
int mx_ring_threads_create(const mx_ring_config *config, mx_ring **out);

/* ---- transfers ------------------------------------------------------------------------------------ */

struct mx_xfer {
  mx_io *req; /* NULL: free */
  mx_file *file;
  bool write, issued; /* issued: every part has been made */
  bool hash_due;      /* spill write: on the store's list of those to hash */
  int outstanding;    /* parts in flight */
  /* contiguous: file bytes [at, end) are still to be cut; [lo, hi) of the whole moves directly */
  int64_t pos, at, end, lo, hi, need_end;
  /* rows */
  bool rows;
  int64_t row_left, run_bytes, run_done, row_offset, index[MARS_MAX_DIMS];
  char *row_memory; /* where the next byte of the current run goes */
  mx_xfer *next;
};

/* Prepare req's transfer; false: it failed at once (req->status, err are filled). */
bool mx_xfer_start(mx_io_store *store, mx_xfer *x, mx_io *req);
/* Cut the next part; false when there is none left. */
bool mx_xfer_cut(mx_io_store *store, mx_xfer *x, mx_part *part);
/* Take in part->result. true: the part is over (whether well or not); false: queue it again. */
bool mx_xfer_take(mx_io_store *store, mx_part *part);
/* Seal what a spill write stores; called while its parts are under way. */
void mx_xfer_hash(mx_xfer *x);
/* After the last part: verify, convert, release. The request's status is final then. */
void mx_xfer_finish(mx_io_store *store, mx_xfer *x);

/* ---- spill ---------------------------------------------------------------------------------------- */

typedef struct mx_spill mx_spill;
mars_status mx_spill_create(mx_io_store *store, const mx_store_config *config, mx_spill **out,
                            mars_error *err);
void mx_spill_destroy(mx_io_store *store, mx_spill *spill); /* NULL is fine */
/* Space for bytes (a multiple of MX_IO_ALIGN); fills dir, slab, offset, bytes. Any thread. */
mars_status mx_spill_acquire(mx_spill *spill, int64_t bytes, mx_slot *slot, mars_error *err);
void mx_spill_release(mx_spill *spill, mx_slot *slot);        /* a zero slot is fine; the slot is zeroed */
mx_file *mx_spill_file(mx_spill *spill, const mx_slot *slot); /* NULL: no such slab */
const char *mx_spill_dir(mx_spill *spill, const mx_slot *slot);
bool mx_spill_direct(mx_spill *spill);
size_t mx_spill_used_bytes(mx_spill *spill);

/* ---- sources and sinks ---------------------------------------------------------------------------- */

struct mx_source {
  mx_io_store *store;
  atomic_int refs;
  mx_file *file;
  mx_source_info info;
  int64_t data_bytes;
  char *path, *fn;
};
struct mx_sink {
  mx_io_store *store;
  atomic_int pending; /* writes that are queued or under way */
  mx_file *file;
  int64_t data_bytes;
  bool named; /* `temp` exists in the directory */
  char *path, *dir, *temp, *fn;
};
mars_status mx_source_open(mx_store *store, const char *fn, const char *path, mx_source_info *info,
                           mx_source **out, mars_error *err);
void mx_source_retain(mx_source *source);
void mx_source_release(mx_source *source);
size_t mx_source_phase(mx_source *source, int64_t offset);
mars_status mx_sink_create(mx_store *store, const char *fn, const char *path, mars_dtype dtype,
                           const mars_shape *shape, mx_sink **out, mars_error *err);
mars_status mx_sink_commit(mx_sink *sink, mars_error *err);
void mx_sink_abort(mx_sink *sink);
size_t mx_sink_phase(mx_sink *sink, int64_t offset);

/* ---- the store ------------------------------------------------------------------------------------ */

struct mx_io_store {
  mx_store base;
  mx_mem *mem;
  mx_io_log log;
  bool no_direct;
  mx_ring_config ring_config;
  const char *backend; /* asked for; NULL: best */
  mx_spill *spill;
  char **dirs;
  int n_dirs;
  atomic_bool direct; /* some file moves directly */
  /* injected faults */
  atomic_llong read_at, write_at;
  atomic_int fault;
  /* mailbox */
  pthread_mutex_t lock;
  pthread_cond_t start;
  mx_io *inbox, **inbox_end;
  mx_file *dead; /* closed files that the ring may still know */
  bool asleep, stop, started;
  int start_error;
  /* the owner thread's own */
  pthread_t thread;
  mx_ring *ring;
  mx_io *waiting, **waiting_end; /* requests without a transfer yet, in order */
  mx_xfer *issuing;              /* the one transfer that is being cut into parts */
  mx_part *parts, *free_parts;
  mx_xfer *xfers, *free_xfers;
  mx_xfer *hash; /* spill writes that have begun and are not hashed yet */
  char *gap;     /* where unwanted bytes between runs go, MX_GAP_BYTES for every part */
};
static inline mx_io_store *mx_io_store_of(mx_store *store) {
  return (mx_io_store *)store;
}
/* Whether this read (write) was chosen to fail: its errno, else 0. */
int mx_io_fault(mx_io_store *store, bool write);

#endif
