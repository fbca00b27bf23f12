/*
 * OpenBLAS and LAPACKE for the stand-ins of cuBLAS and cuSOLVER, opened at the first use, one name for the four types.
 *
 * Layer: tests/simgpu. Threads: any; every call runs on one thread.
 */
#pragma once
#include <complex>
#define lapack_complex_float std::complex<float>
#define lapack_complex_double std::complex<double>
#include <cblas.h>
#include <lapacke.h>

namespace sg {

void *blas_symbol(const char *name, bool lapacke); /* ends the process, with a message, if it is not there */
void blas_one_thread();                            /* of the calling thread */

using c32 = std::complex<float>;
using c64 = std::complex<double>;

/* SG_BLAS(dgemm): cblas_dgemm, looked up once. */
#define SG_BLAS(name)                                                                                                             \
  ([] {                                                                                                                           \
    static auto f = reinterpret_cast<decltype(&cblas_##name)>(::sg::blas_symbol("cblas_" #name, false));                          \
    return f;                                                                                                                     \
  }())
#define SG_LAPACK(name)                                                                                                           \
  ([] {                                                                                                                           \
    static auto f = reinterpret_cast<decltype(&LAPACKE_##name)>(::sg::blas_symbol("LAPACKE_" #name, true));                       \
    return f;                                                                                                                     \
  }())

template <class T> struct real_of { using type = T; };
template <class T> struct real_of<std::complex<T>> { using type = T; };
template <class T> using real_t = typename real_of<T>::type;
template <class T> constexpr bool is_complex = !std::is_same<T, real_t<T>>::value;

/* Column major throughout. */
template <class T>
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, T alpha, const T *a, int lda, const T *b, int ldb, T beta, T *c,
          int ldc) {
  if constexpr (std::is_same<T, float>::value) SG_BLAS(sgemm)(CblasColMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  else if constexpr (std::is_same<T, double>::value)
    SG_BLAS(dgemm)(CblasColMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  else if constexpr (std::is_same<T, c32>::value)
    SG_BLAS(cgemm)(CblasColMajor, ta, tb, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc);
  else SG_BLAS(zgemm)(CblasColMajor, ta, tb, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc);
}

template <class T>
void syrk(CBLAS_UPLO uplo, CBLAS_TRANSPOSE trans, int n, int k, T alpha, const T *a, int lda, T beta, T *c, int ldc) {
  if constexpr (std::is_same<T, float>::value) SG_BLAS(ssyrk)(CblasColMajor, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);
  else if constexpr (std::is_same<T, double>::value) SG_BLAS(dsyrk)(CblasColMajor, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);
  else if constexpr (std::is_same<T, c32>::value) SG_BLAS(csyrk)(CblasColMajor, uplo, trans, n, k, &alpha, a, lda, &beta, c, ldc);
  else SG_BLAS(zsyrk)(CblasColMajor, uplo, trans, n, k, &alpha, a, lda, &beta, c, ldc);
}

template <class T>
void herk(CBLAS_UPLO uplo, CBLAS_TRANSPOSE trans, int n, int k, real_t<T> alpha, const T *a, int lda, real_t<T> beta, T *c, int ldc) {
  if constexpr (std::is_same<T, c32>::value) SG_BLAS(cherk)(CblasColMajor, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);
  else SG_BLAS(zherk)(CblasColMajor, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);
}

template <class T>
void trsm(CBLAS_SIDE side, CBLAS_UPLO uplo, CBLAS_TRANSPOSE trans, CBLAS_DIAG diag, int m, int n, T alpha, const T *a, int lda, T *b,
          int ldb) {
  if constexpr (std::is_same<T, float>::value) SG_BLAS(strsm)(CblasColMajor, side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb);
  else if constexpr (std::is_same<T, double>::value)
    SG_BLAS(dtrsm)(CblasColMajor, side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb);
  else if constexpr (std::is_same<T, c32>::value) SG_BLAS(ctrsm)(CblasColMajor, side, uplo, trans, diag, m, n, &alpha, a, lda, b, ldb);
  else SG_BLAS(ztrsm)(CblasColMajor, side, uplo, trans, diag, m, n, &alpha, a, lda, b, ldb);
}

template <class T>
void trmm(CBLAS_SIDE side, CBLAS_UPLO uplo, CBLAS_TRANSPOSE trans, CBLAS_DIAG diag, int m, int n, T alpha, const T *a, int lda, T *b,
          int ldb) {
  if constexpr (std::is_same<T, float>::value) SG_BLAS(strmm)(CblasColMajor, side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb);
  else if constexpr (std::is_same<T, double>::value)
    SG_BLAS(dtrmm)(CblasColMajor, side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb);
  else if constexpr (std::is_same<T, c32>::value) SG_BLAS(ctrmm)(CblasColMajor, side, uplo, trans, diag, m, n, &alpha, a, lda, b, ldb);
  else SG_BLAS(ztrmm)(CblasColMajor, side, uplo, trans, diag, m, n, &alpha, a, lda, b, ldb);
}

template <class T>
void gemv(CBLAS_TRANSPOSE trans, int m, int n, T alpha, const T *a, int lda, const T *x, int incx, T beta, T *y, int incy) {
  if constexpr (std::is_same<T, float>::value) SG_BLAS(sgemv)(CblasColMajor, trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
  else if constexpr (std::is_same<T, double>::value)
    SG_BLAS(dgemv)(CblasColMajor, trans, m, n, alpha, a, lda, x, incx, beta, y, incy);
  else if constexpr (std::is_same<T, c32>::value) SG_BLAS(cgemv)(CblasColMajor, trans, m, n, &alpha, a, lda, x, incx, &beta, y, incy);
  else SG_BLAS(zgemv)(CblasColMajor, trans, m, n, &alpha, a, lda, x, incx, &beta, y, incy);
}

template <class T> real_t<T> nrm2(int n, const T *x, int incx) {
  if constexpr (std::is_same<T, float>::value) return SG_BLAS(snrm2)(n, x, incx);
  else if constexpr (std::is_same<T, double>::value) return SG_BLAS(dnrm2)(n, x, incx);
  else if constexpr (std::is_same<T, c32>::value) return SG_BLAS(scnrm2)(n, x, incx);
  else return SG_BLAS(dznrm2)(n, x, incx);
}

} // namespace sg
