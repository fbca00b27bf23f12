/*
 * Is a matrix finite? LAPACK's iterations may run for ever on one that is not.
 *
 * Layer: host. Threads: pure functions.
 */
#ifndef MX_FINITE_H
#define MX_FINITE_H

#include "engine/device.h"

/* Looks at one triangle (flags MX_TF_LOWER or MX_TF_UPPER, the diagonal with it) or, flags 0, at everything. false: *row and
   *col say where something is not finite. */
bool mx_finite_triangle(mars_dtype dt, const mx_mat *a, unsigned flags, int64_t *row, int64_t *col);

#endif
