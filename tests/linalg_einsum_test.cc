// Products made of matrix products: einsum, dot, inner, outer, vdot, tensordot, kron, matrix_power, multi_dot,
// against sums of products element by element.
#include "tests/linalg_util.h"

using namespace api;
using namespace linalg;

namespace {

std::vector<Config> configs() {
  std::vector<Config> all(3);
  all[1].chunk = 97;
  all[1].budget = kMinimalBudget;
  all[1].threads = 2;
  all[2].budget = kMinimalBudget;
  all[2].fusion = false;
  if (quick())
    all.erase(all.begin());
  return all;
}

struct Summation {
  const char *subscripts;
  std::vector<std::string> in; // the same without ellipses
  std::string out;
  std::vector<std::vector<int64_t>> shapes;
};

const std::vector<Summation> kSummations = {
    {"ij,jk->ik", {"ij", "jk"}, "ik", {{13, 17}, {17, 11}}},
    {"ij,jk", {"ij", "jk"}, "ik", {{13, 17}, {17, 11}}},
    {" i j , jk -> i k ", {"ij", "jk"}, "ik", {{3, 4}, {4, 5}}},
    {"ba", {"ba"}, "ab", {{4, 7}}},
    {"ij,kj->ki", {"ij", "kj"}, "ki", {{13, 17}, {5, 17}}},
    {"ji,jk->ik", {"ji", "jk"}, "ik", {{17, 13}, {17, 11}}},
    {"i,i", {"i", "i"}, "", {{301}, {301}}},
    {"i,j->ji", {"i", "j"}, "ji", {{21}, {19}}},
    {"i,i->i", {"i", "i"}, "i", {{301}, {301}}},
    {"ii", {"ii"}, "", {{23, 23}}},
    {"ii->i", {"ii"}, "i", {{23, 23}}},
    {"iji->ji", {"iji"}, "ji", {{9, 5, 9}}},
    {"ijij->ij", {"ijij"}, "ij", {{4, 6, 4, 6}}},
    {"iiii->i", {"iiii"}, "i", {{5, 5, 5, 5}}},
    {"ijk->", {"ijk"}, "", {{7, 8, 9}}},
    {"ijk->k", {"ijk"}, "k", {{7, 8, 9}}},
    {"ijk->kji", {"ijk"}, "kji", {{7, 8, 9}}},
    {"bij,bjk->bik", {"bij", "bjk"}, "bik", {{5, 7, 11}, {5, 11, 9}}},
    {"ibj,jkb->kbi", {"ibj", "jkb"}, "kbi", {{7, 5, 11}, {11, 9, 5}}},
    {"bij,jk->bik", {"bij", "jk"}, "bik", {{5, 12, 11}, {11, 9}}},
    {"ibj,jk->bik", {"ibj", "jk"}, "bik", {{140, 3, 11}, {11, 9}}},
    {"ijkl,klm->ijm", {"ijkl", "klm"}, "ijm", {{5, 6, 7, 8}, {7, 8, 9}}},
    {"ijkl,lmk->mji", {"ijkl", "lmk"}, "mji", {{5, 6, 7, 8}, {8, 9, 7}}},
    {"ij,jk,kl->il", {"ij", "jk", "kl"}, "il", {{9, 30}, {30, 8}, {8, 25}}},
    {"ij,jk,kl,lm,mn->in", {"ij", "jk", "kl", "lm", "mn"}, "in", {{3, 6}, {6, 2}, {2, 7}, {7, 4}, {4, 5}}},
    {"ij,ik,il->jkl", {"ij", "ik", "il"}, "jkl", {{14, 4}, {14, 5}, {14, 6}}},
    {"ijk,il,jm,kn->lmn", {"ijk", "il", "jm", "kn"}, "lmn", {{4, 5, 6}, {4, 3}, {5, 4}, {6, 5}}},
    {"ij,jk,ki->", {"ij", "jk", "ki"}, "", {{12, 13}, {13, 14}, {14, 12}}},
    {"i,j,k->kij", {"i", "j", "k"}, "kij", {{4}, {5}, {6}}},
    {"ii,ij->j", {"ii", "ij"}, "j", {{8, 8}, {8, 9}}},
    {"iij,jkk->ik", {"iij", "jkk"}, "ik", {{6, 6, 7}, {7, 5, 5}}},
    {"ij,k->i", {"ij", "k"}, "i", {{8, 9}, {10}}},
    {"...ij,...jk->...ik", {"abij", "bjk"}, "abik", {{2, 3, 4, 5}, {3, 5, 6}}},
    {"i...j,j...->i...", {"iaj", "ja"}, "ia", {{6, 7, 8}, {8, 7}}},
    {"...i,...i", {"ai", "bai"}, "ba", {{3, 20}, {4, 1, 20}}},
    {"...->...", {"abc"}, "abc", {{3, 4, 5}}},
    {"...i->i...", {"abi"}, "iab", {{3, 4, 5}}},
    {"ii...->...", {"iiab"}, "ab", {{6, 6, 3, 2}}},
    {"i...->...", {"iab"}, "ab", {{6, 3, 2}}},
    {",->", {"", ""}, "", {{}, {}}},
    {",ij", {"", "ij"}, "ij", {{}, {3, 4}}},
    {"ij,jk", {"ij", "jk"}, "ik", {{2, 1}, {3, 4}}},   // an extent of 1 is repeated
    {"ij,ij->ij", {"ij", "ij"}, "ij", {{1, 4}, {3, 1}}},
    {"ij,ji->", {"ij", "ji"}, "", {{7, 8}, {8, 7}}},
    {"BaC->CBa", {"BaC"}, "CBa", {{2, 3, 4}}},
    {"aBc", {"aBc"}, "Bac", {{2, 3, 4}}},
    {"ij,jk->ik", {"ij", "jk"}, "ik", {{3, 0}, {0, 4}}},
    {"ij,jk->ik", {"ij", "jk"}, "ik", {{0, 3}, {3, 4}}},
    {"ij->", {"ij"}, "", {{0, 3}}},
    {"a,ab,bc,cd,de,ef,fg,gh,h", {"a", "ab", "bc", "cd", "de", "ef", "fg", "gh", "h"}, "",
     {{2}, {2, 3}, {3, 2}, {2, 4}, {4, 2}, {2, 3}, {3, 2}, {2, 3}, {3}}}, // more operands than every order is tried for
};

class Einsum : public testing::TestWithParam<mars_dtype> {};

TEST_P(Einsum, MatchesTheSumOfProducts) {
  const mars_dtype dt = GetParam();
  Rng rng(17 + (uint64_t)dt);
  for (const Summation &e : kSummations) {
    std::vector<Array> arrays;
    for (const auto &shape : e.shapes)
      arrays.push_back(random_array(dt, shape, rng, true));
    const Expected want = sum_of_products(dt, e.in, e.out, arrays);
    for (const Config &c : configs()) {
      mars_session *s = shared_session(c);
      Scope scope(s);
      std::vector<mars_tensor *> t;
      for (size_t k = 0; k < arrays.size(); k++)
        t.push_back(k % 2 ? tensor(s, arrays[k]) : borrow(s, arrays[k]));
      EXPECT_TRUE(near(fetched(mars_einsum(e.subscripts, t.data(), t.size())), want)) << e.subscripts << " " << name_of(c);
    }
  }
}

// Operands that are no stored arrays: expressions, transposes of expressions, generators, joins.
TEST_P(Einsum, OfExpressions) {
  const mars_dtype dt = GetParam();
  Rng rng(23);
  Array a = random_array(dt, {12, 17}, rng, true), d = random_array(dt, {17, 12}, rng, true);
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    Scope scope(s);
    mars_tensor *x = borrow(s, a), *y = borrow(s, d);
    mars_tensor *sum = mars_add(x, mars_transpose(y));
    mars_tensor *parts[] = {x, mars_transpose(y)};
    mars_tensor *joined = mars_concatenate(parts, 2, 0);
    Array sum_array = fetched(sum), joined_array = fetched(joined);
    mars_tensor *pair[] = {mars_transpose(sum), joined};
    EXPECT_TRUE(near(fetched(mars_einsum("ji,kj->ik", pair, 2)),
                     sum_of_products(dt, {"ij", "kj"}, "ik", {sum_array, joined_array})))
        << name_of(c);
    mars_tensor *two[] = {sum, joined};
    EXPECT_TRUE(near(fetched(mars_einsum("ij,kj->ki", two, 2)),
                     sum_of_products(dt, {"ij", "kj"}, "ki", {sum_array, joined_array})))
        << name_of(c);
    EXPECT_TRUE(near(fetched(mars_einsum("ij->j", &sum, 1)), sum_of_products(dt, {"ij"}, "j", {sum_array}))) << name_of(c);
  }
}

std::string dtype_name(const testing::TestParamInfo<mars_dtype> &info) {
  return short_name(info.param);
}
INSTANTIATE_TEST_SUITE_P(Dtype, Einsum, testing::ValuesIn(kDtypes), dtype_name);

TEST(EinsumErrors, NameTheSubscriptsAndTheShapes) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_tensor *a = mars_ones(s, MARS_F64, MARS_SHAPE(2, 3)), *b = mars_ones(s, MARS_F64, MARS_SHAPE(4, 5));
  mars_tensor *ab[] = {a, b};
  EXPECT_TRUE(is_error(mars_einsum("ij,jk", ab, 2), MARS_E_SHAPE, {"mars_einsum", "'ij,jk'", "'j'", "4", "(4, 5)", "3 in operand 1", "(2, 3)"}));
  EXPECT_TRUE(is_error(mars_einsum("ii", ab, 1), MARS_E_SHAPE, {"'ii'", "'i'", "2", "3", "(2, 3)"}));
  EXPECT_TRUE(is_error(mars_einsum("i", ab, 1), MARS_E_SHAPE, {"'i'", "1 labels", "(2, 3)"}));
  EXPECT_TRUE(is_error(mars_einsum("ijk", ab, 1), MARS_E_SHAPE, {"3 labels", "(2, 3)"}));
  EXPECT_TRUE(is_error(mars_einsum("ij->k", ab, 1), MARS_E_ARG, {"'k'", "in no operand"}));
  EXPECT_TRUE(is_error(mars_einsum("ij->ii", ab, 1), MARS_E_ARG, {"'i'", "twice"}));
  EXPECT_TRUE(is_error(mars_einsum("ij,kl,m", ab, 2), MARS_E_ARG, {"more terms", "2 operands"}));
  EXPECT_TRUE(is_error(mars_einsum("ij", ab, 2), MARS_E_ARG, {"2 operands"}));
  EXPECT_TRUE(is_error(mars_einsum("i.j", ab, 1), MARS_E_ARG, {"'.'"}));
  EXPECT_TRUE(is_error(mars_einsum("...i...", ab, 1), MARS_E_ARG, {"two ellipses"}));
  EXPECT_TRUE(is_error(mars_einsum("i\tj", ab, 1), MARS_E_ARG, {"no label"}));
  EXPECT_TRUE(is_error(mars_einsum("i-j", ab, 1), MARS_E_ARG, {"'-'"}));
  EXPECT_TRUE(is_error(mars_einsum("ij->i,j", ab, 1), MARS_E_ARG, {"','"}));
  EXPECT_TRUE(is_error(mars_einsum("...i->i", ab, 1), MARS_E_ARG, {"'...'"}));
  EXPECT_TRUE(is_error(mars_einsum(nullptr, ab, 1), MARS_E_ARG, {"NULL"}));
  EXPECT_EQ(mars_einsum("", nullptr, 0), nullptr);
  mars_tensor *none[] = {a, nullptr};
  EXPECT_TRUE(is_error(mars_einsum("ij,jk", none, 2), MARS_E_MEMORY, {"mars_einsum", "operand 2"}));
}

// The order is chosen: a row times three matrices never multiplies two matrices.
TEST(EinsumOrder, MatrixTimesMatrixIsAvoided) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  const int64_t n = 3000;
  mars_tensor *m = mars_random_uniform(s, MARS_F64, MARS_SHAPE(n, n), 0, 1);
  mars_tensor *v = mars_random_uniform(s, MARS_F64, MARS_SHAPE(n), 0, 1);
  mars_tensor *four[] = {m, m, m, v};
  mars_output o = {};
  o.tensor = mars_einsum("ij,jk,kl,l->i", four, 4);
  char *text = nullptr;
  mars_error err = {};
  ASSERT_TRUE(ok(mars_explain(s, &o, 1, MARS_EXPLAIN_TEXT, &text, &err), err));
  EXPECT_EQ(std::string(text).find("matmul"), std::string::npos) << text;
  mars_text_free(s, text);
  o.tensor = mars_multi_dot(four, 4);
  ASSERT_TRUE(ok(mars_explain(s, &o, 1, MARS_EXPLAIN_TEXT, &text, &err), err));
  EXPECT_EQ(std::string(text).find("matmul"), std::string::npos) << text;
  mars_text_free(s, text);
  o.tensor = mars_multi_dot(four, 3);
  ASSERT_TRUE(ok(mars_explain(s, &o, 1, MARS_EXPLAIN_TEXT, &text, &err), err));
  EXPECT_NE(std::string(text).find("matmul"), std::string::npos) << "what is looked for above is there where there are matrices: " << text;
  mars_text_free(s, text);
}

// ---- the other products ---------------------------------------------------------------------------------

class Products : public testing::TestWithParam<mars_dtype> {};

TEST_P(Products, MatchTheSumOfProducts) {
  const mars_dtype dt = GetParam();
  Rng rng(31 + (uint64_t)dt);
  auto make = [&](std::vector<int64_t> dims) { return random_array(dt, std::move(dims), rng, true); };
  Array v = make({17}), w = make({17}), m = make({13, 17}), m2 = make({17, 11}), t3 = make({3, 5, 17}), u3 = make({4, 17, 6}),
        one = make({}), n = make({9, 17});
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    Scope scope(s);
    auto T = [&](const Array &a) { return borrow(s, a); };
    const std::string where = name_of(c);
    auto check = [&](const char *what, mars_tensor *got, const std::vector<std::string> &in, const std::string &out,
                     const std::vector<Array> &arrays) {
      EXPECT_TRUE(near(fetched(got), sum_of_products(dt, in, out, arrays))) << what << " " << where;
    };
    check("dot 1 1", mars_dot(T(v), T(w)), {"i", "i"}, "", {v, w});
    check("dot 2 1", mars_dot(T(m), T(v)), {"ij", "j"}, "i", {m, v});
    check("dot 1 2", mars_dot(T(v), T(m2)), {"i", "ij"}, "j", {v, m2});
    check("dot 2 2", mars_dot(T(m), T(m2)), {"ij", "jk"}, "ik", {m, m2});
    check("dot 3 1", mars_dot(T(t3), T(v)), {"abj", "j"}, "ab", {t3, v});
    check("dot 3 2", mars_dot(T(t3), T(m2)), {"abj", "jk"}, "abk", {t3, m2});
    check("dot 3 3", mars_dot(T(t3), T(u3)), {"abj", "cjk"}, "abck", {t3, u3});
    check("dot 0 2", mars_dot(T(one), T(m)), {"", "ij"}, "ij", {one, m});
    check("dot 2 0", mars_dot(T(m), T(one)), {"ij", ""}, "ij", {m, one});
    check("inner 1 1", mars_inner(T(v), T(w)), {"i", "i"}, "", {v, w});
    check("inner 2 2", mars_inner(T(m), T(n)), {"ij", "kj"}, "ik", {m, n});
    check("inner 3 2", mars_inner(T(t3), T(m)), {"abj", "kj"}, "abk", {t3, m});
    check("inner 0 1", mars_inner(T(one), T(v)), {"", "i"}, "i", {one, v});
    check("outer 1 1", mars_outer(T(v), T(w)), {"i", "j"}, "ij", {v, w});
    Array flat_m = m, flat_v = n;
    flat_m.dims = {m.size()};
    flat_v.dims = {n.size()};
    check("outer 2 2", mars_outer(T(m), mars_index(T(n), nullptr, 0)), {"i", "j"}, "ij", {flat_m, flat_v});
    check("outer 0 1", mars_outer(T(one), T(v)), {"i", "j"}, "ij", {array_of(dt, {1}, one.bytes), v});
    Array conj = conjugated(flat_m), other = make({17, 13});
    Array flat_other = other;
    flat_other.dims = {other.size()};
    check("vdot", mars_vdot(T(m), T(other)), {"i", "i"}, "", {oracle::kind_of(dt) == 'c' ? conj : flat_m, flat_other});
    check("tensordot 2", mars_tensordot(T(t3), T(u3), MARS_AXES(2), MARS_AXES(1)), {"abj", "cjk"}, "abck", {t3, u3});
    Array p = make({4, 5, 6}), q = make({6, 4, 3});
    check("tensordot lists", mars_tensordot(T(p), T(q), MARS_AXES(0, -1), MARS_AXES(1, 0)), {"aij", "jak"}, "ik", {p, q});
    Array r = make({5, 6, 2});
    check("tensordot last 2 with first 2", mars_tensordot(T(p), T(r), mars_last_axes(2), mars_first_axes(2)), {"aij", "ijk"}, "ak",
          {p, r});
    check("tensordot none", mars_tensordot(T(v), T(m), mars_last_axes(0), mars_first_axes(0)), {"i", "jk"}, "ijk", {v, m});
    check("tensordot all", mars_tensordot(T(m), T(m), MARS_ALL, MARS_ALL), {"ij", "ij"}, "", {m, m});
    mars_tensor *chain[] = {T(v), T(m2), mars_transpose(T(m2)), T(w)};
    check("multi_dot 1..1", mars_multi_dot(chain, 4), {"i", "ij", "kj", "k"}, "", {v, m2, m2, w});
    if (!oracle::is_half(dt)) { // halves are rounded after each product
      mars_tensor *matrices[] = {T(m), T(m2), mars_transpose(T(m2))};
      check("multi_dot 2..2", mars_multi_dot(matrices, 3), {"ij", "jk", "lk"}, "il", {m, m2, m2});
      mars_tensor *to_column[] = {T(m), T(m2), mars_transpose(T(m2)), T(v)};
      check("multi_dot 2..1", mars_multi_dot(to_column, 4), {"ij", "jk", "lk", "l"}, "i", {m, m2, m2, v});
    }
  }
}

TEST_P(Products, Kronecker) {
  const mars_dtype dt = GetParam();
  Rng rng(41);
  auto kron = [](const Array &a, const Array &b) { // as numpy: shapes padded on the left
    size_t nd = std::max(a.dims.size(), b.dims.size());
    std::vector<int64_t> da(nd - a.dims.size(), 1), db(nd - b.dims.size(), 1), dims;
    da.insert(da.end(), a.dims.begin(), a.dims.end());
    db.insert(db.end(), b.dims.begin(), b.dims.end());
    for (size_t d = 0; d < nd; d++)
      dims.push_back(da[d] * db[d]);
    Array x(a.dt, dims), y(a.dt, dims);
    for (int64_t i = 0; i < x.size(); i++) {
      int64_t left = i, ia = 0, ib = 0, sa = 1, sb = 1;
      for (size_t d = nd; d-- > 0;) {
        int64_t at = left % dims[d];
        left /= dims[d];
        ia += at / db[d] * sa, ib += at % db[d] * sb;
        sa *= da[d], sb *= db[d];
      }
      std::memcpy(x.at(i), a.at(ia), a.item());
      std::memcpy(y.at(i), b.at(ib), b.item());
    }
    std::string all = std::string("abcdefghijklmnop").substr(0, nd);
    return sum_of_products(a.dt, {all, all}, all, {x, y});
  };
  const std::vector<int64_t> shapes[][2] = {{{3, 4}, {5, 2}}, {{7}, {3}},       {{2, 3}, {4}},          {{4}, {2, 3}},
                                            {{}, {2, 3}},     {{2, 3, 2}, {3, 1, 4}}, {{0, 2}, {3, 3}},
                                            {{2, 1, 2, 1, 2, 1, 2, 1, 2}, {2, 2, 1, 2, 1, 2, 1, 2, 1}}};
  for (const auto &pair : shapes) {
    Array a = random_array(dt, pair[0], rng, true), b = random_array(dt, pair[1], rng, true);
    const Expected want = kron(a, b);
    for (const Config &c : configs()) {
      mars_session *s = shared_session(c);
      Scope scope(s);
      EXPECT_TRUE(near(fetched(mars_kron(borrow(s, a), borrow(s, b))), want))
          << testing::PrintToString(pair[0]) << " " << testing::PrintToString(pair[1]) << " " << name_of(c);
    }
  }
  if (dt != MARS_BOOL && dt != MARS_I32 && dt != MARS_F64)
    return;
  // an axis for each extent of both would be more than there can be
  std::vector<int64_t> twos(9, 2);
  Array a = random_array(dt, twos, rng, true), b = random_array(dt, twos, rng, true);
  mars_session *s = shared_session(configs()[0]);
  Scope scope(s);
  EXPECT_TRUE(near(fetched(mars_kron(borrow(s, a), borrow(s, b))), kron(a, b)));
}

TEST_P(Products, MatrixPower) {
  const mars_dtype dt = GetParam();
  if (oracle::is_half(dt))
    return; // every product is rounded: what comes out is checked for f32
  Rng rng(43);
  Array a = random_array(dt, {2, 6, 6}, rng, true);
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    Scope scope(s);
    mars_tensor *t = borrow(s, a);
    EXPECT_TRUE(near(fetched(mars_matrix_power(t, 1)), sum_of_products(dt, {"bij"}, "bij", {a})));
    EXPECT_TRUE(near(fetched(mars_matrix_power(t, 2)), sum_of_products(dt, {"bij", "bjk"}, "bik", {a, a})));
    EXPECT_TRUE(near(fetched(mars_matrix_power(t, 3)), sum_of_products(dt, {"bij", "bjk", "bkl"}, "bil", {a, a, a})));
    EXPECT_TRUE(near(fetched(mars_matrix_power(t, 5)),
                     sum_of_products(dt, {"bij", "bjk", "bkl", "blm", "bmn"}, "bin", {a, a, a, a, a})))
        << name_of(c);
    Array unit = fetched(mars_matrix_power(t, 0));
    ASSERT_EQ(unit.dims, a.dims);
    ASSERT_EQ(unit.dt, dt);
    for (int64_t i = 0; i < unit.size(); i++) {
      const Num v = unit.get(i);
      EXPECT_EQ(oracle::kind_of(dt) == 'f' || oracle::kind_of(dt) == 'c' ? v.re : (real)v.i, i / 6 % 6 == i % 6) << i;
    }
  }
}

// Negative powers are powers of the inverse; integers become doubles.
TEST(MatrixPower, Negative) {
  Rng rng(47);
  for (const Config &c : configs()) {
    mars_session *s = shared_session(c);
    Scope scope(s);
    Array shear = array_of<int32_t>(MARS_I32, {2, 2}, {1, 1, 0, 1});
    for (int64_t n : {-1, -2, -3, -7}) {
      const Array got = fetched(mars_matrix_power(borrow(s, shear), n));
      EXPECT_TRUE(same_bits(got, array_of<double>(MARS_F64, {2, 2}, {1, (double)n, 0, 1}))) << n << ", " << name_of(c);
    }
    Array a(MARS_F64, {3, 40, 40}); // dominated by its diagonal
    for (int64_t i = 0; i < a.size(); i++)
      ((double *)a.bytes.data())[i] = rng.unit() / 40 + (i / 40 % 40 == i % 40 ? 1 : 0);
    mars_tensor *t = borrow(s, a);
    const Array unit = fetched(mars_matmul(mars_matrix_power(t, -5), mars_matrix_power(t, 5)));
    for (int64_t i = 0; i < unit.size(); i++)
      ASSERT_NEAR(((const double *)unit.bytes.data())[i], i / 40 % 40 == i % 40, 1e-11) << i << ", " << name_of(c);
    mars_error err = {};
    Array none(MARS_F64, {2, 2}), result = none;
    EXPECT_TRUE(says(mars_fetch(mars_matrix_power(borrow(s, none), -2), result.bytes.data(), result.bytes.size(), &err), err, MARS_E_NUMERIC,
                     {"singular"}));
  }
}

INSTANTIATE_TEST_SUITE_P(Dtype, Products, testing::ValuesIn(kDtypes), dtype_name);

TEST(ProductErrors, NameBothShapes) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_tensor *a = mars_ones(s, MARS_F64, MARS_SHAPE(2, 3)), *b = mars_ones(s, MARS_F64, MARS_SHAPE(4, 5));
  mars_tensor *v = mars_ones(s, MARS_F64, MARS_SHAPE(7));
  EXPECT_TRUE(is_error(mars_matmul(a, b), MARS_E_SHAPE, {"mars_matmul", "(2, 3)", "(4, 5)"}));
  EXPECT_TRUE(is_error(mars_matmul(a, mars_float(s, 2)), MARS_E_SHAPE, {"mars_matmul", "(2, 3)", "()", "mars_multiply"}));
  mars_tensor *p = mars_ones(s, MARS_F64, MARS_SHAPE(2, 3, 4)), *q = mars_ones(s, MARS_F64, MARS_SHAPE(3, 4, 5));
  EXPECT_TRUE(is_error(mars_matmul(p, q), MARS_E_SHAPE, {"mars_matmul", "(2, 3, 4)", "(3, 4, 5)", "broadcast"}));
  EXPECT_TRUE(is_error(mars_dot(a, b), MARS_E_SHAPE, {"mars_dot", "(2, 3)", "(4, 5)", "3", "4"}));
  EXPECT_TRUE(is_error(mars_dot(a, v), MARS_E_SHAPE, {"mars_dot", "(2, 3)", "(7,)"}));
  EXPECT_TRUE(is_error(mars_inner(a, b), MARS_E_SHAPE, {"mars_inner", "(2, 3)", "(4, 5)"}));
  EXPECT_TRUE(is_error(mars_vdot(a, b), MARS_E_SHAPE, {"mars_vdot", "(2, 3)", "(4, 5)", "6", "20"}));
  EXPECT_TRUE(is_error(mars_tensordot(a, b, MARS_AXES(0), MARS_AXES(0)), MARS_E_SHAPE, {"mars_tensordot", "(2, 3)", "(4, 5)", "2", "4"}));
  EXPECT_TRUE(is_error(mars_tensordot(a, b, MARS_AXES(0, 1), MARS_AXES(0)), MARS_E_AXIS, {"mars_tensordot", "(2, 3)", "(4, 5)"}));
  EXPECT_TRUE(is_error(mars_tensordot(a, b, MARS_AXES(0, 0), MARS_AXES(0, 1)), MARS_E_AXIS, {"twice"}));
  EXPECT_TRUE(is_error(mars_tensordot(a, b, MARS_AXES(2), MARS_AXES(0)), MARS_E_AXIS, {"axis 2"}));
  EXPECT_TRUE(is_error(mars_matrix_power(a, 2), MARS_E_SHAPE, {"mars_matrix_power", "(2, 3)", "square"}));
  EXPECT_TRUE(is_error(mars_matrix_power(v, -2), MARS_E_SHAPE, {"mars_matrix_power", "(7,)"}));
  mars_tensor *chain[] = {a, b, v};
  EXPECT_TRUE(is_error(mars_multi_dot(chain, 3), MARS_E_SHAPE, {"mars_multi_dot", "(2, 3)", "(4, 5)", "operands 1 and 2"}));
  EXPECT_TRUE(is_error(mars_multi_dot(chain, 1), MARS_E_ARG, {"mars_multi_dot", "1 operands"}));
  mars_tensor *middle[] = {a, v, b};
  EXPECT_TRUE(is_error(mars_multi_dot(middle, 3), MARS_E_SHAPE, {"operand 2", "(7,)"}));
  // the first error is carried on, by name
  EXPECT_TRUE(is_error(mars_dot(mars_matmul(a, b), a), MARS_E_SHAPE, {"mars_matmul"}));
}

// Python-like scalars take the other operand's dtype; dtypes are promoted.
TEST(ProductTypes, Promotion) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_tensor *f = mars_ones(s, MARS_F32, MARS_SHAPE(3, 3)), *i = mars_ones(s, MARS_I32, MARS_SHAPE(3, 3)),
              *b = mars_ones(s, MARS_BOOL, MARS_SHAPE(3, 3));
  EXPECT_EQ(mars_dtype_of(mars_dot(f, mars_float(s, 2))), MARS_F32);
  EXPECT_EQ(mars_dtype_of(mars_kron(i, mars_int(s, 2))), MARS_I32);
  EXPECT_EQ(mars_dtype_of(mars_matmul(f, i)), MARS_F64);
  EXPECT_EQ(mars_dtype_of(mars_inner(b, b)), MARS_BOOL);
  mars_tensor *mixed[] = {b, i, f};
  EXPECT_EQ(mars_dtype_of(mars_einsum("ij,jk,kl", mixed, 3)), MARS_F64);
}

} // namespace
