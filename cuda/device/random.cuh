/* Random numbers, defined at mx_random in engine/program.h: Philox 4x32-10 in registers. host/random.c. */
struct mx_words { u64 w0, w1; };
MX_DEV mx_words mx_philox(u64 seed, u64 stream, u32 attempt, u64 block) {
  u32 c0 = (u32)block, c1 = (u32)(block >> 32), c2 = (u32)stream, c3 = ((u32)(stream >> 32) & 0xffffffu) | attempt << 24;
  u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    u32 h0 = __umulhi(c0, 0xD2511F53u), l0 = c0 * 0xD2511F53u, h1 = __umulhi(c2, 0xCD9E8D57u), l1 = c2 * 0xCD9E8D57u;
    c0 = h1 ^ c1 ^ k0;
    c2 = h0 ^ c3 ^ k1;
    c1 = l1;
    c3 = l0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  mx_words w;
  w.w0 = c0 | (u64)c1 << 32;
  w.w1 = c2 | (u64)c3 << 32;
  return w;
}
MX_DEV u64 mx_word64(u64 seed, u64 stream, u64 e) {
  mx_words w = mx_philox(seed, stream, 0, e >> 1);
  return e & 1 ? w.w1 : w.w0;
}
MX_DEV u64 mx_pair32(u64 seed, u64 stream, u64 e) { /* the two 32-bit words that e's pair of elements has */
  mx_words w = mx_philox(seed, stream, 0, e >> 2);
  return e & 2 ? w.w1 : w.w0;
}
MX_DEV f64 mx_unit64(u64 w) { return (f64)(i64)(w >> 11) * 0x1p-53; }
MX_DEV f32 mx_unit32(u32 w) { return (f32)(i32)(w >> 8) * 0x1p-24f; }

template <class T> struct mx_draw;
template <> struct mx_draw<f64> {
  MX_DEV f64 unit(u64 seed, u64 stream, u64 e) { return mx_unit64(mx_word64(seed, stream, e)); }
  MX_DEV f64 normal(u64 seed, u64 stream, u64 e) {
    mx_words w = mx_philox(seed, stream, 0, e >> 1);
    f64 r = sqrt(-2 * mx_bm_log64(1 - mx_unit64(w.w0))), s, c;
    mx_bm_sincospi64(2 * mx_unit64(w.w1), &s, &c);
    return r * (e & 1 ? s : c);
  }
};
template <> struct mx_draw<f32> {
  MX_DEV f32 unit(u64 seed, u64 stream, u64 e) {
    return mx_unit32((u32)(mx_pair32(seed, stream, e) >> (e & 1) * 32));
  }
  MX_DEV f32 normal(u64 seed, u64 stream, u64 e) {
    u64 w = mx_pair32(seed, stream, e);
    f32 r = sqrtf(-2 * mx_bm_log32(1 - mx_unit32((u32)w))), s, c;
    mx_bm_sincospi32(2 * mx_unit32((u32)(w >> 32)), &s, &c);
    return r * (e & 1 ? s : c);
  }
};
/* low + u * span, at most limit: three numbers of the dtype, as f64 bits */
template <class T> MX_DEV T mx_uniform(u64 seed, u64 stream, u64 low, u64 span, u64 limit, u64 e) {
  T u = mx_draw<T>::unit(seed, stream, e);
  u = (T)of_bits(low) + u * (T)of_bits(span);
  return u < (T)of_bits(limit) ? u : (T)of_bits(limit);
}
template <class T> MX_DEV T mx_unit(u64 seed, u64 stream, u64 e) { return mx_draw<T>::unit(seed, stream, e); }
template <class T> MX_DEV T mx_normal(u64 seed, u64 stream, u64 e) { return mx_draw<T>::normal(seed, stream, e); }
MX_DEV f64 mx_bm_log(f64 x) { return mx_bm_log64(x); }
MX_DEV f32 mx_bm_log(f32 x) { return mx_bm_log32(x); }
/* 1 - u is exact: log1p's argument needs no more care */
template <class T> MX_DEV T mx_exponential(u64 seed, u64 stream, u64 e) {
  return 0 - mx_bm_log(1 - mx_draw<T>::unit(seed, stream, e));
}
MX_DEV b8 mx_bernoulli(u64 seed, u64 stream, u64 limit, u64 e) {
  return (i64)(mx_word64(seed, stream, e) >> 11) < (i64)limit;
}
/* Lemire's method; the 256th attempt is taken as it is */
template <class T> MX_DEV T mx_integers(u64 seed, u64 stream, u64 low, u64 range, u64 e) {
  u64 w = mx_word64(seed, stream, e), v;
  if (range == 0) return (T)(low + w);
  v = __umul64hi(w, range);
  if (w * range < range) {
    u64 threshold = (0 - range) % range;
    for (u32 attempt = 1; w * range < threshold && attempt < 256; attempt++) {
      mx_words next = mx_philox(seed, stream, attempt, e >> 1);
      w = e & 1 ? next.w1 : next.w0;
      v = __umul64hi(w, range);
    }
  }
  return (T)(low + v);
}
