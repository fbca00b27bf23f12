/* Matrices without an answer. Contract: engine/numeric.h. */
#include "engine/numeric.h"

#define STILL_VALID "operands and earlier results are unchanged"

mars_status mx_fail_pivot(mars_error *err, const char *fn, const char *line, int64_t at) {
  return mx_fail(err, MARS_E_NUMERIC,
                 "mars_%s: the matrix is singular: the pivot of %s %lld is 0, those before it are not; mars_lu factors it all "
                 "the same; " STILL_VALID,
                 fn, line, (long long)at);
}

mars_status mx_fail_minor(mars_error *err, const char *fn, int64_t order) {
  return mx_fail(err, MARS_E_NUMERIC,
                 "mars_%s: the matrix is not positive definite: its leading minor of order %lld is not positive or no number; the block of order %lld "
                 "before it is definite; " STILL_VALID,
                 fn, (long long)order, (long long)(order - 1));
}

mars_status mx_fail_diagonal(mars_error *err, const char *fn, int64_t at) {
  return mx_fail(err, MARS_E_NUMERIC, "mars_%s: the matrix is singular: element %lld of the diagonal is 0; " STILL_VALID, fn, (long long)at);
}
