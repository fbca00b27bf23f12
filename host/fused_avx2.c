/* Fused loops built for avx2. Contract: host/fused.h. */
#define TABLE mx_fused_avx2
#include "host/fused.inc"
