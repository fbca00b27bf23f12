/*
 * SOLVE and INV: right-hand sides, or the identity, in windows of columns that take the eliminations of LU's panels forward and
 * then back. Few right-hand sides stay in memory while the matrix is factored, so that the panels of its lower factor need not be
 * read again.
 *
 * INV gets the transpose of the matrix, b = a^T, and solves the transposed system b^T x = 1: it goes forward with the upper
 * factor, which does not exchange rows, so that what is zero in the identity stays zero and is left out: 2 n^3 flops instead of
 * 8/3 n^3. (Rows of a are also what files hold in one piece.)
 */
#include "engine/routines/lu.h"

typedef struct systems {
  mx_panels p;
  int64_t n, rhs;   /* rows, right-hand sides */
  int64_t width;    /* of them in memory at once */
  bool carried;     /* all of them, beside the factorisation */
  bool inverse;
  mx_rarg window;
} systems;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void choose(const mx_plan *plan, const mx_pkernel *k, systems *s) {
  const mars_shape *a = &k->node->operand[0]->shape, *x = &plan->values.at[k->result[0]].shape;
  const int64_t elem = (int64_t)mars_dtype_bytes(k->node->dtype);
  const int64_t arena = mx_panels_arena(plan);
  *s = (systems){.n = a->dims[a->ndim - 1], .rhs = x->dims[x->ndim - 1], .inverse = k->node->op == MX_OP_INV};
  s->carried = !s->inverse && s->n * s->rhs <= arena / 4 / elem;
  mx_panels_choose(plan, s->n, s->n, elem, s->carried ? 2 : 1, &s->p);
  s->width = s->rhs;
  if (!s->carried) {
    mx_panels q;
    mx_panels_choose(plan, s->n, s->rhs, elem, 1, &q);
    s->width = q.width;
  }
}

static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  mx_pvalue *v = &plan->values.at[k->result[0]];
  const int nd = v->shape.ndim;
  int64_t chunk[MARS_MAX_DIMS] = {0};
  systems s;
  (void)err;
  choose(plan, k, &s);
  for (int d = 0; d < nd - 2; d++) chunk[d] = 1;
  chunk[nd - 1] = s.width;
  chunk[nd - 2] = plan->chunk_elements / s.width > 0 ? least(plan->chunk_elements / s.width, s.n) : 1;
  mx_grid_init(&v->grid, &v->shape, chunk);
  return MARS_OK;
}

static void identity(mx_rbuild *b, systems *s, int64_t col, int64_t cols) {
  const bool fresh = s->window.chunk < 0;
  s->window = mx_r_mat_f(fresh ? mx_r_temp(b, s->n * s->width * b->elem) : s->window.chunk, s->n, cols);
  mx_r_begin(b, MX_TILE_FILL, 0);
  mx_r_p(b, 0, 1);
  mx_r_p(b, 1, -col);
  if (fresh) mx_r_write(b, &s->window);
  else mx_r_update(b, &s->window);
  mx_r_end(b, 0, (double)(s->n * cols));
}

static void load(mx_lu *f, systems *s, int64_t col, int64_t cols) {
  if (s->inverse) identity(f->b, s, col, cols);
  else mx_panels_load(f->b, 1, f->batch, s->n, s->width, col, cols, &s->window);
}

static void carry(mx_lu *f, int64_t k, const mx_rarg *at) {
  systems *s = f->user;
  (void)at;
  mx_lu_forward(f, k, &s->window);
}

static void forward_and_back(mx_lu *f, systems *s, int64_t col) {
  const int64_t n = f->p.count, first = s->inverse ? col / f->p.nb : 0;
  if (s->inverse)
    for (int64_t k = first; k < n; k++) mx_lu_forward_t(f, first, k, &s->window);
  for (int64_t k = 0; k < n && !s->inverse && !s->carried; k++) mx_lu_forward(f, k, &s->window);
  for (int64_t k = n - 1; k >= 0; k--) (s->inverse ? mx_lu_back_t : mx_lu_back)(f, k, &s->window);
}

static void store(mx_lu *f, systems *s, int64_t batch, int64_t col) {
  mx_rbuild *b = f->b;
  const mx_pvalue *v = &b->plan->values.at[b->k->result[0]];
  const int64_t nr = v->grid.count[v->shape.ndim - 2], nc = v->grid.count[v->shape.ndim - 1];
  int64_t row = 0;
  mx_r_group_begin(b);
  for (int64_t i = 0; i < nr && b->st == MARS_OK; i++) {
    const mx_rarg to = mx_r_result_mat(b, 0, (batch * nr + i) * nc + col / s->width);
    const mx_rarg from = mx_r_sub(b, &s->window, row, 0, to.rows, to.cols);
    mx_r_begin(b, MX_TILE_COPY, 0);
    mx_r_write(b, &to);
    mx_r_read(b, &from);
    mx_r_end(b, 0, (double)(to.rows * to.cols));
    row += to.rows;
  }
  mx_r_group_end(b);
}

static void tasks(mx_rbuild *b) {
  const mars_shape *x = &b->plan->values.at[b->k->result[0]].shape;
  int64_t at[MARS_MAX_DIMS] = {0}, batches = 1;
  systems s;
  choose(b->plan, b->k, &s);
  mx_lu f = {.p = s.p, .slot = 0, .batch = at, .keep_l = true, .keep_u = true,
             .check = !(b->k->node->attr.routine.flags & MX_RF_SINGULAR), .transposed = s.inverse, .user = &s};
  if (s.carried) f.on_panel = carry;
  if (!mx_lu_init(&f, b)) return;
  for (int d = 0; d < x->ndim - 2; d++) batches *= x->dims[d];
  for (int64_t i = 0; i < batches && b->st == MARS_OK; i++) {
    mx_r_matrix(b, x, x->ndim - 2, i, batches, at);
    f.window.chunk = s.window.chunk = -1;
    if (s.carried) load(&f, &s, 0, s.rhs);
    mx_lu_factor(&f);
    for (int64_t col = 0; col < s.rhs && b->st == MARS_OK; col += s.width) {
      if (!s.carried) load(&f, &s, col, least(s.width, s.rhs - col));
      forward_and_back(&f, &s, col);
      store(&f, &s, i, col);
    }
  }
}

const mx_routine mx_routine_solve = {.op = MX_OP_SOLVE, .grids = grids, .tasks = tasks};
const mx_routine mx_routine_inv = {.op = MX_OP_INV, .grids = grids, .tasks = tasks};
