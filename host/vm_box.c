/*
 * Boxes: elementwise calls in which an operand runs along another dimension than the rest (a + a.T). Rows of the tile
 * would touch a cache line for every element of it; a box of both dimensions uses the lines it touches.
 * Contract: host/vm.h.
 */
#include "host/vm.h"

#include <string.h>

enum { SHORTEST = 8, WIDTH = 128, UNIT_BOXES = 32 };

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* A dimension along which this slot is contiguous while it is not along the innermost one; -1: none. */
static int turned_dim(const mx_bind *bind, int64_t es, const int64_t *shape, const int *order, int nd) {
  int64_t inner = bind->stride[order[nd - 1]];

  if (inner == 0 || inner == es || inner == -es) return -1;
  for (int k = nd - 2; k >= 0; k--)
    if (bind->stride[order[k]] == es && shape[order[k]] >= SHORTEST) return k;
  return -1;
}

bool mx_box_prepare(mx_prep *prep, int nd, const int *order) {
  const mx_kernel *k = prep->kernel;
  const mx_call *call = prep->call;
  mx_box *box = &prep->box;
  int turned = -1;

  if (nd < 2 || call->shape[order[nd - 1]] < SHORTEST) return false;
  for (int i = 0; i < k->n_in && turned < 0; i++)
    turned = turned_dim(&call->in[i], k->in_bytes[i], call->shape, order, nd);
  for (int i = 0; i < k->n_out && turned < 0; i++)
    turned = turned_dim(&call->out[i], (int64_t)mars_dtype_bytes(k->outs[i].desc.dtype), call->shape, order, nd);
  if (turned < 0) return false;
  box->n_outer = 0;
  for (int d = 0; d < nd - 1; d++)
    if (d != turned) box->outer[box->n_outer++] = order[d];
  box->high = order[turned];
  box->wide = order[nd - 1];
  box->width = min64(call->shape[box->wide], WIDTH);
  box->height = min64(call->shape[box->high], k->block / box->width);
  box->columns = div_up(call->shape[box->wide], box->width);
  box->rows = div_up(call->shape[box->high], box->height);
  box->boxes = box->rows * box->columns;
  for (int d = 0; d < box->n_outer; d++) box->boxes *= call->shape[box->outer[d]];
  prep->shape.mode = MX_M_BOXES;
  prep->units = div_up(box->boxes, UNIT_BOXES);
  prep->acc_bytes = (size_t)(k->n_in + k->n_gen + k->n_out) * sizeof(mx_window);
  return true;
}

/* The slot seen from one box: `high` rows of `wide` elements at `at`. */
static void look(mx_window *w, const mx_bind *bind, const mx_box *box, const int64_t *at, int64_t high, int64_t wide) {
  int64_t offset = at[box->high] * bind->stride[box->high] + at[box->wide] * bind->stride[box->wide];

  for (int d = 0; d < box->n_outer; d++) offset += at[box->outer[d]] * bind->stride[box->outer[d]];
  w->index = bind->index + offset;
  w->base = bind->base != NULL ? bind->base + offset : NULL;
  w->nd = 2;
  w->shape[0] = wide;
  w->stride[0] = bind->stride[box->wide];
  w->shape[1] = high;
  w->stride[1] = bind->stride[box->high];
  if (w->stride[1] != w->stride[0] * wide && high > 1 && wide > 1) return;
  if (wide == 1) w->stride[0] = w->stride[1]; /* one run */
  w->shape[0] = high * wide;
  w->nd = 1;
}

static void run_box(mx_run *run, const mx_window *views, int64_t number) {
  const mx_kernel *k = run->kernel;
  const mx_call *call = run->call;
  const mx_box *box = &run->prep->box;
  mx_window *w = (mx_window *)run->work->acc;
  int64_t at[MARS_MAX_DIMS] = {0}, high, wide;

  at[box->high] = number % box->rows * box->height; /* next to one another along the turned operand's memory */
  number /= box->rows;
  at[box->wide] = number % box->columns * box->width;
  number /= box->columns;
  for (int d = box->n_outer - 1; d >= 0; d--) {
    at[box->outer[d]] = number % call->shape[box->outer[d]];
    number /= call->shape[box->outer[d]];
  }
  wide = min64(box->width, call->shape[box->wide] - at[box->wide]);
  high = min64(box->height, call->shape[box->high] - at[box->high]);
  for (int i = 0; i < k->n_in + k->n_gen + k->n_out; i++) {
    const mx_bind *bind = i < k->n_in              ? &call->in[i]
                          : i < k->n_in + k->n_gen ? &call->gen[i - k->n_in]
                                                   : &call->out[i - k->n_in - k->n_gen];

    w[i].es = views[i].es;
    w[i].copy = views[i].copy;
    look(&w[i], bind, box, at, high, wide);
  }
  mx_vm_block(run, 0, high * wide);
}

void mx_box_unit(mx_run *run, int64_t unit) {
  const mx_window *views = run->in;
  int64_t end = min64((unit + 1) * UNIT_BOXES, run->prep->box.boxes);

  run->in = (const mx_window *)run->work->acc;
  run->gen = run->in + run->kernel->n_in;
  run->out = run->gen + run->kernel->n_gen;
  for (int64_t b = unit * UNIT_BOXES; b < end; b++) run_box(run, views, b);
  run->in = views;
  run->gen = run->in + run->kernel->n_in;
  run->out = run->gen + run->kernel->n_gen;
}
