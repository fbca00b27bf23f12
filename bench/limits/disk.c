#include "bench/limits/disk.h"
#include "bench/util.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR ((size_t)4096)
#define MAX_DEPTH 64

int disk_open_read(const char *path, char *error) {
  int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

  if (fd < 0 && errno == EINVAL)
    fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    bench_set_error(error, "cannot open %s: %s", path, strerror(errno));
  return fd;
}

int disk_open_write(const char *path, size_t bytes, char *error) {
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);

  if (fd < 0 && errno == EINVAL)
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    bench_set_error(error, "cannot create %s: %s", path, strerror(errno));
  } else if (fallocate(fd, 0, 0, (off_t)bytes) != 0 && errno == ENOSPC) {
    bench_set_error(error, "no space for %zu bytes in %s", bytes, path);
    close(fd);
    unlink(path);
    fd = -1;
  }
  return fd;
}

void disk_forget(const char *path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0)
    return;
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
}

/* ---- one block -------------------------------------------------------------------------------------- */

static size_t block_len(const disk_pipe *p, size_t offset) {
  return p->bytes - offset < DISK_BLOCK ? p->bytes - offset : DISK_BLOCK;
}

/* O_DIRECT moves whole sectors: the last block is rounded up, and the output cut at the end. */
static size_t block_io_len(const disk_pipe *p, size_t offset) {
  return (block_len(p, offset) + SECTOR - 1) & ~(SECTOR - 1);
}

static bool finish_sync(int fd, bool writing, char *buf, size_t done, size_t want, size_t offset) {
  while (done < want) {
    const ssize_t r = writing ? pwrite(fd, buf + done, want - done, (off_t)(offset + done))
                              : pread(fd, buf + done, want - done, (off_t)(offset + done));
    if (r < 0 && errno == EINTR)
      continue;
    if (r == 0)
      errno = EIO;
    if (r <= 0)
      return false;
    done += (size_t)r;
  }
  return true;
}

/* ---- io_uring --------------------------------------------------------------------------------------- */

typedef struct slot {
  char *buf;
  size_t offset;
  bool writing;
} slot;

static void queue(struct io_uring *ring, const disk_pipe *p, slot *s, bool writing) {
  struct io_uring_sqe *sqe = io_uring_get_sqe(ring); /* never full: one request a slot */

  s->writing = writing;
  if (writing)
    io_uring_prep_write(sqe, p->out, s->buf, (unsigned)block_io_len(p, s->offset), s->offset);
  else
    io_uring_prep_read(sqe, p->in, s->buf, (unsigned)block_io_len(p, s->offset), s->offset);
  io_uring_sqe_set_data(sqe, s);
}

/* Give the slot its next block; false when there is none. */
static bool feed(struct io_uring *ring, const disk_pipe *p, slot *s, size_t *next) {
  if (*next >= p->bytes)
    return false;
  s->offset = *next;
  *next += DISK_BLOCK;
  if (p->in < 0 && p->each != NULL)
    p->each(p->user, s->buf, s->offset, block_len(p, s->offset));
  queue(ring, p, s, p->in < 0);
  return true;
}

static bool complete(struct io_uring *ring, const disk_pipe *p, slot *s, int res, size_t *next, int *busy) {
  const size_t want = s->writing ? block_io_len(p, s->offset) : block_len(p, s->offset);

  if (res < 0)
    errno = -res;
  if (res < 0 || !finish_sync(s->writing ? p->out : p->in, s->writing, s->buf, (size_t)res, want, s->offset))
    return false;
  if (!s->writing && p->each != NULL)
    p->each(p->user, s->buf, s->offset, block_len(p, s->offset));
  if (!s->writing && p->out >= 0)
    queue(ring, p, s, true);
  else if (!feed(ring, p, s, next))
    --*busy;
  return true;
}

static bool run_ring(struct io_uring *ring, const disk_pipe *p, char *buffers) {
  slot slots[MAX_DEPTH];
  size_t next = 0;
  int busy = 0, failure = 0;

  for (int i = 0; i < p->depth; i++) {
    slots[i].buf = buffers + (size_t)i * DISK_BLOCK;
    busy += feed(ring, p, &slots[i], &next);
  }
  while (busy > 0) {
    struct io_uring_cqe *cqe;
    int r = io_uring_submit_and_wait(ring, 1);
    if (r == -EINTR)
      continue;
    if (r < 0) { /* the ring's end waits for what is in flight */
      errno = -r;
      return false;
    }
    while (io_uring_peek_cqe(ring, &cqe) == 0) {
      slot *s = io_uring_cqe_get_data(cqe);
      const int res = cqe->res;
      io_uring_cqe_seen(ring, cqe);
      if (failure != 0) {
        busy--;
      } else if (!complete(ring, p, s, res, &next, &busy)) {
        failure = errno;
        busy--;
      }
    }
  }
  errno = failure;
  return failure == 0;
}

/* ---- threads ---------------------------------------------------------------------------------------- */

static bool run_threads(const disk_pipe *p, char *buffers) {
  int failure = 0;

#pragma omp parallel for num_threads(p->depth) schedule(static, 1)
  for (int t = 0; t < p->depth; t++) {
    char *buf = buffers + (size_t)t * DISK_BLOCK;
    for (size_t at = (size_t)t * DISK_BLOCK; at < p->bytes; at += (size_t)p->depth * DISK_BLOCK) {
      bool ok = p->in < 0 || finish_sync(p->in, false, buf, 0, block_len(p, at), at);
      if (ok && p->each != NULL) {
#pragma omp critical(disk_each)
        p->each(p->user, buf, at, block_len(p, at));
      }
      ok = ok && (p->out < 0 || finish_sync(p->out, true, buf, 0, block_io_len(p, at), at));
      if (!ok) {
#pragma omp atomic write
        failure = errno;
        break;
      }
    }
  }
  errno = failure;
  return failure == 0;
}

bool disk_pipe_run(const disk_pipe *p, char *error) {
  disk_pipe q = *p;
  struct io_uring ring;
  char *buffers;
  bool ok;

  q.depth = p->depth < 1 ? 1 : p->depth > MAX_DEPTH ? MAX_DEPTH : p->depth;
  buffers = bench_alloc((size_t)q.depth * DISK_BLOCK, 1);
  if (buffers == NULL) {
    bench_set_error(error, "no memory for %d buffers of %zu bytes", q.depth, DISK_BLOCK);
    return false;
  }
  /* no zeros: a drive may have a short cut for them */
  for (size_t i = 0; i < (size_t)q.depth * DISK_BLOCK / sizeof(uint64_t) && q.in < 0 && q.each == NULL; i++)
    ((uint64_t *)buffers)[i] = (i + 1) * 0x9E3779B97F4A7C15u;
  if (io_uring_queue_init((unsigned)q.depth, &ring, 0) == 0) {
    ok = run_ring(&ring, &q, buffers);
    io_uring_queue_exit(&ring);
  } else {
    ok = run_threads(&q, buffers);
  }
  if (ok && q.out >= 0)
    ok = ftruncate(q.out, (off_t)q.bytes) == 0;
  if (!ok)
    bench_set_error(error, "O_DIRECT transfer: %s", strerror(errno));
  bench_free(buffers, (size_t)q.depth * DISK_BLOCK);
  return ok;
}

/* ---- measurements ------------------------------------------------------------------------------------ */

double disk_time_read(const char *path, size_t bytes, int depth, disk_each_fn *each, void *user,
                      char *error) {
  disk_pipe p = {.in = disk_open_read(path, error),
                 .out = -1,
                 .bytes = bytes,
                 .depth = depth,
                 .each = each,
                 .user = user};
  const double start = bench_now();
  bool ok;

  if (p.in < 0)
    return -1;
  ok = disk_pipe_run(&p, error);
  close(p.in);
  return ok ? bench_now() - start : -1;
}

double disk_time_write(const char *path, size_t bytes, int depth, disk_each_fn *each, void *user,
                       char *error) {
  const double start = bench_now();
  disk_pipe p = {.in = -1,
                 .out = disk_open_write(path, bytes, error),
                 .bytes = bytes,
                 .depth = depth,
                 .each = each,
                 .user = user};
  double seconds = -1;

  if (p.out < 0)
    return -1;
  if (disk_pipe_run(&p, error))
    seconds = bench_now() - start;
  close(p.out);
  unlink(path);
  return seconds;
}

double disk_time_copy(const char *from, const char *to, size_t bytes, int depth, disk_each_fn *each,
                      void *user, bool keep, char *error) {
  const double start = bench_now();
  disk_pipe p = {.in = disk_open_read(from, error),
                 .out = -1,
                 .bytes = bytes,
                 .depth = depth,
                 .each = each,
                 .user = user};
  double seconds = -1;

  if (p.in < 0)
    return -1;
  p.out = disk_open_write(to, bytes, error);
  if (p.out >= 0 && disk_pipe_run(&p, error)) {
    if (fsync(p.out) == 0)
      seconds = bench_now() - start;
    else
      bench_set_error(error, "fsync: %s", strerror(errno));
  }
  if (p.out >= 0)
    close(p.out);
  if (!keep || seconds < 0)
    unlink(to);
  close(p.in);
  return seconds;
}

/* ---- npy --------------------------------------------------------------------------------------------- */

typedef struct npy_header {
  char text[DISK_NPY_HEADER];
} npy_header;

static void make_header(npy_header *h, int64_t rows, int64_t cols) {
  char dict[100];
  int len;

  if (cols > 0)
    len = snprintf(dict, sizeof dict, "{'descr': '<f8', 'fortran_order': False, 'shape': (%lld, %lld), }",
                   (long long)rows, (long long)cols);
  else
    len = snprintf(dict, sizeof dict, "{'descr': '<f8', 'fortran_order': False, 'shape': (%lld,), }",
                   (long long)rows);
  memset(h->text, ' ', sizeof h->text);
  memcpy(h->text, "\x93NUMPY\x01\x00\x76\x00", 10); /* 118 bytes of text follow */
  memcpy(h->text + 10, dict, (size_t)len);
  h->text[sizeof h->text - 1] = '\n';
}

static void fill_npy(void *user, char *buf, size_t offset, size_t len) {
  const size_t skip = offset == 0 ? DISK_NPY_HEADER : 0;
  double *x = (double *)(buf + skip);
  const uint64_t first = (offset + skip - DISK_NPY_HEADER) / sizeof(double);

  if (offset == 0)
    memcpy(buf, user, DISK_NPY_HEADER);
  for (size_t i = 0; i < (len - skip) / sizeof(double); i++)
    x[i] = bench_datum(0, first + i);
}

bool disk_make_npy(const char *path, int64_t rows, int64_t cols, char *error) {
  const size_t bytes = DISK_NPY_HEADER + (size_t)rows * (size_t)(cols > 0 ? cols : 1) * sizeof(double);
  npy_header h;
  disk_pipe p = {.in = -1, .bytes = bytes, .depth = 16, .each = fill_npy, .user = &h};
  bool ok;

  make_header(&h, rows, cols);
  p.out = disk_open_write(path, bytes, error);
  if (p.out < 0)
    return false;
  ok = disk_pipe_run(&p, error);
  if (ok && fsync(p.out) != 0) {
    bench_set_error(error, "fsync %s: %s", path, strerror(errno));
    ok = false;
  }
  close(p.out);
  if (!ok)
    unlink(path);
  return ok;
}
