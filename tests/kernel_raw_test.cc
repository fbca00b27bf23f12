// Kernels of one's own: a host function, CUDA C, both; chunk by chunk, against plain loops.
#include "tests/api_util.h"
#include "tests/linalg_oracle.h"

#include <mutex>

using namespace api;

ORACLE_OF_ROUTINE(kernel_apply)

namespace {

// y = x * table[k % 4] + offset of the element, m = its row; x f32 (broadcast), k i16, table f64 (whole)
const char *const kSource = R"(// a comment on line 1
extern "C" __global__ void weigh(mars_chunk c, const float *x, const short *k, const double *table, double *y, int *row) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= c.count) return;
  long long at = c.offset + i;
  y[i] = x[i] * table[k[i] & 3] + (double)at;
  row[i] = (int)(at / c.shape[c.ndim - 1]);
}
// a type that the library's own texts do without
__device__ bool is_set(cudaTextureObject_t texture) { return texture != 0; }
)";

struct Calls {
  std::mutex lock;
  std::vector<std::pair<int64_t, int64_t>> runs;
};

void weigh(const mars_chunk *c, const void *const *in, void *const *out, void *user) {
  const float *x = (const float *)in[0];
  const int16_t *k = (const int16_t *)in[1];
  const double *table = (const double *)in[2];
  for (int64_t i = 0; i < c->count; i++) {
    ((double *)out[0])[i] = (double)x[i] * table[k[i] & 3] + (double)(c->offset + i);
    ((int32_t *)out[1])[i] = (int32_t)((c->offset + i) / c->shape[c->ndim - 1]);
  }
  if (user != nullptr) {
    std::lock_guard<std::mutex> guard(((Calls *)user)->lock);
    ((Calls *)user)->runs.push_back({c->offset, c->count});
  }
}

const mars_kernel_operand kIn[] = {{MARS_F32, MARS_OPERAND_CHUNK}, {MARS_I16, MARS_OPERAND_CHUNK}, {MARS_F64, MARS_OPERAND_WHOLE}};
const mars_dtype kOut[] = {MARS_F64, MARS_I32};

mars_kernel kernel_of(const char *source, mars_kernel_fn *host, void *user = nullptr) {
  mars_kernel k = {};
  k.name = "weigh", k.source = source, k.entry = "weigh", k.host = host, k.user = user;
  k.n_in = 3, k.n_out = 2, k.in = kIn, k.out = kOut;
  return k;
}

// Operands that lie in every way: a transpose, a broadcast row, a computed table.
void expect_weighed(mars_session *s, const mars_kernel &kernel, int64_t rows, int64_t cols) {
  Scope scope(s);
  std::vector<float> x((size_t)(rows * cols));
  std::vector<int16_t> k((size_t)cols);
  std::vector<double> table = {0.5, -2, 3, 8};
  for (size_t i = 0; i < x.size(); i++) x[i] = (float)(i % 17) - 8;
  for (size_t i = 0; i < k.size(); i++) k[i] = (int16_t)(i * 5 % 7);
  mars_tensor *in[] = {mars_transpose(tensor(s, array_of(MARS_F32, {cols, rows}, x))), tensor(s, array_of(MARS_I16, {cols}, k)),
                       mars_negative(mars_negative(tensor(s, array_of(MARS_F64, {4}, table))))};
  mars_tensor *out[2] = {};
  mars_kernel_apply(s, &kernel, in, out);
  std::vector<Array> got;
  mars_error err = {};
  ASSERT_EQ(mars_check(out[0], &err), MARS_OK) << err.message;
  EXPECT_EQ(dims_of(mars_shape_of(out[0])), (std::vector<int64_t>{rows, cols}));
  EXPECT_EQ(mars_dtype_of(out[1]), MARS_I32);
  // one of them is read by what follows it
  ASSERT_TRUE(fetch_all(s, {mars_add(out[0], mars_int(s, 1)), out[1]}, &got));
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) {
      double want = (double)x[(size_t)(j * rows + i)] * table[(size_t)(k[(size_t)j] & 3)] + (double)(i * cols + j) + 1;
      ASSERT_EQ(got[0].get(i * cols + j).re, want) << i << ", " << j;
      ASSERT_EQ((int64_t)got[1].get(i * cols + j).i, i);
    }
}

Config host_config(int64_t chunk = 0) {
  Config c;
  c.budget = 4 * MiB, c.devices = "host", c.chunk = chunk, c.threads = 2;
  return c;
}

TEST(RawKernel, OnTheHost) {
  for (int64_t chunk : {0, 64, 1000}) {
    Session s(host_config(chunk));
    Calls calls;
    expect_weighed(s, kernel_of(nullptr, weigh, &calls), 37, 53);
    std::sort(calls.runs.begin(), calls.runs.end());
    int64_t at = 0;
    for (const auto &r : calls.runs) { // each element once
      EXPECT_EQ(r.first, at);
      at += r.second;
    }
    EXPECT_EQ(at, 37 * 53);
    if (chunk == 64) {
      EXPECT_GT(calls.runs.size(), 10u);
    }
    expect_weighed(s, kernel_of(kSource, weigh), 1, 1); // the source is not needed
  }
}

TEST(RawKernel, OneResultAloneAndEmptyOnes) {
  Session s(host_config());
  Scope scope(s);
  mars_kernel k = kernel_of(nullptr, weigh);
  mars_tensor *out[2], *in[] = {mars_ones(s, MARS_F32, MARS_SHAPE(3, 5)), mars_int(s, 2), mars_ones(s, MARS_F64, MARS_SHAPE(4))};
  mars_kernel_apply(s, &k, in, out);
  Array row = fetched(out[1]);
  for (int64_t i = 0; i < 15; i++) EXPECT_EQ((int64_t)row.get(i).i, i / 5);
  mars_tensor *none[] = {mars_ones(s, MARS_F32, MARS_SHAPE(0, 5)), mars_int(s, 2), mars_ones(s, MARS_F64, MARS_SHAPE(4))};
  mars_kernel_apply(s, &k, none, out);
  EXPECT_EQ(fetched(out[0]).size(), 0);
}

TEST(RawKernel, WhatIsWrongIsNamed) {
  Session s(host_config());
  Scope scope(s);
  mars_tensor *x = mars_ones(s, MARS_F32, MARS_SHAPE(6)), *k = mars_ones(s, MARS_I16, MARS_SHAPE(6)), *t = mars_ones(s, MARS_F64, MARS_SHAPE(4));
  mars_tensor *good[] = {x, k, t}, *swapped[] = {k, x, t}, *apart[] = {x, mars_ones(s, MARS_I16, MARS_SHAPE(5)), t};
  mars_tensor *hollow[] = {x, k, mars_ones(s, MARS_F64, MARS_SHAPE(0))}, *null[] = {x, nullptr, t}, *out[4];
  auto gives = [&](const mars_kernel &kernel, mars_tensor *const *in, mars_status st, std::initializer_list<const char *> words) {
    mars_kernel_apply(s, &kernel, in, out);
    return is_error(out[0], st, words);
  };
  mars_kernel nothing = kernel_of(nullptr, nullptr), nameless = kernel_of(kSource, weigh), many = kernel_of(nullptr, weigh), whole = many, odd = many;
  nameless.entry = nullptr;
  many.n_out = 5;
  whole.n_in = 1, whole.in = kIn + 2;
  const mars_dtype bad[] = {(mars_dtype)77, MARS_I32};
  odd.out = bad;
  EXPECT_TRUE(gives(nothing, good, MARS_E_ARG, {"mars_kernel_apply", "'weigh'", "neither source nor a host function"}));
  EXPECT_TRUE(gives(nameless, good, MARS_E_ARG, {"'weigh'", "no entry"}));
  EXPECT_TRUE(gives(many, good, MARS_E_ARG, {"1 to 4 results, not 5"}));
  EXPECT_TRUE(gives(whole, good + 2, MARS_E_ARG, {"MARS_OPERAND_CHUNK", "no shape"}));
  EXPECT_TRUE(gives(odd, good, MARS_E_DTYPE, {"77"}));
  mars_kernel fine = kernel_of(nullptr, weigh), cuda = kernel_of(kSource, nullptr);
  EXPECT_TRUE(gives(fine, swapped, MARS_E_DTYPE, {"operand 1 is int16", "declares float32"}));
  EXPECT_TRUE(gives(fine, apart, MARS_E_SHAPE, {"(6,)", "(5,)", "broadcast"}));
  EXPECT_TRUE(gives(fine, hollow, MARS_E_SHAPE, {"operand 3", "no elements"}));
  EXPECT_TRUE(gives(fine, null, MARS_E_MEMORY, {"operand 2 is NULL"}));
  EXPECT_TRUE(gives(fine, nullptr, MARS_E_ARG, {"operands is NULL"}));
  // CUDA C alone, and there is no GPU in this session: told when it is planned
  mars_kernel_apply(s, &cuda, good, out);
  mars_error err = {};
  EXPECT_TRUE(says(mars_run(s, out, 2, &err), err, MARS_E_UNSUPPORTED, {"mars_kernel_apply", "'weigh'", "no CUDA device", "host function"}));
}

class CudaKernel : public testing::Test {
protected:
  bool open(Session **s, const char *devices, int64_t chunk = 512) {
    Config c = host_config(chunk);
    c.devices = devices, c.device_budget = MiB;
    if (!(why = no_kernels()).empty()) return false;
    mars_session *probe = nullptr;
    mars_error err = {};
    if (open_session(c, &probe, &err) != MARS_OK) return why = err.message, false;
    mars_session_destroy(probe);
    *s = new Session(c);
    return true;
  }
  std::string why;
};

TEST_F(CudaKernel, SourceAlone) {
  for (const char *devices : {"cuda:0", "cuda:0,cuda:1", "cuda:0,host"}) {
    SCOPED_TRACE(devices);
    Session *s = nullptr;
    if (!open(&s, devices)) GTEST_SKIP() << why;
    expect_weighed(*s, kernel_of(kSource, nullptr), 37, 53);
    delete s;
  }
}

TEST_F(CudaKernel, SourceAndHostFunction) {
  Session *s = nullptr;
  if (!open(&s, "cuda:0,host")) GTEST_SKIP() << why;
  expect_weighed(*s, kernel_of(kSource, weigh), 64, 64);
  expect_weighed(*s, kernel_of(nullptr, weigh), 64, 64); // the host's alone, in a session with GPUs
  delete s;
}

TEST_F(CudaKernel, TextsThatDoNotCompile) {
  Session *s = nullptr;
  if (!open(&s, "cuda:0")) GTEST_SKIP() << why;
  mars_scope_open(*s);
  mars_tensor *in[] = {mars_ones(*s, MARS_F32, MARS_SHAPE(6)), mars_int(*s, 1), mars_ones(*s, MARS_F64, MARS_SHAPE(4))}, *out[2];
  mars_kernel wrong = kernel_of("// line 1\nextern \"C\" __global__ void weigh(mars_chunk c) {\n  int x = nonsense + 1;\n}\n", nullptr);
  mars_error err = {};
  mars_kernel_apply(*s, &wrong, in, out);
  EXPECT_TRUE(says(mars_run(*s, out, 1, &err), err, MARS_E_ARG, {"mars_kernel_apply", "'weigh'", "cuda:0", "kernel(3)", "error", "nonsense"}));
  mars_kernel hidden = kernel_of("__global__ void weigh(mars_chunk c) {}\n", nullptr);
  mars_kernel_apply(*s, &hidden, in, out);
  EXPECT_TRUE(says(mars_run(*s, out, 1, &err), err, MARS_E_ARG, {"'weigh'", "extern \"C\""}));
  // and the session goes on
  EXPECT_EQ(fetched(mars_sum(in[0], MARS_ALL)).get(0).re, 6);
  mars_scope_close(*s);
  delete s;
}

} // namespace
