/*
 * Chunk grids: one number of elements per chunk for the whole plan, chosen from budget and sizes; from it the grid of
 * every kernel and value. Kernels follow the grid of what they read in order, so that chunks and tiles coincide.
 */
#include "engine/plan/plan.h"
#include "engine/routine.h"

#include <string.h>

enum { MIN_ELEMENTS = 512, MAX_IO_BYTES = 4 << 20, MAX_ELEMENTS = 1 << 20, SETS_IN_BUDGET = 16,
       LARGE_TILE = 3 << 20, LARGE_SIDE = 2048, /* products of large matrices: larger tiles are packed less often */
       TILES_IN_BUDGET = 40 /* of a product: a block of results that stays, and panels that stream */ };

void mx_strides_c(int ndim, const int64_t *extent, int64_t elem_bytes, int64_t *stride) {
  for (int d = ndim - 1; d >= 0; d--) {
    stride[d] = elem_bytes;
    elem_bytes *= extent[d] > 0 ? extent[d] : 1;
  }
}

int64_t mx_grid_init(mx_grid *grid, const mars_shape *shape, const int64_t *chunk) {
  grid->total = 1;
  for (int d = 0; d < MARS_MAX_DIMS; d++) {
    int64_t n = d < shape->ndim ? shape->dims[d] : 1, c = d < shape->ndim ? chunk[d] : 1;
    if (c < 1) c = 1;
    grid->chunk[d] = c;
    grid->count[d] = (n + c - 1) / c;
    if (__builtin_mul_overflow(grid->total, grid->count[d], &grid->total)) grid->total = INT64_MAX;
  }
  return grid->total;
}

void mx_grid_chunk(const mx_grid *grid, const mars_shape *shape, int64_t index, int64_t *start, int64_t *extent) {
  for (int d = shape->ndim - 1; d >= 0; d--) {
    int64_t at = grid->count[d] > 1 ? index % grid->count[d] : 0;
    if (grid->count[d] > 1) index /= grid->count[d];
    start[d] = at * grid->chunk[d];
    int64_t left = shape->dims[d] - start[d];
    extent[d] = left < grid->chunk[d] ? left : grid->chunk[d];
  }
}

static bool in_arena(const mx_pvalue *v) { return v->kind != MX_PV_MEMORY; }

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

/* Bytes that a tile element keeps in the arena: loads (twice, for gathered ones) and stores. */
static int64_t element_bytes(const mx_plan *plan, const mx_pkernel *k, int64_t *widest) {
  int64_t sum = 0;
  for (int i = 0; i < k->prog.n_in; i++) {
    const mx_pvalue *v = &plan->values.at[k->in[i].value];
    int64_t b = (int64_t)mars_dtype_bytes(v->dtype);
    if (!in_arena(v) || v->shape.ndim == 0) continue;
    if (b > *widest) *widest = b;
    bool same = v->shape.ndim == k->prog.ndim && !memcmp(v->shape.dims, k->prog.space, (size_t)k->prog.ndim * sizeof(int64_t));
    sum += same && !k->in[i].access.linear ? b : 2 * b;
  }
  for (int o = 0; o < k->prog.n_out; o++) {
    const mx_pvalue *v = &plan->values.at[k->out[o].value];
    int64_t b = (int64_t)mars_dtype_bytes(v->dtype);
    if (k->out[o].reduce || !in_arena(v)) continue;
    if (b > *widest) *widest = b;
    sum += b;
  }
  return sum;
}

/* Does the slot read rows of the value along another axis than the kernel runs? */
static bool crosses(const mx_pslot *slot, const mx_pvalue *v) {
  int last = -1;
  if (slot->access.linear || v->kind == MX_PV_MEMORY) return false;
  for (int d = 0; d < v->shape.ndim; d++) {
    int a = slot->access.view.axis[d];
    if (a < 0) continue;
    if (a < last) return true;
    last = a;
  }
  return false;
}

/* The axis along which a slot goes down the rows of a value, an element of each (a diagonal does); -1: it runs along rows. */
static int hops(const mx_pslot *slot, const mx_pvalue *v, const mx_program *prog) {
  int axis = -1;
  if (!slot->access.linear || v->kind == MX_PV_MEMORY || v->shape.ndim < 2) return -1;
  for (int j = 0; j < prog->ndim; j++) {
    int64_t step = slot->access.lstep[j] < 0 ? -slot->access.lstep[j] : slot->access.lstep[j];
    if (step == 0 || prog->space[j] == 1) continue;
    if (step <= v->shape.dims[v->shape.ndim - 1]) return -1;
    axis = j;
  }
  return axis;
}

/* The longest side of products whose every side is long, for which arithmetic is all that counts; 0: there is none. */
static int64_t large_product(const mx_plan *plan) {
  int64_t longest = 0;
  for (int64_t i = 0; i < plan->kernels.n; i++) {
    const mx_pkernel *k = &plan->kernels.at[i];
    if (!k->routine || k->node->op != MX_OP_MATMUL) continue;
    const mars_shape *c = &k->node->shape, *a = &k->node->operand[0]->shape;
    const int64_t side[3] = {c->dims[c->ndim - 2], c->dims[c->ndim - 1], a->dims[a->ndim - 1]};
    if (side[0] < LARGE_SIDE || side[1] < LARGE_SIDE || side[2] < LARGE_SIDE) continue;
    for (int s = 0; s < 3; s++)
      if (side[s] > longest) longest = side[s];
  }
  return longest;
}

void mx_tile_choose(mx_plan *plan) {
  const int64_t large = large_product(plan);
  int64_t arena = (int64_t)plan->machine->arena_bytes, elements = large ? LARGE_TILE : MAX_ELEMENTS;
  plan->evenly = large;
  plan->square = false;
  for (int64_t i = 0; i < plan->kernels.n; i++) {
    const mx_pkernel *k = &plan->kernels.at[i];
    if (k->routine) {
      int64_t e = arena / ((int64_t)mars_dtype_bytes(k->dtype) * TILES_IN_BUDGET);
      plan->square = true;
      if (e < elements) elements = e;
      continue;
    }
    int64_t widest = 1, bytes = element_bytes(plan, k, &widest);
    for (int s = 0; s < k->prog.n_in; s++) {
      const mx_pvalue *v = &plan->values.at[k->in[s].value];
      if (crosses(&k->in[s], v) || hops(&k->in[s], v, &k->prog) >= 0) plan->square = true;
    }
    if (!bytes) continue;
    int64_t e = arena / (bytes * SETS_IN_BUDGET);
    if (e > MAX_IO_BYTES / widest && !large) e = MAX_IO_BYTES / widest;
    if (e < elements) elements = e;
  }
  int64_t p = MIN_ELEMENTS;
  while (p * 2 <= elements) p *= 2;
  if (large && elements > p) p = elements;
  plan->chunk_elements = plan->machine->chunk_elements > 0 ? plan->machine->chunk_elements : p;
}

/* Side of a square chunk. Those of large products are about equal: BLAS is slower in what a last thin one leaves. */
static int64_t square_side(const mx_plan *plan) {
  enum { LINE = 64 };
  int64_t side = 1;
  while ((side + 1) * (side + 1) <= plan->chunk_elements) side++;
  if (side <= LINE || plan->machine->chunk_elements > 0) return side;
  side -= side % LINE;
  if (plan->evenly <= side) return side;
  const int64_t n = (plan->evenly + side - 1) / side, equal = (plan->evenly + n - 1) / n;
  return (equal + 15) / 16 * 16;
}

/* C-order runs of `elements`: chunk = [1, .., 1, r, all, ..]. */
static void runs_chunk(const mx_plan *plan, int64_t elements, const mars_shape *shape, int64_t *chunk) {
  int64_t left = elements, inner = 1;
  bool fixed = plan->machine->chunk_elements > 0;
  for (int d = shape->ndim - 1; d >= 0; d--) {
    int64_t n = shape->dims[d] > 0 ? shape->dims[d] : 1;
    chunk[d] = n < left ? n : left > 0 ? left : 1;
    if (chunk[d] < n && !fixed) {
      int64_t unit = 4096 / gcd(4096, inner); /* whole blocks of a file */
      if (chunk[d] > unit) chunk[d] -= chunk[d] % unit;
    }
    inner *= n;
    left = chunk[d] < n ? 1 : left / n;
  }
}

static void default_chunk(const mx_plan *plan, const mars_shape *shape, int64_t *chunk) {
  runs_chunk(plan, plan->chunk_elements, shape, chunk);
  if (!plan->square || shape->ndim < 2) return;
  int a = shape->ndim - 2, b = shape->ndim - 1;
  int64_t side = square_side(plan);
  for (int d = 0; d < a; d++) chunk[d] = 1;
  int64_t rows = shape->dims[a] < side ? shape->dims[a] : side;
  int64_t cols = plan->chunk_elements / (rows > 0 ? rows : 1);
  chunk[b] = shape->dims[b] < cols ? shape->dims[b] : rows < side ? cols : side;
  if (shape->dims[a] > side && shape->dims[b] > side) { /* squares, so that a transpose reads chunk by chunk */
    chunk[a] = chunk[b] = side;
    return;
  }
  cols = chunk[b] > 0 ? chunk[b] : 1;
  chunk[a] = plan->chunk_elements / cols < shape->dims[a] ? plan->chunk_elements / cols : shape->dims[a];
}

static mars_shape kernel_shape(const mx_pkernel *k) {
  mars_shape s = {.ndim = k->prog.ndim};
  memcpy(s.dims, k->prog.space, sizeof s.dims);
  return s;
}

static bool whole_identity(const mx_pslot *slot, const mx_pvalue *v, const mars_shape *space) {
  if (slot->access.linear || v->shape.ndim != space->ndim) return false;
  for (int d = 0; d < space->ndim; d++) {
    if (v->shape.dims[d] != space->dims[d] || slot->access.view.start[d] != 0) return false;
    if (space->dims[d] != 1 && (slot->access.view.axis[d] != d || slot->access.view.step[d] != 1)) return false;
  }
  return true;
}

/* Does the kernel reduce what lies in the program's own memory, and nothing else? Then its tiles take no room. */
static bool only_reduces(const mx_plan *plan, const mx_pkernel *k) {
  if (!k->prog.reduce_mask || k->scan || plan->square || plan->machine->chunk_elements > 0 || mx_plan_devices(plan)) return false;
  for (int i = 0; i < k->prog.n_in; i++)
    if (in_arena(&plan->values.at[k->in[i].value])) return false;
  for (int o = 0; o < k->prog.n_out; o++)
    if (!k->out[o].reduce) return false;
  return true;
}

/* Large tiles for those: partial results are few, and threads seldom wait for one another. Down the rows of a matrix, narrow
   and tall ones keep the accumulators small. */
static void large_tiles(const mx_plan *plan, const mx_pkernel *k, const mars_shape *space, int64_t *chunk) {
  enum { TIMES = 16, ROWS = 128, LANES = 16384 };
  int last = space->ndim - 1;
  int64_t left = TIMES * plan->chunk_elements, reduced = 1;
  if (!only_reduces(plan, k)) return;
  runs_chunk(plan, left, space, chunk);
  for (int d = 0; d < space->ndim; d++)
    if (k->prog.reduce_mask >> d & 1) reduced *= chunk[d];
  if (last < 1 || (k->prog.reduce_mask >> last & 1) || reduced >= ROWS) return;
  for (int d = last; d >= 0; d--) {
    int64_t most = d == last ? LANES : left;
    if (!(k->prog.reduce_mask >> d & 1) && d != last) most = 1;
    int64_t n = space->dims[d];
    chunk[d] = n < most ? n : most > 0 ? most : 1;
    left /= chunk[d];
  }
}

static mars_status routine_grid(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  mx_grid_init(&k->grid, &(mars_shape){0}, NULL);
  k->edge = square_side(plan);
  for (int i = 0; i < 4; i++) {
    if (k->result[i] < 0) continue;
    mx_pvalue *v = &plan->values.at[k->result[i]];
    int64_t chunk[MARS_MAX_DIMS] = {0};
    v->mirror = false;
    default_chunk(plan, &v->shape, chunk);
    mx_grid_init(&v->grid, &v->shape, chunk);
  }
  return k->routine->grids ? k->routine->grids(plan, k, err) : MARS_OK;
}

/* Routines read a chunk as soon as it is made: it may as well be in cache. */
static bool feeds_routine(const mx_plan *plan, const mx_pkernel *k) {
  for (int64_t i = 0; i < plan->kernels.n; i++)
    for (int s = 0; plan->kernels.at[i].routine && s < plan->kernels.at[i].n_slots; s++)
      for (int o = 0; o < k->prog.n_out; o++)
        if (plan->kernels.at[i].slot[s].value == k->out[o].value) return true;
  return false;
}

/* A tile of a diagonal should need few chunks: it reads next to nothing of each. */
static void short_hops(const mx_plan *plan, const mx_pkernel *k, int64_t *chunk) {
  enum { CHUNKS = 4 };
  for (int i = 0; i < k->prog.n_in; i++) {
    const mx_pvalue *v = &plan->values.at[k->in[i].value];
    int axis = hops(&k->in[i], v, &k->prog);
    if (axis < 0) continue;
    int64_t most = CHUNKS * v->grid.chunk[v->shape.ndim - 2];
    if (chunk[axis] > most) chunk[axis] = most;
  }
}

static void kernel_grid(mx_plan *plan, mx_pkernel *k) {
  mars_shape space = kernel_shape(k);
  int64_t chunk[MARS_MAX_DIMS] = {0};
  const mx_grid *follow = NULL;
  for (int i = 0; i < k->prog.n_in && !follow; i++) {
    const mx_pvalue *v = &plan->values.at[k->in[i].value];
    if (v->kind != MX_PV_MEMORY && v->kind != MX_PV_CONCAT && whole_identity(&k->in[i], v, &space)) follow = &v->grid;
  }
  if (follow) memcpy(chunk, follow->chunk, sizeof chunk);
  else {
    default_chunk(plan, &space, chunk);
    large_tiles(plan, k, &space, chunk);
  }
  if (plan->square) short_hops(plan, k, chunk);
  mx_grid_init(&k->grid, &space, chunk);
  mars_shape kept = {0};
  int64_t kept_chunk[MARS_MAX_DIMS] = {0};
  k->reduced_tiles = 1;
  for (int d = 0; d < space.ndim; d++) {
    if (k->prog.reduce_mask >> d & 1) k->reduced_tiles *= k->grid.count[d];
    else {
      kept_chunk[kept.ndim] = k->grid.chunk[d];
      kept.dims[kept.ndim++] = space.dims[d];
    }
  }
  mx_grid_init(&k->kept_grid, &kept, kept_chunk);
  int64_t bytes = 0;
  for (int i = 0; i < k->prog.n_in; i++) bytes += (int64_t)mars_dtype_bytes(k->prog.in_dtype[i]);
  for (int o = 0; o < k->prog.n_out; o++) {
    mx_pvalue *v = &plan->values.at[k->out[o].value];
    v->grid = k->out[o].reduce ? k->kept_grid : k->grid;
    bytes += k->out[o].reduce ? 0 : (int64_t)mars_dtype_bytes(v->dtype);
  }
  int64_t points = 1;
  for (int d = 0; d < space.ndim; d++) points *= space.dims[d];
  k->big = (double)points * (double)bytes > 4.0 * (double)plan->machine->l2_bytes && !feeds_routine(plan, k);
  for (int i = 0; i < k->prog.n_in; i++) {
    const mx_pvalue *v = &plan->values.at[k->in[i].value];
    k->in[i].identity = !v->mirror && v->kind != MX_PV_MEMORY && v->kind != MX_PV_CONCAT && whole_identity(&k->in[i], v, &space) &&
                        !memcmp(&v->grid, &k->grid, sizeof v->grid);
  }
}

mars_status mx_tile_grids(mx_plan *plan, mars_error *err) {
  int top = 0;
  int64_t total = 0;
  for (int64_t i = 0; i < plan->values.n; i++) {
    mx_pvalue *v = &plan->values.at[i];
    int64_t chunk[MARS_MAX_DIMS] = {0};
    v->even = 0;
    if (v->kind == MX_PV_KEPT) {
      total += v->grid.total;
      continue;
    }
    if (v->kind == MX_PV_FILE || v->kind == MX_PV_NEW) default_chunk(plan, &v->shape, chunk);
    else memcpy(chunk, v->shape.dims, sizeof chunk);
    mx_grid_init(&v->grid, &v->shape, chunk);
    if (v->kind == MX_PV_FILE) total += v->grid.total;
  }
  for (int64_t i = 0; i < plan->kernels.n; i++)
    if (plan->kernels.at[i].level > top) top = plan->kernels.at[i].level;
  for (int level = 0; level <= top; level++)
    for (int64_t i = 0; i < plan->kernels.n; i++)
      if (plan->kernels.at[i].level == level) {
        if (plan->kernels.at[i].routine) {
          mars_status st = routine_grid(plan, &plan->kernels.at[i], err);
          if (st != MARS_OK) return st;
        } else kernel_grid(plan, &plan->kernels.at[i]);
        int64_t t = plan->kernels.at[i].grid.total;
        if (t > INT32_MAX / 8 || __builtin_add_overflow(total, t * (plan->kernels.at[i].prog.n_out + 1), &total)) total = INT64_MAX;
        if (total > INT32_MAX / 2)
          return mx_fail(err, MARS_E_OVERFLOW, "%s: chunks of %lld elements make more than 2^30 chunks; give a larger chunk size",
                         plan->fn, (long long)plan->chunk_elements);
      }
  return MARS_OK;
}
