/* Which reduction kernels serve an instruction set and a REDUCE row. Contract: host/reduce.h. */
#include "host/reduce.h"

#include <string.h>

extern const mx_reduce_table mx_reduce_table_baseline;
#if defined(__x86_64__)
extern const mx_reduce_table mx_reduce_table_avx2, mx_reduce_table_avx512;
#endif

const mx_reduce_table *mx_reduce_select(const char *isa) {
#if defined(__x86_64__)
  if (strcmp(isa, "avx512") == 0) return &mx_reduce_table_avx512;
  if (strcmp(isa, "avx2") == 0) return &mx_reduce_table_avx2;
#endif
  (void)isa;
  return &mx_reduce_table_baseline;
}

const mx_reducer *mx_reduce_kernel(const mx_reduce_table *table, mx_op op, mars_dtype src) {
  int row = mx_op_row_of(op)->acc;

  if (op == MX_OP_NANSUM) row = MX_RED_NANSUM;
  if (op == MX_OP_NANPROD) row = MX_RED_NANPROD;
  return &table->kernel[row][src];
}
