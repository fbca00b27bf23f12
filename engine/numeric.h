/*
 * What routines say of matrices that have no answer: what is wrong, and what is still valid. The same words from every device.
 *
 * Layer: engine, used by host and cuda. Threads: any; no state.
 */
#ifndef MX_NUMERIC_H
#define MX_NUMERIC_H

#include "engine/status.h"

/* All fill err (NULL is fine) and return MARS_E_NUMERIC; fn: the routine's name; matrix: as mx_tile_call.p[3]. */
mars_status mx_fail_pivot(mars_error *err, const char *fn, int64_t matrix, const char *line, int64_t at); /* line: "column" or "row" */
mars_status mx_fail_minor(mars_error *err, const char *fn, int64_t matrix, int64_t order);
mars_status mx_fail_diagonal(mars_error *err, const char *fn, int64_t matrix, int64_t at);
/* row, column: -1 if it is not known */
mars_status mx_fail_infinite(mars_error *err, const char *fn, int64_t matrix, int64_t row, int64_t column);
/* what: "eigenvalues"; info: what the library says */
mars_status mx_fail_diverged(mars_error *err, const char *fn, int64_t matrix, const char *what, const char *library, int info);

#endif
