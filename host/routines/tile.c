/* Dispatch of tile operations. */
#include "host/routines/tile.h"

#include <sched.h>
#include <unistd.h>

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

/* ---- calls that run alone ---- */

static _Thread_local int spare = 1;
static _Thread_local cpu_set_t bound;
static _Thread_local bool unbound;

void mx_tile_set_spare(int threads) { spare = threads; }

void mx_tile_threads_begin(void) {
  cpu_set_t all;

  unbound = false;
  if (spare <= 1) return;
  /* threads that BLAS starts inherit this one's binding, which may be to a single core */
  if (sched_getaffinity(0, sizeof bound, &bound) == 0 && sched_getaffinity(getpid(), sizeof all, &all) == 0 &&
      !CPU_EQUAL(&bound, &all))
    unbound = sched_setaffinity(0, sizeof all, &all) == 0;
  mx_blas_threads(spare);
}

void mx_tile_threads_end(void) {
  if (spare <= 1) return;
  mx_blas_threads(1);
  if (unbound) (void)sched_setaffinity(0, sizeof bound, &bound);
}

/* ---- */

void mx_tile_part(int64_t n, int64_t align, int64_t unit, int64_t units, int64_t *begin, int64_t *end) {
  const int64_t blocks = (n + align - 1) / align, b = blocks * unit / units * align, e = blocks * (unit + 1) / units * align;

  *begin = b < n ? b : n;
  *end = e < n ? e : n;
}
