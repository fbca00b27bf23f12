/* QR: which method. */
#include "engine/routines/orthogonal.h"

static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  return mx_tall_suits(plan, k) ? mx_tall_grids(plan, k, err) : mx_qr_panels_grids(plan, k, err);
}

static void tasks(mx_rbuild *b) {
  if (mx_tall_suits(b->plan, b->k)) mx_qr_tall(b);
  else mx_qr_panels(b);
}

const mx_routine mx_routine_qr = {.op = MX_OP_QR, .grids = grids, .tasks = tasks};
