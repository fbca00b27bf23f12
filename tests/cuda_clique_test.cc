// What the CUDA devices of a session exchange by NCCL: copies where links do not reach and to several at once, accumulators that are joined;
// on the simulated platform also what happens when a call of NCCL or a device fails.
#include "tests/cuda_shim.h"
#include "tests/cuda_sim.h"
#include "tests/cuda_tile_shim.h"

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace {

std::vector<char> noise(size_t n, unsigned seed = 1) {
  std::mt19937 rng(seed);
  std::vector<char> out(n);
  for (char &c : out) c = (char)rng();
  return out;
}

class CudaClique : public ::testing::Test {
protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "there is no CUDA device";
  }
  // `n` devices of the platform's, with these settings, connected.
  mars_status open(int n, const std::string &settings, mars_error *err, size_t bytes = 4 << 20) {
    EXPECT_TRUE(!cuda_sim_is_used() || cuda_sim_configure(settings.c_str())) << settings;
    for (int i = 0; i < n; i++) {
      vm_dev *dev = nullptr;
      mars_status st = vm_open_cuda(i, bytes, &dev, err);
      if (st != MARS_OK) return st;
      devs_.push_back(dev);
    }
    connect_devices(devs_.data(), n);
    return MARS_OK;
  }
  void close() {
    char text[1000];
    for (vm_dev *dev : devs_) EXPECT_EQ(vm_close(dev), 0);
    devs_.clear();
    EXPECT_EQ(cuda_sim_failed_checks(text, sizeof text), 0u) << text;
    EXPECT_EQ(cuda_sim_live(text, sizeof text), 0u) << text;
  }
  void TearDown() override {
    if (cuda_sim_is_used()) cuda_sim_configure("fault=");
    close();
    if (cuda_sim_is_used()) cuda_sim_configure("links=pcie devices=2");
  }
  // A broadcast to the first n - 1 others; what has not arrived fails the test.
  mars_status broadcast(int n, int rounds, size_t bytes, mars_error *err) {
    std::vector<char> src = noise(bytes * (size_t)rounds);
    std::vector<std::vector<char>> got((size_t)n, std::vector<char>(src.size()));
    std::vector<char *> dst;
    for (auto &g : got) dst.push_back(g.data());
    mars_status st = transfer_broadcast(devs_.data(), n, rounds, bytes, src.data(), dst.data(), err);
    for (int i = 1; i < n && st == MARS_OK; i++) EXPECT_EQ(got[(size_t)i], src) << "device " << i;
    return st;
  }
  // Accumulators of noise, joined on devs_[root]: checked against a fold here.
  template <typename T> mars_status join(int root, int op, mars_dtype dtype, size_t count, mars_error *err) {
    std::vector<std::vector<char>> src;
    std::vector<const char *> at;
    std::vector<T> want(count), got(count);
    for (size_t d = 0; d < devs_.size(); d++) {
      src.push_back(noise(count * sizeof(T), (unsigned)d + 1));
      const T *x = (const T *)src.back().data();
      for (size_t i = 0; i < count; i++) {
        const T w = want[i];
        switch (d == 0 ? -1 : op) {
        case 0: (void)__builtin_add_overflow(w, x[i], &want[i]); break;
        case 1: (void)__builtin_mul_overflow(w, x[i], &want[i]); break;
        case 2: want[i] = std::min(w, x[i]); break;
        case 3: want[i] = std::max(w, x[i]); break;
        default: want[i] = x[i];
        }
      }
    }
    for (const auto &s : src) at.push_back(s.data());
    mars_status st = transfer_join(devs_.data(), (int)devs_.size(), root, op, dtype, count, at.data(), (char *)got.data(), err);
    EXPECT_TRUE(st != MARS_OK || got == want) << "operation " << op << " of " << mars_dtype_name(dtype) << " on " << root;
    return st;
  }
  void join_all(int root, size_t count) {
    mars_error err = {};
    for (int op = 0; op < 4; op++) {
      EXPECT_EQ(join<int8_t>(root, op, MARS_I8, count, &err), MARS_OK) << err.message;
      EXPECT_EQ(join<uint8_t>(root, op, MARS_U8, count, &err), MARS_OK) << err.message;
      EXPECT_EQ(join<int32_t>(root, op, MARS_I32, count, &err), MARS_OK) << err.message;
      EXPECT_EQ(join<uint32_t>(root, op, MARS_U32, count, &err), MARS_OK) << err.message;
      EXPECT_EQ(join<int64_t>(root, op, MARS_I64, count, &err), MARS_OK) << err.message;
      EXPECT_EQ(join<uint64_t>(root, op, MARS_U64, count, &err), MARS_OK) << err.message;
    }
  }
  std::vector<vm_dev *> devs_;
};

// Links and faults to order.
class CudaCliqueFaults : public CudaClique {
protected:
  void SetUp() override {
    if (cuda_device_count() == 0 || !cuda_sim_is_used()) GTEST_SKIP() << "only the simulated platform has links and faults to order";
  }
};

// On what devices there are.
TEST_F(CudaClique, OnAnyPlatform) {
  const int devices = std::min(cuda_sim_is_used() ? 4 : cuda_device_count(), 4);
  mars_error err = {};
  if (devices < 2) GTEST_SKIP() << "there is one CUDA device";
  ASSERT_EQ(open(devices, "devices=4 fault= links=pcie", &err), MARS_OK) << err.message;
  EXPECT_EQ(broadcast(devices, 6, 100000, &err), MARS_OK) << err.message;
  join_all(devices - 1, 1001);
}

TEST_F(CudaCliqueFaults, CopiesWhereLinksDoNotReach) {
  mars_error err = {};
  for (const char *links : {"none", "pcie"}) {
    ASSERT_EQ(open(2, std::string("devices=2 fault= links=") + links, &err), MARS_OK) << err.message;
    std::vector<char> src = noise((3 << 20) + 5), dst(src.size());
    EXPECT_EQ(transfer_peer(devs_[0], devs_[1], src.size(), src.data(), dst.data(), &err), MARS_OK) << err.message;
    EXPECT_EQ(src, dst);
    std::vector<char> back(1000);
    EXPECT_EQ(transfer_peer(devs_[1], devs_[0], back.size(), src.data(), back.data(), &err), MARS_OK) << err.message;
    EXPECT_TRUE(std::equal(back.begin(), back.end(), src.begin()));
    EXPECT_EQ(cuda_sim_nccl_calls() > 0, std::string(links) == "none"); // a link that reaches is the faster way
    close();
  }
}

TEST_F(CudaCliqueFaults, BroadcastsToAllAndToSome) {
  mars_error err = {};
  ASSERT_EQ(open(4, "devices=4 fault= links=pcie seed=7", &err), MARS_OK) << err.message;
  EXPECT_EQ(broadcast(4, 6, 100000, &err), MARS_OK) << err.message; // more than are under way at once
  const uint64_t to_all = cuda_sim_nccl_calls();
  EXPECT_EQ(broadcast(3, 2, 5001, &err), MARS_OK) << err.message;
  EXPECT_GT(to_all, 0u);
  EXPECT_GT(cuda_sim_nccl_calls(), to_all);
  close();
  cuda_sim_configure("seed=0");
}

// Integers of all widths that NCCL has: one reduction of the communicators, and the same by the host where NCCL has failed.
TEST_F(CudaCliqueFaults, AccumulatorsAreJoined) {
  mars_error err = {};
  for (const char *links : {"pcie", "none"})
    for (int devices = 2; devices <= 4; devices++) {
      ASSERT_EQ(open(devices, "devices=" + std::to_string(devices) + " fault= seed=3 links=" + links, &err), MARS_OK) << err.message;
      join_all(devices - 1, 1001);
      join_all(0, 1);
      const uint64_t calls = cuda_sim_nccl_calls(); // 48 of a reduction for each device, between the two of a group
      EXPECT_GE(calls, 48u * (unsigned)(devices + 2));
      close();
    }
  ASSERT_EQ(open(3, "devices=3 links=pcie fault=nccl:0", &err), MARS_OK) << err.message;
  join_all(1, 777);
  close();
  ASSERT_EQ(open(2, "devices=2 links=pcie fault=nccl:0", &err, 8 << 20), MARS_OK) << err.message;
  EXPECT_EQ(join<int64_t>(1, 0, MARS_I64, (5 << 20) / 16, &err), MARS_OK) << err.message; // in more than one block
  cuda_sim_configure("seed=0");
}

// Call n of NCCL fails, n = 0, 1, ... until none does: the copies arrive all the same, and nothing is left behind.
TEST_F(CudaCliqueFaults, EveryCallMayFail) {
  for (int devices : {2, 4}) {
    bool reached = true;
    int failures = 0;
    for (int n = 0; reached; n++) {
      ASSERT_LT(n, 200);
      SCOPED_TRACE(std::to_string(devices) + " devices, call " + std::to_string(n));
      mars_error err = {};
      ASSERT_EQ(open(devices, "devices=" + std::to_string(devices) + " links=none fault=nccl:" + std::to_string(n), &err), MARS_OK) << err.message;
      EXPECT_EQ(broadcast(devices, 3, 4000, &err), MARS_OK) << err.message;
      EXPECT_EQ(join<int32_t>(devices - 1, 0, MARS_I32, 500, &err), MARS_OK) << err.message;
      std::vector<char> src = noise(700), dst(src.size());
      EXPECT_EQ(transfer_peer(devs_[1], devs_[0], src.size(), src.data(), dst.data(), &err), MARS_OK) << err.message;
      EXPECT_EQ(src, dst);
      reached = cuda_sim_nccl_calls() > (uint64_t)n;
      failures += reached;
      close();
    }
    EXPECT_GT(failures, 5);
  }
}

// A device that is lost takes down what concerns it, and no more.
TEST_F(CudaCliqueFaults, ALostDeviceIsTold) {
  for (int at = 0; at < 12; at += 3) {
    SCOPED_TRACE("at " + std::to_string(at));
    mars_error err = {};
    ASSERT_EQ(open(3, "devices=3 links=none fault=lose:2:" + std::to_string(at), &err), MARS_OK) << err.message;
    const mars_status st = broadcast(3, 4, 3000, &err);
    EXPECT_TRUE(st == MARS_OK || st == MARS_E_DEVICE) << err.message;
    err = {};
    EXPECT_EQ(broadcast(2, 1, 3000, &err), MARS_OK) << err.message;
    const mars_status joined = join<uint32_t>(0, 3, MARS_U32, 300, &err);
    EXPECT_TRUE(joined == MARS_OK || joined == MARS_E_DEVICE) << err.message;
    for (vm_dev *dev : devs_) EXPECT_EQ(vm_close(dev), 0);
    devs_.clear();
    char text[1000];
    EXPECT_EQ(cuda_sim_live(text, sizeof text), 0u) << text;
    cuda_sim_reset(); // or it stays lost
  }
}

} // namespace
