/*
 * Between the kernel files of tall matrices: copies between a dtype and its wide one (f64 or c128), any strides.
 *
 * Layer: host. Threads: any; no state.
 */
#ifndef MX_HOST_TALL_H
#define MX_HOST_TALL_H

#include "host/routines/tile.h"

/* dt is the narrower of the two; d wide, s of dtype dt. */
void mx_tall_widen(mars_dtype dt, const mx_mat *d, const mx_mat *s);
/* d of dtype dt, s wide */
void mx_tall_narrow(mars_dtype dt, const mx_mat *d, const mx_mat *s);

#endif
