/* Reduction kernels built for avx2. Contract: host/reduce.h. */
#define TABLE mx_reduce_table_avx2
#define ISA "avx2"
#include "host/reduce.inc"
