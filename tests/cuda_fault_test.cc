// The n-th driver call fails, n = 0, 1, ... until none does, in a job on two simulated GPUs that is larger than their memory:
// the right result or a clean error, and everything given back. A device that is lost, memory that runs out in mid-job.
#include "tests/api_util.h"
#include "tests/cuda_shim.h"
#include "tests/cuda_sim.h"

#include <cstdlib>

using namespace api;

namespace {

const int64_t kRows = 48, kCols = 128; // 48 KiB; each device has 32 KiB for it all
const int64_t kSide = 40;

using Results = std::vector<double>;

Array input() {
  Rng rng(11);
  Array a(MARS_F64, {kRows, kCols});
  for (int64_t i = 0; i < a.size(); i++) ((double *)a.bytes.data())[i] = rng.unit() - 0.5;
  return a;
}

// Elementwise, a reduction whose partial results meet, a second pass, a product, a factor.
mars_status job(mars_session *s, const Array &x, Results *out, mars_error *err) {
  Array y(MARS_F64, {kRows, kCols}), l(MARS_F64, {kSide, kSide});
  mars_random_seed(s, 3);
  mars_tensor *t = borrow(s, x), *d = mars_subtract(mars_multiply(t, mars_float(s, 3)), mars_mean(t, MARS_ALL));
  mars_tensor *r = mars_random_uniform(s, MARS_F64, MARS_SHAPE(kSide, kSide), 0, 1);
  mars_tensor *spd = mars_add(mars_matmul(r, mars_transpose(r)), mars_eye(s, MARS_F64, kSide, kSide, 0));
  mars_output o[2] = {};
  o[0].tensor = d, o[0].sink = MARS_SINK_MEMORY, o[0].data = y.bytes.data(), o[0].bytes = y.bytes.size();
  o[1].tensor = mars_cholesky(spd), o[1].sink = MARS_SINK_MEMORY, o[1].data = l.bytes.data(), o[1].bytes = l.bytes.size();
  mars_job *running = nullptr;
  mars_status st = mars_submit(s, o, 2, &running, err);
  if (st == MARS_OK) st = mars_wait(running, err);
  mars_job_release(running);
  out->clear();
  for (int64_t i = 0; i < y.size(); i++) out->push_back(((const double *)y.bytes.data())[i]);
  for (int64_t i = 0; i < l.size(); i++) out->push_back(((const double *)l.bytes.data())[i]);
  return st;
}

// Integers added up over rows of two devices, by a reduction of NCCL.
const int64_t kSums = 8192;
mars_status sums(mars_session *s, const Array &, Results *out, mars_error *err) {
  std::vector<int64_t> y((size_t)kSums);
  mars_random_seed(s, 3);
  mars_tensor *t = mars_sum(mars_random_integers(s, MARS_I64, MARS_SHAPE(6, kSums), -9, 9), MARS_AXES(0));
  mars_status st = mars_fetch(t, y.data(), y.size() * sizeof y[0], err);
  out->assign(y.begin(), y.end());
  return st;
}

// A kernel of the user's own that no host can run.
mars_status twice(mars_session *s, const Array &x, Results *out, mars_error *err) {
  const mars_kernel_operand in = {MARS_F64, MARS_OPERAND_CHUNK};
  const mars_dtype dt = MARS_F64;
  mars_kernel k = {};
  k.name = "twice", k.entry = "twice", k.n_in = k.n_out = 1, k.in = &in, k.out = &dt;
  k.source = "extern \"C\" __global__ void twice(mars_chunk c, const double *x, double *y) {\n"
             "  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;\n"
             "  if (i < c.count) y[i] = 2 * x[i];\n"
             "}\n";
  Scope scope(s);
  mars_tensor *t = borrow(s, x), *made = nullptr;
  mars_kernel_apply(s, &k, &t, &made);
  out->assign((size_t)x.size(), 0);
  *err = {};
  return mars_fetch(made, out->data(), out->size() * sizeof(double), err);
}

Results doubled(const Array &x) {
  Results want;
  for (int64_t i = 0; i < x.size(); i++) want.push_back(2 * ((const double *)x.bytes.data())[i]);
  return want;
}

mars_status open_on(const char *devices, mars_session **s, mars_error *err, std::string *log = nullptr, size_t device_bytes = 32 << 10,
                    int64_t chunk = 1024) {
  static const std::string folder = test_tmp();
  const char *dirs[] = {folder.c_str()};
  mars_session_config c;
  mars_session_config_init(&c);
  c.host_budget_bytes = 4 * MiB;
  c.device_budget_bytes = device_bytes;
  c.chunk_elements = chunk;
  c.threads = 1;
  c.spill_dirs = dirs, c.n_spill_dirs = 1;
  c.devices = devices;
  if (log != nullptr) {
    c.user = log;
    c.log = [](void *user, mars_log_level, const char *text) { *(std::string *)user += std::string(text) + "\n"; };
  }
  return mars_session_create(&c, s, err);
}

class CudaFaults : public testing::Test {
protected:
  static void SetUpTestSuite() {
    x_ = input();
    mars_session *s = nullptr;
    mars_error err = {};
    ASSERT_TRUE(ok(open_on("host", &s, &err), err));
    ASSERT_TRUE(ok(job(s, x_, &want_, &err), err));
    mars_session_destroy(s);
  }
  void SetUp() override {
    if (cuda_device_count() == 0 || !cuda_sim_is_used()) GTEST_SKIP() << "a real driver does not fail on demand";
    if (!no_kernels().empty()) GTEST_SKIP() << no_kernels();
    ASSERT_TRUE(cuda_sim_configure("devices=2 seed=0 fault="));
    nothing_left();
  }
  void TearDown() override { cuda_sim_configure("fault="); }

  void nothing_left() {
    char text[1000];
    EXPECT_EQ(cuda_sim_failed_checks(text, sizeof text), 0u) << text;
    EXPECT_EQ(cuda_sim_live(text, sizeof text), 0u) << text;
  }
  void right(const Results &got) {
    ASSERT_EQ(got.size(), wanted_->size());
    for (size_t i = 0; i < got.size(); i++) ASSERT_NEAR(got[i], (*wanted_)[i], 1e-12 * (1 + std::fabs((*wanted_)[i]))) << i;
  }

  struct Counts {
    int failed = 0, right = 0;
  };
  // One session and one job under this fault; false: it did not happen.
  bool once(const std::string &fault, Counts *counts) {
    mars_session *s = nullptr;
    mars_error err = {};
    Results got;
    EXPECT_TRUE(cuda_sim_configure(("fault=" + fault).c_str()));
    const uint64_t before = cuda_sim_faults();
    mars_status st = open_on("cuda:0,cuda:1", &s, &err, nullptr, device_bytes_, chunk_);
    if (st != MARS_OK) {
      EXPECT_EQ(s, nullptr);
    } else {
      st = job_(s, x_, &got, &err);
      mars_session_destroy(s);
    }
    const bool happened = cuda_sim_faults() > before;
    nccl_calls_ = cuda_sim_nccl_calls();
    EXPECT_TRUE(cuda_sim_configure("fault="));
    if (st == MARS_OK) {
      counts->right++;
      right(got);
    } else {
      counts->failed++;
      EXPECT_TRUE(happened) << err.message;
      EXPECT_EQ(err.status, st);
      EXPECT_NE(std::string(err.message).find("mars_"), std::string::npos) << err.message;
      EXPECT_TRUE(st == MARS_E_MEMORY || st == MARS_E_DEVICE || st == MARS_E_ARG) << mars_status_name(st) << ": " << err.message;
    }
    nothing_left();
    return happened;
  }
  // n = 0, 1, ... or every step-th of them, until it does not happen any more. Some with random delays of what streams do, which take
  // two to three times as long.
  Counts sweep(const std::string &kind, const std::string &behind = "", int quick_step = 7, int step = 1) {
    Counts counts;
    for (int n = 0; !HasFailure(); n += quick() ? quick_step : step) {
      EXPECT_LT(n, 3000);
      SCOPED_TRACE(kind + ":" + std::to_string(n) + behind);
      const bool late = n % (kind == "call" ? 16 : 8) == 5;
      if (!once(kind + ":" + std::to_string(n) + behind + " seed=" + std::to_string(late ? n : 0), &counts)) break;
    }
    printf("%s%s: %d times the right result, %d errors\n", kind.c_str(), behind.c_str(), counts.right, counts.failed);
    return counts;
  }

  uint64_t nccl_calls_ = 0; // of the last time
  mars_status (*job_)(mars_session *, const Array &, Results *, mars_error *) = job;
  const Results *wanted_ = &want_;
  size_t device_bytes_ = 32 << 10;
  int64_t chunk_ = 1024;
  static Array x_;
  static Results want_;
};
Array CudaFaults::x_;
Results CudaFaults::want_;

TEST_F(CudaFaults, EveryAllocation) {
  Counts c = sweep("alloc", "", 3);
  EXPECT_GT(c.right + c.failed, 8);
}
TEST_F(CudaFaults, EveryCopy) { EXPECT_GT(sweep("copy").right, 4); }
TEST_F(CudaFaults, EveryLaunch) { EXPECT_GT(sweep("launch").right, 4); }
TEST_F(CudaFaults, EveryCopyBreaksItsContext) { EXPECT_GT(sweep("copy", ":sticky").right, 4); }
TEST_F(CudaFaults, EveryLaunchBreaksItsContext) { EXPECT_GT(sweep("launch", ":sticky").right, 4); }
TEST_F(CudaFaults, EveryCall) { EXPECT_GT(sweep("call", "", 23).failed, 2); }
TEST_F(CudaFaults, ADeviceIsLostAtEveryStep) {
  EXPECT_GT(sweep("lose:0").right, 4);
  EXPECT_GT(sweep("lose:1").right, 4);
}

// The same where no link leads from one device to the other: what they exchange goes by NCCL's communicators, which every job begins.
class CudaFaultsWithoutLinks : public CudaFaults {
protected:
  void SetUp() override {
    CudaFaults::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(cuda_sim_configure("links=none"));
    Counts counts;
    EXPECT_FALSE(once("nccl:100000", &counts));
    EXPECT_EQ(counts.right, 1);
    EXPECT_GT(nccl_calls_, 0u);
  }
};
TEST_F(CudaFaultsWithoutLinks, EveryFifthCall) { EXPECT_GT(sweep("call", "", 23, 5).failed, 2); }
TEST_F(CudaFaultsWithoutLinks, EveryCallOfNccl) { EXPECT_GT(sweep("nccl", "", 2).right, 4); }
TEST_F(CudaFaultsWithoutLinks, ADeviceIsLostAtEveryStep) {
  EXPECT_GT(sweep("lose:0").right, 4);
  EXPECT_GT(sweep("lose:1").right, 4);
}

// Accumulators that are joined by NCCL, though links lead from one device to the other.
class CudaFaultsInJoins : public CudaFaults {
protected:
  void SetUp() override {
    CudaFaults::SetUp();
    if (IsSkipped()) return;
    mars_session *s = nullptr;
    mars_error err = {};
    ASSERT_TRUE(ok(open_on("host", &s, &err), err));
    ASSERT_TRUE(ok(sums(s, x_, &sums_, &err), err));
    mars_session_destroy(s);
    job_ = sums, wanted_ = &sums_, device_bytes_ = 512 << 10, chunk_ = kSums;
    ASSERT_TRUE(cuda_sim_configure("links=pcie"));
    Counts counts;
    EXPECT_FALSE(once("nccl:100000", &counts));
    EXPECT_EQ(counts.right, 1);
    EXPECT_GE(nccl_calls_, 5u); // the communicators, the group, a reduction for each
  }
  Results sums_;
};
TEST_F(CudaFaultsInJoins, EveryCallOfNccl) { EXPECT_GT(sweep("nccl", "", 1).right, 4); }
TEST_F(CudaFaultsInJoins, EveryThirdCall) { EXPECT_GT(sweep("call", "", 23, 3).failed, 2); }
TEST_F(CudaFaultsInJoins, ADeviceIsLostAtEveryStep) {
  EXPECT_GT(sweep("lose:0", "", 2).right, 2);
  EXPECT_GT(sweep("lose:1", "", 2).right, 2);
}

// Memory for a kernel or a workspace is not there in mid-job: waited for, then smaller tasks, then without that device, which the
// next job uses again. (What an allocation of the arena itself meets is an error: EveryAllocation.)
TEST_F(CudaFaults, WithoutMemoryTheJobTakesAnotherWay) {
  std::string log;
  mars_session *s = nullptr;
  mars_error err = {};
  Results got;
  ASSERT_TRUE(ok(open_on("cuda:0,cuda:1", &s, &err, &log), err));
  ASSERT_TRUE(cuda_sim_configure("fault=launch:0,launch:1"));
  EXPECT_TRUE(ok(job(s, x_, &got, &err), err));
  right(got);
  EXPECT_NE(log.find("in smaller tasks, for the sake of device cuda:"), std::string::npos) << log;
  EXPECT_EQ(log.find("without device"), std::string::npos) << log;
  log.clear();
  std::string fault = "fault=launch:0"; // everything of cuda:0 and cuda:1 fails, so that the host is left
  for (int i = 1; i < 40; i++) fault += ",launch:" + std::to_string(i);
  ASSERT_TRUE(cuda_sim_configure(fault.c_str()));
  EXPECT_TRUE(ok(job(s, x_, &got, &err), err));
  right(got);
  EXPECT_NE(log.find("without device cuda:0"), std::string::npos) << log;
  EXPECT_NE(log.find("without device cuda:1"), std::string::npos) << log;
  mars_session_info info;
  mars_session_get_info(s, &info);
  for (int i = 0; i < info.n_devices; i++) EXPECT_FALSE(info.devices[i].lost) << info.devices[i].name;
  // and back
  ASSERT_TRUE(cuda_sim_configure("fault="));
  const uint64_t before = cuda_sim_calls();
  EXPECT_TRUE(ok(job(s, x_, &got, &err), err));
  right(got);
  EXPECT_GT(cuda_sim_calls(), before + 20);
  mars_session_destroy(s);
  nothing_left();
}

// Planned again in smaller tasks, panels of QR are filled band by band and leave the device in between: what nobody has written yet goes
// along to the host and back, and is no failed check before somebody uses it.
TEST_F(CudaFaults, AChunkThatIsNotFullMayLeave) {
  std::string log;
  mars_session *s = nullptr;
  mars_error err = {};
  double worst = 1;
  ASSERT_TRUE(ok(open_on("cuda:0", &s, &err, &log, 256 << 10, 0), err));
  ASSERT_TRUE(cuda_sim_configure("fault=launch:0,launch:1"));
  mars_tensor *a = mars_random_uniform(s, MARS_F64, MARS_SHAPE(200, 200), 0, 1), *q, *r;
  mars_qr(a, MARS_QR_REDUCED, &q, &r);
  mars_output keep[2] = {};
  keep[0].tensor = q, keep[0].sink = MARS_SINK_KEEP;
  keep[1].tensor = r, keep[1].sink = MARS_SINK_KEEP;
  mars_job *job = nullptr;
  ASSERT_TRUE(ok(mars_submit(s, keep, 2, &job, &err), err));
  EXPECT_TRUE(ok(mars_wait(job, &err), err));
  mars_job_release(job);
  EXPECT_NE(log.find("in smaller tasks"), std::string::npos) << log;
  EXPECT_TRUE(ok(mars_fetch(mars_max(mars_fabs(mars_sub(mars_matmul(q, r), a)), MARS_ALL), &worst, sizeof worst, &err), err));
  EXPECT_LT(worst, 1e-13);
  mars_session_destroy(s);
  nothing_left();
}

// No memory of the host's that could be pinned (the second allocation of a session): its copies go through small buffers.
TEST_F(CudaFaults, AnArenaThatIsNotPinnedIsCopiedByStages) {
  std::string log;
  mars_session *s = nullptr;
  mars_error err = {};
  Results got;
  ASSERT_TRUE(cuda_sim_configure("fault=alloc:1"));
  ASSERT_TRUE(ok(open_on("cuda:0", &s, &err, &log), err));
  EXPECT_NE(log.find("copies to cuda:0 are staged"), std::string::npos) << log;
  EXPECT_NE(log.find("CUDA_ERROR_OUT_OF_MEMORY"), std::string::npos) << log;
  EXPECT_TRUE(ok(job(s, x_, &got, &err), err));
  right(got);
  EXPECT_EQ(log.find("without device"), std::string::npos) << log;
  mars_session_destroy(s);
  nothing_left();
}

// An error of memory says who holds what.
TEST_F(CudaFaults, AnErrorOfMemoryNamesTheHolders) {
  std::string log;
  mars_session *s = nullptr;
  mars_error err = {};
  Results got;
  ASSERT_TRUE(ok(open_on("cuda:0", &s, &err, &log), err));
  std::string fault = "fault=alloc:0";
  for (int i = 1; i < 60; i++) fault += ",alloc:" + std::to_string(i);
  ASSERT_TRUE(cuda_sim_configure(fault.c_str()));
  EXPECT_TRUE(ok(job(s, x_, &got, &err), err));
  right(got);
  EXPECT_NE(log.find("bytes for tensors"), std::string::npos) << log;
  EXPECT_NE(log.find("without device cuda:0"), std::string::npos) << log;
  mars_session_destroy(s);
  nothing_left();
}

// So does the job's own, when nobody else can do what the device has no memory for. Which it has again for the next job.
TEST_F(CudaFaults, AJobThatFailsForWantOfMemoryNamesTheHolders) {
  mars_session *s = nullptr;
  mars_error err = {};
  Results got;
  std::string log;
  ASSERT_TRUE(ok(open_on("cuda:0", &s, &err, &log), err));
  std::string fault = "fault=alloc:0";
  for (int i = 1; i < 60; i++) fault += ",alloc:" + std::to_string(i);
  ASSERT_TRUE(cuda_sim_configure(fault.c_str()));
  EXPECT_TRUE(says(twice(s, x_, &got, &err), err, MARS_E_MEMORY, {"cuda:0", "CUDA_ERROR_OUT_OF_MEMORY", "are free", "this session holds 32768 bytes for tensors"}));
  EXPECT_STREQ(err.domain, "CUresult");
  EXPECT_NE(log.find("without device cuda:0"), std::string::npos) << log;
  ASSERT_TRUE(cuda_sim_configure("fault="));
  ASSERT_TRUE(ok(twice(s, x_, &got, &err), err));
  EXPECT_EQ(got, doubled(x_));
  mars_session_destroy(s);
  nothing_left();
}

// Nor can anybody else do it when its device is lost, at whatever step: the job says so, and so does the next one. The session goes on.
TEST_F(CudaFaults, AUsersKernelNamesTheDeviceThatWasLost) {
  int lost = 0;
  for (int n = 0; !HasFailure(); n += quick() ? 5 : 1) {
    SCOPED_TRACE("lose:0:" + std::to_string(n));
    mars_session *s = nullptr;
    mars_error err = {}, later = {};
    Results got;
    ASSERT_TRUE(cuda_sim_configure("fault=")); // the device is well again
    ASSERT_TRUE(ok(open_on("cuda:0", &s, &err), err));
    ASSERT_TRUE(cuda_sim_configure(("fault=lose:0:" + std::to_string(n)).c_str()));
    const uint64_t before = cuda_sim_faults();
    const mars_status st = twice(s, x_, &got, &err);
    const bool happened = cuda_sim_faults() > before;
    if (st == MARS_OK) { // or the device had no more to do
      EXPECT_EQ(got, doubled(x_));
    } else {
      EXPECT_TRUE(says(st, err, MARS_E_DEVICE, {"mars_kernel_apply", "'twice'", "cuda:0", "was lost", "CUDA_ERROR_ECC_UNCORRECTABLE"}));
      EXPECT_STREQ(err.domain, "CUresult");
      EXPECT_EQ(err.code, 214);
      EXPECT_TRUE(says(twice(s, x_, &got, &later), later, MARS_E_DEVICE, {"'twice'", "cuda:0", "was lost"}));
      EXPECT_STREQ(later.message, err.message);
      EXPECT_TRUE(ok(job(s, x_, &got, &err), err));
      right(got);
      lost++;
    }
    mars_session_destroy(s);
    nothing_left();
    if (!happened) break;
  }
  EXPECT_GE(lost, 2);
}

// Another GPU of the session can.
TEST_F(CudaFaults, AUsersKernelGoesToTheDeviceThatIsLeft) {
  std::string log;
  mars_session *s = nullptr;
  mars_error err = {};
  Results got;
  ASSERT_TRUE(ok(open_on("cuda:0,cuda:1", &s, &err, &log), err));
  ASSERT_TRUE(cuda_sim_configure("fault=lose:0:1"));
  EXPECT_TRUE(ok(twice(s, x_, &got, &err), err));
  EXPECT_EQ(got, doubled(x_));
  EXPECT_NE(log.find("without device cuda:0"), std::string::npos) << log;
  ASSERT_TRUE(cuda_sim_configure("fault=lose:1:0"));
  EXPECT_TRUE(says(twice(s, x_, &got, &err), err, MARS_E_DEVICE, {"'twice'", "was lost", "CUDA_ERROR_ECC_UNCORRECTABLE"}));
  mars_session_destroy(s);
  nothing_left();
}

} // namespace
