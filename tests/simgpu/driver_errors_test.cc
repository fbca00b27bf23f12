/* The stand-in driver when things go wrong: errors that stick, lost devices, the fault plan, leaks. */
#include "driver_test_util.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using Errors = Simulated;

/* c[i] = a[i] + b[i], i < n; where `n` is larger than the memory it runs over the end. */
static const char add_ptx[] = R"(
.version 8.0
.target sm_80
.address_size 64
.visible .entry add(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u32 pn)
{
  .reg .pred %p<2>;
  .reg .f32 %f<4>;
  .reg .b32 %r<6>;
  .reg .b64 %rd<8>;
  ld.param.u64 %rd1, [pa];
  ld.param.u64 %rd2, [pb];
  ld.param.u64 %rd3, [pc];
  ld.param.u32 %r1, [pn];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra DONE;
  mul.wide.u32 %rd4, %r5, 4;
  add.s64 %rd5, %rd1, %rd4;
  add.s64 %rd6, %rd2, %rd4;
  add.s64 %rd7, %rd3, %rd4;
  ld.global.f32 %f1, [%rd5];
  ld.global.f32 %f2, [%rd6];
  add.f32 %f3, %f1, %f2;
  st.global.f32 [%rd7], %f3;
DONE:
  ret;
}
)";

static CUresult launch_add(CUfunction f, CUstream s, CUdeviceptr a, CUdeviceptr b, CUdeviceptr c, unsigned n) {
  void *params[] = {&a, &b, &c, &n};
  return CU(cuLaunchKernel)(f, (n + 127) / 128, 1, 1, 128, 1, 1, 0, s, params, nullptr);
}

TEST_F(Errors, KernelsRunAndTheirErrorsStick) {
  constexpr unsigned n = 1000;
  CUmodule module;
  CUfunction f;
  CUdeviceptr a, b, c, other;
  std::vector<float> host(n), back(n);
  int value;
  OK(CU(cuModuleLoadData)(&module, add_ptx));
  OK(CU(cuModuleGetFunction)(&f, module, "add"));
  EXPECT_EQ(CU(cuModuleGetFunction)(&f, module, "sub"), CUDA_ERROR_NOT_FOUND);
  OK(CU(cuModuleGetFunction)(&f, module, "add"));
  OK(CU(cuFuncGetAttribute)(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f));
  EXPECT_EQ(value, 1024);
  OK(CU(cuOccupancyMaxActiveBlocksPerMultiprocessor)(&value, f, 128, 0));
  EXPECT_GT(value, 0);
  for (CUdeviceptr *p : {&a, &b, &c}) OK(CU(cuMemAlloc)(p, n * 4));
  for (unsigned i = 0; i < n; i++) host[i] = float(i);
  OK(CU(cuMemcpyHtoDAsync)(a, host.data(), n * 4, stream[0]));
  OK(CU(cuMemcpyHtoDAsync)(b, host.data(), n * 4, stream[0]));
  OK(launch_add(f, stream[0], a, b, c, n));
  OK(CU(cuMemcpyDtoHAsync)(back.data(), c, n * 4, stream[0]));
  for (unsigned i = 0; i < n; i++) ASSERT_EQ(back[i], 2.0f * float(i));
  uint64_t launches, read, written;
  ASSERT_EQ(SIM(sg_sim_kernel_counts)("add", &launches, &read, &written), 1);
  EXPECT_EQ(launches, 1u);
  EXPECT_EQ(read, 8u * n);
  EXPECT_EQ(written, 4u * n);
  void *params[] = {&a, &b, &c, &value};
  EXPECT_EQ(CU(cuLaunchKernel)(f, 1, 1, 1, 2048, 1, 1, 0, stream[0], params, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(CU(cuLaunchKernel)(f, 1, 1, 1, 32, 1, 1, 0, stream[1], params, nullptr), CUDA_ERROR_INVALID_HANDLE);

  OK(launch_add(f, stream[0], a, b, c, n + 1)); /* one element too many: found when it runs */
  EXPECT_EQ(CU(cuStreamSynchronize)(stream[0]), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(CU(cuMemAlloc)(&other, 16), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(CU(cuMemFree)(a), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(CU(cuCtxSynchronize)(), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(CU(cuStreamDestroy)(stream[0]), CUDA_ERROR_ILLEGAL_ADDRESS);
  expect_failed_check("add");
  OK(CU(cuCtxSetCurrent)(ctx[1])); /* other devices go on */
  OK(CU(cuMemAlloc)(&other, 16));
  OK(CU(cuMemFree)(other));
  EXPECT_EQ(live().device_bytes, 3u * 4 * n);
  /* the end of the context gives everything back, and a new one works */
  OK(CU(cuDevicePrimaryCtxRelease)(0));
  EXPECT_EQ(live().device_bytes, 0u);
  EXPECT_EQ(live().modules, 0);
  OK(CU(cuDevicePrimaryCtxRetain)(&ctx[0], 0));
  OK(CU(cuCtxSetCurrent)(ctx[0]));
  OK(CU(cuStreamCreate)(&stream[0], CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAlloc)(&a, 16));
  OK(CU(cuMemFree)(a));
}

TEST_F(Errors, KernelsOnTwoStreamsNeedOrder) {
  constexpr unsigned n = 256;
  CUmodule module;
  CUfunction f;
  CUdeviceptr a, c;
  CUstream other;
  OK(CU(cuModuleLoadData)(&module, add_ptx));
  OK(CU(cuModuleGetFunction)(&f, module, "add"));
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAlloc)(&a, n * 4));
  OK(CU(cuMemAlloc)(&c, 2 * n * 4));
  OK(CU(cuMemsetD32)(a, 0, n));
  OK(CU(cuCtxSynchronize)());
  OK(launch_add(f, stream[0], a, a, c, n));
  OK(launch_add(f, other, a, a, c + 4 * n, n)); /* beside one another in one allocation */
  OK(CU(cuCtxSynchronize)());
  EXPECT_EQ(SIM(sg_sim_failed_checks)(nullptr, 0), 0u);
  OK(launch_add(f, stream[0], a, a, c, n));
  OK(CU(cuMemsetD32Async)(c + 4 * n - 4, 1, 1, other)); /* the last element of the first */
  OK(CU(cuCtxSynchronize)());
  expect_failed_check("race: ");
  OK(CU(cuModuleUnload)(module));
  OK(CU(cuStreamDestroy)(other));
  OK(CU(cuMemFree)(a));
  OK(CU(cuMemFree)(c));
}

TEST_F(Errors, ModulesThatCannotBeLoaded) {
  CUmodule module;
  char log[200] = "";
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
  EXPECT_EQ(CU(cuModuleLoadData)(&module, "\177ELF machine code"), CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(CU(cuModuleLoadData)(&module, "not a program"), CUDA_ERROR_INVALID_IMAGE);
  EXPECT_EQ(CU(cuModuleLoadDataEx)(&module, ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry (", 2, options, values),
            CUDA_ERROR_INVALID_PTX);
  EXPECT_NE(std::string(log), "");
  std::string newer = add_ptx;
  newer.replace(newer.find("sm_80"), 5, "sm_100");
  EXPECT_EQ(CU(cuModuleLoadData)(&module, newer.c_str()), CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(CU(cuModuleUnload)(reinterpret_cast<CUmodule>(log)), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Errors, PlannedFaults) {
  CUdeviceptr p, q;
  char host[16] = {0};
  ASSERT_EQ(SIM(sg_sim_configure)("fault=alloc:1,copy:2"), 0);
  OK(CU(cuMemAlloc)(&p, 16));
  EXPECT_EQ(CU(cuMemAlloc)(&q, 16), CUDA_ERROR_OUT_OF_MEMORY);
  OK(CU(cuMemAlloc)(&q, 16));
  OK(CU(cuMemcpyHtoD)(p, host, 16));
  OK(CU(cuMemcpyHtoD)(q, host, 16));
  EXPECT_EQ(CU(cuMemcpyHtoD)(q, host, 16), CUDA_ERROR_UNKNOWN);
  OK(CU(cuMemcpyHtoD)(q, host, 16));
  sg_sim_count_info c;
  SIM(sg_sim_counts)(&c);
  EXPECT_EQ(c.faults, 2u);
  ASSERT_EQ(SIM(sg_sim_configure)("fault=call:0"), 0);
  EXPECT_EQ(CU(cuMemFree)(p), CUDA_ERROR_UNKNOWN); /* has freed it all the same */
  EXPECT_EQ(live().device_bytes, 16u);
  OK(CU(cuMemFree)(q));
  ASSERT_EQ(SIM(sg_sim_configure)("fault=none"), 0);
}

TEST_F(Errors, StickyFaultsComeLater) {
  CUdeviceptr p;
  ASSERT_EQ(SIM(sg_sim_configure)("fault=copy:0:sticky"), 0);
  OK(CU(cuMemAlloc)(&p, 16));
  OK(CU(cuMemsetD8Async)(p, 0, 16, stream[0]));
  EXPECT_EQ(CU(cuStreamSynchronize)(stream[0]), CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(CU(cuMemFree)(p), CUDA_ERROR_LAUNCH_FAILED);
  ASSERT_EQ(SIM(sg_sim_configure)("fault=none"), 0);
}

TEST_F(Errors, LostDevice) {
  CUdeviceptr p, q;
  CUcontext again;
  bool called = false;
  ASSERT_EQ(SIM(sg_sim_configure)("fault=lose:1:2"), 0);
  OK(CU(cuMemAlloc)(&q, 16));
  OK(CU(cuCtxSetCurrent)(ctx[1]));
  OK(CU(cuMemAlloc)(&p, 16));
  for (int i = 0; i < 3; i++) OK(CU(cuMemsetD8Async)(p, 1, 16, stream[1]));
  auto fn = [](void *user) { *static_cast<bool *>(user) = true; };
  CU(cuLaunchHostFunc)(stream[1], fn, &called); /* too late or refused: not called either way */
  EXPECT_EQ(CU(cuStreamSynchronize)(stream[1]), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_FALSE(called);
  EXPECT_EQ(CU(cuMemFree)(p), CUDA_ERROR_ECC_UNCORRECTABLE);
  OK(CU(cuDevicePrimaryCtxRelease)(1));
  ctx[1] = nullptr;
  EXPECT_EQ(CU(cuDevicePrimaryCtxRetain)(&again, 1), CUDA_ERROR_DEVICE_UNAVAILABLE);
  OK(CU(cuCtxSetCurrent)(ctx[0]));
  OK(CU(cuMemsetD8)(q, 1, 16));
  OK(CU(cuMemFree)(q));
}

/* Who waits for a stream of a lost device goes on when nothing of it runs any more, not at once. */
TEST_F(Errors, WhatRunsOnALostDeviceEndsFirst) {
  struct Shared {
    std::atomic<bool> begun{false}, ended{false};
  } shared;
  CUstream other;
  CUdeviceptr p;
  OK(CU(cuCtxSetCurrent)(ctx[1]));
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAlloc)(&p, 16));
  ASSERT_EQ(SIM(sg_sim_configure)("fault=lose:1:0"), 0);
  auto slow = [](void *user) {
    auto *at = static_cast<Shared *>(user);
    at->begun = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    at->ended = true;
  };
  OK(CU(cuLaunchHostFunc)(stream[1], slow, &shared));
  while (!shared.begun) std::this_thread::yield();
  OK(CU(cuMemsetD8Async)(p, 1, 16, other));
  while (CU(cuStreamQuery)(other) == CUDA_ERROR_NOT_READY) std::this_thread::yield();
  EXPECT_EQ(CU(cuStreamSynchronize)(stream[1]), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_TRUE(shared.ended);
}

/* Every driver call of a small job fails once: it ends with an error or its result, and gives everything back. */
static CUresult small_job(unsigned *result) {
  CUcontext c;
  CUstream s = nullptr;
  CUdeviceptr p = 0;
  CUresult r = CU(cuInit)(0), end;
  if (r != CUDA_SUCCESS) return r;
  r = CU(cuDevicePrimaryCtxRetain)(&c, 0);
  if (r != CUDA_SUCCESS) return r;
  r = CU(cuCtxPushCurrent)(c);
  if (r == CUDA_SUCCESS) {
    r = CU(cuStreamCreate)(&s, CU_STREAM_NON_BLOCKING);
    if (r == CUDA_SUCCESS) r = CU(cuMemAlloc)(&p, 4);
    if (r == CUDA_SUCCESS) r = CU(cuMemsetD32Async)(p, 1234, 1, s);
    if (r == CUDA_SUCCESS) r = CU(cuMemcpyDtoHAsync)(result, p, 4, s);
    if (p != 0 && (end = CU(cuMemFree)(p)) != CUDA_SUCCESS && r == CUDA_SUCCESS) r = end;
    if (s != nullptr && (end = CU(cuStreamDestroy)(s)) != CUDA_SUCCESS && r == CUDA_SUCCESS) r = end;
    if ((end = CU(cuCtxPopCurrent)(&c)) != CUDA_SUCCESS && r == CUDA_SUCCESS) r = end;
  }
  end = CU(cuDevicePrimaryCtxRelease)(0);
  return r == CUDA_SUCCESS ? end : r;
}

TEST_F(Errors, SweepOverAllCalls) {
  finish();
  int failed = 0;
  for (int n = 0;; n++) {
    unsigned result = 0;
    ASSERT_LT(n, 100);
    ASSERT_EQ(SIM(sg_sim_configure)(("fault=call:" + std::to_string(n)).c_str()), 0);
    CUresult r = small_job(&result);
    sg_sim_live_info l = live();
    EXPECT_EQ(l.device_bytes + size_t(l.streams) + size_t(l.contexts), 0u) << n;
    if (SIM(sg_sim_calls)() <= uint64_t(n)) {
      EXPECT_EQ(r, CUDA_SUCCESS);
      EXPECT_EQ(result, 1234u);
      break;
    }
    EXPECT_NE(r, CUDA_SUCCESS) << n;
    failed++;
  }
  EXPECT_EQ(failed, 11); /* as many as small_job has calls */
  ASSERT_EQ(SIM(sg_sim_configure)("fault=none"), 0);
}

TEST_F(Errors, WhatIsLeftInAContextIsReported) {
  CUdeviceptr p;
  CUevent e;
  OK(CU(cuCtxSetCurrent)(ctx[3]));
  OK(CU(cuMemAlloc)(&p, 300));
  OK(CU(cuEventCreate)(&e, 0));
  OK(CU(cuStreamDestroy)(stream[3]));
  OK(CU(cuDevicePrimaryCtxRelease)(3));
  expect_failed_check("leak: the context of device 3 ends with 300 bytes of device memory");
  EXPECT_EQ(live().device_bytes, 0u);
  CUcontext c = nullptr;
  OK(CU(cuDevicePrimaryCtxRetain)(&c, 3));
  ctx[3] = c;
  OK(CU(cuCtxSetCurrent)(c));
  OK(CU(cuStreamCreate)(&stream[3], CU_STREAM_NON_BLOCKING));
}

/* In a process of its own: what lives at its end stands in the report file. */
TEST(ErrorsAlone, LeaksAreReportedAtExit) {
  char path[] = "/tmp/simgpu_report_XXXXXX";
  int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  close(fd);
  pid_t child = fork();
  if (child == 0) {
    setenv("MARS_SIMGPU_REPORT", path, 1);
    execl("/proc/self/exe", "leaker", "--gtest_filter=Leaker.DISABLED_Leaks", "--gtest_also_run_disabled_tests", nullptr);
    _exit(99);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  EXPECT_NE(text.find("leak at exit: 4096 bytes of device memory, 1 streams, 1 contexts"), std::string::npos) << text;
  EXPECT_NE(text.find("failed check: "), std::string::npos) << text;
  unlink(path);
}

/* In a process of its own: it ends at the first call, and says why. */
TEST(ErrorsAlone, AnEnvironmentThatIsNotUnderstoodEndsTheProcess) {
  const char *bad[][2] = {{"MARS_SIMGPU_FAULT", "alloc"}, {"MARS_SIMGPU_DEVICES", "many"}, {"MARS_SIMGPU_LINKS", "pcie,none"}};
  for (auto &variable : bad) {
    auto run = [&] {
      setenv(variable[0], variable[1], 1);
      execl("/proc/self/exe", "leaker", "--gtest_filter=Leaker.DISABLED_Leaks", "--gtest_also_run_disabled_tests", nullptr);
      _exit(99);
    };
    EXPECT_EXIT(run(), testing::ExitedWithCode(2), std::string("not understood: ") + (variable[0] + 12) + "=" + variable[1]);
  }
}

TEST(Leaker, DISABLED_Leaks) { /* run by the test before it */
  CUcontext c;
  CUstream s;
  CUdeviceptr p;
  char byte;
  OK(CU(cuInit)(0));
  OK(CU(cuDevicePrimaryCtxRetain)(&c, 0));
  OK(CU(cuCtxSetCurrent)(c));
  OK(CU(cuStreamCreate)(&s, CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAlloc)(&p, 4096));
  OK(CU(cuMemcpyDtoH)(&byte, p, 1)); /* nobody wrote it */
}
