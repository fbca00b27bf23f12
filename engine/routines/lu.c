/* LU: the factorisation (engine/routines/lu.h), and its results as matrices of their own. */
#include "engine/routines/lu.h"

#include <string.h>

/* ---- factoring ---- */

bool mx_lu_init(mx_lu *f, mx_rbuild *b) {
  const size_t n = (size_t)f->p.count;
  f->b = b;
  if (!mx_panels_fit(b, &f->p)) return false;
  f->window = (mx_rarg){.chunk = -1, .memory = -1};
  f->l = mx_pool_alloc(&b->plan->pool, n * sizeof *f->l);
  f->u = mx_pool_alloc(&b->plan->pool, n * sizeof *f->u);
  f->pivot = mx_pool_alloc(&b->plan->pool, n * sizeof *f->pivot);
  if (f->l && f->u && f->pivot) return true;
  mx_r_fail(b, MARS_E_MEMORY, "no memory for the engine's own records");
  return false;
}

static double work(double rows, double cols, double depth) { return 2 * rows * cols * depth; }

/* The panel that stands in the window, into chunks of its own. */
static void keep(mx_lu *f, int64_t k, int64_t col, bool l, bool u) {
  mx_rbuild *b = f->b;
  const int64_t s = mx_panel_start(&f->p, k), w = mx_panel_cols(&f->p, k), m = f->p.rows;
  if (l) {
    const mx_rarg from = mx_r_sub(b, &f->window, s, s - col, m - s, w);
    f->l[k] = mx_r_mat_f(mx_r_temp(b, (m - s) * w * b->elem), m - s, w);
    mx_r_begin(b, MX_TILE_COPY, 0);
    mx_r_write(b, &f->l[k]);
    mx_r_read(b, &from);
    mx_r_end(b, 0, (double)((m - s) * w));
  }
  if (u) {
    const mx_rarg from = mx_r_sub(b, &f->window, 0, s - col, s + w, w);
    f->u[k] = mx_r_mat_f(mx_r_temp(b, (s + w) * w * b->elem), s + w, w);
    mx_r_begin(b, MX_TILE_COPY, 0);
    mx_r_write(b, &f->u[k]);
    mx_r_read(b, &from);
    mx_r_end(b, 0, (double)((s + w) * w));
  }
}

static void new_pivots(mx_lu *f, int64_t k) {
  const int64_t w = mx_panel_cols(&f->p, k);
  f->pivot[k] = mx_r_mat_f(mx_r_temp(f->b, w * 4), w, 1);
}

static unsigned check_flags(const mx_lu *f) { return (f->check ? MX_TF_CHECK : 0) | (f->transposed ? MX_TF_TRANS : 0); }

static void first_panel(mx_lu *f, int64_t k, int64_t col) {
  mx_rbuild *b = f->b;
  const int64_t s = mx_panel_start(&f->p, k), w = mx_panel_cols(&f->p, k);
  mx_rarg at = mx_r_sub(b, &f->window, s, s - col, f->p.rows - s, w);
  new_pivots(f, k);
  mx_r_begin(b, MX_TILE_LU_PANEL, check_flags(f));
  mx_r_p(b, 0, s);
  mx_r_update(b, &at);
  mx_r_write(b, &f->pivot[k]);
  mx_r_end(b, 0, work((double)at.rows, (double)w, (double)w / 2));
  f->window.chunk = at.chunk;
}

/* Panel k's elimination in the `right` columns behind it, of which `next` are the next panel. */
static void step(mx_lu *f, int64_t k, int64_t col, int64_t right, int64_t next) {
  mx_rbuild *b = f->b;
  const int64_t s = mx_panel_start(&f->p, k), w = mx_panel_cols(&f->p, k);
  mx_rarg at = mx_r_sub(b, &f->window, s, s - col, f->p.rows - s, w + right);
  if (next > 0) new_pivots(f, k + 1);
  mx_r_begin(b, MX_TILE_LU_STEP, check_flags(f));
  mx_r_p(b, 0, w);
  mx_r_p(b, 1, next);
  mx_r_p(b, 2, s + w);
  mx_r_update(b, &at);
  mx_r_read(b, &f->pivot[k]);
  if (next > 0) mx_r_write(b, &f->pivot[k + 1]);
  mx_r_end(b, 0, work((double)at.rows, (double)right, (double)w));
  f->window.chunk = at.chunk;
}

/* One elimination in rows [row, row + rows) of the columns, by a factor and, if there are any, its pivots. */
static void eliminate(mx_lu *f, mx_tile_op op, mx_rarg *columns, int64_t row, int64_t rows, const mx_rarg *factor, const mx_rarg *pivot) {
  mx_rbuild *b = f->b;
  mx_rarg at = mx_r_sub(b, columns, row, 0, rows, columns->cols);
  mx_r_begin(b, op, 0);
  mx_r_update(b, &at);
  mx_r_read(b, factor);
  if (pivot) mx_r_read(b, pivot);
  mx_r_end(b, 0, work((double)at.rows, (double)at.cols, (double)factor->cols));
  columns->chunk = at.chunk;
}

void mx_lu_forward(mx_lu *f, int64_t k, mx_rarg *columns) {
  const int64_t s = mx_panel_start(&f->p, k);
  eliminate(f, MX_TILE_LU_UPDATE, columns, s, f->p.rows - s, &f->l[k], &f->pivot[k]);
}

void mx_lu_back(mx_lu *f, int64_t k, mx_rarg *columns) {
  eliminate(f, MX_TILE_LU_BACK, columns, 0, f->u[k].rows, &f->u[k], NULL);
}

void mx_lu_forward_t(mx_lu *f, int64_t first, int64_t k, mx_rarg *columns) {
  const int64_t r = mx_panel_start(&f->p, first);
  const mx_rarg u = mx_r_sub(f->b, &f->u[k], r, 0, f->u[k].rows - r, f->u[k].cols);
  eliminate(f, MX_TILE_LU_FORWARD_T, columns, r, u.rows, &u, NULL);
}

void mx_lu_back_t(mx_lu *f, int64_t k, mx_rarg *columns) {
  const int64_t s = mx_panel_start(&f->p, k);
  eliminate(f, MX_TILE_LU_BACK_T, columns, s, f->p.rows - s, &f->l[k], &f->pivot[k]);
}

void mx_lu_factor(mx_lu *f) {
  const mx_panels *p = &f->p;
  for (int64_t col = 0; col < p->cols && f->b->st == MARS_OK; col += p->width) {
    const int64_t cols = p->cols - col < p->width ? p->cols - col : p->width, end = col + cols, k0 = col / p->nb;
    const bool later = f->keep_l || end < p->cols;
    mx_panels_load(f->b, f->slot, f->batch, p->rows, p->width, col, cols, &f->window);
    for (int64_t k = 0; k < k0 && k < p->count; k++) mx_lu_forward(f, k, &f->window);
    for (int64_t k = k0; k < p->count && mx_panel_start(p, k) < end; k++) {
      const int64_t s = mx_panel_start(p, k), w = mx_panel_cols(p, k), right = end - s - w;
      const int64_t next = k + 1 < p->count && s + w < end ? mx_panel_cols(p, k + 1) : 0;
      if (k == k0) first_panel(f, k, col);
      keep(f, k, col, later, f->keep_u);
      if (f->on_panel) {
        const mx_rarg at = mx_r_sub(f->b, &f->window, s, s - col, p->rows - s, w);
        f->on_panel(f, k, &at);
      }
      if (right > 0) step(f, k, col, right, next);
    }
    if (f->on_window) f->on_window(f, col, cols);
  }
}

/* ---- the routine ---- */

enum { ORDER, LOWER, UPPER };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void panels_of(const mx_plan *plan, const mx_pkernel *k, mx_panels *p) {
  const mars_shape *a = &k->node->operand[0]->shape;
  mx_panels_choose(plan, a->dims[a->ndim - 2], a->dims[a->ndim - 1], (int64_t)mars_dtype_bytes(k->node->operand[0]->dtype), 1, p);
}

/* Factors are made window by window: their chunks are as wide. */
static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  mx_panels p;
  (void)err;
  panels_of(plan, k, &p);
  for (int which = ORDER; which <= UPPER; which++) {
    if (k->result[which] < 0) continue;
    mx_pvalue *v = &plan->values.at[k->result[which]];
    const int nd = v->shape.ndim;
    int64_t chunk[MARS_MAX_DIMS] = {0};
    for (int d = 0; d < nd; d++) chunk[d] = 1;
    chunk[nd - 1] = which == ORDER ? p.rows : least(p.width, v->shape.dims[nd - 1]);
    if (which != ORDER) {
      const int64_t rows = plan->chunk_elements / chunk[nd - 1];
      chunk[nd - 2] = least(rows > 0 ? rows : 1, v->shape.dims[nd - 2]);
    }
    mx_grid_init(&v->grid, &v->shape, chunk);
  }
  return MARS_OK;
}

typedef struct results {
  int64_t batch; /* number */
} results;

/* Number of the first chunk in the batch's column block `column`, and how many lie below another. */
static int64_t first_of(const mx_rbuild *b, int which, int64_t batch, int64_t column, int64_t *rows, int64_t *cols) {
  const mx_grid *g = &b->plan->values.at[b->k->result[which]].grid;
  const int nd = b->plan->values.at[b->k->result[which]].shape.ndim;
  *rows = g->count[nd - 2], *cols = g->count[nd - 1];
  return batch * *rows * *cols + column;
}

static void upper(mx_lu *f, int64_t col, int64_t cols) {
  mx_rbuild *b = f->b;
  int64_t nr, nc, row = 0;
  const int64_t first = first_of(b, UPPER, ((const results *)f->user)->batch, col / f->p.width, &nr, &nc);
  (void)cols;
  mx_r_group_begin(b);
  for (int64_t i = 0; i < nr && b->st == MARS_OK; i++) {
    const mx_rarg to = mx_r_result_mat(b, UPPER, first + i * nc), from = mx_r_sub(b, &f->window, row, 0, to.rows, to.cols);
    mx_r_begin(b, MX_TILE_TRI, MX_TF_UPPER);
    mx_r_p(b, 0, row - col);
    mx_r_write(b, &to);
    mx_r_read(b, &from);
    mx_r_end(b, 0, (double)(to.rows * to.cols));
    row += to.rows;
  }
  mx_r_group_end(b);
}

/* The order of rows from panel k on, after the exchanges of the panels from `from` on. */
static void order(mx_lu *f, const mx_rarg *to, int64_t k, int64_t from) {
  mx_rbuild *b = f->b;
  mx_r_begin(b, MX_TILE_LU_ORDER, 0);
  mx_r_p(b, 0, mx_panel_start(&f->p, k));
  mx_r_p(b, 1, f->p.nb);
  mx_r_p(b, 2, mx_panel_start(&f->p, from));
  mx_r_write(b, to);
  for (int64_t i = from; i < f->p.count; i++) mx_r_read(b, &f->pivot[i]);
  mx_r_end(b, 0, (double)f->p.rows);
}

static void lower(mx_lu *f, int64_t batch) {
  mx_rbuild *b = f->b;
  const mx_panels *p = &f->p;
  mx_rarg *orders = mx_pool_alloc(&b->plan->pool, (size_t)p->count * sizeof *orders);
  if (!orders) {
    mx_r_fail(b, MARS_E_MEMORY, "no memory for the engine's own records");
    return;
  }
  for (int64_t k = 0; k < p->count; k++) {
    const int64_t rows = p->rows - mx_panel_start(p, k);
    orders[k] = mx_r_mat_f(mx_r_temp(b, rows * 8), rows, 1);
    order(f, &orders[k], k, k + 1);
  }
  int64_t nr, nc;
  for (int64_t col = 0; col < p->factored && b->st == MARS_OK; col += p->width) {
    const int64_t first = first_of(b, LOWER, batch, col / p->width, &nr, &nc), end = least(col + p->width, p->factored);
    int64_t row = 0;
    mx_r_group_begin(b);
    for (int64_t i = 0; i < nr && b->st == MARS_OK; i++) {
      const mx_rarg to = mx_r_result_mat(b, LOWER, first + i * nc);
      mx_r_begin(b, MX_TILE_LU_LOWER, 0);
      mx_r_p(b, 0, row);
      mx_r_p(b, 1, col);
      mx_r_write(b, &to);
      for (int64_t k = col / p->nb; k < p->count && mx_panel_start(p, k) < end; k++) {
        mx_r_read(b, &f->l[k]);
        mx_r_read(b, &orders[k]);
      }
      mx_r_end(b, 0, (double)(to.rows * to.cols));
      row += to.rows;
    }
    mx_r_group_end(b);
  }
}

static void tasks(mx_rbuild *b) {
  const mars_shape *a = &b->k->node->operand[0]->shape;
  int64_t at[MARS_MAX_DIMS] = {0}, n = 1;
  results r = {0};
  mx_lu f = {.slot = 0, .batch = at, .user = &r};
  panels_of(b->plan, b->k, &f.p);
  f.keep_l = b->k->result[LOWER] >= 0;
  if (b->k->result[UPPER] >= 0) f.on_window = upper;
  if (!mx_lu_init(&f, b)) return;
  for (int d = 0; d < a->ndim - 2; d++) n *= a->dims[d];
  for (r.batch = 0; r.batch < n && b->st == MARS_OK; r.batch++) {
    mx_r_matrix(b, a, a->ndim - 2, r.batch, n, at);
    f.window.chunk = -1;
    mx_lu_factor(&f);
    if (b->k->result[LOWER] >= 0) lower(&f, r.batch);
    if (b->k->result[ORDER] >= 0) {
      mx_rarg to = mx_r_result_mat(b, ORDER, r.batch);
      order(&f, &to, 0, 0);
    }
  }
}

const mx_routine mx_routine_lu = {.op = MX_OP_LU, .grids = grids, .tasks = tasks};
