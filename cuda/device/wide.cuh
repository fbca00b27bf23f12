/*
 * Kernels of tall matrices: a dtype and its wide one (f64 of f32, c128 of c64), sums with their rounding errors apart.
 * mx_widen, mx_narrow: rows, columns, to: base, row and column stride in bytes, from likewise.
 */
struct mx_wide_p { u64 w[8]; };
#define MX_EACH(q, n) for (u64 q = (u64)blockIdx.x * 256 + threadIdx.x; q < (n); q += (u64)gridDim.x * 256)
MX_DEV f64 mx_convert(f32 x, f64) { return (f64)x; }
MX_DEV f32 mx_convert(f64 x, f32) { return (f32)x; }
MX_DEV c128 mx_convert(c64 x, c128) { return make_cx((f64)x.re, (f64)x.im); }
MX_DEV c64 mx_convert(c128 x, c64) { return make_cx((f32)x.re, (f32)x.im); }
template <class D, class S> MX_DEV void mx_move(const mx_wide_p &p) {
  MX_EACH(q, p.w[0] * p.w[1]) {
    const i64 i = (i64)(q / p.w[1]), j = (i64)(q % p.w[1]);
    *(D *)((char *)p.w[2] + i * (i64)p.w[3] + j * (i64)p.w[4]) =
        mx_convert(*(const S *)((const char *)p.w[5] + i * (i64)p.w[6] + j * (i64)p.w[7]), D());
  }
}
#define MX_WIDE(name, body) extern "C" __global__ void __launch_bounds__(256) name(const mx_wide_p p) { body; }
MX_WIDE(mx_widen_f32, (mx_move<f64, f32>(p)))
MX_WIDE(mx_widen_c64, (mx_move<c128, c64>(p)))
MX_WIDE(mx_narrow_f32, (mx_move<f32, f64>(p)))
MX_WIDE(mx_narrow_c64, (mx_move<c64, c128>(p)))

/* mx_compensated: n, parts of an element, sum, lost, x: upper triangles of row-major n x n matrices. sum + lost is the exact sum but for
 * rounding of `lost`. */
MX_WIDE(mx_compensated, {
  const u64 n = p.w[0];
  const u64 parts = p.w[1];
  MX_EACH(q, n * n * parts) {
    const u64 i = q / (n * parts);
    const u64 j = q / parts % n;
    if (j < i) continue;
    const f64 a = ((const f64 *)p.w[2])[q];
    const f64 b = ((const f64 *)p.w[4])[q];
    const f64 s = a + b;
    const f64 t = s - a;
    ((f64 *)p.w[3])[q] += (a - (s - t)) + (b - t);
    ((f64 *)p.w[2])[q] = s;
  }
})
