/*
 * Calls one after another over the same rows: a product, what is done with each element of it, the sum of that.
 *
 * Each of them is made in units anyway. Where unit i of every call is about the same rows, and rows of one call need no other rows of
 * those before it, a worker does unit i of all of them before the next one: what they hand on is still in its cache, and the workers
 * meet once instead of once a call. The units are those that the calls have when each is launched by itself, so that it changes no
 * bit of any result.
 */
#include "host/routines/tile.h"
#include "host/vm.h"

typedef struct region {
  const char *begin, *end;
  int64_t pitch; /* bytes of a row, of which row i stands at begin + i * pitch and is touched by row i alone; 0: it is not so */
  bool written;
} region;

enum { MOST = 12 };

typedef struct regions {
  int64_t rows, cols; /* of all calls */
  int n;
  region at[MOST];
} regions;

static bool add(regions *r, const char *base, int64_t bytes, int64_t pitch, bool written) {
  if (r->n == MOST) return false;
  r->at[r->n++] = (region){base, base + bytes, pitch, written};
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
  }
  if (ok && k->n_reduce > 0) {
    mx_rshape g;

    mx_reduce_shape(k, call->shape, &g);
    ok = add(r, call->scratch, (int64_t)mx_reduce_scratch(k, &g), 0, true);
  }
  return ok;
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
  }
  return ok;
}

static bool of_call(regions *r, const mx_call *call) {
  r->n = 0;
  if (call->kind == MX_CALL_TILE) return of_tile(r, call);
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

  for (int i = 0; i < n; i++)
    if (preps[i].shape.mode != MX_M_TILE && (units == 0 || preps[i].units < units)) units = preps[i].units;
  for (int i = 0; i < n && units > 0; i++)
    if (!has_rows(&preps[i], units)) return 0;
  for (int i = 0; i < n && units > 0; i++)
    if (preps[i].shape.mode == MX_M_TILE) preps[i].units = units;
  return units;
}
