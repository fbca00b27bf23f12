/*
 * The io_uring ring. One system call starts a batch and waits for the next completion; an eventfd read that
 * is always under way lets the mailbox end the wait.
 *
 * Fixed files: a sparse table, filled on a file's first use. Fixed buffers: the arena in pieces, each
 * registered after it has been used a few times, since registering makes a piece resident at once and only
 * pays when it is used again. Both are optional: what the kernel refuses is done without.
 */
#include "io/internal.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define N_FILES 512
#define PIECE_MIN ((size_t)64 << 20)
#define PIECES_MAX 4096
#define PIECE_USES 8 /* parts in a piece before it is registered */

/* liburing maps and unmaps rings by system calls of its own: ThreadSanitizer takes a later ring at the same address for the
 * earlier one, and must be told that the one ended before the other began. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *);
void __tsan_release(void *);
static char mappings;
#define RING_MAPPED() __tsan_acquire(&mappings)
#define RING_UNMAPPED() __tsan_release(&mappings)
#else
#define RING_MAPPED() ((void)0)
#define RING_UNMAPPED() ((void)0)
#endif

typedef struct uring {
  mx_ring base;
  struct io_uring ring;
  mx_mem *mem;
  mx_io_log *log;
  int event;
  uint64_t event_value;
  bool armed;
  int free_files[N_FILES], n_free_files;
  char *arena;
  size_t arena_bytes, piece_bytes;
  int16_t *piece; /* uses so far; -1: registered */
} uring;

static uring *uring_of(mx_ring *ring) {
  return (uring *)ring;
}

/* Place of the descriptor in the table of files, -1: use it as it is. */
static int fixed_file(uring *u, mx_file *file, bool direct) {
  int *place = &file->fixed[direct], fd = direct ? file->fd_direct : file->fd;
  if (*place >= 0 || !u->n_free_files) return *place;
  int at = u->free_files[u->n_free_files - 1];
  if (io_uring_register_files_update(&u->ring, (unsigned)at, &fd, 1) != 1) {
    u->n_free_files = 0; /* refused once is refused for good; plain descriptors do the same */
    return -1;
  }
  u->n_free_files--;
  return *place = at;
}

static void uring_forget(mx_ring *ring, mx_file *file) {
  uring *u = uring_of(ring);
  for (int k = 0; k < 2; k++) {
    int none = -1;
    if (file->fixed[k] < 0) continue;
    (void)io_uring_register_files_update(&u->ring, (unsigned)file->fixed[k], &none, 1);
    u->free_files[u->n_free_files++] = file->fixed[k];
    file->fixed[k] = -1;
  }
}

/* Number of the registered buffer that holds all of the memory, -1: none. */
static int fixed_buffer(uring *u, const struct iovec *v) {
  if (!atomic_load_explicit(&u->base.fixed_buffers, memory_order_relaxed)) return -1;
  size_t from = (size_t)((char *)v->iov_base - u->arena); /* huge if it lies before the arena */
  if (from >= u->arena_bytes || v->iov_len > u->arena_bytes - from) return -1;
  size_t at = from / u->piece_bytes;
  if ((from + v->iov_len - 1) / u->piece_bytes != at) return -1;
  if (u->piece[at] < 0) return (int)at;
  if (++u->piece[at] < PIECE_USES) return -1;
  size_t left = u->arena_bytes - at * u->piece_bytes;
  struct iovec whole = {u->arena + at * u->piece_bytes, left < u->piece_bytes ? left : u->piece_bytes};
  __u64 tag = 0;
  int n = io_uring_register_buffers_update_tag(&u->ring, (unsigned)at, &whole, &tag, 1);
  if (n != 1) {
    mx_io_say(u->log, MX_SAID_BUFFERS, MARS_LOG_INFO,
              "io_uring: no registered buffers (%s; RLIMIT_MEMLOCK?): going on without", strerror(-n));
    atomic_store(&u->base.fixed_buffers, false);
    return -1;
  }
  u->piece[at] = -1;
  return (int)at;
}

static void start_submission(uring *u, unsigned wait) {
  for (;;) {
    int n = io_uring_submit_and_wait(&u->ring, wait);
    if (n >= 0) return;
    /* the kernel lacks memory or wants its completions read first; anything else would be a wrong call of
     * ours */
    assert(n == -EINTR || n == -EAGAIN || n == -EBUSY || n == -ENOMEM);
    if (n == -EINTR) continue;
    if (io_uring_cq_ready(&u->ring)) return;
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  }
}

static struct io_uring_sqe *next_sqe(uring *u) {
  struct io_uring_sqe *sqe;
  while (!(sqe = io_uring_get_sqe(&u->ring))) start_submission(u, 0);
  return sqe;
}

static void uring_queue(mx_ring *ring, mx_part *part) {
  uring *u = uring_of(ring);
  int file = fixed_file(u, part->file, part->direct),
      fd = part->direct ? part->file->fd_direct : part->file->fd;
  struct iovec *v = &part->iov[part->iov_first];
  int n = part->n_iov - part->iov_first, buffer = n == 1 ? fixed_buffer(u, v) : -1,
      use = file >= 0 ? file : fd;
  struct io_uring_sqe *sqe = next_sqe(u);
  __u64 at = (__u64)part->offset;
  if (buffer >= 0 && part->write)
    io_uring_prep_write_fixed(sqe, use, v->iov_base, (unsigned)v->iov_len, at, buffer);
  else if (buffer >= 0)
    io_uring_prep_read_fixed(sqe, use, v->iov_base, (unsigned)v->iov_len, at, buffer);
  else if (n == 1 && part->write)
    io_uring_prep_write(sqe, use, v->iov_base, (unsigned)v->iov_len, at);
  else if (n == 1)
    io_uring_prep_read(sqe, use, v->iov_base, (unsigned)v->iov_len, at);
  else if (part->write)
    io_uring_prep_writev(sqe, use, v, (unsigned)n, at);
  else
    io_uring_prep_readv(sqe, use, v, (unsigned)n, at);
  if (file >= 0) sqe->flags |= IOSQE_FIXED_FILE;
  io_uring_sqe_set_data(sqe, part);
}

static void uring_flush(mx_ring *ring) {
  uring *u = uring_of(ring);
  if (io_uring_sq_ready(&u->ring)) start_submission(u, 0);
}

static mx_part *uring_reap(mx_ring *ring, bool wait) {
  uring *u = uring_of(ring);
  if (!u->armed) {
    struct io_uring_sqe *sqe = next_sqe(u);
    io_uring_prep_read(sqe, u->event, &u->event_value, sizeof u->event_value, 0);
    io_uring_sqe_set_data(sqe, NULL);
    u->armed = true;
  }
  start_submission(u, wait);
  struct io_uring_cqe *cqe;
  unsigned head, seen = 0;
  mx_part *first = NULL, **last = &first;
  io_uring_for_each_cqe(&u->ring, head, cqe) {
    mx_part *part = io_uring_cqe_get_data(cqe);
    seen++;
    if (!part) {
      u->armed = false;
      continue;
    }
    part->result = cqe->res;
    part->next = NULL;
    *last = part;
    last = &part->next;
  }
  io_uring_cq_advance(&u->ring, seen);
  return first;
}

static void uring_wake(mx_ring *ring) {
  uint64_t one = 1;
  ssize_t n;
  do n = write(uring_of(ring)->event, &one, sizeof one);
  while (n < 0 && errno == EINTR);
}

/* Closing the ring lets go of them too, but some time later and on a thread of the kernel's. */
static void uring_retire(mx_ring *ring) {
  uring *u = uring_of(ring);
  (void)io_uring_unregister_files(&u->ring);
  (void)io_uring_unregister_buffers(&u->ring);
}

static void uring_destroy(mx_ring *ring) {
  uring *u = uring_of(ring);
  RING_UNMAPPED();
  io_uring_queue_exit(&u->ring);
  close(u->event);
  mx_free(u->mem, u->piece);
  mx_free(u->mem, u);
}

static const mx_ring_ops ops = {.name = "io_uring",
                                .queue = uring_queue,
                                .flush = uring_flush,
                                .reap = uring_reap,
                                .wake = uring_wake,
                                .forget = uring_forget,
                                .retire = uring_retire,
                                .destroy = uring_destroy};

/* The newest way of waiting that the kernel knows: completions are delivered to the owner when it asks for
 * them. */
static int open_ring(struct io_uring *ring) {
  static const unsigned flags[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                                   IORING_SETUP_COOP_TASKRUN, 0};
  int error = 0;
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    error = -io_uring_queue_init(2 * MX_PART_DEPTH, ring, flags[i]);
    if (error != EINVAL) break;
  }
  RING_MAPPED();
  return error;
}

/* Make the table of buffers, if the kernel has one. false: no memory. */
static bool offer_buffers(uring *u, const mx_ring_config *config) {
  if (!config->arena || !config->arena_bytes) return true;
  u->arena = config->arena;
  u->arena_bytes = config->arena_bytes;
  u->piece_bytes = PIECE_MIN;
  while (u->arena_bytes / u->piece_bytes >= PIECES_MAX) u->piece_bytes *= 2;
  size_t n = (u->arena_bytes + u->piece_bytes - 1) / u->piece_bytes;
  u->piece = mx_calloc(u->mem, n, sizeof *u->piece);
  if (!u->piece) return false;
  atomic_store(&u->base.fixed_buffers, io_uring_register_buffers_sparse(&u->ring, (unsigned)n) == 0);
  return true;
}

int mx_ring_uring_create(const mx_ring_config *config, mx_ring **out) {
  *out = NULL;
  uring *u = mx_alloc(config->mem, sizeof *u);
  if (!u) return -1;
  u->base.ops = &ops;
  u->mem = config->mem;
  u->log = config->log;
  u->event = eventfd(0, EFD_CLOEXEC);
  int error = u->event < 0 ? errno : open_ring(&u->ring);
  if (error) goto failed;
  if (io_uring_register_files_sparse(&u->ring, N_FILES) == 0)
    for (int i = 0; i < N_FILES; i++) u->free_files[u->n_free_files++] = i;
  atomic_init(&u->base.fixed_buffers, false);
  if (!offer_buffers(u, config)) {
    io_uring_queue_exit(&u->ring);
    error = -1;
    goto failed;
  }
  *out = &u->base;
  return 0;

failed:
  if (u->event >= 0) close(u->event);
  mx_free(u->mem, u);
  return error;
}
