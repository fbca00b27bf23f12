/*
 * Products of integers, which wrap around: C = (first ? 0 : C) +- A B, any strides. A block makes 32 x 32 elements of C from strips of A
 * and B in shared memory; a thread four of them.
 * words: rows, columns, depth, flags (1: first, 2: minus), C: base, row and column stride in bytes, A and B likewise.
 */
struct mx_product_p { u64 w[13]; };
enum { MX_SIDE = 32, MX_DEEP = 16 };
template <class T> MX_DEV T mx_at(u64 base, u64 rs, u64 cs, i64 i, i64 j) { return *(const T *)((const char *)base + i * (i64)rs + j * (i64)cs); }
template <class T> MX_DEV void mx_product(const mx_product_p &p) {
  __shared__ T a[MX_DEEP][MX_SIDE + 1], b[MX_DEEP][MX_SIDE + 1];
  const i64 m = (i64)p.w[0], n = (i64)p.w[1], k = (i64)p.w[2], across = (n + MX_SIDE - 1) / MX_SIDE;
  const i64 i0 = (i64)blockIdx.x / across * MX_SIDE, j0 = (i64)blockIdx.x % across * MX_SIDE;
  const int t = threadIdx.x, x = t % 16, y = t / 16;
  T sum[4] = {0, 0, 0, 0};
  for (i64 l0 = 0; l0 < k; l0 += MX_DEEP) {
    for (int q = t; q < MX_SIDE * MX_DEEP; q += 256) { /* neighbours in memory by neighbouring threads */
      const bool rows = p.w[9] == sizeof(T), columns = p.w[12] == sizeof(T);
      const int al = rows ? q % MX_DEEP : q / MX_SIDE, ai = rows ? q / MX_DEEP : q % MX_SIDE;
      const int bl = columns ? q / MX_SIDE : q % MX_DEEP, bj = columns ? q % MX_SIDE : q / MX_DEEP;
      a[al][ai] = i0 + ai < m && l0 + al < k ? mx_at<T>(p.w[7], p.w[8], p.w[9], i0 + ai, l0 + al) : (T)0;
      b[bl][bj] = j0 + bj < n && l0 + bl < k ? mx_at<T>(p.w[10], p.w[11], p.w[12], l0 + bl, j0 + bj) : (T)0;
    }
    __syncthreads();
#pragma unroll
    for (int l = 0; l < MX_DEEP; l++) {
      const T a0 = a[l][y], a1 = a[l][y + 16], b0 = b[l][x], b1 = b[l][x + 16];
      sum[0] += a0 * b0;
      sum[1] += a0 * b1;
      sum[2] += a1 * b0;
      sum[3] += a1 * b1;
    }
    __syncthreads();
  }
  for (int q = 0; q < 4; q++) {
    const i64 i = i0 + y + q / 2 * 16, j = j0 + x + q % 2 * 16;
    if (i >= m || j >= n) continue;
    T *c = (T *)((char *)p.w[4] + i * (i64)p.w[5] + j * (i64)p.w[6]);
    const T v = p.w[3] & 2 ? (T)(0 - sum[q]) : sum[q];
    *c = p.w[3] & 1 ? v : (T)(*c + v);
  }
}
extern "C" __global__ void __launch_bounds__(256) mx_product_4(const mx_product_p p) { mx_product<u32>(p); }
extern "C" __global__ void __launch_bounds__(256) mx_product_8(const mx_product_p p) { mx_product<u64>(p); }
