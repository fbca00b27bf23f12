/*
 * Blocks and chunks of a product. Contract: engine/routines/matmul.h.
 *
 * A block of the result of m' x n' elements that stays in memory makes every element of a be read n / n' times and every one
 * of b m / m' times. So the block should have nearly all of the memory, and the panels that stream past it, of depth w, what
 * is left: of b a whole row of tiles, of a tile after tile. Blocks are chosen by their number along each side, so that none is
 * left half empty; the two numbers need not be equal. With r = n / sqrt(M) and R x C blocks, reading and writing are
 * (R + C + 1) / 2r of the bound 2 n^3 / sqrt(M), and R C >= r^2 over the part of M that the block has.
 *
 * Chunks of files that nobody else reads and of the result are cut to measure. Where an operand was made by another pass, or
 * is kept from an earlier job, its chunks are the tiles, and what is chosen is how many of them a block has.
 */
#include "engine/routines/matmul.h"
#include "engine/status.h"


enum {
  MOST_BLOCKS = 512,  /* along a side */
  MOST_TILES = 256,   /* of a block along a side, */
  MOST_OWN = 8,       /* and where they are cut to measure */
  LEAST_DEPTH = 16, ENOUGH_DEPTH = 128, /* BLAS is slow below; what little memory has no room for */
  MOST_TASKS = 500000, /* their records are not in the budget */
  A_TILES = 4         /* of a: used, and loaded ahead */
};

typedef struct operand {
  bool arena;          /* its panels take room there */
  bool ours;           /* its chunks are cut to measure, or it need not be cut */
  int64_t tile, depth; /* not ours: extents of its chunks along the result and along the sums; 0: it is not cut */
} operand;

/* One side of the result: its length, and the way of cutting it that is looked at. */
typedef struct cut {
  int64_t blocks, tiles, tile; /* tiles of `tile` in each block */
} cut;

typedef struct search {
  int64_t m, n, k, elem, enough;
  operand a, b;
  int64_t tr, tc, tk;   /* tiles and depth that are given, 0: to be chosen */
  bool c;               /* the result takes room */
  bool symmetric;
  int64_t least_depth;
  int64_t beside;       /* tiles of the result that its readers need room for */
  double room;
  double cost, merit;   /* of the best so far; merit decides between costs that hardly differ */
  double enough_cost;   /* second pass: what counts as hardly more; < 0: the first */
  cut rows, columns;
  int64_t depth;
  bool stream;
} search;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static double room_of(const search *s, int64_t rows, int64_t columns) {
  return (double)mx_space_round(rows * columns * s->elem);
}

/* Depth of the panels that `left` bytes have room for beside the block, 0: none. */
static int64_t depth_in(const search *s, double left, int64_t of_a, int64_t of_b, int64_t tr, int64_t tc) {
  if (s->tk) return (double)of_a * room_of(s, tr, s->tk) + (double)of_b * room_of(s, s->tk, tc) <= left ? s->tk : 0;
  if (of_a && of_b) tr = tc = most(tr, tc); /* one takes the place of the other */
  const double each = (double)((of_a * tr + of_b * tc) * s->elem);
  int64_t w = each * (double)s->k <= left ? s->k : left > 0 ? (int64_t)(left / each) : 0;
  while (w > 0 && (double)of_a * room_of(s, tr, w) + (double)of_b * room_of(s, w, tc) > left) w--;
  return w < s->least_depth ? 0 : w;
}

/* Tiles cut to measure: deep panels, since every step goes through the whole block, and a few tiles, so that some are written
   while others are worked on. Given ones: small blocks, since a block is alive as a whole, with enough tiles for the threads. */
static double merit_of(const search *s, const cut *rows, const cut *columns, int64_t w, bool stream) {
  const int64_t tiles = rows->tiles * columns->tiles;
  if (!s->tr && !s->tc) return (double)w * (tiles < 4 ? 0.8 : tiles > 32 ? 0.9 : 1);
  return (tiles < s->enough ? -1e12 : -(double)tiles) - (stream ? 1e6 : 0);
}

static void consider(search *s, const cut *rows, const cut *columns, bool stream) {
  const int64_t p = rows->tiles, q = columns->tiles, tr = rows->tile, tc = columns->tile;
  const double tile = s->c ? room_of(s, tr, tc) : 0;
  const int64_t of_a = !s->a.arena ? 0 : stream ? A_TILES : 2 * p, of_b = s->b.arena ? 2 * q : 0;
  const int64_t w = depth_in(s, s->room - (double)(p * q + s->beside) * tile, of_a, of_b, tr, tc);
  if (!w) return;
  const int64_t steps = ceil_div(s->k, w);
  if (!s->tr && !s->tc && (double)(rows->blocks * columns->blocks * p * q) * (double)steps > MOST_TASKS) return;
  const double cost = (s->a.arena ? (double)s->m * (double)columns->blocks : 0) + (s->b.arena ? (double)s->n * (double)rows->blocks : 0);
  const double merit = merit_of(s, rows, columns, w, stream);
  if (s->enough_cost < 0 ? s->cost >= 0 && cost >= s->cost : cost > s->enough_cost || (s->depth && merit <= s->merit)) return;
  s->cost = cost, s->merit = merit;
  s->rows = *rows, s->columns = *columns;
  s->depth = s->tk ? w : ceil_div(s->k, steps); /* chunks that are given are not to be cut again */
  s->stream = stream;
}

/* Columns for these rows. Where their tiles are ours there are as few blocks as fit, or a few more, which leave room for deeper panels. */
static void consider_columns(search *s, const cut *rows) {
  enum { MORE = 3 };
  if (s->symmetric) {
    consider(s, rows, rows, false);
    return;
  }
  if (s->tc) {
    const int64_t nc = ceil_div(s->n, s->tc);
    for (int64_t q = 1; q <= nc && q <= MOST_TILES; q++) {
      const cut columns = {ceil_div(nc, q), q, s->tc};
      if (q > 1 && columns.blocks == ceil_div(nc, q - 1)) continue; /* equal blocks instead of a small last one */
      consider(s, rows, &columns, false);
      consider(s, rows, &columns, true);
    }
    return;
  }
  const double w = (double)(s->tk ? s->tk : s->least_depth), e = (double)s->elem;
  const double per_column = (s->c ? (double)(rows->tiles * rows->tile) * e : 0) + (s->b.arena ? 2 * w * e : 0);
  const double left = s->room - (s->a.arena ? A_TILES * (double)rows->tile * w * e : 0);
  if (left <= 0) return;
  const int64_t fewest = per_column * (double)s->n <= left ? 1 : (int64_t)((double)s->n * per_column / left) + 1;
  for (int64_t blocks = fewest; blocks < fewest + MORE && blocks <= s->n; blocks++)
    for (int64_t q = 1; q <= MOST_OWN && q * blocks <= s->n; q++) {
      const cut columns = {blocks, q, ceil_div(s->n, blocks * q)};
      consider(s, rows, &columns, true);
    }
}

static void look(search *s) {
  enum { FEWEST_MIRRORED = 3 }; /* diagonal tiles are not shared by threads */
  if (s->tr) {
    const int64_t nr = ceil_div(s->m, s->tr);
    for (int64_t p = 1; p <= nr && p <= MOST_TILES; p++) {
      const cut rows = {ceil_div(nr, p), p, s->tr};
      if (p > 1 && rows.blocks == ceil_div(nr, p - 1)) continue;
      consider_columns(s, &rows);
    }
    return;
  }
  for (int64_t blocks = 1; blocks <= MOST_BLOCKS; blocks++)
    for (int64_t p = s->symmetric ? FEWEST_MIRRORED : 1; p <= MOST_OWN && p * blocks <= s->m; p++) {
      const cut rows = {blocks, p, ceil_div(s->m, blocks * p)};
      consider_columns(s, &rows);
    }
}

/* The least traffic, and of what is hardly worse the best otherwise. false: nothing fits. */
static bool find(search *s) {
  s->cost = s->enough_cost = -1;
  look(s);
  if (s->cost < 0) return false;
  s->enough_cost = s->cost * (s->tr || s->tc ? 1.02 : 1.005);
  s->depth = 0;
  look(s);
  return true;
}

/* A part of the budget's side, so that the panels are the same small part of any budget. */
static int64_t least_depth(double elements, int64_t k) {
  enum { PART = 45 };
  int64_t w = LEAST_DEPTH;
  for (int64_t more = 2 * w; more <= ENOUGH_DEPTH && (double)(more * PART) * (double)(more * PART) <= elements; more += LEAST_DEPTH) w = more;
  return least(w, k);
}

/* ---- operands ---- */

/* The dimension of the operand's value that runs along the operand's axis, -1. */
static int dim_along(const mx_pslot *slot, const mx_pvalue *v, int axis) {
  for (int d = 0; d < v->shape.ndim; d++)
    if (slot->access.view.axis[d] == axis) return d;
  return -1;
}

/* A file whose chunks may be what this product likes. */
static bool may_be_cut(const mx_plan *plan, const mx_pkernel *k, int i) {
  const mx_pslot *slot = &k->slot[i];
  const mx_pvalue *v = &plan->values.at[slot->value];
  const int nd = k->node->operand[i]->shape.ndim;
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

static operand operand_of(const mx_plan *plan, const mx_pkernel *k, int i) {
  const mx_pvalue *v = &plan->values.at[k->slot[i].value];
  const int nd = k->node->operand[i]->shape.ndim;
  const bool memory = v->kind == MX_PV_MEMORY && v->producer < 0;
  operand o = {.arena = !memory, .ours = memory || may_be_cut(plan, k, i)};
  if (memory) return o;
  o.tile = mx_r_axis_chunk(plan, k, i, i == 0 ? nd - 2 : nd - 1);
  o.depth = mx_r_axis_chunk(plan, k, i, i == 0 ? nd - 1 : nd - 2);
  return o;
}

/* room: of every chunk, in elements */
static void set_chunks(mx_plan *plan, const mx_pkernel *k, int i, int64_t rows, int64_t columns, int64_t room) {
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
  v->even = room;
}

static double arena_bytes_of(const mx_plan *plan, int value) {
  const mx_pvalue *v = &plan->values.at[value];
  double bytes = (double)mars_dtype_bytes(v->dtype);
  for (int d = 0; d < v->shape.ndim; d++) bytes *= (double)v->shape.dims[d];
  return v->kind == MX_PV_MEMORY ? 0 : bytes;
}

/* Does the product have to move things, and may it say how they are cut? */
static bool out_of_core(const mx_plan *plan, const mx_pkernel *k) {
  const int va = k->slot[0].value, vb = k->slot[1].value;
  const double bytes = arena_bytes_of(plan, va) + (va == vb ? 0 : arena_bytes_of(plan, vb)) + arena_bytes_of(plan, k->result[0]);
  return plan->machine->chunk_elements <= 0 && bytes >= 0.7 * (double)plan->machine->arena_bytes; /* else larger tiles are faster */
}

/* What is given: the chunks of operands that are not to be cut, and otherwise the default ones. */
static void given(const mx_plan *plan, const mx_pkernel *k, search *s) {
  const mx_pvalue *v = &plan->values.at[k->result[0]];
  const int nd = v->shape.ndim;
  const bool one = k->slot[0].value == k->slot[1].value;
  const bool own = out_of_core(plan, k) && (s->a.arena || s->b.arena) && one == s->symmetric && (s->symmetric ? s->a.ours : true);
  s->tr = v->grid.chunk[nd - 2], s->tc = v->grid.chunk[nd - 1];
  if (own && s->a.ours) s->tr = 0;
  if (own && s->b.ours) s->tc = 0;
  if (!s->tr && !s->tc) return;
  if (!own || !s->a.ours) s->tk = s->a.depth;
  if (!own || !s->b.ours) s->tk = most(s->tk, s->b.depth);
  s->tk = s->tk ? least(s->tk, s->k) : s->k; /* not cut: it is addressed where it is */
}

/* Tall tiles that hold whole rows: the host's threads share each, and take its rows through what comes before and after it while they
   are in cache, if that is next to it in the order. */
static bool one_shared_tile(const mx_plan *plan, const search *s) {
  enum { ROWS = 1024 /* of a part that one thread makes */, LEAST_FLOPS = 10000000 };
  if (!s->tr || s->tc < s->n || s->tk < s->k || s->symmetric || mx_plan_devices(plan)) return false;
  return s->tr >= 2 * ROWS * plan->machine->threads && 2.0 * (double)s->tr * (double)s->n * (double)s->k >= LEAST_FLOPS;
}

mars_status mx_matmul_layout_choose(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  mx_pvalue *v = &plan->values.at[k->result[0]];
  const mars_shape *a = &k->node->operand[0]->shape;
  const int nd = v->shape.ndim;
  search s = {.m = v->shape.dims[nd - 2], .n = v->shape.dims[nd - 1], .k = a->dims[a->ndim - 1],
              .elem = (int64_t)mars_dtype_bytes(k->node->dtype), .symmetric = k->node->attr.routine.flags & MX_RF_SYMMETRIC,
              .enough = 2 * plan->machine->threads, .a = operand_of(plan, k, 0), .b = operand_of(plan, k, 1),
              .c = v->kind != MX_PV_MEMORY};
  mx_matmul_layout *own = mx_pool_alloc(&plan->pool, sizeof *own);
  k->own = own;
  if (!own) return MX_NOMEM(err, plan->fn);
  s.least_depth = least_depth((double)plan->machine->arena_bytes / (double)s.elem, s.k);
  given(plan, k, &s);
  const bool measured = !s.tr || !s.tc;
  if (one_shared_tile(plan, &s)) s.enough = 1;
  s.beside = measured ? (v->output < 0 ? 4 : 0) : 3; /* what reads the tiles, and what operands are made from */
  s.room = (measured ? 0.97 : 0.9) * (double)plan->machine->arena_bytes; /* holes between chunks */
  for (int i = 0; i < plan->attempt && measured; i++) s.room *= 0.85;
  if (!find(&s) && measured) { /* then as it comes */
    s.a.ours = s.b.ours = false;
    given(plan, k, &s);
    (void)find(&s);
  }
  if (s.cost < 0) s.rows = (cut){0, 1, s.tr}, s.columns = (cut){0, 1, s.tc}, s.depth = s.tk;
  *own = (mx_matmul_layout){s.rows.tiles, s.columns.tiles, s.depth, s.stream};
  if (s.tr && s.tc) return MARS_OK;
  int64_t chunk[MARS_MAX_DIMS] = {0};
  const int64_t tr = s.rows.tile, tc = s.columns.tile, side = s.a.arena && s.b.arena && !s.tk ? most(tr, tc) : 0;
  for (int d = 0; d < nd - 2; d++) chunk[d] = 1;
  chunk[nd - 2] = least(tr, s.m), chunk[nd - 1] = least(tc, s.n);
  mx_grid_init(&v->grid, &v->shape, chunk);
  v->even = tr * tc;
  if (!s.tr) set_chunks(plan, k, 0, tr, s.depth, most(side, tr) * s.depth);
  if (!s.tc && !s.symmetric) set_chunks(plan, k, 1, s.depth, tc, most(side, tc) * s.depth);
  return MARS_OK;
}
