/* Running sums and products, in order: NumPy's results to the bit. */
template <class T, bool PROD> MX_DEV T mx_running(T a, T b) { return PROD ? mx_mul(a, b) : mx_add(a, b); }
template <class T> struct mx_exact { enum { yes = 1 }; }; /* any order gives the same */
template <> struct mx_exact<f32> { enum { yes = 0 }; };
template <> struct mx_exact<f64> { enum { yes = 0 }; };
template <class R> struct mx_exact<cx<R> > { enum { yes = 0 }; };

/*
 * n <= 256 elements of one line, one a thread: v becomes the running value. carry: what stands before, if `have`; both
 * are then ready for the next 256. Floats are added by one thread, as order is a part of the result.
 */
template <class T, bool PROD> MX_DEV T mx_scan_block(T v, u32 n, T &carry, b8 &have, T *shared) {
  const u32 t = threadIdx.x;
  __syncthreads();
  if (t < n) shared[t] = v;
  __syncthreads();
  if (mx_exact<T>::yes) {
    for (u32 d = 1; d < n; d <<= 1) {
      T before = v;
      if (t >= d && t < n) before = shared[t - d];
      __syncthreads();
      if (t >= d && t < n) shared[t] = v = mx_running<T, PROD>(before, v);
      __syncthreads();
    }
    if (t < n && have) shared[t] = mx_running<T, PROD>(carry, v);
  } else if (t == 0) {
    T run = carry;
    for (u32 i = 0; i < n; i++) {
      run = i == 0 && !have ? shared[0] : mx_running<T, PROD>(run, shared[i]);
      shared[i] = run;
    }
  }
  __syncthreads();
  carry = shared[n - 1];
  have = true;
  return t < n ? shared[t] : v;
}
