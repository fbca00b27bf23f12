/*
 * The stand-in of cuBLAS: what its parts share. Arguments are checked as the real one checks them; the work is queued on the
 * handle's stream, and what it touches, the workspace included, is checked when it runs.
 *
 * Layer: tests/simgpu, inside libcublas.so.13. Threads: as cuBLAS, one handle one thread at a time.
 */
#pragma once
#pragma GCC visibility push(default)
#include <cublas_v2.h>
#pragma GCC visibility pop

#include "blas_host.h"
#include "driver_export.h"

#include <climits>

struct cublasContext {
  int device;
  CUstream stream = nullptr;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasAtomicsMode_t atomics = CUBLAS_ATOMICS_NOT_ALLOWED;
  void *workspace = nullptr;
  size_t workspace_bytes = 0;
};

namespace sg {

bool handle_valid(cublasHandle_t h);
cublasStatus_t status_of(CUresult r);
/* Queue it; with `wait` until it is done, since the result goes to host memory. */
cublasStatus_t blas_enqueue(cublasHandle_t h, const char *what, std::vector<Touch> touches, std::function<void()> body,
                            bool wait = false);

/* A scalar argument: read now from the host or later from the device. */
template <class T> struct Scalar {
  T value{};
  const T *device = nullptr;

  template <class P> Scalar(cublasHandle_t h, const P *p) {
    if (p == nullptr) return;
    if (h->pointers == CUBLAS_POINTER_MODE_DEVICE) device = reinterpret_cast<const T *>(p);
    else value = *reinterpret_cast<const T *>(p);
  }
  T get() const { return device != nullptr ? *device : value; }
  bool zero() const { return device == nullptr && value == T(0); } /* known to be */
  void touch(std::vector<Touch> *t) const {
    if (device != nullptr) t->push_back(reads(device, sizeof(T)));
  }
};

inline CBLAS_TRANSPOSE trans_of(cublasOperation_t op) {
  return op == CUBLAS_OP_N ? CblasNoTrans : op == CUBLAS_OP_T ? CblasTrans : CblasConjTrans;
}
inline bool op_valid(cublasOperation_t op) { return op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C; }
inline CBLAS_UPLO uplo_of(cublasFillMode_t uplo) { return uplo == CUBLAS_FILL_MODE_LOWER ? CblasLower : CblasUpper; }
inline bool uplo_valid(cublasFillMode_t uplo) { return uplo == CUBLAS_FILL_MODE_LOWER || uplo == CUBLAS_FILL_MODE_UPPER; }
inline bool fits(int64_t n) { return n <= INT_MAX; }

/* Column-major rows x cols with leading dimension ld. */
template <class T> Touch matrix(const T *p, int64_t rows, int64_t cols, int64_t ld, bool write, bool both) {
  return {uintptr_t(p), size_t(rows) * sizeof(T), size_t(ld) * sizeof(T), size_t(cols), write, both};
}
template <class T> Touch triangle(const T *p, int64_t n, int64_t ld, cublasFillMode_t uplo, bool write, bool both) {
  Touch t = matrix(p, n, n, ld, write, both);
  t.triangle = uplo == CUBLAS_FILL_MODE_LOWER ? long(sizeof(T)) : -long(sizeof(T));
  return t;
}
template <class T> Touch vector(const T *p, int64_t n, int64_t inc, bool write, bool both) {
  int64_t step = inc < 0 ? -inc : inc;
  if (step == 1) return {uintptr_t(p), size_t(n) * sizeof(T), size_t(n) * sizeof(T), 1, write, both};
  return {uintptr_t(p), sizeof(T), size_t(step) * sizeof(T), size_t(n), write, both};
}
inline int64_t at_least_1(int64_t n) { return n < 1 ? 1 : n; }

} // namespace sg
