/* Least squares and the pseudoinverse, from singular values. */
#include "engine/graph/linalg.h"
#include "engine/session.h"

#include <float.h>
#include <math.h>

double mx_matrix_rcond(const mx_node *x) {
  const int nd = x->shape.ndim;
  const int64_t m = x->shape.dims[nd - 2], n = x->shape.dims[nd - 1];

  return (double)(m > n ? m : n) * (mx_dtype_real_of(x->dtype) == MARS_F32 ? FLT_EPSILON : DBL_EPSILON);
}

/* Singular values [.., k] above rcond times the greatest. */
static mx_node *significant(mx_build *b, mx_node *s, double rcond) {
  const mars_axes last = {1, {-1}};
  mx_node *top = mx_build_reduce_axes(b, MX_OP_MAX, s, &last, true);

  if (b->st != MARS_OK) return NULL;
  return mx_build_op2(b, MX_OP_GREATER, s, mx_build_op2(b, MX_OP_MULTIPLY, top, mx_build_number(b, s->dtype, &(mars_shape){0}, rcond)));
}

/* 1 / s where it is significant, else 0, as a column [.., k, 1]. */
static mx_node *inverse_values(mx_build *b, mx_node *s, mx_node *kept) {
  static const mars_shape scalar;
  mx_node *inverse;

  if (b->st != MARS_OK) return NULL;
  inverse = mx_build_op2(b, MX_OP_DIVIDE, mx_build_number(b, s->dtype, &scalar, 1), s);
  inverse = mx_build_where(b, kept, inverse, mx_build_number(b, s->dtype, &scalar, 0));
  return b->st == MARS_OK ? mx_build_expand(b, inverse, inverse->shape.ndim) : NULL;
}

/* ---- pseudoinverse ---- */

static mx_node *pinv_node(mx_build *b, mx_node *x, double rcond) {
  mx_node *svd[3] = {NULL, NULL, NULL};
  mars_shape shape, clean;

  if (b->st != MARS_OK) return NULL;
  const int nd = x->shape.ndim;
  if (isnan(rcond)) return mx_build_fail(b, MARS_E_ARG, "rcond is NaN");
  shape = mx_matrix_shape(x, x->shape.dims[nd - 1], x->shape.dims[nd - 2]);
  if (mx_shape_is_empty(&x->shape)) return mx_build_shape(b, x->dtype, &shape, &clean) ? mx_build_number(b, x->dtype, &clean, 0) : NULL;
  mx_build_svd(b, x, false, svd);
  if (b->st != MARS_OK) return NULL;
  mx_node *d = inverse_values(b, svd[1], significant(b, svd[1], rcond < 0 ? mx_matrix_rcond(x) : rcond));
  mx_node *uh = mx_build_matrix_transpose(b, svd[0], true), *v = mx_build_matrix_transpose(b, svd[2], true);
  return b->st == MARS_OK ? mx_build_matmul(b, v, mx_build_op2(b, MX_OP_MULTIPLY, d, uh)) : NULL;
}

mars_tensor *mars_pinv(mars_tensor *a, double rcond) {
  mx_node *node;
  mx_build b;

  mx_build_open_on(&b, NULL, "pinv", &a, 1);
  node = pinv_node(&b, mx_build_matrix(&b, a), rcond);
  return mx_build_close(&b, node, false);
}

/* ---- rank ---- */

static mx_node *rank_node(mx_build *b, mx_node *x, double tol) {
  const mars_axes last = {1, {-1}};
  mx_node *svd[3] = {NULL, NULL, NULL}, *kept;
  mars_shape shape;

  if (b->st != MARS_OK) return NULL;
  if (isnan(tol)) return mx_build_fail(b, MARS_E_ARG, "tol is NaN");
  shape = x->shape;
  shape.ndim -= 2;
  shape.dims[shape.ndim] = shape.dims[shape.ndim + 1] = 0;
  if (mx_shape_is_empty(&x->shape)) return mx_build_number(b, MARS_I64, &shape, 0);
  mx_build_svd(b, x, false, svd);
  if (b->st != MARS_OK) return NULL;
  kept = tol < 0 ? significant(b, svd[1], mx_matrix_rcond(x))
                 : mx_build_op2(b, MX_OP_GREATER, svd[1], mx_build_number(b, svd[1]->dtype, &(mars_shape){0}, tol));
  return mx_build_reduce_axes(b, MX_OP_COUNT_NONZERO, kept, &last, false);
}

mars_tensor *mars_matrix_rank(mars_tensor *a, double tol) {
  const mars_axes all = {MARS_ALL_AXES, {0}};
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "matrix_rank", &a, 1);
  if (b.st == MARS_OK && a->node->shape.ndim < 2) /* as NumPy: of a vector whether it is not 0 */
    node = mx_build_cast(&b, mx_build_reduce_axes(&b, MX_OP_ANY, a->node, &all, false), MARS_I64);
  else
    node = rank_node(&b, mx_build_matrix(&b, a), tol);
  return mx_build_close(&b, node, false);
}

/* ---- least squares ---- */

static bool lstsq_shapes(mx_build *b, const mx_node *x, const mx_node *y) {
  char sx[MX_SHAPE_TEXT], sy[MX_SHAPE_TEXT];

  if (b->st != MARS_OK) return false;
  mx_shape_text(&x->shape, sx, sizeof sx);
  mx_shape_text(&y->shape, sy, sizeof sy);
  if (x->shape.ndim != 2 || (y->shape.ndim != 1 && y->shape.ndim != 2))
    mx_build_fail(b, MARS_E_SHAPE, "shapes %s and %s: the first must have two axes, the second one or two", sx, sy);
  else if (x->shape.dims[0] != y->shape.dims[0])
    mx_build_fail(b, MARS_E_SHAPE, "shapes %s and %s do not fit: %lld and %lld rows", sx, sy, (long long)x->shape.dims[0],
                  (long long)y->shape.dims[0]);
  else if (mx_dtype_is_half(x->dtype))
    mx_build_fail(b, MARS_E_DTYPE, "%s is not supported; cast it to f32", mars_dtype_name(x->dtype));
  return b->st == MARS_OK;
}

/* Sums of |y - a x|^2 down the columns. */
static mx_node *residuals_of(mx_build *b, mx_node *a, mx_node *x, mx_node *y) {
  const mars_axes first = {1, {0}};
  mx_node *r, *re, *im;

  if (b->st != MARS_OK) return NULL;
  r = mx_build_op2(b, MX_OP_SUBTRACT, y, mx_build_matmul(b, a, x));
  if (b->st != MARS_OK) return NULL;
  re = mx_build_op1(b, MX_OP_REAL_PART, r);
  re = mx_build_op2(b, MX_OP_MULTIPLY, re, re);
  if (b->st == MARS_OK && mx_dtype_is_complex(r->dtype)) {
    im = mx_build_op1(b, MX_OP_IMAG_PART, r);
    re = mx_build_op2(b, MX_OP_ADD, re, mx_build_op2(b, MX_OP_MULTIPLY, im, im));
  }
  return mx_build_reduce_axes(b, MX_OP_SUM, re, &first, false);
}

/* x: [m, n], y: [m, k] */
static void lstsq_nodes(mx_build *b, mx_node *x, mx_node *y, double rcond, mx_node **out) {
  const mars_axes last = {1, {-1}};
  const mars_shape solution = {2, {x->shape.dims[1], y->shape.dims[1]}};
  mx_node *svd[3] = {NULL, NULL, NULL}, *kept, *uhy;
  mars_shape clean;

  if (!mx_build_shape(b, x->dtype, &solution, &clean)) return;
  mx_build_svd(b, x, false, svd);
  if (b->st != MARS_OK) return;
  out[3] = svd[1];
  if (mx_shape_is_empty(&x->shape)) {
    out[0] = mx_build_number(b, x->dtype, &clean, 0);
    out[2] = mx_build_number(b, MARS_I64, &(mars_shape){0}, 0);
  } else {
    kept = significant(b, svd[1], rcond < 0 ? mx_matrix_rcond(x) : rcond);
    uhy = mx_build_matmul(b, mx_build_matrix_transpose(b, svd[0], true), y);
    uhy = mx_build_op2(b, MX_OP_MULTIPLY, inverse_values(b, svd[1], kept), uhy);
    if (b->st != MARS_OK) return;
    out[0] = mx_build_matmul(b, mx_build_matrix_transpose(b, svd[2], true), uhy);
    out[2] = mx_build_reduce_axes(b, MX_OP_COUNT_NONZERO, kept, &last, false);
  }
  out[1] = residuals_of(b, x, out[0], y);
}

void mars_lstsq(mars_tensor *a, mars_tensor *c, double rcond, mars_tensor **x, mars_tensor **residuals, mars_tensor **rank,
                mars_tensor **s) {
  mars_tensor *operand[2] = {a, c};
  mars_tensor **const out[4] = {x, residuals, rank, s};
  mx_node *node[4] = {NULL, NULL, NULL, NULL};
  mx_build b;

  mx_build_open_on(&b, NULL, "lstsq", operand, 2);
  if (b.st == MARS_OK) {
    const mx_term term[2] = {mx_term_of(a), mx_term_of(c)};
    bool weak;
    mars_dtype dt = mx_build_promote(&b, term, 2, &weak);
    if (dt < MARS_F16) dt = MARS_F64;
    mx_node *p = mx_build_cast_term(&b, &term[0], dt), *q = mx_build_cast_term(&b, &term[1], dt);
    if (isnan(rcond)) mx_build_fail(&b, MARS_E_ARG, "rcond is NaN");
    if (lstsq_shapes(&b, p, q)) {
      const bool column = q->shape.ndim == 1;
      if (column) q = mx_build_expand(&b, q, 1);
      if (b.st == MARS_OK) lstsq_nodes(&b, p, q, rcond, node);
      if (b.st == MARS_OK && column) node[0] = mx_build_reshape(&b, node[0], &(mars_shape){1, {node[0]->shape.dims[0]}});
    }
  }
  mx_build_deliver(&b, node, out, 4);
}
