/*
 * Calls one after another over the same rows: a product, what is done with each element of it, the sum of that.
 *
 * Each of them is made in units anyway. Where unit i of every call is about the same rows, and rows of one call need no other rows of
 * those before it, a worker does unit i of all of them before the next one: what they hand on is still in its cache, and the workers
 * meet once instead of once a call. The units are those that the calls have when each is launched by itself, so that it changes no
 * bit of any result.
 *
 * What only these calls read (mx_call.passing) need not come to its place in memory: each worker writes all of its units over one and
 * the same unit of it, which so stays in the cache. Otherwise every line that is written is fetched before and written back later.
 */
#include "host/routines/tile.h"
#include "host/vm.h"

typedef struct region {
  const char *begin, *end;
  int64_t pitch; /* bytes of a row, of which row i stands at begin + i * pitch and is touched by row i alone; 0: it is not so */
  bool written;
  int out; /* written: output of the call that may be passing, -1 */
} region;

enum { MOST = 12 };

typedef struct regions {
  int64_t rows, cols; /* of all calls */
  int n;
  region at[MOST];
} regions;

static bool add(regions *r, const char *base, int64_t bytes, int64_t pitch, bool written) {
  if (r->n == MOST) return false;
  r->at[r->n++] = (region){base, base + bytes, pitch, written, -1};
  return true;
}

/* An operand of a program: rows in order, or something small that every row may read. */
static bool add_bind(regions *r, const mx_bind *b, int64_t es, bool written) {
  int64_t span = es;

  if (b->stride[1] == es && b->stride[0] == es * r->cols) return add(r, b->base, es * r->rows * r->cols, es * r->cols, written);
  if (written || b->stride[0] < 0 || b->stride[1] < 0) return false;
  span += b->stride[0] * (r->rows - 1) + b->stride[1] * (r->cols - 1);
  return add(r, b->base, span, 0, false);
}

static bool of_program(regions *r, const mx_call *call) {
  const mx_kernel *k = call->kernel;
  bool ok = call->ndim == 2 && !k->scan;

  if (!ok) return false;
  r->rows = call->shape[0];
  r->cols = call->shape[1];
  for (int i = 0; i < k->n_in && ok; i++) ok = call->in[i].n_pieces == 0 && add_bind(r, &call->in[i], k->in_bytes[i], false);
  for (int i = 0; i < k->n_out && ok; i++) {
    if (k->outs[i].kind == MX_I_REDUCE) ok = k->mask == 3 && add(r, call->out[i].base, 64, 0, true);
    else ok = add_bind(r, &call->out[i], (int64_t)mars_dtype_bytes(k->outs[i].desc.dtype), true);
    if (ok && k->outs[i].kind == MX_I_STORE) r->at[r->n - 1].out = i;
  }
  if (ok && k->n_reduce > 0) {
    mx_rshape g;

    mx_reduce_shape(k, call->shape, &g);
    ok = add(r, call->scratch, (int64_t)mx_reduce_scratch(k, &g), 0, true);
  }
  return ok;
}

/* What is cut like the rows: a part of the rows touches the same part of it. */
static bool add_parts(regions *r, const char *base, int64_t bytes, bool written) {
  return add(r, base, bytes, bytes % r->rows == 0 ? bytes / r->rows : 0, written);
}

static bool of_sums(regions *r, const mx_call *call) {
  const mx_tile_call *t = call->tile;
  const int64_t es = (int64_t)mars_dtype_bytes(t->dtype), wide = (int64_t)mx_tile_wide_bytes(t->dtype);
  const mx_mat *sums = &t->mat[0], *a = &t->mat[1];

  r->rows = a->rows;
  r->cols = a->cols;
  if (!mx_tile_rows(t, 1) || a->rs != a->cols) return false;
  if (t->n > 2 && !add(r, t->mat[2].base, wide * a->cols * a->cols, 0, false)) return false;
  return add_parts(r, sums->base, wide * sums->rows * sums->cols, true) && add(r, a->base, es * a->rows * a->cols, es * a->cols, false) &&
         add_parts(r, call->scratch, mx_tile_gram_scratch(t), true);
}

static bool of_tile(regions *r, const mx_call *call) {
  const mx_tile_call *t = call->tile;
  const int64_t es = (int64_t)mars_dtype_bytes(t->dtype);
  const mx_mat *c = &t->mat[0];
  bool ok = mx_tile_rows(t, 1);

  r->rows = c->rows;
  r->cols = c->cols;
  for (int i = 0; i < t->n && ok; i++) {
    const mx_mat *m = &t->mat[i];

    ok = m->cs == 1 && m->rs == m->cols && add(r, m->base, es * m->rows * m->cols, i < 2 ? es * m->cols : 0, i == 0);
    if (ok && i == 0 && (t->op != MX_TILE_GEMM || (t->flags & MX_TF_FIRST))) r->at[r->n - 1].out = 0;
  }
  return ok;
}

static bool of_call(regions *r, const mx_call *call) {
  r->n = 0;
  if (call->kind == MX_CALL_TILE) return call->tile->op == MX_TILE_TALL_GRAM ? of_sums(r, call) : of_tile(r, call);
  return call->kind == MX_CALL_PROGRAM && of_program(r, call);
}

static bool clash(const region *a, const region *b) {
  if (!(a->written || b->written) || a->end <= b->begin || b->end <= a->begin) return false;
  return a->pitch == 0 || a->pitch != b->pitch || a->begin != b->begin;
}

bool mx_vm_follows(mx_call *const *calls, int n, const mx_call *next) {
  regions last, before;

  if (!of_call(&last, next)) return false;
  for (int i = 0; i < n; i++) {
    if (!of_call(&before, calls[i]) || before.rows != last.rows || before.cols != last.cols) return false;
    for (int a = 0; a < before.n; a++)
      for (int b = 0; b < last.n; b++)
        if (clash(&before.at[a], &last.at[b])) return false;
  }
  return true;
}

/* ---- what is passing ---- */

/* Is this region made by the calls before anybody reads it, and is nothing that is to stay ever put there? */
static bool all_passes(mx_call *const *calls, const regions *of, int n, const region *what) {
  bool made = false;

  for (int i = 0; i < n; i++) {
    bool reads = false, writes = false;

    for (int k = 0; k < of[i].n; k++) {
      const region *at = &of[i].at[k];

      if (at->end <= what->begin || what->end <= at->begin) continue;
      if (at->begin != what->begin || at->pitch != what->pitch) return false;
      if (at->written && (at->out < 0 || !(calls[i]->passing >> at->out & 1))) return false;
      reads |= !at->written;
      writes |= at->written;
    }
    if (reads && !made) return false;
    made |= writes;
  }
  return true;
}

int mx_vm_passing(mx_call *const *calls, int n, int64_t parts, mx_passing *out) {
  enum { CALLS = 64 /* of a row */ };
  regions of[CALLS];
  int found = 0;

  if (n > CALLS) return 0;
  for (int i = 0; i < n; i++)
    if (!of_call(&of[i], calls[i]) || of[i].rows % parts != 0) return 0;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < of[i].n && calls[i]->passing != 0; k++) {
      const region *at = &of[i].at[k];
      bool known = false;

      if (at->out < 0 || at->pitch == 0 || !(calls[i]->passing >> at->out & 1)) continue;
      for (int f = 0; f < found; f++) known |= out[f].begin == at->begin;
      if (!known && (found == MX_MOST_PASSING || !all_passes(calls, of, n, at))) continue;
      if (!known) out[found++] = (mx_passing){at->begin, of[i].rows / parts * at->pitch};
      calls[i]->stream_out = false; /* it is to stay in the caches */
    }
  return found;
}

char *mx_vm_shifted(const mx_passing *p, int n, char *base, int64_t by) {
  for (int i = 0; i < n; i++)
    if (p[i].begin == base) return base + by * p[i].part_bytes;
  return base;
}

/* ---- units ---- */

/* Does a `units`-th of the call's units make a `units`-th of the rows? */
static bool has_rows(const mx_prep *p, int64_t units) {
  const mx_rshape *g = &p->shape;

  if (g->mode == MX_M_TILE) return mx_tile_rows(p->call->tile, units);
  if (p->units % units != 0 || p->call->shape[0] % units != 0) return false;
  if (g->mode == MX_M_POINTS) return p->unit_points * p->units == p->total;
  return g->mode == MX_M_STREAM && g->ko == 1 && g->ki == 1 && g->strips == 1 && g->split_rows * g->spread * p->units == p->total;
}

int64_t mx_vm_common_units(mx_prep *preps, int n) {
  int64_t units = 0;
  bool all = false;

  for (int i = 0; i < n; i++)
    if (preps[i].shape.mode != MX_M_TILE && (units == 0 || preps[i].units < units)) units = preps[i].units;
  for (; units > 1; units /= 2) {
    all = true;
    for (int i = 0; i < n && all; i++) all = has_rows(&preps[i], units);
    if (all || units % 2 != 0) break;
  }
  if (!all) return 0;
  for (int i = 0; i < n; i++)
    if (preps[i].shape.mode == MX_M_TILE) preps[i].units = units;
  return units;
}
