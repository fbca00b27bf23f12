/*
 * Block columns, for factorisations that go through a matrix column by column and need whole columns at once.
 *
 * A window of `width` columns, as tall as the matrix, stays in memory, column-major, while the factored panels of the columns
 * before it, nb columns each, stream past. Then the panels inside the window are factored, copied out to chunks of their own
 * (trimmed to what is needed later, so that this is all that is spilled and read), and the window moves on to the next columns in
 * the same memory. With M bytes of window and n columns of e bytes each, every panel is read n e / M times.
 *
 * Layer: engine. Threads: the session's.
 */
#ifndef MX_PANELS_H
#define MX_PANELS_H

#include "engine/routine.h"

typedef struct mx_panels {
  int64_t rows, cols; /* of the matrix */
  int64_t factored;   /* columns that panels are made of: min(rows, cols) */
  int64_t nb, count;  /* columns of a panel (the last may have fewer), panels */
  int64_t width;      /* columns of the window: a multiple of nb, or all */
} mx_panels;

/* Bytes to lay out for: half of the arena's after each plan that did not fit, but not so little that plans become huge (a plan
   may not fit for other reasons: the spill budget). */
int64_t mx_panels_arena(const mx_plan *plan);
/* Sizes for the arena at the plan's attempt. windows: how many of this width are in memory at once (1, or 2 with right-hand
   sides). */
void mx_panels_choose(const mx_plan *plan, int64_t rows, int64_t cols, int64_t elem, int windows, mx_panels *out);

/* Refuses, with the bytes that are needed, what has too few columns in memory: no room for a window and a panel of one column, or
   so many windows and panels that the plan itself would be large. */
bool mx_panels_fit(mx_rbuild *b, const mx_panels *p);

static inline int64_t mx_panel_start(const mx_panels *p, int64_t k) { return k * p->nb; }
static inline int64_t mx_panel_cols(const mx_panels *p, int64_t k) {
  return p->factored - k * p->nb < p->nb ? p->factored - k * p->nb : p->nb;
}

/* Columns [col, col + cols) of operand `slot` into *window, rows x cols, column-major, in a chunk of rows x width elements.
   A window that has a chunk already (chunk >= 0) is written over in its place; otherwise it gets one. */
void mx_panels_load(mx_rbuild *b, int slot, const int64_t *batch, int64_t rows, int64_t width, int64_t col, int64_t cols, mx_rarg *window);

#endif
