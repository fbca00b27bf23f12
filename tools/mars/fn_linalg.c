/* Factorisations, systems and norms, under the names of numpy.linalg and scipy.linalg; with or without linalg. in front. */
#include "fn.h"

#include <math.h>
#include <string.h>

/* The place of a string among the words, which `wanted` tells. */
static bool arg_word(mt_call *c, int i, const char *const *words, int fallback, const char *wanted, int *out) {
  *out = fallback;
  if (!c->given[i]) return true;
  if (c->v[i].kind != MT_STRING) return mt_arg_fail(c, i, wanted);
  for (int k = 0; words[k]; k++)
    if (!strcmp(words[k], c->v[i].text)) {
      *out = k;
      return true;
    }
  return mt_eval_fail(c->ev, c->at[i], "%s(): %s was expected, not '%.60s'", c->name, wanted, c->v[i].text);
}

static bool one(mt_call *c, mars_tensor *(*of)(mars_tensor *), mt_value *out) {
  mars_tensor *a;
  return mt_arg_tensor(c, 0, &a) && mt_give(c, of(a), out);
}

/* ---- systems ----------------------------------------------------------------------------------------- */

static bool fn_cholesky(mt_call *c, mt_value *out) { return one(c, mars_cholesky, out); }
static bool fn_inv(mt_call *c, mt_value *out) { return one(c, mars_inv, out); }
static bool fn_det(mt_call *c, mt_value *out) { return one(c, mars_det, out); }

static bool fn_solve(mt_call *c, mt_value *out) {
  mars_tensor *a, *b;
  return mt_arg_tensor(c, 0, &a) && mt_arg_tensor(c, 1, &b) && mt_give(c, mars_solve(a, b), out);
}

/* SciPy's trans: 0, 1, 2 or 'N', 'T', 'C'. */
static bool arg_trans(mt_call *c, int i, int *out) {
  static const char *const words[] = {"N", "T", "C", NULL};
  static const char wanted[] = "0, 1, 2, 'N', 'T' or 'C'";

  if (c->given[i] && c->v[i].kind == MT_INT) {
    *out = (int)c->v[i].i;
    return (c->v[i].i >= 0 && c->v[i].i <= 2) ||
           mt_eval_fail(c->ev, c->at[i], "%s(): trans must be %s, not %lld", c->name, wanted, (long long)c->v[i].i);
  }
  return arg_word(c, i, words, MARS_NO_TRANS, wanted, out);
}

static bool fn_solve_triangular(mt_call *c, mt_value *out) {
  mars_tensor *a, *b;
  bool lower, unit;
  int trans;

  return mt_arg_tensor(c, 0, &a) && mt_arg_tensor(c, 1, &b) && arg_trans(c, 2, &trans) && mt_arg_bool(c, 3, false, &lower) &&
         mt_arg_bool(c, 4, false, &unit) &&
         mt_give(c, mars_solve_triangular(a, b, lower ? MARS_LOWER : MARS_UPPER, (mars_trans)trans, unit), out);
}

static bool fn_lu(mt_call *c, mt_value *out) {
  mars_tensor *a, *t[3] = {NULL};

  if (!mt_arg_tensor(c, 0, &a)) return false;
  mars_lu(a, &t[0], &t[1], &t[2]);
  return mt_give_tuple(c, t, 3, out);
}

static bool fn_slogdet(mt_call *c, mt_value *out) {
  mars_tensor *a, *t[2] = {NULL};

  if (!mt_arg_tensor(c, 0, &a)) return false;
  mars_slogdet(a, &t[0], &t[1]);
  return mt_give_tuple(c, t, 2, out);
}

/* ---- orthogonal factorisations ------------------------------------------------------------------------ */

static bool fn_qr(mt_call *c, mt_value *out) {
  static const char *const modes[] = {"reduced", "complete", "r", NULL};
  mars_tensor *a, *t[2] = {NULL};
  int mode;

  if (!mt_arg_tensor(c, 0, &a) || !arg_word(c, 1, modes, 0, "'reduced', 'complete' or 'r'", &mode)) return false;
  if (mode == 2) {
    mars_qr(a, MARS_QR_REDUCED, NULL, &t[1]);
    return mt_give(c, t[1], out);
  }
  mars_qr(a, mode == 1 ? MARS_QR_COMPLETE : MARS_QR_REDUCED, &t[0], &t[1]);
  return mt_give_tuple(c, t, 2, out);
}

static bool fn_svdvals(mt_call *c, mt_value *out) { return one(c, mars_svdvals, out); }

static bool fn_svd(mt_call *c, mt_value *out) {
  mars_tensor *a, *t[3] = {NULL};
  bool full, vectors;

  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_bool(c, 1, false, &full) || !mt_arg_bool(c, 2, true, &vectors)) return false;
  if (!vectors) return mt_give(c, mars_svdvals(a), out);
  mars_svd(a, full, &t[0], &t[1], &t[2]);
  return mt_give_tuple(c, t, 3, out);
}

static bool fn_randomized_svd(mt_call *c, mt_value *out) {
  mars_tensor *a, *t[3] = {NULL};
  int64_t k, oversample;
  int iterations;

  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_int(c, 1, 0, &k) || !mt_arg_int(c, 2, 10, &oversample) ||
      !mt_arg_small(c, 3, 2, &iterations))
    return false;
  mars_randomized_svd(a, k, oversample, iterations, &t[0], &t[1], &t[2]);
  return mt_give_tuple(c, t, 3, out);
}

static bool arg_triangle(mt_call *c, int i, mars_triangle *out) {
  static const char *const words[] = {"L", "U", "l", "u", NULL};
  int k;

  if (!arg_word(c, i, words, 0, "'L' or 'U'", &k)) return false;
  *out = k & 1 ? MARS_UPPER : MARS_LOWER;
  return true;
}

static bool fn_eigh(mt_call *c, mt_value *out) {
  mars_tensor *a, *t[2] = {NULL};
  mars_triangle triangle;

  if (!mt_arg_tensor(c, 0, &a) || !arg_triangle(c, 1, &triangle)) return false;
  mars_eigh(a, triangle, &t[0], &t[1]);
  return mt_give_tuple(c, t, 2, out);
}
static bool fn_eigvalsh(mt_call *c, mt_value *out) {
  mars_triangle triangle;
  mars_tensor *a;

  return mt_arg_tensor(c, 0, &a) && arg_triangle(c, 1, &triangle) && mt_give(c, mars_eigvalsh(a, triangle), out);
}

/* ---- least squares, norms ------------------------------------------------------------------------------ */

static bool fn_lstsq(mt_call *c, mt_value *out) {
  mars_tensor *a, *b, *t[4] = {NULL};
  double rcond;

  if (!mt_arg_tensor(c, 0, &a) || !mt_arg_tensor(c, 1, &b) || !mt_arg_double(c, 2, -1, &rcond)) return false;
  mars_lstsq(a, b, rcond, &t[0], &t[1], &t[2], &t[3]);
  return mt_give_tuple(c, t, 4, out);
}
static bool fn_pinv(mt_call *c, mt_value *out) {
  mars_tensor *a;
  double rcond;
  return mt_arg_tensor(c, 0, &a) && mt_arg_double(c, 1, -1, &rcond) && mt_give(c, mars_pinv(a, rcond), out);
}
static bool fn_matrix_rank(mt_call *c, mt_value *out) {
  mars_tensor *a;
  double tol;
  return mt_arg_tensor(c, 0, &a) && mt_arg_double(c, 1, -1, &tol) && mt_give(c, mars_matrix_rank(a, tol), out);
}

/* Numbers near the marks of the orders with a name would be taken for them. */
static bool arg_order(mt_call *c, int i, double *out) {
  static const char *const words[] = {"fro", "nuc", NULL};
  static const char wanted[] = "a number, inf, -inf, 'fro' or 'nuc'";
  int k;

  *out = MARS_NORM_DEFAULT;
  if (!c->given[i]) return true;
  if (mt_is_real(&c->v[i])) {
    *out = mt_to_double(&c->v[i]);
    return *out > -999 || isinf(*out) ||
           mt_eval_fail(c->ev, c->at[i], "%s(): the order %g is out of range", c->name, *out);
  }
  if (!arg_word(c, i, words, 0, wanted, &k)) return false;
  *out = k ? MARS_NORM_NUC : MARS_NORM_FRO;
  return true;
}

/* Without axes an order means the vector or the matrix; without either all elements are one vector. */
static bool fn_norm(mt_call *c, mt_value *out) {
  mars_axes axes;
  mars_tensor *a;
  bool keepdims;
  double order;

  if (!mt_arg_tensor(c, 0, &a) || !arg_order(c, 1, &order) || !mt_arg_axes(c, 2, MARS_ALL, &axes) ||
      !mt_arg_bool(c, 3, false, &keepdims))
    return false;
  if (c->given[1] && !c->given[2]) {
    const int nd = mars_shape_of(a).ndim;
    if (nd < 1 || nd > 2)
      return mt_eval_fail(c->ev, c->at[1], "%s(): an order needs a vector, a matrix or axis=; this has %d axes", c->name, nd);
    axes = nd == 1 ? MARS_AXES(0) : MARS_AXES(0, 1);
  }
  return mt_give(c, mars_norm(a, order, axes, keepdims), out);
}
static bool fn_cond(mt_call *c, mt_value *out) {
  mars_tensor *a;
  double order;
  return mt_arg_tensor(c, 0, &a) && arg_order(c, 1, &order) && mt_give(c, mars_cond(a, order), out);
}

const mt_fn mt_fn_linalg[] = {
    {"cholesky", "a", false, fn_cholesky, "Lower factor of a positive definite matrix; reads the lower triangle."},
    {"solve", "a, b", false, fn_solve, "x of a @ x = b."},
    {"solve_triangular", "a, b, trans=0, lower=False, unit_diagonal=False", false, fn_solve_triangular, "The same for a triangle; trans: 0, 1 or 'T', 2 or 'C'."},
    {"inv", "a", false, fn_inv, "Inverse."},
    {"det", "a", false, fn_det, "Determinant."},
    {"slogdet", "a", false, fn_slogdet, "(sign, logarithm of the absolute value) of the determinant."},
    {"lu", "a", false, fn_lu, "(p, l, u) with a = p @ l @ u, by partial pivoting."},
    {"qr", "a, mode='reduced'", false, fn_qr, "(q, r); mode 'complete', or 'r': r alone."},
    {"svd", "a, full_matrices=False, compute_uv=True", false, fn_svd, "(u, s, vh). Unlike NumPy's, u has no more columns than needed."},
    {"svdvals", "x/a", false, fn_svdvals, "Singular values in falling order."},
    {"randomized_svd", "a/M, k/n_components, oversample/n_oversamples=10, power_iterations/n_iter=2", false, fn_randomized_svd, "(u, s, vh) of the k largest singular values, nearly."},
    {"eigh", "a, UPLO='L'", false, fn_eigh, "(eigenvalues in rising order, eigenvectors) of a Hermitian matrix."},
    {"eigvalsh", "a, UPLO='L'", false, fn_eigvalsh, "Its eigenvalues."},
    {"lstsq", "a, b, rcond=None", false, fn_lstsq, "(x, residuals, rank, s) with the least |a @ x - b|."},
    {"pinv", "a, rcond/rtol=None", false, fn_pinv, "Pseudo-inverse."},
    {"matrix_rank", "A/a/M, tol=None", false, fn_matrix_rank, "Singular values above tol."},
    {"norm", "x/a, ord=None, axis=None, keepdims=False", false, fn_norm, "Norm of vectors (one axis) or matrices (two)."},
    {"cond", "x/a, p/ord=None", false, fn_cond, "Condition number."},
    {NULL, NULL, false, NULL, NULL},
};
