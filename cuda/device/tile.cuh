/*
 * Matrix kernels of tile operations: engine/routines/tiles.def. Elements are moved as bits; a conjugate is a flipped sign.
 * words: what (below), rows, cols, A0: base, row and column stride in bytes, A1 likewise, p, flags, and 1 as 16 bytes.
 */
enum { MX_T_CONJ, MX_T_FILL, MX_T_TRI, MX_T_MIRROR, MX_T_CHECK };
struct mx_tile_p { u64 w[13]; };
MX_DEV void mx_flip(u8 &) {}
MX_DEV void mx_flip(u16 &) {}
MX_DEV void mx_flip(u32 &) {}
MX_DEV void mx_flip(uint2 &v) { v.y ^= 0x80000000u; }
MX_DEV void mx_flip(uint4 &v) { v.w ^= 0x80000000u; }
MX_DEV void mx_no_im(u8 &) {}
MX_DEV void mx_no_im(u16 &) {}
MX_DEV void mx_no_im(u32 &) {}
MX_DEV void mx_no_im(uint2 &v) { v.y = 0; }
MX_DEV void mx_no_im(uint4 &v) { v.z = v.w = 0; }
MX_DEV void mx_bits(u8 &v, u64 lo, u64) { v = (u8)lo; }
MX_DEV void mx_bits(u16 &v, u64 lo, u64) { v = (u16)lo; }
MX_DEV void mx_bits(u32 &v, u64 lo, u64) { v = (u32)lo; }
MX_DEV void mx_bits(uint2 &v, u64 lo, u64) { v = make_uint2((u32)lo, (u32)(lo >> 32)); }
MX_DEV void mx_bits(uint4 &v, u64 lo, u64 hi) { v = make_uint4((u32)lo, (u32)(lo >> 32), (u32)hi, (u32)(hi >> 32)); }
template <class T> MX_DEV void mx_tile(const mx_tile_p &p) {
  const int what = (int)p.w[0];
  const u64 rows = p.w[1], cols = p.w[2], n = rows * cols, step = (u64)gridDim.x * 256;
  char *d = (char *)p.w[3];
  const char *s = (const char *)p.w[6];
  const i64 drs = (i64)p.w[4], dcs = (i64)p.w[5], srs = (i64)p.w[7], scs = (i64)p.w[8], diag = (i64)p.w[9];
  const u64 flags = p.w[10]; /* 1: lower part; 2: ones on the diagonal; 4: conjugate; 8: rows are contiguous */
  for (u64 q = (u64)blockIdx.x * 256 + threadIdx.x; q < n; q += step) {
    const u64 i = flags & 8 ? q / cols : q % rows, j = flags & 8 ? q % cols : q / rows;
    char *to = d + (i64)i * drs + (i64)j * dcs;
    const i64 at = (i64)j - (i64)i;
    T v, one;
    mx_bits(one, p.w[11], p.w[12]);
    if (what == MX_T_CONJ) {
      v = *(const T *)(s + (i64)i * srs + (i64)j * scs);
      if (flags & 4) mx_flip(v);
    } else if (what == MX_T_MIRROR) {
      if (at < 0 || (at == 0 && !(flags & 4))) continue;
      v = *(const T *)(d + (i64)j * drs + (i64)i * dcs);
      if (at == 0) mx_no_im(v); /* what rounding has left there */
      else if (flags & 4) mx_flip(v);
    } else {
      const bool keep = what == MX_T_TRI && (flags & 1 ? at <= diag : at >= diag);
      mx_bits(v, 0, 0);
      if (keep) v = *(const T *)(s + (i64)i * srs + (i64)j * scs);
      if ((flags & 2) && at == diag) v = one;
    }
    *(T *)to = v;
  }
}
/* The least i with A0[i, i] = 0 into the number at A1: zero in both parts, whatever the sign; w[7]: that is not positive */
MX_DEV bool mx_zero(u32 v) { return (v << 1) == 0; }
MX_DEV bool mx_zero(u64 v) { return (v << 1) == 0; }
template <class W, int PARTS> MX_DEV void mx_diag(const mx_tile_p &p) {
  for (u64 i = threadIdx.x; i < p.w[1]; i += 256) {
    const W *v = (const W *)((const char *)p.w[3] + (i64)i * ((i64)p.w[4] + (i64)p.w[5]));
    bool zero = true;
    for (int k = 0; k < PARTS; k++) zero = zero && mx_zero(v[k]);
    if (p.w[7]) zero = !(of_bits(v[0]) > 0);
    if (zero) atomicMin((u64 *)p.w[6], i);
  }
}
#define MX_TILE(name, body) extern "C" __global__ void __launch_bounds__(256) name(const mx_tile_p p) { body; }
MX_TILE(mx_tile_1, mx_tile<u8>(p))
MX_TILE(mx_tile_2, mx_tile<u16>(p))
MX_TILE(mx_tile_4, mx_tile<u32>(p))
MX_TILE(mx_tile_8, mx_tile<uint2>(p))
MX_TILE(mx_tile_16, mx_tile<uint4>(p))
extern "C" __global__ void __launch_bounds__(256) mx_diag_f32(const mx_tile_p p) { mx_diag<u32, 1>(p); }
extern "C" __global__ void __launch_bounds__(256) mx_diag_f64(const mx_tile_p p) { mx_diag<u64, 1>(p); }
extern "C" __global__ void __launch_bounds__(256) mx_diag_c64(const mx_tile_p p) { mx_diag<u32, 2>(p); }
extern "C" __global__ void __launch_bounds__(256) mx_diag_c128(const mx_tile_p p) { mx_diag<u64, 2>(p); }
