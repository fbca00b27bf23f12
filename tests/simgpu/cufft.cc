/*
 * The stand-in of cuFFT: plans of one to three dimensions with strides, single and double, computed in double by mixed radix
 * (prime factors by their definition). Callbacks, several devices and half precision are not simulated: NOT_SUPPORTED.
 *
 * Layer: tests/simgpu, libcufft.so.12. Threads: any; the work runs on the plan's stream.
 */
#pragma GCC visibility push(default)
#include <cufft.h>
#pragma GCC visibility pop

#include "driver_export.h"

#include <cmath>
#include <complex>
#include <map>
#include <mutex>

namespace {

using z = std::complex<double>;

struct Plan {
  bool made = false;
  int rank = 0;
  long long n[3] = {1, 1, 1};
  bool embedded = false; /* the layouts below; else the usual ones */
  long long in_embed[3] = {1, 1, 1}, out_embed[3] = {1, 1, 1};
  long long in_stride = 1, out_stride = 1, in_dist = 0, out_dist = 0;
  long long batch = 1;
  cufftType type = CUFFT_C2C;
  CUstream stream = nullptr;
};

std::mutex mutex;
std::map<cufftHandle, Plan> &plans() {
  static auto *map = new std::map<cufftHandle, Plan>;
  return *map;
}

Plan *find(cufftHandle h) {
  auto it = plans().find(h);
  return it == plans().end() ? nullptr : &it->second;
}

/* out[k] = sum of in[j * step] * w^(jk), w the n-th root of unity of the sign. roots: all of the N-th, N a multiple of n. */
void dft(z *out, const z *in, long long n, long long step, const std::vector<z> &roots) {
  long long p = 2, all = (long long)roots.size();
  if (n == 1) {
    out[0] = in[0];
    return;
  }
  while (p * p <= n && n % p != 0) p++;
  if (n % p != 0) p = n;
  long long m = n / p;
  std::vector<z> part(static_cast<size_t>(n));
  for (long long r = 0; r < p; r++) dft(part.data() + r * m, in + r * step, m, step * p, roots);
  for (long long k = 0; k < n; k++) {
    z sum = 0;
    for (long long r = 0; r < p; r++) sum += part[size_t(r * m + k % m)] * roots[size_t(r * k % n * (all / n))];
    out[k] = sum;
  }
}

std::vector<z> roots_of(long long n, int sign) {
  std::vector<z> w(static_cast<size_t>(n));
  for (long long k = 0; k < n; k++) w[size_t(k)] = std::polar(1.0, sign * 2.0 * M_PI * double(k) / double(n));
  return w;
}

/* All dimensions of a dense array in place. */
void transform_all(std::vector<z> &a, const Plan &p, int sign) {
  long long inner = 1;
  for (int d = p.rank - 1; d >= 0; d--) {
    long long n = p.n[d], outer = (long long)a.size() / (n * inner);
    std::vector<z> roots = roots_of(n, sign), line(static_cast<size_t>(n)), result(static_cast<size_t>(n));
    for (long long o = 0; o < outer; o++)
      for (long long i = 0; i < inner; i++) {
        z *at = a.data() + o * n * inner + i;
        for (long long k = 0; k < n; k++) line[size_t(k)] = at[k * inner];
        dft(result.data(), line.data(), n, 1, roots);
        for (long long k = 0; k < n; k++) at[k * inner] = result[size_t(k)];
      }
    inner *= n;
  }
}

/* Where element (i, j, k) of one batch member stands: ((i * e1 + j) * e2 + k) * stride. */
struct Layout {
  long long extent[3], embed[3], stride, dist;
  long long at(long long i, long long j, long long k) const { return ((i * embed[1] + j) * embed[2] + k) * stride; }
  /* elements from the first to behind the last of all members */
  long long span(long long batch) const { return at(extent[0] - 1, extent[1] - 1, extent[2] - 1) + (batch - 1) * dist + 1; }
};

bool real_in(cufftType t) { return t == CUFFT_R2C || t == CUFFT_D2Z; }
bool real_out(cufftType t) { return t == CUFFT_C2R || t == CUFFT_Z2D; }

/* rank 1 and 2 are seen as 3 with leading dimensions of 1. `real`: this side is real, `half`: it is the half spectrum. */
Layout layout_of(const Plan &p, bool in, bool real, bool half, bool in_place) {
  Layout l = {};
  for (int d = 0; d < 3; d++) {
    int s = d - (3 - p.rank);
    l.extent[d] = s < 0 ? 1 : p.n[s];
    l.embed[d] = s < 0 ? 1 : p.embedded ? (in ? p.in_embed : p.out_embed)[s] : p.n[s];
  }
  if (half) l.extent[2] = l.extent[2] / 2 + 1;
  l.stride = p.embedded ? (in ? p.in_stride : p.out_stride) : 1;
  if (!p.embedded && half) l.embed[2] = l.extent[2];
  if (!p.embedded && real && in_place) l.embed[2] = 2 * (l.extent[2] / 2 + 1); /* rows as long as those of the spectrum */
  l.dist = p.embedded ? (in ? p.in_dist : p.out_dist) : l.embed[0] * l.embed[1] * l.embed[2];
  return l;
}

template <class F> void each(const Layout &l, F f) {
  for (long long i = 0; i < l.extent[0]; i++)
    for (long long j = 0; j < l.extent[1]; j++)
      for (long long k = 0; k < l.extent[2]; k++) f(i, j, k);
}

/* R: float or double. */
template <class R> void run(const Plan &p, const void *in, void *out, int sign) {
  using C = std::complex<R>;
  bool rin = real_in(p.type), rout = real_out(p.type), same = in == out;
  Layout from = layout_of(p, true, rin, rout, same), to = layout_of(p, false, rout, rin, same);
  long long n[3];
  for (int d = 0; d < 3; d++) n[d] = rin ? from.extent[d] : to.extent[d];
  auto flat = [&](long long i, long long j, long long k) { return size_t((i * n[1] + j) * n[2] + k); };
  for (long long b = 0; b < p.batch; b++) {
    std::vector<z> a(size_t(n[0] * n[1] * n[2]));
    each(from, [&](long long i, long long j, long long k) {
      long long at = from.at(i, j, k) + b * from.dist;
      if (rin) a[flat(i, j, k)] = double(static_cast<const R *>(in)[at]);
      else a[flat(i, j, k)] = z(static_cast<const C *>(in)[at]);
    });
    if (rout) /* the other half of the spectrum is the conjugate of this one */
      for (long long i = 0; i < n[0]; i++)
        for (long long j = 0; j < n[1]; j++)
          for (long long k = from.extent[2]; k < n[2]; k++)
            a[flat(i, j, k)] = std::conj(a[flat((n[0] - i) % n[0], (n[1] - j) % n[1], n[2] - k)]);
    transform_all(a, p, sign);
    each(to, [&](long long i, long long j, long long k) {
      long long at = to.at(i, j, k) + b * to.dist;
      if (rout) static_cast<R *>(out)[at] = R(a[flat(i, j, k)].real());
      else static_cast<C *>(out)[at] = C(a[flat(i, j, k)]);
    });
  }
}

cufftResult exec(cufftHandle h, cufftType type, void *in, void *out, int direction, const char *what) {
  Plan p;
  {
    std::lock_guard<std::mutex> guard(mutex);
    Plan *found = find(h);
    if (found == nullptr || !found->made) return CUFFT_INVALID_PLAN;
    p = *found;
  }
  if (p.type != type) return CUFFT_INVALID_TYPE;
  if (in == nullptr || out == nullptr || (direction != CUFFT_FORWARD && direction != CUFFT_INVERSE)) return CUFFT_INVALID_VALUE;
  bool dbl = type == CUFFT_Z2Z || type == CUFFT_D2Z || type == CUFFT_Z2D;
  size_t real = dbl ? sizeof(double) : sizeof(float);
  Layout from = layout_of(p, true, real_in(type), real_out(type), in == out), to = layout_of(p, false, real_out(type), real_in(type), in == out);
  auto touch = [&](void *base, const Layout &l, bool is_real, bool write) {
    size_t e = is_real ? real : 2 * real;
    bool dense = l.stride == 1 && l.embed[2] == l.extent[2];
    size_t rows = size_t(l.extent[0] * l.extent[1]);
    std::vector<sg::Touch> t;
    for (long long b = 0; b < p.batch; b++) {
      char *at = static_cast<char *>(base) + size_t(b * l.dist) * e;
      if (dense && l.embed[1] == l.extent[1]) t.push_back({uintptr_t(at), rows * size_t(l.extent[2]) * e, 0, 1, write, false});
      else
        for (long long i = 0; i < l.extent[0]; i++)
          for (long long j = 0; j < l.extent[1]; j++)
            t.push_back({uintptr_t(at) + size_t(l.at(i, j, 0)) * e, e, size_t(l.stride) * e, size_t(l.extent[2]), write, false});
    }
    return t;
  };
  std::vector<sg::Touch> touches = touch(in, from, real_in(type), false), written = touch(out, to, real_out(type), true);
  touches.insert(touches.end(), written.begin(), written.end());
  CUresult r = sg::export_enqueue(p.stream, what, std::move(touches), [=] {
    if (dbl) run<double>(p, in, out, direction);
    else run<float>(p, in, out, direction);
    return CUDA_SUCCESS;
  });
  return r == CUDA_SUCCESS ? CUFFT_SUCCESS : CUFFT_EXEC_FAILED;
}

template <class I>
cufftResult make(cufftHandle h, int rank, const I *n, const I *in_embed, long long in_stride, long long in_dist, const I *out_embed,
                 long long out_stride, long long out_dist, cufftType type, long long batch, size_t *work) {
  std::lock_guard<std::mutex> guard(mutex);
  Plan *p = find(h);
  if (p == nullptr || p->made) return CUFFT_INVALID_PLAN;
  if (rank < 1 || rank > 3 || n == nullptr || batch < 1) return CUFFT_INVALID_SIZE;
  if (type != CUFFT_C2C && type != CUFFT_Z2Z && type != CUFFT_R2C && type != CUFFT_D2Z && type != CUFFT_C2R && type != CUFFT_Z2D)
    return CUFFT_INVALID_TYPE;
  bool embedded = in_embed != nullptr && out_embed != nullptr;
  for (int d = 0; d < rank; d++) {
    if (n[d] < 1) return CUFFT_INVALID_SIZE;
    p->n[d] = n[d];
    p->in_embed[d] = embedded ? in_embed[d] : 1;
    p->out_embed[d] = embedded ? out_embed[d] : 1;
  }
  if (embedded && (in_stride < 1 || out_stride < 1)) return CUFFT_INVALID_SIZE;
  p->rank = rank;
  p->embedded = embedded;
  p->in_stride = in_stride, p->in_dist = in_dist;
  p->out_stride = out_stride, p->out_dist = out_dist;
  p->batch = batch;
  p->type = type;
  p->made = true;
  if (work != nullptr) *work = 0;
  return CUFFT_SUCCESS;
}

cufftResult create_and(cufftHandle *out, const std::function<cufftResult(cufftHandle)> &make_it) {
  cufftResult r = cufftCreate(out);
  if (r != CUFFT_SUCCESS) return r;
  r = make_it(*out);
  if (r != CUFFT_SUCCESS) cufftDestroy(*out);
  return r;
}

} // namespace

cufftResult CUFFTAPI cufftCreate(cufftHandle *out) {
  static int next = 1;
  if (out == nullptr) return CUFFT_INVALID_VALUE;
  CUresult r = sg::export_create();
  if (r != CUDA_SUCCESS) return r == CUDA_ERROR_OUT_OF_MEMORY ? CUFFT_ALLOC_FAILED : CUFFT_SETUP_FAILED;
  std::lock_guard<std::mutex> guard(mutex);
  *out = next++;
  plans()[*out] = Plan();
  return CUFFT_SUCCESS;
}

cufftResult CUFFTAPI cufftDestroy(cufftHandle h) {
  std::lock_guard<std::mutex> guard(mutex);
  if (plans().erase(h) == 0) return CUFFT_INVALID_PLAN;
  sg::export_destroy();
  return CUFFT_SUCCESS;
}

cufftResult CUFFTAPI cufftSetStream(cufftHandle h, cudaStream_t stream) {
  std::lock_guard<std::mutex> guard(mutex);
  Plan *p = find(h);
  if (p == nullptr) return CUFFT_INVALID_PLAN;
  p->stream = reinterpret_cast<CUstream>(stream);
  return CUFFT_SUCCESS;
}

cufftResult CUFFTAPI cufftGetVersion(int *version) {
  if (version == nullptr) return CUFFT_INVALID_VALUE;
  *version = CUFFT_VERSION;
  return CUFFT_SUCCESS;
}

cufftResult CUFFTAPI cufftGetProperty(libraryPropertyType type, int *value) {
  if (value == nullptr) return CUFFT_INVALID_VALUE;
  switch (type) {
  case MAJOR_VERSION: *value = CUFFT_VER_MAJOR; return CUFFT_SUCCESS;
  case MINOR_VERSION: *value = CUFFT_VER_MINOR; return CUFFT_SUCCESS;
  case PATCH_LEVEL: *value = CUFFT_VER_PATCH; return CUFFT_SUCCESS;
  }
  return CUFFT_INVALID_TYPE;
}

cufftResult CUFFTAPI cufftGetSize(cufftHandle h, size_t *bytes) {
  std::lock_guard<std::mutex> guard(mutex);
  if (find(h) == nullptr) return CUFFT_INVALID_PLAN;
  if (bytes == nullptr) return CUFFT_INVALID_VALUE;
  *bytes = 0;
  return CUFFT_SUCCESS;
}

cufftResult CUFFTAPI cufftSetAutoAllocation(cufftHandle h, int) {
  std::lock_guard<std::mutex> guard(mutex);
  return find(h) != nullptr ? CUFFT_SUCCESS : CUFFT_INVALID_PLAN;
}

cufftResult CUFFTAPI cufftSetWorkArea(cufftHandle h, void *) {
  std::lock_guard<std::mutex> guard(mutex);
  return find(h) != nullptr ? CUFFT_SUCCESS : CUFFT_INVALID_PLAN;
}

cufftResult CUFFTAPI cufftMakePlan1d(cufftHandle h, int nx, cufftType type, int batch, size_t *work) {
  return make<int>(h, 1, &nx, nullptr, 1, 0, nullptr, 1, 0, type, batch, work);
}
cufftResult CUFFTAPI cufftMakePlan2d(cufftHandle h, int nx, int ny, cufftType type, size_t *work) {
  int n[2] = {nx, ny};
  return make<int>(h, 2, n, nullptr, 1, 0, nullptr, 1, 0, type, 1, work);
}
cufftResult CUFFTAPI cufftMakePlan3d(cufftHandle h, int nx, int ny, int nz, cufftType type, size_t *work) {
  int n[3] = {nx, ny, nz};
  return make<int>(h, 3, n, nullptr, 1, 0, nullptr, 1, 0, type, 1, work);
}
cufftResult CUFFTAPI cufftMakePlanMany(cufftHandle h, int rank, int *n, int *inembed, int istride, int idist, int *onembed, int ostride,
                                       int odist, cufftType type, int batch, size_t *work) {
  return make<int>(h, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch, work);
}
cufftResult CUFFTAPI cufftMakePlanMany64(cufftHandle h, int rank, long long *n, long long *inembed, long long istride, long long idist,
                                         long long *onembed, long long ostride, long long odist, cufftType type, long long batch,
                                         size_t *work) {
  return make<long long>(h, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch, work);
}
cufftResult CUFFTAPI cufftPlan1d(cufftHandle *h, int nx, cufftType type, int batch) {
  return create_and(h, [&](cufftHandle p) { return cufftMakePlan1d(p, nx, type, batch, nullptr); });
}
cufftResult CUFFTAPI cufftPlan2d(cufftHandle *h, int nx, int ny, cufftType type) {
  return create_and(h, [&](cufftHandle p) { return cufftMakePlan2d(p, nx, ny, type, nullptr); });
}
cufftResult CUFFTAPI cufftPlan3d(cufftHandle *h, int nx, int ny, int nz, cufftType type) {
  return create_and(h, [&](cufftHandle p) { return cufftMakePlan3d(p, nx, ny, nz, type, nullptr); });
}
cufftResult CUFFTAPI cufftPlanMany(cufftHandle *h, int rank, int *n, int *inembed, int istride, int idist, int *onembed, int ostride,
                                   int odist, cufftType type, int batch) {
  return create_and(h, [&](cufftHandle p) {
    return cufftMakePlanMany(p, rank, n, inembed, istride, idist, onembed, ostride, odist, type, batch, nullptr);
  });
}

cufftResult CUFFTAPI cufftExecC2C(cufftHandle h, cufftComplex *in, cufftComplex *out, int direction) {
  return exec(h, CUFFT_C2C, in, out, direction, "cufftExecC2C");
}
cufftResult CUFFTAPI cufftExecZ2Z(cufftHandle h, cufftDoubleComplex *in, cufftDoubleComplex *out, int direction) {
  return exec(h, CUFFT_Z2Z, in, out, direction, "cufftExecZ2Z");
}
cufftResult CUFFTAPI cufftExecR2C(cufftHandle h, cufftReal *in, cufftComplex *out) {
  return exec(h, CUFFT_R2C, in, out, CUFFT_FORWARD, "cufftExecR2C");
}
cufftResult CUFFTAPI cufftExecD2Z(cufftHandle h, cufftDoubleReal *in, cufftDoubleComplex *out) {
  return exec(h, CUFFT_D2Z, in, out, CUFFT_FORWARD, "cufftExecD2Z");
}
cufftResult CUFFTAPI cufftExecC2R(cufftHandle h, cufftComplex *in, cufftReal *out) {
  return exec(h, CUFFT_C2R, in, out, CUFFT_INVERSE, "cufftExecC2R");
}
cufftResult CUFFTAPI cufftExecZ2D(cufftHandle h, cufftDoubleComplex *in, cufftDoubleReal *out) {
  return exec(h, CUFFT_Z2D, in, out, CUFFT_INVERSE, "cufftExecZ2D");
}
