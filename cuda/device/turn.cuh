/*
 * Copies as in copy.cuh, of the same words, where the source is contiguous along dimension DIMS - 2 and the target along DIMS - 1: a
 * block reads 32 x 32 elements as the source lies, and writes them as the target does. A row of a tile has 33 elements in shared memory,
 * which puts those of a column into different banks. words[0] counts tiles, and it and the extents are below 2^31: what needs 64 bits
 * is addresses alone, and within a tile those are only added to.
 */
struct mx_copy_p { u64 w[3 + 3 * DIMS]; };
MX_DEV void mx_conj(u8 &) {}
MX_DEV void mx_conj(u16 &) {}
MX_DEV void mx_conj(u32 &) {}
MX_DEV void mx_conj(uint2 &v) { v.y ^= 0x80000000u; }
MX_DEV void mx_conj(uint4 &v) { v.w ^= 0x80000000u; }
template <class T, bool CONJ> MX_DEV void mx_turn(const mx_copy_p &p) {
  __shared__ T tile[32][33];
  const u32 n = (u32)p.w[0], s = threadIdx.x & 31, r = threadIdx.x >> 5;
  const u32 ey = (u32)p.w[1 + DIMS], ex = (u32)p.w[2 + DIMS], ny = (ey + 31) / 32, nx = (ex + 31) / 32;
  const i64 fy = (i64)p.w[1 + 2 * DIMS], fx = (i64)p.w[2 + 2 * DIMS], ty = (i64)p.w[1 + 3 * DIMS], tx = (i64)p.w[2 + 3 * DIMS];
  for (u32 q = blockIdx.x; q < n; q += gridDim.x) {
    const u32 x0 = q % nx * 32, y0 = q / nx % ny * 32;
    u32 rest = q / nx / ny;
    const char *a = (const char *)p.w[1] + (i64)(y0 + s) * fy + (i64)(x0 + r) * fx;
    char *b = (char *)p.w[2] + (i64)(y0 + r) * ty + (i64)(x0 + s) * tx;
#pragma unroll
    for (int d = DIMS - 3; d >= 0; d--) {
      const u32 e = (u32)p.w[3 + d], c = d > 0 ? rest % e : rest;
      rest /= e;
      a += (i64)c * (i64)p.w[3 + DIMS + d];
      b += (i64)c * (i64)p.w[3 + 2 * DIMS + d];
    }
#pragma unroll
    for (u32 j = 0; j < 32; j += 8) {
      if (y0 + s < ey && x0 + r + j < ex) tile[r + j][s] = *(const T *)a;
      a += 8 * fx;
    }
    __syncthreads();
#pragma unroll
    for (u32 j = 0; j < 32; j += 8) {
      if (x0 + s < ex && y0 + r + j < ey) {
        T v = tile[s][r + j];
        if (CONJ) mx_conj(v);
        *(T *)b = v;
      }
      b += 8 * ty;
    }
    __syncthreads();
  }
}
#define MX_TURN(name, T, CONJ) extern "C" __global__ void __launch_bounds__(256) name(const mx_copy_p p) { mx_turn<T, CONJ>(p); }
MX_TURN(mx_turn_1, u8, false)
MX_TURN(mx_turn_2, u16, false)
MX_TURN(mx_turn_4, u32, false)
MX_TURN(mx_turn_8, uint2, false)
MX_TURN(mx_turn_16, uint4, false)
MX_TURN(mx_turn_conj_8, uint2, true)
MX_TURN(mx_turn_conj_16, uint4, true)
