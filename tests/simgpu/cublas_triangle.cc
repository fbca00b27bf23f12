/* Rank-k updates, triangular products and solves, and sums of matrices. Contract: cublas_core.h. */
#include "cublas_core.h"

namespace sg {
namespace {

template <class T, bool hermitian>
cublasStatus_t rank_k(cublasHandle_t h, const char *what, cublasFillMode_t uplo, cublasOperation_t trans, int64_t n, int64_t k,
                      const void *alpha, const void *pa, int64_t lda, const void *beta, void *pc, int64_t ldc) {
  using S = typename std::conditional<hermitian, real_t<T>, T>::type;
  const T *a = static_cast<const T *>(pa);
  T *c = static_cast<T *>(pc);
  std::vector<Touch> touches;

  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!uplo_valid(uplo) || !op_valid(trans) || n < 0 || k < 0 || alpha == nullptr || beta == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (is_complex<T> && trans == (hermitian ? CUBLAS_OP_T : CUBLAS_OP_C)) return CUBLAS_STATUS_INVALID_VALUE;
  if (lda < at_least_1(trans == CUBLAS_OP_N ? n : k) || ldc < at_least_1(n)) return CUBLAS_STATUS_INVALID_VALUE;
  if (n != 0 && (c == nullptr || (k != 0 && a == nullptr))) return CUBLAS_STATUS_INVALID_VALUE;
  if (!fits(n) || !fits(k) || !fits(lda) || !fits(ldc)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (n == 0) return CUBLAS_STATUS_SUCCESS;
  Scalar<S> al(h, static_cast<const S *>(alpha)), be(h, static_cast<const S *>(beta));
  al.touch(&touches);
  be.touch(&touches);
  if (k > 0 && !al.zero()) touches.push_back(trans == CUBLAS_OP_N ? matrix(a, n, k, lda, false, false) : matrix(a, k, n, lda, false, false));
  touches.push_back(triangle(c, n, ldc, uplo, true, !be.zero()));
  if (h->workspace_bytes != 0) touches.push_back(writes(h->workspace, h->workspace_bytes));
  CBLAS_TRANSPOSE t = trans_of(trans);
  if (!is_complex<T> && t == CblasConjTrans) t = CblasTrans;
  return blas_enqueue(h, what, std::move(touches), [=] {
    if constexpr (hermitian) herk(uplo_of(uplo), t, int(n), int(k), al.get(), a, int(lda), be.get(), c, int(ldc));
    else syrk(uplo_of(uplo), t, int(n), int(k), al.get(), a, int(lda), be.get(), c, int(ldc));
  });
}

struct Triangular {
  cublasSideMode_t side;
  cublasFillMode_t uplo;
  cublasOperation_t trans;
  cublasDiagType_t diag;
  int64_t m, n, lda, ldb, ldc;
};

cublasStatus_t check(cublasHandle_t h, const Triangular &s, const void *alpha, const void *a, const void *b, const void *c) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if ((s.side != CUBLAS_SIDE_LEFT && s.side != CUBLAS_SIDE_RIGHT) || !uplo_valid(s.uplo) || !op_valid(s.trans) ||
      (s.diag != CUBLAS_DIAG_NON_UNIT && s.diag != CUBLAS_DIAG_UNIT) || s.m < 0 || s.n < 0 || alpha == nullptr)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (s.lda < at_least_1(s.side == CUBLAS_SIDE_LEFT ? s.m : s.n) || s.ldb < at_least_1(s.m) || s.ldc < at_least_1(s.m))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (s.m != 0 && s.n != 0 && (a == nullptr || b == nullptr || c == nullptr)) return CUBLAS_STATUS_INVALID_VALUE;
  return fits(s.m) && fits(s.n) && fits(s.lda) && fits(s.ldb) && fits(s.ldc) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

/* solve: B is overwritten with the solution; else C = the product, B may be C. */
template <class T>
cublasStatus_t triangular(cublasHandle_t h, const char *what, bool solve, const Triangular &s, const void *alpha, const void *pa,
                          const void *pb, void *pc) {
  const T *a = static_cast<const T *>(pa), *b = static_cast<const T *>(pb);
  T *c = static_cast<T *>(pc);
  std::vector<Touch> touches;
  cublasStatus_t st = check(h, s, alpha, a, b, c);

  if (st != CUBLAS_STATUS_SUCCESS || s.m == 0 || s.n == 0) return st;
  Scalar<T> al(h, static_cast<const T *>(alpha));
  al.touch(&touches);
  if (!al.zero()) touches.push_back(triangle(a, s.side == CUBLAS_SIDE_LEFT ? s.m : s.n, s.lda, s.uplo, false, false));
  bool in_place = static_cast<const T *>(c) == b;
  if (!in_place) touches.push_back(matrix(b, s.m, s.n, s.ldb, false, false));
  touches.push_back(matrix(c, s.m, s.n, s.ldc, true, in_place && !al.zero()));
  if (h->workspace_bytes != 0) touches.push_back(writes(h->workspace, h->workspace_bytes));
  CBLAS_SIDE side = s.side == CUBLAS_SIDE_LEFT ? CblasLeft : CblasRight;
  CBLAS_DIAG diag = s.diag == CUBLAS_DIAG_UNIT ? CblasUnit : CblasNonUnit;
  return blas_enqueue(h, what, std::move(touches), [=] {
    if (!in_place)
      for (int64_t j = 0; j < s.n; j++)
        for (int64_t i = 0; i < s.m; i++) c[j * s.ldc + i] = b[j * s.ldb + i];
    (solve ? trsm<T> : trmm<T>)(side, uplo_of(s.uplo), trans_of(s.trans), diag, int(s.m), int(s.n), al.get(), a, int(s.lda), c,
                                int(s.ldc));
  });
}

template <class T> T conj_if(T x, bool conjugate) {
  if constexpr (is_complex<T>) return conjugate ? std::conj(x) : x;
  return x;
}

template <class T>
cublasStatus_t geam(cublasHandle_t h, const char *what, cublasOperation_t ta, cublasOperation_t tb, int64_t m, int64_t n,
                    const void *alpha, const void *pa, int64_t lda, const void *beta, const void *pb, int64_t ldb, void *pc,
                    int64_t ldc) {
  const T *a = static_cast<const T *>(pa), *b = static_cast<const T *>(pb);
  T *c = static_cast<T *>(pc);
  std::vector<Touch> touches;

  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!op_valid(ta) || !op_valid(tb) || m < 0 || n < 0 || alpha == nullptr || beta == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (ldc < at_least_1(m)) return CUBLAS_STATUS_INVALID_VALUE;
  Scalar<T> al(h, static_cast<const T *>(alpha)), be(h, static_cast<const T *>(beta));
  if (a != nullptr && lda < at_least_1(ta == CUBLAS_OP_N ? m : n)) return CUBLAS_STATUS_INVALID_VALUE;
  if (b != nullptr && ldb < at_least_1(tb == CUBLAS_OP_N ? m : n)) return CUBLAS_STATUS_INVALID_VALUE;
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  if (c == nullptr || (a == nullptr && !al.zero()) || (b == nullptr && !be.zero())) return CUBLAS_STATUS_INVALID_VALUE;
  if ((c == a && (ta != CUBLAS_OP_N || lda != ldc)) || (c == b && (tb != CUBLAS_OP_N || ldb != ldc))) return CUBLAS_STATUS_INVALID_VALUE;
  al.touch(&touches);
  be.touch(&touches);
  bool in_place = (c == a && !al.zero()) || (c == b && !be.zero());
  if (!al.zero() && c != a) touches.push_back(ta == CUBLAS_OP_N ? matrix(a, m, n, lda, false, false) : matrix(a, n, m, lda, false, false));
  if (!be.zero() && c != b) touches.push_back(tb == CUBLAS_OP_N ? matrix(b, m, n, ldb, false, false) : matrix(b, n, m, ldb, false, false));
  touches.push_back(matrix(c, m, n, ldc, true, in_place));
  return blas_enqueue(h, what, std::move(touches), [=] {
    T x = al.get(), y = be.get();
    for (int64_t j = 0; j < n; j++)
      for (int64_t i = 0; i < m; i++) {
        T sum = T(0);
        if (x != T(0)) sum += x * (ta == CUBLAS_OP_N ? a[j * lda + i] : conj_if(a[i * lda + j], ta == CUBLAS_OP_C));
        if (y != T(0)) sum += y * (tb == CUBLAS_OP_N ? b[j * ldb + i] : conj_if(b[i * ldb + j], tb == CUBLAS_OP_C));
        c[j * ldc + i] = sum;
      }
  });
}

} // namespace
} // namespace sg

using namespace sg;

#define SYRK(name, T, S, R, hermitian, I, suffix)                                                                                 \
  cublasStatus_t CUBLASWINAPI cublas##name##_v2##suffix(cublasHandle_t h, cublasFillMode_t uplo, cublasOperation_t trans, I n, I k, \
                                                        const R *alpha, const T *a, I lda, const R *beta, T *c, I ldc) {           \
    return rank_k<S, hermitian>(h, "cublas" #name, uplo, trans, n, k, alpha, a, lda, beta, c, ldc);                                \
  }
#define TRIANGULAR(L, T, S, I, suffix)                                                                                            \
  cublasStatus_t CUBLASWINAPI cublas##L##trsm_v2##suffix(cublasHandle_t h, cublasSideMode_t side, cublasFillMode_t uplo,            \
                                                         cublasOperation_t trans, cublasDiagType_t diag, I m, I n, const T *alpha, \
                                                         const T *a, I lda, T *b, I ldb) {                                        \
    return triangular<S>(h, "cublas" #L "trsm", true, {side, uplo, trans, diag, m, n, lda, ldb, ldb}, alpha, a, b, b);             \
  }                                                                                                                               \
  cublasStatus_t CUBLASWINAPI cublas##L##trmm_v2##suffix(cublasHandle_t h, cublasSideMode_t side, cublasFillMode_t uplo,            \
                                                         cublasOperation_t trans, cublasDiagType_t diag, I m, I n, const T *alpha, \
                                                         const T *a, I lda, const T *b, I ldb, T *c, I ldc) {                     \
    return triangular<S>(h, "cublas" #L "trmm", false, {side, uplo, trans, diag, m, n, lda, ldb, ldc}, alpha, a, b, c);            \
  }                                                                                                                               \
  cublasStatus_t CUBLASWINAPI cublas##L##geam##suffix(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, I m, I n,       \
                                                      const T *alpha, const T *a, I lda, const T *beta, const T *b, I ldb, T *c,  \
                                                      I ldc) {                                                                    \
    return geam<S>(h, "cublas" #L "geam", ta, tb, m, n, alpha, a, lda, beta, b, ldb, c, ldc);                                      \
  }
#define ALL(I, suffix)                                                                                                            \
  SYRK(Ssyrk, float, float, float, false, I, suffix)                                                                              \
  SYRK(Dsyrk, double, double, double, false, I, suffix)                                                                           \
  SYRK(Csyrk, cuComplex, c32, cuComplex, false, I, suffix)                                                                        \
  SYRK(Zsyrk, cuDoubleComplex, c64, cuDoubleComplex, false, I, suffix)                                                            \
  SYRK(Cherk, cuComplex, c32, float, true, I, suffix)                                                                             \
  SYRK(Zherk, cuDoubleComplex, c64, double, true, I, suffix)                                                                      \
  TRIANGULAR(S, float, float, I, suffix)                                                                                          \
  TRIANGULAR(D, double, double, I, suffix)                                                                                        \
  TRIANGULAR(C, cuComplex, c32, I, suffix)                                                                                        \
  TRIANGULAR(Z, cuDoubleComplex, c64, I, suffix)
ALL(int, )
ALL(int64_t, _64)
