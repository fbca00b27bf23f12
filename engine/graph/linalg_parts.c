/* Parts of matrices: diagonals, traces, triangles. */
#include "engine/graph/build.h"
#include "engine/session.h"

#include <string.h>

/* ---- diagonals ---- */

/* The elements (first_p + i, first_q + i), i in [0, n), of axes p and q. */
typedef struct diagonal {
  mx_build *b;
  int p, q;
  int64_t first_p, first_q, n;
  int effort; /* nodes that it may still be pushed through */
} diagonal;

enum { MOST_EFFORT = 64 };

/* Shape of the result: the other axes, then the diagonal; map[axis] is where an axis went, -1 for p and q. */
static mars_shape result_shape(const diagonal *g, const mars_shape *from, int *map) {
  mars_shape shape = {0};

  for (int d = 0; d < from->ndim; d++) {
    map[d] = -1;
    if (d == g->p || d == g->q) continue;
    map[d] = shape.ndim;
    shape.dims[shape.ndim++] = from->dims[d];
  }
  shape.dims[shape.ndim++] = g->n;
  return shape;
}

static int dim_of(const mx_view *view, int ndim, int axis) {
  for (int d = 0; d < ndim; d++)
    if (view->axis[d] == axis) return d;
  return -1;
}

/* Merges dimensions lo and hi of the base, with nothing between them, and what the view does to them. */
static mx_node *merge(mx_build *b, mx_node *base, int lo, int hi, mx_view *view, int64_t first, int64_t step, int8_t axis) {
  mars_shape shape = {0};
  mx_view merged;

  memset(&merged, 0, sizeof merged);
  for (int d = 0; d < base->shape.ndim; d++) {
    const int at = shape.ndim;
    if (d > lo && d <= hi) {
      shape.dims[at - 1] *= base->shape.dims[d];
      continue;
    }
    shape.dims[shape.ndim++] = base->shape.dims[d];
    merged.axis[at] = d == lo ? axis : view->axis[d];
    merged.start[at] = d == lo ? first : view->start[d];
    merged.step[at] = d == lo ? step : view->step[d];
  }
  *view = merged;
  return mx_build_reshape(b, base, &shape);
}

/* Of a view (that shows a tensor of shape `from`) of base. NULL with no failure: its axes do not lie side by side. */
static mx_node *of_view(const diagonal *g, mx_node *base, const mx_view *view, const mars_shape *from) {
  int map[MARS_MAX_DIMS];
  const mars_shape shape = result_shape(g, from, map);
  const int8_t last = (int8_t)(shape.ndim - 1);
  mx_view v = *view;
  const int p = dim_of(view, base->shape.ndim, g->p), q = dim_of(view, base->shape.ndim, g->q);

  for (int d = 0; d < base->shape.ndim; d++) {
    if (v.axis[d] < 0) continue;
    if (d == p) v.start[d] += v.step[d] * g->first_p;
    if (d == q) v.start[d] += v.step[d] * g->first_q;
    v.axis[d] = d == p || d == q ? last : (int8_t)map[v.axis[d]];
  }
  if (p >= 0 && q >= 0) {
    const int lo = p < q ? p : q, hi = p < q ? q : p;
    for (int d = lo + 1; d < hi; d++)
      if (base->shape.dims[d] != 1) return NULL;
    const int64_t row = base->shape.dims[hi];
    base = merge(g->b, base, lo, hi, &v, v.start[lo] * row + v.start[hi], v.step[lo] * row + v.step[hi], last);
  }
  return mx_build_view(g->b, base, &shape, &v);
}

static mx_node *of_node(diagonal *g, mx_node *x);

/* Of an elementwise node: the node of its operands' diagonals, so that no operand is read whole. */
static mx_node *of_operands(diagonal *g, mx_node *x, mx_node **operand) {
  mx_build *b = g->b;

  for (int o = 0; o < x->n_operands && b->st == MARS_OK; o++) operand[o] = of_node(g, operand[o]);
  if (b->st != MARS_OK) return NULL;
  return x->op == MX_OP_CAST ? mx_build_cast(b, operand[0], x->dtype) : mx_build_row(b, x->op, x->loop, operand, x->n_operands);
}

static bool is_elementwise(const mx_node *x) {
  const mx_op_kind k = mx_op_row_of(x->op)->kind;
  return k == MX_KIND_UNARY || k == MX_KIND_BINARY || k == MX_KIND_TERNARY || x->op == MX_OP_CAST;
}

static void identity(int ndim, mx_view *view) {
  memset(view, 0, sizeof *view);
  for (int d = 0; d < ndim; d++) view->axis[d] = (int8_t)d, view->step[d] = 1;
}

static mx_node *of_node(diagonal *g, mx_node *x) {
  mx_build *b = g->b;
  mx_node *operand[3], *base, *found;
  mx_view view;

  if (b->st != MARS_OK) return NULL;
  if (x->op == MX_OP_CONST) {
    int map[MARS_MAX_DIMS];
    const mars_shape shape = result_shape(g, &x->shape, map);
    return mx_build_const(b, x->dtype, &shape, &x->attr.constant);
  }
  if (is_elementwise(x) && g->effort > 0 && mx_graph_operands(&b->session->graph, x, operand)) {
    for (int o = 0; o < x->n_operands; o++) mx_build_hold(b, operand[o]);
    g->effort -= x->n_operands;
    return of_operands(g, x, operand);
  }
  identity(x->shape.ndim, &view);
  base = x;
  if (x->op == MX_OP_IOTA && x->shape.ndim > 1) { /* a view of a row of numbers */
    const mars_shape row = {1, {x->shape.dims[x->attr.axis]}};
    base = mx_build_iota(b, &row, 0);
    memset(&view, 0, sizeof view);
    view.axis[0] = (int8_t)x->attr.axis;
    view.step[0] = 1;
  } else if ((base = mx_graph_peel(&b->session->graph, x, MX_OP_VIEW)) != NULL) {
    base = mx_build_hold(b, base);
    view = x->attr.view;
  } else {
    base = x;
  }
  if (b->st != MARS_OK) return NULL;
  found = of_view(g, base, &view, &x->shape);
  if (found != NULL || b->st != MARS_OK) return found;
  int perm[MARS_MAX_DIMS], n = 0; /* stored with the two axes side by side */
  for (int d = 0; d < x->shape.ndim; d++)
    if (d != g->p && d != g->q) perm[n++] = d;
  perm[n] = g->p, perm[n + 1] = g->q;
  x = mx_build_permute(b, x, perm);
  if (b->st != MARS_OK) return NULL;
  mars_shape flat = x->shape;
  flat.ndim--;
  flat.dims[n] *= x->shape.dims[n + 1];
  const int64_t columns = x->shape.dims[n + 1];
  x = mx_build_reshape(b, x, &flat);
  flat.dims[n] = g->n;
  identity(n + 1, &view);
  view.start[n] = g->first_p * columns + g->first_q;
  view.step[n] = columns + 1;
  return mx_build_view(b, x, &flat, &view);
}

mx_node *mx_build_diagonal(mx_build *b, mx_node *x, int p, int q, int64_t offset) {
  diagonal g = {.b = b, .p = p, .q = q, .effort = MOST_EFFORT};
  int map[MARS_MAX_DIMS];

  if (b->st != MARS_OK) return NULL;
  const int64_t rows = x->shape.dims[p], columns = x->shape.dims[q];
  if (offset > columns) offset = columns; /* nothing there, and no overflow */
  if (offset < -rows) offset = -rows;
  g.first_p = offset < 0 ? -offset : 0;
  g.first_q = offset > 0 ? offset : 0;
  g.n = rows - g.first_p < columns - g.first_q ? rows - g.first_p : columns - g.first_q;
  const mars_shape shape = result_shape(&g, &x->shape, map);
  for (int d = 0; d < shape.ndim; d++)
    if (shape.dims[d] == 0) return mx_build_number(b, x->dtype, &shape, 0);
  return of_node(&g, x);
}

static bool is_matrix(mx_build *b, const mx_node *x) {
  char text[MX_SHAPE_TEXT];

  if (b->st == MARS_OK && x->shape.ndim < 2)
    mx_build_fail(b, MARS_E_SHAPE, "of shape %s; at least two axes are needed", mx_shape_text(&x->shape, text, sizeof text));
  return b->st == MARS_OK;
}

static mx_node *matrix_diagonal(mx_build *b, mx_node *x, int64_t offset) {
  return is_matrix(b, x) ? mx_build_diagonal(b, x, x->shape.ndim - 2, x->shape.ndim - 1, offset) : NULL;
}

mars_tensor *mars_diagonal(mars_tensor *a, int64_t offset) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "diagonal", &a, 1);
  if (b.st == MARS_OK) node = matrix_diagonal(&b, a->node, offset);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_trace(mars_tensor *a, int64_t offset) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, "trace", &a, 1);
  if (b.st == MARS_OK) node = matrix_diagonal(&b, a->node, offset);
  if (b.st == MARS_OK) {
    mars_shape shape = node->shape;
    shape.dims[--shape.ndim] = 0;
    if (node->size == 0) node = mx_build_number(&b, mx_op_result_dtype(MX_OP_SUM, node->dtype), &shape, 0);
    else node = mx_build_reduce(&b, MX_OP_SUM, node, 1u << shape.ndim, 0);
  }
  return mx_build_close(&b, node, false);
}

/* ---- triangles ---- */

static mx_node *scalar(mx_build *b, mars_dtype dt, double value) {
  static const mars_shape shape;
  return mx_build_number(b, dt, &shape, value);
}

/* 0, 1, .. along `axis` of the last two of a matrix of this shape, as [n, 1] or [1, n]. */
static mx_node *counter(mx_build *b, const mars_shape *matrix, int axis, int64_t first) {
  mars_shape shape = {2, {1, 1}};

  if (b->st != MARS_OK) return NULL;
  shape.dims[axis] = matrix->dims[matrix->ndim - 2 + axis];
  mx_node *i = mx_build_iota(b, &shape, axis);
  return first == 0 ? i : mx_build_op2(b, MX_OP_ADD, i, mx_build_cast(b, scalar(b, MARS_I64, (double)first), MARS_I64));
}

/* Where column - row <= k (lower) or >= k. A vector is what every row of a square is, as NumPy has it. */
static mx_node *triangle(mx_build *b, mx_node *x, int64_t k, bool lower) {
  if (x->shape.ndim == 1) {
    const mars_shape square = {2, {x->shape.dims[0], x->shape.dims[0]}};
    x = mx_build_broadcast(b, x, &square);
    if (b->st != MARS_OK) return NULL;
  }
  if (!is_matrix(b, x) || x->size == 0) return x;
  const int64_t rows = x->shape.dims[x->shape.ndim - 2], columns = x->shape.dims[x->shape.ndim - 1];
  if (k > columns) k = columns; /* everything or nothing, and no overflow */
  if (k < -rows) k = -rows;
  if (lower ? k >= columns - 1 : k <= 1 - rows) return x;
  mx_node *row = counter(b, &x->shape, 0, k), *column = counter(b, &x->shape, 1, 0);
  mx_node *inside = mx_build_op2(b, lower ? MX_OP_LESS_EQUAL : MX_OP_GREATER_EQUAL, column, row);
  return mx_build_where(b, inside, x, scalar(b, x->dtype, 0));
}

static mars_tensor *triangle_of(const char *fn, mars_tensor *a, int64_t k, bool lower) {
  mx_node *node = NULL;
  mx_build b;

  mx_build_open_on(&b, NULL, fn, &a, 1);
  if (b.st == MARS_OK) node = triangle(&b, a->node, k, lower);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_tril(mars_tensor *a, int64_t k) { return triangle_of("tril", a, k, true); }
mars_tensor *mars_triu(mars_tensor *a, int64_t k) { return triangle_of("triu", a, k, false); }

/* ---- diagonal matrices ---- */

/* x on the k-th diagonal of a square matrix, zeros elsewhere. */
static mx_node *spread_diagonal(mx_build *b, mx_node *x, int64_t k) {
  const int64_t n = x->shape.dims[0], beside = k == INT64_MIN ? 0 : k < 0 ? -k : k;
  mars_shape square = {2, {0, 0}}, line = {1, {0}}, gap = {1, {beside}}, clean;

  if (k == INT64_MIN || !mx_add_i64(n, beside, &line.dims[0]))
    return mx_build_fail(b, MARS_E_OVERFLOW, "k is %lld: the matrix would have more than 2**63 - 1 rows", (long long)k);
  square.dims[0] = square.dims[1] = line.dims[0];
  if (!mx_build_shape(b, x->dtype, &square, &clean)) return NULL;
  if (n == 0) return mx_build_number(b, x->dtype, &square, 0);
  if (beside > 0) { /* as long as the matrix, with zeros where the diagonal has ended */
    mx_node *part[2] = {x, mx_build_number(b, x->dtype, &gap, 0)};
    x = mx_build_concat(b, part, 2, &line, 0);
  }
  mx_node *row = counter(b, &square, 0, k), *column = counter(b, &square, 1, 0);
  x = mx_build_expand(b, x, k < 0 ? 0 : 1); /* told by the index that begins at 0 on the diagonal */
  return mx_build_where(b, mx_build_op2(b, MX_OP_EQUAL, column, row), x, scalar(b, b->st == MARS_OK ? x->dtype : MARS_F64, 0));
}

mars_tensor *mars_diag(mars_tensor *a, int64_t k) {
  mx_node *node = NULL;
  char text[MX_SHAPE_TEXT];
  mx_build b;

  mx_build_open_on(&b, NULL, "diag", &a, 1);
  if (b.st == MARS_OK) {
    if (a->node->shape.ndim == 1) node = spread_diagonal(&b, a->node, k);
    else if (a->node->shape.ndim == 2) node = mx_build_diagonal(&b, a->node, 0, 1, k);
    else
      mx_build_fail(&b, MARS_E_SHAPE, "of shape %s; one or two axes are needed",
                    mx_shape_text(&a->node->shape, text, sizeof text));
  }
  return mx_build_close(&b, node, false);
}
