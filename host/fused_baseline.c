/* Fused loops built for baseline. Contract: host/fused.h. */
#define TABLE mx_fused_baseline
#include "host/fused.inc"
