/* Norms of vectors and matrices in NumPy's orders. */
#include "engine/graph/linalg.h"
#include "engine/routine.h"
#include "engine/session.h"

#include <math.h>
#include <stdio.h>

static const mars_shape scalar;

static bool named(double ord, double name) { return ord == name; }

/* Name of an order for messages. */
static const char *ord_text(double ord, char *buf, size_t bytes) {
  if (named(ord, MARS_NORM_DEFAULT)) return "MARS_NORM_DEFAULT";
  if (named(ord, MARS_NORM_FRO)) return "MARS_NORM_FRO";
  if (named(ord, MARS_NORM_NUC)) return "MARS_NORM_NUC";
  snprintf(buf, bytes, "%g", ord);
  return buf;
}

/* Squares of absolute values, real; what is narrower than f64 is squared in f64, where that cannot overflow. */
static mx_node *squares(mx_build *b, mx_node *x) {
  mx_node *re, *im;

  if (b->st != MARS_OK) return NULL;
  const bool complex = mx_dtype_is_complex(x->dtype);
  re = complex ? mx_build_op1(b, MX_OP_REAL_PART, x) : x;
  re = mx_build_cast(b, re, MARS_F64);
  re = mx_build_op2(b, MX_OP_MULTIPLY, re, re);
  if (!complex) return re;
  im = mx_build_cast(b, mx_build_op1(b, MX_OP_IMAG_PART, x), MARS_F64);
  return mx_build_op2(b, MX_OP_ADD, re, mx_build_op2(b, MX_OP_MULTIPLY, im, im));
}

/* sqrt of the sum of squares over the axes, all of them as one. */
static mx_node *euclidean(mx_build *b, mx_node *x, const mars_axes *axes, bool keepdims) {
  if (b->st != MARS_OK) return NULL;
  mx_node *sum = mx_build_reduce_axes(b, MX_OP_SUM, squares(b, x), axes, keepdims);
  return b->st == MARS_OK ? mx_build_cast(b, mx_build_op1(b, MX_OP_SQRT, sum), mx_dtype_real_of(x->dtype)) : NULL;
}

static mx_node *power(mx_build *b, mx_node *x, double exponent) {
  if (b->st != MARS_OK) return NULL;
  const mx_term term[2] = {{x, false}, {mx_build_number(b, MARS_F64, &scalar, exponent), true}};
  return b->st == MARS_OK ? mx_build_apply(b, MX_OP_POWER, term, 2, NULL) : NULL;
}

static mx_node *vector_norm(mx_build *b, mx_node *x, double ord, const mars_axes *axes, bool keepdims) {
  char text[40];

  if (b->st != MARS_OK) return NULL;
  if (named(ord, MARS_NORM_FRO) || named(ord, MARS_NORM_NUC) || isnan(ord))
    return mx_build_fail(b, MARS_E_ARG, "%s is no order of vectors", ord_text(ord, text, sizeof text));
  if (ord == MARS_NORM_DEFAULT || ord == 2) return euclidean(b, x, axes, keepdims);
  if (ord == 0) {
    const mars_dtype real = mx_dtype_real_of(x->dtype);
    x = mx_build_cast(b, mx_build_op2(b, MX_OP_NOT_EQUAL, x, mx_build_number(b, x->dtype, &scalar, 0)), real);
    return mx_build_reduce_axes(b, MX_OP_SUM, x, axes, keepdims);
  }
  x = mx_build_op1(b, MX_OP_ABSOLUTE, x);
  if (isinf(ord)) return mx_build_reduce_axes(b, ord > 0 ? MX_OP_MAX : MX_OP_MIN, x, axes, keepdims);
  if (ord == 1) return mx_build_reduce_axes(b, MX_OP_SUM, x, axes, keepdims);
  return power(b, mx_build_reduce_axes(b, MX_OP_SUM, power(b, x, ord), axes, keepdims), 1 / ord);
}

/* ---- matrices ---- */

/* Axes p and q to the end, in this order. */
static mx_node *axes_last(mx_build *b, mx_node *x, int p, int q) {
  mars_shape shape = {0};
  mx_view view = {0};

  if (b->st != MARS_OK) return NULL;
  const int nd = x->shape.ndim;
  for (int d = 0; d < nd; d++) {
    view.step[d] = 1;
    if (d == p || d == q) continue;
    view.axis[d] = (int8_t)shape.ndim;
    shape.dims[shape.ndim++] = x->shape.dims[d];
  }
  view.axis[p] = (int8_t)(nd - 2);
  view.axis[q] = (int8_t)(nd - 1);
  shape.dims[nd - 2] = x->shape.dims[p];
  shape.dims[nd - 1] = x->shape.dims[q];
  shape.ndim = nd;
  return mx_build_view(b, x, &shape, &view);
}

/* 2, -2, nuc: of singular values; x has its matrices in the last two axes. */
static mx_node *spectral_norm(mx_build *b, mx_node *x, double ord) {
  const mars_axes last = {1, {-1}};
  mx_node *svd[3] = {NULL, NULL, NULL};

  if (b->st == MARS_OK && mx_dtype_is_half(x->dtype))
    mx_build_fail(b, MARS_E_DTYPE, "%s has no singular values; cast it to f32", mars_dtype_name(x->dtype));
  mx_build_svd(b, x, false, svd);
  return mx_build_reduce_axes(b, ord == 2 ? MX_OP_MAX : ord == -2 ? MX_OP_MIN : MX_OP_SUM, svd[1], &last, false);
}

/* 1, -1, inf, -inf: sums of absolute values along one axis, then the greatest or smallest. */
static mx_node *sums_norm(mx_build *b, mx_node *x, double ord) {
  const mars_axes along = {1, {isinf(ord) ? -1 : -2}}, rest = {1, {-1}};

  x = mx_build_reduce_axes(b, MX_OP_SUM, mx_build_op1(b, MX_OP_ABSOLUTE, x), &along, false);
  return mx_build_reduce_axes(b, ord > 0 ? MX_OP_MAX : MX_OP_MIN, x, &rest, false);
}

static mx_node *matrix_norm(mx_build *b, mx_node *x, double ord, int p, int q, bool keepdims) {
  const mars_axes both = {2, {p, q}};
  mars_shape kept;
  char text[40];

  if (b->st != MARS_OK) return NULL;
  if (p == q) return mx_build_fail(b, MARS_E_AXIS, "axis %d is given twice", p);
  if (named(ord, MARS_NORM_DEFAULT) || named(ord, MARS_NORM_FRO)) return euclidean(b, x, &both, keepdims);
  kept = x->shape;
  kept.dims[p] = kept.dims[q] = 1;
  x = axes_last(b, x, p, q);
  if (named(ord, MARS_NORM_NUC) || ord == 2 || ord == -2) x = spectral_norm(b, x, ord);
  else if (isinf(ord) || ord == 1 || ord == -1) x = sums_norm(b, x, ord);
  else
    return mx_build_fail(b, MARS_E_ARG, "%s is no order of matrices: those are 1, -1, 2, -2, inf, -inf, MARS_NORM_FRO, MARS_NORM_NUC",
                         ord_text(ord, text, sizeof text));
  return keepdims && b->st == MARS_OK ? mx_build_reshape(b, x, &kept) : x;
}

static mx_node *norm_node(mx_build *b, mx_node *x, double ord, const mars_axes *axes, bool keepdims) {
  mars_axes all = {0, {0}};
  char text[MX_SHAPE_TEXT];
  uint32_t mask;
  int p, q;

  if (b->st != MARS_OK) return NULL;
  const int nd = x->shape.ndim;
  if (x->dtype < MARS_F16) x = mx_build_cast(b, x, MARS_F64);
  if (axes->count == MARS_ALL_AXES && named(ord, MARS_NORM_DEFAULT)) return euclidean(b, x, axes, keepdims); /* of any shape */
  if (axes->count == MARS_ALL_AXES) {
    all.count = nd;
    for (int d = 0; d < nd && d < MARS_MAX_DIMS; d++) all.axis[d] = d;
    axes = &all;
  }
  if (axes->count == 1) return mx_build_axes(b, axes, nd, &mask) ? vector_norm(b, x, ord, axes, keepdims) : NULL;
  if (axes->count == 2) {
    if (!mx_build_axis(b, axes->axis[0], nd, &p) || !mx_build_axis(b, axes->axis[1], nd, &q)) return NULL;
    return matrix_norm(b, x, ord, p, q, keepdims);
  }
  return mx_build_fail(b, MARS_E_AXIS, "%d axes (shape %s): one makes vectors, two make matrices", axes->count,
                       mx_shape_text(&x->shape, text, sizeof text));
}

mars_tensor *mars_norm(mars_tensor *a, double ord, mars_axes axes, bool keepdims) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "norm", &a, 1);
  if (b.st == MARS_OK) node = norm_node(&b, a->node, ord, &axes, keepdims);
  return mx_build_close(&b, node, false);
}

/* ---- condition numbers ---- */

/* NaN out of a matrix without any (0 / 0, inf - inf) is a singular one: infinity. */
static mx_node *nan_is_inf(mx_build *b, mx_node *r, mx_node *x) {
  const mars_axes both = {2, {-2, -1}};
  mx_node *bad, *all_fine;

  if (b->st != MARS_OK) return NULL;
  all_fine = mx_build_op1(b, MX_OP_LOGICAL_NOT, mx_build_reduce_axes(b, MX_OP_ANY, mx_build_op1(b, MX_OP_ISNAN, x), &both, false));
  bad = mx_build_op1(b, MX_OP_ISNAN, r);
  if (b->st != MARS_OK) return NULL;
  return mx_build_where(b, mx_build_op2(b, MX_OP_LOGICAL_AND, bad, all_fine), mx_build_number(b, r->dtype, &scalar, INFINITY), r);
}

/* Greatest over smallest singular value, or the other way round. */
static mx_node *spectral_cond(mx_build *b, mx_node *x, bool inverted) {
  const mars_axes last = {1, {-1}};
  mx_node *svd[3] = {NULL, NULL, NULL}, *top, *low;

  mx_build_svd(b, x, false, svd);
  top = mx_build_reduce_axes(b, MX_OP_MAX, svd[1], &last, false);
  low = mx_build_reduce_axes(b, MX_OP_MIN, svd[1], &last, false);
  if (b->st != MARS_OK) return NULL;
  return inverted ? mx_build_op2(b, MX_OP_DIVIDE, low, top) : mx_build_op2(b, MX_OP_DIVIDE, top, low);
}

/* The norm `r` of x times that of its inverse, which a singular matrix has not: what is made in its stead is not finite somewhere,
   where the smallest of all sums need not see it. */
static mx_node *cond_by_inverse(mx_build *b, mx_node *x, mx_node *r, double ord) {
  const mars_axes both = {2, {-2, -1}};
  mx_node *inverse = mx_build_inv(b, x, MX_RF_SINGULAR), *fine;

  if (b->st != MARS_OK) return NULL;
  fine = mx_build_reduce_axes(b, MX_OP_ALLOF, mx_build_op1(b, MX_OP_ISFINITE, inverse), &both, false);
  r = mx_build_op2(b, MX_OP_MULTIPLY, r, norm_node(b, inverse, ord, &both, false));
  return b->st == MARS_OK ? mx_build_where(b, fine, r, mx_build_number(b, r->dtype, &scalar, NAN)) : NULL;
}

static mx_node *cond_node(mx_build *b, mx_node *x, double ord) {
  const mars_axes both = {2, {-2, -1}};
  char text[MX_SHAPE_TEXT];
  mx_node *r;

  if (b->st != MARS_OK) return NULL;
  const int nd = x->shape.ndim;
  mx_shape_text(&x->shape, text, sizeof text);
  if (x->shape.dims[nd - 1] == 0 || x->shape.dims[nd - 2] == 0)
    return mx_build_fail(b, MARS_E_SHAPE, "shape %s: not defined for empty matrices", text);
  if (ord == MARS_NORM_DEFAULT || ord == 2 || ord == -2) {
    r = spectral_cond(b, x, ord == -2);
  } else {
    if (x->shape.dims[nd - 1] != x->shape.dims[nd - 2])
      return mx_build_fail(b, MARS_E_SHAPE, "shape %s: the last two axes must be square, other than for MARS_NORM_DEFAULT, 2 and -2", text);
    r = norm_node(b, x, ord, &both, false);
    if (b->st != MARS_OK) return NULL;
    r = cond_by_inverse(b, x, r, ord);
  }
  return nan_is_inf(b, r, x);
}

mars_tensor *mars_cond(mars_tensor *a, double ord) {
  mx_node *node;
  mx_build b;

  mx_build_open_on(&b, NULL, "cond", &a, 1);
  node = cond_node(&b, mx_build_matrix(&b, a), ord);
  return mx_build_close(&b, node, false);
}
