/* Tall matrices: not there yet. */
#include "engine/routines/orthogonal.h"

bool mx_tall_suits(const mx_plan *plan, const mx_pkernel *k) { return false; }
mars_status mx_tall_grids(mx_plan *plan, mx_pkernel *k, mars_error *err) { return MARS_OK; }
void mx_qr_tall(mx_rbuild *b) {}
void mx_svd_tall(mx_rbuild *b) {}
