/* Views that keep every element: reshape, axis permutations, extents of 1, broadcast. */
#include "engine/graph/build.h"
#include "engine/session.h"

#include <string.h>

/* ---- reshape ---- */

/* Fills in the extent -1, if there is one, and checks the number of elements. */
static bool resolve(mx_build *b, const mx_node *node, const mars_shape *shape, mars_shape *out) {
  char from[MX_SHAPE_TEXT], to[MX_SHAPE_TEXT];
  mars_shape known;
  int64_t elements;
  int open = -1;

  if (shape->ndim < 0 || shape->ndim > MARS_MAX_DIMS) return mx_build_shape(b, node->dtype, shape, out);
  memset(&known, 0, sizeof known);
  known.ndim = shape->ndim;
  for (int d = 0; d < shape->ndim; d++) {
    known.dims[d] = shape->dims[d];
    if (shape->dims[d] != -1) continue;
    if (open >= 0) {
      mx_build_fail(b, MARS_E_SHAPE, "shape %s has more than one extent -1", mx_shape_text(shape, to, sizeof to));
      return false;
    }
    open = d;
    known.dims[d] = 1;
  }
  if (!mx_build_shape(b, node->dtype, &known, out)) return false;
  mx_shape_elements(out, 1, &elements);
  if (open >= 0 && elements > 0 && node->size % elements == 0) {
    out->dims[open] = node->size / elements;
    elements = node->size;
  }
  if (elements != node->size || (open >= 0 && elements == 0 && out->dims[open] == 1)) {
    mx_build_fail(b, MARS_E_SHAPE, "shape %s of %lld elements cannot become %s", mx_shape_text(&node->shape, from, sizeof from),
                  (long long)node->size, mx_shape_text(shape, to, sizeof to));
    return false;
  }
  return true;
}

mars_tensor *mars_reshape(mars_tensor *a, mars_shape shape) {
  mx_node *node = NULL;
  mars_shape to;
  mx_build b;

  mx_build_open_on(&b, NULL, "reshape", &a, 1);
  if (b.st == MARS_OK && resolve(&b, a->node, &shape, &to)) node = mx_build_reshape(&b, a->node, &to);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_ravel(mars_tensor *a) {
  mars_shape flat = {1, {0}};
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "ravel", &a, 1);
  if (b.st == MARS_OK) {
    flat.dims[0] = a->node->size;
    node = mx_build_reshape(&b, a->node, &flat);
  }
  return mx_build_close(&b, node, false);
}

/* ---- permutations ---- */

mx_node *mx_build_permute(mx_build *b, mx_node *node, const int *perm) {
  mars_shape shape;
  mx_view view;

  if (b->st != MARS_OK) return NULL;
  memset(&shape, 0, sizeof shape);
  memset(&view, 0, sizeof view);
  shape.ndim = node->shape.ndim;
  for (int d = 0; d < shape.ndim; d++) {
    shape.dims[d] = node->shape.dims[perm[d]];
    view.axis[perm[d]] = (int8_t)d;
    view.step[perm[d]] = 1;
  }
  return mx_build_view(b, node, &shape, &view);
}

static int identity_permutation(const mx_node *node, int *perm) {
  for (int d = 0; d < node->shape.ndim; d++) perm[d] = d;
  return node->shape.ndim;
}

mars_tensor *mars_transpose(mars_tensor *a) {
  int perm[MARS_MAX_DIMS];
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "transpose", &a, 1);
  if (b.st == MARS_OK) {
    int ndim = a->node->shape.ndim;
    for (int d = 0; d < ndim; d++) perm[d] = ndim - 1 - d;
    node = mx_build_permute(&b, a->node, perm);
  }
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_permute_dims(mars_tensor *a, mars_axes perm) {
  int order[MARS_MAX_DIMS];
  mx_node *node = NULL;
  uint32_t mask;
  mx_build b;

  mx_build_open_on(&b, NULL, "permute_dims", &a, 1);
  if (b.st == MARS_OK) {
    int ndim = a->node->shape.ndim;
    if (perm.count != ndim)
      mx_build_fail(&b, MARS_E_AXIS, "%d axes given for a tensor of %d dimensions; each of its axes must occur once",
                    perm.count, ndim);
    else if (mx_build_axes(&b, &perm, ndim, &mask))
      for (int d = 0; d < ndim; d++) mx_build_axis(&b, perm.axis[d], ndim, &order[d]);
    node = mx_build_permute(&b, a->node, order);
  }
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_swapaxes(mars_tensor *a, int axis1, int axis2) {
  int perm[MARS_MAX_DIMS], p, q;
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "swapaxes", &a, 1);
  if (b.st == MARS_OK) {
    int ndim = identity_permutation(a->node, perm);
    if (mx_build_axis(&b, axis1, ndim, &p) && mx_build_axis(&b, axis2, ndim, &q)) {
      perm[p] = q;
      perm[q] = p;
      node = mx_build_permute(&b, a->node, perm);
    }
  }
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_moveaxis(mars_tensor *a, int source, int destination) {
  int perm[MARS_MAX_DIMS], p, q;
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "moveaxis", &a, 1);
  if (b.st == MARS_OK) {
    int ndim = identity_permutation(a->node, perm);
    if (mx_build_axis(&b, source, ndim, &p) && mx_build_axis(&b, destination, ndim, &q)) {
      memmove(perm + p, perm + p + 1, (size_t)(ndim - 1 - p) * sizeof *perm);
      memmove(perm + q + 1, perm + q, (size_t)(ndim - 1 - q) * sizeof *perm);
      perm[q] = p;
      node = mx_build_permute(&b, a->node, perm);
    }
  }
  return mx_build_close(&b, node, false);
}

/* ---- extents of 1 ---- */

mars_tensor *mars_expand_dims(mars_tensor *a, int axis) {
  mx_node *node = NULL;
  int at;
  mx_build b;

  mx_build_open_on(&b, NULL, "expand_dims", &a, 1);
  if (b.st == MARS_OK && mx_build_axis(&b, axis, a->node->shape.ndim + 1, &at)) node = mx_build_expand(&b, a->node, at);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_squeeze(mars_tensor *a, mars_axes axes) {
  char text[MX_SHAPE_TEXT];
  mx_node *node = NULL;
  mars_shape shape;
  uint32_t mask;
  mx_build b;

  mx_build_open_on(&b, NULL, "squeeze", &a, 1);
  if (b.st == MARS_OK && mx_build_axes(&b, &axes, a->node->shape.ndim, &mask)) {
    const mars_shape *from = &a->node->shape;
    memset(&shape, 0, sizeof shape);
    for (int d = 0; d < from->ndim; d++) {
      bool drop = mask >> d & 1 && (axes.count != MARS_ALL_AXES || from->dims[d] == 1);
      if (!drop) shape.dims[shape.ndim++] = from->dims[d];
      else if (from->dims[d] != 1)
        mx_build_fail(&b, MARS_E_SHAPE, "axis %d of shape %s has extent %lld; only extents of 1 can be dropped", d,
                      mx_shape_text(from, text, sizeof text), (long long)from->dims[d]);
    }
    node = mx_build_reshape(&b, a->node, &shape);
  }
  return mx_build_close(&b, node, false);
}

/* ---- broadcast ---- */

mars_tensor *mars_broadcast_to(mars_tensor *a, mars_shape shape) {
  char from[MX_SHAPE_TEXT], text[MX_SHAPE_TEXT];
  mx_node *node = NULL;
  mars_shape to;
  mx_build b;

  mx_build_open_on(&b, NULL, "broadcast_to", &a, 1);
  if (b.st == MARS_OK && mx_build_shape(&b, a->node->dtype, &shape, &to)) {
    const mars_shape *s = &a->node->shape;
    bool fits = s->ndim <= to.ndim;
    for (int d = 0; d < s->ndim && fits; d++) {
      int64_t extent = to.dims[to.ndim - s->ndim + d];
      fits = s->dims[d] == 1 || s->dims[d] == extent;
    }
    if (!fits)
      mx_build_fail(&b, MARS_E_SHAPE, "shape %s does not broadcast to %s; extents, paired from the last, must be equal or 1",
                    mx_shape_text(s, from, sizeof from), mx_shape_text(&to, text, sizeof text));
    node = mx_build_broadcast(&b, a->node, &to);
  }
  return mx_build_close(&b, node, false);
}
