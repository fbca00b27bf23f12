/* Basic indexing: slices, integers, new axes, ellipsis; and flip, which is a slice. */
#include "engine/graph/build.h"
#include "engine/session.h"

#include <string.h>

/* An index under construction: axis of the operand that comes next, the result so far. */
typedef struct indexing {
  mx_build *b;
  const mars_shape *from;
  int axis;
  mars_shape shape;
  mx_view view;
} indexing;

static bool put_axis(indexing *x, int64_t extent) {
  if (x->shape.ndim == MARS_MAX_DIMS) {
    mx_build_fail(x->b, MARS_E_SHAPE, "the result would have more than %d dimensions", MARS_MAX_DIMS);
    return false;
  }
  x->shape.dims[x->shape.ndim++] = extent;
  return true;
}

/* Python's slice.indices: what is out of range is cut off, never an error. Nothing here can overflow: start and stop are
   brought into [-1, extent] first. */
static int64_t clamp(int64_t at, int64_t extent, bool backward) {
  if (at < 0) at = at < -extent ? -1 : at + extent;
  if (at < 0) return backward ? -1 : 0;
  if (at >= extent) return backward ? extent - 1 : extent;
  return at;
}

static void index_range(indexing *x, const mars_slice *item) {
  int64_t extent = x->from->dims[x->axis], start, stop, count;
  int64_t step = item->step == MARS_NONE ? 1 : item->step;
  bool backward = step < 0;

  if (step == 0) {
    mx_build_fail(x->b, MARS_E_ARG, "the slice of axis %d has step 0; steps are not 0, MARS_NONE means 1", x->axis);
    return;
  }
  start = item->start == MARS_NONE ? (backward ? extent - 1 : 0) : clamp(item->start, extent, backward);
  stop = item->stop == MARS_NONE ? (backward ? -1 : extent) : clamp(item->stop, extent, backward);
  if (backward) count = start > stop ? (start - stop - 1) / -step + 1 : 0;
  else count = stop > start ? (stop - start - 1) / step + 1 : 0;
  x->view.axis[x->axis] = (int8_t)x->shape.ndim;
  x->view.start[x->axis] = start;
  x->view.step[x->axis] = step;
  x->axis++;
  put_axis(x, count);
}

static void index_integer(indexing *x, const mars_slice *item) {
  int64_t extent = x->from->dims[x->axis], at = item->start;

  if (at < -extent || at >= extent) {
    mx_build_fail(x->b, MARS_E_INDEX, "index %lld is out of range for axis %d of extent %lld", (long long)at, x->axis,
                  (long long)extent);
    return;
  }
  x->view.axis[x->axis] = -1;
  x->view.start[x->axis] = at < 0 ? at + extent : at;
  x->axis++;
}

static void index_whole(indexing *x, int n_axes) {
  static const mars_slice all = {MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, MARS_NONE};

  for (int i = 0; i < n_axes && x->b->st == MARS_OK; i++) index_range(x, &all);
}

/* Axes that the items use; false: an item that cannot be. */
static bool count_items(mx_build *b, const mars_slice *items, size_t n, int ndim, int *used, bool *ellipsis) {
  size_t axes = 0;

  *ellipsis = false;
  for (size_t i = 0; i < n && b->st == MARS_OK; i++) {
    switch (items[i].kind) {
    case MARS_SLICE_RANGE:
    case MARS_SLICE_INTEGER: axes++; break;
    case MARS_SLICE_NEWAXIS: break;
    case MARS_SLICE_ELLIPSIS:
      if (*ellipsis) mx_build_fail(b, MARS_E_INDEX, "more than one ellipsis; an index has one at most");
      *ellipsis = true;
      break;
    default: mx_build_fail(b, MARS_E_ARG, "item %zu has kind %d, which is no mars_slice_kind", i, (int)items[i].kind);
    }
  }
  if (b->st == MARS_OK && axes > (size_t)ndim)
    mx_build_fail(b, MARS_E_INDEX, "too many indices: %zu for a tensor of %d dimensions", axes, ndim);
  *used = (int)axes;
  return b->st == MARS_OK;
}

static mx_node *index_node(mx_build *b, mx_node *node, const mars_slice *items, size_t n) {
  indexing x = {.b = b};
  bool ellipsis;
  int used, rest;

  if (b->st != MARS_OK) return NULL;
  if (items == NULL && n > 0) return mx_build_fail(b, MARS_E_ARG, "items is NULL, n is %zu", n);
  if (!count_items(b, items, n, node->shape.ndim, &used, &ellipsis)) return NULL;
  rest = node->shape.ndim - used;
  x.from = &node->shape;
  for (size_t i = 0; i < n && b->st == MARS_OK; i++) {
    switch (items[i].kind) {
    case MARS_SLICE_RANGE: index_range(&x, &items[i]); break;
    case MARS_SLICE_INTEGER: index_integer(&x, &items[i]); break;
    case MARS_SLICE_NEWAXIS: put_axis(&x, 1); break;
    case MARS_SLICE_ELLIPSIS: index_whole(&x, rest); break;
    }
  }
  if (!ellipsis) index_whole(&x, rest);
  return mx_build_view(b, node, &x.shape, &x.view);
}

mars_tensor *mars_index(mars_tensor *a, const mars_slice *items, size_t n) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "index", &a, 1);
  if (b.st == MARS_OK) node = index_node(&b, a->node, items, n);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_flip(mars_tensor *a, mars_axes axes) {
  mars_slice items[MARS_MAX_DIMS];
  mx_node *node = NULL;
  uint32_t mask;
  mx_build b;

  mx_build_open_on(&b, NULL, "flip", &a, 1);
  if (b.st == MARS_OK && mx_build_axes(&b, &axes, a->node->shape.ndim, &mask)) {
    for (int d = 0; d < a->node->shape.ndim; d++)
      items[d] = (mars_slice){MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, mask >> d & 1 ? -1 : 1};
    node = index_node(&b, a->node, items, (size_t)a->node->shape.ndim);
  }
  return mx_build_close(&b, node, false);
}
