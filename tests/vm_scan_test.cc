// Scans of the host device: bit-equal to the plain running sum, over every axis, with carries between tiles.
#include "tests/vm_util.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace vm;
using oracle::Num;

namespace {

const mars_dtype kTypes[] = {MARS_I64, MARS_U64, MARS_F32, MARS_F64, MARS_C64, MARS_C128};

struct Job {
  Shape space;
  uint32_t axis;
};
const Job kJobs[] = {{{1}, 0},         {{7}, 0},         {{5000}, 0},     {{300, 5}, 1},    {{5, 300}, 0}, {{3, 2100}, 1},
                     {{2100, 3}, 0},   {{40, 1200}, 0},  {{4, 50, 6}, 1}, {{4, 1, 6}, 1},   {{9000, 4}, 1}, {{2, 700, 3}, 1},
                     {{60, 70, 2}, 0}, {{3, 90, 600}, 1},
                     {{1030, 100}, 1}};

TEST(VmScan, EveryDtypeAndAxis) {
  for (const Job &job : kJobs)
    for (mars_dtype dt : kTypes)
      for (const char *name : {"cumsum", "cumprod"}) {
        Rng rng(3);
        Program p(job.space, 1u << job.axis);
        Array a = make_array(rng, dt, job.space, ANY_ORDER);
        fill(rng, a, false);
        if (std::string(name) == "cumprod") // stay in range: factors near 1
          for (int64_t i = 0; i < count(job.space); i++)
            oracle::store(dt, number(dt, 1 + (double)(rng() % 3) / 64), &a.mem[(size_t)a.at(unravel(i, job.space))]);
        p.scan(name, p.load(a), make_array(rng, dt, job.space, rng() % 2 ? COMPACT : ANY_ORDER));
        p.check({});
        if (HasFatalFailure()) return;
      }
}

TEST(VmScan, FusedWithWhatFeedsItAndStores) {
  for (const Job &job : kJobs) {
    Rng rng(5);
    Program p(job.space, 1u << job.axis);
    Array a = make_array(rng, MARS_I32, job.space, ANY_WITH_BROADCAST);
    fill(rng, a, false);
    int x = p.cast(p.load(a), MARS_I64), y = p.op("multiply", x, x);
    p.scan("cumsum", y, make_array(rng, MARS_I64, job.space, COMPACT));
    p.store(y, make_array(rng, MARS_I64, job.space, ANY_ORDER));
    p.check({});
    if (HasFatalFailure()) return;
  }
}

// Tiles along the scanned axis, one after the other, hand the carry on.
TEST(VmScan, CarriesBetweenTiles) {
  for (const Job &job : kJobs)
    for (const Device &d : devices()) {
      Rng rng(7);
      size_t axis = job.axis;
      int64_t length = job.space[axis], inner = 1, outer = 1;
      for (size_t k = 0; k < job.space.size(); k++) (k < axis ? outer : inner) *= k == axis ? 1 : job.space[k];
      int64_t total = count(job.space);
      std::vector<double> x((size_t)total), out((size_t)total), want((size_t)total);
      for (double &v : x) v = std::normal_distribution<double>()(rng);
      for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < length; k++)
          for (int64_t i = 0; i < inner; i++) {
            size_t at = (size_t)((o * length + k) * inner + i);
            want[at] = k == 0 ? x[at] : want[at - (size_t)inner] + x[at];
          }
      vm_prog *p = vm_prog_new((int)job.space.size(), job.space.data(), 1u << axis);
      vm_scan(p, "cumsum", vm_load(p, MARS_F64));
      vm_kernel *k = nullptr;
      ASSERT_EQ(vm_compile(d.dev, p, &k, nullptr), MARS_OK);
      std::vector<double> carry[2] = {std::vector<double>((size_t)(outer * inner)), std::vector<double>((size_t)(outer * inner))};
      for (int64_t at = 0, turn = 0; at < length; turn++) {
        int64_t n = std::min(length - at, (length + 2) / 3);
        vm_bind in = {}, o = {};
        vm_call c = {};
        c.kernel = k, c.ndim = (int)job.space.size(), c.in = &in, c.n_in = 1, c.out = &o, c.n_out = 1;
        int64_t step = 8;
        for (size_t dim = job.space.size(); dim-- > 0; step *= job.space[dim]) {
          in.stride[dim] = o.stride[dim] = step;
          c.shape[dim] = dim == axis ? n : job.space[dim];
          c.origin[dim] = dim == axis ? at : 0;
        }
        in.base = (char *)x.data() + at * in.stride[axis];
        o.base = (char *)out.data() + at * in.stride[axis];
        c.carry_in = turn > 0 ? (const char *)carry[(turn + 1) % 2].data() : nullptr;
        c.carry_out = (char *)carry[turn % 2].data();
        const Account account;
        ASSERT_EQ(vm_launch(d.dev, &c, 1, nullptr), MARS_OK);
        account.settle();
        at += n;
      }
      ASSERT_EQ(memcmp(out.data(), want.data(), (size_t)total * 8), 0) << d.name;
      vm_kernel_free(d.dev, k);
      vm_prog_free(p);
    }
}

} // namespace
