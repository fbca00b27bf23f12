/* Dispatch of tile operations. */
#include "host/routines/tile.h"

static const struct {
  mx_tile_units_fn *units;
  mx_tile_run_fn *run;
} table[MX_TILE_COUNT] = {
#define TILE(id, name) {mx_tile_units_##name, mx_tile_run_##name},
#include "engine/routines/tiles.def"
};

int64_t mx_tile_units(const mx_tile_call *t, int threads) {
  const int64_t n = table[t->op].units(t, threads);

  return n > 0 ? n : 1;
}

mars_status mx_tile_run(const mx_tile_call *t, char *scratch, int64_t unit, int64_t units, mars_error *err) {
  return table[t->op].run(t, scratch, unit, units, err);
}

bool mx_tile_rows(const mx_tile_call *t, int64_t units) {
  if (t->op == MX_TILE_GEMM) return mx_tile_rows_gemm(t, units);
  if (t->op == MX_TILE_TALL_GRAM) return mx_tile_rows_tall_gram(t, units);
  return t->op == MX_TILE_TALL_MUL && mx_tile_rows_tall_mul(t, units);
}

void mx_tile_part(int64_t n, int64_t align, int64_t unit, int64_t units, int64_t *begin, int64_t *end) {
  const int64_t blocks = (n + align - 1) / align, b = blocks * unit / units * align, e = blocks * (unit + 1) / units * align;

  *begin = b < n ? b : n;
  *end = e < n ? e : n;
}
