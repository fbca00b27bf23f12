/*
 * Which chunks of a value a tile reads, and where each part of the tile stands in them.
 */
#include "engine/plan/plan.h"

#include <string.h>

/* The part of one value dimension that lies in one chunk. */
typedef struct span {
  int64_t chunk;      /* grid coordinate */
  int64_t from, count; /* positions along the iteration axis (axis < 0: 0, 1) */
} span;

enum { MAX_SPANS = 64 };

typedef struct walker {
  int value; /* number told to fn */
  const mx_grid *grid;
  const mars_shape *shape;
  int64_t elem;
  const mx_access *a;
  int ndim;
  const int64_t *start, *extent;
  mx_part_fn *fn;
  void *ctx;
  const int64_t *stride; /* caller memory: bytes per dimension, parts count from its first element; else NULL */
  bool compact;          /* stride is C order */
  bool mirror;           /* chunks above the diagonal of the last two axes stand below it, turned */
} walker;

static int64_t floor_div(int64_t a, int64_t b) {
  int64_t q = a / b;
  return q - ((a % b != 0) && ((a < 0) != (b < 0)));
}

/* First position >= from along the axis whose coordinate leaves chunk c. */
static int64_t leave(int64_t c0, int64_t step, int64_t from, int64_t n, int64_t lo, int64_t hi) {
  if (step == 0) return n;
  int64_t last = step > 0 ? floor_div(hi - 1 - c0, step) : floor_div(c0 - lo, -step);
  (void)from;
  return last + 1 < n ? last + 1 : n;
}

static bool emit_box(const walker *w, int d, int64_t chunk, int64_t *box_start, int64_t *box_extent, int64_t *box_stride,
                     int64_t *at, int64_t *ext) {
  if (d == w->shape->ndim) {
    int64_t stride[MARS_MAX_DIMS], offset = 0;
    int n = w->shape->ndim;
    if (w->stride) memcpy(stride, w->stride, sizeof stride);
    else if (w->mirror && n >= 2 && at[n - 2] < at[n - 1]) { /* chunk [.., j, i] instead */
      int64_t i = at[n - 2] / w->grid->chunk[n - 2], j = at[n - 1] / w->grid->chunk[n - 1], c = w->grid->count[n - 1];
      int64_t turned[MARS_MAX_DIMS];
      memcpy(turned, ext, sizeof turned);
      turned[n - 2] = ext[n - 1], turned[n - 1] = ext[n - 2];
      mx_strides_c(n, turned, w->elem, stride);
      int64_t s = stride[n - 2];
      stride[n - 2] = stride[n - 1], stride[n - 1] = s;
      chunk += (j * c + i) - (i * c + j);
    } else mx_strides_c(n, ext, w->elem, stride);
    memset(box_stride, 0, (size_t)w->ndim * sizeof *box_stride);
    for (int e = 0; e < w->shape->ndim; e++) {
      int a = w->a->view.axis[e];
      int64_t i = a < 0 ? 0 : w->start[a] + box_start[a];
      offset += (w->a->view.start[e] + w->a->view.step[e] * i - (w->stride ? 0 : at[e])) * stride[e];
      if (a >= 0) box_stride[a] += w->a->view.step[e] * stride[e];
    }
    mx_part p = {.value = w->value, .chunk = chunk, .start = box_start, .extent = box_extent, .stride = box_stride,
                 .offset = offset, .count = -1};
    return w->fn(w->ctx, &p);
  }
  int a = w->a->view.axis[d];
  int64_t size = w->grid->chunk[d], step = a < 0 ? 0 : w->a->view.step[d];
  int64_t n = a < 0 ? 1 : w->extent[a];
  int64_t c0 = w->a->view.start[d] + (a < 0 ? 0 : step * w->start[a]);
  for (int64_t i = 0; i < n;) {
    int64_t c = (c0 + step * i) / size, lo = c * size;
    int64_t hi = lo + size < w->shape->dims[d] ? lo + size : w->shape->dims[d];
    int64_t next = leave(c0, step, i, n, lo, hi);
    at[d] = lo;
    ext[d] = hi - lo;
    if (a >= 0) box_start[a] = i, box_extent[a] = next - i;
    if (!emit_box(w, d + 1, chunk * w->grid->count[d] + c, box_start, box_extent, box_stride, at, ext)) return false;
    i = next;
  }
  if (a >= 0) box_start[a] = 0, box_extent[a] = w->extent[a];
  return true;
}

static bool walk_boxes(const walker *w) {
  int64_t bs[MARS_MAX_DIMS] = {0}, be[MARS_MAX_DIMS], bt[MARS_MAX_DIMS], at[MARS_MAX_DIMS], ext[MARS_MAX_DIMS];
  for (int j = 0; j < w->ndim; j++) be[j] = w->extent[j];
  return emit_box(w, 0, 0, bs, be, bt, at, ext);
}

/* Chunk and byte of C-order index `lin`; *run: how many elements from there on follow another in the chunk. */
static int64_t locate(const walker *w, int64_t lin, int64_t *offset, int64_t *run) {
  int64_t coord[MARS_MAX_DIMS], ext[MARS_MAX_DIMS], stride[MARS_MAX_DIMS], lo[MARS_MAX_DIMS], chunk = 0;
  int n = w->shape->ndim;
  bool turned = false;
  for (int d = n - 1; d >= 0; d--) {
    coord[d] = lin % w->shape->dims[d];
    lin /= w->shape->dims[d];
  }
  if (w->mirror && n >= 2 && coord[n - 2] / w->grid->chunk[n - 2] < coord[n - 1] / w->grid->chunk[n - 1]) {
    int64_t c = coord[n - 2];
    coord[n - 2] = coord[n - 1], coord[n - 1] = c;
    turned = true;
  }
  for (int d = 0; d < n; d++) {
    int64_t c = coord[d] / w->grid->chunk[d];
    lo[d] = c * w->grid->chunk[d];
    chunk = chunk * w->grid->count[d] + c;
    ext[d] = w->shape->dims[d] - lo[d] < w->grid->chunk[d] ? w->shape->dims[d] - lo[d] : w->grid->chunk[d];
    coord[d] -= lo[d];
  }
  mx_strides_c(n, ext, w->elem, stride);
  *offset = 0;
  *run = 1;
  for (int d = 0; d < n; d++) {
    int64_t at = coord[d] + (w->stride ? lo[d] : 0);
    *offset += at * (w->stride ? w->stride[d] : stride[d]);
  }
  if ((w->stride && !w->compact) || turned) return chunk;
  int64_t inner = 1;
  for (int d = n - 1; d >= 0; d--) { /* dimensions that the chunk holds whole run on */
    *run = (ext[d] - coord[d] - 1) * inner + *run;
    inner *= ext[d];
    if (ext[d] != w->shape->dims[d]) break;
  }
  return chunk;
}

/* Elements [flat, flat + n) of the tile are value elements lin, lin + step, ... */
static bool walk_run(const walker *w, int64_t flat, int64_t n, int64_t lin, int64_t step) {
  while (n > 0) {
    int64_t offset, run, chunk = locate(w, lin, &offset, &run);
    int64_t count = step > 0 ? (run - 1) / step + 1 : step == 0 ? n : 1;
    if (count > n) count = n;
    mx_part p = {.value = w->value, .chunk = chunk, .offset = offset, .flat = flat, .count = count, .step = step * w->elem};
    if (!w->fn(w->ctx, &p)) return false;
    flat += count;
    lin += step * count;
    n -= count;
  }
  return true;
}

static bool walk_linear(const walker *w) {
  int64_t lin = w->a->base, rows = 1, inner = 1, expect = 1, i[MARS_MAX_DIMS] = {0};
  for (int j = 0; j < w->ndim; j++) lin += w->a->lstep[j] * w->start[j];
  int split = w->ndim; /* dimensions from here on are one run with step 1 */
  while (split > 0 && (w->extent[split - 1] == 1 || w->a->lstep[split - 1] == expect)) {
    split--;
    inner *= w->extent[split];
    expect *= w->extent[split];
  }
  int64_t step = 1;
  if (inner == 1 && split > 0) { /* not contiguous: rows of the innermost real dimension */
    split--;
    inner = w->extent[split];
    step = w->a->lstep[split];
  }
  for (int j = 0; j < split; j++) rows *= w->extent[j];
  for (int64_t r = 0; r < rows; r++) {
    if (!walk_run(w, r * inner, inner, lin, step)) return false;
    for (int j = split - 1; j >= 0; j--) {
      lin += w->a->lstep[j];
      if (++i[j] < w->extent[j]) break;
      lin -= w->a->lstep[j] * i[j];
      i[j] = 0;
    }
  }
  return true;
}

/* ---- joined values: each operand's part of the tile, told in the tile's own coordinates ---- */

typedef struct join_ctx {
  mx_part_fn *fn;
  void *ctx;
  int axis, ndim;
  int64_t shift;
} join_ctx;

static bool join_part(void *ctx, const mx_part *part) {
  join_ctx *j = ctx;
  int64_t start[MARS_MAX_DIMS];
  memcpy(start, part->start, (size_t)j->ndim * sizeof *start);
  if (j->axis >= 0) start[j->axis] += j->shift;
  mx_part p = *part;
  p.start = start;
  return j->fn(j->ctx, &p);
}

static bool walk_joins(const mx_plan *plan, const mx_pvalue *v, const mx_access *a, int ndim, const int64_t *start,
                       const int64_t *extent, mx_part_fn *fn, void *ctx) {
  int ja = v->join_axis, axis = a->view.axis[ja];
  int64_t step = axis < 0 ? 0 : a->view.step[ja], n = axis < 0 ? 1 : extent[axis];
  int64_t c0 = a->view.start[ja] + (axis < 0 ? 0 : step * start[axis]);
  for (int64_t i = 0; i < n;) {
    int64_t c = c0 + step * i;
    const mx_pjoin *j = v->joins;
    while (c >= j->start + j->extent || c < j->start) j++;
    int64_t next = leave(c0, step, i, n, j->start, j->start + j->extent);
    mx_access sub = {.ndim = plan->values.at[j->value].shape.ndim};
    for (int d = 0; d < sub.ndim; d++) { /* operand coordinate <- joined coordinate <- iteration */
      int e = j->view.axis[d];
      sub.view.axis[d] = -1;
      sub.view.start[d] = j->view.start[d];
      if (e < 0) continue;
      int64_t base = a->view.start[e] - (e == ja ? j->start : 0);
      sub.view.start[d] += j->view.step[d] * base;
      sub.view.axis[d] = a->view.axis[e];
      sub.view.step[d] = a->view.axis[e] < 0 ? 0 : j->view.step[d] * a->view.step[e];
    }
    int64_t s[MARS_MAX_DIMS], x[MARS_MAX_DIMS];
    memcpy(s, start, (size_t)ndim * sizeof *s);
    memcpy(x, extent, (size_t)ndim * sizeof *x);
    if (axis >= 0) s[axis] += i, x[axis] = next - i;
    join_ctx jc = {fn, ctx, axis, ndim, i};
    if (!mx_walk_parts(plan, j->value, &sub, ndim, s, x, join_part, &jc)) return false;
    i = next;
  }
  return true;
}

bool mx_walk_parts(const mx_plan *plan, int value, const mx_access *access, int ndim, const int64_t *start,
                   const int64_t *shape, mx_part_fn *fn, void *ctx) {
  const mx_pvalue *v = &plan->values.at[value];
  if (v->kind == MX_PV_CONCAT) return walk_joins(plan, v, access, ndim, start, shape, fn, ctx);
  walker w = {value, &v->grid, &v->shape, (int64_t)mars_dtype_bytes(v->dtype), access, ndim, start, shape, fn, ctx, NULL, false,
              v->mirror};
  if (v->kind == MX_PV_MEMORY) {
    int64_t c[MARS_MAX_DIMS];
    mx_strides_c(v->shape.ndim, v->shape.dims, w.elem, c);
    w.stride = v->stride;
    w.compact = !memcmp(c, v->stride, (size_t)v->shape.ndim * sizeof *c);
  }
  return access->linear ? walk_linear(&w) : walk_boxes(&w);
}
