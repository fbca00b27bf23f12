/*
 * SOLVE_TRIANGULAR by tiles: as many columns of the solution as fit stay in memory while the triangle streams past once, tile column
 * after tile column: one row of tiles is solved, the others take its elimination.
 */
#include "engine/routines/lu.h"

typedef struct triangular {
  mx_rbuild *b;
  int64_t batch[MARS_MAX_DIMS];
  int64_t n, k, e, nt; /* order, right-hand sides, rows of a tile, tiles along them */
  int64_t cw, nc;      /* columns of a tile of the solution, such tiles */
  int64_t w;           /* of them in memory at once */
  int64_t first;
  bool lower;
  unsigned flags;
  mx_rarg *x;          /* [w * nt] */
} triangular;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static bool in_memory(const mx_plan *plan, const mx_pkernel *k, int slot) {
  const mx_pvalue *v = &plan->values.at[k->slot[slot].value];
  return v->kind == MX_PV_MEMORY && v->producer < 0;
}

static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  mx_pvalue *v = &plan->values.at[k->result[0]];
  const int nd = v->shape.ndim;
  const int64_t n = v->shape.dims[nd - 2], elem = (int64_t)mars_dtype_bytes(v->dtype), few = (n / 8 + 31) / 32 * 32;
  int64_t chunk[MARS_MAX_DIMS] = {0}, column = mx_panels_arena(plan) / 3 / elem / n;
  (void)err;
  for (int d = 0; d < nd - 2; d++) chunk[d] = 1;
  chunk[nd - 2] = k->edge; /* as the triangle's tiles, which then stay where they are */
  if (in_memory(plan, k, 0)) chunk[nd - 2] = least(k->edge, few > 128 ? few : 128);
  chunk[nd - 1] = least(k->edge, column > 0 ? column : 1);
  for (int d = nd - 2; d < nd; d++) chunk[d] = least(chunk[d], v->shape.dims[d]);
  mx_grid_init(&v->grid, &v->shape, chunk);
  return MARS_OK;
}

static mx_rarg *tile(const triangular *t, int64_t c0, int64_t i, int64_t c) { return &t->x[(c - c0) * t->nt + i]; }

static int64_t extent(const triangular *t, int64_t i) { return least(t->e, t->n - i * t->e); }

static void load(const triangular *t, int64_t c0, int64_t c1) {
  mx_rbuild *b = t->b;
  mx_r_group_begin(b);
  for (int64_t i = 0; i < t->nt; i++)
    for (int64_t c = c0; c < c1 && b->st == MARS_OK; c++) {
      mx_rarg *x = tile(t, c0, i, c);
      *x = mx_r_result_mat(b, 0, t->first + i * t->nc + c);
      x->chunk = mx_r_temp_like(b, x->chunk);
      mx_r_load(b, 1, t->batch, i * t->e, c * t->cw, x);
    }
  mx_r_group_end(b);
}

static void solve_row(const triangular *t, int64_t k, int64_t c0, int64_t c1) {
  mx_rbuild *b = t->b;
  mx_r_group_begin(b);
  const mx_rarg a = mx_r_operand(b, 0, t->batch, k * t->e, k * t->e, extent(t, k), extent(t, k));
  for (int64_t c = c0; c < c1; c++) {
    mx_rarg *x = tile(t, c0, k, c);
    mx_r_begin(b, MX_TILE_TRSM, t->flags);
    mx_r_p(b, 0, k * t->e);
    mx_r_into(b, x, mx_r_result(b, 0, t->first + k * t->nc + c));
    mx_r_read(b, &a);
    mx_r_end(b, 0, (double)x->rows * (double)x->rows * (double)x->cols);
  }
  mx_r_group_end(b);
}

static void eliminate(const triangular *t, int64_t k, int64_t c0, int64_t c1) {
  mx_rbuild *b = t->b;
  mx_r_group_begin(b);
  for (int64_t i = t->lower ? k + 1 : 0; i < (t->lower ? t->nt : k) && b->st == MARS_OK; i++) {
    const mx_rarg a = mx_r_operand(b, 0, t->batch, i * t->e, k * t->e, extent(t, i), extent(t, k));
    for (int64_t c = c0; c < c1; c++) {
      mx_rarg *x = tile(t, c0, i, c);
      mx_r_begin(b, MX_TILE_GEMM, MX_TF_NEGATE);
      mx_r_update(b, x);
      mx_r_read(b, &a);
      mx_r_read(b, tile(t, c0, k, c));
      mx_r_end(b, 0, 2.0 * (double)x->rows * (double)x->cols * (double)a.cols);
    }
  }
  mx_r_group_end(b);
}

static void tasks(mx_rbuild *b) {
  const mx_pvalue *v = &b->plan->values.at[b->k->result[0]];
  const int nd = v->shape.ndim;
  const uint32_t f = b->k->node->attr.routine.flags;
  triangular t = {.b = b, .n = v->shape.dims[nd - 2], .k = v->shape.dims[nd - 1], .e = v->grid.chunk[nd - 2], .nt = v->grid.count[nd - 2],
                  .cw = v->grid.chunk[nd - 1], .nc = v->grid.count[nd - 1], .lower = f & MX_RF_LOWER};
  int64_t batches = 1;
  t.flags = (t.lower ? MX_TF_LOWER : MX_TF_UPPER) | (f & MX_RF_UNIT ? MX_TF_UNIT : MX_TF_CHECK);
  t.w = mx_panels_arena(b->plan) / 2 / (t.nt * mx_space_round(t.e * t.cw * b->elem));
  t.w = t.w < 1 ? 1 : least(t.w, t.nc);
  t.x = mx_pool_alloc(&b->plan->pool, (size_t)(t.w * t.nt) * sizeof *t.x);
  if (!t.x) {
    mx_r_fail(b, MARS_E_MEMORY, "no memory for the engine's own records");
    return;
  }
  for (int d = 0; d < nd - 2; d++) batches *= v->shape.dims[d];
  for (int64_t i = 0; i < batches; i++) {
    mx_r_matrix(b, &v->shape, nd - 2, i, batches, t.batch);
    t.first = i * t.nt * t.nc;
    for (int64_t c0 = 0; c0 < t.nc && b->st == MARS_OK; c0 += t.w) {
      const int64_t c1 = least(c0 + t.w, t.nc);
      load(&t, c0, c1);
      for (int64_t s = 0; s < t.nt && b->st == MARS_OK; s++) {
        const int64_t k = t.lower ? s : t.nt - 1 - s;
        solve_row(&t, k, c0, c1);
        eliminate(&t, k, c0, c1);
      }
    }
  }
}

const mx_routine mx_routine_solve_triangular = {.op = MX_OP_SOLVE_TRIANGULAR, .grids = grids, .tasks = tasks};
