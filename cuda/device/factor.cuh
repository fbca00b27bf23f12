/*
 * Kernels of factorisations: exchanges of rows, panels of LU and QR, what is not finite. Contracts: engine/routines/tiles.def.
 * Matrices are column-major unless strides are given; strides are in bytes, leading dimensions in elements.
 */
struct mx_factor_p { u64 w[16]; };
#define MX_FACTOR(name, threads, body) extern "C" __global__ void __launch_bounds__(threads) name(const mx_factor_p p) { body; }
#define MX_ALONE(name, threads, body) extern "C" __global__ void __launch_bounds__(threads, 1) name(const mx_factor_p p) { body; } /* one block of many registers */
#define MX_EACH(q, n) for (u64 q = (u64)blockIdx.x * 256 + threadIdx.x; q < (n); q += (u64)gridDim.x * 256)

/* ---- numbers ---- */
template <class R> MX_DEV bool mx_is_finite(R x) { return x - x == 0; }
template <class R> MX_DEV bool mx_is_finite(cx<R> x) { return mx_is_finite(x.re) && mx_is_finite(x.im); }
template <class R> MX_DEV R mx_size(R x) { return x < 0 ? -x : x; }
template <class R> MX_DEV R mx_size(cx<R> x) { return mx_size(x.re) + mx_size(x.im); }
template <class S> struct mx_real_of { typedef S type; };
template <class R> struct mx_real_of<cx<R> > { typedef R type; };
MX_DEV f32 mx_least(f32) { return 0x1p-126f; }
MX_DEV f64 mx_least(f64) { return 0x1p-1022; }
template <class R> MX_DEV R mx_times(R x, R y) { return x * y; }
template <class R> MX_DEV cx<R> mx_times(cx<R> x, cx<R> y) { return make_cx(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re); }
template <class R> MX_DEV R mx_minus(R x, R y) { return x - y; }
template <class R> MX_DEV cx<R> mx_minus(cx<R> x, cx<R> y) { return make_cx(x.re - y.re, x.im - y.im); }
template <class R> MX_DEV R mx_over(R x, R y) { return x / y; }
/* Smith's quotient. */
template <class R> MX_DEV cx<R> mx_over(cx<R> x, cx<R> y) {
  const bool flat = mx_size(y.re) >= mx_size(y.im);
  const R big = flat ? y.re : y.im, small = flat ? y.im : y.re, ratio = small / big, scale = big + small * ratio;
  const R a = flat ? x.re : x.im, b = flat ? x.im : x.re;
  return make_cx((a + b * ratio) / scale, flat ? (b - a * ratio) / scale : (a * ratio - b) / scale);
}
MX_DEV void mx_set(f32 &x, int v) { x = (f32)v; }
MX_DEV void mx_set(f64 &x, int v) { x = (f64)v; }
template <class R> MX_DEV void mx_set(cx<R> &x, int v) { x = make_cx((R)v, (R)0); }

/* ---- exchanges ----
 * words: columns, exchanges, matrix, leading dimension, pivots, 1: backwards. A thread takes a column. */
template <class T> MX_DEV void mx_exchange(const mx_factor_p &p) {
  const i64 n = (i64)p.w[1];
  const i32 *pivot = (const i32 *)p.w[4];
  MX_EACH(c, p.w[0]) {
    T *a = (T *)p.w[2] + c * p.w[3];
    for (i64 k = 0; k < n; k++) {
      const i64 i = p.w[5] ? n - 1 - k : k, j = pivot[i];
      if (i == j) continue;
      const T t = a[i];
      a[i] = a[j];
      a[j] = t;
    }
  }
}
MX_FACTOR(mx_exchange_4, 256, mx_exchange<u32>(p))
MX_FACTOR(mx_exchange_8, 256, mx_exchange<uint2>(p))
MX_FACTOR(mx_exchange_16, 256, mx_exchange<uint4>(p))

/* ---- a panel of LU ----
 * mx_save: rows, columns, panel, leading dimension, copy, int: set to 1 where something is not finite. */
template <class S> MX_DEV void mx_save(const mx_factor_p &p) {
  bool bad = false;
  MX_EACH(q, p.w[0] * p.w[1]) {
    const S x = ((const S *)p.w[2])[q % p.w[0] + q / p.w[0] * p.w[3]];
    ((S *)p.w[4])[q] = x;
    bad = bad || !mx_is_finite(x);
  }
  if (bad) *(volatile i32 *)p.w[5] = 1;
}
MX_FACTOR(mx_save_f32, 256, mx_save<f32>(p))
MX_FACTOR(mx_save_f64, 256, mx_save<f64>(p))
MX_FACTOR(mx_save_c64, 256, mx_save<c64>(p))
MX_FACTOR(mx_save_c128, 256, mx_save<c128>(p))

/* mx_again: rows, columns, panel, leading dimension, copy, int of mx_save, info of the library's factorisation, pivots.
 * One block, after the library. Where that met no zero pivot and nothing was infinite its result stands, and the pivots, which count
 * from 1, are made to count from 0. Otherwise the panel is taken from the copy and factored column by column: a zero pivot
 * is passed over and a NaN stays where it is, which a library does not promise. */
enum { MX_AGAIN = 256 };
template <class S> MX_DEV void mx_again(const mx_factor_p &p) {
  typedef typename mx_real_of<S>::type R;
  __shared__ R best[MX_AGAIN];
  __shared__ i64 at[MX_AGAIN];
  const i64 m = (i64)p.w[0], n = (i64)p.w[1], ld = (i64)p.w[3];
  S *a = (S *)p.w[2];
  const S *copy = (const S *)p.w[4];
  i32 *pivot = (i32 *)p.w[7];
  const int t = threadIdx.x;
  if (*(const i32 *)p.w[5] == 0 && *(const i32 *)p.w[6] <= 0) {
    for (i64 i = t; i < n; i += MX_AGAIN) pivot[i]--;
    return;
  }
  for (i64 q = t; q < m * n; q += MX_AGAIN) a[q % m + q / m * ld] = copy[q];
  __syncthreads();
  for (i64 j = 0; j < n; j++) {
    S *c = a + j * ld;
    R mine = -1;
    i64 where = m;
    for (i64 i = j + t; i < m; i += MX_AGAIN) {
      const R x = mx_size(c[i]);
      if (x > mine) {
        mine = x;
        where = i;
      }
    }
    best[t] = mine;
    at[t] = where;
    for (int half = MX_AGAIN / 2; half > 0; half /= 2) {
      __syncthreads();
      if (t < half && (best[t + half] > best[t] || (best[t + half] == best[t] && at[t + half] < at[t]))) {
        best[t] = best[t + half];
        at[t] = at[t + half];
      }
    }
    __syncthreads();
    const R first = mx_size(c[j]);
    const bool nan = first != first;
    const R most = nan ? first : best[0];
    const i64 k = nan ? j : at[0];
    __syncthreads();
    if (t == 0) pivot[j] = (i32)k;
    if (k != j)
      for (i64 i = t; i < n; i += MX_AGAIN) {
        const S x = a[j + i * ld];
        a[j + i * ld] = a[k + i * ld];
        a[k + i * ld] = x;
      }
    __syncthreads();
    const S d = c[j];
    S r;
    mx_set(r, 1);
    if (most >= mx_least(most)) r = mx_over(r, d);
    for (i64 i = j + 1 + t; i < m && most != 0; i += MX_AGAIN) c[i] = most >= mx_least(most) ? mx_times(c[i], r) : mx_over(c[i], d);
    __syncthreads();
    const i64 rows = m - j - 1;
    for (i64 q = t; q < rows * (n - j - 1); q += MX_AGAIN) {
      const i64 i = j + 1 + q % rows;
      S *x = a + (j + 1 + q / rows) * ld;
      x[i] = mx_minus(x[i], mx_times(c[i], x[j]));
    }
    __syncthreads();
  }
}
MX_ALONE(mx_again_f32, MX_AGAIN, mx_again<f32>(p))
MX_ALONE(mx_again_f64, MX_AGAIN, mx_again<f64>(p))
MX_ALONE(mx_again_c64, MX_AGAIN, mx_again<c64>(p))
MX_ALONE(mx_again_c128, MX_AGAIN, mx_again<c128>(p))

/* ---- the unit lower factor ----
 * mx_lower: rows, columns of the panel, result: base, row and column stride, panel likewise, order, p[0], first row of the panel */
template <class S> MX_DEV void mx_lower(const mx_factor_p &p) {
  const i64 start = (i64)p.w[10];
  MX_EACH(q, p.w[0] * p.w[1]) {
    const i64 i = (i64)(q / p.w[1]), c = (i64)(q % p.w[1]), below = (i64)p.w[9] + i - start;
    S x;
    mx_set(x, below == c);
    if (below > c) x = *(const S *)((const char *)p.w[5] + (((const i64 *)p.w[8])[below] - start) * (i64)p.w[6] + c * (i64)p.w[7]);
    *(S *)((char *)p.w[2] + i * (i64)p.w[3] + c * (i64)p.w[4]) = x;
  }
}
MX_FACTOR(mx_lower_f32, 256, mx_lower<f32>(p))
MX_FACTOR(mx_lower_f64, 256, mx_lower<f64>(p))
MX_FACTOR(mx_lower_c64, 256, mx_lower<c64>(p))
MX_FACTOR(mx_lower_c128, 256, mx_lower<c128>(p))

/* ---- reflectors ----
 * mx_larft: k, G = V^H V (column-major, k x k), tau, T, its leading dimension. One block: T of I - V T V^H, 0 below its diagonal
 * (Schreiber and Van Loan 1989). */
template <class S> MX_DEV void mx_larft(const mx_factor_p &p) {
  const i64 k = (i64)p.w[0], ld = (i64)p.w[4];
  const S *g = (const S *)p.w[1], *tau = (const S *)p.w[2];
  S *out = (S *)p.w[3], zero;
  mx_set(zero, 0);
  for (i64 j = 0; j < k; j++) {
    for (i64 i = threadIdx.x; i < k; i += 256) {
      S sum = zero;
      for (i64 l = i; l < j; l++) sum = mx_minus(sum, mx_times(out[i + l * ld], g[l + j * k]));
      out[i + j * ld] = i < j ? mx_times(tau[j], sum) : i == j ? tau[j] : zero;
    }
    __syncthreads();
  }
}
MX_FACTOR(mx_larft_f32, 256, mx_larft<f32>(p))
MX_FACTOR(mx_larft_f64, 256, mx_larft<f64>(p))
MX_FACTOR(mx_larft_c64, 256, mx_larft<c64>(p))
MX_FACTOR(mx_larft_c128, 256, mx_larft<c128>(p))

/* ---- what is not finite ----
 * lines, their length, base, stride of lines and in them, least number of a bad element (line by line), 1: of each line i the
 * elements up to i, 2: from i on, 0: all */
template <class S> MX_DEV void mx_finite(const mx_factor_p &p) {
  MX_EACH(q, p.w[0] * p.w[1]) {
    const u64 line = q / p.w[1], i = q % p.w[1];
    if ((p.w[6] == 1 && i > line) || (p.w[6] == 2 && i < line)) continue;
    if (!mx_is_finite(*(const S *)((const char *)p.w[2] + (i64)line * (i64)p.w[3] + (i64)i * (i64)p.w[4]))) atomicMin((u64 *)p.w[5], q);
  }
}
MX_FACTOR(mx_finite_f32, 256, mx_finite<f32>(p))
MX_FACTOR(mx_finite_f64, 256, mx_finite<f64>(p))
MX_FACTOR(mx_finite_c64, 256, mx_finite<c64>(p))
MX_FACTOR(mx_finite_c128, 256, mx_finite<c128>(p))
