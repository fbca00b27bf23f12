// Side by side with other software on CUDA devices: tensors in and out by DLPack in their memory, the caller's streams, the caller's current
// context; and what can be seen from the caller's stream of how work is queued. It runs on the simulated platform or a real device, and is
// skipped where there is none.
#include "tests/interop_cuda.h"

using namespace interop;

namespace {

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
