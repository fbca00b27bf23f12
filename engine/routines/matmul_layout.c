/*
 * Blocks and chunks of a product out of core. Contract: engine/routines/matmul.h.
 *
 * A block of the result of m' x n' elements that stays in memory makes every element of a be read n / n' times and every one
 * of b m / m' times. So the block should have nearly all of the memory, and the panels that stream past it, of depth w, what
 * is left: of b a whole row of tiles, of a tile after tile. Blocks are chosen by their number along each side, so that none is
 * left half empty. What is read and written is then within a quarter of the bound 2 n^3 / sqrt(M) for n of 8 sqrt(M) and more.
 */
#include "engine/routines/matmul.h"
#include "engine/status.h"

enum { MOST_BLOCKS = 512, LEAST_DEPTH = 16, MOST_TASKS = 500000, A_TILES = 4 /* of a: used, and loaded ahead */ };

typedef struct search {
  int64_t m, n, k, elem;
  bool a, b, c;       /* takes room in the arena */
  bool symmetric;
  bool read_on;       /* the result is not only written: its readers need room */
  double room;
  double best;
  int64_t p, q, tr, tc, tk;
} search;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Blocks of p x q tiles, `rows` of them along m. The tiles are square: those of a and b then have one size, and the place of
   one serves the other. */
static void consider(search *s, int64_t rows, int64_t p, int64_t q) {
  const int64_t t = ceil_div(s->m, rows * p), columns = ceil_div(s->n, q * t);
  const double tile = (double)mx_space_round(t * t * s->elem), block = s->c ? (double)(p * q) * tile : 0;
  const double left = s->room - block - (s->c ? (s->read_on ? 4 : 1) * tile : 0);
  const int64_t of_a = !s->a ? 0 : s->symmetric ? 2 * p : A_TILES, of_b = s->b ? 2 * q : 0;
  const double each = (double)((of_a + of_b) * t * s->elem);
  int64_t w = each * (double)s->k <= left ? s->k : left > 0 ? (int64_t)(left / each) : 0;
  while (w > 0 && (double)((of_a + of_b) * mx_space_round(t * w * s->elem)) > left) w--;
  if (w < least(LEAST_DEPTH, s->k)) return;
  const int64_t steps = ceil_div(s->k, w);
  if ((double)(rows * columns * p * q) * (double)steps > MOST_TASKS) return; /* their records are not in the budget */
  const double again = s->symmetric ? 0.5 : 1; /* blocks above the diagonal are not made */
  double cost = (s->a ? (double)s->m * (double)columns : 0) + (s->b ? (double)s->n * (double)rows : 0);
  cost *= (double)s->k * again * (1 + 0.25 / (double)w);
  if (s->best >= 0 && cost >= s->best) return;
  s->best = cost;
  s->p = p, s->q = q, s->tr = s->tc = t;
  s->tk = ceil_div(s->k, steps);
}

static void look(search *s) {
  enum { FEWEST = 3, MOST = 8 };
  for (int64_t rows = 1; rows <= MOST_BLOCKS && rows * FEWEST <= s->m; rows++)
    for (int64_t p = FEWEST; p <= MOST; p++)
      for (int64_t q = s->symmetric ? p : FEWEST; q <= (s->symmetric ? p : MOST); q++) consider(s, rows, p, q);
}

/* ---- operands ---- */

/* The dimension of the operand's value that runs along the operand's axis, -1. */
static int dim_along(const mx_pslot *slot, const mx_pvalue *v, int axis) {
  for (int d = 0; d < v->shape.ndim; d++)
    if (slot->access.view.axis[d] == axis) return d;
  return -1;
}

/* In caller memory, or a file whose chunks may be what this product likes. */
static bool is_free(const mx_plan *plan, const mx_pkernel *k, int i) {
  const mx_pslot *slot = &k->slot[i];
  const mx_pvalue *v = &plan->values.at[slot->value];
  const int nd = k->node->operand[i]->shape.ndim;
  if (v->kind == MX_PV_MEMORY) return true;
  if (v->kind != MX_PV_FILE || slot->access.linear) return false;
  for (int axis = nd - 2; axis < nd; axis++) {
    const int d = dim_along(slot, v, axis);
    if (d < 0 || (slot->access.view.step[d] != 1 && slot->access.view.step[d] != -1)) return false;
    if (slot->access.view.start[d] != 0 && slot->access.view.start[d] != v->shape.dims[d] - 1) return false;
  }
  for (int64_t j = 0; j < plan->kernels.n; j++) {
    const mx_pkernel *o = &plan->kernels.at[j];
    if (o == k) continue;
    for (int s = 0; s < o->prog.n_in; s++)
      if (o->in[s].value == slot->value) return false;
    for (int s = 0; s < o->n_slots; s++)
      if (o->slot[s].value == slot->value) return false;
  }
  return true;
}

static void set_chunks(mx_plan *plan, const mx_pkernel *k, int i, int64_t rows, int64_t columns) {
  const mx_pslot *slot = &k->slot[i];
  mx_pvalue *v = &plan->values.at[slot->value];
  const int nd = k->node->operand[i]->shape.ndim;
  int64_t chunk[MARS_MAX_DIMS];
  if (v->kind != MX_PV_FILE) return;
  for (int d = 0; d < v->shape.ndim; d++) chunk[d] = 1;
  chunk[dim_along(slot, v, nd - 2)] = rows;
  chunk[dim_along(slot, v, nd - 1)] = columns;
  for (int d = 0; d < v->shape.ndim; d++) chunk[d] = least(chunk[d], v->shape.dims[d]);
  mx_grid_init(&v->grid, &v->shape, chunk);
  v->even = true;
}

static double arena_bytes_of(const mx_plan *plan, int value) {
  const mx_pvalue *v = &plan->values.at[value];
  double bytes = (double)mars_dtype_bytes(v->dtype);
  for (int d = 0; d < v->shape.ndim; d++) bytes *= (double)v->shape.dims[d];
  return v->kind == MX_PV_MEMORY ? 0 : bytes;
}

mars_status mx_matmul_layout_choose(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  mx_pvalue *v = &plan->values.at[k->result[0]];
  const mars_shape *a = &k->node->operand[0]->shape;
  const int nd = v->shape.ndim;
  const double arena = (double)plan->machine->arena_bytes;
  search s = {.m = v->shape.dims[nd - 2], .n = v->shape.dims[nd - 1], .k = a->dims[a->ndim - 1], .best = -1,
              .elem = (int64_t)mars_dtype_bytes(k->node->dtype), .symmetric = k->node->attr.routine.flags & MX_RF_SYMMETRIC};
  k->own = NULL;
  if (plan->machine->chunk_elements > 0 || !is_free(plan, k, 0) || !is_free(plan, k, 1)) return MARS_OK;
  const int va = k->slot[0].value, vb = k->slot[1].value;
  s.a = plan->values.at[va].kind == MX_PV_FILE;
  s.b = plan->values.at[vb].kind == MX_PV_FILE;
  s.c = v->kind != MX_PV_MEMORY;
  s.read_on = v->output < 0;
  if ((va == vb) != s.symmetric) return MARS_OK; /* both grids of one file */
  if (!s.a && !s.b) return MARS_OK;
  if (arena_bytes_of(plan, va) + (va == vb ? 0 : arena_bytes_of(plan, vb)) + arena_bytes_of(plan, k->result[0]) < 0.7 * arena)
    return MARS_OK; /* everything fits: larger tiles are faster */
  s.room = 0.96 * arena; /* holes between chunks */
  for (int i = 0; i < plan->attempt; i++) s.room *= 0.85;
  look(&s);
  if (s.best < 0) return MARS_OK;
  mx_matmul_layout *own = mx_pool_alloc(&plan->pool, sizeof *own);
  if (!own) return MX_NOMEM(err, plan->fn);
  *own = (mx_matmul_layout){s.p, s.q, s.tk};
  int64_t chunk[MARS_MAX_DIMS] = {0};
  for (int d = 0; d < nd - 2; d++) chunk[d] = 1;
  chunk[nd - 2] = least(s.tr, s.m), chunk[nd - 1] = least(s.tc, s.n);
  mx_grid_init(&v->grid, &v->shape, chunk);
  v->even = true;
  set_chunks(plan, k, 0, s.tr, s.tk);
  if (!s.symmetric) set_chunks(plan, k, 1, s.tk, s.tc);
  k->own = own;
  return MARS_OK;
}
