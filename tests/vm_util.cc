#include "tests/vm_util.h"

#ifdef VM_CUDA
#include "tests/cuda_shim.h"
#include "tests/cuda_sim.h"
#include "tests/cuda_traffic.h"
#endif

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

namespace vm {

using oracle::Num;

int64_t count(const Shape &shape) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

Shape unravel(int64_t i, const Shape &shape) {
  Shape index(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    index[d] = i % shape[d];
    i /= shape[d];
  }
  return index;
}

int64_t Array::at(const Shape &index) const {
  int64_t o = offset;
  for (size_t d = 0; d < index.size(); d++) o += index[d] * stride[d];
  return o;
}

Array make_array(Rng &rng, mars_dtype dt, const Shape &shape, Layout layout) {
  Array a;
  int64_t step = (int64_t)mars_dtype_bytes(dt);
  std::vector<size_t> order(shape.size());
  a.dt = dt;
  a.shape = shape;
  a.stride.assign(shape.size(), 0);
  std::iota(order.begin(), order.end(), 0);
  if (layout != COMPACT && rng() % 2) std::shuffle(order.begin(), order.end(), rng);
  for (size_t k = order.size(); k-- > 0;) {
    size_t d = order[k];
    if (layout == ANY_WITH_BROADCAST && rng() % 5 == 0) continue;
    if (layout != COMPACT && rng() % 4 == 0) step *= 2; // a gap
    bool back = layout != COMPACT && rng() % 4 == 0;
    a.stride[d] = back ? -step : step;
    if (back) a.offset += step * (shape[d] - 1);
    step *= shape[d];
  }
  a.mem.assign((size_t)step + 8, (char)0x5e);
  return a;
}

Num number(mars_dtype dt, double re, double im) {
  Num n;
  n.kind = oracle::kind_of(dt);
  if (n.kind == 'f' || n.kind == 'c') {
    n.re = re;
    n.im = n.kind == 'c' ? im : 0;
  } else {
    n.i = n.kind == 'b' ? re != 0 : oracle::wrap(dt, (oracle::wide)re);
  }
  return n;
}

void fill(Rng &rng, Array &a, bool special) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (int64_t i = 0, n = count(a.shape); i < n; i++) {
    double re = (double)(int64_t)(rng() % 41) - 20, im = (double)(int64_t)(rng() % 9) - 4;
    if (oracle::kind_of(a.dt) == 'f' || oracle::kind_of(a.dt) == 'c') re *= 0.125;
    if (oracle::kind_of(a.dt) == 'u') re = std::fabs(re); // sums stay below 2**64
    uint64_t pick = special && strchr("fc", oracle::kind_of(a.dt)) ? rng() % 40 : 40;
    if (pick == 0) re = nan;
    if (pick == 1) im = nan;
    if (pick == 2) re = inf;
    if (pick == 3) re = -inf;
    if (pick == 4) re = -0.0;
    oracle::store(a.dt, number(a.dt, re, im), &a.mem[(size_t)a.at(unravel(i, a.shape))]);
  }
}

namespace {
struct OpenDevices : std::vector<Device> {
  ~OpenDevices() {
    for (const Device &d : *this) vm_close(d.dev);
  }
};
} // namespace

#ifdef VM_CUDA
// The same tests by a CUDA device. It is given back before the driver's own end of life.
static std::vector<Device> cuda_devices_;
class CudaEnvironment : public ::testing::Environment {
public:
  void SetUp() override {
    vm_dev *dev = nullptr;
    mars_error err = {};
    const char *why = nullptr;
    if (!cuda_has_nvrtc(&why)) GTEST_SKIP() << "GPUs run no kernels here: libnvrtc is missing: " << why;
    mars_status st = vm_open_cuda(0, 48 << 20, &dev, &err);
    if (st == MARS_E_UNSUPPORTED) GTEST_SKIP() << err.message;
    ASSERT_EQ(st, MARS_OK) << err.message;
    cuda_devices_.push_back({"cuda:0", "cuda", dev});
  }
  void TearDown() override {
    char text[1000];
    for (const Device &d : cuda_devices_) EXPECT_EQ(vm_close(d.dev), 0) << "records left behind";
    cuda_devices_.clear();
    EXPECT_EQ(cuda_sim_failed_checks(text, sizeof text), 0u) << text;
    EXPECT_EQ(cuda_sim_live(text, sizeof text), 0u) << text;
  }
};
static ::testing::Environment *const cuda_environment = ::testing::AddGlobalTestEnvironment(new CudaEnvironment);
static const std::vector<Device> &cuda_devices() {
  (void)cuda_environment;
  return cuda_devices_;
}
#endif

const std::vector<Device> &devices() {
  static OpenDevices all;
#ifdef VM_CUDA
  return cuda_devices();
#endif
  if (all.empty())
    for (const char *isa : {"avx512", "avx2", "baseline"})
      for (int threads : {1, 2}) {
        const char *quick = getenv("MARS_TEST_QUICK"); // both numbers of threads with one instruction set
        if (quick != nullptr && *quick != '\0' && threads == 1 && strcmp(isa, "baseline") != 0) continue;
        vm_dev *dev = nullptr;
        if (vm_open(threads, false, isa, 0, &dev, nullptr) == MARS_OK)
          all.push_back({std::string(isa) + "_" + std::to_string(threads), isa, dev});
      }
  return all;
}

double row_ulp(const std::string &name) {
  static const char *const moments[] = {"var", "std", "nanvar", "nanstd"};
  for (const char *m : moments)
    if (name == m) return 16;
  return 8;
}

void Account::look(uint64_t (&now)[4]) {
#ifdef VM_CUDA
  const cuda_traffic t = cuda_traffic_expected();
  now[2] = cuda_traffic_read(&t);
  now[3] = cuda_traffic_written(&t);
  if (!cuda_traffic_counted(&now[0], &now[1])) now[2] = now[3] = 0;
#endif
}

Account::Account() { look(before_); }

void Account::settle(Needs needs) const {
  uint64_t now[4] = {};
  look(now);
  for (int i = 0; i < 4; i++) now[i] -= before_[i];
  EXPECT_LE(now[0], now[2]) << "more is read than the operands";
  EXPECT_TRUE(needs == SOME || now[0] == now[2]) << now[0] << " bytes are read of " << now[2];
  EXPECT_EQ(now[1], now[3]) << "written";
}

// ---- building ----

Program::Program(const Shape &space, uint32_t mask)
    : space_(space), mask_(mask), prog_(vm_prog_new((int)space.size(), space.data(), mask)) {}
Program::~Program() { vm_prog_free(prog_); }

int Program::add(int v, std::vector<Num> values) {
  EXPECT_EQ((size_t)v, values_.size());
  values_.push_back(std::move(values));
  return v;
}

int Program::load(const Array &a) {
  std::vector<Num> x;
  for (int64_t i = 0; i < count(space_); i++) x.push_back(oracle::load(a.dt, &a.mem[(size_t)a.at(unravel(i, space_))]));
  in_.push_back(a);
  return add(vm_load(prog_, a.dt), x);
}

int Program::constant(mars_dtype dt, const Num &v) {
  char element[16];
  oracle::store(dt, v, element);
  return add(vm_const(prog_, dt, element), std::vector<Num>((size_t)count(space_), v));
}

int Program::iota(int64_t base, const Shape &stride) {
  std::vector<Num> x;
  for (int64_t i = 0; i < count(space_); i++) {
    Shape at = unravel(i, space_);
    x.push_back(number(MARS_I64, 0));
    x.back().i = base + std::inner_product(at.begin(), at.end(), stride.begin(), (int64_t)0);
  }
  gen_.push_back({base, stride});
  return add(vm_iota(prog_), x);
}

int Program::uniform(mars_dtype dt, uint64_t seed, uint64_t stream, int64_t base, const Shape &stride) {
  std::vector<Num> x;
  for (int64_t i = 0; i < count(space_); i++) {
    Shape at = unravel(i, space_);
    uint64_t e = (uint64_t)(base + std::inner_product(at.begin(), at.end(), stride.begin(), (int64_t)0));
    x.push_back(number(dt, dt == MARS_F32 ? oracle::uniform_f32(seed, stream, e) : oracle::uniform_f64(seed, stream, e)));
  }
  gen_.push_back({base, stride});
  return add(vm_uniform(prog_, dt, seed, stream), x);
}

int Program::cast(int v, mars_dtype to) {
  std::vector<Num> x;
  for (const Num &y : values(v)) x.push_back(oracle::cast(y, vm_dtype(prog_, v), to));
  return add(vm_cast(prog_, v, to), x);
}

int Program::op(const std::string &name, int a, int b, int c) {
  std::vector<Num> x;
  mars_dtype operand = vm_dtype(prog_, name == "where" ? b : a);
  for (size_t i = 0; i < values(a).size(); i++) {
    Num args[3] = {values(a)[i]};
    if (b >= 0) args[1] = values(b)[i];
    if (c >= 0) args[2] = values(c)[i];
    x.push_back(oracle::eval(name, operand, args, 0).value);
  }
  int v = vm_op(prog_, name.c_str(), a, b, c);
  for (Num &y : x) y = oracle::rounded(vm_dtype(prog_, v), y);
  return add(v, x);
}

int Program::store(int v, const Array &out) {
  out_.push_back({false, "", v, vm_dtype(prog_, v), out.dt, 0, out});
  return vm_store_as(prog_, v, out.dt);
}

int Program::reduce(const std::string &name, int v, double ddof, mars_dtype src) {
  if (src == MARS_DTYPE_AUTO) src = vm_dtype(prog_, v);
  mars_dtype result = oracle::reduce_dtype(name, src, MARS_DTYPE_AUTO);
  out_.push_back({true, name, v, src, result, ddof, {}});
  return vm_reduce(prog_, name.c_str(), v, result, ddof);
}

int Program::scan(const std::string &name, int v, const Array &out) {
  out_.push_back({false, name, v, vm_dtype(prog_, v), out.dt, 0, out});
  return vm_scan(prog_, name.c_str(), v);
}

int64_t Program::kept() const {
  int64_t n = 1;
  for (size_t d = 0; d < space_.size(); d++)
    if (!(mask_ >> d & 1)) n *= space_[d];
  return n;
}

// ---- running ----

namespace {
struct Tile {
  Shape origin, shape;
  std::vector<vm_bind> in, gen, out;
  std::vector<char *> acc; // per out
};
char *aligned(size_t bytes) { return (char *)aligned_alloc(64, (bytes + 64) & ~(size_t)63); }
} // namespace

std::vector<std::vector<char>> Program::run(vm_dev *dev, const Options &options) {
  vm_kernel *kernel = nullptr;
  mars_error err = {};
  EXPECT_EQ(vm_compile(dev, prog_, &kernel, &err), MARS_OK) << err.message;
  const Account account;
  std::vector<std::vector<char>> result;
  if (kernel == nullptr) return result;
  for (const Out &o : out_)
    result.push_back(o.reduce ? std::vector<char>((size_t)kept() * mars_dtype_bytes(o.dt))
                              : std::vector<char>(o.array.mem.size(), (char)0x5e));
  Shape tile = options.tile.empty() ? space_ : options.tile, grid;
  for (size_t d = 0; d < space_.size(); d++) grid.push_back((space_[d] + tile[d] - 1) / tile[d]);
  std::vector<Tile> tiles((size_t)count(grid));
  std::vector<vm_call> calls;
  bool finish = options.finish && tiles.size() == 1;
  for (size_t t = 0; t < tiles.size(); t++) {
    Tile &x = tiles[t];
    Shape g = unravel((int64_t)t, grid);
    int64_t tile_kept = 1;
    vm_call c = {};
    c.kernel = kernel;
    c.ndim = (int)space_.size();
    c.stream_out = options.stream;
    for (size_t d = 0; d < g.size(); d++) {
      x.origin.push_back(g[d] * tile[d]);
      x.shape.push_back(std::min(tile[d], space_[d] - x.origin[d]));
      c.origin[d] = x.origin[d];
      c.shape[d] = x.shape[d];
      if (!(mask_ >> d & 1)) tile_kept *= x.shape[d];
    }
    auto bind = [&](char *mem, const Array &a) {
      vm_bind b = {};
      b.base = mem + a.at(x.origin);
      std::copy(a.stride.begin(), a.stride.end(), b.stride);
      return b;
    };
    for (Array &a : in_) x.in.push_back(bind(a.mem.data(), a));
    for (const Gen &gen : gen_) {
      vm_bind b = {};
      b.index = gen.base + std::inner_product(x.origin.begin(), x.origin.end(), gen.stride.begin(), (int64_t)0);
      std::copy(gen.stride.begin(), gen.stride.end(), b.stride);
      x.gen.push_back(b);
    }
    for (size_t o = 0; o < out_.size(); o++) {
      vm_bind b = {};
      x.acc.push_back(nullptr);
      if (!out_[o].reduce) {
        b = bind(result[o].data(), out_[o].array);
      } else if (finish) {
        b.base = result[o].data();
        c.final_mask |= (uint64_t)1 << o;
      } else {
        b.base = x.acc[o] = aligned(vm_acc_bytes(prog_, (int)o, tile_kept));
      }
      x.out.push_back(b);
    }
    calls.push_back(c);
  }
  for (size_t t = 0; t < tiles.size(); t++) {
    vm_call &c = calls[t];
    c.in = tiles[t].in.data(), c.n_in = (int)tiles[t].in.size();
    c.gen = tiles[t].gen.data(), c.n_gen = (int)tiles[t].gen.size();
    c.out = tiles[t].out.data(), c.n_out = (int)tiles[t].out.size();
  }
  EXPECT_EQ(vm_launch(dev, calls.data(), (int)calls.size(), &err), MARS_OK) << err.message;
  // tiles that differ in reduced dimensions only are combined, in their order
  for (size_t o = 0; o < out_.size() && !finish; o++) {
    if (!out_[o].reduce) continue;
    for (size_t t = 0; t < tiles.size(); t++) {
      bool first = true;
      std::vector<const char *> partials;
      Shape kept_shape, kept_space, kept_origin;
      for (size_t d = 0; d < space_.size(); d++) {
        if (!(mask_ >> d & 1)) {
          kept_shape.push_back(tiles[t].shape[d]);
          kept_space.push_back(space_[d]);
          kept_origin.push_back(tiles[t].origin[d]);
        } else if (tiles[t].origin[d] != 0) {
          first = false;
        }
      }
      if (!first) continue;
      for (const Tile &other : tiles) {
        bool same = true;
        for (size_t d = 0; d < space_.size(); d++)
          if (!(mask_ >> d & 1)) same &= other.origin[d] == tiles[t].origin[d];
        if (same) partials.push_back(other.acc[o]);
      }
      int64_t n = count(kept_shape);
      size_t es = mars_dtype_bytes(out_[o].dt);
      std::vector<char> done((size_t)n * es);
      vm_bind out = {};
      out.base = done.data();
      vm_call c = {};
      c.combine = true;
      c.kernel = kernel;
      c.slot = (int)o;
      c.kept = n;
      c.partials = partials.data();
      c.n_partials = (int)partials.size();
      c.out = &out;
      c.n_out = 1;
      c.final_mask = (uint64_t)1 << o;
      EXPECT_EQ(vm_launch(dev, &c, 1, &err), MARS_OK) << err.message;
      for (int64_t i = 0; i < n; i++) {
        Shape at = unravel(i, kept_shape);
        int64_t flat = 0;
        for (size_t d = 0; d < at.size(); d++) flat = flat * kept_space[d] + at[d] + kept_origin[d];
        memcpy(&result[o][(size_t)flat * es], &done[(size_t)i * es], es);
      }
    }
  }
  account.settle(options.needs);
  for (Tile &x : tiles)
    for (char *acc : x.acc) free(acc);
  vm_kernel_free(dev, kernel);
  return result;
}

// ---- judging ----

void Program::check_store(const Out &out, const std::vector<char> &got, const std::string &where) {
  std::vector<Num> want = values(out.value);
  if (!out.name.empty()) { // a scan: along the one dimension of the mask
    size_t axis = 0;
    while (!(mask_ >> axis & 1)) axis++;
    for (int64_t i = 0; i < count(space_); i++) {
      Shape at = unravel(i, space_);
      if (at[axis] != 0) continue;
      std::vector<Num> line;
      int64_t step = 1;
      for (size_t d = axis + 1; d < space_.size(); d++) step *= space_[d];
      for (int64_t k = 0; k < space_[axis]; k++) line.push_back(values(out.value)[(size_t)(i + k * step)]);
      line = oracle::scan(out.name, out.src, line);
      for (int64_t k = 0; k < space_[axis]; k++) want[(size_t)(i + k * step)] = line[(size_t)k];
    }
  }
  // whole memory: nothing between the elements may be touched
  std::vector<char> expect(got.size(), (char)0x5e);
  for (int64_t i = 0; i < count(space_); i++) {
    char *e = &expect[(size_t)out.array.at(unravel(i, space_))];
    Num v = oracle::cast(want[(size_t)i], out.src, out.dt);
    oracle::store(out.dt, v, e);
    const char *g = &got[(size_t)(e - expect.data())];
    Num have = oracle::load(out.dt, g);
    oracle::Bound exact;
    if (oracle::close(out.dt, have, v, exact)) memcpy(e, g, mars_dtype_bytes(out.dt)); // NaN payloads
    ASSERT_TRUE(oracle::close(out.dt, have, v, exact))
        << where << " point " << i << ": " << oracle::show(have) << ", want " << oracle::show(v);
  }
  ASSERT_EQ(memcmp(expect.data(), got.data(), got.size()), 0) << where << ": wrote beside its elements";
}

void Program::check_reduce(const Out &out, const std::vector<char> &got, const std::string &where) {
  std::vector<std::vector<Num>> groups((size_t)kept());
  for (int64_t i = 0; i < count(space_); i++) {
    Shape at = unravel(i, space_);
    int64_t k = 0;
    for (size_t d = 0; d < at.size(); d++)
      if (!(mask_ >> d & 1)) k = k * space_[d] + at[d];
    groups[(size_t)k].push_back(values(out.value)[(size_t)i]);
  }
  for (size_t k = 0; k < groups.size(); k++) {
    oracle::Reduced want = oracle::reduce(out.name, out.src, groups[k], out.ddof, MARS_DTYPE_AUTO, row_ulp(out.name));
    Num have = oracle::load(out.dt, &got[k * mars_dtype_bytes(out.dt)]);
    ASSERT_TRUE(oracle::close(out.dt, have, want.value, want.bound))
        << where << " " << out.name << "(" << mars_dtype_name(out.src) << ") element " << k << " of " << groups.size()
        << ": " << oracle::show(have) << ", want " << oracle::show(want.value) << " within " << (double)want.bound.abs;
  }
}

namespace {
template <class T> void plain(std::vector<char> &mem) {
  for (size_t i = 0; i + sizeof(T) <= mem.size(); i += sizeof(T)) {
    T v;
    memcpy(&v, &mem[i], sizeof v);
    if (std::isnan(v)) v = std::numeric_limits<T>::quiet_NaN(), memcpy(&mem[i], &v, sizeof v);
  }
}
void plain_nans(mars_dtype dt, std::vector<char> &mem) {
  if (dt == MARS_F32 || dt == MARS_C64) plain<float>(mem);
  if (dt == MARS_F64 || dt == MARS_C128) plain<double>(mem);
}
} // namespace

void Program::check(const Options &options) {
  std::vector<std::vector<char>> first;
  std::string text = "space (";
  for (int64_t d : space_) text += std::to_string(d) + " ";
  text += ") mask " + std::to_string(mask_);
  for (const Device &d : devices()) {
    std::vector<std::vector<char>> got = run(d.dev, options);
    ASSERT_EQ(got.size(), out_.size());
    if (first.empty()) {
      first = got;
      for (size_t o = 0; o < out_.size(); o++) {
        std::string where = d.name + " " + text + " out " + std::to_string(o);
        if (out_[o].reduce)
          check_reduce(out_[o], got[o], where);
        else
          check_store(out_[o], got[o], where);
        if (::testing::Test::HasFatalFailure()) return;
      }
    } else {
      if (d.isa != devices()[0].isa) // a NaN's sign and payload are the CPU's choice
        for (size_t o = 0; o < out_.size(); o++) plain_nans(out_[o].dt, got[o]), plain_nans(out_[o].dt, first[o]);
      for (size_t o = 0; o < out_.size(); o++)
        ASSERT_EQ(memcmp(got[o].data(), first[o].data(), got[o].size()), 0)
            << text << " out " << o << " " << out_[o].name << ": " << d.name << " differs in its bits from "
            << devices()[0].name;
    }
  }
}

} // namespace vm
