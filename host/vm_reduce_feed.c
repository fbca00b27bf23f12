/* Elements into the accumulators of a reduction: by blocks of the step loop, or where they stand. Contracts: host/vm.h,
   host/vm_reduce.h. */
#include "host/vm_reduce.h"

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static void feed_groups(mx_run *run, const mx_reducer *red, int i, int es, const char *src, int64_t n) {
  int64_t r = run->prep->shape.r, ki = run->prep->shape.ki;

  for (int64_t g = 0; g < n / (r * ki); g++) {
    char *part[3];

    mx_parts_of(run->parts, i, run->cur, g * ki, part);
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

    mx_parts_of(run->parts, i, run->cur, pos, part);
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
  return run->k == 0 && run->pos == 0 && rows * run->lanes == n && mx_leaf_blocks(&run->prep->shape) ? rows : 0;
}

/* A block of a stream; it ends with its leaf at the latest. */
static void feed_stream(mx_run *run, const mx_reducer *red, int i, int es, const char *src, int64_t n) {
  const mx_rshape *g = &run->prep->shape;
  char *part[3];

  mx_parts_of(run->parts, i, run->cur, 0, part);
  if (mx_is_flat(run, i)) {
    mx_flat_parts(run, i, part);
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
    mx_parts_of(run->parts, i, run->cur, 0, part);
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
  return (int64_t *)(run->flat + i * MX_FLAT_BYTES);
}

/* Four rows of a strip at once, from point p on, if they stand in memory as they are. */
static bool feed_rows4(mx_run *run, int64_t p, int64_t width) {
  const char *src[4];
  char *part[3];

  if (run->in[0].copy) return false;
  for (int r = 0; r < 4; r++)
    if ((src[r] = mx_window_run(&run->in[0], p + r * run->prep->shape.ki, width)) == NULL) return false;
  for (int i = 0; i < run->n_slots; i++) {
    mx_parts_of(run->parts, i, run->cur, 0, part);
    mx_reducer_of(run, i)->cols4(width, src, part, run->k == 0);
  }
  return true;
}

void mx_reduce_feed_strip(mx_run *run, int64_t base, int64_t row, int64_t end, int64_t c0, int64_t width) {
  const mx_rshape *g = &run->prep->shape;
  int64_t ki = g->ki, added = 0; /* rows, or four of them at once, since the leaf began */

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
    if (++added == MX_LEAF_ROWS) { /* seldom: merging states as wide as rows costs memory its time */
      added = 0;
      mx_reduce_close_leaf(run);
      mx_reduce_push_leaves(run, 0);
    }
  }
}

/* A block, or as many as stand side by side, of all slots. */
static void feed_slots(mx_run *run, int es, const char *src, int64_t n) {
  for (int i = 0; i < run->n_slots; i++) feed_stream(run, mx_reducer_of(run, i), i, es, src, n);
}

static void feed_four_leaves(mx_run *run, const char *src) {
  for (int i = 0; i < run->n_slots; i++) {
    char *part[3];

    mx_parts_of(run->parts, i, run->cur, 0, part);
    mx_reducer_of(run, i)->leaf4(src, part, run->row);
  }
}

/* Leaves (or, where no slot has a tree, elements) from point p on that stand in memory as they are, at most n points: taken
   where they stand, many at a time, so that memory is not idle between them. Returns the points taken. */
static int64_t feed_in_place(mx_run *run, int64_t p, int64_t base, int64_t n) {
  const mx_window *in = &run->in[0];
  const int64_t leaf = MX_LEAF_ROWS * run->lanes;
  const char *src;
  int64_t len, offset;

  if (!run->kernel->plain || in->copy || in->stride[0] != in->es) return 0;
  offset = mx_window_offset(in, base + p, &len);
  src = in->base + offset;
  n = min64(n, len);
  run->point = p;
  if (run->all_flat) {
    if (n > 0) feed_slots(run, in->es, src, n);
    return n;
  }
  if (run->k != 0 || run->pos != 0 || !mx_leaf_blocks(&run->prep->shape)) return 0;
  n -= n % leaf;
  for (int64_t done = 0; done < n;) {
    const bool four = run->leaf4 && run->leaves % 4 == 0 && done + 4 * leaf <= n;
    const int64_t leaves = four ? 4 : 1;

    if (four) {
      feed_four_leaves(run, src);
    } else {
      feed_slots(run, in->es, src, leaf);
      run->k = MX_LEAF_ROWS;
      mx_reduce_close_leaf(run);
    }
    mx_reduce_push_leaves(run, four ? 2 : 0);
    run->point += leaves * leaf;
    run->row += leaves * MX_LEAF_ROWS;
    src += leaves * leaf * in->es;
    done += leaves * leaf;
  }
  return n;
}

/* Blocks may cross rows, but not leaves. Where a leaf is a block, it is taken whole, even if loads must then be gathered at
   the end of their own rows. */
void mx_reduce_feed_whole(mx_run *run, int64_t base, int64_t row, int64_t end_row) {
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
    if (run->all_flat || !mx_leaf_blocks(g)) n = mx_vm_block_points(run->prep, base + p, n);
    run->point = p;
    mx_vm_block(run, base + p, n);
    p += n;
    if (run->all_flat) continue;
    run->pos += n;
    run->k += run->pos / run->lanes;
    run->row += run->pos / run->lanes;
    run->pos %= run->lanes;
    if (run->k == MX_LEAF_ROWS) {
      mx_reduce_close_leaf(run);
      mx_reduce_push_leaves(run, 0);
    }
  }
}
