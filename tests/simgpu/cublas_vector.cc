/* Matrices times vectors, and vectors. Contract: cublas_core.h. */
#include "cublas_core.h"

namespace sg {
namespace {

template <class T>
cublasStatus_t matrix_vector(cublasHandle_t h, const char *what, cublasOperation_t trans, int64_t m, int64_t n, const void *alpha,
                             const void *pa, int64_t lda, const void *px, int64_t incx, const void *beta, void *py, int64_t incy) {
  const T *a = static_cast<const T *>(pa), *x = static_cast<const T *>(px);
  T *y = static_cast<T *>(py);
  std::vector<Touch> touches;

  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!op_valid(trans) || m < 0 || n < 0 || lda < at_least_1(m) || incx == 0 || incy == 0 || alpha == nullptr || beta == nullptr)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  if (a == nullptr || x == nullptr || y == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (!fits(m) || !fits(n) || !fits(lda) || !fits(incx) || !fits(incy)) return CUBLAS_STATUS_NOT_SUPPORTED;
  Scalar<T> al(h, static_cast<const T *>(alpha)), be(h, static_cast<const T *>(beta));
  int64_t nx = trans == CUBLAS_OP_N ? n : m, ny = trans == CUBLAS_OP_N ? m : n;
  al.touch(&touches);
  be.touch(&touches);
  if (!al.zero()) {
    touches.push_back(matrix(a, m, n, lda, false, false));
    touches.push_back(vector(x, nx, incx, false, false));
  }
  touches.push_back(vector(y, ny, incy, true, !be.zero()));
  return blas_enqueue(h, what, std::move(touches), [=] {
    gemv(trans_of(trans), int(m), int(n), al.get(), a, int(lda), x, int(incx), be.get(), y, int(incy));
  });
}

/* A result of one number, to the host (then the call waits) or to the device. */
template <class R, class F>
cublasStatus_t to_scalar(cublasHandle_t h, const char *what, std::vector<Touch> touches, R *result, F value) {
  bool wait = h->pointers == CUBLAS_POINTER_MODE_HOST;
  if (result == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (!wait) touches.push_back(writes(result, sizeof(R)));
  return blas_enqueue(h, what, std::move(touches), [=] { *result = value(); }, wait);
}

template <class T>
cublasStatus_t dot(cublasHandle_t h, const char *what, bool conjugate, int64_t n, const void *px, int64_t incx, const void *py,
                   int64_t incy, void *result) {
  const T *x = static_cast<const T *>(px), *y = static_cast<const T *>(py);
  std::vector<Touch> touches;
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (n > 0 && (x == nullptr || y == nullptr)) return CUBLAS_STATUS_INVALID_VALUE;
  if (n > 0) touches = {vector(x, n, incx, false, false), vector(y, n, incy, false, false)};
  return to_scalar(h, what, touches, static_cast<T *>(result), [=] {
    T sum = T(0);
    const T *xs = incx < 0 ? x - (n - 1) * incx : x, *ys = incy < 0 ? y - (n - 1) * incy : y;
    for (int64_t i = 0; i < n; i++) {
      T left = xs[i * incx];
      if constexpr (is_complex<T>) {
        if (conjugate) left = std::conj(left);
      }
      sum += left * ys[i * incy];
    }
    return sum;
  });
}

template <class T>
cublasStatus_t norm(cublasHandle_t h, const char *what, int64_t n, const void *px, int64_t incx, real_t<T> *result) {
  const T *x = static_cast<const T *>(px);
  std::vector<Touch> touches;
  bool empty = n <= 0 || incx <= 0;
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!empty && x == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (!fits(n) || !fits(incx)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!empty) touches = {vector(x, n, incx, false, false)};
  return to_scalar(h, what, touches, result, [=] { return empty ? real_t<T>(0) : nrm2(int(n), x, int(incx)); });
}

template <class T>
cublasStatus_t axpy(cublasHandle_t h, const char *what, int64_t n, const void *alpha, const void *px, int64_t incx, void *py, int64_t incy) {
  const T *x = static_cast<const T *>(px);
  T *y = static_cast<T *>(py);
  std::vector<Touch> touches;
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (alpha == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (n <= 0) return CUBLAS_STATUS_SUCCESS;
  if (x == nullptr || y == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  Scalar<T> al(h, static_cast<const T *>(alpha));
  al.touch(&touches);
  touches.push_back(vector(x, n, incx, false, false));
  touches.push_back(vector(y, n, incy, true, true));
  return blas_enqueue(h, what, std::move(touches), [=] {
    const T *xs = incx < 0 ? x - (n - 1) * incx : x;
    T *ys = incy < 0 ? y - (n - 1) * incy : y;
    for (int64_t i = 0; i < n; i++) ys[i * incy] += al.get() * xs[i * incx];
  });
}

template <class T> cublasStatus_t scal(cublasHandle_t h, const char *what, int64_t n, const void *alpha, void *px, int64_t incx) {
  T *x = static_cast<T *>(px);
  std::vector<Touch> touches;
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (alpha == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (n <= 0 || incx <= 0) return CUBLAS_STATUS_SUCCESS;
  if (x == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  Scalar<T> al(h, static_cast<const T *>(alpha));
  al.touch(&touches);
  touches.push_back(vector(x, n, incx, true, true));
  return blas_enqueue(h, what, std::move(touches), [=] {
    for (int64_t i = 0; i < n; i++) x[i * incx] *= al.get();
  });
}

} // namespace
} // namespace sg

using namespace sg;

#define DOT(name, T, S, conjugate, I, suffix)                                                                                     \
  cublasStatus_t CUBLASWINAPI cublas##name##_v2##suffix(cublasHandle_t h, I n, const T *x, I incx, const T *y, I incy, T *result) {  \
    return dot<S>(h, "cublas" #name, conjugate, n, x, incx, y, incy, result);                                                     \
  }
#define VECTOR(L, N, T, S, R, I, suffix)                                                                                          \
  cublasStatus_t CUBLASWINAPI cublas##L##gemv_v2##suffix(cublasHandle_t h, cublasOperation_t trans, I m, I n, const T *alpha,       \
                                                         const T *a, I lda, const T *x, I incx, const T *beta, T *y, I incy) {    \
    return matrix_vector<S>(h, "cublas" #L "gemv", trans, m, n, alpha, a, lda, x, incx, beta, y, incy);                           \
  }                                                                                                                               \
  cublasStatus_t CUBLASWINAPI cublas##N##nrm2_v2##suffix(cublasHandle_t h, I n, const T *x, I incx, R *result) {                    \
    return norm<S>(h, "cublas" #N "nrm2", n, x, incx, result);                                                                    \
  }                                                                                                                               \
  cublasStatus_t CUBLASWINAPI cublas##L##axpy_v2##suffix(cublasHandle_t h, I n, const T *alpha, const T *x, I incx, T *y, I incy) { \
    return axpy<S>(h, "cublas" #L "axpy", n, alpha, x, incx, y, incy);                                                            \
  }                                                                                                                               \
  cublasStatus_t CUBLASWINAPI cublas##L##scal_v2##suffix(cublasHandle_t h, I n, const T *alpha, T *x, I incx) {                     \
    return scal<S>(h, "cublas" #L "scal", n, alpha, x, incx);                                                                     \
  }
#define ALL(I, suffix)                                                                                                            \
  DOT(Sdot, float, float, false, I, suffix)                                                                                       \
  DOT(Ddot, double, double, false, I, suffix)                                                                                     \
  DOT(Cdotu, cuComplex, c32, false, I, suffix)                                                                                    \
  DOT(Cdotc, cuComplex, c32, true, I, suffix)                                                                                     \
  DOT(Zdotu, cuDoubleComplex, c64, false, I, suffix)                                                                              \
  DOT(Zdotc, cuDoubleComplex, c64, true, I, suffix)                                                                               \
  VECTOR(S, S, float, float, float, I, suffix)                                                                                    \
  VECTOR(D, D, double, double, double, I, suffix)                                                                                 \
  VECTOR(C, Sc, cuComplex, c32, float, I, suffix)                                                                                 \
  VECTOR(Z, Dz, cuDoubleComplex, c64, double, I, suffix)
ALL(int, )
ALL(int64_t, _64)
