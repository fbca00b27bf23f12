/* What the kernels of LU share. Matrices are column-major. Layer: host. */
#ifndef MX_HOST_LU_H
#define MX_HOST_LU_H

#include "host/routines/tile.h"

/* Exchanges rows i and pivot[i] of all columns of a, for i = 0, 1, .. n - 1. */
void mx_lu_exchange(mars_dtype dt, const mx_mat *a, const int32_t *pivot, int64_t n);
/* The same in the opposite order, which undoes it. */
void mx_lu_exchange_back(mars_dtype dt, const mx_mat *a, const int32_t *pivot, int64_t n);
/* Factors a panel (rows >= columns) in place. Returns 0, or 1 + the first column whose pivot is exactly 0: elimination goes on
   without it. */
int64_t mx_lu_panel(mars_dtype dt, const mx_mat *a, int32_t *pivot);

#endif
