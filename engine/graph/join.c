/* Concatenate and stack. */
#include "engine/graph/build.h"
#include "engine/session.h"

#include <string.h>

static bool same_shape(const mars_shape *a, const mars_shape *b) {
  return a->ndim == b->ndim && memcmp(a->dims, b->dims, (size_t)a->ndim * sizeof a->dims[0]) == 0;
}

/* Shape of the result in *shape; fails where the operands do not fit. */
static bool joined_shape(mx_build *b, mx_node *const *nodes, size_t n, int axis, mars_shape *shape) {
  char first[MX_SHAPE_TEXT], other[MX_SHAPE_TEXT];

  *shape = nodes[0]->shape;
  for (size_t i = 1; i < n; i++) {
    const mars_shape *next = &nodes[i]->shape;
    bool fits = next->ndim == shape->ndim;
    for (int d = 0; d < shape->ndim && fits; d++) fits = d == axis || next->dims[d] == nodes[0]->shape.dims[d];
    if (!fits) {
      mx_build_fail(b, MARS_E_SHAPE, "shapes %s and %s (operand %zu) do not fit; all but the extent of axis %d must be equal",
                    mx_shape_text(&nodes[0]->shape, first, sizeof first), mx_shape_text(next, other, sizeof other), i + 1, axis);
      return false;
    }
    if (!mx_add_i64(shape->dims[axis], next->dims[axis], &shape->dims[axis])) {
      mx_build_fail(b, MARS_E_OVERFLOW, "the extents of axis %d add up to more than 2**63 - 1", axis);
      return false;
    }
  }
  return true;
}

/* nodes are overwritten */
static mx_node *join(mx_build *b, mx_node **nodes, size_t n, int axis) {
  mars_dtype dt = nodes[0]->dtype;
  mars_shape shape;
  size_t kept = 0;
  int at;

  if (nodes[0]->shape.ndim == 0)
    return mx_build_fail(b, MARS_E_SHAPE, "tensors of 0 dimensions have no axis to be joined along; use mars_stack");
  if (!mx_build_axis(b, axis, nodes[0]->shape.ndim, &at) || !joined_shape(b, nodes, n, at, &shape)) return NULL;
  for (size_t i = 1; i < n; i++) dt = mars_dtype_promote(dt, nodes[i]->dtype);
  for (size_t i = 0; i < n; i++)
    if (nodes[i]->size > 0) nodes[kept++] = mx_build_cast(b, nodes[i], dt);
  if (b->st != MARS_OK) return NULL;
  if (kept == 0) return mx_build_number(b, dt, &shape, 0);
  if (kept == 1) return nodes[0];
  if (kept > INT32_MAX) return mx_build_fail(b, MARS_E_OVERFLOW, "%zu tensors; at most %d", kept, INT32_MAX);
  return mx_build_concat(b, nodes, (int)kept, &shape, at);
}

static mars_tensor *join_all(const char *fn, mars_tensor *const *tensors, size_t n, int axis, bool stack) {
  mx_node **nodes = NULL, *node = NULL;
  char first[MX_SHAPE_TEXT], other[MX_SHAPE_TEXT];
  int at = 0;
  mx_build b;

  if (tensors == NULL) n = 0;
  mx_build_open_on(&b, NULL, fn, tensors, n);
  if (n == 0) return mx_build_close(&b, NULL, false); /* no tensor, no session: NULL */
  if (b.st == MARS_OK) {
    nodes = mx_calloc(&b.session->mem, n, sizeof *nodes);
    if (nodes == NULL) mx_build_fail(&b, MARS_E_MEMORY, "no memory for %zu operands", n);
  }
  if (b.st == MARS_OK && stack) mx_build_axis(&b, axis, tensors[0]->node->shape.ndim + 1, &at);
  for (size_t i = 0; i < n && b.st == MARS_OK; i++) {
    nodes[i] = tensors[i]->node;
    if (stack && !same_shape(&nodes[i]->shape, &tensors[0]->node->shape))
      mx_build_fail(&b, MARS_E_SHAPE, "shapes %s and %s (operand %zu) do not fit; all must be equal",
                    mx_shape_text(&tensors[0]->node->shape, first, sizeof first),
                    mx_shape_text(&nodes[i]->shape, other, sizeof other), i + 1);
    else if (stack)
      nodes[i] = mx_build_expand(&b, nodes[i], at);
  }
  if (b.st == MARS_OK) node = join(&b, nodes, n, stack ? at : axis);
  if (nodes != NULL) mx_free(&b.session->mem, nodes);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_concatenate(mars_tensor *const *tensors, size_t n, int axis) {
  return join_all("concatenate", tensors, n, axis, false);
}

mars_tensor *mars_stack(mars_tensor *const *tensors, size_t n, int axis) {
  return join_all("stack", tensors, n, axis, true);
}
