// diagonal, trace, diag, tril, triu: of everything that can be stored, and how much of it is read.
#include "tests/linalg_util.h"

using namespace api;
using namespace linalg;

namespace {

std::vector<Config> configs() {
  std::vector<Config> all(3);
  all[1].chunk = 50;
  all[1].budget = kMinimalBudget;
  all[1].threads = 2;
  all[2].chunk = 333;
  all[2].fusion = false;
  return all;
}

Array diagonal_of(const Array &a, int64_t k) {
  const size_t nd = a.dims.size();
  const int64_t rows = a.dims[nd - 2], cols = a.dims[nd - 1];
  const int64_t r0 = k < 0 ? -k : 0, c0 = k > 0 ? k : 0, n = std::max<int64_t>(0, std::min(rows - r0, cols - c0));
  std::vector<int64_t> dims(a.dims.begin(), a.dims.end() - 2);
  const int64_t batches = count_of(dims);
  dims.push_back(n);
  Array d(a.dt, dims);
  for (int64_t b = 0; b < batches; b++)
    for (int64_t i = 0; i < n; i++)
      std::memcpy(d.at(b * n + i), a.at((b * rows + r0 + i) * cols + c0 + i), a.item());
  return d;
}

Array triangle_of(const Array &a, int64_t k, bool lower) {
  const size_t nd = a.dims.size();
  const int64_t rows = a.dims[nd - 2], cols = a.dims[nd - 1];
  Array t = a;
  for (int64_t i = 0; i < a.size(); i++) {
    const int64_t off = i % cols - i / cols % rows;
    if (lower ? off > k : off < k)
      std::memset(t.at(i), 0, a.item());
  }
  return t;
}

class Parts : public testing::TestWithParam<mars_dtype> {};

TEST_P(Parts, DiagonalsOfEverything) {
  const mars_dtype dt = GetParam();
  Rng rng(3 + (uint64_t)dt);
  TempDir dir;
  for (std::vector<int64_t> dims : {std::vector<int64_t>{9, 9}, {12, 7}, {7, 12}, {3, 2, 6, 5}, {1, 5}, {5, 1}, {4, 0}, {0, 0}}) {
    Array a = random_array(dt, dims, rng), ta = transposed(a);
    const std::string path = dir.file("a.npy");
    if (dt != MARS_BF16)
      write_npy(path, a);
    const int last = (int)dims.size() - 1;
    for (const Config &c : configs())
      for (int64_t k : {(int64_t)0, (int64_t)1, (int64_t)-1, (int64_t)3, (int64_t)-4, (int64_t)100, INT64_MIN, INT64_MAX}) {
        mars_session *s = shared_session(c);
        Scope scope(s);
        const std::string where = testing::PrintToString(dims) + " offset " + std::to_string(k) + ", " + name_of(c);
        const int64_t at = std::max<int64_t>(-1000, std::min<int64_t>(1000, k));
        const Array want = diagonal_of(a, at);
        mars_tensor *t = borrow(s, a);
        EXPECT_TRUE(same_bits(fetched(mars_diagonal(t, k)), want)) << where;
        EXPECT_TRUE(same_bits(fetched(mars_diagonal(mars_swapaxes(borrow(s, ta), last - 1, last), k)), want)) << "turned " << where;
        if (dt != MARS_BF16) {
          EXPECT_TRUE(same_bits(fetched(mars_diagonal(mars_from_npy(s, path.c_str()), k)), want)) << "npy " << where;
        }
        // of an expression of turned operands
        mars_tensor *both = mars_where(mars_equal(mars_iota(s, MARS_I64, shape_of(dims), last), mars_iota(s, MARS_I64, shape_of(dims), last)),
                                       mars_swapaxes(borrow(s, ta), last - 1, last), t);
        EXPECT_TRUE(same_bits(fetched(mars_diagonal(both, k)), want)) << "expression " << where;
        if (k < -3 || k > 3)
          continue;
        mars_tensor *kept = mars_where(mars_ones(s, MARS_BOOL, shape_of(dims)), t, t);
        mars_error err = {};
        ASSERT_TRUE(ok(mars_run(s, &kept, 1, &err), err));
        EXPECT_TRUE(same_bits(fetched(mars_diagonal(kept, k)), want)) << "kept " << where;
        if (a.size() > 0) {
          mars_tensor *parts[] = {t, t};
          Array joined = fetched(mars_concatenate(parts, 2, last - 1));
          EXPECT_TRUE(same_bits(fetched(mars_diagonal(mars_concatenate(parts, 2, last - 1), k)), diagonal_of(joined, at))) << "joined " << where;
        }
        // rows backwards, every second column
        mars_slice items[] = {{MARS_SLICE_ELLIPSIS, 0, 0, 0}, {MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, -1}, {MARS_SLICE_RANGE, 0, MARS_NONE, 2}};
        mars_tensor *view = mars_index(t, items, 3);
        EXPECT_TRUE(same_bits(fetched(mars_diagonal(view, k)), diagonal_of(fetched(view), at))) << "view " << where;
        mars_tensor *wide = mars_broadcast_to(mars_iota(s, dt == MARS_BOOL ? MARS_U8 : dt, MARS_SHAPE(6, 1), 0), MARS_SHAPE(6, 4));
        EXPECT_TRUE(same_bits(fetched(mars_diagonal(wide, k)), diagonal_of(fetched(wide), at))) << "broadcast " << where;
        mars_tensor *trace = mars_trace(t, k), *sum = mars_sum(borrow(s, want), MARS_AXES(-1));
        EXPECT_TRUE(same_bits(fetched(trace), fetched(sum))) << "trace " << where;
      }
  }
}

TEST_P(Parts, DiagonalsOfAxesApart) {
  const mars_dtype dt = GetParam();
  Rng rng(5);
  Array a = random_array(dt, {6, 4, 6, 3}, rng);
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    Scope scope(s);
    mars_tensor *t = mars_permute_dims(borrow(s, a), MARS_AXES(1, 3, 0, 2)); // axes 0 and 2 become the matrix
    EXPECT_TRUE(same_bits(fetched(mars_diagonal(t, 1)), diagonal_of(fetched(t), 1))) << name_of(c);
  }
}

TEST_P(Parts, Triangles) {
  const mars_dtype dt = GetParam();
  Rng rng(7 + (uint64_t)dt);
  for (std::vector<int64_t> dims : {std::vector<int64_t>{9, 9}, {12, 7}, {7, 12}, {3, 2, 6, 5}, {1, 5}, {4, 0}}) {
    Array a = random_array(dt, dims, rng); // NaN and infinities do not leak into the zeros
    for (const Config &c : configs())
      for (int64_t k : {(int64_t)0, (int64_t)1, (int64_t)-1, (int64_t)4, (int64_t)-5, INT64_MIN, INT64_MAX}) {
        mars_session *s = shared_session(c);
        Scope scope(s);
        const int64_t at = std::max<int64_t>(-1000, std::min<int64_t>(1000, k));
        EXPECT_TRUE(same_bits(fetched(mars_tril(borrow(s, a), k)), triangle_of(a, at, true))) << k << name_of(c);
        EXPECT_TRUE(same_bits(fetched(mars_triu(borrow(s, a), k)), triangle_of(a, at, false))) << k << name_of(c);
        EXPECT_TRUE(same_bits(fetched(mars_diagonal(mars_tril(borrow(s, a), k), 1)), diagonal_of(triangle_of(a, at, true), 1))) << k << name_of(c);
      }
  }
}

TEST_P(Parts, DiagonalMatrices) {
  const mars_dtype dt = GetParam();
  Rng rng(11 + (uint64_t)dt);
  for (int64_t n : {0, 1, 2, 13}) {
    Array v = random_array(dt, {n}, rng);
    for (const Config &c : configs())
      for (int64_t k : {0, 1, -1, 5, -6}) {
        mars_session *s = shared_session(c);
        Scope scope(s);
        const int64_t side = n + std::abs(k);
        Array want(dt, {side, side});
        for (int64_t i = 0; i < n; i++)
          std::memcpy(want.at((i + std::max<int64_t>(-k, 0)) * side + i + std::max<int64_t>(k, 0)), v.at(i), v.item());
        mars_tensor *m = mars_diag(borrow(s, v), k);
        EXPECT_TRUE(same_bits(fetched(m), want)) << n << " k " << k << " " << name_of(c);
        EXPECT_TRUE(same_bits(fetched(mars_diag(m, k)), v)) << n << " k " << k << " and back " << name_of(c);
      }
  }
}

std::string dtype_name(const testing::TestParamInfo<mars_dtype> &info) {
  return short_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Dtype, Parts, testing::Values(MARS_BOOL, MARS_I16, MARS_U64, MARS_F16, MARS_BF16, MARS_F32, MARS_F64, MARS_C128),
                         dtype_name);

TEST(Triangles, OfAVectorAreOfTheSquareThatRepeatsIt) {
  for (const Config &c : configs())
    for (int64_t n : {0, 1, 7}) {
      mars_session *s = shared_session(c);
      Scope scope(s);
      mars_tensor *v = mars_arange(s, MARS_F32, 1, (double)n + 1, 1), *square = mars_broadcast_to(v, MARS_SHAPE(n, n));
      for (int64_t k : {-2, 0, 1, 9}) {
        const Array whole = fetched(square);
        EXPECT_TRUE(same_bits(fetched(mars_tril(v, k)), triangle_of(whole, k, true))) << n << " " << k;
        EXPECT_TRUE(same_bits(fetched(mars_triu(v, k)), triangle_of(whole, k, false))) << n << " " << k;
      }
    }
}

TEST(PartErrors, NameTheShape) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_tensor *v = mars_ones(s, MARS_F64, MARS_SHAPE(7)), *cube = mars_ones(s, MARS_F64, MARS_SHAPE(2, 3, 4));
  EXPECT_TRUE(is_error(mars_diagonal(v, 0), MARS_E_SHAPE, {"mars_diagonal", "(7,)", "two axes"}));
  EXPECT_TRUE(is_error(mars_trace(v, 0), MARS_E_SHAPE, {"mars_trace", "(7,)"}));
  EXPECT_TRUE(is_error(mars_triu(mars_float(s, 1), 0), MARS_E_SHAPE, {"mars_triu", "()"}));
  EXPECT_TRUE(is_error(mars_diag(cube, 0), MARS_E_SHAPE, {"mars_diag", "(2, 3, 4)"}));
  EXPECT_TRUE(is_error(mars_diag(v, INT64_MIN), MARS_E_OVERFLOW, {"mars_diag"}));
  EXPECT_TRUE(is_error(mars_diag(v, INT64_MAX), MARS_E_OVERFLOW, {"mars_diag"}));
}

// ---- how much is read -------------------------------------------------------------------------------------

mars_stats run(mars_session *s, mars_tensor *t, Array *out) {
  mars_error err = {};
  mars_stats stats = {};
  *out = Array(mars_dtype_of(t), dims_of(mars_shape_of(t)));
  mars_output o = {};
  o.tensor = t;
  o.sink = MARS_SINK_MEMORY;
  o.data = out->bytes.data();
  o.bytes = out->bytes.size();
  mars_job *job = nullptr;
  mars_status st = mars_submit(s, &o, 1, &job, &err);
  if (st == MARS_OK)
    st = mars_wait(job, &err);
  EXPECT_TRUE(ok(st, err));
  if (job)
    mars_job_get_stats(job, &stats);
  mars_job_release(job);
  return stats;
}

// Files and spilled results: the diagonal's chunks, not the matrix.
TEST(DiagonalTraffic, ChunksOfTheDiagonalAlone) {
  const int64_t n = 1500;
  Rng rng(13);
  Array a(MARS_F64, {n, n});
  for (int64_t i = 0; i < a.size(); i++)
    ((double *)a.bytes.data())[i] = rng.unit();
  TempDir dir;
  write_npy(dir.file("a.npy"), a);
  Config c;
  c.budget = 2 * MiB;
  Session s(c);
  Scope scope(s);
  mars_tensor *t = mars_from_npy(s, dir.file("a.npy").c_str());
  Array got;
  const Array want = diagonal_of(a, 3);
  mars_stats stats = run(s, mars_diagonal(t, 3), &got);
  EXPECT_TRUE(same_bits(got, want));
  EXPECT_LE(stats.source_read_bytes, a.bytes.size() / 3) << "of a file";
  stats = run(s, mars_trace(mars_transpose(t), -3), &got);
  EXPECT_TRUE(same_bits(got, fetched(mars_sum(borrow(s, want), MARS_AXES(0)))));
  EXPECT_LE(stats.source_read_bytes, a.bytes.size() / 3) << "of its transpose";
  stats = run(s, mars_diagonal(mars_add(t, mars_transpose(t)), 3), &got);
  EXPECT_LE(stats.source_read_bytes, a.bytes.size() * 2 / 3) << "of an expression of both";
  EXPECT_EQ(stats.spill_written_bytes, 0u);
}

} // namespace
