// Side by side with other software on CUDA devices: tensors in and out by DLPack in their memory, the caller's streams, the caller's current
// context; and what can be seen from the caller's stream of how work is queued. It runs on the simulated platform or a real device, and is
// skipped where there is none.
#include "tests/cuda_sim.h"
#include "tests/interop_util.h"

#include <atomic>
#include <cuda.h>
#include <dlfcn.h>
#include <functional>
#include <thread>

using namespace interop;

namespace {

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

TEST_F(Cuda, DeviceMemoryInAndOut) {
  const size_t n = 200 * 300;
  std::vector<float> v(n);
  for (size_t i = 0; i < n; i++) v[i] = (float)(i % 1013);
  CUdeviceptr p = device_floats(v);
  Producer &in = producer((void *)(uintptr_t)p, 2, 32, std::vector<int64_t>{300, 100}); // every second column of the transpose
  in.t.device_type = MX_DL_CUDA;
  in.strides = {2, 600};
  DLManagedTensor *out = nullptr;
  mars_error err = {};
  {
    Scope scope(s);
    mars_tensor *t = mars_from_dlpack(s, in.give());
    ASSERT_TRUE(ok(mars_to_dlpack(mars_add(mars_mul(t, t), mars_int(s, 1)), "cuda:0", &out, &err), err));
    double sum = 0, want = 0;
    ASSERT_TRUE(ok(mars_fetch(mars_sum(mars_astype(t, MARS_F64), MARS_ALL), &sum, sizeof sum, &err), err));
    for (int64_t i = 0; i < 300; i++)
      for (int64_t j = 0; j < 100; j++) want += v[(size_t)(2 * i + 600 * j)];
    EXPECT_EQ(sum, want);
    EXPECT_EQ(in.deleted, 0);
  }
  settle(s);
  EXPECT_EQ(in.deleted, 1);
  ASSERT_EQ(out->tensor.device_type, MX_DL_CUDA);
  EXPECT_EQ(out->tensor.device_id, 0);
  std::vector<float> got = floats_of(out->tensor, 30000);
  for (int64_t i = 0; i < 300; i++)
    for (int64_t j = 0; j < 100; j++) {
      float x = v[(size_t)(2 * i + 600 * j)];
      ASSERT_EQ(got[(size_t)(i * 100 + j)], x * x + 1);
    }
  // and what was given away comes back in without the host
  {
    Scope scope(s);
    float last = 0;
    mars_slice end[] = {{MARS_SLICE_INTEGER, 299, 0, 0}, {MARS_SLICE_INTEGER, 99, 0, 0}};
    ASSERT_TRUE(ok(mars_fetch(mars_index(mars_from_dlpack(s, out), end, 2), &last, sizeof last, &err), err));
    EXPECT_EQ(last, got[29999]);
  }
  OK(CU(cuMemFree)(p));
}

// The versioned struct: in, read-only and turned; out, flagged as a copy; and what went out comes back in.
TEST_F(Cuda, DeviceMemoryInVersionedStructs) {
  std::vector<float> v(70 * 90);
  for (size_t i = 0; i < v.size(); i++) v[i] = (float)(i % 877);
  CUdeviceptr p = device_floats(v);
  Producer &in = producer((void *)(uintptr_t)p, 2, 32, std::vector<int64_t>{90, 70}), &future = producer((void *)(uintptr_t)p, 2, 32, std::vector<int64_t>{90, 70});
  in.t.device_type = future.t.device_type = MX_DL_CUDA;
  in.strides = {1, 90};
  DLManagedTensorVersioned *out = nullptr;
  mars_error err = {};
  {
    Scope scope(s);
    mars_tensor *t = mars_from_dlpack_versioned(s, in.give_versioned(1, MX_DL_READ_ONLY));
    ASSERT_TRUE(ok(mars_to_dlpack_versioned(mars_add(t, mars_int(s, 1)), "cuda:0", &out, &err), err));
    EXPECT_EQ(in.deleted, 0);
  }
  settle(s);
  EXPECT_EQ(in.deleted, 1);
  EXPECT_EQ(out->major, 1u);
  EXPECT_EQ(out->flags, (uint64_t)MX_DL_IS_COPIED);
  ASSERT_EQ(out->tensor.device_type, MX_DL_CUDA);
  EXPECT_EQ(out->tensor.device_id, 0);
  std::vector<float> got = floats_of(out->tensor, v.size());
  for (size_t i = 0; i < 90; i++)
    for (size_t j = 0; j < 70; j++) ASSERT_EQ(got[i * 70 + j], v[i + 90 * j] + 1) << i << " " << j;
  {
    Scope scope(s);
    float last = 0;
    mars_slice end[] = {{MARS_SLICE_INTEGER, 89, 0, 0}, {MARS_SLICE_INTEGER, 69, 0, 0}};
    ASSERT_TRUE(ok(mars_fetch(mars_index(mars_from_dlpack_versioned(s, out), end, 2), &last, sizeof last, &err), err));
    EXPECT_EQ(last, got.back());
  }
  EXPECT_TRUE(is_error(mars_from_dlpack_versioned(s, future.give_versioned(2)), MARS_E_UNSUPPORTED, {"version 2.7"}));
  EXPECT_EQ(future.deleted, 1);
  OK(CU(cuMemFree)(p));
}

// Elements that are more than 4 GiB apart: kernels whose offsets have 64 bits, those that go by tiles in shared memory, too. With 32 bits
// they would read what nobody wrote, which the simulated platform reports.
TEST_F(Cuda, ElementsFarApart) {
  const int64_t rows = 40, columns = 60, apart = (int64_t)30 << 20; // of elements: 39 * 120 MiB = 4.6 GiB from the first row to the last
  size_t room = 0, all = 0;
  OK(CU(cuMemGetInfo)(&room, &all));
  if (room < (size_t)5 << 30) GTEST_SKIP() << "a device of " << room << " free bytes";
  CUdeviceptr p = 0;
  OK(CU(cuMemAlloc)(&p, (size_t)(rows * apart) * 4));
  std::vector<float> row((size_t)columns);
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) row[(size_t)j] = (float)(i * columns + j);
    OK(CU(cuMemcpyHtoD)(p + (CUdeviceptr)(i * apart) * 4, row.data(), row.size() * 4));
  }
  for (bool turned : {false, true}) {
    for (bool backwards : {false, true}) {
      SCOPED_TRACE(std::string(turned ? "turned" : "as it lies") + (backwards ? ", rows from below" : ""));
      std::vector<int64_t> shape = {rows, columns}, strides = {backwards ? -apart : apart, 1};
      if (turned) std::swap(shape[0], shape[1]), std::swap(strides[0], strides[1]);
      Producer &in = producer((void *)(uintptr_t)p, 2, 32, shape);
      in.t.device_type = MX_DL_CUDA;
      in.strides = strides;
      if (backwards) in.t.byte_offset = (uint64_t)((rows - 1) * apart) * 4;
      Scope scope(s);
      DLManagedTensor *out = nullptr;
      mars_error err = {};
      mars_tensor *t = mars_from_dlpack(s, in.give());
      ASSERT_TRUE(ok(mars_to_dlpack(mars_mul(t, mars_int(s, 3)), "cuda:0", &out, &err), err));
      const std::vector<float> got = floats_of(out->tensor, (size_t)(rows * columns));
      out->deleter(out);
      for (int64_t k = 0; k < rows * columns; k++) {
        const int64_t at = turned ? k % rows : k / columns, j = turned ? k / rows : k % columns, i = backwards ? rows - 1 - at : at;
        ASSERT_EQ(got[(size_t)k], 3.0f * (float)(i * columns + j)) << k;
      }
      double sum = 0;
      ASSERT_TRUE(ok(mars_fetch(mars_sum(mars_astype(t, MARS_F64), MARS_ALL), &sum, sizeof sum, &err), err));
      EXPECT_EQ(sum, (double)(rows * columns) * (double)(rows * columns - 1) / 2);
    }
  }
  settle(s);
  OK(CU(cuMemFree)(p));
}

// From a file to the device and back: the arena, which the store reads into, is registered once with the driver, and copies go from there and to
// there, through no other pinned memory.
TEST_F(Cuda, FilesReachTheDeviceThroughTheArenaAlone) {
  if (!cuda_sim_is_used()) GTEST_SKIP() << "a real driver does not tell";
  TempDir dir;
  mars_error err = {};
  const int64_t n = 1500000; // 6 MB
  const std::string x = dir.file("x.npy"), y = dir.file("y.npy");
  ASSERT_TRUE(ok(mars_save_npy(mars_arange(s, MARS_F32, 0, (double)n, 1), x.c_str(), &err), err));
  ASSERT_TRUE(ok(mars_save_npy(mars_add(mars_from_npy(s, x.c_str()), mars_int(s, 1)), y.c_str(), &err), err));
  size_t device = 0, pinned = 0, registered = 0;
  cuda_sim_live(text, sizeof text);
  ASSERT_EQ(sscanf(text, "%zu device, %zu pinned, %zu registered", &device, &pinned, &registered), 3) << text;
  EXPECT_EQ(registered, 8 * MiB) << text;
  EXPECT_LT(pinned, 64 * 1024u) << text;
  double last = 0;
  mars_slice end = {MARS_SLICE_INTEGER, n - 1, 0, 0};
  ASSERT_TRUE(ok(mars_fetch(mars_astype(mars_index(mars_from_npy(s, y.c_str()), &end, 1), MARS_F64), &last, sizeof last, &err), err));
  EXPECT_EQ(last, (double)n);
}

// With all streams stopped, so that no copy ends, a fourth one is queued behind the first three: of a file, and of the caller's memory, which the
// host puts into chunks first.
TEST_F(Cuda, SeveralCopiesAreUnderWay) {
  if (!cuda_sim_is_used()) GTEST_SKIP() << "it takes the simulated platform's faults to see it";
  mars_error err = {};
  TempDir dir;
  const std::string file = dir.file("x.npy");
  const int64_t n = 400000; // 13 chunks
  std::vector<float> v((size_t)n, 2.0f);
  ASSERT_TRUE(ok(mars_save_npy(mars_full(s, MARS_F32, MARS_SHAPE(n), mars_float(s, 2)), file.c_str(), &err), err));
  for (bool from_file : {true, false}) {
    SCOPED_TRACE(from_file ? "file" : "memory");
    mars_session_config c;
    mars_session_config_init(&c);
    c.devices = "cuda:0", c.host_budget_bytes = 8 * MiB, c.device_budget_bytes = 4 * MiB, c.chunk_elements = 32768;
    mars_session *t = nullptr; // each loses its device
    ASSERT_TRUE(ok(mars_session_create(&c, &t, &err), err));
    Gate gate;
    double sum = 0;
    ASSERT_TRUE(ok(mars_set_stream(t, "cuda:0", stream, &err), err));
    OK(CU(cuLaunchHostFunc)(stream, Gate::pass, &gate));
    const uint64_t faults = cuda_sim_faults();
    ASSERT_TRUE(cuda_sim_configure("fault=copy:3"));
    mars_output out = {};
    mars_tensor *x = from_file ? mars_from_npy(t, file.c_str()) : mars_from_memory(t, MARS_F32, MARS_SHAPE(n), nullptr, v.data(), nullptr, nullptr);
    out.tensor = mars_sum(mars_astype(mars_sqrt(mars_multiply(x, x)), MARS_F64), MARS_ALL), out.sink = MARS_SINK_MEMORY, out.data = &sum, out.bytes = sizeof sum;
    mars_job *job = nullptr;
    ASSERT_TRUE(ok(mars_submit(t, &out, 1, &job, &err), err));
    for (int i = 0; i < 10000 && cuda_sim_faults() == faults; i++) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(cuda_sim_faults(), faults + 1) << "the fourth copy waits for those before it";
    gate.open = true;
    EXPECT_TRUE(ok(mars_wait(job, &err), err)); // without the device, in the end
    mars_job_release(job);
    EXPECT_EQ(sum, 800000);
    ASSERT_TRUE(cuda_sim_configure("fault="));
    mars_session_destroy(t);
  }
}

// Kernels stand still until they are let on, copies likewise: then one computes while what comes after it is on its way up and what was
// before it on its way down, neither of which has ended.
TEST_F(Cuda, ComputingOverlapsCopies) {
  if (!cuda_sim_is_used()) GTEST_SKIP() << "a real driver does not hold copies";
  mars_error err = {};
  const unsigned chunks = 40; // 5 MiB up and 5 MiB down, with 4 MiB of the device
  const int64_t n = chunks * 32768;
  void *memory = nullptr;
  OK(CU(cuMemHostAlloc)(&memory, 64, CU_MEMHOSTALLOC_PORTABLE));
  volatile unsigned *told = (volatile unsigned *)memory; // [0] kernels that have begun, [1] that may end
  told[0] = told[1] = 0;
  const std::string source = "extern \"C\" __global__ void standing(mars_chunk c, const float *x, float *y) {\n"
                             "  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;\n"
                             "  volatile unsigned *told = (volatile unsigned *)" + std::to_string((uintptr_t)memory) + "ull;\n"
                             "  if (i == 0) {\n"
                             "    unsigned number = told[0] + 1;\n"
                             "    told[0] = number;\n"
                             "    while (told[1] < number) {}\n"
                             "  }\n"
                             "  if (i < c.count) y[i] = x[i] + 1;\n"
                             "}\n";
  const mars_kernel_operand in = {MARS_F32, MARS_OPERAND_CHUNK};
  const mars_dtype of = MARS_F32;
  mars_kernel k = {};
  k.name = k.entry = "standing", k.n_in = k.n_out = 1, k.in = &in, k.out = &of, k.source = source.c_str();
  TempDir dir;
  const std::string file = dir.file("x.npy");
  ASSERT_TRUE(ok(mars_save_npy(mars_arange(s, MARS_F32, 0, (double)n, 1), file.c_str(), &err), err));
  std::vector<float> y((size_t)n);
  mars_tensor *x = mars_from_npy(s, file.c_str()), *made = nullptr;
  mars_kernel_apply(s, &k, &x, &made);
  mars_output out = {};
  out.tensor = made, out.sink = MARS_SINK_MEMORY, out.data = y.data(), out.bytes = y.size() * sizeof y[0];
  mars_job *job = nullptr;
  ASSERT_TRUE(ok(mars_submit(s, &out, 1, &job, &err), err));
  auto begins = [&](unsigned i, int most_ms) {
    for (int ms = 0; ms < most_ms && told[0] < i; ms++) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return told[0] >= i;
  };
  bool both = false;
  for (unsigned i = 1; i < chunks && !both; i++) {
    EXPECT_TRUE(begins(i, 20000)) << "kernel " << i;
    std::this_thread::sleep_for(std::chrono::milliseconds(10)); // in which what the next one works on may come up
    cuda_sim_hold_copies(true);
    told[1] = i; // its result is to go down, and its room is for what goes up
    if (!begins(i + 1, 300)) { // what it works on has not come up yet
      cuda_sim_hold_copies(false);
      continue;
    }
    int up = 0, down = 0;
    for (int ms = 0; ms < 100 && !both; ms++) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      cuda_sim_held_copies(&up, &down);
      both = up > 0 && down > 0;
    }
    EXPECT_EQ(told[0], i + 1);
    EXPECT_EQ(told[1], i); // it has not ended
    cuda_sim_hold_copies(false);
  }
  EXPECT_TRUE(both) << "no kernel during which data were on their way up and down";
  told[1] = ~0u;
  EXPECT_TRUE(ok(mars_wait(job, &err), err));
  mars_job_release(job);
  for (int64_t i = 0; i < n; i += 1021) ASSERT_EQ(y[(size_t)i], (float)i + 1);
  OK(CU(cuMemFreeHost)(memory));
}

TEST_F(Cuda, ExportsAreInTheDevicesBudget) {
  mars_error err = {};
  DLManagedTensor *a = nullptr, *b = nullptr, *c = nullptr;
  mars_tensor *x = mars_random_uniform(s, MARS_F32, MARS_SHAPE(600000), 0, 1); // 2.4 MB of 4 MiB
  ASSERT_TRUE(ok(mars_to_dlpack(x, "cuda:0", &a, &err), err));
  EXPECT_TRUE(says(mars_to_dlpack(x, "cuda:0", &b, &err), err, MARS_E_BUDGET, {"2400000 bytes", "cuda:0", "4194304"}));
  ASSERT_TRUE(ok(mars_to_dlpack(x, "host", &c, &err), err)); // jobs go round it
  std::vector<float> got = floats_of(a->tensor, 600000);
  EXPECT_EQ(memcmp(got.data(), c->tensor.data, 2400000), 0);
  a->deleter(a);
  ASSERT_TRUE(ok(mars_to_dlpack(x, "cuda:0", &b, &err), err));
  b->deleter(b);
  c->deleter(c);
}

TEST_F(Cuda, KeptCopiesOnTheDeviceMakeWay) {
  mars_error err = {};
  mars_tensor *k = mars_add(mars_arange(s, MARS_F32, 0, 500000, 1), mars_float(s, 1)); // 2 MB, kept on host and device
  ASSERT_TRUE(ok(mars_run(s, &k, 1, &err), err));
  DLManagedTensor *a = nullptr;
  ASSERT_TRUE(ok(mars_to_dlpack(mars_arange(s, MARS_F32, 0, 800000, 1), "cuda:0", &a, &err), err));
  Array kept = fetched(k);
  for (int64_t i = 0; i < 500000; i += 101) ASSERT_EQ(kept.get(i).re, (double)i + 1);
  std::vector<float> got = floats_of(a->tensor, 800000);
  for (size_t i = 0; i < 800000; i += 103) ASSERT_EQ(got[i], (float)i);
  a->deleter(a);
}

// The caller queues a copy into its tensor and does not wait; the job begins behind it. What it queues after that comes after.
TEST_F(Cuda, JobsRunBehindTheCallersStream) {
  const size_t n = 100000;
  mars_error err = {};
  float *pinned = nullptr;
  OK(CU(cuMemHostAlloc)((void **)&pinned, n * 4, 0));
  CUdeviceptr p = 0;
  OK(CU(cuMemAlloc)(&p, n * 4));
  ASSERT_TRUE(ok(mars_set_stream(s, "cuda:0", stream, &err), err));
  for (int round = 0; round < 3; round++) {
    Scope scope(s);
    Producer &in = producer((void *)(uintptr_t)p, 2, 32, std::vector<int64_t>{(int64_t)n});
    in.t.device_type = MX_DL_CUDA;
    OK(CU(cuStreamSynchronize)(stream));
    for (size_t i = 0; i < n; i++) pinned[i] = (float)((i * 7 + (size_t)round) % 100);
    double want = 0, sum = 0;
    for (size_t i = 0; i < n; i++) want += pinned[i];
    OK(CU(cuMemcpyHtoDAsync)(p, pinned, n * 4, stream));
    mars_tensor *t = mars_from_dlpack(s, in.give());
    ASSERT_TRUE(ok(mars_fetch(mars_sum(mars_astype(t, MARS_F64), MARS_ALL), &sum, sizeof sum, &err), err));
    EXPECT_EQ(sum, want);
    OK(CU(cuMemsetD8Async)(p, 0, n * 4, stream)); // no wait: it comes after the job that read it
  }
  // deleted while the caller's copy out of it is still in the stream: the next job that takes its place waits
  for (int round = 0; round < 3; round++) {
    DLManagedTensor *out = nullptr;
    ASSERT_TRUE(ok(mars_to_dlpack(mars_full(s, MARS_F32, MARS_SHAPE((int64_t)n), mars_float(s, round)), "cuda:0", &out, &err), err));
    OK(CU(cuMemcpyDtoHAsync)(pinned, (CUdeviceptr)(uintptr_t)out->tensor.data, n * 4, stream));
    out->deleter(out);
    ASSERT_TRUE(ok(mars_to_dlpack(mars_full(s, MARS_F32, MARS_SHAPE((int64_t)n), mars_float(s, 77)), "cuda:0", &out, &err), err));
    OK(CU(cuStreamSynchronize)(stream));
    for (size_t i = 0; i < n; i += 61) ASSERT_EQ(pinned[i], (float)round);
    out->deleter(out);
  }
  // and not any more when the stream is taken away
  ASSERT_TRUE(ok(mars_set_stream(s, "cuda:0", MARS_NO_STREAM, &err), err));
  OK(CU(cuStreamSynchronize)(stream));
  OK(CU(cuMemFree)(p));
  OK(CU(cuMemFreeHost)(pinned));
}

TEST_F(Cuda, MemoryThatComesBackIsWaitedFor) {
  const auto made_here = [this](int64_t n) { return mars_full(s, MARS_F32, MARS_SHAPE(n), mars_float(s, 7)); };
  memory_comes_back_behind_the_stream(made_here, false);
  memory_comes_back_behind_the_stream(made_here, true); // by jobs that were submitted before, too
}

// Two devices that reach each other by NCCL alone, whose streams are its own.
class CudaPair : public Cuda {
protected:
  const char *devices() const override { return "cuda:0,cuda:1"; }
  void SetUp() override {
    Config c = small_config();
    c.devices = "cuda:0";
    mars_session *first = nullptr;
    mars_error err = {};
    if (open_session(c, &first, &err) != MARS_OK) GTEST_SKIP() << err.message;
    mars_session_destroy(first);
    if (!cuda_sim_is_used() || !cuda_sim_configure("devices=2 links=none")) GTEST_SKIP() << "devices without links are the simulated platform's";
    Cuda::SetUp();
  }
  void TearDown() override {
    Cuda::TearDown();
    cuda_sim_reset();
  }
};

TEST_F(CudaPair, MemoryThatComesBackIsWaitedForByNccl) {
  mars_error err = {};
  mars_tensor *there = mars_to_device(mars_arange(s, MARS_F32, 0, 900000, 1), "cuda:1");
  ASSERT_TRUE(ok(mars_run(s, &there, 1, &err), err));
  uint64_t calls = cuda_sim_nccl_calls();
  int times = 0;
  const auto made_there = [&](int64_t) { return mars_to_device(mars_add(there, mars_float(s, times++)), "cuda:0"); };
  for (bool submit_first : {false, true}) {
    memory_comes_back_behind_the_stream(made_there, submit_first);
    EXPECT_GT(cuda_sim_nccl_calls(), calls + 20);
    calls = cuda_sim_nccl_calls();
  }
}

TEST_F(Cuda, TheCallersContextStaysWhatItWas) {
  CUcontext others[] = {nullptr, ctx};
  CUdeviceptr p = device_floats(std::vector<float>(64, 3.0f));
  auto use = [&](CUcontext mine) { // on a thread of its own, whose current context is this one, or none
    CUcontext now = nullptr;
    if (mine != nullptr) {
      OK(CU(cuCtxPushCurrent)(mine));
    }
    auto unchanged = [&](const char *after) {
      OK(CU(cuCtxGetCurrent)(&now));
      EXPECT_EQ(now, mine) << after;
    };
    mars_session *t = nullptr;
    mars_error err = {};
    mars_session_config c;
    mars_session_config_init(&c);
    c.devices = "cuda:0";
    c.device_budget_bytes = MiB;
    c.host_budget_bytes = 2 * MiB;
    ASSERT_TRUE(ok(mars_session_create(&c, &t, &err), err));
    unchanged("mars_session_create");
    mars_session_info info;
    mars_session_get_info(t, &info);
    unchanged("mars_session_get_info");
    ASSERT_TRUE(ok(mars_set_stream(t, "cuda:0", stream, &err), err));
    unchanged("mars_set_stream");
    Producer &in = producer((void *)(uintptr_t)p, 2, 32, std::vector<int64_t>{64});
    in.t.device_type = MX_DL_CUDA;
    mars_tensor *x = mars_from_dlpack(t, in.give());
    unchanged("mars_from_dlpack");
    mars_tensor *y = mars_mul(x, x);
    float v[64];
    ASSERT_TRUE(ok(mars_run(t, &y, 1, &err), err));
    unchanged("mars_run");
    mars_output o = {};
    o.tensor = mars_add(y, x), o.sink = MARS_SINK_MEMORY, o.data = v, o.bytes = sizeof v;
    mars_job *job = nullptr;
    ASSERT_TRUE(ok(mars_submit(t, &o, 1, &job, &err), err));
    unchanged("mars_submit");
    ASSERT_TRUE(ok(mars_wait(job, &err), err));
    unchanged("mars_wait");
    mars_job_release(job);
    unchanged("mars_job_release");
    EXPECT_EQ(v[5], 12.0f);
    ASSERT_TRUE(ok(mars_fetch(y, v, sizeof v, &err), err));
    unchanged("mars_fetch");
    char *plan = nullptr;
    o.tensor = mars_sub(y, x);
    ASSERT_TRUE(ok(mars_explain(t, &o, 1, MARS_EXPLAIN_TEXT, &plan, &err), err));
    unchanged("mars_explain");
    mars_text_free(t, plan);
    DLManagedTensor *out = nullptr;
    ASSERT_TRUE(ok(mars_to_dlpack(y, "cuda:0", &out, &err), err));
    unchanged("mars_to_dlpack");
    mars_session_destroy(t);
    unchanged("mars_session_destroy");
    EXPECT_EQ(in.deleted, 1);
    out->deleter(out);
    unchanged("the deleter, which ends the session");
    if (mine != nullptr) {
      OK(CU(cuCtxPopCurrent)(&now));
    }
  };
  for (CUcontext mine : others) std::thread(use, mine).join();
  OK(CU(cuMemFree)(p));
}

// Without a budget the arena has what is free less the reserve, a sixteenth of the whole between 16 MiB and 1 GiB; what others hold,
// a neighbouring session and the application among them, is not free.
TEST_F(Cuda, TheDefaultBudgetIsWhatIsFreeLessTheReserve) {
  Config c = small_config(8 * MiB);
  c.devices = "cuda:0";
  c.device_budget = 0;
  size_t before = 0;
  CUdeviceptr held[2] = {};
  for (CUdeviceptr &mine : held) {
    size_t free_bytes = 0, total = 0;
    OK(CU(cuMemAlloc)(&mine, 64 * MiB));
    OK(CU(cuMemGetInfo)(&free_bytes, &total));
    const size_t reserve = std::min(std::max(total / 16, 16 * MiB), 1024 * MiB);
    if (free_bytes < reserve + MiB) break;
    Session other(c);
    mars_session_info i;
    mars_session_get_info(other.s, &i);
    ASSERT_EQ(i.n_devices, 2);
    const size_t budget = i.devices[1].budget_bytes;
    if (cuda_sim_is_used()) { // a real driver's figure may change on its own
      EXPECT_EQ(budget, (free_bytes - reserve) & ~(size_t)4095);
    }
    EXPECT_GT(budget, 0u);
    if (before != 0) {
      EXPECT_LT(budget, before);
    }
    before = budget;
    double sum = 0;
    mars_error err = {};
    EXPECT_TRUE(ok(mars_fetch(mars_sum(mars_arange(other.s, MARS_F64, 0, 1000, 1), MARS_ALL), &sum, sizeof sum, &err), err));
    EXPECT_EQ(sum, 499500);
  }
  EXPECT_GT(before, 0u);
  for (CUdeviceptr mine : held) OK(CU(cuMemFree)(mine));
}

TEST_F(Cuda, MemoryThatIsNotWhatItIsSaidToBe) {
  std::vector<float> v(64);
  CUdeviceptr p = device_floats(v);
  Producer &host = producer((void *)v.data(), 2, 32, std::vector<int64_t>{64});
  Producer &longer = producer((void *)(uintptr_t)p, 2, 32, std::vector<int64_t>{1 << 20});
  Producer &other = producer((void *)(uintptr_t)p, 2, 32, std::vector<int64_t>{64});
  host.t.device_type = longer.t.device_type = other.t.device_type = MX_DL_CUDA;
  other.t.device_id = 9;
  EXPECT_TRUE(is_error(mars_from_dlpack(s, host.give()), MARS_E_ARG, {"no memory that the driver of cuda:0 knows"}));
  EXPECT_TRUE(is_error(mars_from_dlpack(s, longer.give()), MARS_E_ARG, {"not all of the 4194304 bytes"}));
  EXPECT_TRUE(is_error(mars_from_dlpack(s, other.give()), MARS_E_ARG, {"cuda:9", "host, cuda:0"}));
  EXPECT_EQ(host.deleted + longer.deleted + other.deleted, 3);
  OK(CU(cuMemFree)(p));
}

} // namespace
