// Copies between host and device, as far as they are seen from outside: through which memory they go, how many are under way, that
// computing goes on meanwhile. Only the simulated platform tells.
#include "tests/interop_cuda.h"

using namespace interop;

namespace {

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

} // namespace
