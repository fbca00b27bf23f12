/* Contractions of labelled tensors. Contract: engine/graph/contract.h. */
#include "engine/graph/contract.h"

#include "engine/session.h"

#include <string.h>

enum { FEW_ROWS = 128 /* a matrix with fewer does not make up for reading the other operand once per batch */ };

static const mx_labelled none = {.node = NULL};

mars_dtype mx_contract_dtype(mars_dtype dt) { return mx_dtype_is_half(dt) ? MARS_F32 : dt; }

uint64_t mx_contract_labels(const mx_labelled *x) {
  uint64_t mask = 0;

  if (x->node == NULL) return 0;
  for (int d = 0; d < x->node->shape.ndim; d++) mask |= (uint64_t)1 << x->label[d];
  return mask;
}

static bool has(uint64_t mask, int label) { return mask >> label & 1; }

static int axis_of(const mx_labelled *x, int label) {
  for (int d = 0; d < x->node->shape.ndim; d++)
    if (x->label[d] == label) return d;
  return -1;
}

/* Axes of extent 1 that are not in `kept` go away. */
static mx_labelled squeeze(mx_build *b, mx_labelled x) {
  mars_shape shape = {0};
  mx_labelled out = none;

  if (b->st != MARS_OK) return none;
  for (int d = 0; d < x.node->shape.ndim; d++) {
    if (x.node->shape.dims[d] == 1) continue;
    out.label[shape.ndim] = x.label[d];
    shape.dims[shape.ndim++] = x.node->shape.dims[d];
  }
  out.node = mx_build_reshape(b, x.node, &shape);
  return out;
}

/* One pair of axes with the same label becomes one axis, the last; false: there is none. */
static bool merge_pair(mx_build *b, mx_labelled *x) {
  const int nd = x->node->shape.ndim;

  for (int p = 0; p < nd; p++)
    for (int q = p + 1; q < nd; q++) {
      if (x->label[p] != x->label[q]) continue;
      mx_labelled out = none;
      int n = 0;
      for (int d = 0; d < nd; d++)
        if (d != p && d != q) out.label[n++] = x->label[d];
      out.label[n] = x->label[p];
      out.node = mx_build_diagonal(b, x->node, p, q, 0);
      *x = out;
      return b->st == MARS_OK;
    }
  return false;
}

mx_labelled mx_contract_label(mx_build *b, mx_node *node, const int8_t *label) {
  mx_labelled x = {.node = node};

  if (b->st != MARS_OK) return none;
  memcpy(x.label, label, (size_t)node->shape.ndim * sizeof *label);
  x = squeeze(b, x);
  while (b->st == MARS_OK && merge_pair(b, &x)) {}
  return b->st == MARS_OK ? x : none;
}

/* Sum in the operand's own dtype: what narrow integers wrap in the end is the same. */
static mx_node *sum_axes(mx_build *b, mx_node *node, uint32_t mask) {
  if (b->st != MARS_OK || mask == 0) return node;
  const mars_dtype dt = node->dtype;
  return mx_build_cast(b, mx_build_reduce(b, dt == MARS_BOOL ? MX_OP_ANY : MX_OP_SUM, node, mask, 0), dt);
}

mx_labelled mx_contract_sum(mx_build *b, mx_labelled x, uint64_t need) {
  mx_labelled out = none;
  uint32_t mask = 0;
  int n = 0;

  if (b->st != MARS_OK) return none;
  for (int d = 0; d < x.node->shape.ndim; d++)
    if (has(need, x.label[d])) out.label[n++] = x.label[d];
    else mask |= 1u << d;
  out.node = sum_axes(b, x.node, mask);
  return out;
}

/* x with the axes label[0..n), those that it does not have with extent 1. */
static mx_node *spread(mx_build *b, const mx_labelled *x, const int8_t *label, int n) {
  mars_shape shape = {.ndim = n};
  mx_view view;

  if (b->st != MARS_OK) return NULL;
  memset(&view, 0, sizeof view);
  for (int i = 0; i < n; i++) {
    const int d = axis_of(x, label[i]);
    shape.dims[i] = d < 0 ? 1 : x->node->shape.dims[d];
    if (d < 0) continue;
    view.axis[d] = (int8_t)i;
    view.step[d] = 1;
  }
  return mx_build_view(b, x->node, &shape, &view);
}

mx_node *mx_contract_arrange(mx_build *b, mx_labelled x, const int8_t *label, int n, const int64_t *extent) {
  mars_shape shape = {.ndim = n};
  mx_node *node = spread(b, &x, label, n);

  for (int i = 0; i < n; i++) shape.dims[i] = extent[label[i]];
  return mx_build_broadcast(b, node, &shape);
}

/* ---- products of two ---- */

/* The labels of two tensors by what becomes of them. */
typedef struct sorted {
  int n_batch, n_x, n_y, n_sum; /* in both and kept; in one; in both and summed */
  int8_t batch[MARS_MAX_DIMS], x[MARS_MAX_DIMS], y[MARS_MAX_DIMS], sum[MARS_MAX_DIMS];
} sorted;

static int64_t extent_of(const mx_labelled *x, int label) { return x->node->shape.dims[axis_of(x, label)]; }

/* Batches and sums in the order of the larger operand, which then has the better chance to be used as it lies. */
static void sort_labels(const mx_labelled *x, const mx_labelled *y, uint64_t need, sorted *s) {
  const mx_labelled *lead = x->node->size >= y->node->size ? x : y;
  const uint64_t in_x = mx_contract_labels(x), in_y = mx_contract_labels(y);

  memset(s, 0, sizeof *s);
  for (int d = 0; d < lead->node->shape.ndim; d++) {
    const int8_t l = lead->label[d];
    if (!has(in_x & in_y, l)) continue;
    if (has(need, l)) s->batch[s->n_batch++] = l;
    else s->sum[s->n_sum++] = l;
  }
  for (int d = 0; d < x->node->shape.ndim; d++)
    if (!has(in_y, x->label[d])) s->x[s->n_x++] = x->label[d];
  for (int d = 0; d < y->node->shape.ndim; d++)
    if (!has(in_x, y->label[d])) s->y[s->n_y++] = y->label[d];
}

/* Element by element, then a reduction: one pass that stores nothing. The axes are those of `wide`, then the other's own. */
static mx_labelled by_elements(mx_build *b, const mx_labelled *wide, const mx_labelled *thin, uint64_t need) {
  mx_labelled all = *wide;
  int n = wide->node->shape.ndim;
  const uint64_t in_wide = mx_contract_labels(wide);

  for (int d = 0; d < thin->node->shape.ndim; d++) {
    if (has(in_wide, thin->label[d])) continue;
    if (n == MARS_MAX_DIMS) {
      mx_build_fail(b, MARS_E_UNSUPPORTED, "an intermediate result would have more than %d axes", MARS_MAX_DIMS);
      return none;
    }
    all.label[n++] = thin->label[d];
  }
  mx_node *p = spread(b, wide, all.label, n), *q = spread(b, thin, all.label, n);
  all.node = b->st == MARS_OK ? mx_build_op2(b, MX_OP_MULTIPLY, p, q) : NULL;
  return mx_contract_sum(b, all, need);
}

/* Which of an operand's own axes is the side of its matrix: one of them, the others being batches in which the other operand
   is repeated; or all of them merged, which is a copy of the operand unless they lie together. */
static int pick_side(const mx_labelled *x, int8_t *own, int n) {
  int best = n - 1;

  for (int i = n - 2; i >= 0; i--)
    if (extent_of(x, own[i]) > extent_of(x, own[best])) best = i;
  if (n > 1 && extent_of(x, own[best]) < FEW_ROWS) return 0;
  const int8_t side = own[best];
  memmove(own + best, own + best + 1, (size_t)(n - 1 - best) * sizeof *own);
  own[n - 1] = side;
  return n - 1;
}

/* x as [.., side, sums] (or [.., sums, side] for y): the axes label[0..n_lead), then two that merge those behind. */
static mx_node *as_matrices(mx_build *b, const mx_labelled *x, const int8_t *lead, int n_lead, const int8_t *rows, int n_rows,
                            const int8_t *cols, int n_cols) {
  int8_t label[3 * MARS_MAX_DIMS];
  mars_shape shape = {.ndim = n_lead + 2};

  if (b->st != MARS_OK) return NULL;
  if (n_lead + n_rows + n_cols > MARS_MAX_DIMS || n_lead + 2 > MARS_MAX_DIMS)
    return mx_build_fail(b, MARS_E_UNSUPPORTED, "an intermediate result would have more than %d axes", MARS_MAX_DIMS);
  memcpy(label, lead, (size_t)n_lead);
  memcpy(label + n_lead, rows, (size_t)n_rows);
  memcpy(label + n_lead + n_rows, cols, (size_t)n_cols);
  mx_node *node = spread(b, x, label, n_lead + n_rows + n_cols);
  if (b->st != MARS_OK) return NULL;
  memcpy(shape.dims, node->shape.dims, (size_t)n_lead * sizeof *shape.dims);
  shape.dims[n_lead] = shape.dims[n_lead + 1] = 1;
  for (int i = 0; i < n_rows; i++) shape.dims[n_lead] *= node->shape.dims[n_lead + i];
  for (int i = 0; i < n_cols; i++) shape.dims[n_lead + 1] *= node->shape.dims[n_lead + n_rows + i];
  return mx_build_reshape(b, node, &shape);
}

static mx_labelled by_matrices(mx_build *b, const mx_labelled *x, const mx_labelled *y, sorted *s) {
  const int ox = pick_side(x, s->x, s->n_x), oy = pick_side(y, s->y, s->n_y); /* own axes that are batches */
  int8_t lead[3 * MARS_MAX_DIMS];
  mx_labelled out = none;
  int n = 0;

  memcpy(lead, s->batch, (size_t)s->n_batch);
  memcpy(lead + s->n_batch, s->x, (size_t)ox);
  memcpy(lead + s->n_batch + ox, s->y, (size_t)oy);
  const int n_lead = s->n_batch + ox + oy;
  mx_node *p = as_matrices(b, x, lead, n_lead, s->x + ox, s->n_x - ox, s->sum, s->n_sum);
  mx_node *q = as_matrices(b, y, lead, n_lead, s->sum, s->n_sum, s->y + oy, s->n_y - oy);
  mx_node *r = mx_build_matmul(b, p, q);
  if (b->st != MARS_OK) return none;
  if (n_lead + s->n_x - ox + s->n_y - oy > MARS_MAX_DIMS) {
    mx_build_fail(b, MARS_E_UNSUPPORTED, "an intermediate result would have more than %d axes", MARS_MAX_DIMS);
    return none;
  }
  mars_shape shape = {0};
  for (int i = 0; i < n_lead; i++) out.label[n] = lead[i], shape.dims[n++] = r->shape.dims[i];
  for (int i = ox; i < s->n_x; i++) out.label[n] = s->x[i], shape.dims[n++] = extent_of(x, s->x[i]);
  for (int i = oy; i < s->n_y; i++) out.label[n] = s->y[i], shape.dims[n++] = extent_of(y, s->y[i]);
  shape.ndim = n;
  out.node = mx_build_reshape(b, r, &shape);
  return out;
}

mx_labelled mx_contract_pair(mx_build *b, mx_labelled x, mx_labelled y, uint64_t need) {
  sorted s;

  if (b->st != MARS_OK) return none;
  x = mx_contract_sum(b, x, need | mx_contract_labels(&y));
  y = mx_contract_sum(b, y, need | mx_contract_labels(&x));
  if (b->st != MARS_OK) return none;
  sort_labels(&x, &y, need, &s);
  if (s.n_sum == 0 || s.n_y == 0) return by_elements(b, &x, &y, need);
  if (s.n_x == 0) return by_elements(b, &y, &x, need);
  return by_matrices(b, &x, &y, &s);
}
