// A session on one CUDA device beside a program that uses the device itself: its context, a stream, functions of the driver.
#ifndef TESTS_INTEROP_CUDA_H
#define TESTS_INTEROP_CUDA_H

#include "tests/cuda_sim.h"
#include "tests/interop_util.h"

#include <atomic>
#include <cuda.h>
#include <dlfcn.h>
#include <functional>
#include <thread>

namespace interop {

#define STR_(f) #f
#define STR(f) STR_(f)
#define CU(f) ((decltype(&f))dlsym(driver, STR(f)))
#define OK(call) ASSERT_EQ(call, CUDA_SUCCESS)

// What stops a stream until it is opened.
struct Gate {
  std::atomic<bool> open{false};
  static void CUDA_CB pass(void *gate) {
    while (!((Gate *)gate)->open) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

class Cuda : public testing::Test {
protected:
  virtual const char *devices() const { return "cuda:0"; }
  void SetUp() override {
    if (!no_kernels().empty()) GTEST_SKIP() << no_kernels();
    Config c = small_config(8 * MiB);
    c.devices = devices();
    c.device_budget = 4 * MiB;
    c.chunk = 32768;
    mars_error err = {};
    if (open_session(c, &s, &err) != MARS_OK) GTEST_SKIP() << err.message;
    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    ASSERT_NE(driver, nullptr);
    OK(CU(cuDeviceGet)(&device, 0));
    OK(CU(cuDevicePrimaryCtxRetain)(&ctx, device));
    OK(CU(cuCtxPushCurrent)(ctx));
    OK(CU(cuStreamCreate)(&stream, CU_STREAM_NON_BLOCKING));
    checks = cuda_sim_failed_checks(text, sizeof text);
    mars_scope_open(s);
  }
  void TearDown() override {
    CUcontext now = nullptr;
    if (s != nullptr) mars_scope_close(s);
    mars_session_destroy(s);
    if (driver == nullptr) return;
    OK(CU(cuCtxGetCurrent)(&now));
    EXPECT_EQ(now, ctx) << "the current context was changed";
    OK(CU(cuStreamDestroy)(stream));
    OK(CU(cuCtxPopCurrent)(&now));
    OK(CU(cuDevicePrimaryCtxRelease)(device));
    size_t failed = cuda_sim_failed_checks(text, sizeof text);
    EXPECT_EQ(failed, checks) << text;
    dlclose(driver);
  }
  CUdeviceptr device_floats(const std::vector<float> &v) {
    CUdeviceptr p = 0;
    EXPECT_EQ(CU(cuMemAlloc)(&p, v.size() * 4), CUDA_SUCCESS);
    EXPECT_EQ(CU(cuMemcpyHtoD)(p, v.data(), v.size() * 4), CUDA_SUCCESS);
    return p;
  }
  // A tensor that was given away is copied from by the caller's stream, which stands at a gate, when it is deleted. A job that wants all of the
  // device's memory then begins, or waits for its turn; it writes there when the copy has ended and not before.
  void memory_comes_back_behind_the_stream(const std::function<mars_tensor *(int64_t n)> &result, bool submit_first) {
    const size_t n = 1000000; // 4.0 MB of 4 MiB
    mars_error err = {};
    float *pinned = nullptr;
    Gate first, second;
    OK(CU(cuMemHostAlloc)((void **)&pinned, n * 4, 0));
    ASSERT_TRUE(ok(mars_set_stream(s, "cuda:0", stream, &err), err));
    {
      Scope scope(s);
      DLManagedTensor *out = nullptr;
      ASSERT_TRUE(ok(mars_to_dlpack(mars_full(s, MARS_F32, MARS_SHAPE((int64_t)n), mars_float(s, 5)), "cuda:0", &out, &err), err));
      mars_output small = {}, large = {};
      small.tensor = mars_sum(mars_random_uniform(s, MARS_F32, MARS_SHAPE(1000), 0, 1), MARS_ALL), small.sink = MARS_SINK_KEEP;
      large.tensor = result(900000), large.sink = MARS_SINK_KEEP;
      mars_job *ahead = nullptr, *job = nullptr;
      OK(CU(cuLaunchHostFunc)(stream, Gate::pass, &first));
      if (submit_first) { // both have taken note of where the stream is; the second one cannot begin before the first has ended
        ASSERT_TRUE(ok(mars_submit(s, &small, 1, &ahead, &err), err));
        ASSERT_TRUE(ok(mars_submit(s, &large, 1, &job, &err), err));
      }
      OK(CU(cuLaunchHostFunc)(stream, Gate::pass, &second));
      OK(CU(cuMemcpyDtoHAsync)(pinned, (CUdeviceptr)(uintptr_t)out->tensor.data, n * 4, stream));
      out->deleter(out);
      if (!submit_first) {
        ASSERT_TRUE(ok(mars_submit(s, &large, 1, &job, &err), err));
      }
      first.open = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100)); // for what should not run to run
      second.open = true;
      if (ahead != nullptr) {
        EXPECT_TRUE(ok(mars_wait(ahead, &err), err));
      }
      EXPECT_TRUE(ok(mars_wait(job, &err), err));
      mars_job_release(ahead);
      mars_job_release(job);
      OK(CU(cuStreamSynchronize)(stream));
      size_t wrong = 0;
      for (size_t i = 0; i < n; i++) wrong += pinned[i] != 5;
      EXPECT_EQ(wrong, 0u) << "the memory was written while it was read";
    }
    ASSERT_TRUE(ok(mars_set_stream(s, "cuda:0", MARS_NO_STREAM, &err), err));
    OK(CU(cuMemFreeHost)(pinned));
  }
  std::vector<float> floats_of(const mx_dl_tensor &t, size_t n) {
    std::vector<float> v(n);
    EXPECT_EQ(CU(cuMemcpyDtoH)(v.data(), (CUdeviceptr)(uintptr_t)t.data, n * 4), CUDA_SUCCESS);
    return v;
  }
  mars_session *s = nullptr;
  void *driver = nullptr;
  CUdevice device = 0;
  CUcontext ctx = nullptr;
  CUstream stream = nullptr;
  size_t checks = 0;
  char text[600];
};

} // namespace interop

#endif
