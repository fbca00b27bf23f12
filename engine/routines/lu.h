/*
 * LU factorisation with partial pivoting by block columns, for the routines that rest on it (lu, solve, inv, det).
 *
 * A window takes the eliminations of all panels before it (left-looking: each is read once per window, nothing but the window is
 * written), then its own panels are factored one after another, each while the columns right of it still take the last one's
 * elimination. Rows of a panel stay in the order that its own pivots gave them; exchanges of later pivots are applied where the
 * lower factor is wanted as such.
 *
 * Layer: engine. Threads: the session's.
 */
#ifndef MX_LU_H
#define MX_LU_H

#include "engine/routines/panels.h"

typedef struct mx_lu {
  mx_rbuild *b;
  mx_panels p;
  int slot;
  const int64_t *batch;
  bool keep_l, keep_u, check; /* panels are kept for the caller; a zero pivot is an error */
  bool transposed;            /* what is factored is the transpose of the user's matrix, messages say "row" */
  mx_rarg window;             /* column-major, as tall as the matrix */
  mx_rarg *l, *u, *pivot;     /* per panel k of w columns from s on: rows [s, rows); rows [0, s + w); int32 [w] */
  /* May be NULL. Panel k has been factored; it stands at *at, diagonal first. */
  void (*on_panel)(struct mx_lu *f, int64_t k, const mx_rarg *at);
  /* May be NULL. The window holds the upper factor's columns [col, col + cols). */
  void (*on_window)(struct mx_lu *f, int64_t col, int64_t cols);
  void *user;
} mx_lu;

/* Takes room for the records; false: no memory, or the budget is too small, which b has learnt. p, slot and the flags are the caller's to set. */
bool mx_lu_init(mx_lu *f, mx_rbuild *b);
/* Tasks that factor the matrix `batch` of operand `slot`. */
void mx_lu_factor(mx_lu *f);
/* Columns as tall as the matrix take exchanges and elimination of panel k; and the step back with it (keep_u). */
void mx_lu_forward(mx_lu *f, int64_t k, mx_rarg *columns);
void mx_lu_back(mx_lu *f, int64_t k, mx_rarg *columns);
/* The transposed system, of which rows before that of panel `first` are 0: forward for k = first, first + 1, .., then back for all k
   from the last on. */
void mx_lu_forward_t(mx_lu *f, int64_t first, int64_t k, mx_rarg *columns);
void mx_lu_back_t(mx_lu *f, int64_t k, mx_rarg *columns);

#endif
