/* Contract: tests/vm_stage.h. */
#include "tests/vm_stage.h"

#include "engine/status.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

void (*vm_stage_watch)(mx_call *const *calls, int n);

typedef struct region {
  const char *begin, *end;
  char *at; /* on the device */
} region;

typedef struct regions {
  region *list;
  int n, cap;
} regions;

static void add(regions *r, const void *begin, size_t bytes) {
  if (begin == NULL || bytes == 0) return;
  if (r->n == r->cap) {
    r->cap = r->cap > 0 ? 2 * r->cap : 64;
    r->list = realloc(r->list, (size_t)r->cap * sizeof *r->list);
  }
  r->list[r->n++] = (region){begin, (const char *)begin + bytes, NULL};
}

static void add_strided(regions *r, const char *base, int nd, const int64_t *extent, const int64_t *stride, size_t es) {
  const char *low = base, *high = base;

  for (int d = 0; d < nd; d++) {
    if (extent[d] == 0) return;
    if (stride[d] < 0) low += (extent[d] - 1) * stride[d];
    else high += (extent[d] - 1) * stride[d];
  }
  add(r, low, (size_t)(high - low) + es);
}

static void add_pieces(regions *r, const mx_bind *b, int nd, size_t es) {
  for (int i = 0; i < b->n_pieces; i++) {
    const mx_piece *p = &b->pieces[i];

    if (p->start == NULL) add_strided(r, p->base, 1, &p->flat_count, &p->flat_step, es);
    else add_strided(r, p->base, nd, p->extent, p->stride, es);
  }
}

static size_t acc_bytes(const mx_program *p, int slot, int64_t kept) {
  mx_acc_layout layout;

  mx_acc_layout_of(mx_op_row_of(p->outs[slot].op)->acc, p->outs[slot].src, kept, &layout);
  return layout.bytes;
}

static size_t out_bytes(const mx_program *p, int slot, int64_t kept, bool final) {
  return final ? (size_t)kept * mars_dtype_bytes(p->outs[slot].dtype) : acc_bytes(p, slot, kept);
}

static size_t carry_bytes(const mx_program *p) {
  for (int i = 0; i < p->n_instrs; i++)
    if (p->instrs[i].kind == MX_I_SCAN) return mars_dtype_bytes(p->value_dtype[p->instrs[i].src[0]]);
  return 0;
}

static void add_call(regions *r, const mx_call *c, const mx_program *p, size_t scratch) {
  int64_t kept = 1;

  if (c->kind == MX_CALL_COMBINE) {
    for (int i = 0; i < c->n_partials; i++) add(r, c->partials[i], acc_bytes(p, c->slot, c->kept));
    add(r, c->out[0].base, out_bytes(p, c->slot, c->kept, c->final_mask >> c->slot & 1));
    return;
  }
  for (int d = 0; d < c->ndim; d++)
    if (!(p->reduce_mask >> d & 1)) kept *= c->shape[d];
  for (int i = 0; i < p->n_in; i++) {
    size_t es = mars_dtype_bytes(p->in_dtype[i]);

    add_strided(r, c->in[i].base, c->ndim, c->shape, c->in[i].stride, es);
    add_pieces(r, &c->in[i], c->ndim, es);
  }
  for (int o = 0; o < p->n_out; o++) {
    if (p->outs[o].reduce) add(r, c->out[o].base, out_bytes(p, o, kept, c->final_mask >> o & 1));
    else add_strided(r, c->out[o].base, c->ndim, c->shape, c->out[o].stride, mars_dtype_bytes(p->outs[o].dtype));
  }
  add(r, c->carry_in, (size_t)kept * carry_bytes(p));
  add(r, c->carry_out, (size_t)kept * carry_bytes(p));
  add(r, c->scratch, scratch);
}

static int by_begin(const void *a, const void *b) {
  const region *x = a, *y = b;

  return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static mars_status place(mx_device *dev, regions *r, mars_error *err) {
  size_t bytes, at = 0;
  char *arena = dev->ops->memory(dev, &bytes);
  int n = 0;

  qsort(r->list, (size_t)r->n, sizeof *r->list, by_begin);
  for (int i = 0; i < r->n; i++) {
    if (n > 0 && r->list[i].begin < r->list[n - 1].end) {
      if (r->list[i].end > r->list[n - 1].end) r->list[n - 1].end = r->list[i].end;
    } else {
      r->list[n++] = r->list[i];
    }
  }
  r->n = n;
  for (int i = 0; i < n; i++) {
    size_t phase = (size_t)(uintptr_t)r->list[i].begin % 256;

    r->list[i].at = arena + at + phase;
    at += (phase + (size_t)(r->list[i].end - r->list[i].begin) + 511) & ~(size_t)255;
  }
  return at <= bytes ? MARS_OK : mx_fail(err, MARS_E_BUDGET, "test: %zu bytes do not fit the device's %zu", at, bytes);
}

static char *there(const regions *r, const void *p) {
  int lo = 0, hi = r->n - 1;

  if (p == NULL) return NULL;
  while (lo < hi) {
    int mid = (lo + hi + 1) / 2;

    if (r->list[mid].begin <= (const char *)p) lo = mid;
    else hi = mid - 1;
  }
  return r->list[lo].at + ((const char *)p - r->list[lo].begin);
}

static void wake(mx_transfer *t) { sem_post(t->user); }

static mars_status move(mx_device *dev, const regions *r, mx_transfer_kind kind, mars_error *err) {
  mx_transfer *list = calloc((size_t)r->n + 1, sizeof *list);
  mars_status st = MARS_OK;
  sem_t done;

  sem_init(&done, 0, 0);
  for (int i = 0; i < r->n; i++) {
    char *host = (char *)(uintptr_t)r->list[i].begin;

    list[i] = (mx_transfer){.kind = kind, .dst = kind == MX_TRANSFER_UP ? r->list[i].at : host,
                            .src = kind == MX_TRANSFER_UP ? host : r->list[i].at, .bytes = (size_t)(r->list[i].end - r->list[i].begin),
                            .done = wake, .user = &done};
    dev->ops->transfer(dev, &list[i]);
  }
  for (int i = 0; i < r->n; i++) sem_wait(&done);
  for (int i = 0; i < r->n && st == MARS_OK; i++) {
    st = list[i].status;
    if (st != MARS_OK && err != NULL) *err = list[i].err;
  }
  sem_destroy(&done);
  free(list);
  return st;
}

static mx_bind *move_binds(const regions *r, const mx_bind *from, int n, int nd) {
  mx_bind *b = calloc((size_t)n + 1, sizeof *b);

  (void)nd;
  for (int i = 0; i < n; i++) {
    mx_piece *pieces = calloc((size_t)from[i].n_pieces + 1, sizeof *pieces);

    for (int j = 0; j < from[i].n_pieces; j++) {
      pieces[j] = from[i].pieces[j];
      pieces[j].base = there(r, pieces[j].base);
    }
    b[i] = from[i];
    b[i].base = there(r, from[i].base);
    b[i].pieces = pieces;
  }
  return b;
}

static void free_binds(const mx_bind *b, int n) {
  for (int i = 0; b != NULL && i < n; i++) free((void *)(uintptr_t)b[i].pieces);
  free((void *)(uintptr_t)b);
}

mars_status vm_stage_launch(mx_device *dev, mx_call *const *calls, const mx_program *const *prog, int n, mars_error *err) {
  mx_call *moved = calloc((size_t)n + 1, sizeof *moved);
  mx_call **list = calloc((size_t)n + 1, sizeof *list);
  regions r = {0};
  mars_status st;

  for (int i = 0; i < n; i++) {
    size_t scratch = calls[i]->kind == MX_CALL_COMBINE ? 0 : dev->ops->kernel_scratch(dev, calls[i]->kernel, calls[i]->shape);

    add_call(&r, calls[i], prog[i], scratch);
  }
  st = place(dev, &r, err);
  if (st == MARS_OK) st = move(dev, &r, MX_TRANSFER_UP, err);
  for (int i = 0; i < n && st == MARS_OK; i++) {
    const mx_call *c = calls[i];
    const char **partials = calloc((size_t)c->n_partials + 1, sizeof *partials);

    list[i] = &moved[i];
    moved[i] = *c;
    moved[i].in = c->kind == MX_CALL_COMBINE ? NULL : move_binds(&r, c->in, prog[i]->n_in, c->ndim);
    moved[i].out = move_binds(&r, c->out, c->kind == MX_CALL_COMBINE ? 1 : prog[i]->n_out, c->ndim);
    moved[i].carry_in = there(&r, c->carry_in);
    moved[i].carry_out = there(&r, c->carry_out);
    moved[i].scratch = there(&r, c->scratch);
    for (int j = 0; j < c->n_partials; j++) partials[j] = there(&r, c->partials[j]);
    moved[i].partials = partials;
  }
  if (st == MARS_OK && vm_stage_watch != NULL) vm_stage_watch(list, n);
  if (st == MARS_OK) st = dev->ops->launch(dev, list, n, err);
  if (st == MARS_OK) st = move(dev, &r, MX_TRANSFER_DOWN, err);
  for (int i = 0; i < n; i++) {
    free_binds(moved[i].in, prog[i]->n_in);
    free_binds(moved[i].out, moved[i].kind == MX_CALL_COMBINE ? 1 : prog[i]->n_out);
    free((void *)(uintptr_t)moved[i].partials);
  }
  free(moved);
  free(list);
  free(r.list);
  return st;
}
