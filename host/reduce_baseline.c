/* Reduction kernels built for baseline. Contract: host/reduce.h. */
#define TABLE mx_reduce_table_baseline
#define ISA "baseline"
#include "host/reduce.inc"
