/* QR and singular value decompositions: checks, empty matrices, and what the transpose of a wide one gives. */
#include "engine/graph/linalg.h"
#include "engine/routine.h"
#include "engine/session.h"

/* The operand of a factorisation: at least two axes, a float or complex dtype that LAPACK has. */
static mx_node *matrix_operand(mx_build *b, mars_tensor *a) {
  char text[MX_SHAPE_TEXT];
  mx_node *x;

  if (b->st != MARS_OK) return NULL;
  x = a->node;
  if (x->shape.ndim < 2)
    return mx_build_fail(b, MARS_E_SHAPE, "shape %s: a matrix has at least two axes", mx_shape_text(&x->shape, text, sizeof text));
  if (mx_dtype_is_half(x->dtype))
    return mx_build_fail(b, MARS_E_DTYPE, "%s is not supported; cast it to f32", mars_dtype_name(x->dtype));
  return x->dtype < MARS_F16 ? mx_build_cast(b, x, MARS_F64) : x;
}

static mars_dtype real_of(mars_dtype dt) { return dt == MARS_C64 ? MARS_F32 : dt == MARS_C128 ? MARS_F64 : dt; }

/* x's batches, then rows and columns. */
static mars_shape matrix_shape(const mx_node *x, int64_t rows, int64_t cols) {
  mars_shape s = x->shape;

  s.dims[s.ndim - 2] = rows;
  s.dims[s.ndim - 1] = cols;
  return s;
}

static bool is_empty(const mars_shape *s) {
  for (int d = 0; d < s->ndim; d++)
    if (s->dims[d] == 0) return true;
  return false;
}

/* A square result of an empty matrix: ones on the diagonal. */
static mx_node *identity(mx_build *b, mars_dtype dt, const mars_shape *shape) {
  mx_node *row, *col;

  if (is_empty(shape)) return mx_build_number(b, dt, shape, 0);
  row = mx_build_iota(b, shape, shape->ndim - 2);
  col = mx_build_iota(b, shape, shape->ndim - 1);
  return mx_build_cast(b, mx_build_op2(b, MX_OP_EQUAL, row, col), dt);
}

/* Result `which`, wanted or not: nodes that nobody runs cost nothing. */
static mx_node *result(mx_build *b, mx_op op, mx_node *x, mars_dtype dt, const mars_shape *shape, int which, uint32_t flags) {
  mars_shape clean;

  if (!mx_build_shape(b, dt, shape, &clean)) return NULL;
  return mx_build_routine(b, op, &x, 1, dt, &clean, which, flags, 0, 0);
}

/* Handles for the results that the caller wants; the build is closed. */
static void deliver(mx_build *b, mx_node *const *node, mars_tensor **const *out, int n) {
  for (int i = 0; i < n; i++)
    if (out[i] != NULL) *out[i] = mx_build_result(b, node[i]);
  if (b->session != NULL) mars_release(mx_build_close(b, mx_build_number(b, MARS_BOOL, &(mars_shape){0}, 0), false));
}

static void qr_nodes(mx_build *b, mx_node *x, mars_qr_mode mode, mx_node **q, mx_node **r) {
  const int nd = x->shape.ndim;
  const int64_t m = x->shape.dims[nd - 2], n = x->shape.dims[nd - 1], k = mode == MARS_QR_COMPLETE ? m : m < n ? m : n;
  const uint32_t flags = k > n ? MX_RF_COMPLETE : 0;
  const mars_shape qs = matrix_shape(x, m, k), rs = matrix_shape(x, k, n);

  if (is_empty(&x->shape)) {
    *q = k == m ? identity(b, x->dtype, &qs) : mx_build_number(b, x->dtype, &qs, 0);
    *r = mx_build_number(b, x->dtype, &rs, 0);
    return;
  }
  *q = result(b, MX_OP_QR, x, x->dtype, &qs, 0, flags);
  *r = result(b, MX_OP_QR, x, x->dtype, &rs, 1, flags);
}

void mars_qr(mars_tensor *a, mars_qr_mode mode, mars_tensor **q, mars_tensor **r) {
  mx_node *node[2] = {NULL, NULL}, *x;
  mars_tensor **const out[2] = {q, r};
  mx_build b;

  mx_build_open_on(&b, NULL, "qr", &a, 1);
  x = matrix_operand(&b, a);
  if (b.st == MARS_OK && mode != MARS_QR_REDUCED && mode != MARS_QR_COMPLETE)
    mx_build_fail(&b, MARS_E_ARG, "mode %d is neither MARS_QR_REDUCED nor MARS_QR_COMPLETE", (int)mode);
  if (b.st == MARS_OK) qr_nodes(&b, x, mode, &node[0], &node[1]);
  deliver(&b, node, out, 2);
}

/* Rows >= columns: u, s, vh of x. */
static void svd_tall(mx_build *b, mx_node *x, bool full, mx_node **out) {
  const int nd = x->shape.ndim;
  const int64_t m = x->shape.dims[nd - 2], n = x->shape.dims[nd - 1];
  const uint32_t flags = full && m > n ? MX_RF_COMPLETE : 0;
  const mars_shape us = matrix_shape(x, m, full ? m : n), vs = matrix_shape(x, n, n);
  mars_shape ss = x->shape;

  ss.dims[nd - 2] = n;
  ss.dims[nd - 1] = 0;
  ss.ndim = nd - 1;
  if (is_empty(&x->shape)) {
    out[0] = full ? identity(b, x->dtype, &us) : mx_build_number(b, x->dtype, &us, 0);
    out[1] = mx_build_number(b, real_of(x->dtype), &ss, 0);
    out[2] = mx_build_number(b, x->dtype, &vs, 0);
    return;
  }
  out[0] = result(b, MX_OP_SVD, x, x->dtype, &us, 0, flags);
  out[1] = result(b, MX_OP_SVD, x, real_of(x->dtype), &ss, 1, flags);
  out[2] = result(b, MX_OP_SVD, x, x->dtype, &vs, 2, flags);
}

/* a^T = u' s vh', so a = vh'^T s u'^T. */
static void svd_nodes(mx_build *b, mx_node *x, bool full, mx_node **out) {
  const int nd = x->shape.ndim;
  mx_node *u;

  if (x->shape.dims[nd - 2] >= x->shape.dims[nd - 1]) {
    svd_tall(b, x, full, out);
    return;
  }
  x = mx_build_matrix_transpose(b, x, false);
  if (b->st != MARS_OK) return;
  svd_tall(b, x, full, out);
  if (b->st != MARS_OK) return;
  u = out[0];
  out[0] = mx_build_matrix_transpose(b, out[2], false);
  out[2] = mx_build_matrix_transpose(b, u, false);
}

void mars_svd(mars_tensor *a, bool full_matrices, mars_tensor **u, mars_tensor **s, mars_tensor **vh) {
  mx_node *node[3] = {NULL, NULL, NULL}, *x;
  mars_tensor **const out[3] = {u, s, vh};
  mx_build b;

  mx_build_open_on(&b, NULL, "svd", &a, 1);
  x = matrix_operand(&b, a);
  if (b.st == MARS_OK) svd_nodes(&b, x, full_matrices, node);
  deliver(&b, node, out, 3);
}

mars_tensor *mars_svdvals(mars_tensor *a) {
  mx_node *node[3] = {NULL, NULL, NULL}, *x;
  mx_build b;

  mx_build_open_on(&b, NULL, "svdvals", &a, 1);
  x = matrix_operand(&b, a);
  if (b.st == MARS_OK) svd_nodes(&b, x, false, node);
  return mx_build_close(&b, node[1], false);
}

/* ---- for compositions ---- */

mx_node *mx_build_matrix(mx_build *b, mars_tensor *a) { return matrix_operand(b, a); }
void mx_build_deliver(mx_build *b, mx_node *const *node, mars_tensor **const *out, int n) { deliver(b, node, out, n); }
mars_shape mx_matrix_shape(const mx_node *x, int64_t rows, int64_t cols) { return matrix_shape(x, rows, cols); }
bool mx_shape_is_empty(const mars_shape *s) { return is_empty(s); }

void mx_build_qr(mx_build *b, mx_node *x, mars_qr_mode mode, mx_node **q, mx_node **r) {
  if (b->st == MARS_OK) qr_nodes(b, x, mode, q, r);
}

void mx_build_svd(mx_build *b, mx_node *x, bool full, mx_node *out[3]) {
  if (b->st == MARS_OK) svd_nodes(b, x, full, out);
}
