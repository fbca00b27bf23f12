/* Sizes and loads of block columns. Contract: engine/routines/panels.h. */
#include "engine/routines/panels.h"

#include <math.h>

enum { MOST_TASKS = 2 << 20, MOST_HALVINGS = 4 };
enum { MOST_COLUMNS = 256 }; /* of a panel: BLAS is as fast as it gets, and factoring one is still a small part */

static int64_t round_down(int64_t w, int64_t unit) { return w > unit ? w - w % unit : w; }

int64_t mx_panels_arena(const mx_plan *plan) {
  return (int64_t)plan->machine->arena_bytes >> (plan->attempt < MOST_HALVINGS ? plan->attempt : MOST_HALVINGS);
}

void mx_panels_choose(const mx_plan *plan, int64_t rows, int64_t cols, int64_t elem, int windows, mx_panels *out) {
  const int64_t arena = mx_panels_arena(plan), column = rows * elem, chunk = plan->machine->chunk_elements;
  mx_panels p = {.rows = rows, .cols = cols, .factored = rows < cols ? rows : cols};
  p.nb = arena / 12 / column;
  if (p.nb > MOST_COLUMNS) p.nb = MOST_COLUMNS;
  if (chunk > 0 && p.nb > chunk / rows) p.nb = chunk / rows;
  p.nb = round_down(round_down(p.nb, 8), 32);
  if (p.nb > p.factored) p.nb = p.factored;
  if (p.nb < 1) p.nb = 1;
  p.count = (p.factored + p.nb - 1) / p.nb;
  p.width = arena / 100 * (windows > 1 ? 30 : 46) / column;
  if (p.width >= cols) {
    p.width = cols;
  } else {
    p.width = p.width > p.nb ? p.width / p.nb * p.nb : p.nb;
    int64_t n = (cols + p.width - 1) / p.width, even = (cols + n - 1) / n; /* no small last one */
    even = (even + p.nb - 1) / p.nb * p.nb;
    if (even < p.width) p.width = even;
    if (p.width > cols) p.width = cols;
  }
  *out = p;
}

bool mx_panels_fit(mx_rbuild *b, const mx_panels *p) {
  const double column = (double)p->rows * (double)b->elem, arena = (double)b->plan->machine->arena_bytes;
  /* a task for each panel and window behind it: panels of arena / 12, windows of half of it */
  const double tasks = (double)p->count * ((double)p->cols / (double)p->width + 1) / 2;
  const double least = 4 * column, enough = column * sqrt((double)p->factored * (double)p->cols * 13 / MOST_TASKS);
  if (b->plan->machine->chunk_elements <= 0 && tasks > MOST_TASKS && enough > least)
    mx_r_fail(b, MARS_E_BUDGET, "the host budget of %.0f bytes is too small for matrices of %lld rows, at least %.0f bytes are needed", arena,
              (long long)p->rows, enough);
  else if (least > arena || tasks > 16.0 * MOST_TASKS)
    mx_r_fail(b, MARS_E_BUDGET, "the host budget of %.0f bytes is too small for columns of %lld rows, at least %.0f bytes are needed", arena,
              (long long)p->rows, least > enough ? least : enough);
  return b->st == MARS_OK;
}

void mx_panels_load(mx_rbuild *b, int slot, const int64_t *batch, int64_t rows, int64_t width, int64_t col, int64_t cols, mx_rarg *window) {
  const int64_t step = b->k->edge > 0 ? b->k->edge : rows; /* so that a task needs a few chunks of the operand only */
  *window = mx_r_mat_f(window->chunk < 0 ? mx_r_temp(b, rows * width * b->elem) : window->chunk, rows, cols);
  mx_r_load_bands(b, slot, batch, 0, col, window, step);
}
