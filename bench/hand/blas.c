/* Opening OpenBLAS, and what needs a call or two of it. Contract: blas.h. */
#include "bench/hand/blas.h"
#include "bench/hand/blas_table.h"
#include "bench/hand/kernels.h"
#include "bench/util.h"

#include <dlfcn.h>
#include <math.h>
#include <omp.h>
#include <string.h>

hand_blas_table hand_blas;

/* libmars opens OpenBLAS when it is asked what it has found; it then stays in the process. */
static bool let_mars_open(char *error) {
  mars_session_config config;
  mars_session_info info;
  mars_session *s = NULL;
  mars_error err;
  bool ok;

  mars_session_config_init(&config);
  config.host_budget_bytes = (size_t)1 << 20;
  config.threads = 1;
  config.n_spill_dirs = MARS_SPILL_OFF;
  if (mars_session_create(&config, &s, &err) != MARS_OK) {
    bench_set_error(error, "%s", err.message);
    return false;
  }
  mars_session_get_info(s, &info);
  hand_blas.lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_NOLOAD);
  ok = hand_blas.lib != NULL;
  if (!ok)
    bench_set_error(error, "OpenBLAS: %s", info.blas != NULL ? info.blas : "not found");
  mars_session_destroy(s);
  return ok;
}

static bool take(const char *name, void *field, char *error) {
  void *symbol = dlsym(hand_blas.lib, name);

  memcpy(field, &symbol, sizeof symbol);
  if (symbol == NULL)
    bench_set_error(error, "%s is not in OpenBLAS", name);
  return symbol != NULL;
}

bool hand_blas_open(int threads, char *error) {
  bool all = hand_blas.lib != NULL || let_mars_open(error);

#define TAKE(name) all = all && take(#name, &hand_blas.name, error);
  HAND_BLAS(TAKE)
#undef TAKE
  if (all)
    hand_blas_threads(threads);
  return all;
}

void hand_blas_threads(int n) {
  omp_set_num_threads(n); /* what OpenBLAS with OpenMP goes by */
  hand_blas.openblas_set_num_threads(n);
}

void hand_gemm_f64(int64_t n, const double *a, const double *b, double *out) {
  const int m = (int)n;
  hand_blas.cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, m, m, 1, a, m, b, m, 0, out, m);
}
void hand_gemm_f32(int64_t n, const float *a, const float *b, float *out) {
  const int m = (int)n;
  hand_blas.cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, m, m, 1, a, m, b, m, 0, out, m);
}

/* ---- rates ----------------------------------------------------------------------------------------- */

/* The mean of calls that take some part of the time of the job with `flops` that they stand beside, at most some seconds: the best
   call would be a moment in which a shared machine's other users were quiet. */
static double product_seconds(double flops, int64_t n, bool symmetric) {
  const int least_calls = 3;
  const double least_seconds = fmin(flops / 2e11, 4);
  const size_t bytes = (size_t)n * (size_t)n * sizeof(double);
  const int threads = omp_get_max_threads(), m = (int)n;
  double *a = bench_alloc(bytes, threads), *c = bench_alloc(bytes, threads), start = 0, mean = -1;

  if (a != NULL && c != NULL) {
    bench_fill_f64(a, 0, n * n, threads);
    for (int calls = -1; calls < least_calls || bench_now() - start < least_seconds; calls++) { /* the first warms up */
      if (calls == 0)
        start = bench_now();
      if (symmetric)
        hand_blas.cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, m, m, 1, a, m, 0, c, m);
      else
        hand_gemm_f64(n, a, a, c);
      if (calls >= 0)
        mean = (bench_now() - start) / (calls + 1);
    }
  }
  bench_free(a, bytes);
  bench_free(c, bytes);
  return mean;
}

double hand_dgemm_seconds(double flops, int64_t n) {
  return flops / (2.0 * (double)n * (double)n * (double)n) * product_seconds(flops, n, false);
}
double hand_dsyrk_seconds(double flops, int64_t n) {
  return flops / ((double)n * (double)n * (double)(n + 1)) * product_seconds(flops, n, true);
}

/* ---- LAPACK ---------------------------------------------------------------------------------------- */

double hand_factor_flops(hand_factor what, int64_t n) {
  static const double cubes[HAND_FACTORS] = {1.0 / 3, 2.0 / 3, 8.0 / 3, 2.0 / 3};
  return cubes[what] * (double)n * (double)n * (double)n;
}

/* QR with q, as numpy.linalg.qr does it. */
static int orthogonal(int n, double *a, double *tau, double *work, int lwork) {
  int info = 0;

  hand_blas.dgeqrf_(&n, &n, a, &n, tau, work, &lwork, &info);
  if (info == 0)
    hand_blas.dorgqr_(&n, &n, &n, a, &n, tau, work, &lwork, &info);
  return info;
}

static int factorise(hand_factor what, int n, double *a, double *x, int *pivots, double *work, int lwork) {
  const int one = 1;
  int info = 0;

  switch (what) {
  case HAND_CHOLESKY:
    hand_blas.dpotrf_("L", &n, a, &n, &info, 1);
    break;
  case HAND_LU:
    hand_blas.dgetrf_(&n, &n, a, &n, pivots, &info);
    break;
  case HAND_QR:
    info = orthogonal(n, a, x, work, lwork);
    break;
  case HAND_SOLVE:
    hand_blas.dgesv_(&n, &one, a, &n, pivots, x, &n, &info);
    break;
  case HAND_FACTORS:
    break;
  }
  return info;
}

double hand_factor_seconds(hand_factor what, int64_t n, int threads) {
  const size_t bytes = (size_t)n * (size_t)n * sizeof(double), work_bytes = (size_t)n * 128 * sizeof(double);
  double *a = bench_alloc(bytes, threads), *x = bench_alloc((size_t)n * sizeof *x, 1);
  double *work = bench_alloc(work_bytes, threads), seconds = -1;
  int *pivots = bench_alloc((size_t)n * sizeof *pivots, 1);

  if (a != NULL && x != NULL && work != NULL && pivots != NULL) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < n; i++) {
      hand_uniform(1, 0, (uint64_t)(i * n), n, a + i * n);
      x[i] = 1;
      if (what == HAND_CHOLESKY)
        a[i * n + i] += (double)n;
    }
    const double start = bench_now();
    const int info = factorise(what, (int)n, a, x, pivots, work, (int)n * 128);
    seconds = info == 0 ? bench_now() - start : -1;
  }
  bench_free(a, bytes);
  bench_free(x, (size_t)n * sizeof *x);
  bench_free(work, work_bytes);
  bench_free(pivots, (size_t)n * sizeof *pivots);
  return seconds;
}
