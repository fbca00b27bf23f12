/*
 * The stand-in of cuSOLVER's dense part: one template per routine, which the typed and the 64-bit interfaces call.
 * Arguments that are wrong are refused at the call (INVALID_VALUE); what depends on the numbers is in devInfo.
 *
 * Layer: tests/simgpu, inside libcusolver.so.12. Threads: as cuSOLVER, one handle one thread at a time.
 */
#pragma once
#pragma GCC visibility push(default)
#include <cusolverDn.h>
#pragma GCC visibility pop

#include "blas_host.h"
#include "driver_export.h"

#include <algorithm>
#include <climits>

struct cusolverDnContext {
  int device;
  CUstream stream = nullptr;
  cusolverDeterministicMode_t deterministic = CUSOLVER_DETERMINISTIC_RESULTS;
};
struct cusolverDnParams {
  int algorithm[32];
};
struct gesvdjInfo {
  double tolerance = 0;
  int max_sweeps = 100, sort = 1, sweeps = 0;
};

namespace sg {

bool solver_valid(cusolverDnHandle_t h);
cusolverStatus_t solver_enqueue(cusolverDnHandle_t h, const char *what, std::vector<Touch> touches, std::function<void()> body);

#define BAD CUSOLVER_STATUS_INVALID_VALUE
#define CHECK_HANDLE(h)                                                                                                           \
  if (!solver_valid(h)) return CUSOLVER_STATUS_NOT_INITIALIZED
/* One LAPACKE function for four types. */
#define LA(T, s, d, c, z, ...)                                                                                                    \
  [&] {                                                                                                                           \
    if constexpr (std::is_same<T, float>::value) return SG_LAPACK(s)(LAPACK_COL_MAJOR, __VA_ARGS__);                              \
    else if constexpr (std::is_same<T, double>::value) return SG_LAPACK(d)(LAPACK_COL_MAJOR, __VA_ARGS__);                        \
    else if constexpr (std::is_same<T, c32>::value) return SG_LAPACK(c)(LAPACK_COL_MAJOR, __VA_ARGS__);                           \
    else return SG_LAPACK(z)(LAPACK_COL_MAJOR, __VA_ARGS__);                                                                      \
  }()

template <class T> Touch matrix(const T *p, int64_t rows, int64_t cols, int64_t ld, bool write, bool both) {
  return {uintptr_t(p), size_t(rows) * sizeof(T), size_t(ld) * sizeof(T), size_t(cols), write, both};
}
template <class T> Touch triangle(const T *p, int64_t n, int64_t ld, cublasFillMode_t uplo, bool write, bool both) {
  Touch t = matrix(p, n, n, ld, write, both);
  t.triangle = uplo == CUBLAS_FILL_MODE_LOWER ? long(sizeof(T)) : -long(sizeof(T));
  return t;
}
inline bool uplo_ok(cublasFillMode_t u) { return u == CUBLAS_FILL_MODE_LOWER || u == CUBLAS_FILL_MODE_UPPER; }
inline char uplo_char(cublasFillMode_t u) { return u == CUBLAS_FILL_MODE_LOWER ? 'L' : 'U'; }
inline bool ld_ok(int64_t ld, int64_t rows) { return ld >= (rows < 1 ? 1 : rows); }
inline bool size_ok(int64_t n) { return n >= 0 && n <= INT_MAX; }
template <class T> char trans_char(cublasOperation_t op) {
  return op == CUBLAS_OP_N ? 'N' : op == CUBLAS_OP_T ? 'T' : is_complex<T> ? 'C' : 'T';
}

/* Scratch of the caller's, in bytes: what the routine asks for is written, nobody expects anything in it. */
struct Work {
  void *p;
  size_t have;
  bool enough(size_t need) const { return have >= need && (p != nullptr || need == 0); }
  void touch(std::vector<Touch> *t, size_t need) const {
    if (need != 0) t->push_back(writes(p, need));
  }
};
/* What the queries answer, in elements; enough for a blocked algorithm, and never 0, so that it must be passed on. */
inline size_t work_panel(int64_t n) { return size_t(std::max<int64_t>(n, 1)) * 32; }
inline size_t work_square(int64_t m, int64_t n) { return size_t(std::max<int64_t>(m, 1)) * 4 + size_t(std::max<int64_t>(n, 1)) * 36 + 64; }

template <class T>
cusolverStatus_t potrf(cusolverDnHandle_t h, cublasFillMode_t uplo, int64_t n, T *a, int64_t lda, Work work, int *info) {
  size_t need = work_panel(n) * sizeof(T);
  CHECK_HANDLE(h);
  if (!uplo_ok(uplo) || !size_ok(n) || !ld_ok(lda, n) || (n > 0 && a == nullptr) || info == nullptr || !work.enough(need)) return BAD;
  std::vector<Touch> touches = {triangle(a, n, lda, uplo, true, true), writes(info, sizeof(int))};
  work.touch(&touches, need);
  return solver_enqueue(h, "cusolverDn potrf", std::move(touches),
                        [=] { *info = int(LA(T, spotrf_work, dpotrf_work, cpotrf_work, zpotrf_work, uplo_char(uplo), int(n), a, int(lda))); });
}

template <class T>
cusolverStatus_t potrs(cusolverDnHandle_t h, cublasFillMode_t uplo, int64_t n, int64_t nrhs, const T *a, int64_t lda, T *b, int64_t ldb,
                       int *info) {
  CHECK_HANDLE(h);
  if (!uplo_ok(uplo) || !size_ok(n) || !size_ok(nrhs) || !ld_ok(lda, n) || !ld_ok(ldb, n) || info == nullptr) return BAD;
  if (n > 0 && nrhs > 0 && (a == nullptr || b == nullptr)) return BAD;
  return solver_enqueue(h, "cusolverDn potrs",
                        {triangle(a, n, lda, uplo, false, false), matrix(b, n, nrhs, ldb, true, true), writes(info, sizeof(int))}, [=] {
                          *info = int(LA(T, spotrs_work, dpotrs_work, cpotrs_work, zpotrs_work, uplo_char(uplo), int(n), int(nrhs), a,
                                         int(lda), b, int(ldb)));
                        });
}

/* Elimination without exchanges, as cuSOLVER does where no pivots are asked for. */
template <class T> int eliminate(int m, int n, T *a, int lda) {
  int info = 0;
  auto at = [&](int i, int j) -> T & { return a[size_t(j) * size_t(lda) + size_t(i)]; };
  for (int k = 0; k < std::min(m, n); k++) {
    if (at(k, k) == T(0)) {
      if (info == 0) info = k + 1;
      continue;
    }
    for (int i = k + 1; i < m; i++) at(i, k) /= at(k, k);
    for (int j = k + 1; j < n; j++)
      for (int i = k + 1; i < m; i++) at(i, j) -= at(i, k) * at(k, j);
  }
  return info;
}

/* I: int or int64_t. */
template <class T, class I>
cusolverStatus_t getrf(cusolverDnHandle_t h, int64_t m, int64_t n, T *a, int64_t lda, Work work, I *ipiv, int *info) {
  size_t need = work_panel(std::max(m, n)) * sizeof(T);
  int64_t k = std::min(m, n);
  CHECK_HANDLE(h);
  if (!size_ok(m) || !size_ok(n) || !ld_ok(lda, m) || (k > 0 && a == nullptr) || info == nullptr || !work.enough(need)) return BAD;
  std::vector<Touch> touches = {matrix(a, m, n, lda, true, true), writes(info, sizeof(int))};
  if (ipiv != nullptr && k > 0) touches.push_back(writes(ipiv, size_t(k) * sizeof(I)));
  work.touch(&touches, need);
  return solver_enqueue(h, "cusolverDn getrf", std::move(touches), [=] {
    if (ipiv == nullptr) {
      *info = eliminate(int(m), int(n), a, int(lda));
      return;
    }
    std::vector<lapack_int> pivots(size_t(k) + 1);
    *info = int(LA(T, sgetrf_work, dgetrf_work, cgetrf_work, zgetrf_work, int(m), int(n), a, int(lda), pivots.data()));
    for (int64_t i = 0; i < k; i++) ipiv[i] = I(pivots[size_t(i)]);
  });
}

template <class T, class I>
cusolverStatus_t getrs(cusolverDnHandle_t h, cublasOperation_t op, int64_t n, int64_t nrhs, const T *a, int64_t lda, const I *ipiv, T *b,
                       int64_t ldb, int *info) {
  CHECK_HANDLE(h);
  if (op != CUBLAS_OP_N && op != CUBLAS_OP_T && op != CUBLAS_OP_C) return BAD;
  if (!size_ok(n) || !size_ok(nrhs) || !ld_ok(lda, n) || !ld_ok(ldb, n) || info == nullptr) return BAD;
  if (n > 0 && nrhs > 0 && (a == nullptr || b == nullptr)) return BAD;
  std::vector<Touch> touches = {matrix(a, n, n, lda, false, false), matrix(b, n, nrhs, ldb, true, true), writes(info, sizeof(int))};
  if (ipiv != nullptr && n > 0) touches.push_back(reads(ipiv, size_t(n) * sizeof(I)));
  return solver_enqueue(h, "cusolverDn getrs", std::move(touches), [=] {
    std::vector<lapack_int> pivots(size_t(n) + 1);
    for (int64_t i = 0; i < n; i++) pivots[size_t(i)] = ipiv != nullptr ? lapack_int(ipiv[i]) : lapack_int(i + 1);
    *info = int(LA(T, sgetrs_work, dgetrs_work, cgetrs_work, zgetrs_work, trans_char<T>(op), int(n), int(nrhs), a, int(lda), pivots.data(),
                   b, int(ldb)));
  });
}

/* LAPACK's own scratch: ask, allocate, run. call(work, lwork). */
template <class T, class F> int with_work(F call) {
  T best = T(0);
  int info = int(call(&best, -1));
  if (info != 0) return info;
  std::vector<T> work(size_t(std::max(1.0, double(std::real(best)))) + 8);
  return int(call(work.data(), int(work.size())));
}

template <class T>
cusolverStatus_t geqrf(cusolverDnHandle_t h, int64_t m, int64_t n, T *a, int64_t lda, T *tau, Work work, int *info) {
  size_t need = work_panel(n) * sizeof(T);
  int64_t k = std::min(m, n);
  CHECK_HANDLE(h);
  if (!size_ok(m) || !size_ok(n) || !ld_ok(lda, m) || (k > 0 && (a == nullptr || tau == nullptr)) || info == nullptr || !work.enough(need))
    return BAD;
  std::vector<Touch> touches = {matrix(a, m, n, lda, true, true), writes(info, sizeof(int))};
  if (k > 0) touches.push_back(writes(tau, size_t(k) * sizeof(T)));
  work.touch(&touches, need);
  return solver_enqueue(h, "cusolverDn geqrf", std::move(touches), [=] {
    *info = with_work<T>([&](T *w, int lw) {
      return LA(T, sgeqrf_work, dgeqrf_work, cgeqrf_work, zgeqrf_work, int(m), int(n), a, int(lda), tau, w, lw);
    });
  });
}

template <class T>
cusolverStatus_t orgqr(cusolverDnHandle_t h, int m, int n, int k, T *a, int lda, const T *tau, Work work, int *info) {
  size_t need = work_panel(n) * sizeof(T);
  CHECK_HANDLE(h);
  if (m < 0 || n < 0 || k < 0 || n > m || k > n || !ld_ok(lda, m) || (n > 0 && a == nullptr) || (k > 0 && tau == nullptr) ||
      info == nullptr || !work.enough(need))
    return BAD;
  std::vector<Touch> touches = {matrix(a, m, k, lda, true, true), matrix(a + size_t(k) * size_t(lda), m, n - k, lda, true, false),
                                writes(info, sizeof(int))};
  if (k > 0) touches.push_back(reads(tau, size_t(k) * sizeof(T)));
  work.touch(&touches, need);
  return solver_enqueue(h, "cusolverDn orgqr", std::move(touches), [=] {
    *info = with_work<T>(
        [&](T *w, int lw) { return LA(T, sorgqr_work, dorgqr_work, cungqr_work, zungqr_work, m, n, k, a, lda, tau, w, lw); });
  });
}

template <class T>
cusolverStatus_t ormqr(cusolverDnHandle_t h, cublasSideMode_t side, cublasOperation_t op, int m, int n, int k, const T *a, int lda,
                       const T *tau, T *c, int ldc, Work work, int *info) {
  int rows = side == CUBLAS_SIDE_LEFT ? m : n;
  size_t need = work_panel(std::max(m, n)) * sizeof(T);
  CHECK_HANDLE(h);
  if ((side != CUBLAS_SIDE_LEFT && side != CUBLAS_SIDE_RIGHT) || (op != CUBLAS_OP_N && op != (is_complex<T> ? CUBLAS_OP_C : CUBLAS_OP_T)))
    return BAD;
  if (m < 0 || n < 0 || k < 0 || k > rows || !ld_ok(lda, rows) || !ld_ok(ldc, m) || info == nullptr || !work.enough(need)) return BAD;
  if (m > 0 && n > 0 && (c == nullptr || (k > 0 && (a == nullptr || tau == nullptr)))) return BAD;
  std::vector<Touch> touches = {matrix(a, rows, k, lda, false, false), matrix(c, m, n, ldc, true, true), writes(info, sizeof(int))};
  if (k > 0) touches.push_back(reads(tau, size_t(k) * sizeof(T)));
  work.touch(&touches, need);
  char s = side == CUBLAS_SIDE_LEFT ? 'L' : 'R';
  return solver_enqueue(h, "cusolverDn ormqr", std::move(touches), [=] {
    *info = with_work<T>([&](T *w, int lw) {
      return LA(T, sormqr_work, dormqr_work, cunmqr_work, zunmqr_work, s, trans_char<T>(op), m, n, k, a, lda, tau, c, ldc, w, lw);
    });
  });
}

template <class T> int syevd_host(char job, char uplo, int n, T *a, int lda, real_t<T> *w) {
  lapack_int iwork_size = 0;
  real_t<T> rwork_size = 0;
  T work_size = T(0);
  std::vector<lapack_int> iwork;
  std::vector<real_t<T>> rwork;
  std::vector<T> work;
  auto run = [&](T *wp, int lw, real_t<T> *rp, int lr, lapack_int *ip, int li) {
    if constexpr (std::is_same<T, float>::value) return SG_LAPACK(ssyevd_work)(LAPACK_COL_MAJOR, job, uplo, n, a, lda, w, wp, lw, ip, li);
    else if constexpr (std::is_same<T, double>::value)
      return SG_LAPACK(dsyevd_work)(LAPACK_COL_MAJOR, job, uplo, n, a, lda, w, wp, lw, ip, li);
    else if constexpr (std::is_same<T, c32>::value)
      return SG_LAPACK(cheevd_work)(LAPACK_COL_MAJOR, job, uplo, n, a, lda, w, wp, lw, rp, lr, ip, li);
    else return SG_LAPACK(zheevd_work)(LAPACK_COL_MAJOR, job, uplo, n, a, lda, w, wp, lw, rp, lr, ip, li);
  };
  int info = int(run(&work_size, -1, &rwork_size, -1, &iwork_size, -1));
  if (info != 0) return info;
  work.resize(size_t(std::real(work_size)) + 8);
  rwork.resize(size_t(rwork_size) + 8);
  iwork.resize(size_t(iwork_size) + 8);
  return int(run(work.data(), int(work.size()), rwork.data(), int(rwork.size()), iwork.data(), int(iwork.size())));
}

template <class T>
cusolverStatus_t syevd(cusolverDnHandle_t h, cusolverEigMode_t job, cublasFillMode_t uplo, int64_t n, T *a, int64_t lda, real_t<T> *w,
                       Work work, int *info) {
  size_t need = work_square(n, n) * sizeof(T);
  bool vectors = job == CUSOLVER_EIG_MODE_VECTOR;
  CHECK_HANDLE(h);
  if ((!vectors && job != CUSOLVER_EIG_MODE_NOVECTOR) || !uplo_ok(uplo) || !size_ok(n) || !ld_ok(lda, n) || info == nullptr ||
      !work.enough(need) || (n > 0 && (a == nullptr || w == nullptr)))
    return BAD;
  std::vector<Touch> touches = {triangle(a, n, lda, uplo, true, true), writes(info, sizeof(int))};
  if (vectors) touches.push_back(matrix(a, n, n, lda, true, false));
  if (n > 0) touches.push_back(writes(w, size_t(n) * sizeof(real_t<T>)));
  work.touch(&touches, need);
  return solver_enqueue(h, "cusolverDn syevd", std::move(touches),
                        [=] { *info = n == 0 ? 0 : syevd_host(vectors ? 'V' : 'N', uplo_char(uplo), int(n), a, int(lda), w); });
}

template <class T>
int gesvd_host(char ju, char jv, int m, int n, T *a, int lda, real_t<T> *s, T *u, int ldu, T *vt, int ldvt) {
  std::vector<real_t<T>> rwork(size_t(5 * std::min(m, n)) + 8);
  return with_work<T>([&](T *w, int lw) {
    if constexpr (std::is_same<T, float>::value)
      return SG_LAPACK(sgesvd_work)(LAPACK_COL_MAJOR, ju, jv, m, n, a, lda, s, u, ldu, vt, ldvt, w, lw);
    else if constexpr (std::is_same<T, double>::value)
      return SG_LAPACK(dgesvd_work)(LAPACK_COL_MAJOR, ju, jv, m, n, a, lda, s, u, ldu, vt, ldvt, w, lw);
    else if constexpr (std::is_same<T, c32>::value)
      return SG_LAPACK(cgesvd_work)(LAPACK_COL_MAJOR, ju, jv, m, n, a, lda, s, u, ldu, vt, ldvt, w, lw, rwork.data());
    else return SG_LAPACK(zgesvd_work)(LAPACK_COL_MAJOR, ju, jv, m, n, a, lda, s, u, ldu, vt, ldvt, w, lw, rwork.data());
  });
}

/* As the real one: only m >= n. */
template <class T>
cusolverStatus_t gesvd(cusolverDnHandle_t h, char ju, char jv, int64_t m, int64_t n, T *a, int64_t lda, real_t<T> *s, T *u, int64_t ldu,
                       T *vt, int64_t ldvt, Work work, int *info) {
  size_t need = work_square(m, n) * sizeof(T);
  auto job_ok = [](char j) { return j == 'A' || j == 'S' || j == 'O' || j == 'N'; };
  bool gives_u = ju == 'A' || ju == 'S', gives_v = jv == 'A' || jv == 'S';
  CHECK_HANDLE(h);
  if (!job_ok(ju) || !job_ok(jv) || (ju == 'O' && jv == 'O') || !size_ok(m) || !size_ok(n) || m < n || !ld_ok(lda, m) ||
      info == nullptr || !work.enough(need))
    return BAD;
  if ((gives_u && !ld_ok(ldu, m)) || (gives_v && !ld_ok(ldvt, n)) || ldu < 1 || ldvt < 1) return BAD;
  if (n > 0 && (a == nullptr || s == nullptr || (gives_u && u == nullptr) || (gives_v && vt == nullptr))) return BAD;
  std::vector<Touch> touches = {matrix(a, m, n, lda, true, true), writes(info, sizeof(int))};
  if (n > 0) touches.push_back(writes(s, size_t(n) * sizeof(real_t<T>)));
  if (gives_u) touches.push_back(matrix(u, m, ju == 'A' ? m : n, ldu, true, false));
  if (gives_v) touches.push_back(matrix(vt, n, n, ldvt, true, false));
  work.touch(&touches, need);
  return solver_enqueue(h, "cusolverDn gesvd", std::move(touches), [=] {
    *info = n == 0 ? 0 : gesvd_host(ju, jv, int(m), int(n), a, int(lda), s, u, int(ldu), vt, int(ldvt));
  });
}

/* V is given, not its conjugate transpose; m < n too. */
template <class T>
cusolverStatus_t gesvdj(cusolverDnHandle_t h, cusolverEigMode_t job, int econ, int m, int n, T *a, int lda, real_t<T> *s, T *u, int ldu,
                        T *v, int ldv, Work work, int *info, gesvdjInfo_t params) {
  size_t need = work_square(m, n) * sizeof(T);
  bool vectors = job == CUSOLVER_EIG_MODE_VECTOR;
  int k = std::min(m, n), u_cols = econ ? k : m, v_cols = econ ? k : n;
  CHECK_HANDLE(h);
  if ((!vectors && job != CUSOLVER_EIG_MODE_NOVECTOR) || m < 0 || n < 0 || !ld_ok(lda, m) || info == nullptr || !work.enough(need) ||
      params == nullptr)
    return BAD;
  if (vectors && (!ld_ok(ldu, m) || !ld_ok(ldv, n))) return BAD;
  if (k > 0 && (a == nullptr || s == nullptr || (vectors && (u == nullptr || v == nullptr)))) return BAD;
  std::vector<Touch> touches = {matrix(a, m, n, lda, true, true), writes(info, sizeof(int))};
  if (k > 0) touches.push_back(writes(s, size_t(k) * sizeof(real_t<T>)));
  if (vectors) {
    touches.push_back(matrix(u, m, u_cols, ldu, true, false));
    touches.push_back(matrix(v, n, v_cols, ldv, true, false));
  }
  work.touch(&touches, need);
  return solver_enqueue(h, "cusolverDn gesvdj", std::move(touches), [=] {
    std::vector<T> vt(vectors ? size_t(v_cols) * size_t(n) : 1);
    char j = !vectors ? 'N' : econ ? 'S' : 'A';
    *info = k == 0 ? 0 : gesvd_host(j, j, m, n, a, lda, s, u, vectors ? ldu : 1, vt.data(), vectors ? v_cols : 1);
    if (vectors && k > 0)
      for (int c = 0; c < v_cols; c++)
        for (int r = 0; r < n; r++) {
          T x = vt[size_t(r) * size_t(v_cols) + size_t(c)];
          if constexpr (is_complex<T>) x = std::conj(x);
          v[size_t(c) * size_t(ldv) + size_t(r)] = x;
        }
  });
}

} // namespace sg
