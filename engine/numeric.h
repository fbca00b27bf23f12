/*
 * What routines say of matrices that have no answer: what is wrong, and what is still valid. The same words from every device.
 *
 * Layer: engine, used by host and cuda. Threads: any; no state.
 */
#ifndef MX_NUMERIC_H
#define MX_NUMERIC_H

#include "engine/status.h"

/* All fill err (NULL is fine) and return MARS_E_NUMERIC; fn: the routine's name. */
mars_status mx_fail_pivot(mars_error *err, const char *fn, const char *line, int64_t at); /* line: "column" or "row" */
mars_status mx_fail_minor(mars_error *err, const char *fn, int64_t order);
mars_status mx_fail_diagonal(mars_error *err, const char *fn, int64_t at);

#endif
