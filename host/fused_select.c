/* Which fused loops serve an instruction set, and where ops stand in their tables. Contract: host/fused.h. */
#include "host/fused.h"

#include <string.h>

extern const mx_fused mx_fused_baseline;
#if defined(__x86_64__)
extern const mx_fused mx_fused_avx2, mx_fused_avx512;
#endif

const mx_fused *mx_fused_select(const char *isa) {
#if defined(__x86_64__)
  if (strcmp(isa, "avx512") == 0) return &mx_fused_avx512;
  if (strcmp(isa, "avx2") == 0) return &mx_fused_avx2;
#endif
  (void)isa;
  return &mx_fused_baseline;
}

int mx_fused_op(mx_op op) {
  switch (op) {
  case MX_OP_ADD: return MX_F_ADD;
  case MX_OP_SUBTRACT: return MX_F_SUB;
  case MX_OP_SQUARE: /* x * x */
  case MX_OP_MULTIPLY: return MX_F_MUL;
  case MX_OP_DIVIDE: return MX_F_DIV;
  default: return -1;
  }
}

int mx_fused_compare(mx_op op) {
  switch (op) {
  case MX_OP_EQUAL: return MX_F_EQ;
  case MX_OP_NOT_EQUAL: return MX_F_NE;
  case MX_OP_LESS: return MX_F_LT;
  case MX_OP_LESS_EQUAL: return MX_F_LE;
  case MX_OP_GREATER: return MX_F_GT;
  case MX_OP_GREATER_EQUAL: return MX_F_GE;
  default: return -1;
  }
}

int mx_fused_type(mars_dtype dt) { return dt == MARS_F64 ? MX_F_F64 : dt == MARS_F32 ? MX_F_F32 : -1; }
