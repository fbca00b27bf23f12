/*
 * CHOLESKY by tiles of the result, left-looking in blocks of tile columns: the tiles of a block stay in memory while the columns
 * of the factor before them stream past, each read once per block; then the block's own columns are factored. The factor's tiles
 * are the result's chunks: nothing is stored twice. With M bytes of arena about n^3 e / (6 M) elements are read, within a small
 * factor of the bound for products (Irony, Toledo, Tiskin 2004).
 */
#include "engine/routines/lu.h"

typedef struct chol {
  mx_rbuild *b;
  int64_t batch[MARS_MAX_DIMS];
  int64_t n, e, nt;   /* order, edge of a tile, tiles along it */
  int64_t w;          /* tile columns of a block */
  int64_t first;      /* number of the batch's first chunk */
  mx_rarg *tile;      /* [w * nt] of the block: column j - j0, row i */
} chol;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Small enough for eight tiles across, so that there is work side by side, and for a column of tiles to stay in a third of the
   arena. */
static int64_t edge_of(const mx_plan *plan, const mx_pkernel *k, int64_t n) {
  const int64_t elem = (int64_t)mars_dtype_bytes(k->node->dtype), few = (n / 8 + 31) / 32 * 32;
  int64_t e = least(k->edge, few > 128 ? few : 128), column = mx_panels_arena(plan) / 3 / elem / n;
  if (column > 32) column -= column % 32;
  if (e > column) e = column;
  return e < 1 ? 1 : least(e, n);
}

static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  mx_pvalue *v = &plan->values.at[k->result[0]];
  const int nd = v->shape.ndim;
  int64_t chunk[MARS_MAX_DIMS] = {0};
  (void)err;
  for (int d = 0; d < nd - 2; d++) chunk[d] = 1;
  chunk[nd - 1] = chunk[nd - 2] = edge_of(plan, k, v->shape.dims[nd - 1]);
  mx_grid_init(&v->grid, &v->shape, chunk);
  return MARS_OK;
}

static mx_rarg result(const chol *c, int64_t i, int64_t j) { return mx_r_result_mat(c->b, 0, c->first + i * c->nt + j); }

static mx_rarg *tile(const chol *c, int64_t j0, int64_t i, int64_t j) { return &c->tile[(j - j0) * c->nt + i]; }

/* Tile (i, j) of the block takes column k of the factor. */
static void update(const chol *c, mx_rarg *t, int64_t i, int64_t j, int64_t k) {
  mx_rbuild *b = c->b;
  const mx_rarg a = result(c, i, k), right = result(c, j, k), at = mx_r_t(&right);
  mx_r_begin(b, i == j ? MX_TILE_SYRK : MX_TILE_GEMM, MX_TF_NEGATE | (i == j ? MX_TF_HERM : MX_TF_CONJ2));
  mx_r_update(b, t);
  mx_r_read(b, &a);
  if (i != j) mx_r_read(b, &at);
  mx_r_end(b, 0, (i == j ? 1.0 : 2.0) * (double)t->rows * (double)t->cols * (double)a.cols);
}

static void factor_column(const chol *c, int64_t j0, int64_t j) {
  mx_rbuild *b = c->b;
  mx_rarg *d = tile(c, j0, j, j);
  mx_r_begin(b, MX_TILE_CHOL, 0);
  mx_r_p(b, 0, j * c->e);
  mx_r_into(b, d, mx_r_result(b, 0, c->first + j * c->nt + j));
  mx_r_end(b, 0, (double)d->rows * (double)d->rows * (double)d->rows / 3);
  mx_r_group_begin(b);
  for (int64_t i = j + 1; i < c->nt; i++) {
    mx_rarg *t = tile(c, j0, i, j);
    mx_r_begin(b, MX_TILE_TRSM, MX_TF_LOWER | MX_TF_TRANS | MX_TF_CONJ | MX_TF_RIGHT);
    mx_r_into(b, t, mx_r_result(b, 0, c->first + i * c->nt + j));
    mx_r_read(b, d);
    mx_r_end(b, 0, (double)t->rows * (double)t->cols * (double)t->cols);
  }
  mx_r_group_end(b);
}

static void block(const chol *c, int64_t j0, int64_t j1) {
  mx_rbuild *b = c->b;
  mx_r_group_begin(b);
  for (int64_t j = j0; j < j1; j++)
    for (int64_t i = j; i < c->nt && b->st == MARS_OK; i++) {
      mx_rarg *t = tile(c, j0, i, j);
      *t = result(c, i, j);
      t->chunk = mx_r_temp_like(b, t->chunk);
      mx_r_load(b, 0, c->batch, i * c->e, j * c->e, t);
    }
  mx_r_group_end(b);
  for (int64_t k = 0; k < j0 && b->st == MARS_OK; k++) {
    mx_r_group_begin(b);
    for (int64_t i = j0; i < c->nt; i++)
      for (int64_t j = j0; j < j1 && j <= i; j++) update(c, tile(c, j0, i, j), i, j, k);
    mx_r_group_end(b);
  }
  for (int64_t k = j0; k < j1 && b->st == MARS_OK; k++) {
    factor_column(c, j0, k);
    mx_r_group_begin(b);
    for (int64_t j = k + 1; j < j1; j++)
      for (int64_t i = j; i < c->nt; i++) update(c, tile(c, j0, i, j), i, j, k);
    mx_r_group_end(b);
  }
}

/* The result's tiles above the diagonal; nothing waits for them. */
static void zeros(const chol *c) {
  mx_rbuild *b = c->b;
  for (int64_t i = 0; i < c->nt; i++)
    for (int64_t j = i + 1; j < c->nt && b->st == MARS_OK; j++) {
      const mx_rarg t = result(c, i, j);
      mx_r_break(b);
      mx_r_begin(b, MX_TILE_FILL, 0);
      mx_r_write(b, &t);
      mx_r_end(b, 0, (double)(t.rows * t.cols));
    }
  mx_r_break(b);
}

static void tasks(mx_rbuild *b) {
  const mx_pvalue *v = &b->plan->values.at[b->k->result[0]];
  const int nd = v->shape.ndim;
  chol c = {.b = b, .n = v->shape.dims[nd - 1], .e = v->grid.chunk[nd - 1], .nt = v->grid.count[nd - 1]};
  const int64_t room = mx_panels_arena(b->plan) / 10 * 7 / mx_space_round(c.e * c.e * b->elem);
  int64_t batches = 1;
  c.w = (room - 6) / (c.nt + 1);
  c.w = c.w < 1 ? 1 : least(c.w, c.nt);
  const int64_t blocks = (c.nt + c.w - 1) / c.w;
  c.w = (c.nt + blocks - 1) / blocks;
  c.tile = mx_pool_alloc(&b->plan->pool, (size_t)(c.w * c.nt) * sizeof *c.tile);
  if (!c.tile) {
    mx_r_fail(b, MARS_E_MEMORY, "no memory for the engine's own records");
    return;
  }
  for (int d = 0; d < nd - 2; d++) batches *= v->shape.dims[d];
  for (int64_t i = 0; i < batches && b->st == MARS_OK; i++) {
    mx_r_matrix(b, &v->shape, nd - 2, i, batches, c.batch);
    c.first = i * c.nt * c.nt;
    for (int64_t j = 0; j < c.nt && b->st == MARS_OK; j += c.w) block(&c, j, least(j + c.w, c.nt));
    zeros(&c);
  }
}

const mx_routine mx_routine_cholesky = {.op = MX_OP_CHOLESKY, .grids = grids, .tasks = tasks};
