/* Products and parts of matrices, under NumPy's names; all of them also with linalg. in front. */
#include "fn.h"

#include <string.h>

static bool pair(mt_call *c, mars_tensor *(*product)(mars_tensor *, mars_tensor *), mt_value *out) {
  mars_tensor *a, *b;
  return mt_arg_tensor(c, 0, &a) && mt_arg_tensor(c, 1, &b) && mt_give(c, product(a, b), out);
}
static bool fn_matmul(mt_call *c, mt_value *out) { return pair(c, mars_matmul, out); }
static bool fn_dot(mt_call *c, mt_value *out) { return pair(c, mars_dot, out); }
static bool fn_inner(mt_call *c, mt_value *out) { return pair(c, mars_inner, out); }
static bool fn_outer(mt_call *c, mt_value *out) { return pair(c, mars_outer, out); }
static bool fn_vdot(mt_call *c, mt_value *out) { return pair(c, mars_vdot, out); }
static bool fn_kron(mt_call *c, mt_value *out) { return pair(c, mars_kron, out); }

/* axes: a number of axes, the last ones of a with the first ones of b, or a pair (axes of a, axes of b). */
static bool contracted(mt_call *c, mars_tensor *a, mars_tensor *b, mars_axes *of_a, mars_axes *of_b) {
  const mt_value *v = &c->v[2];
  const int na = mars_shape_of(a).ndim, nb = mars_shape_of(b).ndim;
  int n;

  if (c->given[2] && v->kind == MT_TUPLE) {
    if (v->n != 2) return mt_arg_fail(c, 2, "a number of axes, or a pair of them: (axes of a, axes of b)");
    return mt_axes_of(c, 2, &v->item[0], of_a) && mt_axes_of(c, 2, &v->item[1], of_b);
  }
  if (!mt_arg_small(c, 2, 2, &n)) return false;
  if (n < 0 || n > na || n > nb)
    return mt_eval_fail(c->ev, c->at[2], "%s(): %d axes are to be summed over; a has %d, b %d", c->name, n, na, nb);
  of_a->count = of_b->count = n;
  for (int d = 0; d < n; d++) {
    of_a->axis[d] = na - n + d;
    of_b->axis[d] = d;
  }
  return true;
}

static bool fn_tensordot(mt_call *c, mt_value *out) {
  mars_axes of_a = {0}, of_b = {0};
  mars_tensor *a, *b;

  return mt_arg_tensor(c, 0, &a) && mt_arg_tensor(c, 1, &b) && contracted(c, a, b, &of_a, &of_b) &&
         mt_give(c, mars_tensordot(a, b, of_a, of_b), out);
}

/* einsum('ii', [[1, 2], [3, 4]]): one operand that is written out, and not two. */
static bool is_one_operand(const char *subscripts, const mt_value *v) {
  if (v->kind != MT_TUPLE) return true;
  if (strchr(subscripts, ',')) return false;
  for (size_t i = 0; i < v->n; i++)
    if (v->item[i].kind == MT_TENSOR) return false;
  return true;
}

static bool fn_einsum(mt_call *c, mt_value *out) {
  const char *subscripts;
  mars_tensor **t, *one;
  size_t n;

  if (!mt_arg_string(c, 0, &subscripts)) return false;
  if (is_one_operand(subscripts, &c->v[1]))
    return mt_arg_tensor(c, 1, &one) && mt_give(c, mars_einsum(subscripts, &one, 1), out);
  return mt_arg_tensors(c, 1, &t, &n) && mt_give(c, mars_einsum(subscripts, t, n), out);
}

static bool fn_multi_dot(mt_call *c, mt_value *out) {
  mars_tensor **t;
  size_t n;
  return mt_arg_tensors(c, 0, &t, &n) && mt_give(c, mars_multi_dot(t, n), out);
}

static bool fn_matrix_power(mt_call *c, mt_value *out) {
  mars_tensor *a;
  int64_t n;
  return mt_arg_tensor(c, 0, &a) && mt_arg_int(c, 1, 0, &n) && mt_give(c, mars_matrix_power(a, n), out);
}

/* ---- parts of matrices ------------------------------------------------------------------------------ */

/* a with the axes axis1 and axis2 (arguments 2 and 3) behind all others. Without them NumPy takes the first two, and the last
   two in numpy.linalg. */
static bool matrices(mt_call *c, mars_tensor **a) {
  const bool linalg = !strncmp(c->name, "linalg.", 7);
  int axis[2], nd, n = 0;
  mars_axes perm = {0};
  mt_value turned;

  if (!mt_arg_tensor(c, 0, a)) return false;
  nd = mars_shape_of(*a).ndim;
  for (int i = 0; i < 2; i++) {
    if (!mt_arg_small(c, 2 + i, linalg ? i - 2 : i, &axis[i])) return false;
    if (!c->given[2 + i] && nd < 2) return true; /* the library's refusal tells the shape */
    if (axis[i] < -nd || axis[i] >= nd)
      return mt_eval_fail(c->ev, c->at[2 + i], "%s(): axis %d is out of range for %d axes", c->name, axis[i], nd);
    if (axis[i] < 0) axis[i] += nd;
  }
  if (axis[0] == axis[1]) return mt_eval_fail(c->ev, c->at[3], "%s(): axis1 and axis2 are the same", c->name);
  if (axis[0] == nd - 2 && axis[1] == nd - 1) return true;
  for (int d = 0; d < nd; d++)
    if (d != axis[0] && d != axis[1]) perm.axis[n++] = d;
  perm.axis[n++] = axis[0];
  perm.axis[n++] = axis[1];
  perm.count = n;
  if (!mt_give(c, mars_permute_dims(*a, perm), &turned)) return false;
  *a = turned.tensor;
  return true;
}

static bool fn_diagonal(mt_call *c, mt_value *out) {
  mars_tensor *a;
  int64_t offset;
  return matrices(c, &a) && mt_arg_int(c, 1, 0, &offset) && mt_give(c, mars_diagonal(a, offset), out);
}
static bool fn_trace(mt_call *c, mt_value *out) {
  mars_tensor *a;
  int64_t offset;
  return matrices(c, &a) && mt_arg_int(c, 1, 0, &offset) && mt_give(c, mars_trace(a, offset), out);
}

static bool kth(mt_call *c, mars_tensor *(*part)(mars_tensor *, int64_t), mt_value *out) {
  mars_tensor *a;
  int64_t k;
  return mt_arg_tensor(c, 0, &a) && mt_arg_int(c, 1, 0, &k) && mt_give(c, part(a, k), out);
}
static bool fn_diag(mt_call *c, mt_value *out) { return kth(c, mars_diag, out); }
static bool fn_tril(mt_call *c, mt_value *out) { return kth(c, mars_tril, out); }
static bool fn_triu(mt_call *c, mt_value *out) { return kth(c, mars_triu, out); }

const mt_fn mt_fn_product[] = {
    {"matmul", "a/x1, b/x2", false, fn_matmul, "Matrix product over the last two axes: a @ b."},
    {"dot", "a, b", true, fn_dot, "Sum over a's last axis and b's last but one."},
    {"inner", "a, b", false, fn_inner, "Sum over the last axes."},
    {"outer", "a, b", false, fn_outer, "Products of all pairs of elements."},
    {"vdot", "a/x1, b/x2", false, fn_vdot, "Sum of conj(a) b over all elements."},
    {"tensordot", "a, b, axes=2", false, fn_tensordot, "Sum over the last axes of a and first of b, or a pair of axes."},
    {"einsum", "subscripts, *operands, optimize=True", false, fn_einsum, "einsum('ij,kj->ik', a, b). The order is always chosen by cost."},
    {"kron", "a, b", false, fn_kron, "Kronecker product."},
    {"multi_dot", "arrays", false, fn_multi_dot, "multi_dot([a, b, c]): the product in the cheapest order."},
    {"matrix_power", "a, n", false, fn_matrix_power, "a @ a @ ... n times; n < 0: of the inverse."},
    {"trace", "a/x, offset=0, axis1=0, axis2=1", true, fn_trace, "Sum of a diagonal; linalg.trace: of the last two axes."},
    {"diagonal", "a/x, offset=0, axis1=0, axis2=1", true, fn_diagonal, "A diagonal; linalg.diagonal: of the last two axes."},
    {"diag", "v, k=0", false, fn_diag, "The k-th diagonal of a matrix, or a matrix with that diagonal."},
    {"tril", "m/x, k=0", false, fn_tril, "Zeros above the k-th diagonal."},
    {"triu", "m/x, k=0", false, fn_triu, "Zeros below the k-th diagonal."},
    {NULL, NULL, false, NULL, NULL},
};
