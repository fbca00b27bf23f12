/*
 * Strided copies of elements of 1, 2, 4, 8 or 16 bytes: pieces gathered, views laid out anew. DIMS dimensions, innermost
 * last, of at most 2^31 points together; strides in bytes. words: points, from, to, then extents, strides of from, of to.
 */
struct mx_copy_p { u64 w[3 + 3 * DIMS]; };
template <class T> MX_DEV void mx_copy(const mx_copy_p &p) {
  const u32 n = (u32)p.w[0], step = gridDim.x * 256u;
  const char *from = (const char *)p.w[1];
  char *to = (char *)p.w[2];
  for (u32 q = blockIdx.x * 256u + threadIdx.x; q < n; q += step) {
    i64 a = 0, b = 0;
    u32 x = q;
#pragma unroll
    for (int d = DIMS - 1; d > 0; d--) {
      const u32 e = (u32)p.w[3 + d], c = x % e;
      x /= e;
      a += (i64)c * (i64)p.w[3 + DIMS + d];
      b += (i64)c * (i64)p.w[3 + 2 * DIMS + d];
    }
    a += (i64)x * (i64)p.w[3 + DIMS];
    b += (i64)x * (i64)p.w[3 + 2 * DIMS];
    *(T *)(to + b) = *(const T *)(from + a);
  }
}
#define MX_COPY(name, T) extern "C" __global__ void __launch_bounds__(256) name(const mx_copy_p p) { mx_copy<T>(p); }
MX_COPY(mx_copy_1, u8)
MX_COPY(mx_copy_2, u16)
MX_COPY(mx_copy_4, u32)
MX_COPY(mx_copy_8, uint2)
MX_COPY(mx_copy_16, uint4)
