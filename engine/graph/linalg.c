/* Matrix products. */
#include "engine/graph/build.h"
#include "engine/routine.h"
#include "engine/session.h"

#include <string.h>

mx_node *mx_build_matrix_transpose(mx_build *b, mx_node *x, bool conj) {
  mars_shape shape;
  mx_view view;

  if (b->st != MARS_OK) return NULL;
  const int nd = x->shape.ndim;
  shape = x->shape;
  memset(&view, 0, sizeof view);
  for (int d = 0; d < nd; d++) {
    view.axis[d] = (int8_t)(d < nd - 2 ? d : 2 * nd - 3 - d);
    view.step[d] = 1;
  }
  shape.dims[nd - 2] = x->shape.dims[nd - 1];
  shape.dims[nd - 1] = x->shape.dims[nd - 2];
  if (conj && mx_dtype_is_complex(x->dtype)) x = mx_build_op1(b, MX_OP_CONJ, x);
  return mx_build_view(b, x, &shape, &view);
}

/* The node below CONJ nodes, however they mix with views; *conj: an odd number of them was there. */
static mx_node *peel_conj(mx_build *b, mx_node *x, bool *conj) {
  *conj = false;
  for (;;) {
    if (b->st != MARS_OK || !mx_dtype_is_complex(x->dtype)) return x;
    mx_node *in = mx_graph_peel(&b->session->graph, x, MX_OP_CONJ);
    if (in != NULL) {
      x = mx_build_hold(b, in);
      *conj = !*conj;
      continue;
    }
    mx_node *below = mx_graph_peel(&b->session->graph, x, MX_OP_VIEW);
    if (below == NULL) return x;
    below = mx_build_hold(b, below);
    mx_node *bare = b->st == MARS_OK ? mx_graph_peel(&b->session->graph, below, MX_OP_CONJ) : NULL;
    if (bare == NULL) return x;
    x = mx_build_view(b, mx_build_hold(b, bare), &x->shape, &x->attr.view); /* view of the conjugate -> conjugate of the view */
    *conj = !*conj;
  }
}

/* Dtype in which a product is summed. */
static mars_dtype product_dtype(mars_dtype dt, int64_t k) {
  switch (dt) {
  case MARS_BOOL:
  case MARS_F16:
  case MARS_BF16: return MARS_F32;
  case MARS_I8:
  case MARS_U8: /* sums below 2^53 are exact in f64, which BLAS multiplies fast */
  case MARS_I16:
  case MARS_U16: return k < (1 << 20) ? MARS_F64 : MARS_I64;
  default: return dt;
  }
}

/* Broadcast the batch axes of x to those of `shape`. */
static mx_node *broadcast_batches(mx_build *b, mx_node *x, const mars_shape *shape) {
  mars_shape to = *shape;

  if (b->st != MARS_OK) return NULL;
  to.dims[to.ndim - 2] = x->shape.dims[x->shape.ndim - 2];
  to.dims[to.ndim - 1] = x->shape.dims[x->shape.ndim - 1];
  return mx_build_broadcast(b, x, &to);
}

/* Elementwise product, summed over the axis that is the `axis`-th from the end, in the operands' dtype. */
static mx_node *multiply_and_sum(mx_build *b, mx_node *x, mx_node *y, int axis, const mars_shape *shape) {
  mx_node *r = b->st == MARS_OK ? mx_build_op2(b, MX_OP_MULTIPLY, x, y) : NULL;

  if (b->st != MARS_OK) return NULL;
  r = mx_build_cast(b, mx_build_reduce(b, MX_OP_SUM, r, 1u << (r->shape.ndim - axis), 0), x->dtype);
  return mx_build_reshape(b, r, shape);
}

enum { SMALL_FLOPS = 512 };

/* Products that are bound by memory, or by the number of tasks, are a pass over elements and a reduction: with a vector, and
   of many small matrices. Operands are then computed on the way instead of being stored. NULL: it is none of these. */
static mx_node *thin_product(mx_build *b, mx_node *x, mx_node *y, const mars_shape *shape) {
  if (b->st != MARS_OK) return NULL;
  const int nd = shape->ndim, nx = x->shape.ndim, ny = y->shape.ndim;
  const int64_t m = shape->dims[nd - 2], n = shape->dims[nd - 1], k = x->shape.dims[nx - 1];
  bool batch = false;
  for (int d = 0; d < nd - 2; d++) batch |= shape->dims[d] > 1;
  if (n == 1) return multiply_and_sum(b, x, mx_build_matrix_transpose(b, y, false), 1, shape);
  if (m == 1) return multiply_and_sum(b, mx_build_matrix_transpose(b, x, false), y, 2, shape);
  if (!batch || nd == MARS_MAX_DIMS || m > SMALL_FLOPS || n > SMALL_FLOPS || k > SMALL_FLOPS || m * n * k > SMALL_FLOPS) return NULL;
  y = mx_build_matrix_transpose(b, y, false);
  return multiply_and_sum(b, mx_build_expand(b, x, nx - 1), mx_build_expand(b, y, ny - 2), 1, shape);
}

static mx_node *product(mx_build *b, mx_node *x, mx_node *y, const mars_shape *shape) {
  bool cx, cy;
  uint32_t flags = 0;
  mx_node *thin = thin_product(b, x, y, shape);

  if (thin != NULL || b->st != MARS_OK) return thin;

  x = peel_conj(b, x, &cx);
  y = peel_conj(b, y, &cy);
  x = broadcast_batches(b, x, shape);
  y = broadcast_batches(b, y, shape);
  if (b->st != MARS_OK) return NULL;
  if (cx) flags |= MX_RF_CONJ_A;
  if (cy) flags |= MX_RF_CONJ_B;
  if (x->dtype >= MARS_F32 && mx_build_matrix_transpose(b, x, false) == y) { /* equal nodes are one */
    const bool herm = mx_dtype_is_complex(x->dtype) && cx != cy;
    flags |= MX_RF_SYMMETRIC | (herm ? MX_RF_HERMITIAN : 0);
  }
  mx_node *operand[2] = {x, y};
  return mx_build_routine(b, MX_OP_MATMUL, operand, 2, x->dtype, shape, 0, flags, 0, 0);
}

static int64_t elements(const mars_shape *shape) {
  int64_t n = 1;

  for (int d = 0; d < shape->ndim; d++) n *= shape->dims[d];
  return n;
}

/* A permuted operand becomes a view of what has been cast, so that a product with a transpose of the same tensor is seen to be
   symmetric whatever its dtype. */
static mx_node *cast_operand(mx_build *b, mx_node *x, mars_dtype dt) {
  mx_node *below = b->st == MARS_OK && x->dtype != dt ? mx_graph_peel(&b->session->graph, x, MX_OP_VIEW) : NULL;

  if (below == NULL) return mx_build_cast(b, x, dt);
  below = mx_build_hold(b, below);
  if (b->st != MARS_OK) return NULL;
  if (elements(&below->shape) != elements(&x->shape)) return mx_build_cast(b, x, dt);
  return mx_build_view(b, mx_build_cast(b, below, dt), &x->shape, &x->attr.view);
}

mx_node *mx_build_matmul(mx_build *b, mx_node *x, mx_node *y) {
  char sx[MX_SHAPE_TEXT], sy[MX_SHAPE_TEXT];
  mars_shape shape = {0}, clean;

  if (b->st != MARS_OK) return NULL;
  const int nx = x->shape.ndim, ny = y->shape.ndim;
  const int64_t k = x->shape.dims[nx - 1];
  mx_shape_text(&x->shape, sx, sizeof sx);
  mx_shape_text(&y->shape, sy, sizeof sy);
  if (k != y->shape.dims[ny - 2])
    return mx_build_fail(b, MARS_E_SHAPE, "shapes %s and %s do not fit: %lld columns of the first, %lld rows of the second", sx, sy,
                         (long long)k, (long long)y->shape.dims[ny - 2]);
  shape.ndim = nx > ny ? nx : ny;
  for (int d = 0; d < shape.ndim - 2; d++) { /* counted from the end of the batches */
    const int64_t p = nx - 3 - d >= 0 ? x->shape.dims[nx - 3 - d] : 1, q = ny - 3 - d >= 0 ? y->shape.dims[ny - 3 - d] : 1;
    if (p != q && p != 1 && q != 1)
      return mx_build_fail(b, MARS_E_SHAPE, "batch axes of shapes %s and %s do not broadcast: %lld and %lld", sx, sy, (long long)p,
                           (long long)q);
    shape.dims[shape.ndim - 3 - d] = p == 1 ? q : p;
  }
  shape.dims[shape.ndim - 2] = x->shape.dims[nx - 2];
  shape.dims[shape.ndim - 1] = y->shape.dims[ny - 1];
  const mars_dtype dt = x->dtype, in = product_dtype(dt, k);
  if (!mx_build_shape(b, in, &shape, &clean)) return NULL;
  for (int d = 0; d < shape.ndim; d++)
    if (shape.dims[d] == 0) return mx_build_number(b, dt, &shape, 0);
  if (k == 0) return mx_build_number(b, dt, &shape, 0);
  mx_node *r = product(b, cast_operand(b, x, in), cast_operand(b, y, in), &shape);
  if (in == dt) return r;
  if (dt == MARS_BOOL) return mx_build_op2(b, MX_OP_NOT_EQUAL, r, mx_build_number(b, in, &shape, 0));
  if (in == MARS_F64) r = mx_build_cast(b, r, MARS_I64); /* so that narrowing wraps around */
  return mx_build_cast(b, r, dt);
}

mars_tensor *mars_matmul(mars_tensor *a, mars_tensor *c) {
  mars_tensor *operand[2] = {a, c};
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "matmul", operand, 2);
  if (b.st == MARS_OK) {
    const mx_term term[2] = {mx_term_of(a), mx_term_of(c)};
    bool weak;
    const mars_dtype dt = mx_build_promote(&b, term, 2, &weak);
    mx_node *x = mx_build_cast_term(&b, &term[0], dt), *y = mx_build_cast_term(&b, &term[1], dt);
    char sx[MX_SHAPE_TEXT], sy[MX_SHAPE_TEXT];
    if (b.st == MARS_OK && (x->shape.ndim == 0 || y->shape.ndim == 0))
      mx_build_fail(&b, MARS_E_SHAPE, "shapes %s and %s: an operand has no axes; multiply scalars with mars_multiply",
                    mx_shape_text(&x->shape, sx, sizeof sx), mx_shape_text(&y->shape, sy, sizeof sy));
    if (b.st == MARS_OK) {
      const bool row = x->shape.ndim == 1, column = y->shape.ndim == 1;
      if (row) x = mx_build_expand(&b, x, 0);
      if (column) y = mx_build_expand(&b, y, 1);
      node = mx_build_matmul(&b, x, y);
      if (b.st == MARS_OK && (row || column)) {
        mars_shape shape = {0};
        for (int d = 0; d < node->shape.ndim; d++)
          if (!(row && d == node->shape.ndim - 2) && !(column && d == node->shape.ndim - 1)) shape.dims[shape.ndim++] = node->shape.dims[d];
        node = mx_build_reshape(&b, node, &shape);
      }
    }
  }
  return mx_build_close(&b, node, false);
}
