/*
 * MATMUL: c = op(a) op(b) over the last two axes, by tiles of the result that accumulate in place.
 *
 * The result is cut into blocks of p x q tiles that stay in memory while panels of a and b stream past them; each element of a
 * is then read once per block column, each of b once per block row. Blocks are chosen for the least traffic (matmul_layout.c); the
 * bound for square operands is 2 n^3 / sqrt(M) (Hong and Kung 1981; Irony, Toledo, Tiskin 2004). The direction in which the panels
 * run alternates, so that a block begins with the panels that the last one ended with.
 *
 * A symmetric product (b is a's transpose) makes the tiles on and below the diagonal alone. Whoever reads the real one above it
 * reads its mirror image; a Hermitian one gets its upper tiles as conjugate copies.
 */
#include "engine/routines/matmul.h"

#include <string.h>

enum {
  STRIP_ROWS = 2048, STRIP_COLUMNS = 4096 /* bounds what BLAS packs, and the time until a job is cancelled */
};

typedef struct product {
  mx_rbuild *b;
  int nd;                 /* axes of the result */
  int64_t batch[MARS_MAX_DIMS];
  int64_t m, n, k, tr, tc, tk, nr, nc, nk;
  int64_t p, q;           /* tiles of a block */
  int64_t first;          /* number of the batch's first result chunk */
  bool symmetric, hermitian, mirrored;
  bool rows_stream;       /* a's tiles stream past one by one, instead of being in memory as a whole panel */
  unsigned flags;
  int64_t blocks;         /* made so far */
  mx_rarg *c, *pa, *pb;   /* [p * q], [p], [q] */
} product;

static bool in_memory(const mx_plan *plan, const mx_pkernel *k, int slot) {
  const mx_pvalue *v = &plan->values.at[k->slot[slot].value];
  return v->kind == MX_PV_MEMORY && v->producer < 0;
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  const mx_node *node = k->node;
  mx_pvalue *v = &plan->values.at[k->result[0]];
  const int nd = v->shape.ndim;
  if (v->kind == MX_PV_MEMORY && in_memory(plan, k, 0) && in_memory(plan, k, 1) && plan->machine->chunk_elements <= 0) {
    /* nothing is brought into the arena: large tiles, which the device shares among its threads */
    int64_t chunk[MARS_MAX_DIMS] = {0}, m = v->shape.dims[nd - 2], n = v->shape.dims[nd - 1];
    for (int d = 0; d < nd - 2; d++) chunk[d] = 1;
    chunk[nd - 2] = m <= STRIP_ROWS ? m : ceil_div(m, ceil_div(m, STRIP_ROWS));
    chunk[nd - 1] = n <= STRIP_COLUMNS ? n : ceil_div(n, ceil_div(n, STRIP_COLUMNS));
    mx_grid_init(&v->grid, &v->shape, chunk);
  }
  if (node->attr.routine.flags & MX_RF_SYMMETRIC) { /* square chunks, so that mirror images are chunks too */
    int64_t chunk[MARS_MAX_DIMS] = {0};
    for (int d = 0; d < nd; d++) chunk[d] = d < nd - 2 ? 1 : k->edge < v->shape.dims[d] ? k->edge : v->shape.dims[d];
    mx_grid_init(&v->grid, &v->shape, chunk);
    v->mirror = node->dtype < MARS_C64;
  }
  return mx_matmul_layout_choose(plan, k, err);
}

static int64_t extent_of(int64_t n, int64_t t, int64_t i) { return n - i * t < t ? n - i * t : t; }

static void one_tile(product *r, int64_t i, int64_t j, int64_t step, mx_rarg *c, const mx_rarg *a, const mx_rarg *bt) {
  mx_rbuild *b = r->b;
  const int64_t index = r->first + i * r->nc + j;
  const bool first = step == 0, last = step == r->nk - 1, square = r->symmetric && i == j;
  unsigned flags = (r->flags & (MX_TF_CONJ | MX_TF_CONJ2)) | (first ? MX_TF_FIRST : 0);
  if (square) flags = (flags & (MX_TF_FIRST | MX_TF_CONJ)) | (r->hermitian ? MX_TF_HERM : 0) | (last ? MX_TF_MIRROR : 0);
  if (first) {
    *c = mx_r_result_mat(b, 0, index);
    if (!last) c->chunk = mx_r_temp_like(b, c->chunk);
  }
  mx_r_begin(b, square ? MX_TILE_SYRK : MX_TILE_GEMM, flags);
  if (first) mx_r_write(b, c);
  else if (last) mx_r_into(b, c, mx_r_result(b, 0, index));
  else mx_r_update(b, c);
  mx_r_read(b, a);
  if (!square) mx_r_read(b, bt);
  mx_r_end(b, 0, (square ? 1.0 : 2.0) * (double)c->rows * (double)c->cols * (double)a->cols);
}

static void upper_copies(product *r, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
  mx_rbuild *b = r->b;
  mx_r_group_begin(b);
  for (int64_t i = i0; i < i1; i++)
    for (int64_t j = j0; j < j1 && j < i; j++) {
      mx_rarg from = mx_r_result_mat(b, 0, r->first + i * r->nc + j), to = mx_r_result_mat(b, 0, r->first + j * r->nc + i);
      from = mx_r_t(&from);
      mx_r_begin(b, MX_TILE_COPY, r->hermitian ? MX_TF_CONJ : 0);
      mx_r_write(b, &to);
      mx_r_read(b, &from);
      mx_r_end(b, 0, (double)to.rows * (double)to.cols);
    }
  mx_r_group_end(b);
}

/* A block: the tiles [i0, i1) x [j0, j1). */
static void one_block(product *r, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
  mx_rbuild *b = r->b;
  mx_r_break(b);
  for (int64_t step = 0; step < r->nk && b->st == MARS_OK; step++) {
    const int64_t kk = r->blocks & 1 ? r->nk - 1 - step : step, k0 = kk * r->tk, kn = extent_of(r->k, r->tk, kk);
    const int64_t rows = r->rows_stream && !r->symmetric ? 1 : i1 - i0; /* at a time */
    for (int64_t g = i0; g < i1; g += rows) {
      mx_r_group_begin(b);
      for (int64_t i = g; i < g + rows; i++)
        r->pa[i - i0] = mx_r_operand(b, 0, r->batch, i * r->tr, k0, extent_of(r->m, r->tr, i), kn);
      for (int64_t j = j0; j < j1 && g == i0; j++) {
        if (r->symmetric && j >= i0 && j < i1) r->pb[j - j0] = mx_r_t(&r->pa[j - i0]);
        else r->pb[j - j0] = mx_r_operand(b, 1, r->batch, k0, j * r->tc, kn, extent_of(r->n, r->tc, j));
      }
      for (int square = r->symmetric; square >= 0; square--) /* first those that are not cut for threads to end together */
        for (int64_t i = g; i < g + rows; i++)
          for (int64_t j = j0; j < j1 && (!r->symmetric || j <= i); j++)
            if ((r->symmetric && i == j) == square)
              one_tile(r, i, j, step, &r->c[(i - i0) * r->q + j - j0], &r->pa[i - i0], &r->pb[j - j0]);
      mx_r_group_end(b);
    }
  }
  if (r->symmetric && !r->mirrored) upper_copies(r, i0, i1, j0, j1);
  r->blocks++;
}

static void one_matrix(product *r) {
  for (int64_t i = 0; i < r->nr; i += r->p)
    for (int64_t j = 0; j < r->nc && (!r->symmetric || j <= i); j += r->q)
      one_block(r, i, i + r->p < r->nr ? i + r->p : r->nr, j, j + r->q < r->nc ? j + r->q : r->nc);
}

static void tasks(mx_rbuild *b) {
  const mx_node *node = b->k->node;
  const mx_pvalue *v = &b->plan->values.at[b->k->result[0]];
  const mars_shape *a = &node->operand[0]->shape;
  const uint32_t f = node->attr.routine.flags;
  const mx_matmul_layout *own = b->k->own;
  product r = {.b = b, .nd = v->shape.ndim, .symmetric = f & MX_RF_SYMMETRIC, .hermitian = f & MX_RF_HERMITIAN, .mirrored = v->mirror};
  r.flags = (f & MX_RF_CONJ_A ? MX_TF_CONJ : 0) | (f & MX_RF_CONJ_B ? MX_TF_CONJ2 : 0);
  r.m = v->shape.dims[r.nd - 2], r.n = v->shape.dims[r.nd - 1], r.k = a->dims[a->ndim - 1];
  r.tr = v->grid.chunk[r.nd - 2], r.tc = v->grid.chunk[r.nd - 1];
  r.nr = v->grid.count[r.nd - 2], r.nc = v->grid.count[r.nd - 1];
  r.p = own->p, r.q = own->q, r.tk = own->tk, r.rows_stream = own->stream;
  r.nk = ceil_div(r.k, r.tk);
  r.c = mx_pool_alloc(&b->plan->pool, (size_t)(r.p * r.q) * sizeof *r.c);
  r.pa = mx_pool_alloc(&b->plan->pool, (size_t)r.p * sizeof *r.pa);
  r.pb = mx_pool_alloc(&b->plan->pool, (size_t)r.q * sizeof *r.pb);
  if (!r.c || !r.pa || !r.pb) {
    mx_r_fail(b, MARS_E_MEMORY, "no memory for the engine's own records");
    return;
  }
  for (int64_t i = 0, per = r.nr * r.nc; i < v->grid.total / per && b->st == MARS_OK; i++) {
    int64_t at = i;
    for (int d = r.nd - 3; d >= 0; d--) {
      r.batch[d] = at % v->shape.dims[d];
      at /= v->shape.dims[d];
    }
    r.first = i * per;
    one_matrix(&r);
  }
}

const mx_routine mx_routine_matmul = {.op = MX_OP_MATMUL, .grids = grids, .tasks = tasks};
