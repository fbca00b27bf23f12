/* The tile rules, by op. */
#include "engine/routine.h"

extern const mx_routine mx_routine_matmul;
extern const mx_routine mx_routine_cholesky, mx_routine_solve_triangular, mx_routine_lu, mx_routine_solve, mx_routine_inv, mx_routine_det;
extern const mx_routine mx_routine_qr, mx_routine_svd, mx_routine_eigh, mx_routine_kernel;

const mx_routine *mx_routine_of(mx_op op) {
  static const mx_routine *const all[] = {
      &mx_routine_matmul,
      &mx_routine_cholesky, &mx_routine_solve_triangular, &mx_routine_lu, &mx_routine_solve, &mx_routine_inv, &mx_routine_det,
      &mx_routine_qr, &mx_routine_svd, &mx_routine_eigh, &mx_routine_kernel,
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]->op == op) return all[i];
  return NULL;
}
