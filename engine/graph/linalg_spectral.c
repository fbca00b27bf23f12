/* Hermitian eigenvalues, and what is composed of singular value decompositions. */
#include "engine/graph/linalg.h"
#include "engine/routine.h"
#include "engine/session.h"

/* ---- eigenvalues ---- */

static void eigh_nodes(mx_build *b, mx_node *x, mars_triangle triangle, mx_node **out) {
  char text[MX_SHAPE_TEXT];
  mars_shape ws, clean;
  mars_dtype real;

  if (b->st != MARS_OK) return;
  const int nd = x->shape.ndim;
  real = mx_dtype_real_of(x->dtype);
  if (x->shape.dims[nd - 1] != x->shape.dims[nd - 2]) {
    mx_build_fail(b, MARS_E_SHAPE, "shape %s: the last two axes must be square", mx_shape_text(&x->shape, text, sizeof text));
    return;
  }
  if (triangle != MARS_UPPER && triangle != MARS_LOWER) {
    mx_build_fail(b, MARS_E_ARG, "triangle %d is neither MARS_UPPER nor MARS_LOWER", (int)triangle);
    return;
  }
  ws = x->shape;
  ws.dims[--ws.ndim] = 0;
  if (!mx_build_shape(b, real, &ws, &clean)) return;
  if (mx_shape_is_empty(&x->shape)) {
    out[0] = mx_build_number(b, real, &clean, 0);
    out[1] = mx_build_number(b, x->dtype, &x->shape, 0);
    return;
  }
  const uint32_t flags = triangle == MARS_LOWER ? MX_RF_LOWER : 0;
  out[0] = mx_build_routine(b, MX_OP_EIGH, &x, 1, real, &clean, 0, flags, 0, 0);
  out[1] = mx_build_routine(b, MX_OP_EIGH, &x, 1, x->dtype, &x->shape, 1, flags, 0, 0);
}

void mars_eigh(mars_tensor *a, mars_triangle triangle, mars_tensor **w, mars_tensor **v) {
  mx_node *node[2] = {NULL, NULL}, *x;
  mars_tensor **const out[2] = {w, v};
  mx_build b;

  mx_build_open_on(&b, NULL, "eigh", &a, 1);
  x = mx_build_matrix(&b, a);
  eigh_nodes(&b, x, triangle, node);
  mx_build_deliver(&b, node, out, 2);
}

mars_tensor *mars_eigvalsh(mars_tensor *a, mars_triangle triangle) {
  mx_node *node[2] = {NULL, NULL}, *x;
  mx_build b;

  mx_build_open_on(&b, NULL, "eigvalsh", &a, 1);
  x = mx_build_matrix(&b, a);
  eigh_nodes(&b, x, triangle, node);
  return mx_build_close(&b, node[0], false);
}
