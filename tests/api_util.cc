#include "tests/api_util.h"

#include "tests/cuda_sim.h"

#include <cstring>
#include <map>
#include <memory>
#include <sstream>

namespace api {

namespace {

// On the simulated CUDA platform a test fails, too, when the platform's checks have: memory out of bounds, bytes that nobody
// wrote, races.
class PlatformChecks : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo &) override {
    char first[1024];
    size_t now = cuda_sim_failed_checks(first, sizeof first);
    EXPECT_EQ(now, seen_) << "failed checks of the simulated platform, the first: " << first;
    seen_ = now;
  }
  size_t seen_ = 0;
};

// Where sessions are to be on GPUs, and these run no kernels, the host would do the work and pass as one.
class GpusThatWork : public testing::Environment {
  void SetUp() override {
    const std::string why = on_gpus() ? no_kernels() : "";
    if (!why.empty()) GTEST_SKIP() << why;
  }
};

const bool listens = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new PlatformChecks);
  testing::AddGlobalTestEnvironment(new GpusThatWork);
  return true;
}();

} // namespace

const mars_dtype kDtypes[15] = {MARS_BOOL, MARS_I8,  MARS_I16, MARS_I32, MARS_I64,
                                MARS_U8,   MARS_U16, MARS_U32, MARS_U64, MARS_F16,
                                MARS_BF16, MARS_F32, MARS_F64, MARS_C64, MARS_C128};

const char *short_name(mars_dtype dt) {
  static const char *const names[] = {"bool", "i8",  "i16",  "i32", "i64", "u8",  "u16", "u32",
                                      "u64",  "f16", "bf16", "f32", "f64", "c64", "c128"};
  return dt >= 0 && dt < 15 ? names[dt] : "none";
}

bool quick() {
  const char *q = std::getenv("MARS_TEST_QUICK");
  return q && *q && *q != '0';
}

uint64_t seed_base() {
  const char *b = std::getenv("MARS_TEST_SEED_BASE");
  return b ? std::strtoull(b, nullptr, 10) : 0;
}

std::string explained(mars_session *s, mars_tensor *t) {
  mars_output o = {};
  mars_error err = {};
  char *text = nullptr;
  o.tensor = t;
  EXPECT_TRUE(ok(mars_explain(s, &o, 1, MARS_EXPLAIN_TEXT, &text, &err), err));
  std::string r = text ? text : "";
  mars_text_free(s, text);
  return r;
}

std::string name_of(const Config &c) {
  std::string n = c.chunk ? "chunk" + std::to_string(c.chunk) : "chunkdefault";
  n += c.budget % MiB == 0 ? "_budget" + std::to_string(c.budget / MiB) + "M"
                           : "_budget" + std::to_string(c.budget);
  n += c.fusion ? "" : "_nofusion";
  n += "_threads" + std::to_string(c.threads);
  if (c.eager)
    n += "_eager";
  if (!c.spill)
    n += "_nospill";
  if (!c.io_backend.empty())
    n += "_" + c.io_backend;
  if (!c.devices.empty())
    n += "_on_" + c.devices;
  return n;
}

bool on_gpus() {
  const char *devices = std::getenv("MARS_TEST_DEVICES");
  return devices && std::strstr(devices, "cuda:");
}

std::string no_kernels() {
  mars_library lib = {};
  for (size_t i = 0; mars_library_get(i, &lib); i++)
    if (!strcmp(lib.name, "libnvrtc"))
      return lib.path ? "" : std::string("GPUs run no kernels here: libnvrtc is missing: ") + lib.missing;
  return std::string("there are no GPUs here: ") + (lib.missing ? lib.missing : "");
}

bool threads_move_work() {
  return on_gpus() && std::strstr(std::getenv("MARS_TEST_DEVICES"), "host");
}

static size_t test_device_bytes() {
  const char *bytes = getenv("MARS_TEST_DEVICE_BYTES");
  return bytes ? strtoull(bytes, nullptr, 10) : MiB;
}

size_t memory_of(const Config &c) {
  const char *everywhere = c.devices.empty() ? getenv("MARS_TEST_DEVICES") : nullptr;
  std::istringstream list(everywhere ? everywhere : "");
  size_t bytes = c.budget;
  for (std::string device; std::getline(list, device, ',');)
    bytes += device == "host" ? 0 : test_device_bytes();
  return bytes;
}

Config host_config() {
  Config c;
  c.devices = "host";
  return c;
}

mars_status open_session(const Config &c, mars_session **out, mars_error *err) {
  mars_session_config config;
  mars_session_config_init(&config);
  config.host_budget_bytes = c.budget;
  config.threads = c.threads;
  config.bind_threads = false; // several sessions at once would share the first cores
  config.eager = c.eager;
  config.no_fusion = !c.fusion;
  config.chunk_elements = c.chunk;
  std::string dir = c.spill_dir.empty() ? test_tmp() : c.spill_dir;
  const char *dirs[] = {dir.c_str()};
  if (c.spill) {
    config.spill_dirs = dirs;
    config.n_spill_dirs = 1;
  } else {
    config.n_spill_dirs = MARS_SPILL_OFF;
  }
  config.spill_budget_bytes = c.spill_budget;
  if (!c.io_backend.empty())
    config.io_backend = c.io_backend.c_str();
  config.no_direct_io = !c.direct;
  config.allocator = c.allocator;
  config.progress = c.progress;
  config.log = c.log;
  config.user = c.user;
  config.device_budget_bytes = c.device_budget;
  if (!c.devices.empty()) {
    config.devices = c.devices.c_str();
    return c.devices.compare(0, 5, "cuda:") ? fake_session_create(&config, out, err) : mars_session_create(&config, out, err);
  }
  const char *everywhere = getenv("MARS_TEST_DEVICES");
  if (!everywhere)
    return mars_session_create(&config, out, err);
  config.devices = everywhere;
  if (!strncmp(everywhere, "cuda:", 5)) {
    config.device_budget_bytes = test_device_bytes();
    return mars_session_create(&config, out, err);
  }
  // every session of a suite on devices: tiny ones, so that chunks come and go
  static const bool set = [] {
    fake_plan plan = {};
    plan.count = 4;
    plan.memory_bytes = test_device_bytes();
    plan.peers = true;
    const char *refuse = getenv("MARS_TEST_REFUSE_EVERY");
    plan.refuse_every = refuse ? atoi(refuse) : 7;
    plan.fail_at = -1;
    fake_set(&plan);
    return true;
  }();
  (void)set;
  return fake_session_create(&config, out, err);
}

std::vector<Config> covering_configs(int64_t row) {
  // rows of an orthogonal array over chunk (4) x budget (3) x fusion (2) x threads (2)
  const int64_t chunks[4] = {row, 7, 1013, 0};
  const size_t budgets[3] = {kMinimalBudget, 64 * MiB, 256 * MiB};
  std::vector<Config> all;
  for (int i = 0; i < 12; i++) {
    Config c;
    c.chunk = chunks[i % 4];
    c.budget = budgets[i / 4];
    c.fusion = (i / 4 + i) % 2 == 0;
    c.threads = 1 + (i / 2 + i / 4) % 2;
    all.push_back(c);
  }
  if (quick())
    all = {all[0], all[5], all[10]};
  return all;
}

Session::Session(const Config &c) {
  mars_error err = {};
  mars_status st = open_session(c, &s, &err);
  if (st != MARS_OK)
    throw std::runtime_error("session " + name_of(c) + ": " + err.message);
}
Session::~Session() {
  mars_session_destroy(s);
  EXPECT_EQ(fake_complaint(), nullptr) << fake_complaint();
}

void settle(mars_session *s) {
  mars_error err = {};
  EXPECT_TRUE(
      ok(mars_run(s, nullptr, 0, &err), err)); // jobs run one after another, and each begins with that
}

int64_t baseline(mars_session *s) {
  {
    Scope scope(s);
    mars_tensor *first = mars_ones(s, MARS_F64, MARS_SHAPE(4));
    mars_error err = {};
    EXPECT_TRUE(ok(mars_run(s, &first, 1, &err), err));
  }
  settle(s);
  return shim_live_allocations(s);
}

testing::AssertionResult no_leak(mars_session *s, int64_t live) {
  const int64_t pooled = on_gpus() ? 20 : 10; // GPUs keep their compiled kernels, too
  settle(s);
  int64_t now = shim_live_allocations(s);
  if (now <= live + pooled)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << now << " live records, " << live << " before";
}

mars_session *shared_session(const Config &c) {
  static std::map<std::string, std::unique_ptr<Session>> open;
  std::unique_ptr<Session> &s = open[name_of(c)];
  if (!s)
    s = std::make_unique<Session>(c);
  return *s;
}

mars_shape shape_of(const std::vector<int64_t> &dims) {
  mars_shape s = {};
  s.ndim = (int)dims.size();
  for (size_t i = 0; i < dims.size(); i++)
    s.dims[i] = dims[i];
  return s;
}
std::vector<int64_t> dims_of(const mars_shape &s) {
  return s.ndim < 0 ? std::vector<int64_t>{-1} : std::vector<int64_t>(s.dims, s.dims + s.ndim);
}
int64_t count_of(const std::vector<int64_t> &dims) {
  int64_t n = 1;
  for (int64_t d : dims)
    n *= d;
  return n;
}

Array::Array(mars_dtype dtype, std::vector<int64_t> shape) : dt(dtype), dims(std::move(shape)) {
  bytes.resize((size_t)count_of(dims) * item());
}

int64_t Array::broadcast_index(int64_t i, const std::vector<int64_t> &to) const {
  int64_t index = 0, stride = 1;
  for (size_t k = 0; k < to.size(); k++) { // from the last axis on
    int64_t extent = to[to.size() - 1 - k], c = i % extent;
    i /= extent;
    if (k >= dims.size())
      continue;
    int64_t own = dims[dims.size() - 1 - k];
    if (own != 1)
      index += c * stride;
    stride *= own;
  }
  return index;
}

std::vector<oracle::Num> numbers(const Array &a) {
  std::vector<oracle::Num> n;
  for (int64_t i = 0; i < a.size(); i++)
    n.push_back(a.get(i));
  return n;
}

static bool both_nan(mars_dtype dt, const void *a, const void *b) {
  char k = oracle::kind_of(dt);
  if (k != 'f' && k != 'c')
    return false;
  oracle::Num x = oracle::load(dt, a), y = oracle::load(dt, b);
  auto same = [](long double p, long double q) {
    return std::isnan(p) ? std::isnan(q) : p == q && std::signbit(p) == std::signbit(q);
  };
  return same(x.re, y.re) && same(x.im, y.im);
}

testing::AssertionResult same_bits(const Array &a, const Array &b) {
  if (a.dt != b.dt)
    return testing::AssertionFailure() << short_name(a.dt) << " and " << short_name(b.dt);
  if (a.dims != b.dims)
    return testing::AssertionFailure()
           << "shapes " << testing::PrintToString(a.dims) << " and " << testing::PrintToString(b.dims);
  if (a.bytes == b.bytes)
    return testing::AssertionSuccess();
  for (int64_t i = 0; i < a.size(); i++)
    if (std::memcmp(a.at(i), b.at(i), a.item()) != 0 && !both_nan(a.dt, a.at(i), b.at(i)))
      return testing::AssertionFailure() << "element " << i << " of " << a.size() << ": "
                                         << oracle::show(a.get(i)) << " and " << oracle::show(b.get(i));
  return testing::AssertionSuccess();
}

mars_tensor *tensor(mars_session *s, const Array &a) {
  return mars_from_copy(s, a.dt, shape_of(a.dims), a.bytes.data());
}
mars_tensor *borrow(mars_session *s, const Array &a) {
  return mars_from_memory(s, a.dt, shape_of(a.dims), nullptr, a.bytes.data(), nullptr, nullptr);
}

testing::AssertionResult ok(mars_status st, const mars_error &err) {
  if (st == MARS_OK)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << mars_status_name(st) << ": " << err.message;
}

testing::AssertionResult fetch(mars_tensor *t, Array *out) {
  mars_error err = {};
  mars_status st = mars_check(t, &err);
  if (st != MARS_OK)
    return ok(st, err);
  *out = Array(mars_dtype_of(t), dims_of(mars_shape_of(t)));
  return ok(mars_fetch(t, out->bytes.data(), out->bytes.size(), &err), err);
}

Array fetched(mars_tensor *t) {
  Array a;
  EXPECT_TRUE(fetch(t, &a));
  return a;
}

testing::AssertionResult fetch_all(mars_session *s, const std::vector<mars_tensor *> &t,
                                   std::vector<Array> *out) {
  mars_error err = {};
  std::vector<mars_output> o(t.size());
  out->clear();
  out->resize(t.size());
  for (size_t i = 0; i < t.size(); i++) {
    mars_status st = mars_check(t[i], &err);
    if (st != MARS_OK)
      return ok(st, err) << " (output " << i << ")";
    (*out)[i] = Array(mars_dtype_of(t[i]), dims_of(mars_shape_of(t[i])));
    o[i].tensor = t[i];
    o[i].sink = MARS_SINK_MEMORY;
    o[i].data = (*out)[i].bytes.data();
    o[i].bytes = (*out)[i].bytes.size();
  }
  mars_job *job = nullptr;
  mars_status st = mars_submit(s, o.data(), o.size(), &job, &err);
  if (st == MARS_OK)
    st = mars_wait(job, &err);
  mars_job_release(job);
  return ok(st, err);
}

testing::AssertionResult says(mars_status got, const mars_error &err, mars_status want,
                              std::initializer_list<const char *> words) {
  if (got != want)
    return testing::AssertionFailure() << mars_status_name(got) << " instead of " << mars_status_name(want)
                                       << ": " << (got == MARS_OK ? "" : err.message);
  if (err.status != want)
    return testing::AssertionFailure() << "err.status is " << mars_status_name(err.status);
  for (const char *w : words)
    if (!std::strstr(err.message, w))
      return testing::AssertionFailure() << "'" << w << "' is not in: " << err.message;
  return testing::AssertionSuccess();
}

std::string explain(mars_session *s, mars_tensor *t) {
  mars_output o = {};
  o.tensor = t;
  char *text = nullptr;
  mars_error err = {};
  EXPECT_TRUE(ok(mars_explain(s, &o, 1, MARS_EXPLAIN_TEXT, &text, &err), err));
  std::string r = text ? text : "";
  mars_text_free(s, text);
  return r;
}

testing::AssertionResult is_error(mars_tensor *t, mars_status st, std::initializer_list<const char *> words) {
  mars_error err = {};
  if (!t)
    return testing::AssertionFailure() << "NULL";
  mars_status got = mars_check(t, &err);
  if (mars_shape_of(t).ndim != -1)
    return testing::AssertionFailure() << "it has a shape: no error tensor";
  return says(got, err, st, words);
}

} // namespace api
