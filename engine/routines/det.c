/* DET: determinant, its sign and the logarithm of its modulus, from the diagonal of LU's upper factor. No factors are kept. */
#include "engine/routines/lu.h"

enum { DET, SIGN, LOGDET, MOST = 4096 };

static void panels_of(const mx_plan *plan, const mx_pkernel *k, mx_panels *p) {
  const mars_shape *a = &k->node->operand[0]->shape;
  mx_panels_choose(plan, a->dims[a->ndim - 2], a->dims[a->ndim - 1], (int64_t)mars_dtype_bytes(k->node->operand[0]->dtype), 1, p);
}

/* Runs of the last batch axis. */
static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  (void)err;
  for (int which = DET; which <= LOGDET; which++) {
    if (k->result[which] < 0) continue;
    mx_pvalue *v = &plan->values.at[k->result[which]];
    const int nd = v->shape.ndim;
    int64_t chunk[MARS_MAX_DIMS] = {0};
    for (int d = 0; d < nd; d++) chunk[d] = 1;
    if (nd > 0) chunk[nd - 1] = v->shape.dims[nd - 1] < MOST ? v->shape.dims[nd - 1] : MOST;
    mx_grid_init(&v->grid, &v->shape, chunk);
  }
  return MARS_OK;
}

typedef struct state {
  mx_rarg diag;
  mx_rarg result[3]; /* chunks being filled, one number after another */
} state;

static void diagonal(mx_lu *f, int64_t k, const mx_rarg *at) {
  state *s = f->user;
  const int64_t w = mx_panel_cols(&f->p, k);
  mx_rarg to = mx_r_sub(f->b, &s->diag, mx_panel_start(&f->p, k), 0, w, 1), from = mx_r_sub(f->b, at, 0, 0, w, w);
  mx_r_begin(f->b, MX_TILE_LU_DIAG, 0);
  if (k == 0) mx_r_write(f->b, &to);
  else mx_r_update(f->b, &to);
  mx_r_read(f->b, &from);
  mx_r_end(f->b, 0, (double)w);
  s->diag.chunk = to.chunk;
}

/* Result `which` of batch number i: the next number of a chunk, or one that nobody looks at. */
static void output(mx_rbuild *b, state *s, int which, int64_t i) {
  const int32_t value = b->k->result[which];
  if (value < 0) {
    mx_rarg to = mx_r_mat(mx_r_temp(b, 16), 1, 1);
    mx_r_write(b, &to);
    return;
  }
  const mx_pvalue *v = &b->plan->values.at[value];
  const int nd = v->shape.ndim;
  const int64_t row = nd > 0 ? v->shape.dims[nd - 1] : 1, run = nd > 0 ? v->grid.chunk[nd - 1] : 1;
  const int64_t per = nd > 0 ? v->grid.count[nd - 1] : 1;
  const int64_t j = i % row, index = i / row * per + j / run, at = j % run;
  const bool last = at == run - 1 || j == row - 1;
  mx_rarg whole = mx_r_result_mat(b, which, index);
  if (at > 0) whole.chunk = s->result[which].chunk;
  else if (!last) whole.chunk = mx_r_temp_like(b, whole.chunk);
  mx_rarg to = mx_r_sub_bytes(&whole, 0, at, 1, 1, (int64_t)mars_dtype_bytes(v->dtype));
  if (at == 0) mx_r_write(b, &to);
  else if (last) mx_r_into(b, &to, mx_r_result(b, which, index));
  else mx_r_update(b, &to);
  s->result[which].chunk = to.chunk;
}

static void tasks(mx_rbuild *b) {
  const mars_shape *a = &b->k->node->operand[0]->shape;
  int64_t at[MARS_MAX_DIMS] = {0}, batches = 1;
  state s = {0};
  mx_lu f = {.slot = 0, .batch = at, .on_panel = diagonal, .user = &s};
  panels_of(b->plan, b->k, &f.p);
  if (!mx_lu_init(&f, b)) return;
  for (int d = 0; d < a->ndim - 2; d++) batches *= a->dims[d];
  for (int64_t i = 0; i < batches && b->st == MARS_OK; i++) {
    mx_r_matrix(b, a, a->ndim - 2, i, batches, at);
    f.window.chunk = -1;
    s.diag = mx_r_mat_f(mx_r_temp(b, f.p.rows * b->elem), f.p.rows, 1);
    mx_lu_factor(&f);
    mx_r_begin(b, MX_TILE_LU_DET, 0);
    for (int which = DET; which <= LOGDET; which++) output(b, &s, which, i);
    mx_r_read(b, &s.diag);
    for (int64_t k = 0; k < f.p.count; k++) mx_r_read(b, &f.pivot[k]);
    mx_r_end(b, 0, (double)f.p.rows);
  }
}

const mx_routine mx_routine_det = {.op = MX_OP_DET, .grids = grids, .tasks = tasks};
