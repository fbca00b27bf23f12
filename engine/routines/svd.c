/* SVD: which method. */
#include "engine/routines/orthogonal.h"

static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  return mx_tall_suits(plan, k) ? mx_tall_grids(plan, k, err) : mx_svd_dense_grids(plan, k, err);
}

static void tasks(mx_rbuild *b) {
  if (mx_tall_suits(b->plan, b->k)) mx_svd_tall(b);
  else mx_svd_dense(b);
}

const mx_routine mx_routine_svd = {.op = MX_OP_SVD, .grids = grids, .tasks = tasks};
