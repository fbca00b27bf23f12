/*
 * QR of any shape by column panels, out of core.
 *
 * A panel is nb columns of the matrix, column-major in one chunk. Groups of panels that fit the budget are brought into memory
 * together; the panels to their left, which are factored already, stream past and apply their reflections to the whole group
 * (left-looking: a panel is written once, when it is done); then the group is factored panel by panel. Reflectors stay below
 * the diagonal of their panel, with their triangular factor T in a small chunk beside it: I - V T V^H (Schreiber and
 * Van Loan 1989). Traffic is about m n (n / (2 p nb)) elements for groups of p panels. q is formed in the same way from panels
 * of the identity, by the reflections in reverse; those that lie below what a panel of q touches are left out.
 *
 * An operand whose chunks are much wider than a group (rows of an earlier job) would be read whole for every group: it is
 * cut into blocks as wide as panels first.
 *
 * r and q are cut into chunks as wide as the panels, so that each is written once.
 */
#include "engine/routines/orthogonal.h"

#include <string.h>

enum { WIDEST = 128, NARROW = 32, FEW = 8 /* panels in a group that are too few to keep threads even */, SHARE = 6 /* panels that must fit at once, with what they are loaded from */ };

typedef struct panels {
  mx_rbuild *b;
  const int64_t *batch;
  int64_t matrix;   /* its number */
  int64_t m, n, k;  /* k reflections */
  int64_t nb, group, count, factored; /* panels of all columns, and of the first k */
  mx_rarg *panel, *t; /* [count], [factored] */
  int64_t strip;      /* rows of the blocks that the operand is cut into first, 0: it is read as it is */
  mx_rarg *block;     /* [strips, count] */
} panels;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Columns of a panel. Few columns are cut into narrower panels, so that less of the work is in the panels themselves. */
static int64_t panel_width(const mx_plan *plan, const mx_pkernel *k) {
  const mars_shape *a = &k->node->operand[0]->shape;
  const int64_t m = a->dims[a->ndim - 2], n = a->dims[a->ndim - 1], most = n < 2048 ? WIDEST / 2 : WIDEST;
  return mx_r_width(plan, m, (int64_t)mars_dtype_bytes(k->dtype), SHARE, NARROW, least(n, most));
}

mars_status mx_qr_panels_grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  const int64_t nb = panel_width(plan, k);
  (void)err;
  for (int i = 0; i < 2; i++) {
    if (k->result[i] < 0) continue;
    mx_pvalue *v = &plan->values.at[k->result[i]];
    const int nd = v->shape.ndim;
    int64_t chunk[MARS_MAX_DIMS] = {0}, rows = plan->chunk_elements / nb;
    for (int d = 0; d < nd - 2; d++) chunk[d] = 1;
    chunk[nd - 2] = least(rows > 0 ? rows : 1, v->shape.dims[nd - 2]);
    chunk[nd - 1] = least(nb, v->shape.dims[nd - 1]);
    mx_grid_init(&v->grid, &v->shape, chunk);
  }
  return MARS_OK;
}

/* Panels that stay in memory while one after another of the others passes by. */
static int64_t group_size(const panels *q) {
  const int64_t arena = (int64_t)q->b->plan->machine->arena_bytes, panel = mx_space_round(q->m * q->nb * q->b->elem);
  int64_t p = (arena / 8 * 7 - 3 * panel) / panel;
  if (p < 1) p = 1;
  return ceil_div(q->count, ceil_div(q->count, p)); /* equal groups instead of a small last one */
}

static int64_t width_of(const panels *q, int64_t columns, int64_t i) { return least(q->nb, columns - i * q->nb); }

/* Reflections of panel j on what stands in `c`, panel i of the matrix or of q: its rows from panel j's first on. */
static void apply(panels *q, int64_t j, mx_rarg *c, int64_t i, unsigned flags) {
  mx_rbuild *b = q->b;
  const int64_t at = j * q->nb, rows = q->m - at, w = width_of(q, q->k, j);
  mx_rarg to = mx_r_sub(b, c, at, 0, rows, c->cols);
  const mx_rarg v = mx_r_sub(b, &q->panel[j], at, 0, rows, w);
  if ((flags & MX_TF_TRANS) && j == 0) flags |= MX_TF_CHECK; /* the panel as it came */
  mx_r_begin(b, MX_TILE_QR_APPLY, flags);
  mx_r_update(b, &to);
  mx_r_read(b, &v);
  mx_r_read(b, &q->t[j]);
  mx_r_p(b, 0, q->group < FEW ? WIDEST / 2 : WIDEST);
  mx_r_p(b, 1, i * q->nb);
  mx_r_end(b, mx_space_round(c->cols * w * b->elem), 4.0 * (double)rows * (double)w * (double)c->cols);
  c->chunk = to.chunk;
}

static void factor(panels *q, int64_t j) {
  mx_rbuild *b = q->b;
  const int64_t at = j * q->nb, rows = q->m - at, w = width_of(q, q->k, j), cols = q->panel[j].cols;
  mx_rarg a = mx_r_sub(b, &q->panel[j], at, 0, rows, cols);
  q->t[j] = mx_r_mat_f(mx_r_temp(b, w * w * b->elem), w, w);
  mx_r_begin(b, MX_TILE_QR_PANEL, j == 0 ? MX_TF_CHECK : 0);
  mx_r_update(b, &a);
  mx_r_write(b, &q->t[j]);
  mx_r_p(b, 1, at);
  mx_r_end(b, mx_space_round((cols > w ? cols - w : 1) * w * b->elem), 2.0 * (double)rows * (double)w * (double)cols);
  q->panel[j].chunk = a.chunk;
}

/* Column `column` of a result's chunks, out of the panel that holds it; upper: with zeros below the diagonal. */
static void copy_out(panels *q, int which, int64_t column, const mx_rarg *panel, bool upper) {
  mx_rbuild *b = q->b;
  const mx_pvalue *v = &b->plan->values.at[b->k->result[which]];
  const int nd = v->shape.ndim;
  const int64_t rows = v->grid.count[nd - 2], cols = v->grid.count[nd - 1];
  mx_r_group_begin(b);
  for (int64_t i = 0; i < rows && b->st == MARS_OK; i++) {
    const int64_t index = (q->matrix * rows + i) * cols + column, first = i * v->grid.chunk[nd - 2], below = first - column * q->nb;
    mx_rarg to = mx_r_result_mat(b, which, index);
    const bool zero = upper && below >= to.cols, triangle = upper && !zero && below + to.rows > 1;
    const mx_rarg from = zero ? to : mx_r_sub(b, panel, first, 0, to.rows, to.cols);
    mx_r_begin(b, zero ? MX_TILE_FILL : triangle ? MX_TILE_TRI : MX_TILE_COPY, triangle ? MX_TF_UPPER : 0);
    mx_r_write(b, &to);
    if (!zero) mx_r_read(b, &from);
    if (triangle) mx_r_p(b, 0, below);
    mx_r_end(b, 0, (double)to.rows * (double)to.cols);
  }
  mx_r_group_end(b);
}

/* ---- the operand ---- */

/* Rows of blocks; 0 where groups read about what they need. */
static int64_t strip_rows(const panels *q, int64_t arena) {
  const int nd = q->b->k->node->operand[0]->shape.ndim;
  const int64_t wide = mx_r_axis_chunk(q->b->plan, q->b->k, 0, nd - 1), high = mx_r_axis_chunk(q->b->plan, q->b->k, 0, nd - 2);
  const int64_t group = q->group * q->nb, groups = ceil_div(q->n, group);
  if (!wide || (group + least(wide, q->n)) * groups < 4 * q->n) return 0;
  int64_t rows = arena / 4 / (q->n * q->b->elem);
  if (high && rows > high) rows -= rows % high;
  return rows > 0 ? least(rows, q->m) : 1;
}

static void cut_into_blocks(panels *q) {
  mx_rbuild *b = q->b;
  for (int64_t s = 0; s * q->strip < q->m && b->st == MARS_OK; s++) {
    const int64_t rows = least(q->strip, q->m - s * q->strip);
    mx_r_group_begin(b);
    for (int64_t i = 0; i < q->count; i++) {
      mx_rarg *block = &q->block[s * q->count + i];
      *block = mx_r_mat_f(mx_r_temp(b, rows * width_of(q, q->n, i) * b->elem), rows, width_of(q, q->n, i));
      mx_r_load(b, 0, q->batch, s * q->strip, i * q->nb, block);
    }
    mx_r_group_end(b);
  }
}

static void load_blocks(panels *q, int64_t i) {
  mx_rbuild *b = q->b;
  mx_rarg to = q->panel[i];
  mx_r_begin(b, MX_TILE_COPY, 0);
  for (int64_t s = 0; s * q->strip < q->m; s++) {
    const mx_rarg *block = &q->block[s * q->count + i];
    to = mx_r_sub(b, &q->panel[i], s * q->strip, 0, block->rows, block->cols);
    mx_r_write(b, &to);
    mx_r_read(b, block);
  }
  mx_r_end(b, 0, (double)to.rows * (double)to.cols);
}

/* Panels [g0, g1) as they are in the operand: band by band, so that what spans several panels is read once. */
static void load_group(panels *q, int64_t g0, int64_t g1) {
  mx_rbuild *b = q->b;
  const int64_t high = mx_r_axis_chunk(b->plan, b->k, 0, b->k->node->operand[0]->shape.ndim - 2), band = high ? high : q->m;
  for (int64_t i = g0; i < g1; i++) {
    q->panel[i] = mx_r_mat_f(mx_r_temp(b, q->m * width_of(q, q->n, i) * b->elem), q->m, width_of(q, q->n, i));
    if (q->strip) load_blocks(q, i);
  }
  for (int64_t at = 0; at < q->m && !q->strip && b->st == MARS_OK; at += band) {
    mx_r_group_begin(b);
    for (int64_t i = g0; i < g1; i++) mx_r_load_rows(b, 0, q->batch, 0, i * q->nb, &q->panel[i], at, least(band, q->m - at));
    mx_r_group_end(b);
  }
}

static void factor_group(panels *q, int64_t g0, int64_t g1) {
  mx_rbuild *b = q->b;
  load_group(q, g0, g1);
  for (int64_t j = 0; j < least(g0, q->factored) && b->st == MARS_OK; j++) {
    mx_r_group_begin(b);
    for (int64_t i = g0; i < g1; i++) apply(q, j, &q->panel[i], i, MX_TF_TRANS);
    mx_r_group_end(b);
  }
  for (int64_t j = g0; j < least(g1, q->factored) && b->st == MARS_OK; j++) {
    factor(q, j);
    if (j + 1 == g1) break;
    mx_r_group_begin(b);
    for (int64_t i = j + 1; i < g1; i++) apply(q, j, &q->panel[i], i, MX_TF_TRANS);
    mx_r_group_end(b);
  }
  for (int64_t i = g0; i < g1 && b->k->result[1] >= 0; i++) copy_out(q, 1, i, &q->panel[i], true);
}

/* Panels [g0, g1) of q. */
static void form_group(panels *q, int64_t columns, int64_t g0, int64_t g1, mx_rarg *c) {
  mx_rbuild *b = q->b;
  for (int64_t i = g0; i < g1; i++) {
    mx_rarg *to = &c[i - g0];
    *to = mx_r_mat_f(mx_r_temp(b, q->m * width_of(q, columns, i) * b->elem), q->m, width_of(q, columns, i));
    mx_r_begin(b, MX_TILE_FILL, 0);
    mx_r_write(b, to);
    mx_r_p(b, 0, 1);
    mx_r_p(b, 1, -i * q->nb);
    mx_r_end(b, 0, (double)to->rows * (double)to->cols);
  }
  for (int64_t j = least(g1, q->factored) - 1; j >= 0 && b->st == MARS_OK; j--) {
    mx_r_group_begin(b);
    for (int64_t i = j > g0 ? j : g0; i < g1; i++) apply(q, j, &c[i - g0], i, 0);
    mx_r_group_end(b);
  }
  for (int64_t i = g0; i < g1; i++) copy_out(q, 0, i, &c[i - g0], false);
}

static void one_matrix(panels *q, mx_rarg *c) {
  mx_rbuild *b = q->b;
  const int64_t needed = b->k->result[1] >= 0 ? q->count : q->factored;
  mx_r_break(b);
  if (q->strip) cut_into_blocks(q);
  for (int64_t g = 0; g < needed && b->st == MARS_OK; g += q->group) factor_group(q, g, least(g + q->group, needed));
  if (b->k->result[0] < 0) return;
  const mars_shape *shape = &b->plan->values.at[b->k->result[0]].shape;
  const int64_t columns = shape->dims[shape->ndim - 1], count = ceil_div(columns, q->nb);
  for (int64_t g = (count - 1) / q->group * q->group; g >= 0 && b->st == MARS_OK; g -= q->group) /* the last panels are at hand */
    form_group(q, columns, g, least(g + q->group, count), c);
}

void mx_qr_panels(mx_rbuild *b) {
  const mars_shape *shape = &b->k->node->operand[0]->shape;
  const int nd = shape->ndim;
  int64_t matrices = 1, batch[MARS_MAX_DIMS] = {0};
  panels q = {.b = b, .batch = batch, .m = shape->dims[nd - 2], .n = shape->dims[nd - 1], .nb = panel_width(b->plan, b->k)};
  q.k = least(q.m, q.n);
  q.count = ceil_div(q.n, q.nb);
  q.factored = ceil_div(q.k, q.nb);
  q.group = group_size(&q);
  q.panel = mx_pool_alloc(&b->plan->pool, (size_t)q.count * sizeof *q.panel);
  q.t = mx_pool_alloc(&b->plan->pool, (size_t)q.factored * sizeof *q.t);
  mx_rarg *c = mx_pool_alloc(&b->plan->pool, (size_t)q.group * sizeof *c);
  q.strip = strip_rows(&q, (int64_t)b->plan->machine->arena_bytes);
  q.block = mx_pool_alloc(&b->plan->pool, (size_t)(q.strip ? ceil_div(q.m, q.strip) * q.count : 0) * sizeof *q.block + 1);
  if (!q.panel || !q.t || !q.block || !c) {
    mx_r_fail(b, MARS_E_MEMORY, "no memory for the engine's own records");
    return;
  }
  b->k->method = "column panels";
  for (int d = 0; d < nd - 2; d++) matrices *= shape->dims[d];
  for (; q.matrix < matrices && b->st == MARS_OK; q.matrix++) {
    mx_r_matrix(b, shape, nd - 2, q.matrix, matrices, batch);
    one_matrix(&q, c);
  }
}
