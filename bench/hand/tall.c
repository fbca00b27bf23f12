/* std of a a^T - a, and the SVD of a tall matrix, with panels that are made when they are needed. Contract: blas.h. */
#include "bench/hand/blas.h"
#include "bench/hand/blas_table.h"
#include "bench/hand/kernels.h"
#include "bench/util.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* ---- a a^T - a ------------------------------------------------------------------------------------- */

#define TILE 64

/* Rows [row, row + rows) of a, and the same of its transpose's product. */
typedef struct panel {
  const double *a;
  int64_t row, rows, n;
} panel;

static void make_panel(uint64_t seed, uint64_t stream, int64_t row, int64_t rows, int64_t n, double *a, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t r = 0; r < rows; r++)
    hand_uniform(seed, stream, (uint64_t)((row + r) * n), n, a + r * n);
}

/* A tile of c = p q^T, and its mirror image where that is another one; both without a. */
static hand_moments tile_moments(const panel *p, const panel *q, const double *c, int64_t r0, int64_t s0) {
  const int64_t r1 = r0 + TILE < p->rows ? r0 + TILE : p->rows, s1 = s0 + TILE < q->rows ? s0 + TILE : q->rows;
  double d[2 * TILE * TILE];
  int64_t k = 0;

  for (int64_t r = r0; r < r1; r++) {
    const int64_t i = p->row + r, end = i - q->row < s1 ? i - q->row : s1; /* below the diagonal */
    for (int64_t s = s0; s < end; s++) {
      const double x = c[r * q->rows + s];
      d[k++] = x - p->a[r * p->n + q->row + s];
      d[k++] = x - q->a[s * p->n + i];
    }
    if (i - q->row >= s0 && i - q->row < s1)
      d[k++] = c[r * q->rows + i - q->row] - p->a[r * p->n + i];
  }
  return k > 0 ? hand_kernels_get()->moments(d, k) : (hand_moments){0, 0, 0};
}

static hand_moments block_moments(const panel *p, const panel *q, const double *c, int threads) {
  hand_moments all = {0, 0, 0};

#pragma omp parallel num_threads(threads)
  {
    hand_moments mine = {0, 0, 0};
#pragma omp for schedule(dynamic)
    for (int64_t r = 0; r < p->rows; r += TILE)
      for (int64_t s = 0; s < q->rows; s += TILE)
        mine = hand_moments_merge(mine, tile_moments(p, q, c, r, s));
#pragma omp critical
    all = hand_moments_merge(all, mine);
  }
  return all;
}

size_t hand_aat_doubles(int64_t n, int64_t rows) {
  const int64_t most = rows < n ? rows : n;
  return (size_t)(most * n * (most < n ? 2 : 1) + most * most);
}

double hand_aat_std(uint64_t seed, uint64_t stream, int64_t n, int64_t rows, double *work, int threads) {
  const int64_t most = rows < n ? rows : n;
  double *c = work, *a = c + most * most, *b = a + most * n;
  hand_moments all = {0, 0, 0};

  for (int64_t i = 0; i < n; i += most) {
    const panel p = {a, i, n - i < most ? n - i : most, n};
    make_panel(seed, stream, i, p.rows, n, a, threads);
    for (int64_t j = 0; j < i; j += most) {
      const panel q = {b, j, most, n};
      make_panel(seed, stream, j, most, n, b, threads);
      hand_blas.cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p.rows, (int)most, (int)n, 1, a, (int)n, b, (int)n, 0,
                            c, (int)most);
      all = hand_moments_merge(all, block_moments(&p, &q, c, threads));
    }
    hand_blas.cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)p.rows, (int)n, 1, a, (int)n, 0, c, (int)p.rows);
    all = hand_moments_merge(all, block_moments(&p, &p, c, threads));
  }
  return sqrt(all.m2 / all.count);
}

/* ---- SVD of a tall matrix --------------------------------------------------------------------------- */

#define ROWS 2048
#define MOST 64

typedef struct tall {
  uint64_t seed, stream;
  int64_t m;
  int n, threads;
  double gram[MOST * MOST]; /* a^T a, lower; then its eigenvectors, one a row (column-major: columns) */
  double s[MOST];
} tall;

static int64_t make_rows(const tall *t, int64_t row, double *a) {
  const int64_t rows = t->m - row < ROWS ? t->m - row : ROWS;

  hand_uniform(t->seed, t->stream, (uint64_t)(row * t->n), rows * t->n, a);
  return rows;
}

static bool first_pass(tall *t) {
  const int n = t->n;
  bool ok = true;

#pragma omp parallel num_threads(t->threads)
  {
    double *a = bench_alloc(sizeof(double) * ROWS * (size_t)n, 1), mine[MOST * MOST] = {0};
    if (a != NULL) {
#pragma omp for schedule(static)
      for (int64_t row = 0; row < t->m; row += ROWS) {
        const int64_t rows = make_rows(t, row, a);
        hand_blas.cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, n, (int)rows, 1, a, n, 1, mine, n);
      }
    }
#pragma omp critical
    {
      for (int i = 0; i < n * n; i++)
        t->gram[i] += mine[i];
      ok = ok && a != NULL;
    }
    bench_free(a, sizeof(double) * ROWS * (size_t)n);
  }
  return ok;
}

/* u = a v / s, and how far u s vh is from a. */
static double second_pass(const tall *t, const double *v_over_s, const double *s_vh) {
  const int n = t->n;
  const size_t bytes = sizeof(double) * ROWS * (size_t)n;
  double worst = 0;

#pragma omp parallel num_threads(t->threads) reduction(max : worst)
  {
    double *a = bench_alloc(bytes, 1), *u = bench_alloc(bytes, 1), *back = bench_alloc(bytes, 1);
    const bool ok = a != NULL && u != NULL && back != NULL;
    if (!ok)
      worst = INFINITY;
#pragma omp for schedule(static)
    for (int64_t row = 0; row < t->m; row += ROWS) {
      if (!ok)
        continue;
      const int rows = (int)make_rows(t, row, a);
      hand_blas.cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, n, n, 1, a, n, v_over_s, n, 0, u, n);
      hand_blas.cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, n, n, 1, u, n, s_vh, n, 0, back, n);
#pragma omp simd reduction(max : worst)
      for (int64_t i = 0; i < (int64_t)rows * n; i++) {
        const double d = fabs(back[i] - a[i]);
        worst = d > worst ? d : worst;
      }
    }
    bench_free(a, bytes);
    bench_free(u, bytes);
    bench_free(back, bytes);
  }
  return worst;
}

double hand_tall_svd(uint64_t seed, uint64_t stream, int64_t m, int n, int threads) {
  tall t = {.seed = seed, .stream = stream, .m = m, .n = n, .threads = threads};
  double v_over_s[MOST * MOST], s_vh[MOST * MOST], work[MOST * MOST];
  const int lwork = MOST * MOST;
  double worst = NAN;
  int info = 1;

  if (n > MOST)
    return NAN;
  hand_blas_threads(1); /* the threads are in the passes */
  if (first_pass(&t)) {
    /* row-major upper is column-major lower; column k of the result is eigenvector k */
    hand_blas.dsyev_("V", "L", &n, t.gram, &n, t.s, work, &lwork, &info, 1, 1);
    for (int k = 0; k < n && info == 0; k++) {
      const double s = sqrt(t.s[k]);
      for (int i = 0; i < n; i++) {
        v_over_s[i * n + k] = t.gram[k * n + i] / s;
        s_vh[k * n + i] = t.gram[k * n + i] * s;
      }
    }
    worst = info == 0 ? second_pass(&t, v_over_s, s_vh) : NAN;
  }
  hand_blas_threads(threads);
  return worst;
}
