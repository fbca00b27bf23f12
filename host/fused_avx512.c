/* Fused loops built for avx512. Contract: host/fused.h. */
#define TABLE mx_fused_avx512
#include "host/fused.inc"
