/*
 * The stand-in of cuFFT: plans of one to three dimensions with strides, single and double, computed by FFTW. Callbacks, several
 * devices and half precision are not simulated.
 *
 * Layer: tests/simgpu, libcufft.so.12. Threads: any; the work runs on the plan's stream.
 */
#pragma GCC visibility push(default)
#include <cufft.h>
#pragma GCC visibility pop

#include "driver_export.h"

#include <fftw3.h>

#include <complex>
#include <cstring>
#include <map>
#include <mutex>

namespace {

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

/* FFTW's names of one precision. */
template <class R> struct Fftw;
template <> struct Fftw<double> {
  using Complex = fftw_complex;
  static constexpr auto c2c = fftw_plan_guru64_dft;
  static constexpr auto r2c = fftw_plan_guru64_dft_r2c;
  static constexpr auto c2r = fftw_plan_guru64_dft_c2r;
  static constexpr auto execute = fftw_execute;
  static constexpr auto destroy = fftw_destroy_plan;
};
template <> struct Fftw<float> {
  using Complex = fftwf_complex;
  static constexpr auto c2c = fftwf_plan_guru64_dft;
  static constexpr auto r2c = fftwf_plan_guru64_dft_r2c;
  static constexpr auto c2r = fftwf_plan_guru64_dft_c2r;
  static constexpr auto execute = fftwf_execute;
  static constexpr auto destroy = fftwf_destroy_plan;
};

/* Of FFTW, execution alone may go on in several threads at a time. */
std::mutex planner;

/* Where element (i, j, k) of one batch member stands: ((i * e1 + j) * e2 + k) * stride. */
struct Layout {
  long long extent[3], embed[3], stride, dist;
  long long at(long long i, long long j, long long k) const { return ((i * embed[1] + j) * embed[2] + k) * stride; }
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

/* f(place in memory) for all elements of all members, in the order of a dense array. */
template <class F> void each(const Layout &l, long long batch, F f) {
  for (long long b = 0; b < batch; b++)
    for (long long i = 0; i < l.extent[0]; i++)
      for (long long j = 0; j < l.extent[1]; j++)
        for (long long k = 0; k < l.extent[2]; k++) f(b * l.dist + l.at(i, j, k));
}

/* The members of one side one after another, without holes. cuFFT documents that C2R overwrites its input, wherever the result
   goes: `spoil` makes it NaN, so that whoever needs it afterwards sees it. */
template <class T> std::vector<T> gather(T *from, const Layout &l, long long batch, bool spoil) {
  std::vector<T> dense;
  dense.reserve(size_t(batch * l.extent[0] * l.extent[1] * l.extent[2]));
  each(l, batch, [&](long long at) { dense.push_back(from[at]); });
  if (spoil) each(l, batch, [&](long long at) { memset(static_cast<void *>(from + at), 0xff, sizeof(T)); });
  return dense;
}

/* R: float or double. From a dense copy of the input, which FFTW may destroy, to where the result belongs: so input and output may be
   the same memory in any layout. */
template <class R> CUresult run(const Plan &p, void *in, void *out, int sign) {
  using F = Fftw<R>;
  using C = typename F::Complex;
  bool rin = real_in(p.type), rout = real_out(p.type), same = in == out;
  Layout from = layout_of(p, true, rin, rout, same), to = layout_of(p, false, rout, rin, same);
  const long long *e = from.extent, *n = rin ? from.extent : to.extent;
  fftw_iodim64 dims[3] = {{n[0], e[1] * e[2], to.embed[1] * to.embed[2] * to.stride},
                          {n[1], e[2], to.embed[2] * to.stride},
                          {n[2], 1, to.stride}};
  fftw_iodim64 members = {p.batch, e[0] * e[1] * e[2], to.dist};
  const unsigned flags = FFTW_ESTIMATE | FFTW_UNALIGNED; /* ESTIMATE: to plan touches no data */
  std::vector<R> reals;
  std::vector<std::complex<R>> complexes;
  if (rin) reals = gather(static_cast<R *>(in), from, p.batch, false);
  else complexes = gather(static_cast<std::complex<R> *>(in), from, p.batch, rout);
  C *spectrum = reinterpret_cast<C *>(complexes.data());
  std::unique_lock<std::mutex> guard(planner);
  auto plan = rin    ? F::r2c(3, dims, 1, &members, reals.data(), static_cast<C *>(out), flags)
              : rout ? F::c2r(3, dims, 1, &members, spectrum, static_cast<R *>(out), flags)
                     : F::c2c(3, dims, 1, &members, spectrum, static_cast<C *>(out), sign, flags);
  if (plan == nullptr) return CUDA_ERROR_UNKNOWN;
  guard.unlock();
  F::execute(plan);
  guard.lock();
  F::destroy(plan);
  return CUDA_SUCCESS;
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
  Layout from = layout_of(p, true, real_in(type), real_out(type), in == out);
  Layout to = layout_of(p, false, real_out(type), real_in(type), in == out);
  auto touch = [&](void *base, const Layout &l, bool is_real, bool write, bool both) {
    size_t e = is_real ? real : 2 * real;
    bool dense = l.stride == 1 && l.embed[2] == l.extent[2];
    size_t rows = size_t(l.extent[0] * l.extent[1]);
    std::vector<sg::Touch> t;
    for (long long b = 0; b < p.batch; b++) {
      char *at = static_cast<char *>(base) + size_t(b * l.dist) * e;
      if (dense && l.embed[1] == l.extent[1]) t.push_back({uintptr_t(at), rows * size_t(l.extent[2]) * e, 0, 1, write, both});
      else
        for (long long i = 0; i < l.extent[0]; i++)
          for (long long j = 0; j < l.extent[1]; j++)
            t.push_back({uintptr_t(at) + size_t(l.at(i, j, 0)) * e, e, size_t(l.stride) * e, size_t(l.extent[2]), write, both});
    }
    return t;
  };
  std::vector<sg::Touch> touches = touch(in, from, real_in(type), real_out(type), real_out(type)),
                         written = touch(out, to, real_out(type), true, false);
  touches.insert(touches.end(), written.begin(), written.end());
  CUresult r = sg::export_enqueue(p.stream, what, std::move(touches), [=] {
    return dbl ? run<double>(p, in, out, direction) : run<float>(p, in, out, direction);
  });
  return r == CUDA_SUCCESS ? CUFFT_SUCCESS : CUFFT_EXEC_FAILED;
}

template <class I>
cufftResult make(cufftHandle h, int rank, const I *n, const I *in_embed, long long in_stride, long long in_dist, const I *out_embed,
                 long long out_stride, long long out_dist, cufftType type, long long batch, size_t *work) {
  std::lock_guard<std::mutex> guard(mutex);
  Plan *p = find(h);
  if (p == nullptr || p->made) return CUFFT_INVALID_PLAN;
  if (rank < 1 || rank > 3 || n == nullptr) return CUFFT_INVALID_VALUE;
  if (batch < 1) return CUFFT_INVALID_SIZE;
  if (type != CUFFT_C2C && type != CUFFT_Z2Z && type != CUFFT_R2C && type != CUFFT_D2Z && type != CUFFT_C2R && type != CUFFT_Z2D)
    return CUFFT_INVALID_TYPE;
  bool embedded = in_embed != nullptr && out_embed != nullptr; /* one alone is ignored, strides too */
  if (embedded && (in_stride < 1 || out_stride < 1)) return CUFFT_INVALID_VALUE;
  for (int d = 0; d < rank; d++) {
    if (n[d] < 1) return CUFFT_INVALID_SIZE;
    if (embedded && d > 0 && (in_embed[d] < 1 || out_embed[d] < 1)) return CUFFT_INVALID_VALUE; /* [0] is in no address */
    p->n[d] = n[d];
    p->in_embed[d] = embedded ? in_embed[d] : 1;
    p->out_embed[d] = embedded ? out_embed[d] : 1;
  }
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
