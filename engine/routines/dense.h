/*
 * Workspace of the factorisations that run on one whole matrix in memory: what the tile rules charge, and how the kernels
 * lay it out. Counts from LAPACK's documentation of ?gesdd, ?gesvd, ?syevd/?heevd, ?syev/?heev (3.7 and later), with
 * NB columns more for their blocked parts.
 *
 * Layer: engine. Threads: pure functions.
 */
#ifndef MX_DENSE_H
#define MX_DENSE_H

#include "engine/program.h"

#include <stdbool.h>

/* p[] of MX_TILE_SVD and MX_TILE_EIGH */
enum { MX_DENSE_VALUES = 0, MX_DENSE_REDUCED = 1, MX_DENSE_FULL = 2 };
/* Divide and conquer is fast and wants several matrices of workspace; QR iteration wants next to none. */
enum { MX_DENSE_CONQUER = 0, MX_DENSE_ITERATE = 1 };
enum { MX_DENSE_NB = 64 };

typedef struct mx_dense_work {
  int64_t work, rwork, iwork; /* elements of the dtype, of its real part's dtype, 32-bit integers */
} mx_dense_work;

static inline bool mx_dense_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }
static inline int64_t mx_dense_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t mx_dense_real_bytes(mars_dtype dt) { return dt == MARS_F32 || dt == MARS_C64 ? 4 : 8; }
static inline int64_t mx_dense_round(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }

static inline mx_dense_work mx_dense_gesvd(mars_dtype dt, int64_t m, int64_t n) {
  const int64_t mn = m < n ? m : n, mx = m < n ? n : m, blocked = MX_DENSE_NB * (m + n);
  if (mx_dense_complex(dt)) return (mx_dense_work){2 * mn + mx + blocked, 5 * mn, 0};
  return (mx_dense_work){mx_dense_max(3 * mn + mx, 5 * mn) + blocked, 0, 0};
}

/* The larger of what ?gesdd and its replacement want. */
static inline mx_dense_work mx_dense_gesdd(mars_dtype dt, int64_t m, int64_t n, int job) {
  const int64_t mn = m < n ? m : n, mx = m < n ? n : m, blocked = MX_DENSE_NB * (m + n);
  const mx_dense_work other = mx_dense_gesvd(dt, m, n);
  mx_dense_work w = {0, 0, 8 * mn};
  if (mx_dense_complex(dt)) {
    w.work = job == MX_DENSE_VALUES ? 2 * mn + mx : mn * mn + 3 * mn + mx;
    w.rwork = job == MX_DENSE_VALUES ? 7 * mn : mx_dense_max(5 * mn * mn + 5 * mn, 2 * mx * mn + 2 * mn * mn + mn);
  } else {
    w.work = job == MX_DENSE_VALUES ? 3 * mn + mx_dense_max(mx, 7 * mn) : 4 * mn * mn + 7 * mn + mx;
  }
  w.work = mx_dense_max(w.work + blocked, other.work);
  w.rwork = mx_dense_max(w.rwork, other.rwork);
  return w;
}

static inline mx_dense_work mx_dense_eigh(mars_dtype dt, int64_t n, int job, int method) {
  const bool z = mx_dense_complex(dt), vectors = job != MX_DENSE_VALUES;
  const int64_t blocked = MX_DENSE_NB * n;
  if (method == MX_DENSE_ITERATE) return z ? (mx_dense_work){2 * n + blocked, 3 * n, 0} : (mx_dense_work){3 * n + blocked, 0, 0};
  if (z)
    return vectors ? (mx_dense_work){2 * n + n * n + blocked, 1 + 5 * n + 2 * n * n, 3 + 5 * n} : (mx_dense_work){n + 1 + blocked, n + 1, 1};
  return vectors ? (mx_dense_work){1 + 6 * n + 2 * n * n + blocked, 0, 3 + 5 * n} : (mx_dense_work){2 * n + 1 + blocked, 0, 1};
}

/* Bytes of workspace behind `before` bytes of something else. */
static inline int64_t mx_dense_bytes(mars_dtype dt, const mx_dense_work *w, int64_t before) {
  return mx_dense_round(before) + mx_dense_round(w->work * (int64_t)mars_dtype_bytes(dt)) +
         mx_dense_round(w->rwork * mx_dense_real_bytes(dt)) + mx_dense_round(w->iwork * 4);
}

/* What stands before the workspace: the values, and for the SVD a copy of the matrix. */
static inline int64_t mx_dense_values_bytes(mars_dtype dt, int64_t k) { return mx_dense_round(k * mx_dense_real_bytes(dt)); }
static inline int64_t mx_dense_svd_bytes(mars_dtype dt, int64_t m, int64_t n, int job, int method) {
  const mx_dense_work w = method == MX_DENSE_ITERATE ? mx_dense_gesvd(dt, m, n) : mx_dense_gesdd(dt, m, n, job);
  const int64_t copy = method == MX_DENSE_ITERATE ? 0 : mx_dense_round(m * n * (int64_t)mars_dtype_bytes(dt));
  return mx_dense_bytes(dt, &w, mx_dense_values_bytes(dt, m < n ? m : n) + copy);
}
static inline int64_t mx_dense_eigh_bytes(mars_dtype dt, int64_t n, int job, int method) {
  const mx_dense_work w = mx_dense_eigh(dt, n, job, method);
  return mx_dense_bytes(dt, &w, mx_dense_values_bytes(dt, n));
}

#endif
