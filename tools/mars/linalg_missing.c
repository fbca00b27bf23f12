/* What <mars/linalg.h> declares and the library does not have yet: error tensors that say so. */
#include <mars/mars.h>

/* mars_apply knows elementwise rows only: for other names it gives the error tensor that is wanted here. */
static mars_tensor *missing(mars_tensor *a, const char *name) { return mars_apply(mars_session_of(a), name, &a, 1); }

void mars_randomized_svd(mars_tensor *a, int64_t k, int64_t oversample, int power_iterations, mars_tensor **u, mars_tensor **s,
                         mars_tensor **vh) {
  *u = *s = *vh = missing(a, "randomized_svd");
}
void mars_lstsq(mars_tensor *a, mars_tensor *b, double rcond, mars_tensor **x, mars_tensor **residuals, mars_tensor **rank,
                mars_tensor **s) {
  *x = *residuals = *rank = *s = missing(a, "lstsq");
}
mars_tensor *mars_pinv(mars_tensor *a, double rcond) { return missing(a, "pinv"); }
mars_tensor *mars_matrix_rank(mars_tensor *a, double tol) { return missing(a, "matrix_rank"); }
mars_tensor *mars_norm(mars_tensor *a, double ord, mars_axes axes, bool keepdims) { return missing(a, "norm"); }
mars_tensor *mars_cond(mars_tensor *a, double ord) { return missing(a, "cond"); }
