/* Loads made of pieces: gathered into one place before the program runs. Contract: engine/device.h, mx_piece. */
#include "host/vm.h"

#include "engine/status.h"

#include <string.h>

enum { PIECE_BYTES = 256 << 10, FORK_BYTES = 256 << 10 };

/* A part of one piece: `count` of its rows along dimension `dim`, or of its run. */
typedef struct mx_piece_unit {
  const mx_piece *piece;
  const mx_bind *bind; /* destination: the tile in C order */
  int ndim, es, dim;   /* dim -1: a run */
  int64_t begin, count, bytes;
} piece_unit;

static int64_t piece_points(const mx_piece *piece, int ndim) {
  int64_t n = 1;

  if (piece->start == NULL) return piece->flat_count;
  for (int d = 0; d < ndim; d++) n *= piece->extent[d];
  return n;
}

/* The outermost dimension with more than one row; -1 for runs, ndim for a box of one point. */
static int split_dim(const mx_piece *piece, int ndim) {
  int d = 0;

  if (piece->start == NULL) return -1;
  while (d < ndim && piece->extent[d] == 1) d++;
  return d;
}

static mars_status add_units(mx_host *host, const mx_piece *piece, const mx_bind *bind, int ndim, int es, int64_t *n,
                             mars_error *err) {
  mars_status st = MARS_OK;
  int64_t points = piece_points(piece, ndim), rows, parts;
  int dim = split_dim(piece, ndim);

  if (points <= 0) return MARS_OK;
  rows = dim < 0 ? points : dim < ndim ? piece->extent[dim] : 1;
  parts = (points * es + PIECE_BYTES - 1) / PIECE_BYTES;
  if (parts > rows) parts = rows;
  MX_TRY(mx_vm_reserve(host->mem, (void **)&host->pieces, &host->cap_pieces, *n + parts, sizeof *host->pieces, err));
  for (int64_t i = 0; i < parts; i++) {
    int64_t begin = rows * i / parts, count = rows * (i + 1) / parts - begin;

    host->pieces[(*n)++] = (piece_unit){piece, bind, ndim, es, dim, begin, count, points / rows * count * es};
  }

done:
  return st;
}

static void copy_run(const piece_unit *u) {
  int64_t stride[1] = {u->piece->flat_step}, shape[1] = {u->count};
  const mx_bind bind = {.base = (char *)(uintptr_t)u->piece->base + u->begin * u->piece->flat_step, .stride = stride};
  int order[1] = {0};
  mx_window src;

  mx_window_init(&src, &bind, u->es, 1, order, shape);
  mx_window_gather(&src, 0, u->count, u->bind->base + (u->piece->flat_start + u->begin) * u->es);
}

/* Boxes: walk the outer dimensions, gather the inner ones that are contiguous in the tile. */
static void copy_box(const piece_unit *u) {
  const mx_piece *piece = u->piece;
  int64_t extent[MARS_MAX_DIMS], at[MARS_MAX_DIMS] = {0}, inner = 1;
  int order[MARS_MAX_DIMS], nd = 0, split;
  const char *src = piece->base;
  char *dst = u->bind->base;
  mx_window view;

  for (int d = 0; d < u->ndim; d++) {
    extent[d] = d == u->dim ? u->count : piece->extent[d];
    dst += piece->start[d] * u->bind->stride[d];
  }
  if (u->dim < u->ndim) {
    src += u->begin * piece->stride[u->dim];
    dst += u->begin * u->bind->stride[u->dim];
  }
  /* [split, ndim) lie in the tile without gaps */
  for (split = u->ndim; split > 0 && (extent[split - 1] == 1 || u->bind->stride[split - 1] == inner * u->es); split--)
    inner *= extent[split - 1];
  for (int d = split; d < u->ndim; d++)
    if (extent[d] > 1) order[nd++] = d;
  for (;;) {
    const mx_bind bind = {.base = (char *)(uintptr_t)src, .stride = piece->stride};
    int d = split - 1;

    mx_window_init(&view, &bind, u->es, nd, order, extent);
    mx_window_gather(&view, 0, inner, dst);
    for (; d >= 0; d--) {
      src += piece->stride[d];
      dst += u->bind->stride[d];
      if (++at[d] < extent[d]) break;
      src -= extent[d] * piece->stride[d];
      dst -= extent[d] * u->bind->stride[d];
      at[d] = 0;
    }
    if (d < 0) return;
  }
}

static void copy_units(void *ctx, int thread, int64_t begin, int64_t end) {
  const piece_unit *units = ctx;

  (void)thread;
  for (int64_t i = begin; i < end; i++) {
    if (units[i].dim < 0)
      copy_run(&units[i]);
    else
      copy_box(&units[i]);
  }
}

mars_status mx_vm_gather_pieces(mx_host *host, mx_call *const *calls, int n, mars_error *err) {
  mars_status st = MARS_OK;
  int64_t units = 0, bytes = 0;

  for (int c = 0; c < n; c++) {
    const mx_call *call = calls[c];

    if (call->kind != MX_CALL_PROGRAM) continue;
    for (int i = 0; i < call->kernel->n_in; i++)
      for (int j = 0; j < call->in[i].n_pieces; j++)
        MX_TRY(add_units(host, &call->in[i].pieces[j], &call->in[i], call->ndim, call->kernel->in_bytes[i], &units, err));
  }
  if (units == 0) return MARS_OK;
  for (int64_t i = 0; i < units; i++) bytes += host->pieces[i].bytes;
  if (bytes >= FORK_BYTES)
    mx_parallel_for(host->pool, units, 0, copy_units, host->pieces);
  else
    copy_units(host->pieces, 0, 0, units);

done:
  return st;
}
