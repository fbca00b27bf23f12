/*
 * What normally and exponentially distributed numbers are computed by: logarithm, sine and cosine out of operations that
 * IEEE 754 rounds alike everywhere, without branches. The one text is compiled for every instruction set of the host and, as
 * text, for kernels: a stream has the same bits on every device.
 *
 * Layer: engine, no dependencies. The includer defines MX_BM (what stands before a function), the types f32, f64, u32, u64, and
 * mx_bm_bits64, mx_bm_of64, mx_bm_bits32, mx_bm_of32 (a float's bits and back), and compiles without contraction.
 *
 * log: x = 2^k m with m in [sqrt(1/2), sqrt(2)); with f = m - 1 and s = f / (2 + f), log m = 2 atanh s as a series in s^2, summed so
 * that f itself is not rounded again. Below 1 ulp. sin, cos: of pi a with a in [0, 2); a = q / 2 + r with r in [-1/4, 1/4]
 * exactly, and Taylor series. Below 3 ulp.
 */

/* x in [2^-53, 1] */
MX_BM f64 mx_bm_log64(f64 x) {
  const u64 root = 0x3fe6a09e667f3bcdull, u = mx_bm_bits64(x) + (0x3ff0000000000000ull - root);
  const f64 k = mx_bm_of64(0x4330000000000000ull | u >> 52) - (0x1p52 + 1023);
  const f64 f = mx_bm_of64((u & 0xfffffffffffffull) + root) - 1, s = f / (2 + f), z = s * s, h = 0.5 * f * f;
  f64 r = 2.0 / 21;
  r = 2.0 / 19 + z * r;
  r = 2.0 / 17 + z * r;
  r = 2.0 / 15 + z * r;
  r = 2.0 / 13 + z * r;
  r = 2.0 / 11 + z * r;
  r = 2.0 / 9 + z * r;
  r = 2.0 / 7 + z * r;
  r = 2.0 / 5 + z * r;
  r = z * (2.0 / 3 + z * r);
  return k * 0x1.62e42feep-1 - ((h - (s * (h + r) + k * 0x1.a39ef35793c76p-33)) - f);
}

/* x in [2^-24, 1] */
MX_BM f32 mx_bm_log32(f32 x) {
  const u32 root = 0x3f3504f3u, u = mx_bm_bits32(x) + (0x3f800000u - root);
  const f32 k = mx_bm_of32(0x4b000000u | u >> 23) - (0x1p23f + 127);
  const f32 f = mx_bm_of32((u & 0x7fffffu) + root) - 1, s = f / (2 + f), z = s * s, h = 0.5f * f * f;
  f32 r = 2.0f / 9;
  r = 2.0f / 7 + z * r;
  r = 2.0f / 5 + z * r;
  r = z * (2.0f / 3 + z * r);
  return k * 0x1.62e4p-1f - ((h - (s * (h + r) + k * 0x1.7f7d1cp-20f)) - f);
}

/* sin and cos of pi a, a in [0, 2) */
MX_BM void mx_bm_sincospi64(f64 a, f64 *sine, f64 *cosine) {
  const f64 y = 2 * a + 0x1.8p52; /* its last bits are q */
  const u64 q = mx_bm_bits64(y), odd = 0 - (q & 1);
  const f64 x = a - 0.5 * (y - 0x1.8p52), t = x * x;
  f64 s = 7.952054001475513e-07, c = 4.303069587032947e-06;
  s = -2.1915353447830217e-05 + t * s;
  c = -0.0001046381049248457 + t * c;
  s = 0.00046630280576761255 + t * s;
  c = 0.0019295743094039231 + t * c;
  s = -0.0073704309457143504 + t * s;
  c = -0.02580689139001406 + t * c;
  s = 0.08214588661112823 + t * s;
  c = 0.2353306303588932 + t * c;
  s = -0.5992645293207921 + t * s;
  c = -1.3352627688545895 + t * c;
  s = 2.5501640398773455 + t * s;
  c = 4.0587121264167685 + t * c;
  s = -5.16771278004997 + t * s;
  c = -4.934802200544679 + t * c;
  s = x * 0x1.921fb54442d18p+1 + x * (0x1.1a62633145c07p-53 + t * s);
  c = 1 + t * c;
  const u64 sb = mx_bm_bits64(s), cb = mx_bm_bits64(c);
  *sine = mx_bm_of64(((sb & ~odd) | (cb & odd)) ^ (q & 2) << 62);
  *cosine = mx_bm_of64(((cb & ~odd) | (sb & odd)) ^ ((q + 1) & 2) << 62);
}

MX_BM void mx_bm_sincospi32(f32 a, f32 *sine, f32 *cosine) {
  const f32 y = 2 * a + 0x1.8p23f;
  const u32 q = mx_bm_bits32(y), odd = 0 - (q & 1);
  const f32 x = a - 0.5f * (y - 0x1.8p23f), t = x * x;
  f32 s = 0.08214588661112823f, c = -0.02580689139001406f;
  c = 0.2353306303588932f + t * c;
  s = -0.5992645293207921f + t * s;
  c = -1.3352627688545895f + t * c;
  s = 2.5501640398773455f + t * s;
  c = 4.0587121264167685f + t * c;
  s = -5.16771278004997f + t * s;
  c = -4.934802200544679f + t * c;
  s = x * 0x1.921fb6p+1f + x * (-0x1.777a5cp-24f + t * s);
  c = 1 + t * c;
  const u32 sb = mx_bm_bits32(s), cb = mx_bm_bits32(c);
  *sine = mx_bm_of32(((sb & ~odd) | (cb & odd)) ^ (q & 2) << 30);
  *cosine = mx_bm_of32(((cb & ~odd) | (sb & odd)) ^ ((q + 1) & 2) << 30);
}
