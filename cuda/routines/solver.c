/* cuSOLVER's functions for four dtypes. Contract: cuda/routines/routines.h. */
#include "cuda/routines/routines.h"

/* ---- workspaces ---- */

static int64_t answer(mars_dtype dt, int status, int elements) {
  return status == 0 && elements >= 0 ? ((int64_t)elements + 1) * (int64_t)mars_dtype_bytes(dt) : -1; /* never none: it is a pointer */
}

/* The handle, or NULL. */
static cusolverDnHandle_t handle(mx_cuda *dev) {
  mx_cuda_blas *b = NULL;

  return mx_cuda_solver_open(dev, &b, NULL) == MARS_OK ? b->solver : NULL;
}

static cublasFillMode_t part(bool upper) { return upper ? CUBLAS_FILL_MODE_UPPER : CUBLAS_FILL_MODE_LOWER; }
static cusolverEigMode_t mode(bool vectors) { return vectors ? CUSOLVER_EIG_MODE_VECTOR : CUSOLVER_EIG_MODE_NOVECTOR; }
static int count(mars_dtype dt, const mx_solver_work *w) { return (int)(w->bytes / (int64_t)mars_dtype_bytes(dt)); }

static int ask_potrf(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, bool upper, int n, int ld, int *out) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSpotrf_bufferSize(h, part(upper), n, NULL, ld, out);
  case MARS_F64: return (int)dev->cu->cusolverDnDpotrf_bufferSize(h, part(upper), n, NULL, ld, out);
  case MARS_C64: return (int)dev->cu->cusolverDnCpotrf_bufferSize(h, part(upper), n, NULL, ld, out);
  default: return (int)dev->cu->cusolverDnZpotrf_bufferSize(h, part(upper), n, NULL, ld, out);
  }
}

static int ask_getrf(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, int m, int n, int ld, int *out) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSgetrf_bufferSize(h, m, n, NULL, ld, out);
  case MARS_F64: return (int)dev->cu->cusolverDnDgetrf_bufferSize(h, m, n, NULL, ld, out);
  case MARS_C64: return (int)dev->cu->cusolverDnCgetrf_bufferSize(h, m, n, NULL, ld, out);
  default: return (int)dev->cu->cusolverDnZgetrf_bufferSize(h, m, n, NULL, ld, out);
  }
}

static int ask_geqrf(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, int m, int n, int ld, int *out) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSgeqrf_bufferSize(h, m, n, NULL, ld, out);
  case MARS_F64: return (int)dev->cu->cusolverDnDgeqrf_bufferSize(h, m, n, NULL, ld, out);
  case MARS_C64: return (int)dev->cu->cusolverDnCgeqrf_bufferSize(h, m, n, NULL, ld, out);
  default: return (int)dev->cu->cusolverDnZgeqrf_bufferSize(h, m, n, NULL, ld, out);
  }
}

static int ask_syevd(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, bool vectors, bool upper, int n, int ld, int *out) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSsyevd_bufferSize(h, mode(vectors), part(upper), n, NULL, ld, NULL, out);
  case MARS_F64: return (int)dev->cu->cusolverDnDsyevd_bufferSize(h, mode(vectors), part(upper), n, NULL, ld, NULL, out);
  case MARS_C64: return (int)dev->cu->cusolverDnCheevd_bufferSize(h, mode(vectors), part(upper), n, NULL, ld, NULL, out);
  default: return (int)dev->cu->cusolverDnZheevd_bufferSize(h, mode(vectors), part(upper), n, NULL, ld, NULL, out);
  }
}

static int ask_gesvd(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, int m, int n, int *out) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSgesvd_bufferSize(h, m, n, out);
  case MARS_F64: return (int)dev->cu->cusolverDnDgesvd_bufferSize(h, m, n, out);
  case MARS_C64: return (int)dev->cu->cusolverDnCgesvd_bufferSize(h, m, n, out);
  default: return (int)dev->cu->cusolverDnZgesvd_bufferSize(h, m, n, out);
  }
}

int64_t mx_solver_potrf_bytes(mx_cuda *dev, mars_dtype dt, bool upper, int n, int ld) {
  cusolverDnHandle_t h = handle(dev);
  int n_out = 0, status;

  status = h == NULL ? -1 : ask_potrf(dev, h, dt, upper, n, ld, &n_out);
  return answer(dt, status, n_out);
}

int64_t mx_solver_getrf_bytes(mx_cuda *dev, mars_dtype dt, int m, int n, int ld) {
  cusolverDnHandle_t h = handle(dev);
  int n_out = 0, status;

  status = h == NULL ? -1 : ask_getrf(dev, h, dt, m, n, ld, &n_out);
  return answer(dt, status, n_out);
}

int64_t mx_solver_geqrf_bytes(mx_cuda *dev, mars_dtype dt, int m, int n, int ld) {
  cusolverDnHandle_t h = handle(dev);
  int n_out = 0, status;

  status = h == NULL ? -1 : ask_geqrf(dev, h, dt, m, n, ld, &n_out);
  return answer(dt, status, n_out);
}

int64_t mx_solver_syevd_bytes(mx_cuda *dev, mars_dtype dt, bool vectors, bool upper, int n, int ld) {
  cusolverDnHandle_t h = handle(dev);
  int n_out = 0, status;

  status = h == NULL ? -1 : ask_syevd(dev, h, dt, vectors, upper, n, ld, &n_out);
  return answer(dt, status, n_out);
}

int64_t mx_solver_gesvd_bytes(mx_cuda *dev, mars_dtype dt, int m, int n) {
  cusolverDnHandle_t h = handle(dev);
  int n_out = 0, status;

  status = h == NULL ? -1 : ask_gesvd(dev, h, dt, m, n, &n_out);
  return answer(dt, status, n_out);
}

/* ---- factorisations ---- */

static int run_potrf(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, bool upper, int n, void *a, int ld, const mx_solver_work *w) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSpotrf(h, part(upper), n, a, ld, w->at, count(dt, w), w->info);
  case MARS_F64: return (int)dev->cu->cusolverDnDpotrf(h, part(upper), n, a, ld, w->at, count(dt, w), w->info);
  case MARS_C64: return (int)dev->cu->cusolverDnCpotrf(h, part(upper), n, a, ld, w->at, count(dt, w), w->info);
  default: return (int)dev->cu->cusolverDnZpotrf(h, part(upper), n, a, ld, w->at, count(dt, w), w->info);
  }
}

static int run_getrf(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, int m, int n, void *a, int ld, int *pivot,
                     const mx_solver_work *w) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSgetrf(h, m, n, a, ld, w->at, pivot, w->info);
  case MARS_F64: return (int)dev->cu->cusolverDnDgetrf(h, m, n, a, ld, w->at, pivot, w->info);
  case MARS_C64: return (int)dev->cu->cusolverDnCgetrf(h, m, n, a, ld, w->at, pivot, w->info);
  default: return (int)dev->cu->cusolverDnZgetrf(h, m, n, a, ld, w->at, pivot, w->info);
  }
}

static int run_geqrf(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, int m, int n, void *a, int ld, void *tau,
                     const mx_solver_work *w) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSgeqrf(h, m, n, a, ld, tau, w->at, count(dt, w), w->info);
  case MARS_F64: return (int)dev->cu->cusolverDnDgeqrf(h, m, n, a, ld, tau, w->at, count(dt, w), w->info);
  case MARS_C64: return (int)dev->cu->cusolverDnCgeqrf(h, m, n, a, ld, tau, w->at, count(dt, w), w->info);
  default: return (int)dev->cu->cusolverDnZgeqrf(h, m, n, a, ld, tau, w->at, count(dt, w), w->info);
  }
}

static int run_syevd(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, bool vectors, bool upper, int n, void *a, int ld,
                     void *values, const mx_solver_work *w) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSsyevd(h, mode(vectors), part(upper), n, a, ld, values, w->at, count(dt, w), w->info);
  case MARS_F64: return (int)dev->cu->cusolverDnDsyevd(h, mode(vectors), part(upper), n, a, ld, values, w->at, count(dt, w), w->info);
  case MARS_C64: return (int)dev->cu->cusolverDnCheevd(h, mode(vectors), part(upper), n, a, ld, values, w->at, count(dt, w), w->info);
  default: return (int)dev->cu->cusolverDnZheevd(h, mode(vectors), part(upper), n, a, ld, values, w->at, count(dt, w), w->info);
  }
}

static int run_gesvd(mx_cuda *dev, cusolverDnHandle_t h, mars_dtype dt, const mx_solver_svd *x, const mx_solver_work *w) {
  switch (dt) {
  case MARS_F32: return (int)dev->cu->cusolverDnSgesvd(h, x->job, x->job, x->m, x->n, x->a, x->ld, x->s, x->u, x->ldu, x->v,
                                                       x->ldv, w->at, count(dt, w), x->rwork, w->info);
  case MARS_F64: return (int)dev->cu->cusolverDnDgesvd(h, x->job, x->job, x->m, x->n, x->a, x->ld, x->s, x->u, x->ldu, x->v,
                                                       x->ldv, w->at, count(dt, w), x->rwork, w->info);
  case MARS_C64: return (int)dev->cu->cusolverDnCgesvd(h, x->job, x->job, x->m, x->n, x->a, x->ld, x->s, x->u, x->ldu, x->v,
                                                       x->ldv, w->at, count(dt, w), x->rwork, w->info);
  default: return (int)dev->cu->cusolverDnZgesvd(h, x->job, x->job, x->m, x->n, x->a, x->ld, x->s, x->u, x->ldu, x->v, x->ldv,
                                                 w->at, count(dt, w), x->rwork, w->info);
  }
}

mars_status mx_solver_potrf(mx_cuda *dev, mars_dtype dt, bool upper, int n, void *a, int ld, const mx_solver_work *w,
                            mars_error *err) {
  mx_cuda_blas *b = NULL;
  mars_status st = mx_cuda_solver_open(dev, &b, err);

  return st != MARS_OK ? st : mx_cuda_solver_check(dev, run_potrf(dev, b->solver, dt, upper, n, a, ld, w), "cuSOLVER's potrf", err);
}

mars_status mx_solver_getrf(mx_cuda *dev, mars_dtype dt, int m, int n, void *a, int ld, int *pivot, const mx_solver_work *w,
                            mars_error *err) {
  mx_cuda_blas *b = NULL;
  mars_status st = mx_cuda_solver_open(dev, &b, err);

  return st != MARS_OK ? st : mx_cuda_solver_check(dev, run_getrf(dev, b->solver, dt, m, n, a, ld, pivot, w), "cuSOLVER's getrf", err);
}

mars_status mx_solver_geqrf(mx_cuda *dev, mars_dtype dt, int m, int n, void *a, int ld, void *tau, const mx_solver_work *w,
                            mars_error *err) {
  mx_cuda_blas *b = NULL;
  mars_status st = mx_cuda_solver_open(dev, &b, err);

  return st != MARS_OK ? st : mx_cuda_solver_check(dev, run_geqrf(dev, b->solver, dt, m, n, a, ld, tau, w), "cuSOLVER's geqrf", err);
}

mars_status mx_solver_syevd(mx_cuda *dev, mars_dtype dt, bool vectors, bool upper, int n, void *a, int ld, void *values,
                            const mx_solver_work *w, mars_error *err) {
  mx_cuda_blas *b = NULL;
  mars_status st = mx_cuda_solver_open(dev, &b, err);

  return st != MARS_OK ? st : mx_cuda_solver_check(dev, run_syevd(dev, b->solver, dt, vectors, upper, n, a, ld, values, w),
                                                   "cuSOLVER's syevd", err);
}

mars_status mx_solver_gesvd(mx_cuda *dev, mars_dtype dt, const mx_solver_svd *x, const mx_solver_work *w, mars_error *err) {
  mx_cuda_blas *b = NULL;
  mars_status st = mx_cuda_solver_open(dev, &b, err);

  return st != MARS_OK ? st : mx_cuda_solver_check(dev, run_gesvd(dev, b->solver, dt, x, w), "cuSOLVER's gesvd", err);
}
