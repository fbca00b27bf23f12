// Calls that follow one another, some rows through all of them, and what is passing from one to the next only.
#include "tests/vm_util.h"

#include <gtest/gtest.h>

#include <cstring>

namespace {

constexpr int64_t kRows = 6144, kCols = 32, kPoints = kRows * kCols; // six units
constexpr double kUntouched = -77;

struct Kernel {
  vm_dev *dev;
  vm_prog *prog;
  vm_kernel *k = nullptr;
  Kernel(vm_dev *d, uint32_t mask = 0) : dev(d) {
    const int64_t space[] = {kRows, kCols};
    prog = vm_prog_new(2, space, mask);
  }
  ~Kernel() {
    vm_kernel_free(dev, k);
    vm_prog_free(prog);
  }
  Kernel(const Kernel &) = delete;
  void compile() {
    mars_error err = {};
    ASSERT_EQ(vm_compile(dev, prog, &k, &err), MARS_OK) << err.message;
  }
};

struct Memory {
  std::vector<double> a, b, c;
  double greatest = kUntouched;
  Memory() : a((size_t)kPoints, kUntouched), b(a), c(a) {}
  int64_t touched(const std::vector<double> &x) const {
    int64_t n = 0;
    for (double v : x)
      n += v != kUntouched;
    return n;
  }
};

vm_bind at(double *base) {
  vm_bind b = {};
  b.base = (char *)base;
  b.stride[0] = kCols * 8;
  b.stride[1] = 8;
  return b;
}
vm_call over_all(const Kernel &k) {
  vm_call c = {};
  c.kernel = k.k;
  c.ndim = 2;
  c.shape[0] = kRows;
  c.shape[1] = kCols;
  return c;
}

// a = uniform; b = 1 - a; c = b * scale (a row vector); max(c): the calls, and what is done with their memory
class Rows {
public:
  explicit Rows(vm_dev *dev) : dev_(dev), make_(dev), less_(dev), scale_(dev), most_(dev, 3) {
    double one = 1;
    vm_store(make_.prog, vm_uniform(make_.prog, MARS_F64, 5, 6));
    vm_store(less_.prog, vm_op(less_.prog, "subtract", vm_const(less_.prog, MARS_F64, &one), vm_load(less_.prog, MARS_F64), -1));
    const int b = vm_load(scale_.prog, MARS_F64), s = vm_load(scale_.prog, MARS_F64);
    vm_store(scale_.prog, vm_op(scale_.prog, "multiply", b, s, -1));
    vm_reduce(most_.prog, "max", vm_load(most_.prog, MARS_F64), MARS_F64, 0);
    for (Kernel *k : {&make_, &less_, &scale_, &most_})
      k->compile();
    for (int64_t j = 0; j < kCols; j++)
      row_.push_back((double)(j + 1));
  }

  // passing: bit i: output of call i. c_at: where the third one's result is put.
  void run(bool rows, unsigned passing, Memory *m, double *c_at) {
    vm_bind gen = {}, a = at(m->a.data()), b = at(m->b.data()), c = at(c_at), s = {}, g = {};
    vm_bind scaled[2] = {b, {}};
    gen.stride[0] = kCols;
    gen.stride[1] = 1;
    s.base = (char *)row_.data();
    s.stride[1] = 8;
    scaled[1] = s;
    g.base = (char *)&m->greatest;
    vm_call call[4] = {over_all(make_), over_all(less_), over_all(scale_), over_all(most_)};
    call[0].gen = &gen, call[0].n_gen = 1, call[0].out = &a;
    call[1].in = &a, call[1].n_in = 1, call[1].out = &b;
    call[2].in = scaled, call[2].n_in = 2, call[2].out = &c;
    call[3].in = &c, call[3].n_in = 1, call[3].out = &g;
    call[3].final_mask = 1;
    mars_error err = {};
    bool follow = true;
    for (int i = 0; i < 4; i++) {
      call[i].n_out = 1;
      call[i].passing = passing >> i & 1;
      call[i].stream_out = i == 1; // a hint
      if (!rows) {
        ASSERT_EQ(vm_launch(dev_, &call[i], 1, &err), MARS_OK) << err.message;
      }
    }
    if (rows) {
      ASSERT_EQ(vm_launch_rows(dev_, call, 4, &follow, &err), MARS_OK) << err.message;
    }
    ASSERT_TRUE(follow);
  }

private:
  vm_dev *dev_;
  Kernel make_, less_, scale_, most_;
  std::vector<double> row_;
};

struct Host {
  std::string name;
  vm_dev *dev;
  int threads;
};
std::vector<Host> hosts() {
  std::vector<Host> all;
  for (const vm::Device &d : vm::devices()) {
    vm_info info;
    vm_get_info(d.dev, &info);
    if (std::strcmp(info.name, "host") == 0)
      all.push_back({d.name, d.dev, info.threads});
  }
  return all;
}

TEST(Rows, PassingResultsNeedNotComeToMemory) {
  for (const Host &d : hosts()) {
    Rows rows(d.dev);
    Memory want;
    rows.run(false, 0, &want, want.c.data());
    ASSERT_EQ(want.touched(want.a), kPoints);
    for (unsigned passing = 0; passing < 8; passing++) {
      Memory got;
      rows.run(true, passing, &got, got.c.data());
      EXPECT_EQ(got.greatest, want.greatest) << d.name << passing;
      const std::vector<double> *now[] = {&got.a, &got.b, &got.c}, *then[] = {&want.a, &want.b, &want.c};
      for (int i = 0; i < 3; i++) {
        if (!(passing >> i & 1)) {
          EXPECT_EQ(std::memcmp(now[i]->data(), then[i]->data(), sizeof(double) * (size_t)kPoints), 0) << d.name << passing << i;
        } else if (d.threads <= 2) { // each thread's own part: six units, so not the whole
          EXPECT_LE(got.touched(*now[i]), kPoints / 6 * d.threads) << d.name << passing << i;
          EXPECT_GE(got.touched(*now[i]), kPoints / 6) << d.name << passing << i;
        }
      }
    }
  }
}

// The third result takes the place of the first one, which is passing, and stays: then the first must not be written elsewhere
TEST(Rows, WhatTakesItsPlaceStays) {
  for (const Host &d : hosts()) {
    Rows rows(d.dev);
    Memory want;
    rows.run(false, 0, &want, want.c.data());
    for (unsigned passing : {1u, 3u, 5u, 7u}) {
      Memory got;
      rows.run(true, passing, &got, got.a.data());
      EXPECT_EQ(got.greatest, want.greatest) << d.name << passing;
      if (!(passing & 4)) {
        EXPECT_EQ(std::memcmp(got.a.data(), want.c.data(), sizeof(double) * (size_t)kPoints), 0) << d.name << passing;
      } else if (d.threads <= 2) {
        EXPECT_LE(got.touched(got.a), kPoints / 6 * d.threads) << d.name << passing;
      }
    }
  }
}

// What was there before the calls is read where it is, whatever is said of its next contents
TEST(Rows, WhatIsReadFirstDoesNotPass) {
  for (const Host &d : hosts()) {
    double two = 2, one = 1;
    Kernel twice(d.dev), more(d.dev);
    vm_store(twice.prog, vm_op(twice.prog, "multiply", vm_load(twice.prog, MARS_F64), vm_const(twice.prog, MARS_F64, &two), -1));
    vm_store(more.prog, vm_op(more.prog, "add", vm_load(more.prog, MARS_F64), vm_const(more.prog, MARS_F64, &one), -1));
    twice.compile();
    more.compile();
    Memory m;
    for (int64_t i = 0; i < kPoints; i++)
      m.a[(size_t)i] = (double)i;
    vm_bind a = at(m.a.data()), b = at(m.b.data());
    vm_call call[2] = {over_all(twice), over_all(more)};
    call[0].in = call[0].out = &a;
    call[1].in = &a, call[1].out = &b;
    call[0].n_in = call[0].n_out = call[1].n_in = call[1].n_out = 1;
    call[0].passing = 1;
    mars_error err = {};
    bool follow = false;
    ASSERT_EQ(vm_launch_rows(d.dev, call, 2, &follow, &err), MARS_OK) << err.message;
    ASSERT_TRUE(follow);
    for (int64_t i = 0; i < kPoints; i++)
      ASSERT_EQ(m.b[(size_t)i], 2.0 * (double)i + 1) << d.name;
  }
}

// One program twice, its results in the caches and then past them: what is also reduced goes to its own place both times
TEST(Rows, StreamsAfterWhatStaysInTheCaches) {
  for (const Host &d : hosts()) {
    double one = 1;
    Kernel more(d.dev, 3);
    const int y = vm_op(more.prog, "add", vm_load(more.prog, MARS_F64), vm_const(more.prog, MARS_F64, &one), -1);
    vm_store(more.prog, y);
    vm_reduce(more.prog, "max", y, MARS_F64, 0);
    more.compile();
    Memory from, to;
    double greatest[2][8] = {}; // a line each
    for (int64_t i = 0; i < kPoints; i++)
      from.a[(size_t)i] = (double)i, from.b[(size_t)i] = (double)-i;
    vm_bind in[2] = {at(from.a.data()), at(from.b.data())}, out[2][2] = {{at(to.a.data()), {}}, {at(to.b.data()), {}}};
    vm_call call[2] = {over_all(more), over_all(more)};
    for (int i = 0; i < 2; i++) {
      out[i][1].base = (char *)greatest[i];
      call[i].in = &in[i], call[i].n_in = 1;
      call[i].out = out[i], call[i].n_out = 2;
      call[i].final_mask = 2;
      call[i].stream_out = i == 1;
    }
    mars_error err = {};
    bool follow = false;
    ASSERT_EQ(vm_launch_rows(d.dev, call, 2, &follow, &err), MARS_OK) << err.message;
    ASSERT_TRUE(follow);
    for (int64_t i = 0; i < kPoints; i++) {
      ASSERT_EQ(to.a[(size_t)i], (double)i + 1) << d.name << " " << i;
      ASSERT_EQ(to.b[(size_t)i], (double)-i + 1) << d.name << " " << i;
    }
    EXPECT_EQ(greatest[0][0], (double)kPoints);
    EXPECT_EQ(greatest[1][0], 1);
  }
}

} // namespace
