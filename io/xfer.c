/*
 * Transfers: from a request to parts and back.
 *
 * A contiguous request is direct where memory and file agree modulo MX_IO_ALIGN. Reads are widened to whole
 * blocks when the buffer has room around the data; sink writes never are, since the blocks at their ends also
 * belong to the neighbouring chunks: those ends go through the page cache, and a block is never written both
 * ways.
 */
#include "io/internal.h"

#include "io/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#ifdef MX_XXHASH_DISPATCH
uint64_t XXH3_64bits_withSeed_dispatch(const void *data, size_t bytes, uint64_t seed);
#define HASH XXH3_64bits_withSeed_dispatch
#else
#include <xxhash.h>
#define HASH XXH3_64bits_withSeed
#endif

static void fail(mx_xfer *x, mars_status st) {
  if (x->req->status == MARS_OK) x->req->status = st;
}

/* ---- start ---------------------------------------------------------------------------------------- */

/* Decide which part of the data moves directly. room_*: the file range that may be transferred around it. */
static void plan_contiguous(mx_xfer *x, int64_t pos, int64_t room_begin, int64_t room_end) {
  const mx_io *req = x->req;
  char *data = req->buf + req->phase;
  x->pos = pos;
  x->at = x->lo = x->hi = pos;
  x->end = x->need_end = pos + (int64_t)req->bytes;
  if (x->file->fd_direct < 0 || x->file->refused) return;
  if (((uintptr_t)data ^ (uint64_t)pos) & (MX_IO_ALIGN - 1)) return;
  int64_t before = data - req->buf, after = (int64_t)(req->buf_bytes - req->phase - req->bytes);
  int64_t lo = mx_align_down(pos), hi = mx_align_up(x->need_end);
  if (lo < room_begin || pos - lo > before) lo += MX_IO_ALIGN;
  if (hi > room_end || hi - x->need_end > after) hi -= MX_IO_ALIGN;
  if (lo >= hi) return;
  x->lo = lo;
  x->hi = hi;
  if (lo < x->at) x->at = lo;
  if (hi > x->end) x->end = hi;
}

/* The runs' lowest and highest byte must lie in the data. */
static bool rows_fit(const mx_io *req, int64_t data_bytes) {
  int64_t count = 1, low = req->offset, high = req->offset + (int64_t)req->bytes / req->rows;
  if (req->row_ndim < 1 || req->row_ndim > MARS_MAX_DIMS || req->bytes % (size_t)req->rows) return false;
  for (int i = 0; i < req->row_ndim; i++) {
    int64_t reach = 0;
    if (req->row_extent[i] < 1 || !mx_mul_i64(count, req->row_extent[i], &count) ||
        !mx_mul_i64(req->row_extent[i] - 1, req->row_step[i], &reach) ||
        !mx_add_i64(reach < 0 ? low : high, reach, reach < 0 ? &low : &high))
      return false;
  }
  return count == req->rows && low >= 0 && high <= data_bytes;
}

/* Whether the runs follow one another without holes. */
static bool rows_touch(const mx_io *req) {
  int64_t step = (int64_t)req->bytes / req->rows;
  for (int i = req->row_ndim - 1; i >= 0; i--) {
    if (req->row_extent[i] == 1) continue;
    if (req->row_step[i] != step) return false;
    step *= req->row_extent[i];
  }
  return true;
}

static bool start_file(mx_xfer *x, mx_file *file, int64_t data_offset, int64_t data_bytes, const char *fn,
                       const char *path) {
  mx_io *req = x->req;
  x->file = file;
  bool rows = req->rows > 1, fits = req->offset >= 0 && req->bytes <= INT64_MAX;
  if (rows)
    fits = fits && rows_fit(req, data_bytes);
  else
    fits = fits && req->offset <= data_bytes && (int64_t)req->bytes <= data_bytes - req->offset;
  if (!fits || req->phase > req->buf_bytes || req->bytes > req->buf_bytes - req->phase) {
    fail(x,
         mx_fail(&req->err, MARS_E_INTERNAL, "%s: transfer of %zu bytes at byte %lld reaches outside of '%s'",
                 fn, req->bytes, (long long)req->offset, path));
    return false;
  }
  int64_t pos = data_offset + req->offset;
  x->rows = rows && !rows_touch(req);
  if (!x->rows) {
    /* a write must not touch its neighbours' bytes, a read may fetch whatever the file has */
    plan_contiguous(x, pos, x->write ? pos : 0, x->write ? pos + (int64_t)req->bytes : INT64_MAX);
    return true;
  }
  x->pos = pos;
  x->row_left = req->rows;
  x->run_bytes = (int64_t)req->bytes / req->rows;
  x->row_memory = req->buf + req->phase;
  if (!x->write && !file->random) {
    /* the runs say exactly what is wanted */
    file->random = true;
    (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM);
  }
  return true;
}

static bool start_spill(mx_io_store *store, mx_xfer *x) {
  mx_io *req = x->req;
  int64_t bytes = mx_align_up((int64_t)(req->phase + req->bytes));
  if (!bytes) bytes = MX_IO_ALIGN; /* nothing also has its place */
  if (x->write) *req->slot = (mx_slot){0};
  if (req->phase > req->buf_bytes || req->bytes > req->buf_bytes - req->phase) {
    fail(x, mx_fail(&req->err, MARS_E_INTERNAL,
                    "mars_run: a spilled chunk of %zu bytes does not fit its buffer of %zu", req->bytes,
                    req->buf_bytes));
    return false;
  }
  if (x->write) {
    fail(x, mx_spill_acquire(store->spill, bytes, req->slot, &req->err));
    if (req->status != MARS_OK) return false;
    req->slot->tag = req->tag;
  }
  x->file = mx_spill_file(store->spill, req->slot);
  if (!x->file || req->slot->bytes != bytes) {
    fail(x,
         mx_fail(&req->err, MARS_E_INTERNAL, "mars_run: chunk %llx is not in the spill store with %zu bytes",
                 (unsigned long long)req->tag, req->bytes));
    return false;
  }
  if (req->slot->tag != req->tag) {
    fail(x, mx_fail(&req->err, MARS_E_CHECKSUM, "mars_run: the spill slot holds chunk %llx, not %llx",
                    (unsigned long long)req->slot->tag, (unsigned long long)req->tag));
    return false;
  }
  plan_contiguous(x, req->slot->offset + (int64_t)req->phase, req->slot->offset, req->slot->offset + bytes);
  return true;
}

bool mx_xfer_start(mx_io_store *store, mx_xfer *x, mx_io *req) {
  memset(x, 0, sizeof *x);
  x->req = req;
  req->status = MARS_OK;
  mx_error_clear(&req->err);
  switch (req->kind) {
  case MX_IO_SOURCE_READ:
    return start_file(x, req->source->file, req->source->info.data_offset, req->source->data_bytes,
                      req->source->fn, req->source->path);
  case MX_IO_SINK_WRITE:
    x->write = true;
    return start_file(x, req->sink->file, MX_NPY_DATA_OFFSET, req->sink->data_bytes, req->sink->fn,
                      req->sink->path);
  case MX_IO_SPILL_WRITE:
    x->write = true;
    return start_spill(store, x);
  case MX_IO_SPILL_READ:
    return start_spill(store, x);
  }
  fail(x, mx_fail(&req->err, MARS_E_INTERNAL, "mars_run: %d is no kind of transfer", (int)req->kind));
  return false;
}

/* ---- parts ---------------------------------------------------------------------------------------- */

static void cut_contiguous(mx_xfer *x, mx_part *part) {
  int64_t end = x->at < x->lo ? x->lo : x->at < x->hi ? x->hi : x->end;
  part->direct = x->at >= x->lo && x->at < x->hi;
  /* a chunk of 4 MiB behind an npy header spans a block more: not worth a request of its own */
  if (end - x->at > (int64_t)(MX_PART_BYTES + MX_PART_BYTES / 16)) end = x->at + (int64_t)MX_PART_BYTES;
  part->offset = x->at;
  part->bytes = part->need = (size_t)(end - x->at);
  if (!x->write && end > x->need_end) part->need = (size_t)(x->need_end - x->at);
  part->n_iov = 1;
  part->iov[0].iov_base = x->req->buf + x->req->phase + (x->at - x->pos);
  part->iov[0].iov_len = part->bytes;
  x->at = end;
}

static void next_row(mx_xfer *x) {
  const mx_io *req = x->req;
  x->run_done = 0;
  x->row_left--;
  for (int i = req->row_ndim - 1; i >= 0; i--) {
    x->row_offset += req->row_step[i];
    if (++x->index[i] < req->row_extent[i]) return;
    x->row_offset -= req->row_extent[i] * req->row_step[i];
    x->index[i] = 0;
  }
}

/* As many runs as lie close together in the file. */
static void cut_rows(mx_io_store *store, mx_xfer *x, mx_part *part) {
  int n = 0;
  int64_t end = 0;
  char *waste = store->gap + (size_t)(part - store->parts) * MX_GAP_BYTES;
  while (x->row_left) {
    int64_t at = x->pos + x->row_offset + x->run_done, bytes = x->run_bytes - x->run_done,
            room = MX_PART_BYTES;
    if (n == 0) {
      part->offset = end = at;
    } else {
      int64_t gap = at - end;
      room -= at - part->offset;
      if (gap < 0 || room <= 0 || (gap && (x->write || gap > (int64_t)MX_GAP_BYTES || n + 2 > MX_PART_IOV)))
        break;
      if (gap) part->iov[n++] = (struct iovec){waste, (size_t)gap};
    }
    if (bytes > room) bytes = room;
    if (n && at == end)
      part->iov[n - 1].iov_len += (size_t)bytes;
    else
      part->iov[n++] = (struct iovec){x->row_memory, (size_t)bytes};
    end = at + bytes;
    x->row_memory += bytes;
    x->run_done += bytes;
    if (x->run_done == x->run_bytes) next_row(x);
  }
  part->direct = false;
  part->bytes = part->need = (size_t)(end - part->offset);
  part->n_iov = n;
}

bool mx_xfer_cut(mx_io_store *store, mx_xfer *x, mx_part *part) {
  bool left = x->rows ? x->row_left > 0 : x->at < x->end;
  if (!left || x->req->status != MARS_OK || !x->req->bytes) return false;
  part->xfer = x;
  part->file = x->file;
  part->write = x->write;
  part->tries = part->iov_first = 0;
  part->moved = 0;
  if (x->rows)
    cut_rows(store, x, part);
  else
    cut_contiguous(x, part);
  part->begin = part->offset;
  part->want = part->need;
  return true;
}

/* ---- results -------------------------------------------------------------------------------------- */

static void part_failed(mx_io_store *store, mx_part *part, int error) {
  mx_xfer *x = part->xfer;
  mx_io *req = x->req;
  const char *verb = part->write ? "writing" : "reading", *fn = "mars_run", *path, *what = "";
  if (req->kind == MX_IO_SOURCE_READ) {
    fn = req->source->fn;
    path = req->source->path;
  } else if (req->kind == MX_IO_SINK_WRITE) {
    fn = req->sink->fn;
    path = req->sink->path;
  } else {
    path = mx_spill_dir(store->spill, req->slot);
    what = "a spill file in ";
  }
  if (!error)
    fail(x, mx_fail(&req->err, MARS_E_IO,
                    "%s: %s %s'%s': %zu bytes wanted at byte %lld, but only %zu are there: %s", fn, verb,
                    what, path, part->want, (long long)part->begin, part->moved,
                    part->write ? "the file takes no more" : "the file became shorter while it was read"));
  else
    fail(x,
         mx_fail_errno(&req->err, MARS_E_IO, error, "%s: %s %s'%s': %zu bytes wanted at byte %lld, %zu done",
                       fn, verb, what, path, part->want, (long long)part->begin, part->moved));
}

/* Go on through the page cache, with just what is needed. */
static void make_buffered(mx_part *part) {
  part->direct = false;
  part->bytes = part->need;
  part->iov[0].iov_len = part->need;
}

static void advance(mx_part *part, size_t n) {
  part->offset += (int64_t)n;
  part->bytes -= n;
  part->need -= n;
  while (n) {
    struct iovec *v = &part->iov[part->iov_first];
    size_t step = n < v->iov_len ? n : v->iov_len;
    v->iov_base = (char *)v->iov_base + step;
    v->iov_len -= step;
    n -= step;
    if (!v->iov_len) part->iov_first++;
  }
}

bool mx_xfer_take(mx_io_store *store, mx_part *part) {
  ssize_t n = part->result;
  if (part->xfer->req->status != MARS_OK) return true; /* it has failed elsewhere: no use to go on */
  if ((n == -EINTR || n == -EAGAIN) && part->tries++ < 1000) return false;
  if (n == -EINVAL && part->direct) {
    part->file->refused = true;
    mx_io_say(&store->log, MX_SAID_DIRECT, MARS_LOG_INFO, "O_DIRECT is refused: using the page cache");
    make_buffered(part);
    return false;
  }
  if (n < 0) {
    part_failed(store, part, (int)-n);
    return true;
  }
  part->moved += (size_t)n;
  if ((size_t)n >= part->need) return true;
  if (n == 0) {
    part_failed(store, part, 0);
    return true;
  }
  advance(part, (size_t)n);
  if (part->direct && n % MX_IO_ALIGN) make_buffered(part);
  return false;
}

void mx_xfer_hash(mx_xfer *x) {
  mx_io *req = x->req;
  if (req->status == MARS_OK) req->slot->sum = HASH(req->buf + req->phase, req->bytes, req->tag);
}

static void verify(mx_io_store *store, mx_xfer *x) {
  mx_io *req = x->req;
  uint64_t sum = HASH(req->buf + req->phase, req->bytes, req->tag);
  if (sum != req->slot->sum)
    fail(x, mx_fail(&req->err, MARS_E_CHECKSUM,
                    "mars_run: chunk %llx (%zu bytes) came back damaged from the spill file in '%s': "
                    "checksum %016llx "
                    "instead of %016llx",
                    (unsigned long long)req->tag, req->bytes, mx_spill_dir(store->spill, req->slot),
                    (unsigned long long)sum, (unsigned long long)req->slot->sum));
}

void mx_xfer_finish(mx_io_store *store, mx_xfer *x) {
  mx_io *req = x->req;
  if (req->status == MARS_OK && req->kind == MX_IO_SPILL_READ) verify(store, x);
  if (req->status == MARS_OK && req->kind == MX_IO_SOURCE_READ) {
    if (req->source->info.swap) mx_npy_swap(req->buf + req->phase, req->bytes, req->source->info.dtype);
    if (req->source->info.dtype == MARS_BOOL) mx_npy_normalise_bool(req->buf + req->phase, req->bytes);
  }
  if (req->status != MARS_OK && req->kind == MX_IO_SPILL_WRITE) mx_spill_release(store->spill, req->slot);
  if (req->kind == MX_IO_SOURCE_READ) mx_source_release(req->source);
  if (req->kind == MX_IO_SINK_WRITE) atomic_fetch_sub(&req->sink->pending, 1);
}
