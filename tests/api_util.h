/*
 * Shared by the tests of the public API: sessions with readable configurations, typed arrays, npy files,
 * temporary directories, and the comparison with the oracle.
 */
#ifndef TESTS_API_UTIL_H
#define TESTS_API_UTIL_H

#include "tests/fake_device.h"
#include "tests/oracle.h"
#include "tests/shim.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

namespace api {

constexpr size_t MiB = (size_t)1 << 20;

// ---- configurations -------------------------------------------------------------------------------------

struct Config {
  int64_t chunk = 0;
  size_t budget = 256 * MiB;
  bool fusion = true;
  int threads = 1;
  bool eager = false;
  bool spill = true;
  std::string spill_dir;  // empty: the temporary directory of the tests
  std::string io_backend; // empty: the default
  size_t spill_budget = 0;
  bool direct = true;
  mars_allocator allocator = {};
  mars_progress_fn *progress = nullptr;
  mars_log_fn *log = nullptr;
  void *user = nullptr;
  std::string devices; // "fake:0,host" (fake_device.h), "cuda:0"; empty: the host, or what MARS_TEST_DEVICES says
  size_t device_budget = 0;
};
// The smallest budget that the tests ask a session to work in
constexpr size_t kMinimalBudget = 1 * MiB;
inline Config config_of(size_t budget, int threads = 2, int64_t chunk = 0) {
  Config c;
  c.budget = budget;
  c.threads = threads;
  c.chunk = chunk;
  return c;
}
std::string explained(mars_session *s, mars_tensor *t); // mars_explain's text
std::string name_of(const Config &c); // chunk7_budget64M_nofusion_threads2
mars_status open_session(const Config &c, mars_session **out, mars_error *err);
// Chunk {1 row, odd, default} x budget {minimal, 64 MiB, ample} x fusion x threads: every pair of values
// occurs. row: elements of a row of the arrays at hand
std::vector<Config> covering_configs(int64_t row);
// MARS_TEST_DEVICES names GPUs: functions of another library than the host's, so that what is not exact has other last bits
// there, also where a session is of GPUs alone (the host runs what does not fit them).
bool on_gpus();
std::string no_kernels(); // why GPUs would run no kernels, so that the host did it all: NVRTC is missing; empty: they do
// MARS_TEST_DEVICES names GPUs and the host: what the host takes depends on its threads, and with it the last bits of what is
// not exact.
bool threads_move_work();
// What a session of this configuration can hold: the host's budget, and the memory of the devices that MARS_TEST_DEVICES names.
size_t memory_of(const Config &c);
Config host_config(); // a session of the host alone, whatever MARS_TEST_DEVICES says
bool quick();         // MARS_TEST_QUICK=1
uint64_t seed_base(); // MARS_TEST_SEED_BASE=N: other seeds for the random tests, for long runs

class Session {
public:
  explicit Session(const Config &c = Config());
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;
  operator mars_session *() const { return s; }
  mars_session *s = nullptr;
};
// Sessions that live until the process ends, one per configuration
mars_session *shared_session(const Config &c);

// The session's thread has given back everything that nobody refers to
void settle(mars_session *s);
// Live records of a session with nothing in it, after a first job: what stays for good is there
int64_t baseline(mars_session *s);
// Nothing but records kept for reuse has come to the baseline: their number grows with the transfers in
// flight, not with jobs
testing::AssertionResult no_leak(mars_session *s, int64_t live);

struct Scope { // handles made inside are freed with it
  explicit Scope(mars_session *session) : s(session) { mars_scope_open(s); }
  ~Scope() { mars_scope_close(s); }
  mars_session *s;
};

// ---- arrays ---------------------------------------------------------------------------------------------

mars_shape shape_of(const std::vector<int64_t> &dims);
std::vector<int64_t> dims_of(const mars_shape &shape);
int64_t count_of(const std::vector<int64_t> &dims);

struct Array { // C order
  mars_dtype dt = MARS_F64;
  std::vector<int64_t> dims;
  std::vector<unsigned char> bytes;

  Array() = default;
  Array(mars_dtype dtype, std::vector<int64_t> shape);
  int64_t size() const { return count_of(dims); }
  size_t item() const { return mars_dtype_bytes(dt); }
  void *at(int64_t i) { return bytes.data() + (size_t)i * item(); }
  const void *at(int64_t i) const { return bytes.data() + (size_t)i * item(); }
  oracle::Num get(int64_t i) const { return oracle::load(dt, at(i)); }
  void set(int64_t i, const oracle::Num &v) { oracle::store(dt, v, at(i)); }
  // element of a broadcast to `to`, in C order of `to`
  int64_t broadcast_index(int64_t i, const std::vector<int64_t> &to) const;
};
template <class T> Array array_of(mars_dtype dt, std::vector<int64_t> dims, const std::vector<T> &v) {
  Array a(dt, dims);
  if (!a.bytes.empty())
    std::memcpy(a.bytes.data(), v.data(), a.bytes.size());
  return a;
}
std::vector<oracle::Num> numbers(const Array &a);
// NaNs compare equal whatever their payload; everything else by bits
testing::AssertionResult same_bits(const Array &a, const Array &b);

mars_tensor *tensor(mars_session *s, const Array &a);       // a copy
mars_tensor *borrow(mars_session *s, const Array &a);       // the array must outlive the tensor
testing::AssertionResult fetch(mars_tensor *t, Array *out); // with its shape and dtype
Array fetched(mars_tensor *t);                              // a failed test if that fails
// In one job; sinks in memory
testing::AssertionResult fetch_all(mars_session *s, const std::vector<mars_tensor *> &t,
                                   std::vector<Array> *out);
std::string explain(mars_session *s, mars_tensor *t);       // the plan in words
testing::AssertionResult is_error(mars_tensor *t, mars_status st, std::initializer_list<const char *> words);
testing::AssertionResult says(mars_status got, const mars_error &err, mars_status want,
                              std::initializer_list<const char *> words);
testing::AssertionResult ok(mars_status st, const mars_error &err);

// ---- random input ---------------------------------------------------------------------------------------

class Rng { // SplitMix64
public:
  explicit Rng(uint64_t seed) : state(seed) {}
  uint64_t next();
  int64_t below(int64_t n) { return (int64_t)(next() % (uint64_t)n); }
  int64_t between(int64_t a, int64_t b) { return a + below(b - a + 1); } // both ends
  double unit() { return (double)(next() >> 11) * 0x1p-53; }
  bool chance(double p) { return unit() < p; }

private:
  uint64_t state;
};
uint64_t hash_of(const std::string &text);
// Specials and edge values of a dtype: NaN, infinities, zeros, denormals, extremes
std::vector<oracle::Num> specials(mars_dtype dt);
// Specials first (unless mild), then random with wide exponents. mild: about [-4, 4], no specials
Array random_array(mars_dtype dt, std::vector<int64_t> dims, Rng &rng, bool mild = false);

extern const mars_dtype kDtypes[15];
const char *short_name(mars_dtype dt); // f32

// ---- files ----------------------------------------------------------------------------------------------

class TempDir { // removed with what is in it
public:
  TempDir();
  ~TempDir();
  std::string file(const std::string &name) const { return path + "/" + name; }
  std::vector<std::string> list() const;
  std::string path;
};
std::string test_tmp(); // MARS_TEST_TMPDIR, else TMPDIR, else /tmp
struct NpyOptions {
  bool fortran = false, big_endian = false;
};
void write_npy(const std::string &path, const Array &a, const NpyOptions &options = NpyOptions());
// A file with this header text and these bytes behind it
void write_raw_npy(const std::string &path, const std::string &header, const std::string &data,
                   int major = 1);
testing::AssertionResult read_npy(const std::string &path, Array *out);
int open_files(); // descriptors of this process

} // namespace api
#endif
