/*
 * The methods of QR and SVD; routines/qr.c and routines/svd.c choose among them.
 *
 * Each serves the results that are wanted (QR 0: q, 1: r; SVD 0: u, 1: s, 2: vh). SVD has rows >= columns.
 *
 * Layer: engine. Threads: the session's.
 */
#ifndef MX_ORTHOGONAL_H
#define MX_ORTHOGONAL_H

#include "engine/routine.h"

/* Much taller than wide, and narrow enough that n x n matrices and a block of rows fit (tall.c). */
bool mx_tall_suits(const mx_plan *plan, const mx_pkernel *k);
mars_status mx_tall_grids(mx_plan *plan, mx_pkernel *k, mars_error *err);
void mx_qr_tall(mx_rbuild *b);
void mx_svd_tall(mx_rbuild *b);

/* Any shape. */
void mx_qr_panels(mx_rbuild *b);
mars_status mx_qr_panels_grids(mx_plan *plan, mx_pkernel *k, mars_error *err);
void mx_svd_dense(mx_rbuild *b);
mars_status mx_svd_dense_grids(mx_plan *plan, mx_pkernel *k, mars_error *err);

#endif
