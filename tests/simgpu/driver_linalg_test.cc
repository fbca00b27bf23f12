/* cuBLAS, cuSOLVER and cuSPARSE against plain loops, with leading dimensions larger than they must be. */
#include "driver_test_util.h"

#include <cublas_v2.h>
#include <cusolverDn.h>
#include <cusparse.h>

#include <cmath>
#include <complex>
#include <random>

#define BLAS(name) reinterpret_cast<decltype(&name)>(symbol("libcublas.so.13", SYMBOL_TEXT(name)))
#define SOLVER(name) reinterpret_cast<decltype(&name)>(symbol("libcusolver.so.12", #name))
#define BOK(call) ASSERT_EQ(call, CUBLAS_STATUS_SUCCESS)
#define SOK(call) ASSERT_EQ(call, CUSOLVER_STATUS_SUCCESS)

using z = std::complex<double>;

/* The header overloads these two in C++. */
using GemmEx = cublasStatus_t (*)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void *, const void *,
                                  cudaDataType, int, const void *, cudaDataType, int, const void *, void *, cudaDataType, int,
                                  cublasComputeType_t, cublasGemmAlgo_t);
using GemmBatchEx = cublasStatus_t (*)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void *, const void *,
                                       cudaDataType, int, long long, const void *, cudaDataType, int, long long, const void *, void *,
                                       cudaDataType, int, long long, int, cublasComputeType_t, cublasGemmAlgo_t);
static GemmEx gemm_ex() { return reinterpret_cast<GemmEx>(symbol("libcublas.so.13", "cublasGemmEx")); }
static GemmBatchEx gemm_batch_ex() { return reinterpret_cast<GemmBatchEx>(symbol("libcublas.so.13", "cublasGemmStridedBatchedEx")); }

static std::vector<double> noise(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<double> out(n);
  for (double &x : out) x = uniform(random);
  return out;
}

class Linalg : public Simulated {
protected:
  cublasHandle_t blas = nullptr;
  cusolverDnHandle_t solver = nullptr;
  std::vector<CUdeviceptr> mine;

  void SetUp() override {
    start("devices=1 bytes=64M seed=5");
    BOK(BLAS(cublasCreate)(&blas));
    BOK(BLAS(cublasSetStream)(blas, reinterpret_cast<cudaStream_t>(stream[0])));
    SOK(SOLVER(cusolverDnCreate)(&solver));
    SOK(SOLVER(cusolverDnSetStream)(solver, reinterpret_cast<cudaStream_t>(stream[0])));
  }
  void TearDown() override {
    for (CUdeviceptr p : mine) EXPECT_EQ(CU(cuMemFree)(p), CUDA_SUCCESS);
    EXPECT_EQ(BLAS(cublasDestroy)(blas), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(SOLVER(cusolverDnDestroy)(solver), CUSOLVER_STATUS_SUCCESS);
    Simulated::TearDown();
  }
  template <class T> T *empty(size_t n) {
    CUdeviceptr p = 0;
    EXPECT_EQ(CU(cuMemAlloc)(&p, n * sizeof(T)), CUDA_SUCCESS);
    mine.push_back(p);
    return reinterpret_cast<T *>(p);
  }
  template <class T> T *up(const std::vector<T> &host) {
    T *p = empty<T>(host.size());
    EXPECT_EQ(CU(cuMemcpyHtoDAsync)(CUdeviceptr(p), host.data(), host.size() * sizeof(T), stream[0]), CUDA_SUCCESS);
    return p;
  }
  template <class T> std::vector<T> down(const T *p, size_t n) {
    std::vector<T> host(n);
    EXPECT_EQ(CU(cuMemcpyDtoHAsync)(host.data(), CUdeviceptr(p), n * sizeof(T), stream[0]), CUDA_SUCCESS);
    return host;
  }
};

TEST_F(Linalg, Gemm) {
  constexpr int m = 13, n = 7, k = 9, lda = 11, ldb = 12, ldc = 16; /* A stored k x m */
  double alpha = 1.5, beta = -0.5;
  std::vector<double> a = noise(lda * m, 1), b = noise(ldb * n, 2), c = noise(ldc * n, 3);
  double *da = up(a), *db = up(b), *dc = up(c);
  BOK(BLAS(cublasDgemm)(blas, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &alpha, da, lda, db, ldb, &beta, dc, ldc));
  std::vector<double> got = down(dc, c.size());
  for (int j = 0; j < n; j++)
    for (int i = 0; i < ldc; i++) {
      double want = c[size_t(j * ldc + i)];
      if (i < m) {
        want *= beta;
        for (int l = 0; l < k; l++) want += alpha * a[size_t(i * lda + l)] * b[size_t(j * ldb + l)];
      }
      ASSERT_NEAR(got[size_t(j * ldc + i)], want, 1e-13) << i << "," << j; /* behind m: untouched */
    }
  BOK(BLAS(cublasDgemm_64)(blas, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &alpha, da, lda, db, ldb, &beta, dc, ldc));
  EXPECT_EQ(BLAS(cublasDgemm)(blas, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &alpha, da, k - 1, db, ldb, &beta, dc, ldc),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(BLAS(cublasDgemm)(blas, CUBLAS_OP_T, CUBLAS_OP_N, -1, n, k, &alpha, da, lda, db, ldb, &beta, dc, ldc),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(BLAS(cublasDgemm)(nullptr, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &alpha, da, lda, db, ldb, &beta, dc, ldc),
            CUBLAS_STATUS_NOT_INITIALIZED);
}

TEST_F(Linalg, BetaZeroDoesNotReadTheResult) {
  double one = 1, zero = 0;
  double *a = up(noise(4, 1)), *c = empty<double>(4);
  BOK(BLAS(cublasDgemm)(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, a, 2, &zero, c, 2));
  OK(CU(cuStreamSynchronize)(stream[0]));
  EXPECT_EQ(SIM(sg_sim_failed_checks)(nullptr, 0), 0u);
  double *fresh = empty<double>(4);
  BOK(BLAS(cublasDgemm)(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, a, 2, &one, fresh, 2));
  OK(CU(cuStreamSynchronize)(stream[0]));
  expect_failed_check("cublasDgemm reads bytes that nobody wrote");
}

TEST_F(Linalg, OperandsOutsideOfTheirMemoryMakeTheContextFail) {
  double one = 1, zero = 0;
  double *a = up(noise(4, 1)), *c = empty<double>(3);
  BOK(BLAS(cublasDgemm)(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, a, 2, &zero, c, 2));
  EXPECT_EQ(CU(cuStreamSynchronize)(stream[0]), CUDA_ERROR_ILLEGAL_ADDRESS);
  expect_failed_check("cublasDgemm: ");
  mine.clear(); /* the context's end frees them */
}

TEST_F(Linalg, PlannedFaultsReachTheLibraries) {
  double one = 1, zero = 0;
  cublasHandle_t more = nullptr;
  double *a = up(noise(4, 1)), *c = empty<double>(4);
  ASSERT_EQ(SIM(sg_sim_configure)("fault=launch:1,alloc:0"), 0);
  EXPECT_EQ(BLAS(cublasCreate)(&more), CUBLAS_STATUS_ALLOC_FAILED);
  EXPECT_EQ(more, nullptr);
  BOK(BLAS(cublasDgemm)(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, a, 2, &zero, c, 2));
  EXPECT_EQ(BLAS(cublasDgemm)(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, a, 2, &zero, c, 2), CUBLAS_STATUS_EXECUTION_FAILED);
  BOK(BLAS(cublasDgemm)(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, a, 2, &zero, c, 2));
  ASSERT_EQ(SIM(sg_sim_configure)("fault=none"), 0);
}

TEST_F(Linalg, HalfProductsComputeInFloat) {
  /* 2048 ones and a 2048 in f16: a sum kept in f16 would stop growing at 2048 */
  constexpr int k = 2049;
  std::vector<uint16_t> a(k, 0x3c00), b(k, 0x3c00);
  a[0] = 0x6800;
  uint16_t *da = up(a), *db = up(b), *dc = empty<uint16_t>(1), *df = empty<uint16_t>(2);
  float one = 1, zero = 0;
  BOK(gemm_ex()(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, k, &one, da, CUDA_R_16F, 1, db, CUDA_R_16F, k, &zero, dc, CUDA_R_16F, 1,
                         CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
  EXPECT_EQ(down(dc, 1)[0], 0x6c00); /* 4096 */
  BOK(gemm_ex()(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, k, &one, da, CUDA_R_16F, 1, db, CUDA_R_16F, k, &zero, df, CUDA_R_32F, 1,
                         CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
  EXPECT_EQ(down(reinterpret_cast<float *>(df), 1)[0], 4096.0f);
  EXPECT_EQ(gemm_ex()(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, k, &one, da, CUDA_R_16F, 1, db, CUDA_R_16BF, k, &zero, dc,
                               CUDA_R_16F, 1, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
            CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_F(Linalg, StridedBatch) {
  constexpr int n = 5, batch = 3;
  std::vector<double> a = noise(n * n * batch, 1), b = noise(n * n, 2);
  double *da = up(a), *db = up(b), *dc = empty<double>(n * n * batch), one = 1, zero = 0;
  BOK(gemm_batch_ex()(blas, CUBLAS_OP_N, CUBLAS_OP_T, n, n, n, &one, da, CUDA_R_64F, n, n * n, db, CUDA_R_64F, n, 0, &zero,
                                       dc, CUDA_R_64F, n, n * n, batch, CUBLAS_COMPUTE_64F, CUBLAS_GEMM_DEFAULT));
  std::vector<double> got = down(dc, n * n * batch);
  for (int s = 0; s < batch; s++)
    for (int j = 0; j < n; j++)
      for (int i = 0; i < n; i++) {
        double want = 0;
        for (int l = 0; l < n; l++) want += a[size_t(s * n * n + l * n + i)] * b[size_t(l * n + j)];
        ASSERT_NEAR(got[size_t(s * n * n + j * n + i)], want, 1e-13);
      }
}

TEST_F(Linalg, SyrkTouchesOneTriangle) {
  constexpr int n = 6, k = 4, lda = 9, ldc = 8;
  double alpha = 2, beta = 0;
  std::vector<double> a = noise(lda * k, 1), other(1, 7.0);
  double *da = up(a), *dc = empty<double>(ldc * n);
  BOK(BLAS(cublasDsyrk)(blas, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, n, k, &alpha, da, lda, &beta, dc, ldc));
  for (int j = 0; j < n; j++) {
    std::vector<double> column = down(dc + j * ldc + j, size_t(n - j)); /* what is above was not written */
    for (int i = j; i < n; i++) {
      double want = 0;
      for (int l = 0; l < k; l++) want += alpha * a[size_t(l * lda + i)] * a[size_t(l * lda + j)];
      ASSERT_NEAR(column[size_t(i - j)], want, 1e-13);
    }
  }
  EXPECT_EQ(SIM(sg_sim_failed_checks)(nullptr, 0), 0u);
  down(dc + ldc, 1);
  expect_failed_check("nobody wrote");
}

TEST_F(Linalg, ComplexHerkAndTrsm) {
  constexpr int n = 5, m = 3, ldx = 7;
  std::vector<double> r = noise(2 * n * n, 1), s = noise(2 * ldx * n, 2);
  std::vector<z> a(n * n), x(ldx * n);
  for (size_t i = 0; i < a.size(); i++) a[i] = z(r[2 * i], r[2 * i + 1]) + (i % (n + 1) == 0 ? 4.0 : 0.0);
  for (size_t i = 0; i < x.size(); i++) x[i] = z(s[2 * i], s[2 * i + 1]);
  z *da = up(a), *dx = up(x), one = 1;
  /* X A^H = B for the upper triangle of A */
  BOK(BLAS(cublasZtrsm)(blas, CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_C, CUBLAS_DIAG_NON_UNIT, m, n,
                        reinterpret_cast<cuDoubleComplex *>(&one), reinterpret_cast<cuDoubleComplex *>(da), n,
                        reinterpret_cast<cuDoubleComplex *>(dx), ldx));
  std::vector<z> got = down(dx, x.size());
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      z back = 0;
      for (int l = j; l < n; l++) back += got[size_t(l * ldx + i)] * std::conj(a[size_t(l * n + j)]);
      ASSERT_LT(std::abs(back - x[size_t(j * ldx + i)]), 1e-13);
    }
  double alpha = 1, beta = 0;
  z *dc = empty<z>(n * n);
  BOK(BLAS(cublasZherk)(blas, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_C, n, n, &alpha, reinterpret_cast<cuDoubleComplex *>(da), n, &beta,
                        reinterpret_cast<cuDoubleComplex *>(dc), n));
  z corner = down(dc + (n - 1) * n, 1)[0], want = 0;
  for (int l = 0; l < n; l++) want += std::conj(a[size_t(l)]) * a[size_t((n - 1) * n + l)];
  EXPECT_LT(std::abs(corner - want), 1e-13);
  EXPECT_EQ(BLAS(cublasZherk)(blas, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_T, n, n, &alpha, reinterpret_cast<cuDoubleComplex *>(da), n, &beta,
                              reinterpret_cast<cuDoubleComplex *>(dc), n),
            CUBLAS_STATUS_INVALID_VALUE);
}

TEST_F(Linalg, VectorsTriangularProductsAndSums) {
  constexpr int n = 4;
  std::vector<double> a = noise(n * n, 1), b = noise(n * n, 2);
  double *da = up(a), *db = up(b), *dc = empty<double>(n * n), one = 1, two = 2, zero = 0, result = 0;
  BOK(BLAS(cublasDgeam)(blas, CUBLAS_OP_T, CUBLAS_OP_N, n, n, &one, da, n, &two, db, n, dc, n));
  std::vector<double> c = down(dc, n * n);
  for (int j = 0; j < n; j++)
    for (int i = 0; i < n; i++) ASSERT_DOUBLE_EQ(c[size_t(j * n + i)], a[size_t(i * n + j)] + 2 * b[size_t(j * n + i)]);
  BOK(BLAS(cublasDtrmm)(blas, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, CUBLAS_DIAG_UNIT, n, n, &one, da, n, db, n, dc, n));
  c = down(dc, n * n);
  EXPECT_NEAR(c[1], b[1] + a[1] * b[0], 1e-14);
  BOK(BLAS(cublasDgemv)(blas, CUBLAS_OP_N, n, n, &one, da, n, db, n, &zero, dc, 1)); /* x: first row of B */
  c = down(dc, n);
  EXPECT_NEAR(c[2], a[2] * b[0] + a[6] * b[4] + a[10] * b[8] + a[14] * b[12], 1e-14);
  BOK(BLAS(cublasDdot)(blas, n, da, 1, db, 1, &result));
  EXPECT_NEAR(result, a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3], 1e-14);
  double *dr = empty<double>(1);
  BOK(BLAS(cublasSetPointerMode)(blas, CUBLAS_POINTER_MODE_DEVICE));
  BOK(BLAS(cublasDnrm2)(blas, n, da, 1, dr));
  result = down(dr, 1)[0];
  EXPECT_NEAR(result * result, a[0] * a[0] + a[1] * a[1] + a[2] * a[2] + a[3] * a[3], 1e-14);
}

TEST_F(Linalg, SharedWorkspaceOnTwoStreamsIsARace) {
  CUstream other;
  cublasHandle_t second;
  double one = 1, zero = 0;
  double *a = up(noise(4, 1)), *c = empty<double>(4), *d = empty<double>(4);
  char *work = empty<char>(4096);
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuCtxSynchronize)());
  BOK(BLAS(cublasCreate)(&second));
  BOK(BLAS(cublasSetStream)(second, reinterpret_cast<cudaStream_t>(other)));
  EXPECT_EQ(BLAS(cublasSetWorkspace)(second, work + 8, 100), CUBLAS_STATUS_INVALID_VALUE);
  BOK(BLAS(cublasSetWorkspace)(second, work, 4096));
  BOK(BLAS(cublasSetWorkspace)(blas, work, 4096));
  BOK(BLAS(cublasDgemm)(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, a, 2, &zero, c, 2));
  BOK(BLAS(cublasDgemm)(second, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a, 2, a, 2, &zero, d, 2));
  OK(CU(cuCtxSynchronize)());
  expect_failed_check("race: cublasDgemm");
  BOK(BLAS(cublasDestroy)(second));
  OK(CU(cuStreamDestroy)(other));
}

TEST_F(Linalg, Cholesky) {
  constexpr int n = 20, lda = 23;
  std::vector<double> g = noise(n * n, 1), a(lda * n, 0.0);
  for (int j = 0; j < n; j++)
    for (int i = 0; i < n; i++) {
      for (int l = 0; l < n; l++) a[size_t(j * lda + i)] += g[size_t(l * n + i)] * g[size_t(l * n + j)];
      if (i == j) a[size_t(j * lda + i)] += 1;
    }
  double *da = up(a);
  int lwork = 0, *info = empty<int>(1);
  SOK(SOLVER(cusolverDnDpotrf_bufferSize)(solver, CUBLAS_FILL_MODE_LOWER, n, da, lda, &lwork));
  ASSERT_GT(lwork, 0);
  double *work = empty<double>(size_t(lwork));
  SOK(SOLVER(cusolverDnDpotrf)(solver, CUBLAS_FILL_MODE_LOWER, n, da, lda, work, lwork, info));
  EXPECT_EQ(down(info, 1)[0], 0);
  std::vector<double> l = down(da, a.size());
  for (int j = 0; j < n; j++)
    for (int i = j; i < n; i++) {
      double sum = 0;
      for (int k = 0; k <= j; k++) sum += l[size_t(k * lda + i)] * l[size_t(k * lda + j)];
      ASSERT_NEAR(sum, a[size_t(j * lda + i)], 1e-12);
    }
  a[4 * lda + 4] = -1; /* the fifth leading minor is not positive */
  double *bad = up(a);
  SOK(SOLVER(cusolverDnDpotrf)(solver, CUBLAS_FILL_MODE_LOWER, n, bad, lda, work, lwork, info));
  EXPECT_EQ(down(info, 1)[0], 5);
  EXPECT_EQ(SOLVER(cusolverDnDpotrf)(solver, CUBLAS_FILL_MODE_LOWER, n, da, n - 1, work, lwork, info), CUSOLVER_STATUS_INVALID_VALUE);
  EXPECT_EQ(SOLVER(cusolverDnDpotrf)(solver, CUBLAS_FILL_MODE_LOWER, n, da, lda, work, 0, info), CUSOLVER_STATUS_INVALID_VALUE);
}

TEST_F(Linalg, LuSolves) {
  constexpr int n = 15, nrhs = 2, lda = 17;
  std::vector<double> a = noise(lda * n, 1), b = noise(n * nrhs, 2);
  double *da = up(a), *db = up(b);
  size_t device = 0, host = 1;
  int *info = empty<int>(1);
  int64_t *pivots = empty<int64_t>(n);
  SOK(SOLVER(cusolverDnXgetrf_bufferSize)(solver, nullptr, n, n, CUDA_R_64F, da, lda, CUDA_R_64F, &device, &host));
  char *work = empty<char>(device);
  SOK(SOLVER(cusolverDnXgetrf)(solver, nullptr, n, n, CUDA_R_64F, da, lda, pivots, CUDA_R_64F, work, device, nullptr, 0, info));
  EXPECT_EQ(down(info, 1)[0], 0);
  SOK(SOLVER(cusolverDnXgetrs)(solver, nullptr, CUBLAS_OP_N, n, nrhs, CUDA_R_64F, da, lda, pivots, CUDA_R_64F, db, n, info));
  std::vector<double> x = down(db, b.size());
  for (int j = 0; j < nrhs; j++)
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int k = 0; k < n; k++) sum += a[size_t(k * lda + i)] * x[size_t(j * n + k)];
      ASSERT_NEAR(sum, b[size_t(j * n + i)], 1e-11);
    }
}

TEST_F(Linalg, QrOfATallMatrix) {
  constexpr int m = 30, n = 8, lda = 32;
  std::vector<double> a = noise(lda * n, 1);
  double *da = up(a), *tau = empty<double>(n);
  int lwork = 0, more = 0, *info = empty<int>(1);
  SOK(SOLVER(cusolverDnDgeqrf_bufferSize)(solver, m, n, da, lda, &lwork));
  SOK(SOLVER(cusolverDnDorgqr_bufferSize)(solver, m, n, n, da, lda, tau, &more));
  lwork = lwork > more ? lwork : more;
  double *work = empty<double>(size_t(lwork));
  SOK(SOLVER(cusolverDnDgeqrf)(solver, m, n, da, lda, tau, work, lwork, info));
  std::vector<double> r = down(da, a.size());
  SOK(SOLVER(cusolverDnDorgqr)(solver, m, n, n, da, lda, tau, work, lwork, info));
  std::vector<double> q = down(da, a.size());
  for (int j = 0; j < n; j++) {
    for (int i = 0; i < m; i++) {
      double sum = 0;
      for (int k = 0; k <= j; k++) sum += q[size_t(k * lda + i)] * r[size_t(j * lda + k)];
      ASSERT_NEAR(sum, a[size_t(j * lda + i)], 1e-13);
    }
    for (int k = 0; k < n; k++) {
      double dot = 0;
      for (int i = 0; i < m; i++) dot += q[size_t(j * lda + i)] * q[size_t(k * lda + i)];
      ASSERT_NEAR(dot, j == k, 1e-13);
    }
  }
}

TEST_F(Linalg, SingularValuesAndEigenvalues) {
  constexpr int m = 12, n = 7;
  std::vector<double> a = noise(m * n, 1);
  double *da = up(a), *s = empty<double>(n), *u = empty<double>(m * n), *vt = empty<double>(n * n);
  int lwork = 0, *info = empty<int>(1);
  SOK(SOLVER(cusolverDnDgesvd_bufferSize)(solver, m, n, &lwork));
  double *work = empty<double>(size_t(lwork));
  SOK(SOLVER(cusolverDnDgesvd)(solver, 'S', 'S', m, n, da, m, s, u, m, vt, n, work, lwork, nullptr, info));
  EXPECT_EQ(down(info, 1)[0], 0);
  std::vector<double> hs = down(s, n), hu = down(u, m * n), hv = down(vt, n * n);
  for (int j = 0; j < n; j++)
    for (int i = 0; i < m; i++) {
      double sum = 0;
      for (int k = 0; k < n; k++) sum += hu[size_t(k * m + i)] * hs[size_t(k)] * hv[size_t(j * n + k)];
      ASSERT_NEAR(sum, a[size_t(j * m + i)], 1e-13);
    }
  EXPECT_EQ(SOLVER(cusolverDnDgesvd_bufferSize)(solver, n, m, &lwork), CUSOLVER_STATUS_INVALID_VALUE); /* m < n */
  /* the eigenvalues of A^T A are their squares, ascending */
  std::vector<double> g(n * n, 0.0);
  for (int j = 0; j < n; j++)
    for (int i = 0; i < n; i++)
      for (int k = 0; k < m; k++) g[size_t(j * n + i)] += a[size_t(i * m + k)] * a[size_t(j * m + k)];
  double *dg = up(g), *w = empty<double>(n);
  size_t device = 0, host = 0;
  SOK(SOLVER(cusolverDnXsyevd_bufferSize)(solver, nullptr, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER, n, CUDA_R_64F, dg, n,
                                          CUDA_R_64F, w, CUDA_R_64F, &device, &host));
  char *bytes = empty<char>(device);
  SOK(SOLVER(cusolverDnXsyevd)(solver, nullptr, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER, n, CUDA_R_64F, dg, n, CUDA_R_64F, w,
                               CUDA_R_64F, bytes, device, nullptr, 0, info));
  std::vector<double> hw = down(w, n);
  for (int i = 0; i < n; i++) ASSERT_NEAR(hw[size_t(n - 1 - i)], hs[size_t(i)] * hs[size_t(i)], 1e-12);
}

TEST_F(Linalg, VersionsAndSparseHandles) {
  auto property = reinterpret_cast<decltype(&cusparseGetProperty)>(symbol("libcusparse.so.12", "cusparseGetProperty"));
  auto create = reinterpret_cast<decltype(&cusparseCreate)>(symbol("libcusparse.so.12", "cusparseCreate"));
  auto destroy = reinterpret_cast<decltype(&cusparseDestroy)>(symbol("libcusparse.so.12", "cusparseDestroy"));
  cusparseHandle_t sparse;
  int v = 0;
  ASSERT_EQ(property(MAJOR_VERSION, &v), CUSPARSE_STATUS_SUCCESS);
  EXPECT_EQ(v, CUSPARSE_VER_MAJOR);
  ASSERT_EQ(create(&sparse), CUSPARSE_STATUS_SUCCESS);
  EXPECT_EQ(live().handles, 3);
  ASSERT_EQ(destroy(sparse), CUSPARSE_STATUS_SUCCESS);
  BOK(BLAS(cublasGetVersion)(blas, &v));
  EXPECT_EQ(v, CUBLAS_VERSION);
  BOK(BLAS(cublasGetProperty)(MAJOR_VERSION, &v));
  EXPECT_EQ(v, CUBLAS_VER_MAJOR);
  SOK(SOLVER(cusolverGetProperty)(MAJOR_VERSION, &v));
  EXPECT_EQ(v, CUSOLVER_VER_MAJOR);
}
