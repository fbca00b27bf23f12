// Every elementwise row, dtype by dtype, and every generator, by the CUDA device: within the row's bound of the oracle, exact
// rows and generators bit for bit.
#include "tests/cuda_shim.h"
#include "tests/cuda_sim.h"
#include "tests/loops_util.h"
#include "tests/vm_util.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace loops;
using oracle::Num;

namespace {

vm_dev *device() { return vm::devices().empty() ? nullptr : vm::devices()[0].dev; }

// One kernel over n points, operands compact.
Bytes run(vm_prog *p, int64_t n, const std::vector<Bytes *> &in, const std::vector<mars_dtype> &types, mars_dtype result, int64_t index = 0,
          int64_t step = 1) {
  vm_kernel *k = nullptr;
  mars_error err = {};
  Bytes out((size_t)n * mars_dtype_bytes(result));
  EXPECT_EQ(vm_compile(device(), p, &k, &err), MARS_OK) << err.message;
  if (k == nullptr) return out;
  std::vector<vm_bind> binds(in.size());
  for (size_t i = 0; i < in.size(); i++) {
    binds[i].base = (char *)in[i]->data();
    binds[i].stride[0] = (int64_t)mars_dtype_bytes(types[i]);
  }
  vm_bind gen = {}, dst = {};
  gen.index = index;
  gen.stride[0] = step;
  dst.base = (char *)out.data();
  dst.stride[0] = (int64_t)mars_dtype_bytes(result);
  vm_call c = {};
  c.kernel = k;
  c.ndim = 1;
  c.shape[0] = n;
  c.in = binds.data(), c.n_in = (int)binds.size();
  c.gen = &gen, c.n_gen = in.empty() ? 1 : 0;
  c.out = &dst, c.n_out = 1;
  EXPECT_EQ(vm_launch(device(), &c, 1, &err), MARS_OK) << err.message;
  vm_kernel_free(device(), k);
  return out;
}

class Op : Row {
public:
  Op(int op, mars_dtype dt) {
    set_row(op, dt, 501);
    const int64_t space = 1 << 20;
    prog_ = vm_prog_new(1, &space, 0);
    int v[3] = {-1, -1, -1};
    for (int k = 0; k < row_.arity; k++) v[k] = vm_load(prog_, operand(k));
    vm_store(prog_, vm_op_as(prog_, row_.name, dt, v[0], v[1], v[2]));
  }
  ~Op() { vm_prog_free(prog_); }
  Op(const Op &) = delete;
  bool can(const char **why) const { return cuda_can(prog_, why); }

  void check() {
    ASSERT_TRUE(oracle::has_op(row_.name));
    std::vector<Bytes *> in;
    std::vector<mars_dtype> types;
    for (int k = 0; k < row_.arity; k++) in.push_back(&in_[k]), types.push_back(operand(k));
    uint64_t read[2] = {0, 0}, written[2] = {0, 0}, operands = 0;
    cuda_sim_kernel_bytes("mx_kernel", &read[0], &written[0]);
    Bytes got = run(prog_, n_, in, types, result_);
    cuda_sim_kernel_bytes("mx_kernel", &read[1], &written[1]);
    if (cuda_sim_is_used()) { // one pass: every operand read once, the result written once
      for (mars_dtype dt : types) operands += (uint64_t)n_ * mars_dtype_bytes(dt);
      // results that need not all of the operand: isnan of an integer, imag of a real number
      const std::string name = row_.name;
      const bool looks_away = name == "isnan" || name == "isinf" || name == "isfinite" || name == "signbit" || name == "real" || name == "imag";
      EXPECT_LE(read[1] - read[0], operands) << name << "<" << mars_dtype_name(dt_) << "> of " << n_;
      EXPECT_TRUE(looks_away || read[1] - read[0] == operands) << name << "<" << mars_dtype_name(dt_) << "> reads " << read[1] - read[0];
      EXPECT_EQ(written[1] - written[0], (uint64_t)n_ * mars_dtype_bytes(result_)) << row_.name << "<" << mars_dtype_name(dt_) << "> of " << n_;
    }
    int shown = 0, judged_count = 0;
    for (int64_t i = 0; i < n_ && shown < 3; i++) {
      Num args[3];
      for (int k = 0; k < row_.arity; k++) args[k] = argument(k, i);
      oracle::Expect e = oracle::eval(row_.name, dt_, args, row_.ulp);
      if (e.skip || !judged(args)) continue;
      judged_count++;
      Num v = oracle::load(result_, &got[(size_t)i * mars_dtype_bytes(result_)]);
      if (oracle::close(half_ ? dt_ : result_, v, e.value, e.bound)) continue;
      shown++;
      ADD_FAILURE() << row_.name << "<" << mars_dtype_name(dt_) << ">(" << oracle::show(args[0])
                    << (row_.arity > 1 ? ", " + oracle::show(args[1]) : "") << (row_.arity > 2 ? ", " + oracle::show(args[2]) : "")
                    << ") = " << oracle::show(v) << ", expected " << oracle::show(e.value) << " within " << e.bound.ulp << " ulp";
    }
    EXPECT_GT(judged_count, n_ / 4) << row_.name;
  }

private:
  vm_prog *prog_;
};

class CudaOps : public ::testing::TestWithParam<mars_dtype> {};
TEST_P(CudaOps, MatchTheOracle) {
  mars_dtype dt = GetParam();
  if (device() == nullptr) GTEST_SKIP() << "no CUDA device";
  int ran = 0;
  for (int i = 0; i < loops_op_count(); i++) {
    std::string name = loops_row_of(i).name;
    if (loops_row_of(i).arity == 0 || loops_loop_dtype(i, dt) != dt) continue;
    if (oracle::is_half(dt) && name != "nextafter" && name != "spacing") continue; // all others compute in f32
    Op op(i, dt);
    const char *why;
    if (!op.can(&why)) continue;
    op.check();
    ran++;
  }
  EXPECT_GE(ran, oracle::is_half(dt) ? 2 : 20);
}
INSTANTIATE_TEST_SUITE_P(Cuda, CudaOps, ::testing::ValuesIn(dtypes()), [](const auto &i) { return std::string(mars_dtype_name(i.param)); });

// The sign of a NaN, which signbit and copysign look at, goes through both casts of a half.
TEST(CudaOpsOfHalves, CastsKeepTheSignsOfNaN) {
  if (device() == nullptr) GTEST_SKIP() << "no CUDA device";
  for (mars_dtype dt : {MARS_F16, MARS_BF16}) {
    const uint16_t inf = dt == MARS_F16 ? 0x7c00 : 0x7f80;
    std::vector<uint16_t> nan;
    for (uint32_t u = inf + 1; u < 0x8000; u += 3) nan.push_back((uint16_t)u), nan.push_back((uint16_t)(u | 0x8000));
    Bytes in(nan.size() * 2);
    std::memcpy(in.data(), nan.data(), in.size());
    const int64_t n = (int64_t)nan.size(), space = 1 << 20;
    vm_prog *signs = vm_prog_new(1, &space, 0), *there_and_back = vm_prog_new(1, &space, 0);
    vm_store(signs, vm_op_as(signs, "signbit", MARS_F32, vm_cast(signs, vm_load(signs, dt), MARS_F32), -1, -1));
    // an operation in between, else no cast is left: one on bits, as arithmetic may give NaN any sign
    const int wide = vm_cast(there_and_back, vm_load(there_and_back, dt), MARS_F32);
    vm_store(there_and_back, vm_cast(there_and_back, vm_op_as(there_and_back, "copysign", MARS_F32, wide, wide, -1), dt));
    Bytes is_negative = run(signs, n, {&in}, {dt}, MARS_BOOL), same = run(there_and_back, n, {&in}, {dt}, dt);
    for (int64_t i = 0, shown = 0; i < n && shown < 3; i++) {
      const bool want = nan[(size_t)i] >> 15;
      uint16_t back;
      std::memcpy(&back, &same[(size_t)i * 2], 2);
      if ((is_negative[(size_t)i] != 0) == want && (back >> 15 != 0) == want && (back & 0x7fff) > inf) continue;
      shown++;
      ADD_FAILURE() << mars_dtype_name(dt) << " of bits " << nan[(size_t)i] << ": signbit " << (int)is_negative[(size_t)i]
                    << ", there and back it has bits " << back;
    }
    vm_prog_free(signs);
    vm_prog_free(there_and_back);
  }
}

// Generators against the host's, to the bit.
void generate(const char *name, const loops_random &r, int64_t index, int64_t step) {
  const int64_t space = 1 << 20, n = 600;
  vm_prog *p = vm_prog_new(1, &space, 0);
  vm_store(p, vm_random(p, name, r.dtype, r.seed, r.stream, r.p0, r.p1, r.low, r.range));
  Bytes got = run(p, n, {}, {}, r.dtype, index, step), want((size_t)n * mars_dtype_bytes(r.dtype));
  loops_fill(nullptr, &r, (uint64_t)index, step, n, want.data());
  for (int64_t i = 0, shown = 0; i < n && shown < 3; i++) {
    size_t at = (size_t)i * mars_dtype_bytes(r.dtype);
    Num a = oracle::load(r.dtype, &got[at]), b = oracle::load(r.dtype, &want[at]);
    if (std::memcmp(&got[at], &want[at], mars_dtype_bytes(r.dtype)) == 0) continue;
    shown++;
    ADD_FAILURE() << name << " " << mars_dtype_name(r.dtype) << " element " << index + i * step << ": " << oracle::show(a) << ", host "
                  << oracle::show(b);
  }
  vm_prog_free(p);
}

TEST(CudaRandom, GivesTheHostsValues) {
  if (device() == nullptr) GTEST_SKIP() << "no CUDA device";
  const uint64_t seed = 0x123456789abcdefull, stream = 0xfedcba9876ull;
  for (int64_t index : {(int64_t)0, (int64_t)7, ((int64_t)1 << 33) - 300})
    for (int64_t step : {(int64_t)1, (int64_t)3, (int64_t)-1}) {
      int64_t from = step < 0 ? index + 700 : index;
      for (mars_dtype dt : {MARS_F32, MARS_F64}) {
        generate("random_uniform", {LOOPS_UNIFORM, dt, seed, stream, 0, 1, 0, 0}, from, step);
        generate("random_uniform", {LOOPS_UNIFORM, dt, seed, stream, -3.7, 11.1, 0, 0}, from, step);
        generate("random_standard_normal", {LOOPS_NORMAL, dt, seed, stream, 0, 0, 0, 0}, from, step);
        generate("random_exponential", {LOOPS_EXPONENTIAL, dt, seed, stream, 0, 0, 0, 0}, from, step);
      }
      for (mars_dtype dt : {MARS_I8, MARS_U16, MARS_I32, MARS_I64, MARS_U64})
        for (uint64_t range : {(uint64_t)10, (uint64_t)0xC000000000000001ull, (uint64_t)0})
          generate("random_integers", {LOOPS_INTEGERS, dt, seed, stream, 0, 0, -5, range}, from, step);
      generate("random_bernoulli", {LOOPS_BERNOULLI, MARS_BOOL, seed, stream, 0.3, 0, 0, 0}, from, step);
    }
}

} // namespace
