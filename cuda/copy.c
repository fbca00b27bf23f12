/* Strided copies on the compute stream. Contract: cuda/device.h. */
#include "cuda/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Extents of 1 go, dimensions that follow one another join. */
static void simplify(mx_copy *c) {
  int n = 0;

  for (int d = 0; d < c->nd; d++) {
    if (c->extent[d] == 1) continue;
    if (n > 0 && c->to_stride[n - 1] == c->to_stride[d] * c->extent[d] && c->from_stride[n - 1] == c->from_stride[d] * c->extent[d]) {
      c->extent[n - 1] *= c->extent[d];
    } else {
      c->extent[n] = c->extent[d];
      n++;
    }
    c->to_stride[n - 1] = c->to_stride[d];
    c->from_stride[n - 1] = c->from_stride[d];
  }
  if (n == 0) {
    c->extent[0] = 1;
    c->to_stride[0] = c->from_stride[0] = c->es;
    n = 1;
  }
  c->nd = n;
}

/* Contiguous runs are taken 16 bytes at a time. */
static void widen(mx_copy *c) {
  const uintptr_t bases = (uintptr_t)c->to | (uintptr_t)c->from;
  const int last = c->nd - 1;

  for (int wide = 16; wide > c->es; wide /= 2) {
    bool fits = c->to_stride[last] == c->es && c->from_stride[last] == c->es && c->extent[last] % (wide / c->es) == 0 &&
                bases % (unsigned)wide == 0;

    for (int d = 0; d < last && fits; d++) fits = c->to_stride[d] % wide == 0 && c->from_stride[d] % wide == 0;
    if (!fits) continue;
    c->extent[last] /= wide / c->es;
    c->to_stride[last] = c->from_stride[last] = c->es = wide;
  }
}

static mars_status copy_fn(mx_cuda *dev, const char *kind, int es, int nd, bool by_tiles, CUfunction *fn, mars_error *err) {
  mx_text text = {.mem = dev->mem};
  char name[32];
  mars_status st;

  snprintf(name, sizeof name, "mx_%s_%d", kind, es);
  mx_text_copy(&text, nd, by_tiles);
  st = text.failed ? mx_fail(err, MARS_E_MEMORY, "mars_run: %s: no memory for a kernel's text", dev->name)
                   : mx_cuda_function(dev, text.buf, 0, name, fn, err);
  mx_text_reset(&text);
  return st;
}

static mars_status queue(mx_cuda *dev, CUfunction fn, const mx_copy *c, int64_t n, int64_t blocks, mars_error *err) {
  uint64_t w[3 + 3 * MARS_MAX_DIMS] = {(uint64_t)n, (uint64_t)(uintptr_t)c->from, (uint64_t)(uintptr_t)c->to};

  for (int d = 0; d < c->nd; d++) {
    w[3 + d] = (uint64_t)c->extent[d];
    w[3 + c->nd + d] = (uint64_t)c->from_stride[d];
    w[3 + 2 * c->nd + d] = (uint64_t)c->to_stride[d];
  }
  if (blocks > (int64_t)dev->sms * 16) blocks = (int64_t)dev->sms * 16;
  return mx_cuda_queue(dev, fn, blocks, 256, w, 3 + 3 * c->nd, "a copy", err);
}

/* ---- by tiles ---- */

/* The dimension along which elements of es bytes follow one another, -1: none; the last one of them. */
static int fast_dim(const mx_copy *c, const int64_t *stride) {
  for (int d = c->nd - 1; d >= 0; d--)
    if (llabs(stride[d]) == c->es) return d;
  return -1;
}

static void move_dim(mx_copy *c, int from, int to) {
  int64_t *const rows[] = {c->extent, c->to_stride, c->from_stride};

  for (int i = 0; i < 3; i++) {
    const int64_t kept = rows[i][from];

    memmove(rows[i] + from, rows[i] + from + 1, (size_t)(to - from) * sizeof kept);
    rows[i][to] = kept;
  }
}

/* Whether source and target are contiguous along different axes, both long enough; if so, these become the last two. */
static bool crosses(mx_copy *c) {
  const int x = fast_dim(c, c->to_stride), y = fast_dim(c, c->from_stride);
  int64_t tiles = 1;

  if (x < 0 || y < 0 || x == y || llabs(c->from_stride[x]) <= c->es || c->extent[x] < MX_TILE_WORTH || c->extent[y] < MX_TILE_WORTH) return false;
  for (int d = 0; d < c->nd; d++) {
    const int64_t n = d == x || d == y ? (c->extent[d] + MX_TILE_SIDE - 1) / MX_TILE_SIDE : c->extent[d];

    if (c->extent[d] > INT32_MAX || tiles > INT32_MAX / n) return false;
    tiles *= n;
  }
  move_dim(c, y, c->nd - 1);
  move_dim(c, x > y ? x - 1 : x, c->nd - 1);
  return true;
}

static mars_status turn(mx_cuda *dev, const char *kind, const mx_copy *c, mars_error *err) {
  mars_status st = MARS_OK;
  CUfunction fn = NULL;
  int64_t tiles = 1;

  for (int d = 0; d < c->nd; d++) tiles *= d >= c->nd - 2 ? (c->extent[d] + MX_TILE_SIDE - 1) / MX_TILE_SIDE : c->extent[d];
  MX_TRY(copy_fn(dev, kind, c->es, c->nd, true, &fn, err));
  MX_TRY(queue(dev, fn, c, tiles, tiles, err));

done:
  return st;
}

mars_status mx_cuda_turn_conj(mx_cuda *dev, const mx_copy *copy, bool *turned, mars_error *err) {
  mx_copy c = *copy;

  *turned = false;
  for (int d = 0; d < c.nd; d++)
    if (c.extent[d] == 0) return MARS_OK;
  simplify(&c);
  if (!crosses(&c)) return MARS_OK;
  *turned = true;
  return turn(dev, "turn_conj", &c, err);
}

/* ---- any ---- */

mars_status mx_cuda_copy(mx_cuda *dev, const mx_copy *copy, mars_error *err) {
  mars_status st = MARS_OK;
  mx_copy c = *copy;
  CUfunction fn = NULL;
  int64_t points = 1, outer, step;

  for (int d = 0; d < c.nd; d++)
    if (c.extent[d] == 0) return MARS_OK;
  simplify(&c);
  if (crosses(&c)) return turn(dev, "turn", &c, err);
  widen(&c);
  MX_TRY(copy_fn(dev, "copy", c.es, c.nd, false, &fn, err));
  for (int d = 1; d < c.nd; d++) points *= c.extent[d];
  if (points > INT32_MAX) MX_TRY(mx_fail(err, MARS_E_UNSUPPORTED, "mars_run: %s: a copy of rows of %lld elements", dev->name, (long long)points));
  step = INT32_MAX / points; /* rows of the outermost dimension, so that numbers stay below 2^31 */
  outer = c.extent[0];
  for (int64_t at = 0; at < outer; at += step) {
    c.extent[0] = outer - at < step ? outer - at : step;
    MX_TRY(queue(dev, fn, &c, c.extent[0] * points, (c.extent[0] * points + 255) / 256, err));
    c.from += step * c.from_stride[0];
    c.to += step * c.to_stride[0];
  }

done:
  return st;
}
