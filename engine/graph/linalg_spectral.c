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

/* ---- leading singular values ---- */

/* The first `extent` of axis `axis`. */
static mx_node *first_of(mx_build *b, mx_node *x, int axis, int64_t extent) {
  mars_shape shape;
  mx_view view = {0};

  if (b->st != MARS_OK) return NULL;
  shape = x->shape;
  shape.dims[axis] = extent;
  for (int d = 0; d < shape.ndim; d++) {
    view.axis[d] = (int8_t)d;
    view.step[d] = 1;
  }
  return mx_build_view(b, x, &shape, &view);
}

/* An orthonormal basis of the columns of x. */
static mx_node *basis(mx_build *b, mx_node *x) {
  mx_node *q = NULL, *r = NULL;

  mx_build_qr(b, x, MARS_QR_REDUCED, &q, &r);
  return q;
}

/* Independent normal numbers [.., n, l]; of complex ones both parts. */
static mx_node *test_matrix(mx_build *b, const mx_node *x, int64_t l) {
  const mars_shape shape = mx_matrix_shape(x, x->shape.dims[x->shape.ndim - 1], l);
  const mars_dtype real = mx_dtype_real_of(x->dtype);
  mars_shape clean;
  mx_node *re, *im;
  mx_const unit;

  if (!mx_build_shape(b, x->dtype, &shape, &clean)) return NULL;
  re = mx_build_normal(b, real, &clean);
  if (real == x->dtype) return re;
  im = mx_build_normal(b, real, &clean);
  mx_const_c128(&unit, 0, 1);
  mx_const_cast(&unit, x->dtype, &unit);
  im = mx_build_op2(b, MX_OP_MULTIPLY, mx_build_cast(b, im, x->dtype), mx_build_const(b, x->dtype, &(mars_shape){0}, &unit));
  return mx_build_op2(b, MX_OP_ADD, mx_build_cast(b, re, x->dtype), im);
}

/* Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1. */
static void randomized_nodes(mx_build *b, mx_node *x, int64_t k, int64_t oversample, int iterations, mx_node **out) {
  const int nd = x->shape.ndim;
  const int64_t m = x->shape.dims[nd - 2], n = x->shape.dims[nd - 1], most = m < n ? m : n;
  const int64_t l = oversample < most - k ? k + oversample : most;
  mx_node *xh = mx_build_matrix_transpose(b, x, true), *q, *svd[3] = {NULL, NULL, NULL};

  q = basis(b, mx_build_matmul(b, x, test_matrix(b, x, l)));
  for (int i = 0; i < iterations && b->st == MARS_OK; i++) {
    q = basis(b, mx_build_matmul(b, xh, q)); /* orthonormal after every product, or all columns turn to the first vector */
    if (b->st == MARS_OK) q = basis(b, mx_build_matmul(b, x, q));
  }
  if (b->st != MARS_OK) return;
  mx_build_svd(b, mx_build_matmul(b, mx_build_matrix_transpose(b, q, true), x), false, svd);
  if (b->st != MARS_OK) return;
  out[0] = first_of(b, mx_build_matmul(b, q, svd[0]), nd - 1, k);
  out[1] = first_of(b, svd[1], nd - 2, k);
  out[2] = first_of(b, svd[2], nd - 2, k);
}

void mars_randomized_svd(mars_tensor *a, int64_t k, int64_t oversample, int power_iterations, mars_tensor **u, mars_tensor **s,
                         mars_tensor **vh) {
  mx_node *node[3] = {NULL, NULL, NULL}, *x;
  mars_tensor **const out[3] = {u, s, vh};
  char text[MX_SHAPE_TEXT];
  mx_build b;

  mx_build_open_on(&b, NULL, "randomized_svd", &a, 1);
  x = mx_build_matrix(&b, a);
  if (b.st == MARS_OK) {
    const int nd = x->shape.ndim;
    const int64_t m = x->shape.dims[nd - 2], n = x->shape.dims[nd - 1];

    mx_shape_text(&x->shape, text, sizeof text);
    if (k < 1 || k > m || k > n)
      mx_build_fail(&b, MARS_E_ARG, "k is %lld; of a matrix of shape %s there are 1 to %lld singular values", (long long)k, text,
                    (long long)(m < n ? m : n));
    else if (oversample < 0 || power_iterations < 0)
      mx_build_fail(&b, MARS_E_ARG, "oversample %lld, power_iterations %d; neither may be negative", (long long)oversample, power_iterations);
    else if (mx_shape_is_empty(&x->shape))
      mx_build_fail(&b, MARS_E_SHAPE, "shape %s: no matrix at all", text);
    else
      randomized_nodes(&b, x, k, oversample, power_iterations, node);
  }
  mx_build_deliver(&b, node, out, 3);
}
