/* SCAN: running values along one dimension, in order. Contract: host/vm.h. */
#include "host/vm.h"

#include <string.h>

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Units are several ko, or a strip of one. Short groups (one strip) share a block. */
void mx_scan_shape(const mx_kernel *k, const int64_t *shape, mx_rshape *g) {
  mx_group_extents(k, shape, g);
  g->mode = MX_M_SCAN;
  g->spread = g->splits = 1;
  g->rows = g->split_rows = g->r;
  g->lanes = min64(g->ki, min64(k->block, MX_LANES_MAX));
  g->strips = (g->ki + g->lanes - 1) / g->lanes;
  g->kos = g->strips == 1 ? max64(1, MX_UNIT_POINTS / (g->r * g->ki)) : 1;
  g->units = (g->ko + g->kos - 1) / g->kos * g->strips;
}

static bool groups_share_blocks(const mx_kernel *k, const mx_rshape *g) {
  return g->strips == 1 && 2 * g->r * g->ki <= k->block;
}

/* carry_in or carry_out of n kept points from `at` on; NULL where the call has none */
static char *carry_at(const char *carry, int64_t at, int es) {
  return carry != NULL ? (char *)(uintptr_t)carry + at * es : NULL;
}

void mx_scan_feed(mx_run *run, int slot, const char *src, char *dst, int64_t n) {
  const mx_rshape *g = &run->prep->shape;
  const mx_out *out = &run->kernel->outs[slot];
  int es = (int)mars_dtype_bytes(out->src);
  int64_t group = g->r * g->ki;

  if (!groups_share_blocks(run->kernel, g)) {
    out->scan(n / run->lanes, run->lanes, dst, src, run->carry, run->first);
    return;
  }
  for (int64_t ko = run->row; n > 0; ko++, n -= group, src += group * es, dst += group * es) {
    const char *from = carry_at(run->call->carry_in, ko * g->ki, es);
    char *to = carry_at(run->call->carry_out, ko * g->ki, es);

    if (from != NULL) memcpy(run->carry, from, (size_t)(g->ki * es));
    out->scan(g->r, g->ki, dst, src, run->carry, from == NULL);
    if (to != NULL) memcpy(to, run->carry, (size_t)(g->ki * es));
  }
}

/* All rows of a strip of one ko. */
static void scan_strip(mx_run *run, int64_t ko, int64_t c0, int64_t width, int es) {
  const mx_rshape *g = &run->prep->shape;
  const char *from = carry_at(run->call->carry_in, ko * g->ki + c0, es);
  char *to = carry_at(run->call->carry_out, ko * g->ki + c0, es);
  int64_t most = g->strips == 1 ? max64(1, run->kernel->block / g->ki) : 1; /* rows of a block */

  run->first = from == NULL;
  if (from != NULL) memcpy(run->carry, from, (size_t)(width * es));
  for (int64_t r = 0; r < g->r;) {
    int64_t p = (ko * g->r + r) * g->ki + c0, rows = min64(most, g->r - r);

    if (rows > 1) rows = max64(1, mx_vm_block_points(run->prep, p, rows * g->ki) / g->ki);
    mx_vm_block(run, p, rows * width);
    run->first = false;
    r += rows;
  }
  if (to != NULL) memcpy(to, run->carry, (size_t)(width * es));
}

void mx_scan_unit(mx_run *run, int64_t unit) {
  const mx_rshape *g = &run->prep->shape;
  int64_t strip = unit % g->strips, ko = unit / g->strips * g->kos, end = min64(ko + g->kos, g->ko), c0 = strip * g->lanes;
  int64_t group = g->r * g->ki;
  int es = 0;

  for (int o = 0; o < run->kernel->n_out; o++)
    if (run->kernel->outs[o].kind == MX_I_SCAN) es = (int)mars_dtype_bytes(run->kernel->outs[o].src);
  run->carry = run->work->acc;
  run->lanes = min64(g->lanes, g->ki - c0);
  if (groups_share_blocks(run->kernel, g)) {
    for (int64_t n; ko < end; ko += n) {
      n = min64(end - ko, run->kernel->block / group);
      run->row = ko;
      mx_vm_block(run, ko * group, n * group);
    }
    return;
  }
  for (; ko < end; ko++) scan_strip(run, ko, c0, run->lanes, es);
}
