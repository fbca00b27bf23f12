/*
 * Chunks and tasks of routines: what engine/routine.h offers to their tile rules.
 */
#include "engine/routine.h"
#include "engine/status.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool fails(const mx_rbuild *b) { return b->st != MARS_OK; }

static void nomem(mx_rbuild *b) {
  if (!fails(b)) b->st = MX_NOMEM(b->err, b->plan->fn);
}

void mx_r_fail(mx_rbuild *b, mars_status st, const char *fmt, ...) {
  char text[256];
  va_list ap;
  if (fails(b)) return;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  b->st = mx_fail(b->err, st, "mars_%s: %s", b->k->fn, text);
}

void mx_r_matrix(mx_rbuild *b, const mars_shape *shape, int nd, int64_t number, int64_t n, int64_t *batch) {
  b->matrix = n > 1 ? 1 + number : 0;
  for (int d = nd - 1; d >= 0; d--) {
    batch[d] = number % shape->dims[d];
    number /= shape->dims[d];
  }
}

/* ---- chunks ---- */

static int32_t new_chunk(mx_rbuild *b, mx_pchunk c) {
  if (fails(b)) return 0;
  if (!mx_vec_push(b->plan->mem, &b->plan->chunks, c) || !mx_vec_push(b->plan->mem, b->stamp, 0)) nomem(b);
  return (int32_t)b->plan->chunks.n - 1;
}

int32_t mx_r_temp(mx_rbuild *b, int64_t bytes) {
  return new_chunk(b, (mx_pchunk){.value = -1, .producer = -1, .takes = -1, .bytes = bytes > 0 ? bytes : 1});
}

int32_t mx_r_temp_like(mx_rbuild *b, int32_t chunk) {
  if (fails(b)) return 0;
  const mx_pchunk *c = &b->plan->chunks.at[chunk];
  return new_chunk(b, (mx_pchunk){.value = -1, .producer = -1, .takes = -1, .bytes = c->bytes, .phase = c->phase, .spare = c->spare});
}

int32_t mx_r_result(mx_rbuild *b, int which, int64_t index) {
  return b->plan->values.at[b->k->result[which]].first_chunk + (int32_t)index;
}

void mx_r_result_box(const mx_rbuild *b, int which, int64_t index, int64_t *start, int64_t *extent) {
  const mx_pvalue *v = &b->plan->values.at[b->k->result[which]];
  mx_grid_chunk(&v->grid, &v->shape, index, start, extent);
}

mx_rarg mx_r_result_mat(mx_rbuild *b, int which, int64_t index) {
  const int32_t value = b->k->result[which];
  const mx_pvalue *v = &b->plan->values.at[value];
  int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS], elem = (int64_t)mars_dtype_bytes(v->dtype);
  const int nd = v->shape.ndim;
  mx_grid_chunk(&v->grid, &v->shape, index, start, extent);
  mx_rarg a = {.chunk = v->first_chunk + (int32_t)index, .memory = -1, .rows = nd > 1 ? extent[nd - 2] : 1,
               .cols = nd > 0 ? extent[nd - 1] : 1, .cs = 1};
  a.rs = a.cols;
  if (v->kind != MX_PV_MEMORY) return a;
  a.memory = value;
  for (int d = 0; d < nd; d++) a.offset += start[d] * v->stride[d];
  if (nd > 1) a.rs = v->stride[nd - 2] / elem;
  if (nd > 0) a.cs = v->stride[nd - 1] / elem;
  return a;
}

/* ---- matrices ---- */

mx_rarg mx_r_mat(int32_t chunk, int64_t rows, int64_t cols) {
  return (mx_rarg){.chunk = chunk, .memory = -1, .rows = rows, .cols = cols, .rs = cols, .cs = 1};
}

mx_rarg mx_r_mat_f(int32_t chunk, int64_t rows, int64_t cols) {
  return (mx_rarg){.chunk = chunk, .memory = -1, .rows = rows, .cols = cols, .rs = 1, .cs = rows};
}

mx_rarg mx_r_sub_bytes(const mx_rarg *a, int64_t row, int64_t col, int64_t rows, int64_t cols, int64_t elem_bytes) {
  mx_rarg s = *a;
  s.offset += (row * a->rs + col * a->cs) * elem_bytes;
  s.rows = rows;
  s.cols = cols;
  return s;
}

mx_rarg mx_r_sub(const mx_rbuild *b, const mx_rarg *a, int64_t row, int64_t col, int64_t rows, int64_t cols) {
  return mx_r_sub_bytes(a, row, col, rows, cols, b->elem);
}

mx_rarg mx_r_t(const mx_rarg *a) {
  mx_rarg t = *a;
  t.rows = a->cols, t.cols = a->rows, t.rs = a->cs, t.cs = a->rs;
  return t;
}

/* ---- tasks ---- */

static mx_rtask *current(mx_rbuild *b) { return &b->plan->rtasks.at[b->plan->rtasks.n - 1]; }

enum { MOST_TASKS = 1 << 21 /* of all routines of a plan */ };

/* A budget that will do, and the failure. With M bytes the edge of a tile grows as sqrt(M), so the tasks of cubic work fall as M^-3/2. How
   many there would be is known from the flops that the first MOST_TASKS are for, and from what routines take at most: 8/3 n^3.
   Twice that, for the smallest tiles are copied in pieces. */
static void too_many(mx_rbuild *b) {
  const mx_plan *p = b->plan;
  double done = 0, size = 0, edge = 0;
  for (int64_t t = b->first_rtask; t < p->rtasks.n; t++) done += p->rtasks.at[t].flops;
  for (int i = 0; i < b->k->n_slots; i++) {
    const mx_node *o = b->k->node->operand[i];
    size = fmax(size, (double)o->size);
    for (int d = o->shape.ndim > 2 ? o->shape.ndim - 2 : 0; d < o->shape.ndim; d++) edge = fmax(edge, (double)o->shape.dims[d]);
  }
  const double all = 8.0 / 3 * size * edge;
  const double parts = done > 0 && all > 2 * done ? all / done : 2, have = (double)p->machine->arena_bytes;
  const long long need = (long long)ceil(2 * have * pow(parts, 2.0 / 3) / 65536) * 65536;
  if (p->machine->chunk_elements > 0)
    mx_r_fail(b, MARS_E_OVERFLOW, "chunks of %lld elements and a budget of %lld bytes cut it into more than %d tasks; larger chunks are needed, and about %lld bytes",
              (long long)p->machine->chunk_elements, (long long)have, MOST_TASKS, need);
  else mx_r_fail(b, MARS_E_OVERFLOW, "a budget of %lld bytes cuts it into more than %d tasks; about %lld bytes are needed", (long long)have, MOST_TASKS, need);
}

void mx_r_begin(mx_rbuild *b, mx_tile_op op, unsigned flags) {
  if (fails(b)) return;
  mx_plan *p = b->plan;
  const bool first = p->rtasks.n == b->first_rtask;
  mx_rtask r = {.op = (uint16_t)op, .flags = (uint16_t)flags, .dtype = (uint8_t)b->dtype, .chained = !first && !b->broken, .gate = 1,
                .own_scratch = -1, .first_arg = (int32_t)p->rargs.n, .p[3] = b->matrix};
  mx_ptask t = {b->kernel, (int32_t)p->rtasks.n, (int32_t)p->ins.n, (int32_t)p->outs.n};
  b->broken = false;
  b->task = (int32_t)p->tasks.n;
  if (p->rtasks.n % 4096 == 0) b->st = mx_plan_cancelled(p, b->err);
  if (fails(b)) return;
  if (p->rtasks.n >= MOST_TASKS) /* their records, half a kilobyte each with the schedule's, are not in the budget */
    too_many(b);
  else if (!mx_vec_push(p->mem, &p->rtasks, r) || !mx_vec_push(p->mem, &p->tasks, t)) nomem(b);
}

void mx_r_p(mx_rbuild *b, int i, int64_t value) {
  if (!fails(b)) current(b)->p[i] = value;
}

static void add_arg(mx_rbuild *b, const mx_rarg *m) {
  if (!fails(b) && !mx_vec_push(b->plan->mem, &b->plan->rargs, *m)) nomem(b);
}

static void add_in(mx_rbuild *b, int32_t chunk) {
  if (fails(b) || chunk < 0 || b->stamp->at[chunk] == b->task + 1) return;
  b->stamp->at[chunk] = b->task + 1;
  if (!mx_vec_push(b->plan->mem, &b->plan->ins, chunk)) nomem(b);
}

static void add_out(mx_rbuild *b, int32_t chunk) {
  mx_plan *p = b->plan;
  if (fails(b)) return;
  for (int64_t i = p->outs.n; i-- > p->tasks.at[b->task].first_out;)
    if (p->outs.at[i] == chunk) return;
  if (!mx_vec_push(p->mem, &p->outs, chunk)) nomem(b);
  else p->chunks.at[chunk].producer = b->task;
}

void mx_r_read(mx_rbuild *b, const mx_rarg *m) {
  add_arg(b, m);
  add_in(b, m->chunk);
}

void mx_r_write(mx_rbuild *b, const mx_rarg *m) {
  add_arg(b, m);
  add_out(b, m->chunk);
}

/* The task updates m's chunk in place, and the version that comes out is `chunk`. */
static void take_over(mx_rbuild *b, mx_rarg *m, int32_t chunk) {
  add_in(b, m->chunk);
  if (fails(b)) return;
  b->plan->chunks.at[chunk].takes = m->chunk;
  m->chunk = chunk;
  add_out(b, chunk);
}

void mx_r_into(mx_rbuild *b, mx_rarg *m, int32_t chunk) {
  take_over(b, m, chunk);
  add_arg(b, m);
}

void mx_r_update(mx_rbuild *b, mx_rarg *m) {
  if (fails(b)) return;
  mx_r_into(b, m, mx_r_temp_like(b, m->chunk));
}

void mx_r_end(mx_rbuild *b, int64_t scratch_bytes, double flops) {
  if (fails(b)) return;
  current(b)->scratch_bytes = scratch_bytes;
  current(b)->flops = flops;
}

void mx_r_break(mx_rbuild *b) { b->broken = true; }

void mx_r_group_begin(mx_rbuild *b) { b->group = (int32_t)b->plan->rtasks.n; }

void mx_r_group_end(mx_rbuild *b) {
  if (!fails(b) && b->group < b->plan->rtasks.n) b->plan->rtasks.at[b->group].gate = (int32_t)(b->plan->rtasks.n - b->group);
  b->group = -1;
}

/* ---- operands ---- */

enum { PARTS_IN_PLACE = 1 };

typedef struct parts {
  mx_rbuild *b;
  int ndim, n;
  mx_rarg first;     /* where the first part stands */
  bool whole;        /* it is the whole box */
  const mx_rarg *dst;/* not NULL: copy every part there, */
  bool more;         /* which has been written before */
  int64_t rows, cols;
} parts;

static bool part_arg(void *ctx, const mx_part *part) {
  parts *q = ctx;
  mx_rbuild *b = q->b;
  const mx_pvalue *v = &b->plan->values.at[part->value];
  const int nd = q->ndim;
  const int64_t elem = (int64_t)mars_dtype_bytes(v->dtype);
  const int64_t r0 = nd > 1 ? part->start[nd - 2] : 0, c0 = nd > 0 ? part->start[nd - 1] : 0;
  const int64_t rs = nd > 1 ? part->stride[nd - 2] : elem, cs = nd > 0 ? part->stride[nd - 1] : elem;
  /* a result of this plan in caller memory has chunks without bytes, which say what must be made before */
  mx_rarg src = {.chunk = v->kind == MX_PV_MEMORY && v->producer < 0 ? -1 : v->first_chunk + (int32_t)part->chunk,
                 .memory = v->kind == MX_PV_MEMORY ? part->value : -1, .offset = part->offset,
                 .rows = nd > 1 ? part->extent[nd - 2] : 1, .cols = nd > 0 ? part->extent[nd - 1] : 1,
                 .rs = rs / elem, .cs = cs / elem};
  if (rs % elem || cs % elem) mx_r_fail(b, MARS_E_UNSUPPORTED, "an operand's strides are no multiples of its element size; copy it first");
  if (fails(b)) return false;
  if (q->dst) {
    mx_rarg to = mx_r_sub(b, q->dst, r0, c0, src.rows, src.cols);
    if (q->more) add_arg(b, &to);
    else mx_r_write(b, &to);
    mx_r_read(b, &src);
  } else if (q->n == 0) {
    q->first = src;
    q->whole = src.rows == q->rows && src.cols == q->cols;
  }
  q->n++;
  return !fails(b);
}

static void walk(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, int64_t rows, int64_t cols, parts *q) {
  const mars_shape *shape = &b->k->node->operand[slot]->shape;
  int64_t start[MARS_MAX_DIMS] = {0}, extent[MARS_MAX_DIMS];
  const int nd = shape->ndim;
  for (int d = 0; d < nd - 2; d++) start[d] = batch ? batch[d] : 0, extent[d] = 1;
  if (nd > 1) start[nd - 2] = row, extent[nd - 2] = rows;
  if (nd > 0) start[nd - 1] = col, extent[nd - 1] = cols;
  q->b = b, q->ndim = nd, q->rows = nd > 1 ? rows : 1, q->cols = nd > 0 ? cols : 1;
  mx_walk_parts(b->plan, b->k->slot[slot].value, &b->k->slot[slot].access, nd, start, extent, part_arg, q);
}

/* Stride 1 one way and rows (columns) that do not overlap: what BLAS can address. */
static bool addressable(mx_rarg *a) {
  if (a->rows == 1) a->rs = a->cs == 1 || a->cols == 1 ? a->cols : a->rs;
  if (a->cols == 1 && a->rs > 0 && a->rows > 1 && a->cs <= 0) a->cs = 1;
  if (a->cols == 1 && a->rows == 1) a->rs = a->cs = 1;
  if (a->rs > INT32_MAX || a->cs > INT32_MAX) return false;
  if (a->cs == 1 && a->rs >= a->cols) return true;
  if (a->rs == 1 && a->cs >= a->rows) return true;
  if (a->cols == 1 && a->rs >= 1) return a->cs = 1, true;
  if (a->rows == 1 && a->cs >= 1) return a->rs = 1, true;
  return false;
}

void mx_r_load(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, const mx_rarg *dst) {
  parts q = {.dst = dst};
  if (fails(b)) return;
  mx_r_begin(b, MX_TILE_COPY, 0);
  walk(b, slot, batch, row, col, dst->rows, dst->cols, &q);
  mx_r_end(b, 0, (double)dst->rows * (double)dst->cols);
}

void mx_r_load_rows(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, mx_rarg *dst, int64_t from, int64_t rows) {
  mx_rarg part = mx_r_sub(b, dst, from, 0, rows, dst->cols);
  parts q = {.dst = &part};
  if (fails(b)) return;
  q.more = b->plan->chunks.at[dst->chunk].producer >= 0;
  mx_r_begin(b, MX_TILE_COPY, 0);
  if (q.more) take_over(b, dst, mx_r_temp_like(b, dst->chunk));
  part.chunk = dst->chunk;
  walk(b, slot, batch, row + from, col, part.rows, part.cols, &q);
  mx_r_end(b, 0, (double)part.rows * (double)part.cols);
}

void mx_r_load_bands(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, mx_rarg *dst, int64_t band) {
  for (int64_t i = 0; i < dst->rows && !fails(b); i += band)
    mx_r_load_rows(b, slot, batch, row, col, dst, i, dst->rows - i < band ? dst->rows - i : band);
}

mx_rarg mx_r_operand(mx_rbuild *b, int slot, const int64_t *batch, int64_t row, int64_t col, int64_t rows, int64_t cols) {
  parts q = {0};
  mx_rarg a = {.chunk = -1, .memory = -1};
  if (fails(b)) return a;
  walk(b, slot, batch, row, col, rows, cols, &q);
  if (q.n == PARTS_IN_PLACE && q.whole && addressable(&q.first)) return q.first;
  a = mx_r_mat(mx_r_temp(b, rows * cols * b->elem), rows, cols);
  mx_r_load(b, slot, batch, row, col, &a);
  return a;
}

/* ---- sizes ---- */

int64_t mx_r_axis_chunk(const mx_plan *plan, const mx_pkernel *k, int slot, int axis) {
  const mx_pslot *s = &k->slot[slot];
  const mx_pvalue *v = &plan->values.at[s->value];
  if ((v->kind == MX_PV_MEMORY && v->producer < 0) || v->kind == MX_PV_CONCAT) return 0;
  for (int d = 0; d < v->shape.ndim; d++)
    if (s->access.view.axis[d] == axis) {
      int64_t step = s->access.view.step[d], c = v->grid.chunk[d];
      if (step < 0) step = -step;
      return step > 1 ? (c + step - 1) / step : c;
    }
  return 0;
}

int64_t mx_r_width(const mx_plan *plan, int64_t rows, int64_t elem, int64_t share, int64_t unit, int64_t most) {
  int64_t arena = (int64_t)plan->machine->arena_bytes / share;
  for (int i = 0; i < plan->attempt && arena > 1; i++) arena /= 2;
  int64_t w = arena / (rows > 0 ? rows : 1) / elem;
  if (w > most) w = most;
  if (w > unit) w -= w % unit;
  return w > 0 ? w : 1;
}

/* ---- a kernel ---- */

mars_status mx_tile_routine(mx_plan *plan, int32_t kernel, mx_stamps *stamp, mars_error *err) {
  mx_pkernel *k = &plan->kernels.at[kernel];
  mx_rbuild b = {.plan = plan, .k = k, .kernel = kernel, .dtype = k->dtype, .first_rtask = plan->rtasks.n, .task = -1,
                 .group = -1, .stamp = stamp, .st = MARS_OK, .err = err};
  b.elem = (int64_t)mars_dtype_bytes(b.dtype);
  k->first_task = (int32_t)plan->tasks.n;
  k->routine->tasks(&b);
  return b.st;
}
