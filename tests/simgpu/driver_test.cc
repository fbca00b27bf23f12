/* The stand-in driver: devices, contexts, memory, streams, events. */
#include "driver_test_util.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

using Driver = Simulated;

static void CUDA_CB set_flag(void *user) { static_cast<std::atomic<int> *>(user)->store(1); }
/* Holds a stream until the flag is set. */
static void CUDA_CB wait_flag(void *user) {
  while (static_cast<std::atomic<int> *>(user)->load() == 0) std::this_thread::yield();
}

TEST(DriverAlone, NothingWorksBeforeInit) {
  int n;
  CUdeviceptr p;
  SIM(sg_sim_reset)();
  EXPECT_EQ(CU(cuDeviceGetCount)(&n), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(CU(cuMemAlloc)(&p, 16), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(CU(cuInit)(1), CUDA_ERROR_INVALID_VALUE);
  ASSERT_EQ(SIM(sg_sim_configure)("devices=0"), 0);
  EXPECT_EQ(CU(cuInit)(0), CUDA_ERROR_NO_DEVICE);
  SIM(sg_sim_reset)();
}

TEST(DriverAlone, ConfigurationIsRefusedWithItsWord) {
  SIM(sg_sim_reset)();
  for (const char *bad : {"devices=x", "colour=red", "links=none,pcie", "fault=alloc", "fault=alloc:1:often", "cc=9", "bytes=3Q"}) {
    EXPECT_EQ(SIM(sg_sim_configure)(bad), -1) << bad;
    EXPECT_NE(std::string(SIM(sg_sim_error)()).find(bad), std::string::npos);
  }
  EXPECT_EQ(SIM(sg_sim_configure)("MARS_SIMGPU_DEVICES=2 links=none,pcie;pcie,none bytes=1G cc=8.0"), 0);
  SIM(sg_sim_reset)();
}

TEST(DriverAlone, SymbolsByVersion) {
  auto get = CU(cuGetProcAddress);
  void *p = nullptr;
  CUdriverProcAddressQueryResult status;
  ASSERT_EQ(get("cuMemAlloc", &p, CUDA_VERSION, 0, &status), CUDA_SUCCESS);
  EXPECT_EQ(p, symbol("libcuda.so.1", "cuMemAlloc_v2"));
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_SUCCESS);
  EXPECT_EQ(get("cuMemAlloc", &p, 2000, 0, &status), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  EXPECT_EQ(get("cuNoSuchThing", &p, CUDA_VERSION, 0, &status), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  EXPECT_EQ(get("cuLaunchKernel", &p, CUDA_VERSION, 0, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(dlsym(library("libcuda.so.1"), "cuMemAlloc"), nullptr); /* 32-bit pointers: nobody's any more */
  const char *text = nullptr;
  EXPECT_EQ(CU(cuGetErrorName)(CUDA_ERROR_ILLEGAL_ADDRESS, &text), CUDA_SUCCESS);
  EXPECT_STREQ(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_EQ(CU(cuGetErrorString)(CUresult(1000), &text), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Driver, DevicesAnswer) {
  char name[64], bus[16];
  int v;
  size_t bytes;
  CUuuid a, b;
  CUdevice dev;
  EXPECT_EQ(devices, 4);
  EXPECT_EQ(CU(cuDeviceGet)(&dev, 4), CUDA_ERROR_INVALID_DEVICE);
  OK(CU(cuDeviceGetName)(name, sizeof name, 3));
  EXPECT_NE(std::string(name).find("Simulated"), std::string::npos);
  OK(CU(cuDeviceTotalMem)(&bytes, 1));
  EXPECT_EQ(bytes, 64u << 20);
  OK(CU(cuDeviceGetAttribute)(&v, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
  EXPECT_EQ(v, 9);
  OK(CU(cuDeviceGetUuid)(&a, 0));
  OK(CU(cuDeviceGetUuid)(&b, 1));
  EXPECT_NE(memcmp(&a, &b, sizeof a), 0);
  OK(CU(cuDeviceGetPCIBusId)(bus, sizeof bus, 2));
  OK(CU(cuDeviceGetByPCIBusId)(&dev, bus));
  EXPECT_EQ(dev, 2);
  EXPECT_EQ(CU(cuDeviceGetAttribute)(&v, CUdevice_attribute(200), 0), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Driver, ContextsStack) {
  CUcontext c = nullptr;
  CUdevice d;
  CUdeviceptr p;
  OK(CU(cuCtxPushCurrent)(ctx[2]));
  OK(CU(cuCtxGetDevice)(&d));
  EXPECT_EQ(d, 2);
  OK(CU(cuCtxPopCurrent)(&c));
  EXPECT_EQ(c, ctx[2]);
  OK(CU(cuCtxGetCurrent)(&c));
  EXPECT_EQ(c, ctx[0]);
  std::thread([&] {
    CUcontext other = ctx[0];
    EXPECT_EQ(CU(cuCtxGetCurrent)(&other), CUDA_SUCCESS);
    EXPECT_EQ(other, nullptr);
    EXPECT_EQ(CU(cuMemAlloc)(&p, 16), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
  unsigned flags;
  int active;
  OK(CU(cuDevicePrimaryCtxGetState)(1, &flags, &active));
  EXPECT_EQ(active, 1);
}

TEST_F(Driver, MemoryIsAccountedAndRunsOut) {
  size_t free0, free1, total;
  CUdeviceptr p, q, base;
  size_t bytes;
  OK(CU(cuMemGetInfo)(&free0, &total));
  EXPECT_EQ(free0, total);
  OK(CU(cuMemAlloc)(&p, 1000));
  OK(CU(cuMemGetInfo)(&free1, &total));
  EXPECT_EQ(free0 - free1, 1024u);
  EXPECT_EQ(p % 256, 0u);
  EXPECT_EQ(CU(cuMemAlloc)(&q, total), CUDA_ERROR_OUT_OF_MEMORY);
  OK(CU(cuMemAlloc)(&q, total - 1024));
  EXPECT_EQ(live().device_bytes, total - 24);
  OK(CU(cuMemGetAddressRange)(&base, &bytes, p + 999));
  EXPECT_EQ(base, p);
  EXPECT_EQ(bytes, 1000u);
  EXPECT_EQ(CU(cuMemAlloc)(&base, 0), CUDA_ERROR_INVALID_VALUE);
  OK(CU(cuMemFree)(q));
  OK(CU(cuMemFree)(p));
  OK(CU(cuMemFree)(0));
  EXPECT_EQ(CU(cuMemFree)(p), CUDA_ERROR_INVALID_VALUE);
  expect_failed_check("cuMemFree of");
}

TEST_F(Driver, CopiesThereAndBack) {
  std::vector<int> a(5000), b(5000, -1);
  CUdeviceptr p, q;
  for (size_t i = 0; i < a.size(); i++) a[i] = int(i * 7);
  size_t n = a.size() * sizeof(int);
  OK(CU(cuMemAlloc)(&p, n));
  OK(CU(cuMemAlloc)(&q, n));
  OK(CU(cuMemcpyHtoD)(p, a.data(), n));
  OK(CU(cuMemcpyDtoD)(q, p, n));
  OK(CU(cuMemcpyDtoH)(b.data(), q, n));
  EXPECT_EQ(a, b);
  OK(CU(cuMemsetD32)(q + 8, 42, 3));
  OK(CU(cuMemcpyDtoH)(b.data(), q, n));
  EXPECT_EQ(b[1], 7);
  EXPECT_EQ(b[2], 42);
  EXPECT_EQ(b[4], 42);
  EXPECT_EQ(b[5], 35);
  EXPECT_EQ(CU(cuMemsetD32)(q + 2, 1, 1), CUDA_ERROR_INVALID_VALUE);
  sg_sim_count_info c;
  SIM(sg_sim_counts)(&c);
  EXPECT_EQ(c.up_bytes, n);
  EXPECT_EQ(c.down_bytes, 2 * n);
  EXPECT_EQ(c.device_bytes, n);
  EXPECT_EQ(CU(cuMemcpyHtoD)(p + 4, a.data(), n), CUDA_ERROR_INVALID_VALUE);
  expect_failed_check("not in one live allocation");
  OK(CU(cuMemFree)(p));
  OK(CU(cuMemFree)(q));
}

TEST_F(Driver, RectanglesWithPitch) {
  constexpr size_t rows = 6, width = 20, pitch = 32;
  char host[rows * pitch], back[rows * width] = {0};
  CUdeviceptr p;
  for (size_t i = 0; i < sizeof host; i++) host[i] = char(i);
  OK(CU(cuMemAlloc)(&p, rows * width));
  CUDA_MEMCPY2D c = {};
  c.srcMemoryType = CU_MEMORYTYPE_HOST;
  c.srcHost = host;
  c.srcPitch = pitch;
  c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  c.dstDevice = p;
  c.dstPitch = width;
  c.WidthInBytes = width;
  c.Height = rows;
  OK(CU(cuMemcpy2DAsync)(&c, stream[0]));
  OK(CU(cuMemcpyDtoHAsync)(back, p, sizeof back, stream[0])); /* pageable: done when it returns */
  for (size_t r = 0; r < rows; r++) EXPECT_EQ(memcmp(back + r * width, host + r * pitch, width), 0) << r;
  c.srcPitch = 8;
  EXPECT_EQ(CU(cuMemcpy2DAsync)(&c, stream[0]), CUDA_ERROR_INVALID_VALUE);
  OK(CU(cuMemFree)(p));
}

TEST_F(Driver, AsynchronousCopiesRunLater) {
  std::atomic<int> gate{0};
  int *pinned;
  CUdeviceptr p;
  OK(CU(cuMemAllocHost)(reinterpret_cast<void **>(&pinned), 4096));
  OK(CU(cuMemAlloc)(&p, 4096));
  pinned[0] = 1;
  OK(CU(cuLaunchHostFunc)(stream[0], wait_flag, &gate));
  OK(CU(cuMemcpyHtoDAsync)(p, pinned, 4096, stream[0]));
  EXPECT_EQ(CU(cuStreamQuery)(stream[0]), CUDA_ERROR_NOT_READY);
  pinned[0] = 2; /* the copy is held up by the host's function, so it sees this */
  gate = 1;
  OK(CU(cuStreamSynchronize)(stream[0]));
  pinned[0] = 0;
  OK(CU(cuMemcpyDtoHAsync)(pinned, p, 4, stream[0]));
  OK(CU(cuStreamSynchronize)(stream[0]));
  EXPECT_EQ(pinned[0], 2);
  OK(CU(cuMemFree)(p));
  OK(CU(cuMemFreeHost)(pinned));
}

TEST_F(Driver, EventsOrderStreams) {
  std::atomic<int> gate{0};
  CUevent e, f;
  CUstream other;
  CUdeviceptr p;
  unsigned got = 0;
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuEventCreate)(&e, 0));
  OK(CU(cuEventCreate)(&f, 0));
  OK(CU(cuEventQuery)(e)); /* never recorded: done */
  OK(CU(cuMemAlloc)(&p, 256));
  OK(CU(cuLaunchHostFunc)(stream[0], wait_flag, &gate));
  OK(CU(cuMemsetD32Async)(p, 5, 64, stream[0]));
  OK(CU(cuEventRecord)(e, stream[0]));
  EXPECT_EQ(CU(cuEventQuery)(e), CUDA_ERROR_NOT_READY);
  OK(CU(cuStreamWaitEvent)(other, e, 0));
  OK(CU(cuMemsetD32Async)(p, 6, 64, other));
  OK(CU(cuEventRecord)(f, other));
  float ms;
  EXPECT_EQ(CU(cuEventElapsedTime)(&ms, e, f), CUDA_ERROR_NOT_READY);
  gate = 1;
  OK(CU(cuEventSynchronize)(f));
  OK(CU(cuEventElapsedTime)(&ms, e, f));
  EXPECT_GE(ms, 0.0f);
  OK(CU(cuMemcpyDtoH)(&got, p, 4));
  EXPECT_EQ(got, 6u);
  EXPECT_EQ(CU(cuEventRecord)(e, stream[1]), CUDA_ERROR_INVALID_HANDLE); /* another context's stream */
  OK(CU(cuEventDestroy)(e));
  OK(CU(cuEventDestroy)(f));
  OK(CU(cuStreamDestroy)(other));
  OK(CU(cuMemFree)(p));
}

TEST_F(Driver, MissingEventIsReported) {
  CUstream other;
  CUdeviceptr p;
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAlloc)(&p, 256));
  OK(CU(cuMemsetD32Async)(p, 5, 64, stream[0]));
  OK(CU(cuMemsetD32Async)(p + 128, 6, 32, other));
  OK(CU(cuCtxSynchronize)());
  expect_failed_check("race: cuMemsetD32Async");
  /* beside one another, or after the host has waited: none */
  OK(CU(cuMemsetD32Async)(p, 5, 32, stream[0]));
  OK(CU(cuMemsetD32Async)(p + 128, 6, 32, other));
  OK(CU(cuStreamSynchronize)(stream[0]));
  OK(CU(cuStreamSynchronize)(other));
  OK(CU(cuMemsetD32Async)(p, 5, 64, other));
  OK(CU(cuStreamSynchronize)(other));
  OK(CU(cuStreamDestroy)(other));
  OK(CU(cuMemFree)(p));
}

TEST_F(Driver, InterleavedColumnsDoNotRace) {
  char *pinned;
  CUstream other;
  CUdeviceptr p;
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAllocHost)(reinterpret_cast<void **>(&pinned), 1024));
  memset(pinned, 1, 1024);
  OK(CU(cuMemAlloc)(&p, 1024));
  CUDA_MEMCPY2D c = {};
  c.srcMemoryType = CU_MEMORYTYPE_HOST;
  c.srcHost = pinned;
  c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  c.srcPitch = c.dstPitch = 64;
  c.WidthInBytes = 32;
  c.Height = 16;
  c.dstDevice = p;
  OK(CU(cuMemcpy2DAsync)(&c, stream[0]));
  c.dstXInBytes = 32;
  OK(CU(cuMemcpy2DAsync)(&c, other));
  OK(CU(cuCtxSynchronize)());
  c.dstXInBytes = 31; /* one column of both */
  OK(CU(cuMemcpy2DAsync)(&c, stream[0]));
  c.dstXInBytes = 0;
  OK(CU(cuMemcpy2DAsync)(&c, other));
  OK(CU(cuCtxSynchronize)());
  expect_failed_check("race: cuMemcpy2DAsync");
  OK(CU(cuStreamDestroy)(other));
  OK(CU(cuMemFree)(p));
  OK(CU(cuMemFreeHost)(pinned));
}

TEST_F(Driver, PinnedSourceChangedTooEarlyIsReported) {
  std::atomic<int> gate{0};
  CUstream other;
  CUevent e;
  int *pinned;
  CUdeviceptr p, q;
  start("devices=1 seed=0");
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuEventCreate)(&e, CU_EVENT_DISABLE_TIMING));
  OK(CU(cuMemAllocHost)(reinterpret_cast<void **>(&pinned), 4096));
  memset(pinned, 0, 4096);
  OK(CU(cuMemAlloc)(&p, 4096));
  OK(CU(cuMemAlloc)(&q, 32 << 20));
  for (int i = 0; i < 4; i++) OK(CU(cuMemsetD32Async)(q, 1, 8 << 20, other)); /* long enough for what follows */
  OK(CU(cuEventRecord)(e, other));
  OK(CU(cuStreamWaitEvent)(stream[0], e, 0));
  OK(CU(cuMemcpyHtoDAsync)(p, pinned, 4096, stream[0]));
  pinned[3] = 9;
  OK(CU(cuStreamSynchronize)(stream[0]));
  expect_failed_check("the host changed its source");
  OK(CU(cuEventDestroy)(e));
  OK(CU(cuStreamDestroy)(other));
  OK(CU(cuMemFree)(p));
  OK(CU(cuMemFree)(q));
  OK(CU(cuMemFreeHost)(pinned));
}

TEST_F(Driver, UnwrittenBytesAreReported) {
  CUdeviceptr p;
  char back[128];
  OK(CU(cuMemAlloc)(&p, 256));
  OK(CU(cuMemsetD8)(p, 1, 32));
  OK(CU(cuMemcpyDtoH)(back, p, 32));
  OK(CU(cuMemcpyDtoH)(back, p, 64)); /* the end of a line: padding */
  EXPECT_EQ(SIM(sg_sim_failed_checks)(nullptr, 0), 0u);
  OK(CU(cuMemcpyDtoH)(back, p, 65));
  expect_failed_check("nobody wrote");
  /* a copy inside the device is as unwritten as its source */
  OK(CU(cuMemsetD8)(p + 128, 2, 128));
  OK(CU(cuMemcpyDtoD)(p + 128, p, 128));
  OK(CU(cuMemcpyDtoH)(back, p + 128, 32));
  EXPECT_EQ(SIM(sg_sim_failed_checks)(nullptr, 0), 0u);
  OK(CU(cuMemcpyDtoH)(back, p + 128, 128));
  expect_failed_check("nobody wrote");
  OK(CU(cuMemsetD8)(p + 40, 3, 8)); /* a hole is no padding */
  OK(CU(cuMemcpyDtoH)(back, p, 64));
  expect_failed_check("nobody wrote");
  OK(CU(cuMemFree)(p));
}

// A chunk that is not full yet may rest in memory that the driver knows: what nobody wrote is unwritten when it comes back.
TEST_F(Driver, UnwrittenBytesRestOnTheHost) {
  CUdeviceptr p, q;
  alignas(64) unsigned char host[256], back[128];
  memset(host, 7, sizeof host);
  OK(CU(cuMemHostRegister)(host, sizeof host, 0));
  OK(CU(cuMemAlloc)(&p, 256));
  OK(CU(cuMemAlloc)(&q, 256));
  OK(CU(cuMemsetD8)(p, 1, 32));
  OK(CU(cuMemcpyDtoH)(host, p, 128));
  EXPECT_EQ(host[31], 1);
  EXPECT_EQ(host[32], 0xcb); /* seen by whoever uses it */
  EXPECT_EQ(host[127], 0xcb);
  EXPECT_EQ(host[128], 7);
  memset(host + 64, 5, 8); /* the host fills some of it */
  OK(CU(cuMemcpyHtoD)(q, host, 256));
  OK(CU(cuMemcpyDtoH)(back, q + 64, 8));
  OK(CU(cuMemcpyDtoH)(back, q + 128, 128)); /* never was a device's */
  EXPECT_EQ(SIM(sg_sim_failed_checks)(nullptr, 0), 0u);
  OK(CU(cuMemcpyDtoH)(back, q + 72, 8));
  expect_failed_check("nobody wrote");
  /* once it was full it is full */
  OK(CU(cuMemsetD8)(p, 1, 256));
  OK(CU(cuMemcpyDtoH)(host, p, 256));
  memset(host, 0xcb, sizeof host);
  OK(CU(cuMemcpyHtoD)(q, host, 256));
  OK(CU(cuMemcpyDtoH)(back, q + 72, 8));
  EXPECT_EQ(SIM(sg_sim_failed_checks)(nullptr, 0), 0u);
  OK(CU(cuMemHostUnregister)(host));
  OK(CU(cuMemFree)(p));
  OK(CU(cuMemFree)(q));
}

TEST_F(Driver, LegacyStreamWaitsForBlockingOnes) {
  std::atomic<int> gate{0};
  CUstream blocking;
  CUdeviceptr p;
  unsigned got[2] = {0, 0};
  OK(CU(cuStreamCreate)(&blocking, CU_STREAM_DEFAULT));
  OK(CU(cuMemAlloc)(&p, 8));
  OK(CU(cuLaunchHostFunc)(blocking, wait_flag, &gate));
  OK(CU(cuMemsetD32Async)(p, 1, 2, blocking));
  OK(CU(cuMemsetD32)(p, 2, 1)); /* default stream: after it, and not waited for */
  EXPECT_EQ(CU(cuStreamQuery)(nullptr), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(CU(cuStreamQuery)(stream[0]), CUDA_SUCCESS);
  gate = 1;
  OK(CU(cuMemsetD32Async)(p + 4, 3, 1, blocking)); /* after the default stream's */
  OK(CU(cuStreamSynchronize)(blocking));
  OK(CU(cuMemcpyDtoH)(got, p, 8));
  EXPECT_EQ(got[0], 2u);
  EXPECT_EQ(got[1], 3u);
  OK(CU(cuStreamDestroy)(blocking));
  OK(CU(cuMemFree)(p));
}

TEST_F(Driver, StreamOrderedPools) {
  std::atomic<int> gate{0};
  CUmemoryPool pool, own;
  CUdeviceptr p, q, r;
  cuuint64_t used = 0;
  OK(CU(cuDeviceGetDefaultMemPool)(&pool, 0));
  OK(CU(cuMemAllocAsync)(&p, 40 << 20, stream[0]));
  OK(CU(cuMemPoolGetAttribute)(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  EXPECT_EQ(used, 40u << 20);
  EXPECT_EQ(CU(cuMemAllocAsync)(&q, 40 << 20, stream[0]), CUDA_ERROR_OUT_OF_MEMORY);
  OK(CU(cuMemsetD8Async)(p, 1, 40 << 20, stream[0]));
  OK(CU(cuMemFreeAsync)(p, stream[0]));
  EXPECT_EQ(CU(cuMemFreeAsync)(p, stream[0]), CUDA_ERROR_INVALID_VALUE);
  expect_failed_check("no live allocation");
  OK(CU(cuMemAllocAsync)(&q, 40 << 20, stream[0])); /* behind the free */
  EXPECT_NE(q, p);                                  /* or a stale pointer would not be seen */
  OK(CU(cuMemsetD8Async)(q, 2, 1 << 20, stream[0]));
  OK(CU(cuMemFreeAsync)(q, stream[0]));
  CUmemPoolProps props = {};
  props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  props.location = {CU_MEM_LOCATION_TYPE_DEVICE, {0}};
  props.maxSize = 4096;
  OK(CU(cuMemPoolCreate)(&own, &props));
  OK(CU(cuMemAllocFromPoolAsync)(&r, 4096, own, stream[0]));
  EXPECT_EQ(CU(cuMemAllocFromPoolAsync)(&p, 1, own, stream[0]), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(live().pools, 1);
  OK(CU(cuMemFreeAsync)(r, stream[0]));
  OK(CU(cuStreamSynchronize)(stream[0]));
  OK(CU(cuMemPoolDestroy)(own));
  EXPECT_EQ(live().device_bytes, 0u);
}

// What has been freed is the pool's until somebody waits; then what is more than its threshold is the device's again.
TEST_F(Driver, PoolsKeepWhatTheirThresholdSays) {
  const auto pool_bytes = [](CUmemoryPool pool, CUmemPool_attribute what) {
    cuuint64_t bytes = 0;
    EXPECT_EQ(CU(cuMemPoolGetAttribute)(pool, what, &bytes), CUDA_SUCCESS);
    return bytes;
  };
  const auto free_bytes = [] {
    size_t free = 0, total = 0;
    EXPECT_EQ(CU(cuMemGetInfo)(&free, &total), CUDA_SUCCESS);
    return free;
  };
  const size_t all = free_bytes(), big = 40 << 20;
  cuuint64_t threshold = 10 << 20, zero = 0;
  CUmemoryPool pool;
  CUdeviceptr p, other;
  OK(CU(cuDeviceGetDefaultMemPool)(&pool, 0));
  OK(CU(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &zero));
  OK(CU(cuMemAllocAsync)(&p, big, stream[0]));
  OK(CU(cuMemFreeAsync)(p, stream[0]));
  while (CU(cuStreamQuery)(stream[0]) == CUDA_ERROR_NOT_READY) {}
  EXPECT_EQ(pool_bytes(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0u);
  EXPECT_EQ(pool_bytes(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), big);
  EXPECT_EQ(free_bytes(), all - big);
  EXPECT_EQ(CU(cuMemAlloc)(&other, big), CUDA_ERROR_OUT_OF_MEMORY);
  OK(CU(cuMemAllocAsync)(&p, big, stream[0])); /* the same again */
  OK(CU(cuMemFreeAsync)(p, stream[0]));
  OK(CU(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
  OK(CU(cuStreamSynchronize)(stream[0]));
  EXPECT_EQ(pool_bytes(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), threshold);
  EXPECT_EQ(pool_bytes(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), big);
  EXPECT_EQ(free_bytes(), all - threshold);
  OK(CU(cuMemPoolTrimTo)(pool, 4096));
  EXPECT_EQ(free_bytes(), all - 4096);
  OK(CU(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &zero));
  OK(CU(cuCtxSynchronize)());
  EXPECT_EQ(free_bytes(), all);
}

TEST_F(Driver, PoolMemoryOnAnotherStreamNeedsOrder) {
  CUstream other;
  CUdeviceptr p;
  OK(CU(cuStreamCreate)(&other, CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAllocAsync)(&p, 1024, stream[0]));
  OK(CU(cuMemsetD8Async)(p, 1, 1024, other)); /* nothing says that the allocation is before */
  OK(CU(cuCtxSynchronize)());
  expect_failed_check("race: ");
  OK(CU(cuMemFreeAsync)(p, stream[0]));
  OK(CU(cuStreamSynchronize)(stream[0]));
  OK(CU(cuStreamDestroy)(other));
}

TEST_F(Driver, HostMemoryIsRegisteredOnce) {
  std::vector<char> host(100000, 3);
  CUdeviceptr p;
  unsigned type = 0;
  void *data[2];
  CUpointer_attribute what[2] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
  int ordinal = 0;
  OK(CU(cuMemHostRegister)(host.data(), host.size(), CU_MEMHOSTREGISTER_PORTABLE));
  EXPECT_EQ(CU(cuMemHostRegister)(host.data() + 10, 20, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  EXPECT_EQ(live().registered_bytes, host.size());
  OK(CU(cuMemHostGetDevicePointer)(&p, host.data() + 5, 0));
  EXPECT_EQ(p, CUdeviceptr(host.data() + 5));
  OK(CU(cuPointerGetAttribute)(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
  EXPECT_EQ(type, unsigned(CU_MEMORYTYPE_HOST));
  OK(CU(cuMemHostUnregister)(host.data()));
  EXPECT_EQ(CU(cuMemHostUnregister)(host.data()), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  EXPECT_EQ(CU(cuPointerGetAttribute)(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p), CUDA_ERROR_INVALID_VALUE);
  data[0] = &type, data[1] = &ordinal;
  OK(CU(cuPointerGetAttributes)(2, what, data, p));
  EXPECT_EQ(type, 0u);
  EXPECT_EQ(ordinal, -2);
  OK(CU(cuMemAlloc)(&p, 16));
  OK(CU(cuPointerGetAttributes)(2, what, data, p));
  EXPECT_EQ(type, unsigned(CU_MEMORYTYPE_DEVICE));
  EXPECT_EQ(ordinal, 0);
  OK(CU(cuMemFree)(p));
}

TEST_F(Driver, HostFunctionsMayNotCallTheDriver) {
  CUresult inside = CUDA_SUCCESS;
  auto fn = [](void *user) {
    size_t a, b;
    *static_cast<CUresult *>(user) = CU(cuMemGetInfo)(&a, &b);
  };
  OK(CU(cuLaunchHostFunc)(stream[0], fn, &inside));
  OK(CU(cuStreamSynchronize)(stream[0]));
  EXPECT_EQ(inside, CUDA_ERROR_NOT_PERMITTED);
  expect_failed_check("cuLaunchHostFunc");
  std::atomic<int> flag{0};
  OK(CU(cuLaunchHostFunc)(stream[0], set_flag, &flag));
  OK(CU(cuStreamSynchronize)(stream[0]));
  EXPECT_EQ(flag, 1);
}

TEST_F(Driver, DestroyedStreamsFinishTheirWork) {
  CUstream s;
  CUdeviceptr p;
  std::atomic<int> gate{0}, after{0};
  unsigned got = 0;
  OK(CU(cuStreamCreate)(&s, CU_STREAM_NON_BLOCKING));
  OK(CU(cuMemAlloc)(&p, 4));
  OK(CU(cuLaunchHostFunc)(s, wait_flag, &gate));
  OK(CU(cuMemsetD32Async)(p, 77, 1, s));
  OK(CU(cuStreamDestroy)(s));
  EXPECT_EQ(CU(cuStreamQuery)(s), CUDA_ERROR_INVALID_HANDLE);
  expect_failed_check("stream that does not exist");
  gate = 1;
  OK(CU(cuCtxSynchronize)());
  OK(CU(cuMemcpyDtoH)(&got, p, 4));
  EXPECT_EQ(got, 77u);
  OK(CU(cuMemFree)(p));
}
