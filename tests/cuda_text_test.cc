// The CUDA C that programs become, compiled by the real NVRTC: every op and dtype, every reduction, scan and generator;
// the compiler's resource report says whether registers went to local memory.
#include "tests/cuda_report.h"
#include "tests/cuda_shim.h"

#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

const mars_dtype kTypes[] = {MARS_BOOL, MARS_I8,  MARS_I16, MARS_I32, MARS_I64, MARS_U8, MARS_U16,
                             MARS_U32,  MARS_U64, MARS_F32, MARS_F64, MARS_C64, MARS_C128};
bool is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }

class CudaText : public ::testing::Test {
protected:
  void SetUp() override {
    const char *why;
    if (!cuda_has_nvrtc(&why)) GTEST_SKIP() << "no NVRTC: " << why;
  }
};

struct Prog {
  vm_prog *p;
  explicit Prog(int ndim = 1, uint32_t mask = 0) {
    int64_t space[4] = {1 << 20, 1 << 20, 4, 4};
    p = vm_prog_new(ndim, space, mask);
  }
  ~Prog() { vm_prog_free(p); }
};

// One kernel for each program, compiled together; what the report says of each.
class Batch {
public:
  explicit Batch(bool with_complex) : source_(cuda_source_new(with_complex)) {}
  ~Batch() { cuda_source_free(source_); }
  void add(const std::string &name, const Prog &prog, cuda_variant v) {
    cuda_source_add(source_, prog.p, &v);
    names_.push_back(name);
  }
  void add_combine(const std::string &name, const Prog &prog, int slot) {
    cuda_source_add_combine(source_, prog.p, slot);
    names_.push_back(name);
  }
  // Local memory is allowed for those that `allowed` says.
  void check(int arch, const std::set<std::string> &allowed) {
    bool ok = false;
    ASSERT_NE(cuda_source_text(source_), nullptr);
    char *raw = cuda_compile_report(cuda_source_text(source_), arch, &ok);
    std::string log = raw;
    free(raw);
    ASSERT_TRUE(ok) << "sm_" << arch << ": " << log.substr(0, 4000);
    const auto reports = kernel_reports(log);
    for (size_t k = 0; k < names_.size(); k++) {
      auto at = reports.find("k" + std::to_string(k));
      ASSERT_NE(at, reports.end()) << names_[k] << " is not in the report:\n" << log.substr(0, 1500);
      const KernelReport &r = at->second;
      EXPECT_EQ(r.spill_stores, 0u) << names_[k] << " sm_" << arch << " spills";
      EXPECT_EQ(r.spill_loads, 0u) << names_[k] << " sm_" << arch << " spills";
      EXPECT_TRUE(r.stack == 0 || allowed.count(names_[k].substr(0, names_[k].find(' ')))) << names_[k] << " sm_" << arch << ": " << r.stack << " bytes of stack";
    }
  }
  bool empty() const { return names_.empty(); }

private:
  cuda_source *source_;
  std::vector<std::string> names_;
};

// The reduction of large angles by Payne and Hanek's method indexes a table of partial products: 28 to 40 bytes of stack.
const std::set<std::string> kTable = {"sin", "cos", "tan"};
// Of complex numbers these take the sine and cosine of an imaginary part.
const std::set<std::string> kComplexTable = {"sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "power"};

std::string type_name(mars_dtype dt) { return mars_dtype_name(dt); }

void add_elementwise(Batch &batch, mars_dtype dt) {
  for (int op = 0; op < cuda_op_count(); op++) {
    const char *name, *why;
    int arity;
    if (!cuda_elementwise(op, &name, &arity) || cuda_loop_dtype(op, dt) != dt) continue;
    Prog prog;
    bool where = std::string(name) == "where";
    int a = vm_load(prog.p, where ? MARS_BOOL : dt), b = arity > 1 ? vm_load(prog.p, dt) : -1;
    int c = arity > 2 ? vm_load(prog.p, dt) : -1;
    vm_store(prog.p, vm_op(prog.p, name, a, b, c));
    if (!cuda_can(prog.p, &why)) continue;
    batch.add(std::string(name) + " " + type_name(dt), prog, {CUDA_POINTS, 2, 0, 0, false, 1, 0, 0, 0});
    vm_set_cost(prog.p, cuda_cost(op));
    int vec = cuda_vec(prog.p, (int)mars_dtype_bytes(dt));
    if (vec > 1) batch.add(std::string(name) + " vector " + type_name(dt), prog, {CUDA_POINTS, 1, 0, 0, false, vec, 0, 0, 0});
  }
}

class Elementwise : public CudaText, public ::testing::WithParamInterface<std::pair<mars_dtype, int>> {};
TEST_P(Elementwise, CompilesWithoutSpills) {
  Batch batch(is_complex(GetParam().first));
  add_elementwise(batch, GetParam().first);
  ASSERT_FALSE(batch.empty());
  batch.check(GetParam().second, is_complex(GetParam().first) ? kComplexTable : kTable);
}
// MARS_TEST_FULL=1: all dtypes for all architectures, some minutes more.
bool whole() { return getenv("MARS_TEST_FULL") != nullptr; }
// Every dtype for one architecture, some for the others too.
std::vector<std::pair<mars_dtype, int>> cases() {
  std::vector<std::pair<mars_dtype, int>> out;
  for (mars_dtype dt : kTypes) out.push_back({dt, 90});
  for (int arch : {80, 100})
    for (mars_dtype dt : kTypes)
      if (dt == MARS_U8 || dt == MARS_F32 || whole()) out.push_back({dt, arch});
  return out;
}
INSTANTIATE_TEST_SUITE_P(Cuda, Elementwise, ::testing::ValuesIn(cases()), [](const auto &i) {
  return type_name(i.param.first) + "_sm" + std::to_string(i.param.second);
});

class PerArch : public CudaText, public ::testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Cuda, PerArch, ::testing::Values(80, 90, 100), [](const auto &i) { return "sm" + std::to_string(i.param); });

TEST_P(PerArch, CastsAndRounding) {
  const mars_dtype all[] = {MARS_BOOL, MARS_I8,  MARS_I16, MARS_I32, MARS_I64, MARS_U8,  MARS_U16, MARS_U32,
                            MARS_U64,  MARS_F16, MARS_BF16, MARS_F32, MARS_F64, MARS_C64, MARS_C128};
  Batch batch(true);
  for (mars_dtype from : all) {
    Prog prog;
    int v = vm_load(prog.p, from);
    for (mars_dtype to : all)
      if (from != to) vm_store(prog.p, vm_cast(prog.p, v, to));
    batch.add("cast " + type_name(from), prog, {CUDA_POINTS, 1, 0, 0, true, 1, 0, 0, 0});
    batch.add("cast vector " + type_name(from), prog, {CUDA_POINTS, 1, 0, 0, false, 2, 0, 0, 0});
  }
  for (mars_dtype half : {MARS_F16, MARS_BF16}) {
    Prog prog;
    int v = vm_round(prog.p, vm_cast(prog.p, vm_load(prog.p, half), MARS_F32), half);
    vm_store_as(prog.p, vm_op(prog.p, "add", v, v, -1), half);
    batch.add("round " + type_name(half), prog, {CUDA_POINTS, 3, 0, 0, false, 1, 0, 0, 0});
    batch.add("round vector " + type_name(half), prog, {CUDA_POINTS, 2, 0, 0, false, 8, 0, 0, 0});
  }
  batch.check(GetParam(), {});
}

// Tiles in shared memory, of every size of element; and so many operands that a thread has its hands full.
TEST_P(PerArch, Tiles) {
  Batch batch(true);
  for (mars_dtype dt : {MARS_BOOL, MARS_I16, MARS_BF16, MARS_F32, MARS_F64, MARS_C128})
    for (bool wide : {false, true}) {
      Prog prog(3);
      int x = vm_load(prog.p, dt), y = vm_load(prog.p, dt);
      if (dt == MARS_BF16) x = vm_cast(prog.p, x, MARS_F32), y = vm_cast(prog.p, y, MARS_F32);
      vm_store_as(prog.p, vm_op(prog.p, "maximum", x, y, -1), dt);
      batch.add("tiles " + type_name(dt), prog, {CUDA_TILES, 3, 0, 0, wide, 1, 0, wide ? 0 : 1, 1});
    }
  Prog many(2);
  int v = vm_load(many.p, MARS_F64);
  for (int i = 0; i < 8; i++) v = vm_op(many.p, "power", v, vm_load(many.p, MARS_F64), -1);
  vm_store(many.p, v);
  batch.add("many operands", many, {CUDA_TILES, 2, 0, 0, false, 1, 0, 0, 0xf});
  batch.check(GetParam(), {});
}

TEST_P(PerArch, Copies) {
  for (int dims : {2, 4})
    for (bool by_tiles : {false, true}) {
      char *text = cuda_copy_text(dims, by_tiles);
      bool ok = false;
      ASSERT_NE(text, nullptr);
      char *log = cuda_compile_report(text, GetParam(), &ok);
      const auto reports = kernel_reports(log);
      EXPECT_TRUE(ok) << log;
      EXPECT_EQ(reports.size(), by_tiles ? 7u : 5u) << log;
      for (const auto &r : reports) EXPECT_EQ(r.second.stack + r.second.spill_stores + r.second.spill_loads, 0u) << r.first;
      free(log);
      free(text);
    }
}

TEST_P(PerArch, Generators) {
  Batch batch(false);
  for (mars_dtype dt : {MARS_F32, MARS_F64})
    for (const char *name : {"random_uniform", "random_standard_normal", "random_exponential"})
      for (bool unit : {true, false}) {
        Prog prog(2);
        vm_store(prog.p, vm_random(prog.p, name, dt, 1, 2, unit ? 0 : -1, 1, 0, 0));
        batch.add(std::string(name) + " " + type_name(dt), prog, {CUDA_POINTS, 2, 0, 0, false, 1, 0, 0, 0});
      }
  for (mars_dtype dt : {MARS_I8, MARS_U16, MARS_I32, MARS_U64}) {
    Prog prog;
    vm_store(prog.p, vm_random(prog.p, "random_integers", dt, 1, 2, 0, 0, -3, 100));
    batch.add("random_integers " + type_name(dt), prog, {CUDA_POINTS, 1, 0, 0, true, 1, 0, 0, 0});
  }
  Prog prog;
  vm_store(prog.p, vm_random(prog.p, "random_bernoulli", MARS_BOOL, 1, 2, 0.25, 0, 0, 0));
  vm_store(prog.p, vm_iota(prog.p));
  batch.add("bernoulli and iota", prog, {CUDA_POINTS, 1, 0, 0, false, 1, 0, 0, 0});
  batch.check(GetParam(), {});
}

const char *const kReductions[] = {"sum", "prod", "min", "max", "mean", "var", "std", "any", "all", "argmin", "argmax",
                                   "count_nonzero", "nansum", "nanprod", "nanmin", "nanmax", "nanmean", "nanvar", "nanstd",
                                   "nanargmin", "nanargmax"};
bool has_row(const std::string &name, mars_dtype dt) { return dt >= MARS_F16 || (name != "nanmean" && name != "nanvar" && name != "nanstd"); }

class Reductions : public CudaText, public ::testing::WithParamInterface<std::pair<mars_dtype, int>> {};
TEST_P(Reductions, CompileWithoutSpills) {
  mars_dtype dt = GetParam().first;
  Batch batch(is_complex(dt));
  for (const char *name : kReductions) {
    if (!has_row(name, dt)) continue;
    Prog prog(2, 2);
    vm_reduce(prog.p, name, vm_load(prog.p, dt), vm_reduced_dtype(name, dt), 1);
    batch.add(std::string(name) + " " + type_name(dt), prog, {CUDA_REDUCE, 1, 1, 1, false, 1, 0, 0, 0});
    batch.add_combine(std::string(name) + " combine " + type_name(dt), prog, 0);
  }
  batch.check(GetParam().second, {});
}
INSTANTIATE_TEST_SUITE_P(Cuda, Reductions, ::testing::ValuesIn([] {
                           std::vector<std::pair<mars_dtype, int>> out;
                           for (mars_dtype dt : kTypes) out.push_back({dt, 90});
                           for (int arch : {80, 100})
                             for (mars_dtype dt : kTypes)
                               if (dt == MARS_F64 || whole()) out.push_back({dt, arch});
                           return out;
                         }()),
                         [](const auto &i) { return type_name(i.param.first) + "_sm" + std::to_string(i.param.second); });

TEST_P(PerArch, ScansAndSeveralReductions) {
  Batch batch(true);
  for (mars_dtype dt : {MARS_I64, MARS_U64, MARS_F32, MARS_F64, MARS_C64, MARS_C128})
    for (const char *name : {"cumsum", "cumprod"}) {
      Prog prog(2, 1);
      vm_scan(prog.p, name, vm_load(prog.p, dt));
      batch.add(std::string(name) + " " + type_name(dt), prog, {CUDA_LINES, 0, 1, 1, false, 1, 0, 0, 0});
      batch.add(std::string(name) + " line " + type_name(dt), prog, {CUDA_LINE, 1, 1, 1, true, 1, 0, 0, 0});
      batch.add(std::string(name) + " tiled " + type_name(dt), prog, {CUDA_LINES_TILED, 1, 1, 0, dt == MARS_U64, 1, 0, 0, 0});
    }
  Prog prog(2, 3);
  int v = vm_load(prog.p, MARS_F32);
  for (const char *name : {"sum", "min", "max", "std", "argmax"}) vm_reduce(prog.p, name, v, vm_reduced_dtype(name, MARS_F32), 0);
  vm_store(prog.p, v);
  batch.add("five reductions", prog, {CUDA_REDUCE, 0, 2, 0, false, 1, 0, 0, 0});
  batch.check(GetParam(), {});
}

// A long program leaves few registers for accumulators: this one, of a random graph, spilled when it was compiled for two blocks on a
// multiprocessor.
TEST_P(PerArch, ReductionsOfALongProgram) {
  Batch batch(false);
  Prog prog(1, 1);
  const double ten = 10;
  const auto draw = [&](uint64_t stream) { return vm_random(prog.p, "random_integers", MARS_I64, 1, stream, 0, 0, -5, 9); };
  const auto op = [&](const char *name, int a, int b = -1, int c = -1) { return vm_op(prog.p, name, a, b, c); };
  const int a = draw(1), b = draw(2), picked = op("where", vm_cast(prog.p, a, MARS_BOOL), b, a);
  vm_store(prog.p, vm_cast(prog.p, picked, MARS_F64));
  const int most = op("maximum", a, b), least = op("minimum", vm_cast(prog.p, op("logical_not", picked), MARS_I64), most);
  vm_reduce(prog.p, "max", op("add", vm_cast(prog.p, least, MARS_F64), vm_const(prog.p, MARS_F64, &ten)), MARS_F64, 0);
  const int c = draw(3), d = draw(4), none = op("logical_not", op("where", vm_cast(prog.p, c, MARS_BOOL), d, c));
  vm_reduce(prog.p, "count_nonzero", none, MARS_I64, 0);
  const int x = vm_cast(prog.p, most, MARS_F64);
  vm_store(prog.p, op("copysign", op("copysign", x, x), vm_cast(prog.p, none, MARS_F64)));
  batch.add("long program", prog, {CUDA_REDUCE, 0, 1, 0, false, 1, 0, 0, 0});
  batch.check(GetParam(), {});
}

int times(const std::string &text, const std::string &what) {
  int n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) n++;
  return n;
}

// Operands and results are taken 16 bytes at a time (8 elements at most), and in no other way.
TEST_F(CudaText, VectorsAreSixteenBytes) {
  for (mars_dtype dt : kTypes) {
    const int es = (int)mars_dtype_bytes(dt), vec = std::max(1, std::min(8, 16 / es)), bytes = vec * es;
    Prog prog;
    vm_store(prog.p, vm_op(prog.p, dt >= MARS_C64 || dt == MARS_BOOL ? "add" : "maximum", vm_load(prog.p, dt), vm_load(prog.p, dt), -1));
    EXPECT_EQ(cuda_vec(prog.p, es), vec) << type_name(dt);
    cuda_source *source = cuda_source_new(is_complex(dt));
    const cuda_variant v = {CUDA_POINTS, 1, 0, 0, false, vec, 0, 0, 0};
    cuda_source_add(source, prog.p, &v);
    bool cached;
    mars_error err = {};
    char *ptx = cuda_compile_ptx(cuda_source_text(source), 90, &cached, &err);
    ASSERT_NE(ptx, nullptr) << err.message;
    const std::string text = ptx;
    free(ptx);
    cuda_source_free(source);
    static const std::regex of16("ld\\.global\\.v(4\\.[bfu]32|2\\.[bfu]64)"), of8("ld\\.global\\.(v2\\.[bfu]32|[bfu]64)");
    const auto wide = std::distance(std::sregex_iterator(text.begin(), text.end(), bytes == 16 ? of16 : of8), std::sregex_iterator());
    EXPECT_EQ(wide, 2) << type_name(dt);
    EXPECT_EQ(times(text, "ld.global"), 2) << type_name(dt);
    EXPECT_EQ(times(text, "st.global"), 1) << type_name(dt);
  }
}

} // namespace
