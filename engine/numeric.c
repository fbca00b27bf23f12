/* Matrices without an answer. Contract: engine/numeric.h. */
#include "engine/numeric.h"

#include <stdio.h>

#define STILL_VALID "operands and earlier results are unchanged"

typedef struct name {
  char text[48];
} name;

static name name_of(int64_t matrix) {
  name n = {"the matrix"};

  if (matrix > 0) snprintf(n.text, sizeof n.text, "matrix %lld of the stack", (long long)(matrix - 1));
  return n;
}

mars_status mx_fail_pivot(mars_error *err, const char *fn, int64_t matrix, const char *line, int64_t at) {
  return mx_fail(err, MARS_E_NUMERIC,
                 "mars_%s: %s is singular: the pivot of %s %lld is 0, those before it are not; mars_lu factors it all the same; " STILL_VALID, fn,
                 name_of(matrix).text, line, (long long)at);
}

mars_status mx_fail_minor(mars_error *err, const char *fn, int64_t matrix, int64_t order) {
  return mx_fail(err, MARS_E_NUMERIC,
                 "mars_%s: %s is not positive definite: its leading minor of order %lld is not positive or no number; the block of order %lld "
                 "before it is definite; " STILL_VALID,
                 fn, name_of(matrix).text, (long long)order, (long long)(order - 1));
}

mars_status mx_fail_diagonal(mars_error *err, const char *fn, int64_t matrix, int64_t at) {
  return mx_fail(err, MARS_E_NUMERIC, "mars_%s: %s is singular: element %lld of the diagonal is 0; " STILL_VALID, fn, name_of(matrix).text,
                 (long long)at);
}

mars_status mx_fail_infinite(mars_error *err, const char *fn, int64_t matrix, int64_t row, int64_t column) {
  char where[80] = "";

  if (row >= 0) snprintf(where, sizeof where, " in row %lld, column %lld", (long long)row, (long long)column);
  else if (column >= 0) snprintf(where, sizeof where, " in column %lld", (long long)column);
  return mx_fail(err, MARS_E_NUMERIC, "mars_%s: %s has a NaN or infinity%s; " STILL_VALID, fn, name_of(matrix).text, where);
}

mars_status mx_fail_diverged(mars_error *err, const char *fn, int64_t matrix, const char *what, const char *library, int info) {
  return mx_fail(err, MARS_E_NUMERIC, "mars_%s: the %s of %s did not converge (%s says %d); " STILL_VALID, fn, what, name_of(matrix).text, library,
                 info);
}
