// Tall matrices from a generator: a few rows go through all steps, and what only the next step reads never comes to memory. The same bits
// as when everything is kept.
#include "tests/linalg_util.h"

using namespace api;

namespace {

constexpr int64_t kCols = 32, kChunk = 65536;

mars_tensor *generated(mars_session *s, mars_dtype dt, int64_t m) {
  const bool complex = dt == MARS_C64 || dt == MARS_C128;
  const mars_dtype real = dt == MARS_C64 ? MARS_F32 : dt == MARS_C128 ? MARS_F64 : dt;
  mars_random_seed(s, 77);
  mars_tensor *a = mars_random_uniform(s, real, mars_shape{2, {m, kCols}}, -1, 1);
  if (complex)
    a = mars_add(a, mars_multiply(mars_random_uniform(s, real, mars_shape{2, {m, kCols}}, -1, 1), mars_complex(s, 0, 1)));
  return a;
}

struct Job {
  mars_tensor *a, *u, *sv, *vh, *worst;
};
Job job_of(mars_session *s, mars_dtype dt, int64_t m) {
  Job j = {};
  j.a = generated(s, dt, m);
  mars_svd(j.a, false, &j.u, &j.sv, &j.vh);
  j.worst = mars_max(mars_absolute(mars_subtract(mars_matmul(mars_multiply(j.u, j.sv), j.vh), j.a)), MARS_ALL);
  return j;
}

double number_of(const Array &a) {
  return a.dt == MARS_F32 ? (double)*(const float *)a.bytes.data() : *(const double *)a.bytes.data();
}

TEST(Passing, SameBitsAsWhenAllIsKept) {
  const int64_t rows = kChunk / kCols, m = (quick() ? 3 : 9) * rows + 100; // the last block is short
  for (mars_dtype dt : {MARS_F32, MARS_F64, MARS_C64, MARS_C128})
    for (size_t budget : {10 * MiB, 256 * MiB}) { // what is summed up with what depends on the budget
      std::vector<Array> want;
      for (int threads : {1, 2, 3})
        for (bool all : {true, false}) {
          if ((threads == 3 && all) || (quick() && budget > 10 * MiB))
            continue;
          Session s(config_of(budget, threads, kChunk));
          Scope scope(s);
          const Job j = job_of(s, dt, m);
          std::vector<mars_tensor *> wanted = {j.worst, j.sv, j.vh};
          if (all) {
            wanted.push_back(j.u);
            wanted.push_back(j.a);
          }
          std::vector<Array> got;
          ASSERT_TRUE(fetch_all(s, wanted, &got));
          const std::string what = std::string(short_name(dt)) + " " + std::to_string(threads) + (all ? " all " : " ") + std::to_string(budget / MiB);
          if (want.empty())
            want = got;
          ASSERT_EQ(want.size(), 5u);
          for (size_t i = 0; i < got.size(); i++)
            EXPECT_TRUE(same_bits(got[i], want[i])) << what << " " << i;
          EXPECT_GT(number_of(got[0]), 0) << what;
          EXPECT_LT(number_of(got[0]), dt == MARS_F32 || dt == MARS_C64 ? 2e-5 : 1e-12) << what;
        }
  }
}

// What is written to a file is read by that, too
TEST(Passing, ResultsInFilesAreWhole) {
  const int64_t m = (quick() ? 4 : 12) * (kChunk / kCols);
  TempDir dir;
  Array want, u;
  for (bool file : {false, true}) {
    Session s(config_of(10 * MiB, 2, kChunk));
    Scope scope(s);
    const Job j = job_of(s, MARS_F64, m);
    const std::string path = dir.file("u.npy");
    if (!file) {
      want = fetched(j.u);
      continue;
    }
    double worst = -1;
    mars_output out[2] = {};
    mars_error err = {};
    mars_job *job = nullptr;
    out[0].tensor = j.u;
    out[0].sink = MARS_SINK_NPY;
    out[0].path = path.c_str();
    out[1].tensor = j.worst;
    out[1].sink = MARS_SINK_MEMORY;
    out[1].data = &worst;
    out[1].bytes = sizeof worst;
    mars_status st = mars_submit(s, out, 2, &job, &err);
    if (st == MARS_OK)
      st = mars_wait(job, &err);
    mars_job_release(job);
    ASSERT_TRUE(ok(st, err));
    EXPECT_GE(worst, 0);
    EXPECT_LT(worst, 1e-12);
    ASSERT_TRUE(read_npy(path, &u));
    EXPECT_TRUE(same_bits(u, want));
  }
}

// Blocks are summed up in parts, for any number of columns
TEST(Passing, ColumnsOfAllWidths) {
  for (int64_t n : {1, 7, 8, 15, 16, 17, 24, 31, 40, 63, 64, 65}) {
    if (quick() && n % 8 == 0)
      continue;
    Array first;
    for (int threads : {1, 2}) {
      Session s(config_of(32 * MiB, threads, 1 << 17));
      Scope scope(s);
      mars_random_seed(s, 5);
      mars_tensor *a = mars_random_uniform(s, MARS_F64, mars_shape{2, {(quick() ? 200000 : 600000) / n, n}}, -1, 1), *q, *r;
      mars_qr(a, MARS_QR_REDUCED, &q, &r);
      mars_tensor *one = mars_subtract(mars_matmul(mars_transpose(q), q), mars_eye(s, MARS_F64, n, n, 0));
      std::vector<Array> got;
      ASSERT_TRUE(fetch_all(s, {r, mars_max(mars_absolute(one), MARS_ALL), mars_max(mars_absolute(mars_subtract(mars_matmul(q, r), a)), MARS_ALL)}, &got));
      EXPECT_LT(number_of(got[1]), 1e-13) << n;
      EXPECT_LT(number_of(got[2]), 1e-12) << n;
      if (threads == 1)
        first = got[0];
      EXPECT_TRUE(same_bits(got[0], first)) << n;
    }
  }
}

} // namespace
