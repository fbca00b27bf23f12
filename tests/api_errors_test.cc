// Bad input: each mistake gives its documented status and a message that names the function, the values and
// what would be right; earlier results stay readable, no file is left behind, nothing leaks.
#include "tests/api_util.h"

#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace api;

namespace {

// Nothing may be left of whatever went wrong: records of the engine, open files.
class Errors : public testing::Test {
protected:
  void SetUp() override {
    Config config;
    config.spill_dir = dir.path;
    s = std::make_unique<Session>(config);
    live = baseline(*s);
    files = open_files();
    mars_scope_open(*s);
  }
  void TearDown() override {
    mars_scope_close(*s);
    EXPECT_TRUE(no_leak(*s, live)) << "leaked records";
    mars_session_info info;
    mars_session_get_info(*s, &info);
    EXPECT_EQ(info.live_allocations, shim_live_allocations(*s));
    EXPECT_EQ(info.arena_used_bytes, 0u);
    EXPECT_EQ(open_files(), files) << "leaked file descriptors";
    s.reset();
  }
  mars_tensor *zeros(mars_shape shape, mars_dtype dt = MARS_F64) { return mars_zeros(*s, dt, shape); }

  TempDir dir;
  std::unique_ptr<Session> s;
  int64_t live = 0;
  int files = 0;
};

// ---- calls that build graphs ----------------------------------------------------------------------------

TEST_F(Errors, ShapesThatDoNotBroadcast) {
  mars_tensor *a = zeros(MARS_SHAPE(2, 3)), *b = zeros(MARS_SHAPE(4));
  EXPECT_TRUE(is_error(mars_add(a, b), MARS_E_SHAPE, {"mars_add", "(2, 3)", "(4,)", "broadcast"}));
  EXPECT_TRUE(is_error(mars_where(zeros(MARS_SHAPE(2), MARS_BOOL), b, b), MARS_E_SHAPE,
                       {"mars_where", "(2,)", "(4,)"}));
  EXPECT_TRUE(is_error(mars_broadcast_to(a, MARS_SHAPE(3, 3)), MARS_E_SHAPE,
                       {"mars_broadcast_to", "(2, 3)", "(3, 3)"}));
  EXPECT_TRUE(
      is_error(mars_reshape(a, MARS_SHAPE(4, 2)), MARS_E_SHAPE, {"mars_reshape", "(2, 3)", "(4, 2)"}));
  EXPECT_TRUE(is_error(mars_reshape(a, MARS_SHAPE(-1, -1)), MARS_E_SHAPE, {"mars_reshape", "-1"}));
  EXPECT_TRUE(is_error(mars_reshape(a, MARS_SHAPE(-1, 4)), MARS_E_SHAPE, {"mars_reshape", "(2, 3)"}));
  mars_tensor *pair[] = {a, zeros(MARS_SHAPE(2, 4))}, *flat[] = {a, b};
  EXPECT_TRUE(is_error(mars_concatenate(pair, 2, 0), MARS_E_SHAPE, {"mars_concatenate", "(2, 3)", "(2, 4)"}));
  EXPECT_TRUE(is_error(mars_concatenate(flat, 2, 0), MARS_E_SHAPE, {"mars_concatenate"}));
  EXPECT_TRUE(is_error(mars_stack(pair, 2, 0), MARS_E_SHAPE, {"mars_stack", "(2, 3)", "(2, 4)"}));
  EXPECT_TRUE(is_error(mars_squeeze(a, MARS_AXES(0)), MARS_E_SHAPE, {"mars_squeeze", "(2, 3)"}));
  EXPECT_TRUE(is_error(mars_full(*s, MARS_F64, MARS_SHAPE(2), b), MARS_E_SHAPE, {"mars_full", "(4,)"}));
  EXPECT_TRUE(is_error(mars_stack(flat, 2, 0), MARS_E_SHAPE, {"mars_stack", "(2, 3)", "(4,)"}));
  EXPECT_EQ(mars_concatenate(nullptr, 0, 0), nullptr) << "no tensor, no session";
}

TEST_F(Errors, WrongAxes) {
  mars_tensor *a = zeros(MARS_SHAPE(2, 3));
  EXPECT_TRUE(is_error(mars_sum(a, MARS_AXES(2)), MARS_E_AXIS, {"mars_sum", "2"}));
  EXPECT_TRUE(is_error(mars_sum(a, MARS_AXES(-3)), MARS_E_AXIS, {"mars_sum", "-3"}));
  EXPECT_TRUE(is_error(mars_max(a, MARS_AXES(0, -2)), MARS_E_AXIS, {"mars_max", "twice"}));
  EXPECT_TRUE(is_error(mars_cumsum(a, 7), MARS_E_AXIS, {"mars_cumsum", "7"}));
  EXPECT_TRUE(is_error(mars_permute_dims(a, MARS_AXES(0)), MARS_E_AXIS, {"mars_permute_dims"}));
  EXPECT_TRUE(is_error(mars_permute_dims(a, MARS_AXES(0, 0)), MARS_E_AXIS, {"mars_permute_dims"}));
  EXPECT_TRUE(is_error(mars_swapaxes(a, 0, 5), MARS_E_AXIS, {"mars_swapaxes", "5"}));
  EXPECT_TRUE(is_error(mars_moveaxis(a, -9, 0), MARS_E_AXIS, {"mars_moveaxis", "-9"}));
  EXPECT_TRUE(is_error(mars_expand_dims(a, 4), MARS_E_AXIS, {"mars_expand_dims", "4"}));
  EXPECT_TRUE(is_error(mars_flip(a, MARS_AXES(3)), MARS_E_AXIS, {"mars_flip", "3"}));
  EXPECT_TRUE(is_error(mars_stack(&a, 1, 4), MARS_E_AXIS, {"mars_stack", "4"}));
  EXPECT_TRUE(is_error(mars_concatenate(&a, 1, 2), MARS_E_AXIS, {"mars_concatenate", "2"}));
  EXPECT_TRUE(is_error(mars_iota(*s, MARS_I64, MARS_SHAPE(2), 1), MARS_E_AXIS, {"mars_iota", "1"}));
  EXPECT_TRUE(is_error(mars_sum(zeros(MARS_SHAPE_0D), MARS_AXES(0)), MARS_E_AXIS, {"mars_sum", "0"}));
  mars_axes too_many = {};
  too_many.count = 99;
  EXPECT_TRUE(is_error(mars_sum(a, too_many), MARS_E_AXIS, {"mars_sum", "99"}));
  mars_slice deep[MARS_MAX_DIMS + 1];
  for (mars_slice &item : deep)
    item = {MARS_SLICE_NEWAXIS, 0, 0, 0};
  EXPECT_TRUE(is_error(mars_index(a, deep, MARS_MAX_DIMS), MARS_E_SHAPE, {"mars_index", "16"}));
}

TEST_F(Errors, IndicesOutOfRange) {
  mars_tensor *a = zeros(MARS_SHAPE(4, 3));
  mars_slice at = {MARS_SLICE_INTEGER, 4, 0, 0}, below = {MARS_SLICE_INTEGER, -5, 0, 0};
  EXPECT_TRUE(is_error(mars_index(a, &at, 1), MARS_E_INDEX, {"mars_index", "4", "axis 0"}));
  EXPECT_TRUE(is_error(mars_index(a, &below, 1), MARS_E_INDEX, {"mars_index", "-5"}));
  mars_slice many[] = {at, at, at};
  many[0].start = many[1].start = many[2].start = 0;
  EXPECT_TRUE(is_error(mars_index(a, many, 3), MARS_E_INDEX, {"mars_index", "too many"}));
  mars_slice dots[] = {{MARS_SLICE_ELLIPSIS, 0, 0, 0}, {MARS_SLICE_ELLIPSIS, 0, 0, 0}};
  EXPECT_TRUE(is_error(mars_index(a, dots, 2), MARS_E_INDEX, {"mars_index", "ellipsis"}));
  mars_slice still = {MARS_SLICE_RANGE, 0, 2, 0};
  EXPECT_TRUE(is_error(mars_index(a, &still, 1), MARS_E_ARG, {"mars_index", "step"}));
  mars_slice odd = {(mars_slice_kind)9, 0, 0, 0};
  EXPECT_TRUE(is_error(mars_index(a, &odd, 1), MARS_E_ARG, {"mars_index", "9"}));
  // extreme bounds are clipped, not computed with
  mars_slice wide = {MARS_SLICE_RANGE, INT64_MIN + 1, INT64_MAX, INT64_MAX};
  EXPECT_EQ(mars_size_of(mars_index(a, &wide, 1)), 3);
  mars_slice back = {MARS_SLICE_RANGE, INT64_MAX, INT64_MIN + 1, -INT64_MAX};
  EXPECT_EQ(mars_size_of(mars_index(a, &back, 1)), 3);
}

TEST_F(Errors, DtypesAndSizes) {
  EXPECT_TRUE(is_error(mars_zeros(*s, (mars_dtype)77, MARS_SHAPE(2)), MARS_E_DTYPE, {"mars_zeros", "77"}));
  EXPECT_TRUE(
      is_error(mars_astype(zeros(MARS_SHAPE(2)), (mars_dtype)-7), MARS_E_DTYPE, {"mars_astype", "-7"}));
  EXPECT_TRUE(is_error(mars_random_integers(*s, MARS_F64, MARS_SHAPE(2), 0, 5), MARS_E_DTYPE,
                       {"mars_random_integers", "float64"}));
  EXPECT_TRUE(is_error(mars_random_uniform(*s, MARS_I8, MARS_SHAPE(2), 0, 5), MARS_E_DTYPE,
                       {"mars_random_uniform", "int8"}));
  int64_t huge = (int64_t)1 << 40;
  EXPECT_TRUE(is_error(zeros(MARS_SHAPE(huge, huge)), MARS_E_OVERFLOW, {"mars_zeros", "1099511627776"}));
  EXPECT_TRUE(is_error(zeros(MARS_SHAPE((int64_t)1 << 61)), MARS_E_OVERFLOW, {"mars_zeros"}))
      << "2**64 bytes";
  EXPECT_TRUE(is_error(zeros(MARS_SHAPE(2, -3)), MARS_E_SHAPE, {"mars_zeros", "-3"}));
  mars_shape wild = {};
  wild.ndim = 17;
  EXPECT_TRUE(is_error(mars_zeros(*s, MARS_F64, wild), MARS_E_SHAPE, {"mars_zeros", "17"}));
  wild.ndim = -2;
  EXPECT_TRUE(is_error(mars_zeros(*s, MARS_F64, wild), MARS_E_SHAPE, {"mars_zeros", "-2"}));
  mars_tensor *row = zeros(MARS_SHAPE(huge)), *col = zeros(MARS_SHAPE(huge, 1));
  EXPECT_TRUE(is_error(mars_add(row, col), MARS_E_OVERFLOW, {"mars_add"}));
  EXPECT_TRUE(
      is_error(mars_broadcast_to(row, MARS_SHAPE(huge, huge)), MARS_E_OVERFLOW, {"mars_broadcast_to"}));
  EXPECT_TRUE(is_error(mars_arange(*s, MARS_F64, 0, 1, 1e-300), MARS_E_OVERFLOW, {"mars_arange"}));
  EXPECT_TRUE(is_error(mars_arange(*s, MARS_F64, 0, 1, 0), MARS_E_ARG, {"mars_arange", "step"}));
  EXPECT_TRUE(is_error(mars_arange(*s, MARS_I8, 0, 1000, 1), MARS_E_OVERFLOW, {"mars_arange", "int8"}));
  EXPECT_TRUE(is_error(mars_linspace(*s, MARS_F64, 0, 1, -1, true), MARS_E_ARG, {"mars_linspace", "-1"}));
  EXPECT_TRUE(
      is_error(mars_random_bernoulli(*s, MARS_SHAPE(2), 1.5), MARS_E_ARG, {"mars_random_bernoulli", "1.5"}));
  EXPECT_TRUE(is_error(mars_random_integers(*s, MARS_I8, MARS_SHAPE(2), 5, 5), MARS_E_ARG,
                       {"mars_random_integers", "5"}));
  EXPECT_TRUE(is_error(mars_random_integers(*s, MARS_I8, MARS_SHAPE(2), 0, 300), MARS_E_OVERFLOW,
                       {"mars_random_integers", "300"}));
  EXPECT_TRUE(is_error(mars_random_normal(*s, MARS_F64, MARS_SHAPE(2), 0, -1), MARS_E_ARG,
                       {"mars_random_normal", "-1"}));
}

TEST_F(Errors, NamesAndNull) {
  mars_tensor *a = zeros(MARS_SHAPE(2)), *two[] = {a, a};
  EXPECT_TRUE(is_error(mars_apply(*s, "no_such_op", two, 1), MARS_E_ARG, {"mars_apply", "no_such_op"}));
  EXPECT_TRUE(is_error(mars_apply(*s, "add", two, 1), MARS_E_ARG, {"mars_apply", "add", "2"}));
  EXPECT_TRUE(is_error(mars_apply(*s, "sum", two, 1), MARS_E_ARG, {"mars_apply", "sum"}));
  EXPECT_TRUE(is_error(mars_apply(*s, nullptr, two, 1), MARS_E_ARG, {"mars_apply"}));
  EXPECT_TRUE(is_error(mars_apply_reduce("add", a, nullptr), MARS_E_ARG, {"mars_apply_reduce", "add"}));
  EXPECT_TRUE(is_error(mars_add(nullptr, a), MARS_E_MEMORY, {"mars_add", "NULL"}))
      << "the other operand names the session";
  EXPECT_EQ(mars_exp(nullptr), nullptr);
  EXPECT_EQ(mars_reshape(nullptr, MARS_SHAPE(1)), nullptr);
  EXPECT_EQ(mars_check(nullptr, nullptr), MARS_E_MEMORY);
  mars_release(nullptr);
  EXPECT_EQ(mars_retain(nullptr), nullptr);
  Session other;
  Scope scope(other);
  mars_tensor *foreign = mars_zeros(other, MARS_F64, MARS_SHAPE(2));
  EXPECT_TRUE(is_error(mars_add(a, foreign), MARS_E_ARG, {"mars_add", "session"}));
}

TEST_F(Errors, ErrorTensorsCarryTheFirstErrorOn) {
  mars_tensor *a = zeros(MARS_SHAPE(2, 3)), *bad = mars_add(a, zeros(MARS_SHAPE(5)));
  mars_tensor *end =
      mars_sum(mars_exp(mars_mul(mars_sqrt(bad), mars_reshape(a, MARS_SHAPE(77)))), MARS_AXES(9));
  EXPECT_TRUE(is_error(end, MARS_E_SHAPE, {"mars_add", "(5,)"}));
  mars_error err = {};
  double out[6];
  EXPECT_TRUE(says(mars_fetch(end, out, sizeof out, &err), err, MARS_E_SHAPE, {"mars_add"}));
  mars_tensor *run[] = {a, end};
  EXPECT_TRUE(says(mars_run(*s, run, 2, &err), err, MARS_E_SHAPE, {"mars_add"}));
  EXPECT_FALSE(mars_is_ready(a)) << "nothing of a refused run is computed";
  EXPECT_TRUE(says(mars_save_npy(end, dir.file("x.npy").c_str(), &err), err, MARS_E_SHAPE, {"mars_add"}));
  EXPECT_TRUE(dir.list().empty());
  mars_job *job = (mars_job *)1;
  mars_output o = {};
  o.tensor = end;
  EXPECT_TRUE(says(mars_submit(*s, &o, 1, &job, &err), err, MARS_E_SHAPE, {"mars_add"}));
  EXPECT_EQ(job, nullptr);
  char *text = (char *)1;
  EXPECT_TRUE(says(mars_explain(*s, &o, 1, MARS_EXPLAIN_TEXT, &text, &err), err, MARS_E_SHAPE, {"mars_add"}));
  EXPECT_EQ(text, nullptr);
}

// ---- running --------------------------------------------------------------------------------------------

TEST_F(Errors, RunsRefused) {
  mars_tensor *a = zeros(MARS_SHAPE(10));
  mars_error err = {};
  double out[11];
  EXPECT_TRUE(says(mars_fetch(a, out, 88, &err), err, MARS_E_ARG, {"mars_fetch", "88", "80"}));
  EXPECT_TRUE(says(mars_fetch(a, nullptr, 80, &err), err, MARS_E_ARG, {"mars_fetch", "NULL"}));
  EXPECT_NE(mars_fetch(nullptr, out, 80, &err), MARS_OK);
  EXPECT_TRUE(says(mars_save_npy(a, nullptr, &err), err, MARS_E_ARG, {"mars_save_npy"}));
  EXPECT_TRUE(says(mars_save_npy(a, "", &err), err, MARS_E_ARG, {"mars_save_npy"}));
  std::string missing = dir.file("no/such/dir/x.npy");
  EXPECT_TRUE(
      says(mars_save_npy(a, missing.c_str(), &err), err, MARS_E_IO, {"mars_save_npy", missing.c_str()}));
  EXPECT_EQ(err.code, ENOENT);
  EXPECT_STREQ(err.domain, "errno");
  EXPECT_TRUE(
      says(mars_save_npy(a, dir.path.c_str(), &err), err, MARS_E_IO, {"mars_save_npy", dir.path.c_str()}));
  EXPECT_TRUE(says(mars_save_npy(mars_astype(a, MARS_BF16), dir.file("x.npy").c_str(), &err), err,
                   MARS_E_DTYPE, {"mars_save_npy", "bfloat16"}));
  EXPECT_TRUE(dir.list().empty());
  mars_output o[2] = {};
  mars_job *job = nullptr;
  o[0].tensor = a;
  o[0].sink = (mars_sink)7;
  EXPECT_TRUE(says(mars_submit(*s, o, 1, &job, &err), err, MARS_E_ARG, {"mars_submit", "7"}));
  EXPECT_TRUE(says(mars_submit(*s, nullptr, 1, &job, &err), err, MARS_E_ARG, {"mars_submit"}));
  o[0].sink = MARS_SINK_MEMORY;
  o[0].data = out;
  o[0].bytes = 3;
  EXPECT_TRUE(says(mars_submit(*s, o, 1, &job, &err), err, MARS_E_ARG, {"mars_submit", "3", "80"}));
  Session other;
  Scope scope(other);
  mars_tensor *foreign = mars_zeros(other, MARS_F64, MARS_SHAPE(2));
  EXPECT_TRUE(says(mars_run(*s, &foreign, 1, &err), err, MARS_E_ARG, {"mars_run", "session"}));
  // nothing to do is no error
  EXPECT_EQ(mars_run(*s, nullptr, 0, &err), MARS_OK);
  // the optional error may be left out
  EXPECT_EQ(mars_fetch(a, out, 88, nullptr), MARS_E_ARG);
}

TEST(SessionErrors, ConfigurationsRefused) {
  mars_session_config config;
  mars_session *s = (mars_session *)1;
  mars_error err = {};
  TempDir dir;
  auto refused = [&](mars_status want, std::initializer_list<const char *> words) {
    s = (mars_session *)1;
    err = mars_error();
    testing::AssertionResult r = says(mars_session_create(&config, &s, &err), err, want, words);
    if (r && s != nullptr)
      r = testing::AssertionFailure() << "*out is not NULL";
    mars_session_config_init(&config);
    config.host_budget_bytes = 16 * MiB;
    return r;
  };
  mars_session_config_init(&config);
  config.isa = "mmx";
  EXPECT_TRUE(refused(MARS_E_ARG, {"mars_session_create", "mmx"}));
  config.io_backend = "carrier pigeon";
  EXPECT_TRUE(refused(MARS_E_ARG, {"mars_session_create", "carrier pigeon"}));
  config.threads = -1;
  EXPECT_TRUE(refused(MARS_E_ARG, {"mars_session_create", "-1"}));
  config.chunk_elements = -5;
  EXPECT_TRUE(refused(MARS_E_ARG, {"mars_session_create", "-5"}));
  config.host_budget_bytes = 1;
  EXPECT_TRUE(refused(MARS_E_BUDGET, {"mars_session_create", "1"}));
  config.host_budget_bytes = (size_t)1 << 62;
  EXPECT_TRUE(refused(MARS_E_MEMORY, {"mars_session_create"}) || s == nullptr);
  config.struct_bytes = 3;
  EXPECT_TRUE(refused(MARS_E_ARG, {"mars_session_create"}));
  std::string missing = dir.file("missing"), file = dir.file("file");
  std::ofstream(file) << "x";
  const char *dirs[] = {missing.c_str()};
  config.spill_dirs = dirs;
  config.n_spill_dirs = 1;
  EXPECT_TRUE(refused(MARS_E_IO, {"mars_session_create", missing.c_str()}));
  dirs[0] = file.c_str();
  config.spill_dirs = dirs;
  config.n_spill_dirs = 1;
  EXPECT_TRUE(refused(MARS_E_IO, {"mars_session_create", file.c_str()}));
  const char *read_only[] = {"/proc/self"}; // nobody may make files there, not even root
  config.spill_dirs = read_only;
  config.n_spill_dirs = 1;
  EXPECT_TRUE(refused(MARS_E_IO, {"mars_session_create", "/proc/self"}));
  EXPECT_NE(mars_session_create(&config, nullptr, &err), MARS_OK);
}

// A config of an older, shorter struct still works, and no config at all too.
TEST(SessionErrors, DefaultsAndDestroy) {
  mars_session *s = nullptr;
  mars_error err = {};
  ASSERT_TRUE(ok(mars_session_create(nullptr, &s, &err), err));
  mars_session_info info;
  mars_session_get_info(s, &info);
  EXPECT_GT(info.host_budget_bytes, 16 * MiB);
  EXPECT_GE(info.cores, 1);
  EXPECT_GE(info.threads, 1);
  EXPECT_NE(std::string(info.version), "");
  EXPECT_STREQ(info.version, mars_version());
  EXPECT_NE(std::string(info.isa), "");
  EXPECT_GE(info.n_spill_dirs, 1);
  mars_session_destroy(s);
  mars_session_destroy(nullptr);
}

// ---- npy files ------------------------------------------------------------------------------------------

TEST_F(Errors, DamagedAndMaliciousNpyFiles) {
  std::string good = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }", data(48, 'x');
  std::string path = dir.file("bad.npy");
  auto refused = [&](mars_status st, std::initializer_list<const char *> words) {
    testing::AssertionResult r = is_error(mars_from_npy(*s, path.c_str()), st, words);
    if (r)
      r = is_error(mars_from_npy(*s, path.c_str()), st, {"mars_from_npy", path.c_str()});
    return r;
  };
  auto header = [&](const std::string &text) { write_raw_npy(path, text, data); };
  EXPECT_TRUE(refused(MARS_E_IO, {})) << "missing";
  header(good);
  EXPECT_EQ(mars_check(mars_from_npy(*s, path.c_str()), nullptr), MARS_OK);
  write_raw_npy(path, good, data.substr(1));
  EXPECT_TRUE(refused(MARS_E_FORMAT, {"(2, 3)", "48", "47"})) << "truncated";
  header("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }");
  EXPECT_TRUE(refused(MARS_E_DTYPE, {"|O"}));
  header("{'descr': '<U5', 'fortran_order': False, 'shape': (2,), }");
  EXPECT_TRUE(refused(MARS_E_DTYPE, {"<U5"}));
  header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }");
  EXPECT_FALSE(refused(MARS_OK, {}));
  header("{'descr': '<f16', 'fortran_order': False, 'shape': (2,), }");
  EXPECT_TRUE(refused(MARS_E_DTYPE, {"<f16"}));
  header("{'descr': '<f8', 'fortran_order': False, 'shape': (-2, 3), }");
  EXPECT_TRUE(refused(MARS_E_FORMAT, {}));
  header("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4611686018427387904), }");
  EXPECT_TRUE(refused(MARS_E_OVERFLOW, {}));
  header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,), }");
  EXPECT_TRUE(refused(MARS_E_OVERFLOW, {}));
  header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }");
  EXPECT_TRUE(refused(MARS_E_FORMAT, {"1000000000000"})) << "more than the file has";
  header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1), }");
  EXPECT_TRUE(refused(MARS_E_SHAPE, {"16"}));
  for (const char *text :
       {"{'descr': '<f8', 'shape': (2, 3), }", "{'descr': '<f8', 'fortran_order': False, }", "{}", "",
        "{'descr': '<f8', 'fortran_order': Maybe, 'shape': (2, 3), }", "{'descr': '<f8'",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3, }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 6, }", "import os; os.abort()"}) {
    header(text);
    EXPECT_NE(mars_check(mars_from_npy(*s, path.c_str()), nullptr), MARS_OK) << text;
  }
  write_raw_npy(path, good, data, 9);
  EXPECT_TRUE(refused(MARS_E_FORMAT, {"9."}));
  // a header length far beyond the file, in both forms
  std::ofstream(path, std::ios::binary) << std::string("\x93NUMPY\x01\x00\xff\xff{'descr'", 17);
  EXPECT_TRUE(refused(MARS_E_FORMAT, {}));
  std::ofstream(path, std::ios::binary) << std::string("\x93NUMPY\x02\x00\xff\xff\xff\x7f{'descr'", 19);
  EXPECT_TRUE(refused(MARS_E_FORMAT, {}));
  for (size_t n : {0, 3, 6, 8, 9, 10, 40}) { // cut anywhere
    write_raw_npy(dir.file("good.npy"), good, data);
    std::ifstream in(dir.file("good.npy"), std::ios::binary);
    std::string head(n, 0);
    in.read(&head[0], (std::streamsize)n);
    std::ofstream(path, std::ios::binary) << head;
    EXPECT_TRUE(refused(MARS_E_FORMAT, {})) << n << " bytes";
  }
  EXPECT_TRUE(is_error(mars_from_npy(*s, dir.path.c_str()), MARS_E_IO, {"mars_from_npy", dir.path.c_str()}));
  EXPECT_TRUE(is_error(mars_from_npy(*s, "/dev/zero"), MARS_E_IO, {"mars_from_npy", "/dev/zero"}));
  EXPECT_TRUE(is_error(mars_from_npy(*s, nullptr), MARS_E_ARG, {"mars_from_npy"}));
}

// Headers with random bytes changed: an error or a tensor that can be read, never a crash.
TEST_F(Errors, FuzzedNpyHeaders) {
  std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
              path = dir.file("fuzz.npy");
  Rng rng(2);
  for (int k = 0; k < (quick() ? 300 : 3000); k++) {
    Scope scope(*s);
    std::string text = good;
    for (int64_t n = rng.between(1, 3); n > 0; n--) {
      size_t at = (size_t)rng.below((int64_t)text.size());
      switch (rng.below(3)) {
      case 0:
        text[at] = (char)rng.between(1, 255);
        break;
      case 1:
        text.erase(at, 1);
        break;
      default:
        text.insert(at, 1, "0123456789(),'{}:<>fiu"[rng.below(22)]);
      }
    }
    write_raw_npy(path, text, std::string(48, 'y'));
    mars_tensor *t = mars_from_npy(*s, path.c_str());
    if (mars_check(t, nullptr) != MARS_OK)
      continue;
    Array a;
    EXPECT_TRUE(fetch(t, &a)) << text;
    EXPECT_LE(a.bytes.size(), 48u) << text;
  }
}

TEST_F(Errors, FileThatShrinksBeforeAndWhileItIsRead) {
  Array x(MARS_F64, {1 << 21});
  std::string path = dir.file("x.npy"), out = dir.file("y.npy");
  mars_error err = {};
  mars_tensor *kept = mars_add(mars_arange(*s, MARS_F64, 0, 1000, 1), mars_float(*s, 1));
  ASSERT_TRUE(ok(mars_run(*s, &kept, 1, &err), err));
  for (off_t length : {(off_t)0, (off_t)64, (off_t)1000, (off_t)(8 << 20), (off_t)((16 << 20) + 64)}) {
    write_npy(path, x);
    mars_tensor *t = mars_from_npy(*s, path.c_str());
    ASSERT_EQ(mars_check(t, nullptr), MARS_OK);
    ASSERT_EQ(truncate(path.c_str(), length), 0);
    mars_status st = mars_save_npy(mars_sqrt(t), out.c_str(), &err);
    EXPECT_TRUE(says(st, err, MARS_E_IO, {path.c_str(), "shorter"})) << length;
    EXPECT_EQ(dir.list(), std::vector<std::string>{"x.npy"}) << "no half-written file";
    double total;
    st = mars_fetch(mars_sum(t, MARS_ALL), &total, 8, &err);
    EXPECT_TRUE(says(st, err, MARS_E_IO, {path.c_str()})) << length;
  }
  EXPECT_EQ((double)fetched(kept).get(999).re, 1000);
}

// ---- budgets --------------------------------------------------------------------------------------------

// Refused before anything runs, with the bytes that it would need.
TEST(BudgetErrors, WorkingSetThatCannotFit) {
  Config config;
  config.budget = 2 * MiB;
  config.chunk = 1 << 22; // 32 MiB a chunk
  TempDir dir;
  config.spill_dir = dir.path;
  Session s(config);
  Scope scope(s);
  Array x(MARS_F64, {1 << 22});
  mars_tensor *small = mars_add(mars_arange(s, MARS_F64, 0, 100, 1), mars_float(s, 1));
  mars_error err = {};
  ASSERT_TRUE(ok(mars_run(s, &small, 1, &err), err));
  mars_tensor *y = mars_cumsum(mars_sqrt(borrow(s, x)), 0);
  mars_status st = mars_run(s, &y, 1, &err);
  ASSERT_TRUE(says(st, err, MARS_E_BUDGET, {"mars_run", "bytes"}));
  // the need is a number larger than the budget
  bool named = false;
  for (const char *p = err.message; *p; p++)
    if (isdigit((unsigned char)*p)) {
      char *end;
      named = named || std::strtoull(p, &end, 10) >= 32 * MiB;
      p = end - 1;
    }
  EXPECT_TRUE(named) << err.message;
  EXPECT_FALSE(mars_is_ready(y));
  EXPECT_EQ((double)fetched(small).get(99).re, 100);
}

// ---- disks that fill ------------------------------------------------------------------------------------

// A file system of a few MiB, if this process may mount one.
class SmallDisk {
public:
  explicit SmallDisk(const TempDir &dir, const char *size) : path(dir.file("disk")) {
    mkdir(path.c_str(), 0755);
    std::string options = std::string("size=") + size;
    mounted = mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted)
      umount2(path.c_str(), MNT_DETACH); // the kernel may let go of spill files a moment later
  }
  std::string path;
  bool mounted;
};

TEST(DiskErrors, FullWhileSpilling) {
  TempDir dir;
  SmallDisk disk(dir, "8m");
  if (!disk.mounted)
    GTEST_SKIP() << "no right to mount a small file system";
  Config config;
  config.budget = 2 * MiB;
  config.spill_dir = disk.path;
  Session s(config);
  Scope scope(s);
  Array x(MARS_F64, {1 << 22});
  mars_error err = {};
  mars_slice head[] = {{MARS_SLICE_RANGE, 0, 1 << 18, 1}};
  mars_tensor *small = mars_add(mars_index(borrow(s, x), head, 1), mars_float(s, 1));
  ASSERT_TRUE(ok(mars_run(s, &small, 1, &err), err));
  for (int again = 0; again < 2; again++) {
    mars_tensor *y = mars_cumsum(mars_add(borrow(s, x), mars_float(s, 2)), 0);
    EXPECT_TRUE(says(mars_run(s, &y, 1, &err), err, MARS_E_NOSPACE, {"mars_run", disk.path.c_str()}));
    EXPECT_EQ(err.code, ENOSPC);
    Array kept = fetched(small);
    for (int64_t i = 0; i < kept.size(); i++)
      ASSERT_EQ((double)kept.get(i).re, 1);
  }
}

TEST(DiskErrors, FullWhileWritingTheResult) {
  TempDir dir;
  SmallDisk disk(dir, "4m");
  if (!disk.mounted)
    GTEST_SKIP() << "no right to mount a small file system";
  Config config;
  config.spill_dir = dir.path;
  for (const char *backend : {"", "threads"}) {
    config.io_backend = backend;
    Session s(config);
    Scope scope(s);
    std::string old = disk.path + "/y.npy", marker = "an older result";
    std::ofstream(old) << marker;
    mars_tensor *y = mars_random_uniform(s, MARS_F64, MARS_SHAPE(1 << 20), 0, 1);
    mars_error err = {};
    EXPECT_TRUE(
        says(mars_save_npy(y, old.c_str(), &err), err, MARS_E_NOSPACE, {"mars_save_npy", old.c_str()}));
    std::ifstream f(old);
    std::string text((std::istreambuf_iterator<char>(f)), std::istreambuf_iterator<char>());
    EXPECT_EQ(text, marker) << "the older result is untouched";
    std::string small = disk.path + "/z.npy";
    mars_slice head[] = {{MARS_SLICE_RANGE, 0, 1000, 1}};
    EXPECT_TRUE(ok(mars_save_npy(mars_index(y, head, 1), small.c_str(), &err), err))
        << "space was given back";
    unlink(small.c_str());
  }
}

// The same without the right to mount: the limit on the size of a file.
TEST(DiskErrors, FileSizeLimit) {
  TempDir dir;
  struct rlimit was, limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &was), 0);
  Config config;
  config.budget = 2 * MiB;
  config.spill_dir = dir.path;
  Session s(config);
  Scope scope(s);
  signal(SIGXFSZ, SIG_IGN);
  limit = was;
  limit.rlim_cur = 1024; // the store makes smaller slab files before it gives up
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  Array x(MARS_F64, {1 << 21});
  mars_error err = {};
  mars_status write = mars_save_npy(borrow(s, x), dir.file("y.npy").c_str(), &err);
  mars_error spill_err = {};
  mars_tensor *y = mars_cumsum(borrow(s, x), 0);
  mars_status spill = mars_run(s, &y, 1, &spill_err);
  setrlimit(RLIMIT_FSIZE, &was);
  EXPECT_TRUE(says(write, err, MARS_E_IO, {"mars_save_npy", "y.npy"}));
  EXPECT_EQ(err.code, EFBIG);
  EXPECT_TRUE(says(spill, spill_err, MARS_E_IO, {"mars_run", dir.path.c_str()}));
  EXPECT_TRUE(dir.list().empty());
  EXPECT_TRUE(ok(mars_run(s, &y, 1, &err), err)) << "and later it works";
}

// ---- cancelling -----------------------------------------------------------------------------------------

TEST(CancelErrors, CancelledJobsLeaveNothing) {
  TempDir dir;
  Config config;
  config.budget = 4 * MiB;
  config.spill_dir = dir.path;
  config.threads = 2;
  config.chunk = 1 << 14;
  int files = open_files();
  auto s_owner = std::make_unique<Session>(config);
  mars_session *s = *s_owner;
  int64_t live = baseline(s);
  {
    Scope scope(s);
    mars_error err = {};
    mars_tensor *small = mars_add(mars_arange(s, MARS_F64, 0, 1000, 1), mars_float(s, 1));
    ASSERT_TRUE(ok(mars_run(s, &small, 1, &err), err));
    std::string path = dir.file("y.npy");
    for (int wait_ms : {0, 1, 5, 30}) {
      mars_output o[2] = {};
      mars_tensor *u = mars_random_standard_normal(s, MARS_F64, MARS_SHAPE((int64_t)1 << 26));
      o[0].tensor = mars_exp(u);
      o[0].sink = MARS_SINK_NPY;
      o[0].path = path.c_str();
      o[1].tensor = mars_cumsum(u, 0);
      mars_job *job = nullptr;
      ASSERT_TRUE(ok(mars_submit(s, o, 2, &job, &err), err));
      usleep((useconds_t)wait_ms * 1000);
      EXPECT_FALSE(mars_job_done(job));
      mars_cancel(job);
      EXPECT_TRUE(says(mars_wait(job, &err), err, MARS_E_CANCELLED, {"cancel"}));
      EXPECT_EQ(mars_wait(job, nullptr), MARS_E_CANCELLED) << "the answer stays";
      EXPECT_TRUE(mars_job_done(job));
      mars_cancel(job); // too late, harmless
      mars_job_release(job);
      EXPECT_TRUE(dir.list().empty());
      EXPECT_FALSE(mars_is_ready(o[1].tensor));
      EXPECT_EQ((double)fetched(small).get(7).re, 8);
    }
  }
  EXPECT_TRUE(no_leak(s, live));
  s_owner.reset();
  EXPECT_EQ(open_files(), files);
}

} // namespace
