// What a product out of core moves. The bound: to multiply n x n matrices with M elements of memory at least
// 2 n^3 / sqrt(M) elements have to be moved (less lower order terms). Counted is everything that goes between memory and
// drives: source files read, the result written, spilled bytes written and read, as the run says (mars_stats), so
// alignment of requests counts, too.
#include "tests/linalg_util.h"

#include <filesystem>

using namespace api;

namespace {

// An npy file of zeros that takes no room on the drive.
void sparse_npy(const std::string &path, int64_t rows, int64_t cols) {
  std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " + std::to_string(cols) + "), }";
  write_raw_npy(path, header, "");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) + (size_t)(rows * cols) * 8);
}

// A number of bytes behind `what` in the line "moved ...": "files read 1.72 GiB, ..."
double bytes_after(const std::string &text, const std::string &what) {
  const size_t at = text.find(what, text.find("\nmoved "));
  if (at == std::string::npos)
    return NAN;
  double number = 0;
  char unit[8] = "";
  if (std::sscanf(text.c_str() + at + what.size(), "%lf %7[A-Za-z]", &number, unit) != 2)
    return NAN;
  const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  for (const char *u : units) {
    if (std::string(unit) == u)
      return number;
    number *= 1024;
  }
  return NAN;
}

double bound(int64_t n, size_t budget) {
  return 2.0 * (double)n * (double)n * (double)n / std::sqrt((double)budget / 8) * 8;
}

struct Size {
  double r; // n = r sqrt(M)
  size_t budget;
};
class PlannedTraffic : public testing::TestWithParam<Size> {};

// Planned, not run: a plan without a sink does not count the result, which is added here.
TEST_P(PlannedTraffic, ComesCloseToTheBound) {
  const size_t budget = GetParam().budget;
  const int64_t n = (int64_t)(GetParam().r * std::sqrt((double)budget / 8));
  TempDir dir;
  sparse_npy(dir.file("a.npy"), n, n);
  sparse_npy(dir.file("b.npy"), n, n);
  Session s(config_of(budget, 1));
  Scope scope(s);
  const std::string path = dir.file("c.npy");
  mars_output o = {};
  o.tensor = mars_matmul(mars_from_npy(s, dir.file("a.npy").c_str()), mars_from_npy(s, dir.file("b.npy").c_str()));
  o.sink = MARS_SINK_NPY;
  o.path = path.c_str();
  mars_error err = {};
  char *text = nullptr;
  ASSERT_TRUE(ok(mars_explain(s, &o, 1, MARS_EXPLAIN_TEXT, &text, &err), err));
  const std::string t = text;
  mars_text_free(s, text);
  const double moved = bytes_after(t, "files read ") + bytes_after(t, "spill written ") + bytes_after(t, "spill read ") + (double)n * (double)n * 8;
  EXPECT_LE(moved, 1.15 * bound(n, budget)) << moved / bound(n, budget);
  EXPECT_GE(moved, (double)n * (double)n * 8 * 3) << "less than everything once cannot be: what is counted?";
  std::cout << "n = " << n << ": " << moved / bound(n, budget) << " of 2 n^3 / sqrt(M)\n";
}

// With fewer blocks than 8 x 8, what is left over at the edges and the result itself are more than 0.15 of the bound.
INSTANTIATE_TEST_SUITE_P(, PlannedTraffic,
                         testing::Values(Size{8, 4 * MiB}, Size{10.3, 4 * MiB}, Size{12, 4 * MiB}, Size{16, 4 * MiB},
                                         Size{8, 64 * MiB}, Size{9, 64 * MiB}, Size{12, 64 * MiB}, Size{16, 64 * MiB}, Size{8, 1024 * MiB}),
                         [](const testing::TestParamInfo<Size> &i) {
                           return "r" + std::to_string((int)(i.param.r * 10)) + "_" + std::to_string(i.param.budget / MiB) + "MiB";
                         });

// Run: the counters of the run agree with such a plan, and the values are right.
TEST(Traffic, RunsMoveWhatIsPlanned) {
  const size_t budget = 1 * MiB;
  const int64_t n = quick() ? 1000 : 1800;
  TempDir dir;
  Rng rng(3);
  Array a(MARS_F64, {n, n}), b(MARS_F64, {n, n}), c;
  for (int64_t i = 0; i < a.size(); i++) {
    ((double *)a.bytes.data())[i] = (double)rng.between(-8, 8); // whole numbers: every order of adding gives the same
    ((double *)b.bytes.data())[i] = (double)rng.between(-8, 8);
  }
  write_npy(dir.file("a.npy"), a);
  write_npy(dir.file("b.npy"), b);
  Session s(config_of(budget));
  Scope scope(s);
  const std::string path = dir.file("c.npy");
  mars_output o = {};
  o.tensor = mars_matmul(mars_from_npy(s, dir.file("a.npy").c_str()), mars_from_npy(s, dir.file("b.npy").c_str()));
  o.sink = MARS_SINK_NPY;
  o.path = path.c_str();
  mars_error err = {};
  mars_job *job = nullptr;
  mars_stats stats = {};
  mars_status st = mars_submit(s, &o, 1, &job, &err);
  if (st == MARS_OK)
    st = mars_wait(job, &err);
  ASSERT_TRUE(ok(st, err));
  mars_job_get_stats(job, &stats);
  mars_job_release(job);
  ASSERT_TRUE(read_npy(path, &c));
  const double *pa = (const double *)a.bytes.data(), *pb = (const double *)b.bytes.data(), *pc = (const double *)c.bytes.data();
  for (int k = 0; k < 3000; k++) {
    const int64_t i = rng.below(n), j = rng.below(n);
    double sum = 0;
    for (int64_t l = 0; l < n; l++)
      sum += pa[i * n + l] * pb[l * n + j];
    ASSERT_EQ(pc[i * n + j], sum) << i << ", " << j;
  }
  const double moved = (double)(stats.source_read_bytes + stats.spill_read_bytes + stats.spill_written_bytes + stats.sink_written_bytes);
  EXPECT_GE(moved, (double)a.bytes.size() * 3);
  EXPECT_LE(moved, (quick() ? 1.7 : 1.3) * bound(n, budget)) << "n is not far above sqrt(M) = 362, so blocks fit badly: " << moved / bound(n, budget);
  EXPECT_LE(stats.peak_arena_bytes, budget);
}

} // namespace
