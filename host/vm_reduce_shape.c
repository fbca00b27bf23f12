/* Which elements of a reduction meet where, from the tile's shape alone. Contract: host/vm.h. */
#include "host/vm.h"

#include <string.h>

enum {
  ACC_BYTES = 256 << 10,  /* a worker's accumulators and tree, unless the lanes of one row need more */
  STATE_BYTES = 16 << 10, /* accumulators that each row reads and writes: half of L1 */
  STATE_BYTES_4 = 64 << 10, /* that every fourth row does: in L2, for the sake of rows that are read at length */
  MAX_SPLITS = 256,
  ENOUGH_UNITS = 64
};

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }

void mx_group_extents(const mx_kernel *k, const int64_t *shape, mx_rshape *g) {
  int last = -1;

  memset(g, 0, sizeof *g);
  g->ko = g->r = g->ki = 1;
  for (int d = 0; d < k->ndim; d++)
    if (shape[d] > 1 && (k->mask >> d & 1)) last = d;
  for (int d = 0; d < k->ndim; d++) {
    if (k->mask >> d & 1)
      g->r *= shape[d];
    else if (d > last && last >= 0)
      g->ki *= shape[d];
    else
      g->ko *= shape[d];
  }
}

int mx_reduce_levels(int64_t rows) {
  int levels = 1;

  while ((int64_t)MX_LEAF_ROWS << levels <= rows) levels++;
  return levels;
}

/* Long rows are cut into splits for parallelism, unless the kept elements give enough of it. */
static void choose_splits(mx_rshape *g) {
  int64_t par = g->ko * div_up(g->ki, 2048), splits = 1;

  if (par < ENOUGH_UNITS) {
    splits = min64(MAX_SPLITS / par, g->r * g->ki / MX_UNIT_POINTS);
    if (g->spread == 1) splits = min64(splits, g->r / (8 * MX_LEAF_ROWS));
  }
  splits = max64(splits, 1);
  g->split_rows = splits > 1 ? round_up(div_up(g->rows, splits), MX_LEAF_ROWS) : g->rows;
  g->splits = div_up(g->rows, g->split_rows);
}

static void choose_lanes(const mx_kernel *k, mx_rshape *g) {
  int64_t most;

  if (g->spread > 1 || g->ki <= MX_LANES_MAX) {
    g->lanes = g->spread * g->ki;
    g->strips = 1;
    return;
  }
  most = min64(ACC_BYTES / (mx_reduce_levels(g->split_rows) + 1), k->rows4 ? STATE_BYTES_4 : STATE_BYTES) / k->lane_bytes;
  most = max64(most, MX_LANES_MAX);
  g->strips = div_up(g->ki, most);
  g->lanes = min64(round_up(div_up(g->ki, g->strips), 64), g->ki);
  g->strips = div_up(g->ki, g->lanes);
}

void mx_reduce_shape(const mx_kernel *k, const int64_t *shape, mx_rshape *g) {
  int64_t group;

  mx_group_extents(k, shape, g);
  group = g->r * g->ki;
  g->spread = g->splits = g->strips = 1;
  g->kos = max64(1, MX_UNIT_POINTS / group);
  if (group <= (g->ki == 1 ? MX_LEAF_POINTS : MX_LANES_MAX)) {
    g->mode = g->ki == 1 ? MX_M_SHORT_ROWS : MX_M_SHORT_GROUPS;
    g->lanes = MX_LANES_MAX;
    g->rows = g->split_rows = g->r;
  } else {
    g->mode = MX_M_STREAM;
    while (2 * g->spread * g->ki * MX_LEAF_ROWS <= MX_LEAF_POINTS && 2 * g->spread <= g->r) g->spread *= 2;
    g->rows = div_up(g->r, g->spread);
    choose_splits(g);
    choose_lanes(k, g);
  }
  g->units = div_up(g->ko, g->kos) * g->splits * g->strips;
}
