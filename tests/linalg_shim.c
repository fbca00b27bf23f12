#include "tests/linalg_shim.h"

#include "host/routines/blas.h"

#include <math.h>
#include <stdlib.h>

static __typeof__(mx_blas.LAPACKE_dgesdd_work) real_gesdd;
static int calls;

/* What LAPACK leaves when it does not converge: nothing of use anywhere. */
static lapack_int no_convergence(int layout, char job, lapack_int m, lapack_int n, double *a, lapack_int lda, double *s, double *u, lapack_int ldu,
                                 double *vt, lapack_int ldvt, double *work, lapack_int lwork, lapack_int *iwork) {
  const lapack_int k = m < n ? m : n;

  calls++;
  for (lapack_int j = 0; j < n; j++)
    for (lapack_int i = 0; i < m; i++) a[i + (int64_t)j * lda] = NAN;
  for (lapack_int i = 0; i < k; i++) s[i] = NAN;
  return 1;
}

bool shim_gesdd_fails(bool fails) {
  if (mx_blas_open(NULL, NULL) != MARS_OK) return false;
  if (real_gesdd == NULL) real_gesdd = mx_blas.LAPACKE_dgesdd_work;
  mx_blas.LAPACKE_dgesdd_work = fails ? no_convergence : real_gesdd;
  calls = 0;
  return true;
}

int shim_gesdd_calls(void) { return calls; }

bool shim_lapack_svdvals(int64_t m, int64_t n, double *a, double *s) {
  double size = 0, *work = NULL;
  lapack_int *iwork = malloc((size_t)(8 * (m < n ? m : n)) * sizeof *iwork), info = -1;

  if (iwork != NULL && mx_blas_open(NULL, NULL) == MARS_OK) {
    info = BL(LAPACKE_dgesdd_work)(LAPACK_COL_MAJOR, 'N', (int)n, (int)m, a, (int)n, s, NULL, 1, NULL, 1, &size, -1, iwork);
    if (info == 0) work = malloc((size_t)size * sizeof *work);
    info = work == NULL ? -1 : BL(LAPACKE_dgesdd_work)(LAPACK_COL_MAJOR, 'N', (int)n, (int)m, a, (int)n, s, NULL, 1, NULL, 1, work, (int)size, iwork);
  }
  free(work);
  free(iwork);
  return info == 0;
}
