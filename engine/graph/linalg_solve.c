/* Cholesky and LU factors, triangular and general systems, inverses, determinants. */
#include "engine/graph/linalg.h"
#include "engine/routine.h"

#include <string.h>

/* The operand as a matrix (batches of them) of a dtype that can be factored. */
static mx_node *matrix(mx_build *b, const mars_tensor *t, bool square, const char *name) {
  char text[MX_SHAPE_TEXT];

  if (b->st != MARS_OK) return NULL;
  mx_node *x = t->node;
  const int nd = x->shape.ndim;
  mx_shape_text(&x->shape, text, sizeof text);
  if (nd < 2) return mx_build_fail(b, MARS_E_SHAPE, "%s has shape %s; it must be a matrix, or have more axes for batches of them", name, text);
  if (square && x->shape.dims[nd - 2] != x->shape.dims[nd - 1])
    return mx_build_fail(b, MARS_E_SHAPE, "%s has shape %s; its last two axes must be a square", name, text);
  if (mx_dtype_is_half(x->dtype))
    return mx_build_fail(b, MARS_E_DTYPE, "%s has dtype %s; cast it to float32 or wider first", name, mars_dtype_name(x->dtype));
  return x->dtype < MARS_F16 ? mx_build_cast(b, x, MARS_F64) : x;
}

static bool empty(const mars_shape *s) {
  for (int d = 0; d < s->ndim; d++)
    if (s->dims[d] == 0) return true;
  return false;
}

static mars_dtype real_of(mars_dtype dt) { return dt == MARS_C64 ? MARS_F32 : dt == MARS_C128 ? MARS_F64 : dt; }

static mx_node *routine(mx_build *b, mx_op op, mx_node *a, mx_node *c, mars_dtype dt, const mars_shape *shape, int which, uint32_t flags) {
  mx_node *operand[2] = {a, c};

  if (b->st != MARS_OK) return NULL;
  return mx_build_routine(b, op, operand, c != NULL ? 2 : 1, dt, shape, which, flags, 0, 0);
}

mars_tensor *mars_cholesky(mars_tensor *a) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "cholesky", &a, 1);
  mx_node *x = b.st == MARS_OK ? matrix(&b, a, true, "the operand") : NULL;
  if (b.st == MARS_OK)
    node = empty(&x->shape) ? mx_build_number(&b, x->dtype, &x->shape, 0) : routine(&b, MX_OP_CHOLESKY, x, NULL, x->dtype, &x->shape, 0, 0);
  return mx_build_close(&b, node, false);
}

/* ---- LU ---- */

/* [.., m, m] with ones where row i is row order[i] of the factored matrix: p[order[i], i] = 1. */
static mx_node *permutation(mx_build *b, mx_node *order, mars_dtype dt) {
  mars_shape column = {0};

  if (b->st != MARS_OK) return NULL;
  const int nd = order->shape.ndim;
  column.ndim = 2;
  column.dims[0] = order->shape.dims[nd - 1];
  column.dims[1] = 1;
  mx_node *row = mx_build_expand(b, order, nd - 1), *index = mx_build_iota(b, &column, 0);
  return mx_build_cast(b, b->st == MARS_OK ? mx_build_op2(b, MX_OP_EQUAL, index, row) : NULL, dt);
}

/* a is empty or has no columns to eliminate: a = 1 a */
static void lu_of_nothing(mx_build *b, const mx_node *x, const mars_shape *ps, const mars_shape *ls, const mars_shape *us, mx_node **out) {
  const int nd = x->shape.ndim;
  mars_shape order = *ps;

  order.ndim = nd - 1;
  out[0] = empty(ps) ? mx_build_number(b, x->dtype, ps, 0) : permutation(b, mx_build_iota(b, &order, nd - 2), x->dtype);
  out[1] = mx_build_number(b, x->dtype, ls, 0);
  out[2] = mx_build_number(b, x->dtype, us, 0);
}

static void lu_nodes(mx_build *b, mx_node *x, mx_node **out) {
  const int nd = x->shape.ndim;
  mars_shape order = x->shape, ps = x->shape, ls = x->shape, us = x->shape;
  const int64_t m = x->shape.dims[nd - 2], n = x->shape.dims[nd - 1], k = m < n ? m : n;

  order.ndim = nd - 1;
  order.dims[nd - 1] = 0;
  ps.dims[nd - 1] = m;
  ls.dims[nd - 1] = k;
  us.dims[nd - 2] = k;
  if (empty(&x->shape)) {
    lu_of_nothing(b, x, &ps, &ls, &us, out);
    return;
  }
  out[0] = permutation(b, routine(b, MX_OP_LU, x, NULL, MARS_I64, &order, 0, 0), x->dtype);
  out[1] = routine(b, MX_OP_LU, x, NULL, x->dtype, &ls, 1, 0);
  out[2] = routine(b, MX_OP_LU, x, NULL, x->dtype, &us, 2, 0);
}

void mars_lu(mars_tensor *a, mars_tensor **p, mars_tensor **l, mars_tensor **u) {
  mx_node *out[3] = {NULL, NULL, NULL};
  mx_build b;

  mx_build_open_on(&b, NULL, "lu", &a, 1);
  mx_node *x = b.st == MARS_OK ? matrix(&b, a, false, "the operand") : NULL;
  if (b.st == MARS_OK) lu_nodes(&b, x, out);
  mx_build_results(&b, out, (mars_tensor **[]){p, l, u}, 3);
  mx_build_drop(&b);
}

/* ---- systems ---- */

/* Both operands with the same batches. false: they do not fit, which the build has learnt. */
static bool align(mx_build *b, mx_node **a, mx_node **c, mars_shape *out) {
  char sa[MX_SHAPE_TEXT], sc[MX_SHAPE_TEXT];

  if (b->st != MARS_OK) return false;
  const mars_shape *x = &(*a)->shape, *y = &(*c)->shape;
  const int nx = x->ndim, ny = y->ndim, nd = nx > ny ? nx : ny;
  mars_shape to = {0};
  mx_shape_text(x, sa, sizeof sa);
  mx_shape_text(y, sc, sizeof sc);
  if (x->dims[nx - 1] != y->dims[ny - 2]) {
    mx_build_fail(b, MARS_E_SHAPE, "shapes %s and %s do not fit: a matrix of order %lld, right-hand sides of %lld rows", sa, sc,
                  (long long)x->dims[nx - 1], (long long)y->dims[ny - 2]);
    return false;
  }
  to.ndim = nd;
  for (int d = 0; d < nd - 2; d++) {
    const int64_t p = nx - 3 - d >= 0 ? x->dims[nx - 3 - d] : 1, q = ny - 3 - d >= 0 ? y->dims[ny - 3 - d] : 1;
    if (p != q && p != 1 && q != 1) {
      mx_build_fail(b, MARS_E_SHAPE, "batch axes of shapes %s and %s do not broadcast: %lld and %lld", sa, sc, (long long)p, (long long)q);
      return false;
    }
    to.dims[nd - 3 - d] = p == 1 ? q : p;
  }
  to.dims[nd - 2] = to.dims[nd - 1] = x->dims[nx - 1];
  *a = mx_build_broadcast(b, *a, &to);
  to.dims[nd - 1] = y->dims[ny - 1];
  *c = mx_build_broadcast(b, *c, &to);
  return mx_build_shape(b, MARS_C128, &to, out);
}

/* Operands of a system in their common dtype; *column: the right-hand side had one axis. */
static bool operands(mx_build *b, mars_tensor *a, mars_tensor *c, mx_node **x, mx_node **y, bool *column) {
  char text[MX_SHAPE_TEXT];
  bool weak;

  if (b->st != MARS_OK) return false;
  *x = matrix(b, a, true, "the matrix");
  *column = c->node->shape.ndim == 1;
  *y = c->node;
  if (b->st == MARS_OK && c->node->shape.ndim == 0)
    mx_build_fail(b, MARS_E_SHAPE, "the right-hand side has shape %s; it must have at least one axis",
                  mx_shape_text(&c->node->shape, text, sizeof text));
  if (b->st == MARS_OK && mx_dtype_is_half(c->node->dtype))
    mx_build_fail(b, MARS_E_DTYPE, "the right-hand side has dtype %s; cast it to float32 or wider first", mars_dtype_name(c->node->dtype));
  if (b->st != MARS_OK) return false;
  if ((*y)->dtype < MARS_F16) *y = mx_build_cast(b, *y, MARS_F64);
  const mx_term term[2] = {{*x, false}, {*y, false}};
  const mars_dtype dt = b->st == MARS_OK ? mx_build_promote(b, term, 2, &weak) : MARS_F64;
  *x = mx_build_cast(b, *x, dt);
  *y = mx_build_cast(b, *y, dt);
  if (*column) *y = mx_build_expand(b, *y, 1);
  return b->st == MARS_OK;
}

/* The axis that `operands` gave a vector goes away again. */
static mx_node *without_column(mx_build *b, mx_node *x, bool column) {
  if (b->st != MARS_OK || !column) return x;
  mars_shape shape = x->shape;
  shape.ndim--;
  shape.dims[shape.ndim] = 0;
  return mx_build_reshape(b, x, &shape);
}

mars_tensor *mars_solve(mars_tensor *a, mars_tensor *c) {
  mars_tensor *operand[2] = {a, c};
  mx_node *node = NULL, *x, *y;
  mars_shape shape;
  bool column;
  mx_build b;

  mx_build_open_on(&b, NULL, "solve", operand, 2);
  if (operands(&b, a, c, &x, &y, &column) && align(&b, &x, &y, &shape)) {
    node = empty(&shape) ? mx_build_number(&b, x->dtype, &shape, 0) : routine(&b, MX_OP_SOLVE, x, y, x->dtype, &shape, 0, 0);
    node = without_column(&b, node, column);
  }
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_solve_triangular(mars_tensor *a, mars_tensor *c, mars_triangle triangle, mars_trans trans, bool unit_diagonal) {
  mars_tensor *operand[2] = {a, c};
  mx_node *node = NULL, *x, *y;
  mars_shape shape;
  bool column;
  mx_build b;

  mx_build_open_on(&b, NULL, "solve_triangular", operand, 2);
  if (b.st == MARS_OK && triangle != MARS_UPPER && triangle != MARS_LOWER)
    mx_build_fail(&b, MARS_E_ARG, "triangle is %d; it must be MARS_UPPER or MARS_LOWER", (int)triangle);
  if (b.st == MARS_OK && (trans < MARS_NO_TRANS || trans > MARS_CONJ_TRANS))
    mx_build_fail(&b, MARS_E_ARG, "trans is %d; it must be MARS_NO_TRANS, MARS_TRANS or MARS_CONJ_TRANS", (int)trans);
  if (operands(&b, a, c, &x, &y, &column)) {
    bool lower = triangle == MARS_LOWER;
    /* a^H x = b is a^T conj(x) = conj(b): what is conjugated is the smaller */
    const bool conj = trans == MARS_CONJ_TRANS && mx_dtype_is_complex(x->dtype);
    if (trans != MARS_NO_TRANS) x = mx_build_matrix_transpose(&b, x, false), lower = !lower;
    if (conj) y = mx_build_op1(&b, MX_OP_CONJ, y);
    const uint32_t flags = (lower ? MX_RF_LOWER : 0) | (unit_diagonal ? MX_RF_UNIT : 0);
    if (align(&b, &x, &y, &shape))
      node = empty(&shape) ? mx_build_number(&b, x->dtype, &shape, 0)
                           : routine(&b, MX_OP_SOLVE_TRIANGULAR, x, y, x->dtype, &shape, 0, flags);
    if (b.st == MARS_OK && conj) node = mx_build_op1(&b, MX_OP_CONJ, node);
    node = without_column(&b, node, column);
  }
  return mx_build_close(&b, node, false);
}

mx_node *mx_build_inv(mx_build *b, mx_node *x, uint32_t flags) {
  if (b->st != MARS_OK) return NULL;
  if (empty(&x->shape)) return mx_build_number(b, x->dtype, &x->shape, 0);
  return routine(b, MX_OP_INV, mx_build_matrix_transpose(b, x, false), NULL, x->dtype, &x->shape, 0, flags); /* which it wants */
}

mars_tensor *mars_inv(mars_tensor *a) {
  mx_node *node;
  mx_build b;

  mx_build_open_on(&b, NULL, "inv", &a, 1);
  mx_node *x = b.st == MARS_OK ? matrix(&b, a, true, "the operand") : NULL;
  node = mx_build_inv(&b, x, 0);
  return mx_build_close(&b, node, false);
}

/* ---- determinants ---- */

/* Results of DET: 0 determinant, 1 sign, 2 logarithm of the modulus. */
static mx_node *determinant(mx_build *b, mx_node *x, int which) {
  mars_shape shape;

  if (b->st != MARS_OK) return NULL;
  const int nd = x->shape.ndim;
  const mars_dtype dt = which == 2 ? real_of(x->dtype) : x->dtype;
  shape = x->shape;
  shape.ndim = nd - 2;
  shape.dims[nd - 1] = shape.dims[nd - 2] = 0;
  if (empty(&x->shape)) return mx_build_number(b, dt, &shape, which == 2 ? 0 : 1); /* of order 0, or no matrices at all */
  /* the transpose has the same, and its columns are what files and tensors hold in one piece */
  return routine(b, MX_OP_DET, mx_build_matrix_transpose(b, x, false), NULL, dt, &shape, which, 0);
}

mars_tensor *mars_det(mars_tensor *a) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "det", &a, 1);
  mx_node *x = b.st == MARS_OK ? matrix(&b, a, true, "the operand") : NULL;
  node = determinant(&b, x, 0);
  return mx_build_close(&b, node, false);
}

void mars_slogdet(mars_tensor *a, mars_tensor **sign, mars_tensor **logdet) {
  mx_node *s, *l;
  mx_build b;

  mx_build_open_on(&b, NULL, "slogdet", &a, 1);
  mx_node *x = b.st == MARS_OK ? matrix(&b, a, true, "the operand") : NULL;
  s = determinant(&b, x, 1);
  l = determinant(&b, x, 2);
  mx_build_results(&b, (mx_node *[]){s, l}, (mars_tensor **[]){sign, logdet}, 2);
  mx_build_drop(&b);
}
