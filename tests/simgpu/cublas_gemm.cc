/* Products. Contract: cublas_core.h. */
#include "cublas_core.h"
#include "half_bits.h"

#include <type_traits>

namespace sg {
namespace {

using ll = long long;

struct Shape {
  cublasOperation_t ta, tb;
  int64_t m, n, k, lda, ldb, ldc;
  ll stride_a = 0, stride_b = 0, stride_c = 0;
  int64_t batch = 1;
};

cublasStatus_t check(cublasHandle_t h, const Shape &s, const void *alpha, const void *a, const void *b, const void *beta, const void *c) {
  if (!handle_valid(h)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!op_valid(s.ta) || !op_valid(s.tb) || s.m < 0 || s.n < 0 || s.k < 0 || s.batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
  if (s.lda < at_least_1(s.ta == CUBLAS_OP_N ? s.m : s.k) || s.ldb < at_least_1(s.tb == CUBLAS_OP_N ? s.k : s.n) ||
      s.ldc < at_least_1(s.m))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (alpha == nullptr || beta == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (s.m != 0 && s.n != 0 && s.batch != 0 && (c == nullptr || (s.k != 0 && (a == nullptr || b == nullptr))))
    return CUBLAS_STATUS_INVALID_VALUE;
  for (int64_t n : {s.m, s.n, s.k, s.lda, s.ldb, s.ldc})
    if (!fits(n)) return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

/* One product in type W of operands stored as I, result stored as O. */
template <class W, class I, class O> void product(const Shape &s, W alpha, const I *a, const I *b, W beta, O *c) {
  int m = int(s.m), n = int(s.n), k = int(s.k), lda = int(s.lda), ldb = int(s.ldb), ldc = int(s.ldc);
  const W *wa, *wb;
  W *wc;
  std::vector<W> sa, sb, sc;
  int a_cols = s.ta == CUBLAS_OP_N ? k : m, b_cols = s.tb == CUBLAS_OP_N ? n : k;
  int a_rows = s.ta == CUBLAS_OP_N ? m : k, b_rows = s.tb == CUBLAS_OP_N ? k : n;

  auto gather = [](std::vector<W> &to, const I *from, int rows, int cols, int ld) {
    to.resize(size_t(rows) * size_t(cols));
    for (int j = 0; j < cols; j++)
      for (int i = 0; i < rows; i++) to[size_t(j) * size_t(rows) + size_t(i)] = W(widen(from[size_t(j) * size_t(ld) + size_t(i)]));
    return to.data();
  };
  if constexpr (std::is_same<W, I>::value) wa = a, wb = b;
  else {
    wa = gather(sa, a, a_rows, a_cols, lda), lda = int(at_least_1(a_rows));
    wb = gather(sb, b, b_rows, b_cols, ldb), ldb = int(at_least_1(b_rows));
  }
  if constexpr (std::is_same<W, O>::value) {
    wc = c;
    gemm(trans_of(s.ta), trans_of(s.tb), m, n, k, alpha, wa, lda, wb, ldb, beta, wc, ldc);
  } else {
    sc.assign(size_t(m) * size_t(n), W(0));
    if (beta != W(0))
      for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) sc[size_t(j) * size_t(m) + size_t(i)] = W(widen(c[size_t(j) * size_t(ldc) + size_t(i)]));
    gemm(trans_of(s.ta), trans_of(s.tb), m, n, k, alpha, wa, lda, wb, ldb, beta, sc.data(), m);
    for (int j = 0; j < n; j++)
      for (int i = 0; i < m; i++) narrow(sc[size_t(j) * size_t(m) + size_t(i)], &c[size_t(j) * size_t(ldc) + size_t(i)]);
  }
}

template <class W, class I, class O>
cublasStatus_t run(cublasHandle_t h, const char *what, const Shape &s, const void *alpha, const void *a, const void *b, const void *beta,
                   void *c) {
  Scalar<W> al(h, static_cast<const W *>(alpha)), be(h, static_cast<const W *>(beta));
  const I *pa = static_cast<const I *>(a), *pb = static_cast<const I *>(b);
  O *pc = static_cast<O *>(c);
  std::vector<Touch> touches;

  if (s.m == 0 || s.n == 0 || s.batch == 0) return CUBLAS_STATUS_SUCCESS;
  al.touch(&touches);
  be.touch(&touches);
  for (int64_t i = 0; i < s.batch; i++) {
    bool last = i == s.batch - 1;
    if (s.k > 0 && !al.zero()) {
      if (last || s.stride_a != 0)
        touches.push_back(s.ta == CUBLAS_OP_N ? matrix(pa + i * s.stride_a, s.m, s.k, s.lda, false, false)
                                              : matrix(pa + i * s.stride_a, s.k, s.m, s.lda, false, false));
      if (last || s.stride_b != 0)
        touches.push_back(s.tb == CUBLAS_OP_N ? matrix(pb + i * s.stride_b, s.k, s.n, s.ldb, false, false)
                                              : matrix(pb + i * s.stride_b, s.n, s.k, s.ldb, false, false));
    }
    touches.push_back(matrix(pc + i * s.stride_c, s.m, s.n, s.ldc, true, !be.zero()));
  }
  if (h->workspace_bytes != 0) touches.push_back(writes(h->workspace, h->workspace_bytes));
  return blas_enqueue(h, what, std::move(touches), [=] {
    for (int64_t i = 0; i < s.batch; i++)
      product<W, I, O>(s, al.get(), pa + i * s.stride_a, pb + i * s.stride_b, be.get(), pc + i * s.stride_c);
  });
}

template <class T>
cublasStatus_t simple(cublasHandle_t h, const char *what, const Shape &s, const void *alpha, const void *a, const void *b,
                      const void *beta, void *c) {
  cublasStatus_t st = check(h, s, alpha, a, b, beta, c);
  return st != CUBLAS_STATUS_SUCCESS ? st : run<T, T, T>(h, what, s, alpha, a, b, beta, c);
}

bool compute_is_32f(cublasComputeType_t t) {
  return t == CUBLAS_COMPUTE_32F || t == CUBLAS_COMPUTE_32F_PEDANTIC || t == CUBLAS_COMPUTE_32F_FAST_16F ||
         t == CUBLAS_COMPUTE_32F_FAST_16BF || t == CUBLAS_COMPUTE_32F_FAST_TF32;
}

/* The combinations of types that the real one documents and that an engine without integer products uses. */
cublasStatus_t ex(cublasHandle_t h, const char *what, const Shape &s, const void *alpha, const void *a, cudaDataType at, const void *b,
                  cudaDataType bt, const void *beta, void *c, cudaDataType ct, cublasComputeType_t compute) {
  cublasStatus_t st = check(h, s, alpha, a, b, beta, c);
  bool f32 = compute_is_32f(compute), f64 = compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC;

  if (st != CUBLAS_STATUS_SUCCESS) return st;
  if (at != bt) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (f32 && at == CUDA_R_32F && ct == CUDA_R_32F) return run<float, float, float>(h, what, s, alpha, a, b, beta, c);
  if (f32 && at == CUDA_R_16F && ct == CUDA_R_16F) return run<float, half_bits, half_bits>(h, what, s, alpha, a, b, beta, c);
  if (f32 && at == CUDA_R_16F && ct == CUDA_R_32F) return run<float, half_bits, float>(h, what, s, alpha, a, b, beta, c);
  if (f32 && at == CUDA_R_16BF && ct == CUDA_R_16BF) return run<float, bf16_bits, bf16_bits>(h, what, s, alpha, a, b, beta, c);
  if (f32 && at == CUDA_R_16BF && ct == CUDA_R_32F) return run<float, bf16_bits, float>(h, what, s, alpha, a, b, beta, c);
  if (f32 && at == CUDA_C_32F && ct == CUDA_C_32F) return run<c32, c32, c32>(h, what, s, alpha, a, b, beta, c);
  if (f64 && at == CUDA_R_64F && ct == CUDA_R_64F) return run<double, double, double>(h, what, s, alpha, a, b, beta, c);
  if (f64 && at == CUDA_C_64F && ct == CUDA_C_64F) return run<c64, c64, c64>(h, what, s, alpha, a, b, beta, c);
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

} // namespace
} // namespace sg

using namespace sg;

#define GEMM(letter, T, S, I, suffix)                                                                                             \
  cublasStatus_t CUBLASWINAPI cublas##letter##gemm_v2##suffix(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, I m,   \
                                                              I n, I k, const T *alpha, const T *a, I lda, const T *b, I ldb,     \
                                                              const T *beta, T *c, I ldc) {                                       \
    return simple<S>(h, "cublas" #letter "gemm", {ta, tb, m, n, k, lda, ldb, ldc}, alpha, a, b, beta, c);                          \
  }                                                                                                                               \
  cublasStatus_t CUBLASWINAPI cublas##letter##gemmStridedBatched##suffix(                                                          \
      cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const T *alpha, const T *a, I lda, long long sa, \
      const T *b, I ldb, long long sb, const T *beta, T *c, I ldc, long long sc, I batch) {                                        \
    return simple<S>(h, "cublas" #letter "gemmStridedBatched", {ta, tb, m, n, k, lda, ldb, ldc, sa, sb, sc, batch}, alpha, a, b, beta, c); \
  }
#define GEMM_TYPES(I, suffix)                                                                                                     \
  GEMM(S, float, float, I, suffix)                                                                                                \
  GEMM(D, double, double, I, suffix)                                                                                              \
  GEMM(C, cuComplex, c32, I, suffix)                                                                                              \
  GEMM(Z, cuDoubleComplex, c64, I, suffix)
GEMM_TYPES(int, )
GEMM_TYPES(int64_t, _64)

#define GEMM_EX(I, suffix)                                                                                                        \
  cublasStatus_t CUBLASWINAPI cublasGemmEx##suffix(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k,     \
                                                   const void *alpha, const void *a, cudaDataType at, I lda, const void *b,       \
                                                   cudaDataType bt, I ldb, const void *beta, void *c, cudaDataType ct, I ldc,     \
                                                   cublasComputeType_t compute, cublasGemmAlgo_t) {                               \
    return ex(h, "cublasGemmEx", {ta, tb, m, n, k, lda, ldb, ldc}, alpha, a, at, b, bt, beta, c, ct, compute);                     \
  }                                                                                                                               \
  cublasStatus_t CUBLASWINAPI cublasGemmStridedBatchedEx##suffix(                                                                  \
      cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, I m, I n, I k, const void *alpha, const void *a,               \
      cudaDataType at, I lda, long long sa, const void *b, cudaDataType bt, I ldb, long long sb, const void *beta, void *c,        \
      cudaDataType ct, I ldc, long long sc, I batch, cublasComputeType_t compute, cublasGemmAlgo_t) {                              \
    return ex(h, "cublasGemmStridedBatchedEx", {ta, tb, m, n, k, lda, ldb, ldc, sa, sb, sc, batch}, alpha, a, at, b, bt, beta, c, ct, \
              compute);                                                                                                           \
  }
GEMM_EX(int, )
GEMM_EX(int64_t, _64)
