/* Casts between all dtypes and rounding to halves: host/loops_cast.c and host/scalar_half.h. Conversions may give every NaN the same
   bits: its sign, which signbit and copysign look at, is set again. Other values have it already. */
MX_DEV f32 mx_wide(f16 h) {
  f32 r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h.b));
  return of_bits(bits_of(r) | (u32)(h.b & 0x8000) << 16);
}
MX_DEV f32 mx_wide(bf16 h) { return of_bits((u32)h.b << 16); }
MX_DEV void mx_half(f32 x, f16 &h) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.b) : "f"(x));
  h.b |= (u16)(bits_of(x) >> 16 & 0x8000);
}
MX_DEV void mx_half(f32 x, bf16 &h) {
  u32 u = bits_of(x), r = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  h.b = (u16)((u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 0x40u : r);
}

/* f64 to f32 rounded to odd: a second rounding to a half is then the only one that counts. */
MX_DEV f32 mx_odd(f64 x) {
  f32 f = (f32)x;
  f64 back = (f64)f;
  u32 odd = (bits_of(f) - (fabs(back) > fabs(x) ? 1u : 0u)) | 1u;
  return back == x ? f : (x != x ? f : of_bits(odd));
}
MX_DEV f32 mx_odd(f32 x) { return x; }
MX_DEV f32 mx_odd(b8 x) { return x ? 1.0f : 0.0f; }
MX_DEV f32 mx_odd(i8 x) { return (f32)x; }
MX_DEV f32 mx_odd(i16 x) { return (f32)x; }
MX_DEV f32 mx_odd(u8 x) { return (f32)x; }
MX_DEV f32 mx_odd(u16 x) { return (f32)x; }
MX_DEV f32 mx_odd(i32 x) { return mx_odd((f64)x); }
MX_DEV f32 mx_odd(u32 x) { return mx_odd((f64)x); }
MX_DEV f64 mx_odd64(u64 u) {
  u64 keep = (u & ~(u64)0x7ff) | (u64)((u & 0x7ff) != 0) << 11;
  return (f64)(u >> 53 != 0 ? keep : u);
}
MX_DEV f32 mx_odd(u64 x) { return mx_odd(mx_odd64(x)); }
MX_DEV f32 mx_odd(i64 x) { return mx_odd(x < 0 ? -mx_odd64(0 - (u64)x) : mx_odd64((u64)x)); }
MX_DEV f32 mx_odd(f16 x) { return mx_wide(x); }
MX_DEV f32 mx_odd(bf16 x) { return mx_wide(x); }
template <class R> MX_DEV f32 mx_odd(cx<R> x) { return mx_odd(x.re); }

/* truncated and saturated, NaN gives 0 */
template <class To, class F> MX_DEV To mx_sat(F x) {
  const To top = int_of<To>::is_signed ? (To)(((typename int_of<To>::U)-1) >> 1) : (To)-1;
  const To low = int_of<To>::is_signed ? (To)(-top - 1) : (To)0;
  const f64 end = 2.0 * (f64)((typename int_of<To>::U)1 << (int_of<To>::bits - 1 - int_of<To>::is_signed)); /* top + 1 */
  if (x != x) return 0;
  if ((f64)x >= end) return top;
  if ((f64)x <= (f64)low) return low;
  return (To)x;
}

template <class To> struct mx_to { /* integers */
  template <class F> MX_DEV To of(F x) { return (To)x; }
  MX_DEV To of(f32 x) { return mx_sat<To>(x); }
  MX_DEV To of(f64 x) { return mx_sat<To>(x); }
  MX_DEV To of(f16 x) { return mx_sat<To>(mx_wide(x)); }
  MX_DEV To of(bf16 x) { return mx_sat<To>(mx_wide(x)); }
  template <class R> MX_DEV To of(cx<R> x) { return mx_sat<To>(x.re); }
};
template <> struct mx_to<b8> {
  template <class F> MX_DEV b8 of(F x) { return x != 0; }
  MX_DEV b8 of(b8 x) { return x; }
  MX_DEV b8 of(f16 x) { return mx_wide(x) != 0; }
  MX_DEV b8 of(bf16 x) { return mx_wide(x) != 0; }
  template <class R> MX_DEV b8 of(cx<R> x) { return (x.re != 0) | (x.im != 0); }
};
template <class To> struct mx_to_float {
  template <class F> MX_DEV To of(F x) { return (To)x; }
  MX_DEV To of(f16 x) { return (To)mx_wide(x); }
  MX_DEV To of(bf16 x) { return (To)mx_wide(x); }
  template <class R> MX_DEV To of(cx<R> x) { return (To)x.re; }
};
template <> struct mx_to<f32> : mx_to_float<f32> {};
template <> struct mx_to<f64> : mx_to_float<f64> {};
template <class To> struct mx_to_half {
  template <class F> MX_DEV To of(F x) {
    To h;
    mx_half(mx_odd(x), h);
    return h;
  }
  MX_DEV To of(To x) { return x; }
};
template <> struct mx_to<f16> : mx_to_half<f16> {};
template <> struct mx_to<bf16> : mx_to_half<bf16> {};
template <class To> struct mx_to<cx<To> > {
  template <class F> MX_DEV cx<To> of(F x) { return make_cx(mx_to<To>::of(x), (To)0); }
  template <class R> MX_DEV cx<To> of(cx<R> x) { return make_cx((To)x.re, (To)x.im); }
};
template <class To, class From> MX_DEV To mx_cast(From x) { return mx_to<To>::of(x); }

MX_DEV f32 mx_round_f16(f32 x) { return mx_wide(mx_cast<f16>(x)); }
MX_DEV f32 mx_round_bf16(f32 x) { return mx_wide(mx_cast<bf16>(x)); }

/* NEXTAFTER and SPACING on f32 registers that hold half values: on the half's bits. */
template <class H> MX_DEV f32 mx_half_of_bits(u32 u) {
  H h;
  h.b = (u16)u;
  return mx_wide(h);
}
template <class H> MX_DEV f32 mx_half_nextafter(f32 x, f32 y) {
  u32 u = mx_cast<H>(x).b, mag = u & 0x7fffu;
  u32 step = (x < y) == (x > 0) ? u + 1 : u - 1;
  step = mag == 0 ? (mx_cast<H>(y).b & 0x8000u) | 1 : step;
  f32 r = mx_half_of_bits<H>(step);
  r = x == y ? y : r;
  return ((x != x) | (y != y)) ? x + y : r;
}
template <class H> MX_DEV f32 mx_half_spacing(f32 x) {
  f32 r = mx_half_of_bits<H>(mx_cast<H>(x).b + 1u) - x;
  return fabsf(x) < MX_INF32 ? r : x - x;
}
