/*
 * REDUCE and COMBINE. Contract: host/vm.h.
 *
 * A reduction is [ko][r][ki] points. Its `rows` of lanes = spread * ki (or of a strip of ki) are added lane by lane:
 * MX_LEAF_ROWS rows in order make a leaf, leaves join in a binary counter, splits in a balanced tree, and at the end
 * the `spread` copies of ki fold in halves. spread, leaves and splits depend on the tile's shape alone, and strips do
 * not change what a lane adds up: so neither threads nor the other reductions of a program change a bit.
 * Exact kernels over single rows (counts, positions) need no tree: they have one lane ("flat").
 */
#include "host/vm.h"

#include <stdatomic.h>
#include <string.h>

enum { TEMP_POINTS = 512 };

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }

/* Short lanes: a block is a leaf, so that kernels see all of it at once. */
static bool leaf_blocks(const mx_rshape *g) { return MX_LEAF_ROWS * g->lanes <= MX_LEAF_POINTS; }

/* ---- memory ----
 * A state holds the accumulators of all reduced slots for `lanes` lanes. A worker has one in progress and one for each
 * level of the tree. The call's scratch has one for each (ko, split) where rows are split, and a count of the splits
 * that are still missing for each (ko, strip). */

static size_t slot_bytes(const mx_out *out, int64_t lanes, mx_acc_layout *layout) {
  mx_acc_layout_of(mx_op_row_of(out->desc.op)->acc, out->src, lanes, layout);
  return layout->bytes;
}

static size_t state_bytes(const mx_kernel *k, const int *slots, int n_slots, int64_t lanes) {
  mx_acc_layout layout;
  size_t bytes = 0;

  for (int i = 0; i < n_slots; i++) bytes += slot_bytes(&k->outs[slots[i]], lanes, &layout);
  return bytes;
}

enum { FLAT_BYTES = 64 }; /* of a slot's accumulator of one lane: 16 for each part */

static size_t parts_bytes(int n_slots) { return ((size_t)n_slots * 3 * sizeof(mx_part) + 63) & ~(size_t)63; }

static size_t counters_bytes(const mx_rshape *g) {
  return (size_t)round_up(g->ko * g->strips * (int64_t)sizeof(atomic_int), 64);
}

size_t mx_reduce_scratch(const mx_kernel *k, const mx_rshape *g) {
  if (g->splits <= 1) return 0;
  return counters_bytes(g) + (size_t)(g->ko * g->splits) * state_bytes(k, k->reduce_slots, k->n_reduce, g->ki);
}

size_t mx_reduce_acc_bytes(const mx_prep *prep) {
  const mx_rshape *g = &prep->shape;
  const mx_kernel *k = prep->kernel;
  size_t states = 1;

  if (g->mode == MX_M_SCAN) return (size_t)g->lanes * 16 + 64;
  if (g->mode == MX_M_STREAM) states += (size_t)mx_reduce_levels(g->split_rows);
  return states * state_bytes(k, k->reduce_slots, k->n_reduce, g->lanes) + TEMP_POINTS * 16 +
         2 * parts_bytes(k->n_reduce) + (size_t)k->n_reduce * FLAT_BYTES + 64;
}

void mx_reduce_begin(const mx_prep *prep) {
  const mx_rshape *g = &prep->shape;

  if (g->mode != MX_M_STREAM || g->splits <= 1) return;
  for (int64_t i = 0; i < g->ko * g->strips; i++) atomic_init((atomic_int *)prep->call->scratch + i, (int)g->splits);
}

/* Where the parts of all slots stand in a state of `lanes` lanes; returns its bytes. */
static size_t lay_out_state(const mx_run *run, int64_t lanes, mx_part *parts) {
  size_t base = 0;

  for (int i = 0; i < run->n_slots; i++, parts += 3) {
    mx_acc_layout layout;
    size_t bytes = slot_bytes(&run->kernel->outs[run->slots[i]], lanes, &layout);

    for (int p = 0; p < 3; p++) {
      parts[p].offset = base + (p < layout.n_parts ? layout.offset[p] : 0);
      parts[p].bytes = p < layout.n_parts ? mars_dtype_bytes(layout.dtype[p]) : 0;
    }
    base += bytes;
  }
  return base;
}

/* Parts of slot number i in a state, from lane `at` on. */
static inline void parts_of(const mx_part *parts, int i, char *state, int64_t at, char **part) {
  for (int p = 0; p < 3; p++) part[p] = state + parts[3 * i + p].offset + (size_t)at * parts[3 * i + p].bytes;
}

static const mx_reducer *reducer_of(const mx_run *run, int i) { return run->kernel->outs[run->slots[i]].reducer; }

/* Whether slot number i has one lane beside the tree. */
static bool is_flat(const mx_run *run, int i) { return run->flat != NULL && reducer_of(run, i)->flat != NULL; }

static void flat_parts(const mx_run *run, int i, char **part) {
  for (int p = 0; p < 3; p++) part[p] = run->flat + i * FLAT_BYTES + 16 * p;
}

static void set_up(mx_run *run, int64_t lanes, int levels) {
  char *at = run->work->acc;
  bool flat = run->prep->shape.mode == MX_M_STREAM && run->prep->shape.ki == 1;

  run->temp = at;
  at += TEMP_POINTS * 16;
  run->parts = (mx_part *)at;
  at += parts_bytes(run->n_slots);
  run->joined = (mx_part *)at;
  at += parts_bytes(run->n_slots);
  run->flat = flat ? at : NULL;
  run->all_flat = flat;
  at += run->n_slots * FLAT_BYTES;
  for (int i = 0; i < run->n_slots; i++) {
    char *part[3];

    run->all_flat &= is_flat(run, i);
    if (!is_flat(run, i)) continue;
    flat_parts(run, i, part);
    reducer_of(run, i)->none(1, part);
  }
  if (run->lanes != lanes) run->state_bytes = lay_out_state(run, lanes, run->parts);
  run->lanes = lanes;
  run->cur = at;
  for (int i = 0; i < levels; i++) run->tree[i] = at += run->state_bytes;
  run->pos = run->k = run->row = run->leaves = 0;
  run->leaf4 = lanes == 64;
  for (int i = 0; i < run->n_slots; i++) run->leaf4 &= !is_flat(run, i) && reducer_of(run, i)->leaf4 != NULL;
}

/* ---- results ---- */

/* Index over the tile's reduced points -> index over the space's, both in C order. */
static int64_t space_index(const mx_run *run, int64_t index) {
  const mx_kernel *k = run->kernel;
  int64_t out = 0, scale = 1;

  if (index < 0) return index;
  for (int d = k->ndim - 1; d >= 0; d--) {
    if (!(k->mask >> d & 1)) continue;
    out += (run->call->origin[d] + index % run->call->shape[d]) * scale;
    index /= run->call->shape[d];
    scale *= k->space[d];
  }
  return out;
}

static bool covers_space(const mx_run *run) {
  for (int d = 0; d < run->kernel->ndim; d++)
    if ((run->kernel->mask >> d & 1) && run->call->shape[d] != run->kernel->space[d]) return false;
  return true;
}

/* n lanes of slot's accumulator become elements [at, at + n) of the result at base. */
static void emit(mx_run *run, int slot, char *base, char *const *part, int64_t kept, int64_t at, int64_t n) {
  const mx_out *out = &run->kernel->outs[slot];
  mx_acc_layout layout;
  char *left[3] = {part[0], part[1], part[2]};
  size_t es = mars_dtype_bytes(out->desc.dtype);

  slot_bytes(out, kept, &layout);
  if (!(run->call->final_mask >> slot & 1)) {
    for (int p = 0; p < layout.n_parts; p++) {
      size_t bytes = mars_dtype_bytes(layout.dtype[p]);

      memcpy(base + layout.offset[p] + (size_t)at * bytes, part[p], (size_t)n * bytes);
    }
    return;
  }
  while (n > 0) {
    int64_t len = min64(n, TEMP_POINTS);
    char *dst = base + (size_t)at * es;

    mx_reduce_finish(out->desc.op, out->src, len, left, run->kernel->n_reduced, out->desc.ddof,
                     out->cast != NULL ? run->temp : dst);
    if (out->cast != NULL) out->cast(len, dst, run->temp, NULL, NULL);
    for (int p = 0; p < layout.n_parts; p++) left[p] += (size_t)len * mars_dtype_bytes(layout.dtype[p]);
    at += len;
    n -= len;
  }
}

/* The same for every slot of a state, from lane `from` on. */
static void emit_state(mx_run *run, const mx_part *parts, char *state, int64_t from, int64_t at, int64_t n) {
  int64_t kept = run->prep->shape.ko * run->prep->shape.ki;
  bool whole = covers_space(run);

  for (int i = 0; i < run->n_slots; i++) {
    const mx_out *out = &run->kernel->outs[run->slots[i]];
    char *part[3];

    parts_of(parts, i, state, from, part);
    if (out->reducer->has_index && !whole)
      for (int64_t l = 0; l < n; l++) ((int64_t *)part[1])[l] = space_index(run, ((int64_t *)part[1])[l]);
    emit(run, run->slots[i], run->call->out[run->slots[i]].base, part, kept, at, n);
  }
}

/* ---- the tree ---- */

static void merge_states(const mx_run *run, const mx_part *parts, char *a, char *b, int64_t from_a, int64_t from_b,
                         int64_t n) {
  for (int i = 0; i < run->n_slots; i++) {
    char *pa[3], *pb[3];

    if (parts == run->parts && is_flat(run, i)) continue;
    parts_of(parts, i, a, from_a, pa);
    parts_of(parts, i, b, from_b, pb);
    reducer_of(run, i)->merge(n, pa, pb);
  }
}

/* The state in progress, of 2^level leaves, joins the binary counter, which holds a multiple of as many; `cur` is then
   free. */
static void push_leaves(mx_run *run, int level) {
  int64_t c = run->leaves >> level;

  run->leaves += (int64_t)1 << level;
  for (; c & 1; c >>= 1, level++) {
    char *t = run->tree[level];

    merge_states(run, run->parts, t, run->cur, 0, 0, run->lanes);
    run->tree[level] = run->cur;
    run->cur = t;
  }
  {
    char *t = run->tree[level];

    run->tree[level] = run->cur;
    run->cur = t;
  }
  run->k = run->pos = 0;
}

static void push_leaf(mx_run *run) { push_leaves(run, 0); }

/* What cols leaves to us, and leaf does not: counts of a leaf, and lanes that took nothing. */
static void close_leaf(mx_run *run) {
  for (int i = 0; i < run->n_slots; i++) {
    const mx_reducer *red = reducer_of(run, i);
    char *part[3];

    if (is_flat(run, i)) continue;
    parts_of(run->parts, i, run->cur, 0, part);
    if (red->fixed_count && !(run->k == MX_LEAF_ROWS && red->leaf != NULL && leaf_blocks(&run->prep->shape)))
      for (int64_t l = 0; l < run->lanes; l++) ((int64_t *)part[2])[l] = run->k + (l < run->pos);
    if (run->k > 0 || (red->ordered && run->prep->shape.spread > 1)) continue;
    parts_of(run->parts, i, run->cur, run->pos, part);
    red->none(run->lanes - run->pos, part);
  }
}

/* Everything that was fed, in one state. */
static char *close_tree(mx_run *run) {
  char *t = run->all_flat ? run->cur : NULL;

  if (run->k > 0 || run->pos > 0) {
    close_leaf(run);
    t = run->cur;
  }
  for (int level = 0; run->leaves >> level; level++) {
    if (!(run->leaves >> level & 1)) continue;
    if (t != NULL) merge_states(run, run->parts, run->tree[level], t, 0, 0, run->lanes);
    t = run->tree[level];
  }
  return t;
}

/* The copies of ki side by side become one. Their indices were row numbers: make them points. Flat slots come in. */
static void fold(mx_run *run, char *state) {
  int64_t spread = run->prep->shape.spread, ki = run->prep->shape.ki;

  for (int i = 0; i < run->n_slots; i++) {
    char *part[3];

    if (!reducer_of(run, i)->has_index || is_flat(run, i) || spread == 1) continue;
    parts_of(run->parts, i, state, 0, part);
    for (int64_t l = 0; l < run->lanes; l++) {
      int64_t *index = (int64_t *)part[1] + l;

      if (*index >= 0) *index = *index * spread + l / ki;
    }
  }
  for (int64_t half = spread / 2; half > 0; half /= 2)
    merge_states(run, run->parts, state, state, 0, half * ki, half * ki);
  for (int i = 0; i < run->n_slots; i++) {
    char *from[3], *to[3];

    if (!is_flat(run, i)) continue;
    flat_parts(run, i, from);
    parts_of(run->parts, i, state, 0, to);
    for (int p = 0; p < 3; p++) memcpy(to[p], from[p], run->parts[3 * i + p].bytes);
  }
}

/* ---- feeding ---- */

static void feed_groups(mx_run *run, const mx_reducer *red, int i, int es, const char *src, int64_t n) {
  int64_t r = run->prep->shape.r, ki = run->prep->shape.ki;

  for (int64_t g = 0; g < n / (r * ki); g++) {
    char *part[3];

    parts_of(run->parts, i, run->cur, g * ki, part);
    for (int64_t k = 0; k < r; k++, src += ki * es) red->cols(ki, src, part, k, k);
    if (red->fixed_count)
      for (int64_t l = 0; l < ki; l++) ((int64_t *)part[2])[l] = r;
  }
}

/* Lanes [0, ki) take everything, in order; a block of one row goes through the row kernel. */
static void feed_ordered(mx_run *run, const mx_reducer *red, int es, char **part, const char *src, int64_t n) {
  int64_t ki = run->prep->shape.ki, k = run->k * run->prep->shape.spread + run->pos / ki, at = run->pos % ki;
  char one[16], *row[3] = {one, NULL, NULL};

  if (k == 0 && at == 0) red->none(run->lanes, part);
  if (ki == 1) {
    red->rows(1, n, src, row);
    red->merge(1, part, row);
    return;
  }
  while (n > 0) {
    int64_t len = min64(n, ki - at);
    char *lane[3] = {part[0] + at * es, NULL, NULL};

    red->cols(len, src, lane, k, 0);
    src += len * es;
    n -= len;
    at = 0;
    k++;
  }
}

static void feed_lanes(mx_run *run, const mx_reducer *red, int i, int es, const char *src, int64_t n) {
  int64_t pos = run->pos, k = run->k, row = run->row;

  while (n > 0) {
    int64_t len = min64(n, run->lanes - pos);
    char *part[3];

    parts_of(run->parts, i, run->cur, pos, part);
    red->cols(len, src, part, k, row);
    src += len * es;
    n -= len;
    pos += len;
    if (pos == run->lanes) {
      pos = 0;
      k++;
      row++;
    }
  }
}

/* Rows of a leaf that a block of n starts and takes in whole, however blocks are cut; 0: none. */
static int64_t leaf_rows(const mx_run *run, int64_t n) {
  int64_t rows = n / run->lanes;

  if (n == MX_LEAF_ROWS * run->lanes) return MX_LEAF_ROWS;
  return run->k == 0 && run->pos == 0 && rows * run->lanes == n && leaf_blocks(&run->prep->shape) ? rows : 0;
}

/* A block of a stream; it ends with its leaf at the latest. */
static void feed_stream(mx_run *run, const mx_reducer *red, int i, int es, const char *src, int64_t n) {
  const mx_rshape *g = &run->prep->shape;
  char *part[3];

  parts_of(run->parts, i, run->cur, 0, part);
  if (is_flat(run, i)) {
    flat_parts(run, i, part);
    red->flat(n, src, part, run->point);
  } else if (red->ordered && g->spread > 1) {
    feed_ordered(run, red, es, part, src, n);
  } else if (red->leaf != NULL && leaf_rows(run, n) > 0) {
    red->leaf(leaf_rows(run, n), run->lanes, src, part, run->row);
  } else {
    feed_lanes(run, red, i, es, src, n);
  }
}

void mx_reduce_feed(mx_run *run, int slot, const char *src, int64_t n) {
  const mx_out *out = &run->kernel->outs[slot];
  const mx_rshape *g = &run->prep->shape;
  int i = 0, es = (int)mars_dtype_bytes(out->src);
  char *part[3];

  while (run->slots[i] != slot) i++;
  switch (g->mode) {
  case MX_M_SHORT_ROWS:
    parts_of(run->parts, i, run->cur, 0, part);
    out->reducer->rows(n / g->r, g->r, src, part);
    break;
  case MX_M_SHORT_GROUPS: feed_groups(run, out->reducer, i, es, src, n); break;
  default: feed_stream(run, out->reducer, i, es, src, n);
  }
}

int64_t *mx_reduce_counter(mx_run *run, int slot) {
  int i = 0;

  if (run->flat == NULL) return NULL;
  while (run->slots[i] != slot) i++;
  return (int64_t *)(run->flat + i * FLAT_BYTES);
}

/* ---- units ---- */

static void short_unit(mx_run *run, int64_t unit) {
  const mx_rshape *g = &run->prep->shape;
  int64_t group = g->r * g->ki, ko = unit * g->kos, end = min64(ko + g->kos, g->ko);
  int64_t most = max64(1, min64(run->kernel->block / group, MX_LANES_MAX / g->ki));

  set_up(run, g->lanes, 0);
  while (ko < end) {
    int64_t n = min64(end - ko, most);

    mx_vm_block(run, ko * group, n * group);
    emit_state(run, run->parts, run->cur, 0, ko * g->ki, n * g->ki);
    ko += n;
  }
}

/* Four rows of a strip at once, from point p on, if they stand in memory as they are. */
static bool feed_rows4(mx_run *run, int64_t p, int64_t width) {
  const char *src[4], *next[4];
  char *part[3];

  if (run->in[0].copy) return false;
  for (int r = 0; r < 4; r++)
    if ((src[r] = mx_window_run(&run->in[0], p + r * run->prep->shape.ki, width)) == NULL) return false;
  for (int r = 0; r < 4; r++) next[r] = src[r] + (src[1] - src[0]) * 4;
  for (int i = 0; i < run->n_slots; i++) {
    parts_of(run->parts, i, run->cur, 0, part);
    reducer_of(run, i)->cols4(width, src, next, part, run->k == 0);
  }
  return true;
}

/* Rows [row, end) of strip [c0, c0 + width) of one ko. */
static void feed_strip(mx_run *run, int64_t base, int64_t row, int64_t end, int64_t c0, int64_t width) {
  const mx_rshape *g = &run->prep->shape;
  int64_t ki = g->ki;

  for (run->row = row; run->row < end;) {
    int64_t p = base + run->row * ki + c0 + run->pos;
    int64_t n = mx_vm_block_points(run->prep, p, width - run->pos), rows = 1;

    if (run->kernel->rows4 && run->pos == 0 && run->k % 4 == 0 && end - run->row >= 4 && feed_rows4(run, p, width)) {
      rows = 4;
    } else {
      mx_vm_block(run, p, n);
      run->pos += n;
      if (run->pos < width) continue;
      run->pos = 0;
    }
    run->row += rows;
    run->k += rows;
    if (run->k == MX_LEAF_ROWS) {
      close_leaf(run);
      push_leaf(run);
    }
  }
}

/* A whole leaf at once. */
static void feed_leaf(mx_run *run, int i, int es, const char *src) {
  const mx_reducer *red = reducer_of(run, i);
  char *part[3];

  if (red->leaf == NULL || is_flat(run, i)) {
    feed_stream(run, red, i, es, src, MX_LEAF_ROWS * run->lanes);
    return;
  }
  parts_of(run->parts, i, run->cur, 0, part);
  red->leaf(MX_LEAF_ROWS, run->lanes, src, part, run->row);
}

/* Leaves (or, where no slot has a tree, elements) from point p on that stand in memory as they are, at most n points: taken
   where they stand, many at a time, so that memory is not idle between them. Returns the points taken. */
static int64_t feed_in_place(mx_run *run, int64_t p, int64_t base, int64_t n) {
  enum { AT_ONCE = 64 << 10 };
  const mx_rshape *g = &run->prep->shape;
  const int64_t leaf = MX_LEAF_ROWS * run->lanes;
  const mx_window *in = &run->in[0];
  const char *src;
  int64_t len, offset, done = 0;

  if (!run->kernel->plain || in->copy || in->stride[0] != in->es) return 0;
  if (!run->all_flat && (run->k != 0 || run->pos != 0 || !leaf_blocks(g))) return 0;
  offset = mx_window_offset(in, base + p, &len);
  n = min64(min64(n, len), AT_ONCE);
  if (!run->all_flat) n -= n % leaf;
  src = in->base + offset;
  run->point = p;
  if (run->all_flat) {
    if (n > 0)
      for (int i = 0; i < run->n_slots; i++) feed_stream(run, reducer_of(run, i), i, in->es, src, n);
    return n;
  }
  for (; run->leaf4 && run->leaves % 4 == 0 && done + 4 * leaf <= n; done += 4 * leaf, src += 4 * leaf * in->es) {
    for (int i = 0; i < run->n_slots; i++) {
      char *part[3];

      parts_of(run->parts, i, run->cur, 0, part);
      reducer_of(run, i)->leaf4(src, part, run->row);
    }
    run->point += 4 * leaf;
    run->row += 4 * MX_LEAF_ROWS;
    push_leaves(run, 2);
  }
  for (; done < n; done += leaf, src += leaf * in->es) {
    for (int i = 0; i < run->n_slots; i++) feed_leaf(run, i, in->es, src);
    run->point += leaf;
    run->row += MX_LEAF_ROWS;
    run->k = MX_LEAF_ROWS;
    close_leaf(run);
    push_leaf(run);
  }
  return n;
}

/* The same where a row is all of spread * ki: blocks may cross rows, but not leaves. Where a leaf is a block, it is
   taken whole, even if loads must then be gathered at the end of their own rows. */
static void feed_whole(mx_run *run, int64_t base, int64_t row, int64_t end_row) {
  const mx_rshape *g = &run->prep->shape;
  int64_t p = row * run->lanes, end = min64(end_row * run->lanes, g->r * g->ki);

  for (run->row = row; p < end;) {
    int64_t n = feed_in_place(run, p, base, end - p);

    if (n > 0) {
      p += n;
      continue;
    }
    n = end - p;
    if (!run->all_flat) n = min64(n, (MX_LEAF_ROWS - run->k) * run->lanes - run->pos);
    if (run->all_flat || !leaf_blocks(g)) n = mx_vm_block_points(run->prep, base + p, n);
    run->point = p;
    mx_vm_block(run, base + p, n);
    p += n;
    if (run->all_flat) continue;
    run->pos += n;
    run->k += run->pos / run->lanes;
    run->row += run->pos / run->lanes;
    run->pos %= run->lanes;
    if (run->k == MX_LEAF_ROWS) {
      close_leaf(run);
      push_leaf(run);
    }
  }
}

/* A split is done: it goes to the scratch, and who brings the last one joins them all. */
static void join_splits(mx_run *run, char *state, int64_t ko, int64_t split, int64_t strip) {
  const mx_rshape *g = &run->prep->shape;
  atomic_int *missing = (atomic_int *)run->call->scratch + ko * g->strips + strip;
  size_t bytes = lay_out_state(run, g->ki, run->joined);
  char *first = run->call->scratch + counters_bytes(g) + (size_t)(ko * g->splits) * bytes;
  int64_t c0 = strip * g->lanes, n = min64(g->spread > 1 ? g->ki : g->lanes, g->ki - c0);

  for (int i = 0; i < run->n_slots; i++) {
    char *from[3], *to[3];

    parts_of(run->parts, i, state, 0, from);
    parts_of(run->joined, i, first + (size_t)split * bytes, c0, to);
    for (int p = 0; p < 3; p++) memcpy(to[p], from[p], (size_t)n * run->parts[3 * i + p].bytes);
  }
  if (atomic_fetch_sub_explicit(missing, 1, memory_order_acq_rel) != 1) return;
  for (int64_t step = 1; step < g->splits; step *= 2)
    for (int64_t s = 0; s + step < g->splits; s += 2 * step)
      merge_states(run, run->joined, first + (size_t)s * bytes, first + (size_t)(s + step) * bytes, c0, c0, n);
  emit_state(run, run->joined, first, c0, ko * g->ki + c0, n);
}

static void stream_unit(mx_run *run, int64_t unit) {
  const mx_rshape *g = &run->prep->shape;
  int64_t strip = unit % g->strips, split = unit / g->strips % g->splits, ko = unit / g->strips / g->splits * g->kos;
  int64_t row = split * g->split_rows, end = min64(row + g->split_rows, g->rows);
  int64_t c0 = strip * g->lanes, width = g->strips > 1 ? min64(g->lanes, g->ki - c0) : g->lanes;

  for (int64_t last = min64(ko + g->kos, g->ko); ko < last; ko++) {
    int64_t base = ko * g->r * g->ki;
    char *state;

    set_up(run, width, mx_reduce_levels(g->split_rows));
    if (g->strips > 1)
      feed_strip(run, base, row, end, c0, width);
    else
      feed_whole(run, base, row, end);
    state = close_tree(run);
    fold(run, state);
    if (g->splits > 1)
      join_splits(run, state, ko, split, strip);
    else
      emit_state(run, run->parts, state, 0, ko * g->ki + c0, g->spread > 1 ? g->ki : width);
  }
}

void mx_reduce_unit(mx_run *run, int64_t unit) {
  if (run->prep->shape.mode == MX_M_STREAM)
    stream_unit(run, unit);
  else
    short_unit(run, unit);
}

/* ---- combine: the partials are leaves, in order ---- */

void mx_combine_prepare(mx_prep *prep) {
  const mx_call *call = prep->call;
  const mx_kernel *k = prep->kernel;
  mx_rshape *g = &prep->shape;

  memset(g, 0, sizeof *g);
  g->mode = MX_M_COMBINE;
  g->ko = call->kept;
  g->r = g->ki = g->spread = g->strips = g->splits = 1;
  g->lanes = min64(call->kept, MX_LANES_MAX);
  g->units = prep->units = div_up(call->kept, MX_LANES_MAX);
  prep->total = call->kept;
  prep->work = (double)call->kept * call->n_partials;
  prep->acc_bytes = (size_t)(mx_reduce_levels((int64_t)call->n_partials * MX_LEAF_ROWS) + 1) *
                        state_bytes(k, &call->slot, 1, g->lanes) +
                    TEMP_POINTS * 16 + 2 * parts_bytes(1) + FLAT_BYTES + 64;
}

void mx_combine_unit(mx_run *run, int64_t unit) {
  const mx_call *call = run->call;
  const mx_out *out = &run->kernel->outs[call->slot];
  int64_t at = unit * MX_LANES_MAX, n = min64(MX_LANES_MAX, call->kept - at);
  mx_acc_layout layout;
  char *part[3];

  run->slots = &call->slot;
  run->n_slots = 1;
  set_up(run, n, mx_reduce_levels((int64_t)call->n_partials * MX_LEAF_ROWS));
  slot_bytes(out, call->kept, &layout);
  for (int j = 0; j < call->n_partials; j++) {
    parts_of(run->parts, 0, run->cur, 0, part);
    for (int p = 0; p < layout.n_parts; p++) {
      size_t bytes = mars_dtype_bytes(layout.dtype[p]);

      memcpy(part[p], call->partials[j] + layout.offset[p] + (size_t)at * bytes, (size_t)n * bytes);
    }
    push_leaf(run);
  }
  parts_of(run->parts, 0, close_tree(run), 0, part);
  emit(run, call->slot, call->out[0].base, part, call->kept, at, n);
}
