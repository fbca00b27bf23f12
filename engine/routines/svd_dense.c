/* SVD of any shape: not there yet. */
#include "engine/routines/orthogonal.h"

void mx_svd_dense(mx_rbuild *b) { mx_r_fail(b, MARS_E_UNSUPPORTED, "only matrices much taller than wide are factored yet"); }
