/*
 * What every generated kernel begins with: element types, loads and stores, bits.
 *
 * Read by NVRTC, after no header at all: everything that is used stands in cuda/device. Functions named mx_f are the FN(f)
 * of engine/ops.def; overloads choose by dtype. Semantics are those of host/scalar_*.h, to the bit where a row says 0 ulp:
 * kernels are compiled without contraction of multiply and add.
 */
#define MX_DEV static __device__ __forceinline__
#define FN(f) mx_##f

typedef bool b8;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;
struct f16 { u16 b; };
struct bf16 { u16 b; };
template <class R> struct alignas(2 * sizeof(R)) cx { R re, im; };
typedef cx<f32> c64;
typedef cx<f64> c128;

template <class R> MX_DEV cx<R> make_cx(R re, R im) {
  cx<R> z;
  z.re = re;
  z.im = im;
  return z;
}

/* ---- bits ---- */
MX_DEV u32 bits_of(f32 x) { return __float_as_uint(x); }
MX_DEV u64 bits_of(f64 x) { return (u64)__double_as_longlong(x); }
MX_DEV f32 of_bits(u32 u) { return __uint_as_float(u); }
MX_DEV f64 of_bits(u64 u) { return __longlong_as_double((i64)u); }
#define MX_INF32 of_bits(0x7f800000u)
#define MX_INF64 of_bits(0x7ff0000000000000ull)
template <class T> struct flt;
template <> struct flt<f32> {
  typedef u32 BT;
  typedef i32 ST;
  enum { mant = 23, expmax = 255, bias = 127 };
  MX_DEV f32 inf() { return MX_INF32; }
  MX_DEV f32 nan() { return of_bits(0x7fc00000u); }
};
template <> struct flt<f64> {
  typedef u64 BT;
  typedef i64 ST;
  enum { mant = 52, expmax = 2047, bias = 1023 };
  MX_DEV f64 inf() { return MX_INF64; }
  MX_DEV f64 nan() { return of_bits(0x7ff8000000000000ull); }
};

/* ---- memory ---- */
template <class T> MX_DEV T mx_ld(const char *p) { return *(const T *)p; }
template <> __device__ __forceinline__ b8 mx_ld<b8>(const char *p) { return *(const u8 *)p != 0; }
template <class T> MX_DEV void mx_st(char *p, T v) { *(T *)p = v; }
MX_DEV void mx_st(char *p, b8 v) { *(u8 *)p = v ? 1 : 0; }

/* n elements at once: one access of up to 16 bytes, several if they are more */
template <int BYTES> struct mx_raw;
template <> struct mx_raw<1> { typedef u8 type; };
template <> struct mx_raw<2> { typedef u16 type; };
template <> struct mx_raw<4> { typedef u32 type; };
template <> struct mx_raw<8> { typedef uint2 type; };
template <> struct mx_raw<16> { typedef uint4 type; };

MX_DEV u32 mx_word(u8 r, int) { return r; }
MX_DEV u32 mx_word(u16 r, int) { return r; }
MX_DEV u32 mx_word(u32 r, int) { return r; }
MX_DEV u32 mx_word(uint2 r, int i) { return i ? r.y : r.x; }
MX_DEV u32 mx_word(uint4 r, int i) { return i < 2 ? (i ? r.y : r.x) : i == 2 ? r.z : r.w; }
MX_DEV void mx_set_word(u8 &r, int, u32 w) { r = (u8)w; }
MX_DEV void mx_set_word(u16 &r, int, u32 w) { r = (u16)w; }
MX_DEV void mx_set_word(u32 &r, int, u32 w) { r = w; }
MX_DEV void mx_set_word(uint2 &r, int i, u32 w) { if (i) r.y = w; else r.x = w; }
MX_DEV void mx_set_word(uint4 &r, int i, u32 w) {
  if (i == 0) r.x = w;
  else if (i == 1) r.y = w;
  else if (i == 2) r.z = w;
  else r.w = w;
}

/* element j of the words of a vector, and back */
template <class T, int BYTES> struct mx_lane;
template <class T> struct mx_lane<T, 1> {
  template <class R> MX_DEV T get(const R &r, int j) { return (T)(u8)(mx_word(r, j / 4) >> (j % 4 * 8)); }
  template <class R> MX_DEV void set(R &r, int j, T v) {
    mx_set_word(r, j / 4, (mx_word(r, j / 4) & ~(0xffu << (j % 4 * 8))) | (u32)(u8)v << (j % 4 * 8));
  }
};
template <class T> struct mx_lane<T, 2> {
  template <class R> MX_DEV T get(const R &r, int j) {
    u16 h = (u16)(mx_word(r, j / 2) >> (j % 2 * 16));
    return reinterpret_cast<T &>(h);
  }
  template <class R> MX_DEV void set(R &r, int j, T v) {
    mx_set_word(r, j / 2, (mx_word(r, j / 2) & ~(0xffffu << (j % 2 * 16))) | (u32)reinterpret_cast<u16 &>(v) << (j % 2 * 16));
  }
};
MX_DEV u32 mx_bits32(i32 v) { return (u32)v; }
MX_DEV u32 mx_bits32(u32 v) { return v; }
MX_DEV u32 mx_bits32(f32 v) { return bits_of(v); }
MX_DEV void mx_from32(u32 w, i32 &v) { v = (i32)w; }
MX_DEV void mx_from32(u32 w, u32 &v) { v = w; }
MX_DEV void mx_from32(u32 w, f32 &v) { v = of_bits(w); }
MX_DEV u64 mx_bits64(i64 v) { return (u64)v; }
MX_DEV u64 mx_bits64(u64 v) { return v; }
MX_DEV u64 mx_bits64(f64 v) { return bits_of(v); }
MX_DEV u64 mx_bits64(c64 v) { return bits_of(v.re) | (u64)bits_of(v.im) << 32; }
MX_DEV void mx_from64(u64 w, i64 &v) { v = (i64)w; }
MX_DEV void mx_from64(u64 w, u64 &v) { v = w; }
MX_DEV void mx_from64(u64 w, f64 &v) { v = of_bits(w); }
MX_DEV void mx_from64(u64 w, c64 &v) { v = make_cx(of_bits((u32)w), of_bits((u32)(w >> 32))); }
template <class T> struct mx_lane<T, 4> {
  template <class R> MX_DEV T get(const R &r, int j) {
    T v;
    mx_from32(mx_word(r, j), v);
    return v;
  }
  template <class R> MX_DEV void set(R &r, int j, T v) { mx_set_word(r, j, mx_bits32(v)); }
};
template <class T> struct mx_lane<T, 8> {
  template <class R> MX_DEV T get(const R &r, int j) {
    T v;
    mx_from64(mx_word(r, 2 * j) | (u64)mx_word(r, 2 * j + 1) << 32, v);
    return v;
  }
  template <class R> MX_DEV void set(R &r, int j, T v) {
    u64 w = mx_bits64(v);
    mx_set_word(r, 2 * j, (u32)w);
    mx_set_word(r, 2 * j + 1, (u32)(w >> 32));
  }
};
template <class T, int N> MX_DEV void mx_ldv(T (&v)[N], const char *p) {
  typedef typename mx_raw<N * (int)sizeof(T)>::type raw;
  raw r = *(const raw *)p;
#pragma unroll
  for (int j = 0; j < N; j++) v[j] = mx_lane<T, (int)sizeof(T)>::get(r, j);
}
template <class T, int N> MX_DEV void mx_stv(char *p, const T (&v)[N]) {
  typedef typename mx_raw<N * (int)sizeof(T)>::type raw;
  raw r = raw();
#pragma unroll
  for (int j = 0; j < N; j++) mx_lane<T, (int)sizeof(T)>::set(r, j, v[j]);
  *(raw *)p = r;
}
