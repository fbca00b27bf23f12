// The CUDA device through its vtable, on the simulated platform or a real one: transfers, tile operations against the host
// device, errors; and what needs no device: the table of libraries, the compiler's cache.
#include "tests/cuda_shim.h"
#include "tests/cuda_sim.h"
#include "tests/cuda_tile_shim.h"
#include "tests/cuda_tile_util.h"

#include <cmath>
#include <complex>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace {

std::string temp_folder() {
  char name[] = "/tmp/mars_cuda_XXXXXX";
  return mkdtemp(name);
}

// ---- libraries ----

std::vector<cuda_library> open_libraries(const std::string &path, mars_status *st, mars_error *err) {
  std::vector<cuda_library> rows(16);
  rows.resize((size_t)cuda_open_libraries(path.c_str(), rows.data(), 16, st, err));
  return rows;
}

TEST(CudaLibraries, AFolderWithoutThem) {
  std::string folder = temp_folder();
  mars_status st;
  mars_error err = {};
  for (const cuda_library &row : open_libraries(folder, &st, &err)) {
    EXPECT_STREQ(row.path, "") << row.name;
    EXPECT_NE(std::string(row.missing).find("not found"), std::string::npos) << row.missing;
  }
  EXPECT_EQ(st, MARS_E_UNSUPPORTED);
  EXPECT_NE(std::string(err.message).find("libcuda is missing"), std::string::npos) << err.message;
  rmdir(folder.c_str());
}

TEST(CudaLibraries, FilesThatAreNone) {
  std::string folder = temp_folder(), text = folder + "/libcuda.so.1", other = folder + "/libnvrtc.so.13";
  std::ofstream(text) << "this is no library";
  // a library, but another one
  ASSERT_EQ(symlink("/lib/x86_64-linux-gnu/libm.so.6", other.c_str()), 0);
  mars_status st;
  mars_error err = {};
  std::vector<cuda_library> rows = open_libraries(folder + ":/nowhere", &st, &err);
  EXPECT_EQ(st, MARS_E_UNSUPPORTED);
  EXPECT_NE(std::string(err.message).find(text), std::string::npos) << err.message;
  for (const cuda_library &row : rows) {
    EXPECT_STREQ(row.path, "") << row.name;
    if (std::string(row.name) == "libnvrtc" && access("/lib/x86_64-linux-gnu/libm.so.6", R_OK) == 0) {
      EXPECT_NE(std::string(row.missing).find("nvrtcVersion"), std::string::npos) << row.missing;
    }
  }
  unlink(text.c_str());
  unlink(other.c_str());
  rmdir(folder.c_str());
}

// ---- the compiler and its cache ----

class CudaCompiler : public ::testing::Test {
protected:
  void SetUp() override {
    const char *why;
    if (!cuda_has_nvrtc(&why)) GTEST_SKIP() << "no NVRTC: " << why;
    old_ = getenv("MARS_CACHE_DIR") != nullptr ? getenv("MARS_CACHE_DIR") : "";
    folder_ = temp_folder();
    setenv("MARS_CACHE_DIR", folder_.c_str(), 1);
  }
  void TearDown() override {
    if (folder_.empty()) return;
    for (const std::string &f : files()) unlink(f.c_str());
    rmdir(kernels().c_str());
    rmdir(folder_.c_str());
    if (old_.empty()) unsetenv("MARS_CACHE_DIR");
    else setenv("MARS_CACHE_DIR", old_.c_str(), 1);
  }
  std::string kernels() const { return folder_ + "/kernels"; }
  std::vector<std::string> files() {
    std::vector<std::string> out;
    DIR *d = opendir(kernels().c_str());
    if (d == nullptr) return out;
    for (struct dirent *e = readdir(d); e != nullptr; e = readdir(d))
      if (e->d_name[0] != '.') out.push_back(kernels() + "/" + e->d_name);
    closedir(d);
    return out;
  }
  std::string compile(const char *text, bool *cached) {
    mars_error err = {};
    char *ptx = cuda_compile_ptx(text, 90, cached, &err);
    EXPECT_NE(ptx, nullptr) << err.message;
    std::string out = ptx != nullptr ? ptx : "";
    free(ptx);
    return out;
  }
  std::string folder_, old_;
};

const char *const kText = "extern \"C\" __global__ void k(float *a) { a[threadIdx.x] += 1; }";

TEST_F(CudaCompiler, CachesAndVerifies) {
  bool cached = true;
  std::string first = compile(kText, &cached);
  EXPECT_FALSE(cached);
  ASSERT_EQ(files().size(), 1u);
  struct stat st;
  ASSERT_EQ(stat(files()[0].c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 077, 0u) << "others may read it";
  ASSERT_EQ(stat(kernels().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  EXPECT_EQ(compile(kText, &cached), first);
  EXPECT_TRUE(cached);
  // damaged in the middle, cut short, emptied: compiled again, and good again afterwards
  for (int damage = 0; damage < 3; damage++) {
    std::string file = files()[0];
    if (damage == 0) {
      std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
      f.seekp(100);
      f.put('\x7f');
    } else {
      ASSERT_EQ(truncate(file.c_str(), damage == 1 ? 60 : 0), 0);
    }
    EXPECT_EQ(compile(kText, &cached), first) << damage;
    EXPECT_FALSE(cached) << damage;
    EXPECT_EQ(compile(kText, &cached), first);
    EXPECT_TRUE(cached) << damage;
  }
  EXPECT_EQ(files().size(), 1u) << "temporary files are left";
}

TEST_F(CudaCompiler, AFolderThatOthersMayLookIntoIsNotUsed) {
  bool cached = false;
  for (mode_t mode : {0777, 0755, 0710}) {
    ASSERT_TRUE(mkdir(kernels().c_str(), 0700) == 0 || errno == EEXIST);
    ASSERT_EQ(chmod(kernels().c_str(), mode), 0);
    compile(kText, &cached);
    compile(kText, &cached);
    EXPECT_FALSE(cached);
    EXPECT_TRUE(files().empty());
  }
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0); // the one around it may be seen
  ASSERT_EQ(chmod(kernels().c_str(), 0700), 0);
  compile(kText, &cached);
  compile(kText, &cached);
  EXPECT_TRUE(cached);
}

// A whole and valid entry under another's name is not taken for it.
TEST_F(CudaCompiler, AnEntryOfAnotherKernelIsNotUsed) {
  bool cached = true;
  const std::string first = compile(kText, &cached);
  ASSERT_EQ(files().size(), 1u);
  const std::string mine = files()[0], aside = folder_ + "/aside";
  ASSERT_EQ(rename(mine.c_str(), aside.c_str()), 0);
  compile("extern \"C\" __global__ void k(float *a) { a[threadIdx.x] += 2; }", &cached);
  ASSERT_EQ(files().size(), 1u);
  ASSERT_EQ(rename(files()[0].c_str(), mine.c_str()), 0);
  EXPECT_EQ(compile(kText, &cached), first);
  EXPECT_FALSE(cached);
  unlink(aside.c_str());
}

// One text for another architecture, with other options, by another NVRTC: each is an entry of its own.
TEST_F(CudaCompiler, TheKeyIsAllThatTheCodeComesFrom) {
  const struct {
    const char *what;
    int capability;
    bool foreign, other_version;
  } variants[] = {{"sm_90", 90, false, false}, {"sm_80", 80, false, false}, {"with all declarations", 90, true, false}, {"by another version", 90, false, true}};
  for (bool again : {false, true})
    for (const auto &v : variants) {
      bool cached = !again;
      mars_error err = {};
      char *ptx = cuda_compile_ptx_as(kText, v.capability, v.foreign, v.other_version, &cached, &err);
      ASSERT_NE(ptx, nullptr) << v.what << ": " << err.message;
      EXPECT_EQ(cached, again) << v.what;
      EXPECT_NE(strstr(ptx, v.capability == 80 ? ".target sm_80" : ".target sm_90"), nullptr) << v.what << ":\n" << ptx;
      free(ptx);
    }
  EXPECT_EQ(files().size(), 4u);
}

TEST_F(CudaCompiler, ErrorsCarryTheLog) {
  bool cached;
  mars_error err = {};
  EXPECT_EQ(cuda_compile_ptx("extern \"C\" __global__ void k() { nonsense(); }", 90, &cached, &err), nullptr);
  EXPECT_NE(std::string(err.message).find("nonsense"), std::string::npos) << err.message;
  EXPECT_NE(std::string(err.message).find("mars.cu(1)"), std::string::npos) << err.message;
  EXPECT_STREQ(err.domain, "nvrtcResult");
  EXPECT_TRUE(files().empty());
}

TEST_F(CudaCompiler, TakesTheNewestArchitectureBelow) {
  EXPECT_EQ(cuda_arch(90), 90);
  EXPECT_GT(cuda_arch(999), 90);
  EXPECT_LE(cuda_arch(81), 81);
  EXPECT_EQ(cuda_arch(10), 0);
}

// ---- the device ----

TEST_F(CudaDevice, SaysWhatItIs) {
  size_t bytes;
  EXPECT_GT(strlen(device_model(cuda_, &bytes)), 0u);
  EXPECT_EQ(bytes, (size_t)32 << 20);
}

TEST_F(CudaDevice, NamesWhatIsNotThere) {
  vm_dev *none = nullptr;
  mars_error err = {};
  EXPECT_EQ(vm_open_cuda(99, 0, &none, &err), MARS_E_ARG);
  EXPECT_NE(std::string(err.message).find("cuda:99"), std::string::npos) << err.message;
  EXPECT_EQ(vm_open_cuda(0, (size_t)1 << 50, &none, &err), MARS_E_BUDGET);
  EXPECT_NE(std::string(err.message).find("1125899906842624"), std::string::npos) << err.message;
  EXPECT_EQ(none, nullptr);
}

std::vector<char> noise(size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<char> out(n);
  for (char &c : out) c = (char)rng();
  return out;
}

TEST_F(CudaDevice, CopiesThroughPinnedBuffers) {
  mars_error err = {};
  for (size_t bytes : {(size_t)1, (size_t)4097, (size_t)5 << 20, ((size_t)18 << 20) + 3}) {
    std::vector<char> src = noise(bytes, 1), dst(bytes);
    ASSERT_EQ(transfer_round(cuda_, 1, bytes, src.data(), dst.data(), &err), MARS_OK) << err.message;
    EXPECT_EQ(src, dst) << bytes;
  }
  std::vector<char> src = noise(64 * 1000, 2), dst(src.size());
  ASSERT_EQ(transfer_round(cuda_, 64, 1000, src.data(), dst.data(), &err), MARS_OK) << err.message;
  EXPECT_EQ(src, dst);
}

TEST_F(CudaDevice, CopiesFromRegisteredMemory) {
  mars_error err = {};
  const size_t bytes = 8 << 20;
  char *memory = (char *)aligned_alloc(4096, 2 * bytes);
  std::vector<char> src = noise(bytes, 3);
  memcpy(memory, src.data(), bytes);
  memset(memory + bytes, 0, bytes);
  ASSERT_EQ(register_host(cuda_, memory, 2 * bytes, &err), MARS_OK) << err.message;
  for (int n : {1, 3, 32}) {
    ASSERT_EQ(transfer_round(cuda_, n, bytes / (size_t)n, memory, memory + bytes, &err), MARS_OK) << err.message;
    EXPECT_EQ(memcmp(memory, memory + bytes, bytes / (size_t)n * (size_t)n), 0) << n;
  }
  EXPECT_EQ(vm_close(cuda_), 0);
  cuda_ = nullptr;
  free(memory);
}

TEST_F(CudaDevice, CopiesBetweenDevices) {
  vm_dev *second = nullptr;
  mars_error err = {};
  mars_status st = vm_open_cuda(1, 8 << 20, &second, &err);
  if (st == MARS_E_ARG) GTEST_SKIP() << err.message;
  ASSERT_EQ(st, MARS_OK) << err.message;
  std::vector<char> src = noise(3 << 20, 4), dst(src.size());
  EXPECT_EQ(transfer_peer(cuda_, second, src.size(), src.data(), dst.data(), &err), MARS_OK) << err.message;
  EXPECT_EQ(src, dst);
  EXPECT_EQ(vm_close(second), 0);
}

TEST_F(CudaDevice, AFailedCopyIsToldAndTheNextOneWorks) {
  mars_error err = {};
  if (!cuda_sim_configure("fault=copy:1")) GTEST_SKIP() << "a real device does not fail on demand";
  std::vector<char> src = noise(1000, 5), dst(1000);
  EXPECT_NE(transfer_round(cuda_, 1, 1000, src.data(), dst.data(), &err), MARS_OK);
  EXPECT_STREQ(err.domain, "CUresult");
  EXPECT_NE(std::string(err.message).find("cuda:0"), std::string::npos) << err.message;
  EXPECT_TRUE(cuda_sim_configure("fault="));
  EXPECT_EQ(transfer_round(cuda_, 1, 1000, src.data(), dst.data(), &err), MARS_OK) << err.message;
  EXPECT_EQ(src, dst);
}

// The n-th driver call fails, n = 1, 2, ... until none does: a clean error, nothing left behind.
TEST_F(CudaDevice, EveryCallMayFail) {
  if (!cuda_sim_is_used()) GTEST_SKIP() << "a real driver does not fail on demand";
  EXPECT_EQ(vm_close(cuda_), 0);
  cuda_ = nullptr;
  int failures = 0;
  bool reached = true;
  for (int n = 1; reached; n++) {
    ASSERT_LT(n, 500);
    SCOPED_TRACE("call " + std::to_string(n));
    char text[1000];
    vm_dev *dev = nullptr;
    mars_error err = {};
    std::vector<char> src = noise(5000, 6), dst(5000), moved(5000);
    ASSERT_TRUE(cuda_sim_configure(("fault=call:" + std::to_string(n)).c_str()));
    mars_status st = vm_open_cuda(0, 8 << 20, &dev, &err);
    if (st == MARS_OK) st = transfer_round(dev, 2, 2500, src.data(), dst.data(), &err);
    if (st == MARS_OK) {
      tile_mat mats[2] = {{moved.data(), moved.size(), 0, 10, 20, 20, 1, 8}, {src.data(), src.size(), 0, 10, 20, 1, 10, 8}};
      st = tile_run(dev, "copy", 0, MARS_F64, 2, mats, nullptr, &err);
    }
    if (st == MARS_OK) {
      EXPECT_EQ(src, dst); // what failed was not needed: an estimate, or what a destroyed device does not wait for
    } else {
      EXPECT_NE(err.message[0], 0);
      failures++;
    }
    EXPECT_EQ(vm_close(dev), 0);
    reached = cuda_sim_calls() >= (uint64_t)n;
    EXPECT_TRUE(cuda_sim_configure("fault="));
    EXPECT_TRUE(reached || st == MARS_OK) << err.message;
    // a call that gives something back may be the one that fails: then that one thing stays
    if (st == MARS_OK && reached) continue;
    ASSERT_EQ(cuda_sim_live(text, sizeof text), 0u) << text;
  }
  EXPECT_GT(failures, 20);
}

// ---- tile operations against the host's ----

void run_both(vm_dev *host, vm_dev *cuda, const char *op, unsigned flags, std::vector<Mat> mats, const std::vector<int64_t> &p,
              bool lower_only = false) {
  std::vector<Mat> other = mats;
  std::vector<tile_mat> a, b;
  mars_error err = {};
  for (Mat &m : mats) a.push_back(m.view());
  for (Mat &m : other) b.push_back(m.view());
  mars_dtype dt = mats[0].dt;
  SCOPED_TRACE(std::string(op) + " " + mars_dtype_name(dt) + " flags " + std::to_string(flags));
  ASSERT_TRUE(tile_can(cuda, op, dt));
  ASSERT_EQ(tile_run(host, op, flags, dt, (int)a.size(), a.data(), p.data(), &err), MARS_OK) << err.message;
  ASSERT_EQ(tile_run(cuda, op, flags, dt, (int)b.size(), b.data(), p.data(), &err), MARS_OK) << err.message;
  double bound = (dt == MARS_F32 || dt == MARS_C64 ? 1e-4 : 1e-12) * (double)(mats.back().cols + 8);
  for (int64_t i = 0; i < mats[0].rows; i++)
    for (int64_t j = 0; j < (lower_only ? i + 1 : mats[0].cols); j++)
      for (int k = 0; k < parts(dt); k++) {
        double want = element(dt, mats[0].at(i, j), k), got = element(dt, other[0].at(i, j), k);
        ASSERT_NEAR(got, want, bound * (1 + std::fabs(want))) << i << ", " << j << " part " << k;
      }
}

class Tiles : public CudaDevice, public ::testing::WithParamInterface<mars_dtype> {};
INSTANTIATE_TEST_SUITE_P(Cuda, Tiles, ::testing::Values(MARS_F32, MARS_F64, MARS_C64, MARS_C128),
                         [](const auto &i) { return std::string(mars_dtype_name(i.param)); });

TEST_P(Tiles, Products) {
  mars_dtype dt = GetParam();
  if (!tile_can(cuda_, "gemm", dt)) GTEST_SKIP() << "no cuBLAS";
  std::mt19937 rng(1);
  for (int layout = 0; layout < 8; layout++)
    for (unsigned flags : {(unsigned)TILE_FIRST, (unsigned)TILE_NEGATE, (unsigned)TILE_CONJ, (unsigned)(TILE_CONJ2 | TILE_FIRST),
                           (unsigned)(TILE_CONJ | TILE_CONJ2)}) {
      if (parts(dt) == 1 && (flags & (TILE_CONJ | TILE_CONJ2))) continue;
      std::vector<Mat> m = {Mat(rng, dt, 13, 7, layout & 1), Mat(rng, dt, 13, 9, layout & 2), Mat(rng, dt, 9, 7, layout & 4)};
      run_both(host_, cuda_, "gemm", flags, m, {0, 0, 0, 0});
    }
  for (int layout = 0; layout < 4; layout++)
    for (unsigned flags : {0u, (unsigned)TILE_FIRST, (unsigned)(TILE_NEGATE | TILE_HERM), (unsigned)(TILE_HERM | TILE_MIRROR | TILE_FIRST),
                           (unsigned)(TILE_CONJ | TILE_FIRST), (unsigned)(TILE_MIRROR | TILE_FIRST)}) {
      std::vector<Mat> m = {Mat(rng, dt, 11, 11, layout & 1), Mat(rng, dt, 11, 5, layout & 2)};
      for (int i = 0; i < 11 && (flags & TILE_HERM) && parts(dt) == 2; i++) put(dt, m[0].at(i, i), 1, 0);
      run_both(host_, cuda_, "syrk", flags, m, {0, 0, 0, 0}, !(flags & TILE_MIRROR));
    }
}

TEST_P(Tiles, TriangularSolves) {
  mars_dtype dt = GetParam();
  if (!tile_can(cuda_, "trsm", dt)) GTEST_SKIP() << "no cuBLAS";
  std::mt19937 rng(2);
  for (int layout = 0; layout < 4; layout++)
    for (unsigned part : {(unsigned)TILE_LOWER, (unsigned)TILE_UPPER})
      for (unsigned flags : {0u, (unsigned)TILE_UNIT, (unsigned)TILE_TRANS, (unsigned)(TILE_TRANS | TILE_CONJ), (unsigned)TILE_RIGHT,
                             (unsigned)(TILE_RIGHT | TILE_TRANS | TILE_CONJ), (unsigned)TILE_CHECK}) {
        bool right = flags & TILE_RIGHT;
        std::vector<Mat> m = {Mat(rng, dt, right ? 6 : 9, right ? 9 : 6, layout & 1), Mat(rng, dt, 9, 9, layout & 2)};
        for (int i = 0; i < 9; i++) put(dt, m[1].at(i, i), 0, 12 + i);
        run_both(host_, cuda_, "trsm", flags | part, m, {0, 0, 0, 0});
      }
  std::vector<Mat> m = {Mat(rng, dt, 9, 2, true), Mat(rng, dt, 9, 9, true)};
  for (int k = 0; k < parts(dt); k++) put(dt, m[1].at(4, 4), k, k == 0 ? 0 : -0.0);
  put(dt, m[1].at(7, 7), 0, 0);
  tile_mat v[2] = {m[0].view(), m[1].view()};
  int64_t p[4] = {100, 0, 0, 0};
  mars_error err = {};
  EXPECT_EQ(tile_run(cuda_, "trsm", TILE_LOWER | TILE_CHECK, dt, 2, v, p, &err), MARS_E_NUMERIC);
  EXPECT_NE(std::string(err.message).find("element 104"), std::string::npos) << err.message;
}

TEST_P(Tiles, Cholesky) {
  mars_dtype dt = GetParam();
  if (!tile_can(cuda_, "chol", dt)) GTEST_SKIP() << "no cuSOLVER";
  std::mt19937 rng(3);
  for (bool by_rows : {true, false}) {
    std::vector<Mat> m = {Mat(rng, dt, 33, 33, by_rows)};
    for (int i = 0; i < 33; i++) {
      put(dt, m[0].at(i, i), 0, 80);
      if (parts(dt) == 2) put(dt, m[0].at(i, i), 1, 0);
    }
    run_both(host_, cuda_, "chol", 0, m, {0, 0, 0, 0});
    put(dt, m[0].at(20, 20), 0, -1);
    tile_mat v = m[0].view();
    int64_t p[4] = {1000, 0, 0, 0};
    mars_error err = {};
    EXPECT_EQ(tile_run(cuda_, "chol", 0, dt, 1, &v, p, &err), MARS_E_NUMERIC);
    EXPECT_NE(std::string(err.message).find("order 1021"), std::string::npos) << err.message;
  }
}

TEST_P(Tiles, Moves) {
  mars_dtype dt = GetParam();
  std::mt19937 rng(4);
  for (int layout = 0; layout < 4; layout++) {
    auto pair = [&] { return std::vector<Mat>{Mat(rng, dt, 10, 14, layout & 1), Mat(rng, dt, 10, 14, layout & 2)}; };
    run_both(host_, cuda_, "copy", 0, pair(), {0, 0, 0, 0});
    run_both(host_, cuda_, "copy", TILE_CONJ, pair(), {0, 0, 0, 0});
    for (int64_t d : {-3, 0, 2}) {
      run_both(host_, cuda_, "tri", TILE_LOWER, pair(), {d, 0, 0, 0});
      run_both(host_, cuda_, "tri", TILE_UPPER | TILE_UNIT, pair(), {d, 0, 0, 0});
      run_both(host_, cuda_, "fill", 0, {Mat(rng, dt, 10, 14, layout & 1)}, {1, d, 0, 0});
    }
    run_both(host_, cuda_, "fill", 0, {Mat(rng, dt, 10, 14, layout & 1)}, {0, 0, 0, 0});
  }
}

// Between rows and columns through tiles in shared memory: extents around the tile's side, gaps behind rows.
TEST_P(Tiles, Turns) {
  mars_dtype dt = GetParam();
  std::mt19937 rng(5);
  for (auto [rows, cols] : {std::pair<int64_t, int64_t>{33, 70}, {16, 31}, {64, 32}, {15, 40}, {1, 50}})
    for (bool by_rows : {false, true})
      for (unsigned flags : {0u, (unsigned)TILE_CONJ}) {
        const size_t es = mars_dtype_bytes(dt);
        const std::string kernel = (flags && parts(dt) == 2 ? "mx_turn_conj_" : "mx_turn_") + std::to_string(es);
        const uint64_t before = cuda_sim_kernel_sectors(kernel.c_str());
        run_both(host_, cuda_, "copy", flags, {Mat(rng, dt, rows, cols, by_rows), Mat(rng, dt, rows, cols, !by_rows)}, {0, 0, 0, 0});
        if (!cuda_sim_is_used()) continue;
        const uint64_t sectors = cuda_sim_kernel_sectors(kernel.c_str()) - before, filled = 2 * (uint64_t)(rows * cols) * es / 32;
        EXPECT_EQ(sectors > 0, std::min(rows, cols) >= 16) << kernel;
        EXPECT_LE(sectors, 2 * filled) << kernel; // runs of a tile's side, which begin in the middle of a sector
      }
}

} // namespace
