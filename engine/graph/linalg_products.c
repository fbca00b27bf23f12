/* Products that are made of matrix products: dot, inner, outer, vdot, tensordot, kron, matrix_power, multi_dot. */
#include "engine/graph/contract.h"
#include "engine/session.h"

#include <math.h>
#include <string.h>

/* ---- two operands, some axes summed ---- */

/* The operands in their common dtype. */
static bool open_pair(mx_build *b, const char *fn, mars_tensor *a, mars_tensor *c, mx_node **x, mx_node **y) {
  mars_tensor *operand[2] = {a, c};
  bool weak;

  mx_build_open_on(b, NULL, fn, operand, 2);
  if (b->st != MARS_OK) return false;
  const mx_term term[2] = {mx_term_of(a), mx_term_of(c)};
  const mars_dtype dt = mx_build_promote(b, term, 2, &weak);
  *x = mx_build_cast_term(b, &term[0], dt);
  *y = mx_build_cast_term(b, &term[1], dt);
  return b->st == MARS_OK;
}

/* Axes ax[i] of x and ay[i] of y are paired and summed over; the others of x, then those of y make the result. */
static mx_node *sum_over(mx_build *b, mx_node *x, mx_node *y, int n, const int *ax, const int *ay) {
  if (b->st != MARS_OK) return NULL;
  const int nx = x->shape.ndim, ny = y->shape.ndim;
  const mars_dtype dt = x->dtype, in = mx_contract_dtype(dt);
  int8_t lx[MARS_MAX_DIMS], ly[MARS_MAX_DIMS], out[2 * MARS_MAX_DIMS];
  int64_t extent[2 * MARS_MAX_DIMS];
  mars_shape shape = {0}, clean;
  char sx[MX_SHAPE_TEXT], sy[MX_SHAPE_TEXT];
  uint64_t need = 0;
  bool summed[MARS_MAX_DIMS] = {false}, empty = x->size == 0 || y->size == 0;

  mx_shape_text(&x->shape, sx, sizeof sx);
  mx_shape_text(&y->shape, sy, sizeof sy);
  for (int d = 0; d < nx; d++) lx[d] = (int8_t)d, extent[d] = x->shape.dims[d];
  for (int d = 0; d < ny; d++) ly[d] = (int8_t)(nx + d), extent[nx + d] = y->shape.dims[d];
  for (int i = 0; i < n; i++) {
    const int64_t p = x->shape.dims[ax[i]], q = y->shape.dims[ay[i]];
    if (p != q)
      return mx_build_fail(b, MARS_E_SHAPE, "shapes %s and %s do not fit: extent %lld of axis %d of the first, %lld of axis %d of the second",
                           sx, sy, (long long)p, ax[i], (long long)q, ay[i]);
    ly[ay[i]] = (int8_t)ax[i];
    summed[ax[i]] = true;
  }
  if (nx + ny - 2 * n > MARS_MAX_DIMS)
    return mx_build_fail(b, MARS_E_SHAPE, "of shapes %s and %s has %d axes; at most %d", sx, sy, nx + ny - 2 * n, MARS_MAX_DIMS);
  for (int d = 0; d < nx; d++)
    if (!summed[d]) out[shape.ndim] = lx[d], shape.dims[shape.ndim++] = extent[lx[d]];
  for (int d = 0; d < ny; d++)
    if (ly[d] >= nx) out[shape.ndim] = ly[d], shape.dims[shape.ndim++] = extent[ly[d]];
  if (!mx_build_shape(b, in, &shape, &clean)) return NULL;
  if (empty) return mx_build_number(b, dt, &clean, 0);
  for (int d = 0; d < shape.ndim; d++) need |= (uint64_t)1 << out[d];
  const mx_labelled p = mx_contract_label(b, mx_build_cast(b, x, in), lx), q = mx_contract_label(b, mx_build_cast(b, y, in), ly);
  return mx_build_cast(b, mx_contract_arrange(b, mx_contract_pair(b, p, q, need), out, shape.ndim, extent), dt);
}

mars_tensor *mars_dot(mars_tensor *a, mars_tensor *c) {
  mx_node *node = NULL, *x, *y;
  mx_build b;

  if (open_pair(&b, "dot", a, c, &x, &y)) {
    const int ax = x->shape.ndim - 1, ay = y->shape.ndim > 1 ? y->shape.ndim - 2 : 0;
    node = sum_over(&b, x, y, ax >= 0 && y->shape.ndim > 0, &ax, &ay);
  }
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_inner(mars_tensor *a, mars_tensor *c) {
  mx_node *node = NULL, *x, *y;
  mx_build b;

  if (open_pair(&b, "inner", a, c, &x, &y)) {
    const int ax = x->shape.ndim - 1, ay = y->shape.ndim - 1;
    node = sum_over(&b, x, y, ax >= 0 && ay >= 0, &ax, &ay);
  }
  return mx_build_close(&b, node, false);
}

static mx_node *flat(mx_build *b, mx_node *x) {
  if (b->st != MARS_OK) return NULL;
  return mx_build_reshape(b, x, &(mars_shape){1, {x->size}});
}

mars_tensor *mars_outer(mars_tensor *a, mars_tensor *c) {
  mx_node *node = NULL, *x, *y;
  mx_build b;

  if (open_pair(&b, "outer", a, c, &x, &y)) node = sum_over(&b, flat(&b, x), flat(&b, y), 0, NULL, NULL);
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_vdot(mars_tensor *a, mars_tensor *c) {
  char sx[MX_SHAPE_TEXT], sy[MX_SHAPE_TEXT];
  mx_node *node = NULL, *x, *y;
  const int first = 0;
  mx_build b;

  if (open_pair(&b, "vdot", a, c, &x, &y)) {
    if (x->size != y->size)
      mx_build_fail(&b, MARS_E_SHAPE, "shapes %s and %s do not fit: %lld elements and %lld", mx_shape_text(&x->shape, sx, sizeof sx),
                    mx_shape_text(&y->shape, sy, sizeof sy), (long long)x->size, (long long)y->size);
    if (mx_dtype_is_complex(x->dtype)) x = mx_build_op1(&b, MX_OP_CONJ, x);
    x = flat(&b, x), y = flat(&b, y);
    if (b.st == MARS_OK) node = sum_over(&b, x, y, 1, &first, &first);
  }
  return mx_build_close(&b, node, false);
}

/* Axes of one operand in the order in which they are given. */
static bool listed_axes(mx_build *b, const mars_axes *axes, const mx_node *x, int *n, int *axis) {
  uint32_t mask;

  if (!mx_build_axes(b, axes, x->shape.ndim, &mask)) return false;
  *n = axes->count == MARS_ALL_AXES ? x->shape.ndim : axes->count;
  for (int i = 0; i < *n; i++)
    if (axes->count == MARS_ALL_AXES) axis[i] = i;
    else if (!mx_build_axis(b, axes->axis[i], x->shape.ndim, &axis[i])) return false;
  return true;
}

mars_tensor *mars_tensordot(mars_tensor *a, mars_tensor *c, mars_axes axes_a, mars_axes axes_b) {
  int ax[MARS_MAX_DIMS], ay[MARS_MAX_DIMS], nx, ny;
  char sx[MX_SHAPE_TEXT], sy[MX_SHAPE_TEXT];
  mx_node *node = NULL, *x, *y;
  mx_build b;

  if (open_pair(&b, "tensordot", a, c, &x, &y) && listed_axes(&b, &axes_a, x, &nx, ax) && listed_axes(&b, &axes_b, y, &ny, ay)) {
    if (nx != ny)
      mx_build_fail(&b, MARS_E_AXIS, "%d axes of shape %s, but %d of shape %s; they are summed in pairs", nx,
                    mx_shape_text(&x->shape, sx, sizeof sx), ny, mx_shape_text(&y->shape, sy, sizeof sy));
    else node = sum_over(&b, x, y, nx, ax, ay);
  }
  return mx_build_close(&b, node, false);
}

/* ---- Kronecker product ---- */

/* Axis d of x as [.., n, times, ..] or [.., times, n, ..], merged: its elements repeated one by one, or as a whole. */
static mx_node *repeat(mx_build *b, mx_node *x, int d, int64_t times, bool whole) {
  if (b->st != MARS_OK || times == 1) return x;
  mars_shape merged = x->shape, split = {3, {1, x->shape.dims[d], 1}}, wide;
  for (int e = 0; e < x->shape.ndim; e++)
    if (e != d) split.dims[e < d ? 0 : 2] *= x->shape.dims[e];
  merged.dims[d] *= times;
  x = mx_build_expand(b, mx_build_reshape(b, x, &split), whole ? 1 : 2);
  if (b->st != MARS_OK) return NULL;
  wide = x->shape;
  wide.dims[whole ? 1 : 2] = times;
  return mx_build_reshape(b, mx_build_broadcast(b, x, &wide), &merged);
}

static mx_node *kron(mx_build *b, mx_node *x, mx_node *y) {
  const int nd = x->shape.ndim > y->shape.ndim ? x->shape.ndim : y->shape.ndim;
  mars_shape sx = {.ndim = nd}, sy = {.ndim = nd}, to = {.ndim = nd}, clean, wx = {0}, wy = {0};
  char text[MX_SHAPE_TEXT], other[MX_SHAPE_TEXT];

  for (int d = 0; d < nd; d++) {
    const int dx = d - nd + x->shape.ndim, dy = d - nd + y->shape.ndim;
    sx.dims[d] = dx < 0 ? 1 : x->shape.dims[dx];
    sy.dims[d] = dy < 0 ? 1 : y->shape.dims[dy];
    if (!mx_mul_i64(sx.dims[d], sy.dims[d], &to.dims[d]))
      return mx_build_fail(b, MARS_E_OVERFLOW, "of shapes %s and %s has more than 2**63 - 1 rows", mx_shape_text(&x->shape, text, sizeof text),
                           mx_shape_text(&y->shape, other, sizeof other));
  }
  if (!mx_build_shape(b, x->dtype, &to, &clean)) return NULL;
  if (x->size == 0 || y->size == 0) return mx_build_number(b, x->dtype, &to, 0);
  x = mx_build_reshape(b, x, &sx);
  y = mx_build_reshape(b, y, &sy);
  int axes = 0;
  for (int d = 0; d < nd; d++) axes += (sx.dims[d] > 1) + (sy.dims[d] > 1);
  if (axes > MARS_MAX_DIMS) { /* no room for an axis of each: both are repeated to the whole shape */
    for (int d = 0; d < nd; d++) {
      x = repeat(b, x, d, sy.dims[d], false);
      y = repeat(b, y, d, sx.dims[d], true);
    }
    return b->st == MARS_OK ? mx_build_op2(b, MX_OP_MULTIPLY, x, y) : NULL;
  }
  for (int d = 0; d < nd; d++) {
    if (sx.dims[d] > 1) wx.dims[wx.ndim++] = sx.dims[d], wy.dims[wy.ndim++] = 1;
    if (sy.dims[d] > 1) wx.dims[wx.ndim++] = 1, wy.dims[wy.ndim++] = sy.dims[d];
  }
  x = mx_build_reshape(b, x, &wx);
  y = mx_build_reshape(b, y, &wy);
  return b->st == MARS_OK ? mx_build_reshape(b, mx_build_op2(b, MX_OP_MULTIPLY, x, y), &to) : NULL;
}

mars_tensor *mars_kron(mars_tensor *a, mars_tensor *c) {
  mx_node *node = NULL, *x, *y;
  mx_build b;

  if (open_pair(&b, "kron", a, c, &x, &y)) node = kron(&b, x, y);
  return mx_build_close(&b, node, false);
}

/* ---- powers ---- */

static mx_node *power(mx_build *b, mx_node *x, int64_t n) {
  mx_node *result = NULL;

  if (n == 0) { /* the unit matrix, for every matrix of the batch */
    mars_shape unit = {2, {x->shape.dims[x->shape.ndim - 1], x->shape.dims[x->shape.ndim - 1]}};
    if (x->size == 0) return x;
    mx_node *one = mx_build_op2(b, MX_OP_EQUAL, mx_build_iota(b, &unit, 0), mx_build_iota(b, &unit, 1));
    return mx_build_broadcast(b, mx_build_cast(b, one, x->dtype), &x->shape);
  }
  for (; b->st == MARS_OK; x = mx_build_matmul(b, x, x)) {
    if (n & 1) result = result == NULL ? x : mx_build_matmul(b, result, x);
    if ((n >>= 1) == 0) break;
  }
  return result;
}

mars_tensor *mars_matrix_power(mars_tensor *a, int64_t n) {
  char text[MX_SHAPE_TEXT];
  mars_tensor *inverse, *t;
  mx_node *node = NULL;
  bool invert = false;
  mx_build b;

  mx_build_open_on(&b, NULL, "matrix_power", &a, 1);
  if (b.st == MARS_OK) {
    const mars_shape *s = &a->node->shape;
    if (s->ndim < 2 || s->dims[s->ndim - 1] != s->dims[s->ndim - 2])
      mx_build_fail(&b, MARS_E_SHAPE, "of shape %s; the last two axes must be those of a square matrix", mx_shape_text(s, text, sizeof text));
    else if (n == INT64_MIN) mx_build_fail(&b, MARS_E_ARG, "to the power of %lld; at least -(2**63 - 1)", (long long)n);
    else if (n < 0) invert = true;
    else node = power(&b, a->node, n);
  }
  t = invert ? NULL : mx_build_close(&b, node, false);
  if (!invert) return t;
  inverse = mars_inv(a);
  mars_release(mx_build_close(&b, a->node, false)); /* gives back what the checks hold */
  return inverse == NULL || n == -1 ? inverse : mars_matrix_power(inverse, -n);
}

/* ---- chains ---- */

typedef struct chain {
  mx_build *b;
  int n;
  mx_node **part;
  const int64_t *edge; /* part i is edge[i] x edge[i + 1] */
  int *split;          /* [n][n]: i..j are multiplied as (i..split) (split + 1..j) */
} chain;

static mx_node *multiply(const chain *c, int i, int j) {
  if (i == j) return c->part[i];
  const int k = c->split[i * c->n + j];
  mx_node *left = multiply(c, i, k), *right = multiply(c, k + 1, j);
  return mx_build_matmul(c->b, left, right);
}

/* The order with the fewest products, by the textbook recurrence over ever longer pieces. */
static mx_node *multiply_best(chain *c) {
  double *cost = mx_calloc(&c->b->session->mem, (size_t)c->n * (size_t)c->n, sizeof *cost);
  mx_node *node = NULL;

  c->split = mx_calloc(&c->b->session->mem, (size_t)c->n * (size_t)c->n, sizeof *c->split);
  if (cost == NULL || c->split == NULL) mx_build_fail(c->b, MARS_E_MEMORY, "no memory for the order of %d operands", c->n);
  else {
    for (int length = 1; length < c->n; length++)
      for (int i = 0, j = length; j < c->n; i++, j++) {
        double best = INFINITY;
        for (int k = i; k < j; k++) {
          const double here = cost[i * c->n + k] + cost[(k + 1) * c->n + j] +
                              (double)c->edge[i] * (double)c->edge[k + 1] * (double)c->edge[j + 1];
          if (here >= best) continue;
          best = here;
          c->split[i * c->n + j] = k;
        }
        cost[i * c->n + j] = best;
      }
    node = multiply(c, 0, c->n - 1);
  }
  mx_free(&c->b->session->mem, cost);
  mx_free(&c->b->session->mem, c->split);
  return node;
}

enum { MOST_LINKS = 1024 };

/* Operand i as a matrix; the first may be a row, the last a column. */
static mx_node *link_of(mx_build *b, mx_node *x, int i, int n) {
  char text[MX_SHAPE_TEXT];

  if (b->st != MARS_OK) return NULL;
  if (x->shape.ndim == 1 && (i == 0 || i == n - 1)) return mx_build_expand(b, x, i == 0 ? 0 : 1);
  if (x->shape.ndim != 2)
    return mx_build_fail(b, MARS_E_SHAPE, "operand %d has shape %s; two axes are needed, the first and the last operand may have one", i + 1,
                         mx_shape_text(&x->shape, text, sizeof text));
  return x;
}

static mx_node *chain_node(mx_build *b, mars_tensor *const *tensors, int n, mx_node **part, int64_t *edge, mx_term *term) {
  char sx[MX_SHAPE_TEXT], sy[MX_SHAPE_TEXT];
  chain c = {.b = b, .n = n, .part = part, .edge = edge};
  mars_shape shape = {0};
  bool weak;

  for (int i = 0; i < n; i++) term[i] = mx_term_of(tensors[i]);
  const mars_dtype dt = mx_build_promote(b, term, n, &weak);
  for (int i = 0; i < n && b->st == MARS_OK; i++) {
    part[i] = link_of(b, mx_build_cast_term(b, &term[i], dt), i, n);
    if (b->st != MARS_OK) return NULL;
    if (i > 0 && part[i]->shape.dims[0] != edge[i])
      return mx_build_fail(b, MARS_E_SHAPE, "shapes %s and %s of operands %d and %d do not fit: %lld columns, %lld rows",
                           mx_shape_text(&term[i - 1].node->shape, sx, sizeof sx), mx_shape_text(&term[i].node->shape, sy, sizeof sy), i,
                           i + 1, (long long)edge[i], (long long)part[i]->shape.dims[0]);
    edge[i] = part[i]->shape.dims[0];
    edge[i + 1] = part[i]->shape.dims[1];
  }
  if (b->st != MARS_OK) return NULL;
  mx_node *node = multiply_best(&c);
  if (term[0].node->shape.ndim == 2) shape.dims[shape.ndim++] = edge[0];
  if (term[n - 1].node->shape.ndim == 2) shape.dims[shape.ndim++] = edge[n];
  return mx_build_reshape(b, node, &shape);
}

mars_tensor *mars_multi_dot(mars_tensor *const *tensors, size_t n) {
  mx_node *node = NULL, **part;
  int64_t *edge;
  mx_term *term;
  mx_build b;

  if (tensors == NULL) n = 0;
  mx_build_open_on(&b, NULL, "multi_dot", tensors, n);
  if (n == 0) return mx_build_close(&b, NULL, false); /* no tensor, no session: NULL */
  if (n < 2 || n > MOST_LINKS) mx_build_fail(&b, MARS_E_ARG, "%zu operands; 2 to %d", n, MOST_LINKS);
  if (b.st == MARS_OK) {
    part = mx_calloc(&b.session->mem, n, sizeof *part);
    edge = mx_calloc(&b.session->mem, n + 1, sizeof *edge);
    term = mx_calloc(&b.session->mem, n, sizeof *term);
    if (part == NULL || edge == NULL || term == NULL) mx_build_fail(&b, MARS_E_MEMORY, "no memory for %zu operands", n);
    else node = chain_node(&b, tensors, (int)n, part, edge, term);
    mx_free(&b.session->mem, part);
    mx_free(&b.session->mem, edge);
    mx_free(&b.session->mem, term);
  }
  return mx_build_close(&b, node, false);
}
