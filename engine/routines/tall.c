/*
 * QR and SVD of matrices much taller than wide, in passes over blocks of rows.
 *
 * Level 0, Cholesky QR: the Gram matrix G = A^H A, summed over the blocks with compensation; R = chol(G); then q = A R^-1, and
 * from R = u_r s vh, u = A (R^-1 u_r). Two passes over A, all of it products. The loss of orthogonality grows with the square
 * of A's condition (columns scaled to length one), so CHOL estimates that and asks for another level where it is too much.
 * Level 1, Cholesky QR2 (Fukaya, Nakatsukasa, Yanagisawa, Yamamoto 2014): the same for Q1 = A R1^-1, which is nearly orthogonal
 * and is made anew in each pass; R = R2 R1.
 * Level 2, Householder QR of every block, and of the stacked R factors in a tree (Demmel, Grigori, Hoemmen, Langou 2012); q and
 * u are made from the root to the leaves.
 *
 * n x n matrices are f64 or c128 whatever the matrix' dtype is (the wide dtype); f32 and c64 blocks are multiplied in it too.
 * Which block is added to which accumulator is a matter of shapes, not of threads.
 */
#include "engine/routines/orthogonal.h"
#include "engine/routines/tall.h"

#include <stdio.h>
#include <string.h>

enum { MOST_SIDE = 8 /* blocks side by side */, MOST_FAN = 8 /* R factors in a stack */, SUB_BYTES = 128 << 10, REFLECTORS = 32,
       MOST_COLUMNS = 2048 /* n x n matrices are a matter of one thread */ };

/* How bad a condition may be. Level 0 loses condition^2 u in orthogonality, u of f64: 10 n u is allowed, half of what the rows of
   ops.def promise, which also lets pass what has a common mean (a uniform matrix' condition is about sqrt(3 n)). */
enum { MOST_LEVEL0 = 100, MOST_LEVEL0_NARROW = 4000, MOST_LEVEL1 = 10000000, MOST_SECOND = 4 };

typedef struct tall {
  mx_rbuild *b;
  bool svd;
  int nd;
  int64_t batch[MARS_MAX_DIMS], number; /* of the matrix in the batch */
  int64_t m, n, rows, blocks, wide;     /* rows of a block; bytes of a wide element */
  int64_t side;  /* blocks side by side */
  int64_t parts; /* of a block, that have sums of their own */
} tall;

typedef struct node { /* of the Householder tree */
  mx_rarg v, t, r;
  int64_t children, first; /* 0: a leaf; its children are first, ... of the level below */
  int64_t height;          /* rows in v */
} node;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t wide_bytes(mars_dtype dt) { return dt >= MARS_C64 ? 16 : 8; }

static const mars_shape *operand_shape(const mx_pkernel *k) { return &k->node->operand[0]->shape; }

/* Rows of a chunk of the operand, if its chunks span all columns; 0: they do not, or it has none. */
static int64_t operand_rows(const mx_plan *plan, const mx_pkernel *k) {
  const mx_pslot *s = &k->slot[0];
  const mx_pvalue *v = &plan->values.at[s->value];
  const int nd = v->shape.ndim;
  if ((v->kind == MX_PV_MEMORY && v->producer < 0) || v->kind == MX_PV_CONCAT || nd != operand_shape(k)->ndim) return 0;
  for (int d = 0; d < nd; d++)
    if (s->access.view.axis[d] != d || s->access.view.step[d] != 1 || s->access.view.start[d] != 0) return 0;
  return v->grid.count[nd - 1] == 1 ? v->grid.chunk[nd - 2] : 0;
}

static int64_t block_rows(const mx_plan *plan, const mx_pkernel *k) {
  const mars_shape *a = operand_shape(k);
  const int64_t m = a->dims[a->ndim - 2], n = a->dims[a->ndim - 1], there = operand_rows(plan, k);
  const int64_t want = most(plan->chunk_elements / n, 2 * n);
  if (there >= n && there <= 2 * want) return least(there, m);
  return least(there > 0 && there < want ? ceil_div(want, there) * there : want, m);
}

bool mx_tall_suits(const mx_plan *plan, const mx_pkernel *k) {
  const mars_shape *a = operand_shape(k);
  const int64_t m = a->dims[a->ndim - 2], n = a->dims[a->ndim - 1], wide = wide_bytes(k->dtype);
  const double arena = (double)plan->machine->arena_bytes, small = (double)n * (double)n * (double)wide;
  if (m / 4 < n || ((k->node->attr.routine.flags & MX_RF_COMPLETE) && (k->result[0] >= 0 || k->node->op == MX_OP_QR))) return false;
  return n <= MOST_COLUMNS && small * 14 < arena; /* the decomposition of R, or a block of 2 n rows with what stands beside it */
}

mars_status mx_tall_grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  const int64_t rows = block_rows(plan, k);
  (void)err;
  for (int i = 0; i < 3; i++) {
    if (k->result[i] < 0) continue;
    mx_pvalue *v = &plan->values.at[k->result[i]];
    const int nd = v->shape.ndim, inner = k->node->op == MX_OP_SVD && i == 1 ? 1 : 2;
    int64_t chunk[MARS_MAX_DIMS] = {0};
    for (int d = 0; d < nd; d++) chunk[d] = d < nd - inner ? 1 : v->shape.dims[d];
    if (i == 0) chunk[nd - 2] = rows;
    mx_grid_init(&v->grid, &v->shape, chunk);
  }
  return MARS_OK;
}

/* ---- small matrices ---- */

static mx_rarg wide_temp(const tall *t, int64_t rows) { return mx_r_mat(mx_r_temp(t->b, rows * t->n * t->wide), rows, t->n); }

static mx_rarg wide_part(const tall *t, const mx_rarg *a, int64_t row) {
  return mx_r_sub_bytes(a, row, 0, t->n, t->n, t->wide);
}

/* A result of one chunk per matrix, or memory for it when nobody wants it. */
static mx_rarg small_result(const tall *t, int which, int64_t rows) {
  if (t->b->k->result[which] >= 0) return mx_r_result_mat(t->b, which, t->number);
  return mx_r_mat(mx_r_temp(t->b, rows * t->n * t->wide), rows, t->n);
}

static double cube(const tall *t, double factor) { return factor * (double)t->n * (double)t->n * (double)t->n; }

/* R factor(s) to results, and the matrix X that blocks are multiplied with (or the root's, for reflections). r1: NULL, or R =
   r2 r1. */
static mx_rarg finish(tall *t, const mx_rarg *r2, const mx_rarg *r1, bool reflections) {
  mx_rbuild *b = t->b;
  const int64_t n2 = t->n * t->n;
  mx_rarg x = wide_temp(t, t->n);
  if (t->svd) {
    mx_rarg s = small_result(t, 1, 1), vh = small_result(t, 2, t->n);
    mx_r_begin(b, MX_TILE_TALL_SVD, 0);
    mx_r_p(b, 0, reflections);
    mx_r_write(b, &s);
    mx_r_write(b, &vh);
    mx_r_write(b, &x);
    mx_r_read(b, r2);
    if (r1) mx_r_read(b, r1);
    mx_r_end(b, (6 * n2 + 160 * t->n) * t->wide, cube(t, 26));
    return x;
  }
  mx_rarg r = small_result(t, 1, t->n);
  mx_r_begin(b, MX_TILE_TALL_R, 0);
  mx_r_p(b, 0, reflections);
  mx_r_write(b, &r);
  mx_r_write(b, &x);
  mx_r_read(b, r2);
  if (r1) mx_r_read(b, r1);
  mx_r_end(b, n2 * t->wide, cube(t, 1));
  return x;
}

/* ---- Cholesky ---- */

static mx_rarg block(const tall *t, int64_t i) {
  return mx_r_operand(t->b, 0, t->batch, i * t->rows, 0, least(t->rows, t->m - i * t->rows), t->n);
}

/* R factor of A (r1 NULL) or A r1^-1, whose condition may be `limit`; up to `beyond` level 1 is asked for. */
static mx_rarg cholesky(tall *t, const mx_rarg *r1, int64_t limit, int64_t beyond) {
  mx_rbuild *b = t->b;
  mx_rarg sum[MOST_SIDE], a[MOST_SIDE], r;
  for (int64_t k = 0; k < t->blocks && b->st == MARS_OK; k += t->side) {
    const int64_t count = least(t->side, t->blocks - k);
    mx_r_group_begin(b);
    for (int64_t i = 0; i < count; i++) a[i] = block(t, k + i);
    for (int64_t i = 0; i < count; i++) {
      if (k == 0) sum[i] = wide_temp(t, 2 * t->n * t->parts);
      mx_r_begin(b, MX_TILE_TALL_GRAM, k == 0 ? MX_TF_FIRST : 0);
      if (k == 0) mx_r_write(b, &sum[i]);
      else mx_r_update(b, &sum[i]);
      mx_r_read(b, &a[i]);
      if (r1) mx_r_read(b, r1);
      mx_r_end(b, t->parts * mx_tall_gram_bytes(t->n, t->wide), 2.0 * (r1 ? 2 : 1) * (double)a[i].rows * (double)t->n * (double)t->n);
    }
    mx_r_group_end(b);
  }
  r = wide_temp(t, t->n);
  mx_r_begin(b, MX_TILE_TALL_CHOL, 0);
  mx_r_p(b, 0, limit);
  mx_r_p(b, 1, beyond);
  mx_r_write(b, &r);
  for (int64_t i = 0; i < t->side; i++) mx_r_read(b, &sum[i]);
  mx_r_end(b, 8 * t->n * t->wide, cube(t, 0.5));
  return r;
}

static int64_t most_level0(const tall *t) {
  int64_t k = 1;
  if (t->b->elem < t->wide) return MOST_LEVEL0_NARROW;
  while (k < MOST_LEVEL0 && (k + 1) * (k + 1) <= 10 * t->n) k++;
  return k;
}

static void by_cholesky(tall *t, bool twice) {
  mx_rbuild *b = t->b;
  const mx_rarg r1 = cholesky(t, NULL, twice ? MOST_LEVEL1 : most_level0(t), MOST_LEVEL1);
  const mx_rarg r2 = twice ? cholesky(t, &r1, MOST_SECOND, 0) : r1, x = finish(t, &r2, twice ? &r1 : NULL, false);
  if (b->k->result[0] < 0) return;
  const int64_t room = (int64_t)b->plan->machine->arena_bytes / 8 / mx_tall_panel_bytes(t->n, t->wide);
  const int64_t units = most(1, least(room, MX_TALL_MUL_UNITS));
  for (int64_t i = 0; i < t->blocks && b->st == MARS_OK; i++) {
    mx_r_break(b); /* blocks come in the order in which they are wanted */
    const mx_rarg a = block(t, i);
    mx_rarg u = mx_r_result_mat(b, 0, t->number * t->blocks + i);
    mx_r_break(b);
    mx_r_begin(b, MX_TILE_TALL_MUL, 0);
    mx_r_write(b, &u);
    mx_r_read(b, &a);
    mx_r_read(b, &x);
    if (twice) mx_r_read(b, &r1);
    const bool in_place = a.cs == 1 && !twice && b->elem == t->wide;
    mx_r_p(b, 0, units);
    mx_r_end(b, in_place ? 0 : units * mx_tall_panel_bytes(t->n, t->wide), 2.0 * (twice ? 2 : 1) * (double)a.rows * (double)t->n * (double)t->n);
  }
}

/* ---- Householder ---- */

/* Rows that are factored at a time, in cache; a block that is shorter than wide has rows of zeros below. Devices with memory of
   their own take a block as a whole. */
static int64_t sub_rows(const tall *t, const node *x, int64_t elem) {
  return mx_plan_devices(t->b->plan) ? x->height : most(t->n, SUB_BYTES / (t->n * elem));
}

static void factor(tall *t, node *x, const mx_rarg *from, int64_t n_from, bool wide) {
  mx_rbuild *b = t->b;
  const int64_t elem = wide ? t->wide : b->elem, sub = sub_rows(t, x, elem), nb = least(REFLECTORS, t->n);
  x->v = mx_r_mat(mx_r_temp(b, x->height * t->n * elem), x->height, t->n);
  x->t = mx_r_mat(mx_r_temp(b, ceil_div(x->height, sub) * nb * t->n * elem), ceil_div(x->height, sub) * nb, t->n);
  x->r = wide_temp(t, t->n);
  mx_r_begin(b, MX_TILE_TALL_QR, 0);
  mx_r_p(b, 0, wide);
  mx_r_p(b, 1, sub);
  mx_r_p(b, 2, nb);
  mx_r_write(b, &x->v);
  mx_r_write(b, &x->t);
  mx_r_write(b, &x->r);
  for (int64_t i = 0; i < n_from; i++) mx_r_read(b, &from[i]);
  mx_r_end(b, (t->n + nb) * t->n * elem, 2.0 * (double)x->height * (double)t->n * (double)t->n);
}

static void apply(tall *t, const node *x, const mx_rarg *root, mx_rarg *out, bool wide) {
  mx_rbuild *b = t->b;
  const int64_t elem = wide ? t->wide : b->elem, sub = sub_rows(t, x, elem), nb = least(REFLECTORS, t->n);
  mx_r_break(b);
  mx_r_begin(b, MX_TILE_TALL_APPLY, 0);
  mx_r_p(b, 0, wide);
  mx_r_p(b, 1, sub);
  mx_r_p(b, 2, nb);
  mx_r_write(b, out);
  mx_r_read(b, &x->v);
  mx_r_read(b, &x->t);
  mx_r_read(b, root);
  mx_r_end(b, (t->n + sub + nb) * t->n * elem, 4.0 * (double)x->height * (double)t->n * (double)t->n);
}

static node *leaves(tall *t) {
  mx_rbuild *b = t->b;
  node *leaf = mx_pool_alloc(&b->plan->pool, (size_t)t->blocks * sizeof *leaf);
  mx_rarg a[MOST_SIDE];
  if (!leaf) {
    mx_r_fail(b, MARS_E_MEMORY, "no memory for the engine's own records");
    return NULL;
  }
  for (int64_t k = 0; k < t->blocks && b->st == MARS_OK; k += t->side) {
    const int64_t count = least(t->side, t->blocks - k);
    mx_r_group_begin(b);
    for (int64_t i = 0; i < count; i++) a[i] = block(t, k + i);
    for (int64_t i = 0; i < count; i++) {
      leaf[k + i] = (node){.height = most(a[i].rows, t->n)};
      factor(t, &leaf[k + i], &a[i], 1, false);
    }
    mx_r_group_end(b);
  }
  return leaf;
}

/* Node `i` of a level, `x` the wide matrix that its Q is applied to; level[0] are the leaves. */
static void descend(tall *t, node *const *level, int depth, int64_t i, const mx_rarg *x) {
  const node *at = &level[depth][i];
  if (depth == 0) {
    mx_rarg out = mx_r_result_mat(t->b, 0, t->number * t->blocks + i);
    apply(t, at, x, &out, false);
    return;
  }
  if (at->children == 1) { /* nothing was stacked */
    descend(t, level, depth - 1, at->first, x);
    return;
  }
  mx_rarg parts = wide_temp(t, at->height);
  apply(t, at, x, &parts, true);
  for (int64_t c = 0; c < at->children && t->b->st == MARS_OK; c++) {
    const mx_rarg part = wide_part(t, &parts, c * t->n);
    descend(t, level, depth - 1, at->first + c, &part);
  }
}

static void by_reflections(tall *t) {
  mx_rbuild *b = t->b;
  const int64_t room = (int64_t)b->plan->machine->arena_bytes / 8 / (t->n * t->n * t->wide), fan = most(2, least(room, MOST_FAN));
  node *level[64] = {leaves(t)};
  int depth = 0;
  for (int64_t count = t->blocks; count > 1 && b->st == MARS_OK; depth++) {
    const int64_t up = ceil_div(count, fan);
    node *above = mx_pool_alloc(&b->plan->pool, (size_t)up * sizeof *above);
    if (!above) {
      mx_r_fail(b, MARS_E_MEMORY, "no memory for the engine's own records");
      return;
    }
    for (int64_t i = 0; i < up; i++) {
      mx_rarg from[MOST_FAN];
      above[i] = (node){.first = i * fan, .children = least(fan, count - i * fan)};
      above[i].height = above[i].children * t->n;
      for (int64_t c = 0; c < above[i].children; c++) from[c] = level[depth][above[i].first + c].r;
      if (above[i].children == 1) above[i].r = from[0];
      else factor(t, &above[i], from, above[i].children, true);
    }
    level[depth + 1] = above;
    count = up;
  }
  if (b->st != MARS_OK) return;
  const mx_rarg x = finish(t, &level[depth][0].r, NULL, true);
  if (b->k->result[0] >= 0) descend(t, level, depth, 0, &x);
}

/* ---- */

/* A large block is for all threads, so that those which make its rows also sum them up while they are in cache; small ones, and
   those of devices, which have many threads for each, are taken side by side. */
static void choose_parts(tall *t) {
  const int64_t arena = (int64_t)t->b->plan->machine->arena_bytes, small = t->n * t->n * t->wide;
  const int64_t parts = arena / 12 / (2 * small + mx_tall_gram_bytes(t->n, t->wide)) >> t->b->plan->attempt;
  t->parts = least(least(parts, MX_TALL_GRAM_PARTS), t->rows / (2 * mx_tall_panel(t->n)));
  if (t->parts < 2 || t->b->plan->exact == 2 || mx_plan_devices(t->b->plan)) {
    t->parts = 1;
    t->side = arena / 6 / (t->rows * t->n * t->b->elem * (t->b->plan->exact == 2 ? 2 : 1) + 2 * small);
    t->side = most(1, least(least(t->side, MOST_SIDE), t->blocks) >> t->b->plan->attempt);
  } else {
    t->side = 1;
  }
}

static void each_matrix(mx_rbuild *b, bool svd) {
  static const char *const method[] = {"Cholesky QR (Householder reflections or a second pass where the condition asks for it)",
                                       "Cholesky QR in two passes", "Householder reflections in blocks of rows"};
  const mars_shape *a = operand_shape(b->k);
  const int nd = a->ndim, level = b->plan->exact;
  tall t = {.b = b, .svd = svd, .nd = nd, .m = a->dims[nd - 2], .n = a->dims[nd - 1], .wide = wide_bytes(b->dtype)};
  int64_t count = 1;
  t.rows = block_rows(b->plan, b->k);
  t.blocks = ceil_div(t.m, t.rows);
  choose_parts(&t);
  b->k->method = method[level];
  for (int d = 0; d < nd - 2; d++) count *= a->dims[d];
  for (; t.number < count && b->st == MARS_OK; t.number++) {
    mx_r_matrix(b, a, nd - 2, t.number, count, t.batch);
    mx_r_break(b);
    if (level == 2) by_reflections(&t);
    else by_cholesky(&t, level == 1);
  }
}

void mx_qr_tall(mx_rbuild *b) { each_matrix(b, false); }
void mx_svd_tall(mx_rbuild *b) { each_matrix(b, true); }
