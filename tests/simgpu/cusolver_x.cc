/* cuSOLVER's 64-bit interface, whose types are arguments. Contract: cusolver_core.h. */
#include "cusolver_core.h"

using namespace sg;

/* f(T()) for the type that `type` names. */
template <class F> static cusolverStatus_t with_type(cudaDataType type, F f) {
  switch (type) {
  case CUDA_R_32F: return f(float());
  case CUDA_R_64F: return f(double());
  case CUDA_C_32F: return f(c32());
  case CUDA_C_64F: return f(c64());
  default: return CUSOLVER_STATUS_NOT_SUPPORTED;
  }
}
static cudaDataType real_type(cudaDataType t) { return t == CUDA_C_32F ? CUDA_R_32F : t == CUDA_C_64F ? CUDA_R_64F : t; }

static cusolverStatus_t answer(cusolverDnHandle_t h, bool ok, cudaDataType type, size_t elements, size_t *device, size_t *host) {
  CHECK_HANDLE(h);
  if (!ok || device == nullptr || host == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  return with_type(type, [&](auto one) {
    *device = elements * sizeof one;
    *host = 0;
    return CUSOLVER_STATUS_SUCCESS;
  });
}

cusolverStatus_t CUSOLVERAPI cusolverDnXpotrf_bufferSize(cusolverDnHandle_t h, cusolverDnParams_t, cublasFillMode_t uplo, int64_t n,
                                                         cudaDataType type, const void *, int64_t lda, cudaDataType compute,
                                                         size_t *device, size_t *host) {
  return answer(h, uplo_ok(uplo) && size_ok(n) && ld_ok(lda, n) && type == compute, type, work_panel(n), device, host);
}

cusolverStatus_t CUSOLVERAPI cusolverDnXpotrf(cusolverDnHandle_t h, cusolverDnParams_t, cublasFillMode_t uplo, int64_t n,
                                              cudaDataType type, void *a, int64_t lda, cudaDataType compute, void *work, size_t bytes,
                                              void *, size_t, int *info) {
  if (type != compute) return CUSOLVER_STATUS_INVALID_VALUE;
  return with_type(type, [&](auto one) {
    using T = decltype(one);
    return potrf(h, uplo, n, static_cast<T *>(a), lda, {work, bytes}, info);
  });
}

cusolverStatus_t CUSOLVERAPI cusolverDnXpotrs(cusolverDnHandle_t h, cusolverDnParams_t, cublasFillMode_t uplo, int64_t n, int64_t nrhs,
                                              cudaDataType type, const void *a, int64_t lda, cudaDataType type_b, void *b, int64_t ldb,
                                              int *info) {
  if (type != type_b) return CUSOLVER_STATUS_INVALID_VALUE;
  return with_type(type, [&](auto one) {
    using T = decltype(one);
    return potrs(h, uplo, n, nrhs, static_cast<const T *>(a), lda, static_cast<T *>(b), ldb, info);
  });
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgetrf_bufferSize(cusolverDnHandle_t h, cusolverDnParams_t, int64_t m, int64_t n,
                                                         cudaDataType type, const void *, int64_t lda, cudaDataType compute,
                                                         size_t *device, size_t *host) {
  return answer(h, size_ok(m) && size_ok(n) && ld_ok(lda, m) && type == compute, type, work_panel(std::max(m, n)), device, host);
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgetrf(cusolverDnHandle_t h, cusolverDnParams_t, int64_t m, int64_t n, cudaDataType type, void *a,
                                              int64_t lda, int64_t *ipiv, cudaDataType compute, void *work, size_t bytes, void *, size_t,
                                              int *info) {
  if (type != compute) return CUSOLVER_STATUS_INVALID_VALUE;
  return with_type(type, [&](auto one) {
    using T = decltype(one);
    return getrf(h, m, n, static_cast<T *>(a), lda, {work, bytes}, ipiv, info);
  });
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgetrs(cusolverDnHandle_t h, cusolverDnParams_t, cublasOperation_t op, int64_t n, int64_t nrhs,
                                              cudaDataType type, const void *a, int64_t lda, const int64_t *ipiv, cudaDataType type_b,
                                              void *b, int64_t ldb, int *info) {
  if (type != type_b) return CUSOLVER_STATUS_INVALID_VALUE;
  return with_type(type, [&](auto one) {
    using T = decltype(one);
    return getrs(h, op, n, nrhs, static_cast<const T *>(a), lda, ipiv, static_cast<T *>(b), ldb, info);
  });
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgeqrf_bufferSize(cusolverDnHandle_t h, cusolverDnParams_t, int64_t m, int64_t n,
                                                         cudaDataType type, const void *, int64_t lda, cudaDataType type_tau, const void *,
                                                         cudaDataType compute, size_t *device, size_t *host) {
  bool ok = size_ok(m) && size_ok(n) && ld_ok(lda, m) && type == compute && type == type_tau;
  return answer(h, ok, type, work_panel(n), device, host);
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgeqrf(cusolverDnHandle_t h, cusolverDnParams_t, int64_t m, int64_t n, cudaDataType type, void *a,
                                              int64_t lda, cudaDataType type_tau, void *tau, cudaDataType compute, void *work,
                                              size_t bytes, void *, size_t, int *info) {
  if (type != compute || type != type_tau) return CUSOLVER_STATUS_INVALID_VALUE;
  return with_type(type, [&](auto one) {
    using T = decltype(one);
    return geqrf(h, m, n, static_cast<T *>(a), lda, static_cast<T *>(tau), {work, bytes}, info);
  });
}

cusolverStatus_t CUSOLVERAPI cusolverDnXsyevd_bufferSize(cusolverDnHandle_t h, cusolverDnParams_t, cusolverEigMode_t,
                                                         cublasFillMode_t uplo, int64_t n, cudaDataType type, const void *, int64_t lda,
                                                         cudaDataType type_w, const void *, cudaDataType compute, size_t *device,
                                                         size_t *host) {
  bool ok = uplo_ok(uplo) && size_ok(n) && ld_ok(lda, n) && type == compute && type_w == real_type(type);
  return answer(h, ok, type, work_square(n, n), device, host);
}

cusolverStatus_t CUSOLVERAPI cusolverDnXsyevd(cusolverDnHandle_t h, cusolverDnParams_t, cusolverEigMode_t job, cublasFillMode_t uplo,
                                              int64_t n, cudaDataType type, void *a, int64_t lda, cudaDataType type_w, void *w,
                                              cudaDataType compute, void *work, size_t bytes, void *, size_t, int *info) {
  if (type != compute || type_w != real_type(type)) return CUSOLVER_STATUS_INVALID_VALUE;
  return with_type(type, [&](auto one) {
    using T = decltype(one);
    return syevd(h, job, uplo, n, static_cast<T *>(a), lda, static_cast<real_t<T> *>(w), {work, bytes}, info);
  });
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgesvd_bufferSize(cusolverDnHandle_t h, cusolverDnParams_t, signed char, signed char, int64_t m,
                                                         int64_t n, cudaDataType type, const void *, int64_t lda, cudaDataType type_s,
                                                         const void *, cudaDataType type_u, const void *, int64_t, cudaDataType type_vt,
                                                         const void *, int64_t, cudaDataType compute, size_t *device, size_t *host) {
  bool types = type == compute && type == type_u && type == type_vt && type_s == real_type(type);
  return answer(h, types && size_ok(m) && size_ok(n) && m >= n && ld_ok(lda, m), type, work_square(m, n), device, host);
}

cusolverStatus_t CUSOLVERAPI cusolverDnXgesvd(cusolverDnHandle_t h, cusolverDnParams_t, signed char ju, signed char jv, int64_t m,
                                              int64_t n, cudaDataType type, void *a, int64_t lda, cudaDataType type_s, void *s,
                                              cudaDataType type_u, void *u, int64_t ldu, cudaDataType type_vt, void *vt, int64_t ldvt,
                                              cudaDataType compute, void *work, size_t bytes, void *, size_t, int *info) {
  if (type != compute || type != type_u || type != type_vt || type_s != real_type(type)) return CUSOLVER_STATUS_INVALID_VALUE;
  return with_type(type, [&](auto one) {
    using T = decltype(one);
    return gesvd(h, char(ju), char(jv), m, n, static_cast<T *>(a), lda, static_cast<real_t<T> *>(s), static_cast<T *>(u), ldu,
                 static_cast<T *>(vt), ldvt, {work, bytes}, info);
  });
}
