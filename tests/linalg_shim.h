/* LAPACK itself and its faults for the C++ tests, whose compiler does not take its header's complex numbers. */
#ifndef TESTS_LINALG_SHIM_H
#define TESTS_LINALG_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From now on dgesdd destroys its input and says that it did not converge; false: as ever again. Not while a session runs.
   Returns whether there is a LAPACK. */
bool shim_gesdd_fails(bool fails);
int shim_gesdd_calls(void); /* that have failed so since */

/* Singular values of the m x n matrix a in C order, which is destroyed; false: LAPACK failed, or there is none. */
bool shim_lapack_svdvals(int64_t m, int64_t n, double *a, double *s);

#ifdef __cplusplus
}
#endif
#endif
