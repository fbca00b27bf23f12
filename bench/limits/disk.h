/*
 * The drive at its best: large O_DIRECT requests, many in flight, through io_uring (or threads where it is
 * refused). With a callback it is also the hand-written pipeline: read, compute in place, write.
 */
#ifndef BENCH_DISK_H
#define BENCH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_BLOCK ((size_t)4 << 20)

/** Bytes [offset, offset + len) of the file are in buf. Called by one thread at a time, in any order. */
typedef void disk_each_fn(void *user, char *buf, size_t offset, size_t len);

typedef struct disk_pipe {
  int in, out; /**< from disk_open; -1: none. Without `in`, blocks are written as `each` fills them */
  size_t bytes;
  int depth;          /**< requests in flight */
  disk_each_fn *each; /**< NULL: none */
  void *user;
} disk_pipe;

/** \brief Move the bytes. The output is cut to `bytes`; it is not synced. */
bool disk_pipe_run(const disk_pipe *p, char *error);

/** \brief O_DIRECT where the file system has it. For writing: fresh, with its space reserved. -1 and error.
 */
int disk_open_read(const char *path, char *error);
int disk_open_write(const char *path, size_t bytes, char *error);
/** \brief Forget the file's pages in the page cache. */
void disk_forget(const char *path);

/* ---- whole measurements: seconds, negative with error on failure ------------------------------------- */

double disk_time_read(const char *path, size_t bytes, int depth, disk_each_fn *each, void *user, char *error);
/** \brief Writes a fresh file and removes it. */
double disk_time_write(const char *path, size_t bytes, int depth, disk_each_fn *each, void *user,
                       char *error);
/** \brief Copies to a fresh file, synced at the end; removes it when asked to. */
double disk_time_copy(const char *from, const char *to, size_t bytes, int depth, disk_each_fn *each,
                      void *user, bool keep, char *error);

/* ---- npy files of the benchmark's data --------------------------------------------------------------- */

/** \brief Write x[i] = bench_datum(0, i) of shape [rows, cols] (cols 0: [rows]) as f64. */
bool disk_make_npy(const char *path, int64_t rows, int64_t cols, char *error);
#define DISK_NPY_HEADER ((size_t)128)

#endif
