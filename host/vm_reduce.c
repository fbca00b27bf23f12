/*
 * REDUCE and COMBINE. Contract: host/vm.h.
 *
 * A reduction is [ko][r][ki] points. Its `rows` of lanes = spread * ki (or of a strip of ki) are added lane by lane:
 * MX_LEAF_ROWS rows in order (of a strip also fours of rows, added in pairs before) make a leaf, leaves join in a binary
 * counter, splits in a balanced tree, and at the end the `spread` copies of ki fold in halves. All of that depends on the
 * tile's shape, where its operands stand and the program alone: threads do not change a bit.
 * Exact kernels over single rows (counts, positions) need no tree: they have one lane ("flat").
 */
#include "host/vm_reduce.h"

#include <stdatomic.h>
#include <string.h>

enum { TEMP_POINTS = 512 };

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }

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
         2 * parts_bytes(k->n_reduce) + (size_t)k->n_reduce * MX_FLAT_BYTES + 64;
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
  at += run->n_slots * MX_FLAT_BYTES;
  for (int i = 0; i < run->n_slots; i++) {
    char *part[3];

    run->all_flat &= mx_is_flat(run, i);
    if (!mx_is_flat(run, i)) continue;
    mx_flat_parts(run, i, part);
    mx_reducer_of(run, i)->none(1, part);
  }
  if (run->lanes != lanes) run->state_bytes = lay_out_state(run, lanes, run->parts);
  run->lanes = lanes;
  run->cur = at;
  for (int i = 0; i < levels; i++) run->tree[i] = at += run->state_bytes;
  run->pos = run->k = run->row = run->leaves = 0;
  run->leaf4 = lanes == 64;
  for (int i = 0; i < run->n_slots; i++) run->leaf4 &= !mx_is_flat(run, i) && mx_reducer_of(run, i)->leaf4 != NULL;
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

    mx_parts_of(parts, i, state, from, part);
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

    if (parts == run->parts && mx_is_flat(run, i)) continue;
    mx_parts_of(parts, i, a, from_a, pa);
    mx_parts_of(parts, i, b, from_b, pb);
    mx_reducer_of(run, i)->merge(n, pa, pb);
  }
}

void mx_reduce_push_leaves(mx_run *run, int level) {
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

void mx_reduce_close_leaf(mx_run *run) {
  for (int i = 0; i < run->n_slots; i++) {
    const mx_reducer *red = mx_reducer_of(run, i);
    char *part[3];

    if (mx_is_flat(run, i)) continue;
    mx_parts_of(run->parts, i, run->cur, 0, part);
    if (red->fixed_count && !(run->k == MX_LEAF_ROWS && red->leaf != NULL && mx_leaf_blocks(&run->prep->shape)))
      for (int64_t l = 0; l < run->lanes; l++) ((int64_t *)part[2])[l] = run->k + (l < run->pos);
    if (run->k > 0 || (red->ordered && run->prep->shape.spread > 1)) continue;
    mx_parts_of(run->parts, i, run->cur, run->pos, part);
    red->none(run->lanes - run->pos, part);
  }
}

/* Everything that was fed, in one state. */
static char *close_tree(mx_run *run) {
  char *t = run->all_flat ? run->cur : NULL;

  if (run->k > 0 || run->pos > 0) {
    mx_reduce_close_leaf(run);
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

    if (!mx_reducer_of(run, i)->has_index || mx_is_flat(run, i) || spread == 1) continue;
    mx_parts_of(run->parts, i, state, 0, part);
    for (int64_t l = 0; l < run->lanes; l++) {
      int64_t *index = (int64_t *)part[1] + l;

      if (*index >= 0) *index = *index * spread + l / ki;
    }
  }
  for (int64_t half = spread / 2; half > 0; half /= 2)
    merge_states(run, run->parts, state, state, 0, half * ki, half * ki);
  for (int i = 0; i < run->n_slots; i++) {
    char *from[3], *to[3];

    if (!mx_is_flat(run, i)) continue;
    mx_flat_parts(run, i, from);
    mx_parts_of(run->parts, i, state, 0, to);
    for (int p = 0; p < 3; p++) memcpy(to[p], from[p], run->parts[3 * i + p].bytes);
  }
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

/* A split is done: it goes to the scratch, and who brings the last one joins them all. */
static void join_splits(mx_run *run, char *state, int64_t ko, int64_t split, int64_t strip) {
  const mx_rshape *g = &run->prep->shape;
  atomic_int *missing = (atomic_int *)run->call->scratch + ko * g->strips + strip;
  size_t bytes = lay_out_state(run, g->ki, run->joined);
  char *first = run->call->scratch + counters_bytes(g) + (size_t)(ko * g->splits) * bytes;
  int64_t c0 = strip * g->lanes, n = min64(g->spread > 1 ? g->ki : g->lanes, g->ki - c0);

  for (int i = 0; i < run->n_slots; i++) {
    char *from[3], *to[3];

    mx_parts_of(run->parts, i, state, 0, from);
    mx_parts_of(run->joined, i, first + (size_t)split * bytes, c0, to);
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
      mx_reduce_feed_strip(run, base, row, end, c0, width);
    else
      mx_reduce_feed_whole(run, base, row, end);
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
                    TEMP_POINTS * 16 + 2 * parts_bytes(1) + MX_FLAT_BYTES + 64;
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
    mx_parts_of(run->parts, 0, run->cur, 0, part);
    for (int p = 0; p < layout.n_parts; p++) {
      size_t bytes = mars_dtype_bytes(layout.dtype[p]);

      memcpy(part[p], call->partials[j] + layout.offset[p] + (size_t)at * bytes, (size_t)n * bytes);
    }
    mx_reduce_push_leaves(run, 0);
  }
  mx_parts_of(run->parts, 0, close_tree(run), 0, part);
  emit(run, call->slot, call->out[0].base, part, call->kept, at, n);
}
