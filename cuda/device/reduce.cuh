/*
 * Accumulators of reductions, and how a block folds them. Layout and meaning: engine/program.h; which elements meet where
 * depends on the tile's shape alone (cuda/geometry.c), so a reduction has the same bits on every GPU.
 *
 * An accumulator has none() (holds nothing: the identity of merge), take(x, at) for the elements of a leaf in order, end()
 * behind a leaf, merge(b), last() for the finished value, parts(v) for what stands in memory, fields(v) for what a
 * neighbour needs too. `at` numbers the elements of a lane in C order.
 */
template <class T> struct mx_sum_of { typedef i64 S; };
template <> struct mx_sum_of<u8> { typedef u64 S; };
template <> struct mx_sum_of<u16> { typedef u64 S; };
template <> struct mx_sum_of<u32> { typedef u64 S; };
template <> struct mx_sum_of<u64> { typedef u64 S; };
template <> struct mx_sum_of<f32> { typedef f64 S; };
template <> struct mx_sum_of<f64> { typedef f64 S; };
template <class R> struct mx_sum_of<cx<R> > { typedef c128 S; };
template <class T> struct mx_mean_of { typedef f64 S; };
template <class R> struct mx_mean_of<cx<R> > { typedef c128 S; };

MX_DEV i64 mx_plus(i64 a, i64 b) { return (i64)((u64)a + (u64)b); }
MX_DEV u64 mx_plus(u64 a, u64 b) { return a + b; }
MX_DEV f64 mx_plus(f64 a, f64 b) { return a + b; }
MX_DEV c128 mx_plus(c128 a, c128 b) { return make_cx(a.re + b.re, a.im + b.im); }
MX_DEV i64 mx_times(i64 a, i64 b) { return (i64)((u64)a * (u64)b); }
MX_DEV u64 mx_times(u64 a, u64 b) { return a * b; }
MX_DEV f64 mx_times(f64 a, f64 b) { return a * b; }
MX_DEV c128 mx_times(c128 a, c128 b) { return make_cx(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re); }
MX_DEV void mx_sum0(i64 &s) { s = 0; }
MX_DEV void mx_sum0(u64 &s) { s = 0; }
MX_DEV void mx_sum0(f64 &s) { s = -0.0; } /* -0 + -0 is -0 */
MX_DEV void mx_sum0(c128 &s) { s = make_cx(-0.0, -0.0); }
MX_DEV void mx_one(i64 &s) { s = 1; }
MX_DEV void mx_one(u64 &s) { s = 1; }
MX_DEV void mx_one(f64 &s) { s = 1; }
MX_DEV void mx_one(c128 &s) { s = make_cx(1.0, 0.0); }
MX_DEV f64 mx_over(i64 s, f64 n) { return (f64)s / n; }
MX_DEV f64 mx_over(u64 s, f64 n) { return (f64)s / n; }
MX_DEV f64 mx_over(f64 s, f64 n) { return s / n; }
MX_DEV c128 mx_over(c128 s, f64 n) { return make_cx(s.re / n, s.im / n); }

template <class T> MX_DEV b8 mx_nan(T x) { return x != x; }
MX_DEV b8 mx_nan(b8) { return false; }
template <class R> MX_DEV b8 mx_nan(cx<R> x) { return (x.re != x.re) | (x.im != x.im); }
template <class T> MX_DEV b8 mx_less(T x, T y) { return x < y; }
template <class R> MX_DEV b8 mx_less(cx<R> x, cx<R> y) { return (x.re < y.re) | ((x.re == y.re) & (x.im < y.im)); }

/* least and greatest value, and what stands for "none" where NaN is ignored */
template <class T> struct mx_ends {
  MX_DEV T least() { return int_of<T>::is_signed ? (T)((typename int_of<T>::U)1 << (int_of<T>::bits - 1)) : (T)0; }
  MX_DEV T most() { return (T)~least(); }
  MX_DEV T none(bool greatest) { return greatest ? most() : least(); }
};
template <> struct mx_ends<b8> {
  MX_DEV b8 least() { return false; }
  MX_DEV b8 most() { return true; }
  MX_DEV b8 none(bool greatest) { return greatest; }
};
#define MX_ENDS(R)                                                                                           \
  template <> struct mx_ends<R> {                                                                            \
    MX_DEV R least() { return -flt<R>::inf(); }                                                              \
    MX_DEV R most() { return flt<R>::inf(); }                                                                \
    MX_DEV R none(bool) { return flt<R>::nan(); }                                                            \
  };
MX_ENDS(f32)
MX_ENDS(f64)
template <class R> struct mx_ends<cx<R> > {
  MX_DEV cx<R> least() { return make_cx(-flt<R>::inf(), -flt<R>::inf()); }
  MX_DEV cx<R> most() { return make_cx(flt<R>::inf(), flt<R>::inf()); }
  MX_DEV cx<R> none(bool) { return make_cx(flt<R>::nan(), flt<R>::nan()); }
};

/* SKIP: NaN is ignored. */
template <class T, bool SKIP> struct A_sum {
  typedef typename mx_sum_of<T>::S S;
  S s;
  __device__ __forceinline__ void none() { mx_sum0(s); }
  __device__ __forceinline__ void take(T x, i64) {
    if (SKIP && mx_nan(x)) s = mx_plus(s, mx_cast<S>(0)); /* -0 becomes 0, as if it were there */
    else s = mx_plus(s, mx_cast<S>(x));
  }
  __device__ __forceinline__ void end() {}
  __device__ __forceinline__ void merge(const A_sum &b) { s = mx_plus(s, b.s); }
  __device__ __forceinline__ S last(f64, f64) const { return s; }
  template <class V> __device__ __forceinline__ void parts(V &v) { v(s); }
  template <class V> __device__ __forceinline__ void fields(V &v) { v(s); }
};
template <class T> struct A_mean : A_sum<T, false> {
  __device__ __forceinline__ typename mx_mean_of<T>::S last(f64 n, f64) const { return mx_over(this->s, n); }
};
template <class T, bool SKIP> struct A_prod {
  typedef typename mx_sum_of<T>::S S;
  S s;
  __device__ __forceinline__ void none() { mx_one(s); }
  __device__ __forceinline__ void take(T x, i64) {
    if (!(SKIP && mx_nan(x))) s = mx_times(s, mx_cast<S>(x));
  }
  __device__ __forceinline__ void end() {}
  __device__ __forceinline__ void merge(const A_prod &b) { s = mx_times(s, b.s); }
  __device__ __forceinline__ S last(f64, f64) const { return s; }
  template <class V> __device__ __forceinline__ void parts(V &v) { v(s); }
  template <class V> __device__ __forceinline__ void fields(V &v) { v(s); }
};

/* Extremes. A complex NaN has a number beside it and equal ones may differ in the sign of a zero: the first one counts,
   so its place travels along inside a block. SKIP: NaN is ignored. */
template <class T, bool MAX, bool SKIP> struct A_extreme {
  T v;
  i64 at;
  __device__ __forceinline__ void none() {
    v = SKIP ? mx_ends<T>::none(!MAX) : MAX ? mx_ends<T>::least() : mx_ends<T>::most();
    at = 0x7fffffffffffffffll;
  }
  __device__ __forceinline__ b8 beats(T x, T p) const { return MAX ? mx_less(p, x) : mx_less(x, p); }
  __device__ __forceinline__ b8 takes(T x, T p) const {
    return SKIP ? (beats(x, p) | mx_nan(p)) & !mx_nan(x) : (beats(x, p) | mx_nan(x)) & !mx_nan(p);
  }
  __device__ __forceinline__ void take(T x, i64 where) {
    if (takes(x, v) || (at == 0x7fffffffffffffffll && !(SKIP && mx_nan(x)))) {
      v = x;
      at = where;
    }
  }
  __device__ __forceinline__ void end() {}
  __device__ __forceinline__ void merge(const A_extreme &b) {
    if (takes(b.v, v) || (!takes(v, b.v) && b.at < at)) {
      v = b.v;
      at = b.at;
    }
  }
  __device__ __forceinline__ T last(f64, f64) const { return v; }
  template <class V> __device__ __forceinline__ void parts(V &f) { f(v); }
  template <class V> __device__ __forceinline__ void fields(V &f) { f(v), f(at); }
};

template <class T, bool ALL> struct A_truth {
  u32 s;
  __device__ __forceinline__ void none() { s = ALL; }
  __device__ __forceinline__ void take(T x, i64) {
    u32 t = mx_cast<b8>(x) ? 1u : 0u;
    s = ALL ? s & t : s | t;
  }
  __device__ __forceinline__ void end() {}
  __device__ __forceinline__ void merge(const A_truth &b) { s = ALL ? s & b.s : s | b.s; }
  __device__ __forceinline__ b8 last(f64, f64) const { return s != 0; }
  template <class V> __device__ __forceinline__ void parts(V &v) {
    u8 one = (u8)s;
    v(one);
    s = one;
  }
  template <class V> __device__ __forceinline__ void fields(V &v) { v(s); }
};
template <class T> struct A_count {
  i64 s;
  __device__ __forceinline__ void none() { s = 0; }
  __device__ __forceinline__ void take(T x, i64) { s += mx_cast<b8>(x) ? 1 : 0; }
  __device__ __forceinline__ void end() {}
  __device__ __forceinline__ void merge(const A_count &b) { s += b.s; }
  __device__ __forceinline__ i64 last(f64, f64) const { return s; }
  template <class V> __device__ __forceinline__ void parts(V &v) { v(s); }
  template <class V> __device__ __forceinline__ void fields(V &v) { v(s); }
};

/* Where the extreme stands: NaN beats every number (SKIP: never counts); of equals the smaller index wins. */
template <class T, bool MAX, bool SKIP> struct A_arg {
  T v;
  i64 at;
  __device__ __forceinline__ void none() {
    v = MAX ? mx_ends<T>::least() : mx_ends<T>::most();
    at = -1;
  }
  __device__ __forceinline__ b8 beats(T x, T p) const {
    b8 less = MAX ? mx_less(p, x) : mx_less(x, p);
    return SKIP ? less : (less | mx_nan(x)) & !mx_nan(p);
  }
  __device__ __forceinline__ void take(T x, i64 where) {
    if (SKIP && mx_nan(x)) return;
    if (at < 0 || beats(x, v) || (where < at && !beats(v, x))) {
      v = x;
      at = where;
    }
  }
  __device__ __forceinline__ void end() {}
  __device__ __forceinline__ void merge(const A_arg &b) {
    if (b.at >= 0 && (at < 0 || beats(b.v, v) || (!beats(v, b.v) && b.at < at))) {
      v = b.v;
      at = b.at;
    }
  }
  __device__ __forceinline__ i64 last(f64, f64) const { return at; }
  template <class V> __device__ __forceinline__ void parts(V &f) { f(v), f(at); }
  template <class V> __device__ __forceinline__ void fields(V &f) { f(v), f(at); }
};

template <class T> struct A_nansum {
  typedef typename mx_sum_of<T>::S S;
  S s;
  i64 n;
  __device__ __forceinline__ void none() {
    mx_sum0(s);
    n = 0;
  }
  __device__ __forceinline__ void take(T x, i64) {
    if (mx_nan(x)) {
      s = mx_plus(s, mx_cast<S>(0));
      return;
    }
    s = mx_plus(s, mx_cast<S>(x));
    n++;
  }
  __device__ __forceinline__ void end() {}
  __device__ __forceinline__ void merge(const A_nansum &b) {
    s = mx_plus(s, b.s);
    n += b.n;
  }
  __device__ __forceinline__ typename mx_mean_of<T>::S last(f64, f64) const { return mx_over(s, (f64)n); }
  template <class V> __device__ __forceinline__ void parts(V &v) { v(s), v(n); }
  template <class V> __device__ __forceinline__ void fields(V &v) { v(s), v(n); }
};

/* Mean and sum of squared deviations. Inside a leaf: sums of d and d*d, d = x - the leaf's first element. Shifted so,
   squares cannot cancel more than by the elements of a leaf. Leaves merge as Chan, Golub and LeVeque do. */
template <class T> struct mx_dev { /* real */
  typedef f64 S;
  MX_DEV f64 sub(T x, f64 c) { return (f64)x - c; }
  MX_DEV f64 square(f64 d) { return d * d; }
  MX_DEV f64 scaled(f64 d, f64 by) { return d * by; }
};
template <class R> struct mx_dev<cx<R> > {
  typedef c128 S;
  MX_DEV c128 sub(cx<R> x, c128 c) { return make_cx((f64)x.re - c.re, (f64)x.im - c.im); }
  MX_DEV f64 square(c128 d) { return d.re * d.re + d.im * d.im; }
  MX_DEV c128 scaled(c128 d, f64 by) { return make_cx(d.re * by, d.im * by); }
};
template <class T, bool SKIP, bool ROOT> struct A_moments {
  typedef typename mx_dev<T>::S S;
  S mean, sum; /* in a leaf mean is the first element */
  f64 m2;
  i64 n;
  __device__ __forceinline__ void none() {
    mean = sum = mx_cast<S>(0);
    m2 = 0;
    n = 0;
  }
  __device__ __forceinline__ void take(T x, i64) {
    if (SKIP && mx_nan(x)) return;
    if (n == 0) mean = mx_cast<S>(x);
    S d = mx_dev<T>::sub(x, mean); /* inf - inf is NaN, and so is the variance of an infinity */
    sum = mx_plus(sum, d);
    m2 += mx_dev<T>::square(d);
    n++;
  }
  __device__ __forceinline__ void end() {
    f64 share = 1.0 / (f64)(n > 0 ? n : 1);
    m2 = m2 - mx_dev<T>::square(sum) * share;
    m2 = m2 < 0 ? 0.0 : m2;
    mean = mx_plus(mean, mx_dev<T>::scaled(sum, share));
  }
  __device__ __forceinline__ void merge(const A_moments &b) {
    f64 na = (f64)n, nb = (f64)b.n, f = nb / (na + nb > 0 ? na + nb : 1.0);
    S d = mx_dev<S>::sub(b.mean, mean);
    mean = mx_plus(mean, mx_dev<S>::scaled(d, f));
    m2 += b.m2 + mx_dev<S>::square(d) * (na * f);
    n += b.n;
  }
  /* NumPy's: what is not positive divides as 0 */
  __device__ __forceinline__ f64 last(f64, f64 ddof) const {
    f64 left = (f64)n - ddof, v = m2 / (left > 0 ? left : 0.0);
    return ROOT ? sqrt(v) : v;
  }
  template <class V> __device__ __forceinline__ void parts(V &v) { v(mean), v(m2), v(n); }
  template <class V> __device__ __forceinline__ void fields(V &v) { v(mean), v(m2), v(n); }
};

/* ---- in memory: a struct of arrays of K elements ---- */
struct mx_store_parts {
  char *at;
  i64 kept, k;
  b8 fill; /* gaps behind parts with 0: accumulators travel and are spilled as a whole */
  template <class T> __device__ __forceinline__ void operator()(T &v) {
    const i64 end = (kept * (i64)sizeof(T) + 63) & ~(i64)63;
    mx_st(at + k * (i64)sizeof(T), v);
    if (fill && k == kept - 1) {
#pragma unroll 1
      for (i64 i = kept * (i64)sizeof(T); i < end; i++) at[i] = 0;
    }
    at += end;
  }
};
struct mx_load_parts {
  const char *at;
  i64 kept, k;
  template <class T> __device__ __forceinline__ void operator()(T &v) {
    v = mx_ld<T>(at + k * (i64)sizeof(T));
    at += (kept * (i64)sizeof(T) + 63) & ~(i64)63;
  }
};
template <class A> MX_DEV void mx_put(A &a, char *base, i64 kept, i64 k, b8 fill) {
  mx_store_parts v = {base, kept, k, fill};
  a.parts(v);
}
template <class Out, class A> MX_DEV void mx_emit(A &a, char *base, b8 finish, b8 fill, i64 kept, i64 k, f64 n, f64 ddof) {
  if (finish) mx_st(base + k * (i64)sizeof(Out), mx_cast<Out>(a.last(n, ddof)));
  else mx_put(a, base, kept, k, fill);
}

/* ---- in a block ---- */
enum { MX_BLOCK = 256 };

/* fields as 32-bit words, which shuffles and shared memory take */
MX_DEV void mx_unword(const u32 *w, int &i, b8 &v) { v = w[i++] != 0; }
#define MX_WORDS32(T)                                                                                        \
  MX_DEV void mx_toword(u32 *w, int &i, T v) { w[i++] = (u32)v; }                                            \
  MX_DEV void mx_unword(const u32 *w, int &i, T &v) { v = (T)w[i++]; }
MX_DEV void mx_toword(u32 *w, int &i, b8 v) { w[i++] = v ? 1u : 0u; }
MX_WORDS32(i8)
MX_WORDS32(i16)
MX_WORDS32(i32)
MX_WORDS32(u8)
MX_WORDS32(u16)
MX_WORDS32(u32)
MX_DEV void mx_toword(u32 *w, int &i, u64 v) { w[i++] = (u32)v, w[i++] = (u32)(v >> 32); }
MX_DEV void mx_unword(const u32 *w, int &i, u64 &v) { v = w[i] | (u64)w[i + 1] << 32, i += 2; }
MX_DEV void mx_toword(u32 *w, int &i, i64 v) { mx_toword(w, i, (u64)v); }
MX_DEV void mx_unword(const u32 *w, int &i, i64 &v) { v = (i64)(w[i] | (u64)w[i + 1] << 32), i += 2; }
MX_DEV void mx_toword(u32 *w, int &i, f32 v) { w[i++] = bits_of(v); }
MX_DEV void mx_unword(const u32 *w, int &i, f32 &v) { v = of_bits(w[i++]); }
MX_DEV void mx_toword(u32 *w, int &i, f64 v) { mx_toword(w, i, bits_of(v)); }
MX_DEV void mx_unword(const u32 *w, int &i, f64 &v) { v = of_bits(w[i] | (u64)w[i + 1] << 32), i += 2; }
template <class R> MX_DEV void mx_toword(u32 *w, int &i, cx<R> v) { mx_toword(w, i, v.re), mx_toword(w, i, v.im); }
template <class R> MX_DEV void mx_unword(const u32 *w, int &i, cx<R> &v) { mx_unword(w, i, v.re), mx_unword(w, i, v.im); }
enum { MX_WORDS = 8 };
struct mx_to_words {
  u32 w[MX_WORDS];
  int n;
  template <class T> __device__ __forceinline__ void operator()(T &v) { mx_toword(w, n, v); }
};
struct mx_of_words {
  u32 w[MX_WORDS];
  int n;
  template <class T> __device__ __forceinline__ void operator()(T &v) { mx_unword(w, n, v); }
};

/* Lanes y = 0 .. by - 1 of each group of by * bx threads become one, in halves; the result is in y = 0. */
template <class A> MX_DEV void mx_fold(A &a, u32 *shared, u32 bx_bits, u32 by_bits) {
  const u32 t = threadIdx.x, y = (t >> bx_bits) & ((1u << by_bits) - 1);
  for (u32 half = (1u << by_bits) >> 1; half > 0; half >>= 1) {
    const u32 far = half << bx_bits;
    mx_to_words mine = {{0}, 0};
    mx_of_words other = {{0}, 0};
    a.fields(mine);
    if (far >= 32) {
      __syncthreads();
      if (y >= half && y < 2 * half) {
#pragma unroll
        for (int i = 0; i < MX_WORDS; i++)
          if (i < mine.n) shared[i * MX_BLOCK + t] = mine.w[i];
      }
      __syncthreads();
      if (y < half) {
#pragma unroll
        for (int i = 0; i < MX_WORDS; i++)
          if (i < mine.n) other.w[i] = shared[i * MX_BLOCK + t + far];
      }
    } else {
#pragma unroll
      for (int i = 0; i < MX_WORDS; i++)
        if (i < mine.n) other.w[i] = __shfl_down_sync(0xffffffffu, mine.w[i], far);
    }
    if (y < half) {
      A b = a;
      b.fields(other);
      a.merge(b);
    }
  }
}

/* The leaves of one thread: a binary counter of merged ones. The last level takes whatever comes. */
enum { MX_LEAF = 16, MX_LEVELS = 4 };
template <class A> struct mx_pile {
  A t[MX_LEVELS];
  __device__ __forceinline__ void push(A a, u32 leaves) {
    bool going = true;
#pragma unroll
    for (int l = 0; l < MX_LEVELS; l++) {
      bool full = l == MX_LEVELS - 1 ? leaves >> l != 0 : (leaves >> l & 1) != 0;
      if (going && full) {
        A b = t[l];
        b.merge(a);
        a = b;
      }
      if (going && (!full || l == MX_LEVELS - 1)) {
        t[l] = a;
        going = false;
      }
    }
  }
  __device__ __forceinline__ A all(u32 leaves) {
    A a;
    a.none();
    bool have = false;
#pragma unroll
    for (int l = 0; l < MX_LEVELS; l++) {
      bool full = l == MX_LEVELS - 1 ? leaves >> l != 0 : (leaves >> l & 1) != 0;
      if (full) {
        A b = t[l];
        if (have) b.merge(a);
        a = b;
        have = true;
      }
    }
    return a;
  }
};

/* An extreme's place among the partials; the others know theirs, or need none. */
template <class A> MX_DEV void mx_place(A &, i64) {}
template <class T, bool MAX, bool SKIP> MX_DEV void mx_place(A_extreme<T, MAX, SKIP> &a, i64 j) { a.at = j; }

/*
 * Partial accumulators of `kept` elements, merged in order: COMBINE, and the second pass of a reduction. table: where each
 * stands, or NULL with base and step. A block has 2^bx_bits elements by 2^by_bits lanes.
 */
template <class A, class Out>
MX_DEV void mx_combine(const char *const *table, const char *base, i64 step, i64 n, i64 kept, char *out, b8 finish, f64 count,
                       f64 ddof, u32 bx_bits, u32 by_bits) {
  __shared__ u32 shared[MX_WORDS * MX_BLOCK];
  const u32 t = threadIdx.x, y = (t >> bx_bits) & ((1u << by_bits) - 1);
  const i64 k = ((i64)blockIdx.x << bx_bits) + (t & ((1u << bx_bits) - 1));
  mx_pile<A> pile;
  u32 leaves = 0;
  const b8 mine = k < kept && t >> (bx_bits + by_bits) == 0;
  if (mine) {
    for (i64 j = y; j < n;) {
      A leaf;
      leaf.none();
      for (int i = 0; i < MX_LEAF && j < n; i++, j += (i64)1 << by_bits) {
        A one;
        one.none();
        mx_load_parts v = {table != nullptr ? table[j] : base + j * step, kept, k};
        one.parts(v);
        mx_place(one, j);
        leaf.merge(one);
      }
      pile.push(leaf, leaves++);
    }
  }
  A a = pile.all(leaves);
  mx_fold(a, shared, bx_bits, by_bits);
  if (y == 0 && mine) mx_emit<Out>(a, out, finish, true, kept, k, count, ddof);
}
