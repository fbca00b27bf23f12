/* cuSOLVER's interfaces for one type each. Contract: cusolver_core.h. */
#include "cusolver_core.h"

using namespace sg;

/* A workspace of lwork elements; the real ones refuse one that is smaller than their query says. */
template <class T> static Work elements(T *p, int lwork) { return {p, lwork < 0 ? 0 : size_t(lwork) * sizeof(T)}; }

static cusolverStatus_t answer(cusolverDnHandle_t h, bool ok, size_t elements, int *lwork) {
  CHECK_HANDLE(h);
  if (!ok || lwork == nullptr || elements > size_t(INT_MAX)) return CUSOLVER_STATUS_INVALID_VALUE;
  *lwork = int(elements);
  return CUSOLVER_STATUS_SUCCESS;
}

#define P(x) reinterpret_cast<S *>(x)
#define PC(x) reinterpret_cast<const S *>(x)

#define FACTOR(L, T, TYPE)                                                                                                        \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##potrf_bufferSize(cusolverDnHandle_t h, cublasFillMode_t uplo, int n, T *a, int lda,   \
                                                               int *lwork) {                                                     \
    return answer(h, uplo_ok(uplo) && n >= 0 && ld_ok(lda, n), work_panel(n), lwork);                                              \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##potrf(cusolverDnHandle_t h, cublasFillMode_t uplo, int n, T *a, int lda, T *work,      \
                                                    int lwork, int *info) {                                                       \
    using S = TYPE;                                                                                                               \
    return potrf(h, uplo, n, P(a), lda, elements(work, lwork), info);                                                             \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##potrs(cusolverDnHandle_t h, cublasFillMode_t uplo, int n, int nrhs, const T *a,       \
                                                    int lda, T *b, int ldb, int *info) {                                          \
    using S = TYPE;                                                                                                               \
    return potrs(h, uplo, n, nrhs, PC(a), lda, P(b), ldb, info);                                                                  \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##getrf_bufferSize(cusolverDnHandle_t h, int m, int n, T *a, int lda, int *lwork) {     \
    return answer(h, m >= 0 && n >= 0 && ld_ok(lda, m), work_panel(std::max(m, n)), lwork);                                        \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##getrf(cusolverDnHandle_t h, int m, int n, T *a, int lda, T *work, int *ipiv,          \
                                                    int *info) {                                                                  \
    using S = TYPE;                                                                                                               \
    if (m < 0 || n < 0) return CUSOLVER_STATUS_INVALID_VALUE;                                                                     \
    return getrf(h, m, n, P(a), lda, {work, work_panel(std::max(m, n)) * sizeof(T)}, ipiv, info);                                  \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##getrs(cusolverDnHandle_t h, cublasOperation_t op, int n, int nrhs, const T *a,        \
                                                    int lda, const int *ipiv, T *b, int ldb, int *info) {                         \
    using S = TYPE;                                                                                                               \
    return getrs(h, op, n, nrhs, PC(a), lda, ipiv, P(b), ldb, info);                                                              \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##geqrf_bufferSize(cusolverDnHandle_t h, int m, int n, T *a, int lda, int *lwork) {     \
    return answer(h, m >= 0 && n >= 0 && ld_ok(lda, m), work_panel(n), lwork);                                                    \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##geqrf(cusolverDnHandle_t h, int m, int n, T *a, int lda, T *tau, T *work, int lwork,  \
                                                    int *info) {                                                                  \
    using S = TYPE;                                                                                                               \
    return geqrf(h, m, n, P(a), lda, P(tau), elements(work, lwork), info);                                                        \
  }

#define ORTHOGONAL(gqr, mqr, T, TYPE)                                                                                             \
  cusolverStatus_t CUSOLVERAPI cusolverDn##gqr##_bufferSize(cusolverDnHandle_t h, int m, int n, int k, const T *a, int lda,         \
                                                            const T *tau, int *lwork) {                                           \
    return answer(h, m >= 0 && n >= 0 && k >= 0 && n <= m && k <= n && ld_ok(lda, m), work_panel(n), lwork);                       \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##gqr(cusolverDnHandle_t h, int m, int n, int k, T *a, int lda, const T *tau, T *work,     \
                                               int lwork, int *info) {                                                            \
    using S = TYPE;                                                                                                               \
    return orgqr(h, m, n, k, P(a), lda, PC(tau), elements(work, lwork), info);                                                    \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##mqr##_bufferSize(cusolverDnHandle_t h, cublasSideMode_t side, cublasOperation_t op, int m, \
                                                            int n, int k, const T *a, int lda, const T *tau, const T *c, int ldc, \
                                                            int *lwork) {                                                         \
    return answer(h, m >= 0 && n >= 0 && k >= 0 && ld_ok(lda, side == CUBLAS_SIDE_LEFT ? m : n) && ld_ok(ldc, m),                  \
                  work_panel(std::max(m, n)), lwork);                                                                             \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##mqr(cusolverDnHandle_t h, cublasSideMode_t side, cublasOperation_t op, int m, int n,     \
                                               int k, const T *a, int lda, const T *tau, T *c, int ldc, T *work, int lwork,       \
                                               int *info) {                                                                       \
    using S = TYPE;                                                                                                               \
    return ormqr(h, side, op, m, n, k, PC(a), lda, PC(tau), P(c), ldc, elements(work, lwork), info);                               \
  }

#define SPECTRAL(L, evd, T, R, TYPE)                                                                                              \
  cusolverStatus_t CUSOLVERAPI cusolverDn##evd##_bufferSize(cusolverDnHandle_t h, cusolverEigMode_t job, cublasFillMode_t uplo,     \
                                                            int n, const T *a, int lda, const R *w, int *lwork) {                 \
    return answer(h, uplo_ok(uplo) && n >= 0 && ld_ok(lda, n), work_square(n, n), lwork);                                          \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##evd(cusolverDnHandle_t h, cusolverEigMode_t job, cublasFillMode_t uplo, int n, T *a,     \
                                               int lda, R *w, T *work, int lwork, int *info) {                                    \
    using S = TYPE;                                                                                                               \
    return syevd(h, job, uplo, n, P(a), lda, w, elements(work, lwork), info);                                                     \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##gesvd_bufferSize(cusolverDnHandle_t h, int m, int n, int *lwork) {                    \
    return answer(h, m >= 0 && n >= 0 && m >= n, work_square(m, n), lwork);                                                       \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##gesvd(cusolverDnHandle_t h, signed char ju, signed char jv, int m, int n, T *a,       \
                                                    int lda, R *s, T *u, int ldu, T *vt, int ldvt, T *work, int lwork, R *rwork,  \
                                                    int *info) {                                                                  \
    using S = TYPE;                                                                                                               \
    return gesvd(h, char(ju), char(jv), m, n, P(a), lda, s, P(u), ldu, P(vt), ldvt, elements(work, lwork), info);                  \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##gesvdj_bufferSize(cusolverDnHandle_t h, cusolverEigMode_t job, int econ, int m, int n, \
                                                                const T *a, int lda, const R *s, const T *u, int ldu, const T *v, \
                                                                int ldv, int *lwork, gesvdjInfo_t params) {                       \
    return answer(h, m >= 0 && n >= 0 && ld_ok(lda, m) && params != nullptr, work_square(m, n), lwork);                            \
  }                                                                                                                               \
  cusolverStatus_t CUSOLVERAPI cusolverDn##L##gesvdj(cusolverDnHandle_t h, cusolverEigMode_t job, int econ, int m, int n, T *a,     \
                                                     int lda, R *s, T *u, int ldu, T *v, int ldv, T *work, int lwork, int *info,  \
                                                     gesvdjInfo_t params) {                                                       \
    using S = TYPE;                                                                                                               \
    return gesvdj(h, job, econ, m, n, P(a), lda, s, P(u), ldu, P(v), ldv, elements(work, lwork), info, params);                    \
  }

FACTOR(S, float, float)
FACTOR(D, double, double)
FACTOR(C, cuComplex, c32)
FACTOR(Z, cuDoubleComplex, c64)
ORTHOGONAL(Sorgqr, Sormqr, float, float)
ORTHOGONAL(Dorgqr, Dormqr, double, double)
ORTHOGONAL(Cungqr, Cunmqr, cuComplex, c32)
ORTHOGONAL(Zungqr, Zunmqr, cuDoubleComplex, c64)
SPECTRAL(S, Ssyevd, float, float, float)
SPECTRAL(D, Dsyevd, double, double, double)
SPECTRAL(C, Cheevd, cuComplex, float, c32)
SPECTRAL(Z, Zheevd, cuDoubleComplex, double, c64)
