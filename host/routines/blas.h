/*
 * OpenBLAS and LAPACKE, opened at run time: BL(cblas_dgemm)(...).
 *
 * Not linked, for one reason: an OpenBLAS that is older than the CPU falls back to kernels of 2004, four times slower than what
 * the CPU can do, and takes advice only while it is being loaded. So it is asked after loading what it chose, and where that
 * is below what the CPU has, it is loaded again with OPENBLAS_CORETYPE set for that moment. A library that the application
 * has loaded before, and an OPENBLAS_CORETYPE that the user has set, are left as they are.
 *
 * Layer: host. Threads: mx_blas_open from any thread, once for the process; the table is read only afterwards.
 */
#ifndef MX_BLAS_H
#define MX_BLAS_H

#include "engine/status.h"

#include <complex.h>
#define lapack_complex_float float _Complex
#define lapack_complex_double double _Complex
#include <cblas.h>
#include <lapacke.h>

typedef struct mx_blas_table {
#define BLAS(name) __typeof__(name) *name;
#define LAPACKE(name) __typeof__(name) *name;
#include "host/routines/blas.def"
} mx_blas_table;

extern mx_blas_table mx_blas;
#define BL(name) (mx_blas.name)

/* Opens both libraries at the first call; later calls return the same. `what` (may be NULL) tells what was found. */
mars_status mx_blas_open(const char **what, mars_error *err);
/* OpenBLAS with OpenMP keeps a number of threads for each thread, other builds one for the process. One from now on; returns how many
   the calling thread had, to be set again by mx_blas_threads, or 0: as it was. Whoever runs tile operations asks before each. */
int mx_blas_alone(void);
void mx_blas_threads(int n);

#endif
