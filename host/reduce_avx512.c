/* Reduction kernels built for avx512. Contract: host/reduce.h. */
#define TABLE mx_reduce_table_avx512
#define ISA "avx512"
#include "host/reduce.inc"
