// Every elementwise row of the op table x every dtype: against the oracle once, and bit for bit the same in
// every configuration, for every size around a chunk, and through every kind of view.
#include "tests/api_util.h"

using namespace api;
using oracle::Num;

namespace {

struct Case {
  const mars_op_info *op;
  mars_dtype dt;
};

void PrintTo(const Case &c, std::ostream *out) {
  *out << c.op->name << "_" << short_name(c.dt);
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  const mars_op_info *op;
  for (size_t i = 0; (op = mars_op_table(i)) != nullptr; i++) {
    std::string kind = op->kind;
    if (kind != "unary" && kind != "binary" && kind != "ternary")
      continue;
    for (mars_dtype dt : kDtypes)
      all.push_back({op, dt});
  }
  return all;
}

std::string case_name(const testing::TestParamInfo<Case> &info) {
  return std::string(info.param.op->name) + "_" + short_name(info.param.dt);
}

// ---- input ----------------------------------------------------------------------------------------------

bool is_mild(const std::string &op, mars_dtype dt) {
  return op == "power" && oracle::kind_of(dt) == 'c';
}

// Second operands that the op is about: shift counts, exponents
Num second_operand(const std::string &op, mars_dtype dt, const Num &v, Rng &rng) {
  char k = oracle::kind_of(dt);
  Num n = v;
  bool whole = k == 'i' || k == 'u';
  if (whole && (op == "left_shift" || op == "right_shift") && rng.chance(0.9))
    n.i = oracle::wrap(dt, rng.between(k == 'i' ? -2 : 0, oracle::bits_of(dt) + 2));
  if (whole && op == "power" && rng.chance(0.9))
    n.i = rng.between(k == 'i' ? -3 : 0, 12);
  if (op == "ldexp") {
    int reach = dt == MARS_F16 ? 30 : dt == MARS_F64 ? 1100 : 160;
    if (k == 'f')
      n.re = oracle::rounded(dt, oracle::cast(Num{'i', rng.between(-reach, reach), 0, 0}, MARS_I64, dt)).re;
    if (k == 'f')
      n.re = std::trunc(n.re);
    if (whole)
      n.i = rng.between(k == 'i' ? -20 : 0, 20);
  }
  if (k == 'f' && op == "power" && rng.chance(0.6))
    n.re = oracle::rounded(dt, Num{'f', 0, v.re - std::trunc(v.re / 8) * 8, 0}).re;
  return n;
}

std::vector<Array> inputs(const Case &c, std::vector<int64_t> dims) {
  Rng rng(hash_of(c.op->name) + (uint64_t)c.dt);
  std::vector<Array> in;
  bool mild = is_mild(c.op->name, c.dt), where = std::string(c.op->name) == "where";
  for (int k = 0; k < c.op->arity; k++)
    in.push_back(random_array(where && k == 0 ? MARS_BOOL : c.dt, dims, rng, mild));
  if (c.op->arity >= 2 && !mild) { // every pair of special values meets
    std::vector<Num> s = specials(c.dt);
    int64_t n = (int64_t)s.size(), limit = std::min(n * n, in[0].size());
    for (int64_t i = 0; i < limit; i++) {
      if (!where)
        in[0].set(i, s[(size_t)(i % n)]);
      in[1].set(i, s[(size_t)(i / n)]);
    }
  }
  if (c.op->arity == 2)
    for (int64_t i = 0; i < in[1].size(); i++)
      in[1].set(i, second_operand(c.op->name, c.dt, in[1].get(i), rng));
  return in;
}

// ---- the same values through different views --------------------------------------------------------------

// memory: arrays that must outlive the run
mars_tensor *present(mars_session *s, const Array &a, int how, std::vector<Array> *memory) {
  int64_t rows = a.dims[0], cols = a.dims[1];
  size_t item = a.item();
  memory->push_back(a);
  Array &m = memory->back();
  switch (how) {
  case 1: // the transpose of a transposed array
    m = Array(a.dt, {cols, rows});
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < cols; j++)
        std::memcpy(m.at(j * rows + i), a.at(i * cols + j), item);
    return mars_transpose(borrow(s, m));
  case 2: // backwards along both axes
    for (int64_t i = 0; i < a.size(); i++)
      std::memcpy(m.at(a.size() - 1 - i), a.at(i), item);
    return mars_flip(borrow(s, m), MARS_ALL);
  case 3: { // every second column of a wider array, from the right
    m = Array(a.dt, {rows, 2 * cols});
    std::fill(m.bytes.begin(), m.bytes.end(), 1);
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < cols; j++)
        std::memcpy(m.at(i * 2 * cols + 2 * (cols - 1 - j)), a.at(i * cols + j), item);
    mars_slice items[] = {{MARS_SLICE_ELLIPSIS, 0, 0, 0}, {MARS_SLICE_RANGE, -2, MARS_NONE, -2}};
    return mars_index(borrow(s, m), items, 2);
  }
  case 4: { // borrowed with negative strides
    for (int64_t i = 0; i < a.size(); i++)
      std::memcpy(m.at(a.size() - 1 - i), a.at(i), item);
    int64_t strides[] = {-(int64_t)item * cols, -(int64_t)item};
    return mars_from_memory(s, a.dt, shape_of(a.dims), strides, m.at(a.size() - 1), nullptr, nullptr);
  }
  case 5:
    return tensor(s, a);
  default:
    return borrow(s, m);
  }
}

class Elementwise : public testing::TestWithParam<Case> {
protected:
  mars_tensor *apply(mars_session *s, const std::vector<mars_tensor *> &operands) {
    return mars_apply(s, GetParam().op->name, operands.data(), operands.size());
  }

  Array run(mars_session *s, const std::vector<Array> &in, int how) {
    Scope scope(s);
    std::vector<Array> memory;
    memory.reserve(in.size());
    std::vector<mars_tensor *> t;
    for (size_t k = 0; k < in.size(); k++)
      t.push_back(in[k].dims.size() == 2 ? present(s, in[k], how ? (how + (int)k - 1) % 5 + 1 : 0, &memory)
                                         : tensor(s, in[k]));
    return fetched(apply(s, t));
  }

  // The same bits; of functions that are not exact, on GPUs, the row's bound of the oracle instead.
  void agree(const Array &got, const Array &want, const std::vector<Array> &in, const std::string &what) {
    SCOPED_TRACE(what);
    if (GetParam().op->ulp == 0 || !on_gpus())
      EXPECT_TRUE(same_bits(got, want));
    else
      judge(got, in);
  }

  // got against the oracle; in: operands that broadcast to got's shape
  void judge(const Array &got, const std::vector<Array> &in) {
    const Case &c = GetParam();
    int shown = 0;
    for (int64_t i = 0; i < got.size() && shown < 5; i++) {
      Num a[3];
      for (size_t k = 0; k < in.size(); k++)
        a[k] = in[k].get(in[k].broadcast_index(i, got.dims));
      oracle::Expect want = oracle::eval(c.op->name, c.dt, a, c.op->ulp);
      if (want.skip || oracle::close(got.dt, got.get(i), want.value, want.bound))
        continue;
      shown++;
      std::string text = std::string(c.op->name) + "(";
      for (size_t k = 0; k < in.size(); k++)
        text += (k ? ", " : "") + oracle::show(a[k]);
      ADD_FAILURE() << text << ") in " << short_name(c.dt) << " gives " << oracle::show(got.get(i)) << " ("
                    << short_name(got.dt) << ") instead of " << oracle::show(want.value) << " within "
                    << want.bound.ulp << " ulp, element " << i;
    }
  }

  // Mixed shapes, 0-d and empty ones among them
  void judge_broadcast(mars_session *s, const Case &c, mars_dtype result) {
    const std::vector<std::vector<int64_t>> shapes[] = {{{5, 1, 7}, {3, 1}, {1, 1, 1}},
                                                        {{}, {4, 3}, {3}},
                                                        {{2, 3}, {}, {2, 1}},
                                                        {{0, 3}, {3}, {1, 1}},
                                                        {{}, {}, {}}};
    for (auto &shape : shapes) {
      Scope scope(s);
      std::vector<Array> in;
      std::vector<mars_tensor *> t;
      std::vector<int64_t> out;
      for (int k = 0; k < c.op->arity; k++) {
        in.push_back(inputs(c, shape[(size_t)k])[(size_t)k]);
        t.push_back(tensor(s, in.back()));
        for (size_t d = 0; d < in.back().dims.size(); d++) {
          size_t from_end = in.back().dims.size() - d;
          if (out.size() < from_end)
            out.insert(out.begin(), from_end - out.size(), 1);
          int64_t &o = out[out.size() - from_end];
          if (o == 1)
            o = in.back().dims[d];
        }
      }
      Array got = fetched(apply(s, t));
      EXPECT_EQ(got.dims, out);
      EXPECT_EQ(got.dt, result);
      if (got.dims == out)
        judge(got, in);
    }
  }
};

TEST_P(Elementwise, MatchesOracleInEveryConfiguration) {
  const Case &c = GetParam();
  ASSERT_TRUE(oracle::has_op(c.op->name)) << "no oracle for the op '" << c.op->name << "'";
  mars_dtype loop, result;
  bool accepted = oracle::op_types(c.op->name, c.dt, &loop, &result);
  mars_session *base = shared_session(Config());
  if (!accepted) {
    Scope scope(base);
    std::vector<mars_tensor *> t;
    for (const Array &a : inputs(c, {2, 3}))
      t.push_back(tensor(base, a));
    EXPECT_TRUE(is_error(apply(base, t), MARS_E_DTYPE, {c.op->name, mars_dtype_name(c.dt)}));
    return;
  }
  const std::vector<int64_t> dims = {37, 41};
  std::vector<Array> in = inputs(c, dims);
  Array want = run(base, in, 0);
  ASSERT_EQ(want.dt, result) << mars_dtype_name(want.dt);
  ASSERT_EQ(want.dims, dims);
  judge(want, in);
  judge_broadcast(base, c, result);
  if (on_gpus())
    agree(want, run(shared_session(host_config()), in, 0), in, "the host");
  int how = (int)(hash_of(c.op->name) % 6);
  for (const Config &config : covering_configs(dims[1])) {
    agree(run(shared_session(config), in, how % 6), want, in, name_of(config) + ", view " + std::to_string(how % 6));
    how++;
  }
}

Array prefix(const Array &a, int64_t n) {
  Array p(a.dt, {n});
  std::copy_n(a.bytes.begin(), p.bytes.size(), p.bytes.begin());
  return p;
}

// 0, 1, an odd number, and chunk - 1, chunk, chunk + 1 elements are prefixes of the long result.
TEST_P(Elementwise, SizesAroundAChunk) {
  const Case &c = GetParam();
  mars_dtype loop, result;
  if (!oracle::has_op(c.op->name) || !oracle::op_types(c.op->name, c.dt, &loop, &result))
    return; // refused: tested above
  std::vector<Array> in = inputs(c, {1500});
  Array want = run(shared_session(Config()), in, 0);
  Config chunk7, chunk1013;
  chunk7.chunk = 7;
  chunk7.budget = kMinimalBudget;
  chunk1013.chunk = 1013;
  chunk1013.threads = 2;
  for (int64_t n : {0, 1, 6, 7, 8, 15, 1012, 1013, 1014}) {
    if (quick() && n > 8)
      continue;
    std::vector<Array> part;
    for (const Array &a : in)
      part.push_back(prefix(a, n));
    agree(run(shared_session(n > 100 ? chunk1013 : chunk7), part, 0), prefix(want, n), part, std::to_string(n) + " elements");
  }
}

INSTANTIATE_TEST_SUITE_P(Op, Elementwise, testing::ValuesIn(all_cases()), case_name);

// Functions of one half: all 65,536 of them.
TEST(ElementwiseHalves, EveryValueOfEveryUnaryOp) {
  mars_session *s = shared_session(Config());
  const mars_op_info *op;
  for (size_t k = 0; (op = mars_op_table(k)) != nullptr; k++) {
    if (std::string(op->kind) != "unary")
      continue;
    for (mars_dtype dt : {MARS_F16, MARS_BF16}) {
      mars_dtype loop, result;
      if (!oracle::has_op(op->name) || !oracle::op_types(op->name, dt, &loop, &result))
        continue;
      if (quick() && hash_of(op->name) % 4)
        continue;
      Array a(dt, {65536});
      for (int64_t i = 0; i < a.size(); i++) {
        uint16_t bits = (uint16_t)i;
        std::memcpy(a.at(i), &bits, 2);
      }
      Scope scope(s);
      mars_tensor *t = tensor(s, a);
      Array got = fetched(mars_apply(s, op->name, &t, 1));
      ASSERT_EQ(got.dt, result);
      int shown = 0;
      for (int64_t i = 0; i < a.size() && shown < 3; i++) {
        Num x[3] = {a.get(i), Num(), Num()};
        oracle::Expect want = oracle::eval(op->name, dt, x, op->ulp);
        if (want.skip || oracle::close(got.dt, got.get(i), want.value, want.bound))
          continue;
        shown++;
        ADD_FAILURE() << op->name << "(" << oracle::show(x[0]) << ") in " << short_name(dt) << " gives "
                      << oracle::show(got.get(i)) << " instead of " << oracle::show(want.value);
      }
    }
  }
}

TEST(ElementwiseTable, RowsAreComplete) {
  const mars_op_info *op;
  size_t n = 0, elementwise = 0;
  for (; (op = mars_op_table(n)) != nullptr; n++) {
    ASSERT_NE(op->name, nullptr);
    ASSERT_NE(op->doc, nullptr);
    ASSERT_NE(op->kind, nullptr);
    EXPECT_NE(std::string(op->doc), "") << op->name;
    std::string kind = op->kind;
    if (kind == "unary" || kind == "binary" || kind == "ternary") {
      elementwise++;
      EXPECT_TRUE(oracle::has_op(op->name)) << "no oracle for the op '" << op->name << "'";
      EXPECT_EQ(op->arity, kind == "unary" ? 1 : kind == "binary" ? 2 : 3) << op->name;
    } else if (kind == "reduce") {
      EXPECT_TRUE(oracle::has_reduce(op->name)) << "no oracle for the reduction '" << op->name << "'";
    }
  }
  EXPECT_GE(elementwise, 85u);
  EXPECT_EQ(mars_op_table(n + 1000), nullptr);
}

// Ops made of rows: round, nan_to_num, float_power, isposinf, isneginf, divmod, modf, frexp.
TEST(ElementwiseComposed, MatchTheirParts) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  const double nan = std::nan(""), inf = HUGE_VAL;
  std::vector<double> x = {2.5, -2.5, 1.005, -7.25, 0.0, -0.0, nan, inf, -inf, 123.456};
  Array a = array_of(MARS_F64, {10}, x);
  mars_tensor *t = tensor(s, a);
  std::vector<double> y;
  auto values = [&](mars_tensor *r) {
    Array got = fetched(r);
    std::vector<double> v;
    for (int64_t i = 0; i < got.size(); i++)
      v.push_back((double)(oracle::kind_of(got.dt) == 'f' ? got.get(i).re : (long double)got.get(i).i));
    return v;
  };
  y = values(mars_round(t, 0));
  for (size_t i = 0; i < x.size(); i++)
    EXPECT_TRUE(y[i] == std::nearbyint(x[i]) || std::isnan(x[i])) << x[i];
  y = values(mars_round(t, 1));
  EXPECT_EQ(y[9], 123.5);
  EXPECT_EQ(y[3], -7.2);
  y = values(mars_round(t, -1));
  EXPECT_EQ(y[9], 120);
  y = values(mars_nan_to_num(t));
  EXPECT_EQ(y[6], 0);
  EXPECT_EQ(y[7], 1.7976931348623157e308);
  EXPECT_EQ(y[8], -1.7976931348623157e308);
  EXPECT_EQ(y[9], 123.456);
  y = values(mars_isposinf(t));
  for (size_t i = 0; i < x.size(); i++)
    EXPECT_EQ(y[i], x[i] == inf);
  y = values(mars_isneginf(t));
  for (size_t i = 0; i < x.size(); i++)
    EXPECT_EQ(y[i], x[i] == -inf);
  std::vector<int8_t> small = {7, -7, 7, -7, 0, 3, -128};
  mars_tensor *i8 = tensor(s, array_of(MARS_I8, {7}, small));
  mars_tensor *by = tensor(s, array_of(MARS_I8, {7}, std::vector<int8_t>{2, 2, -2, -2, 5, 0, 3}));
  mars_tensor *q = nullptr, *r = nullptr;
  mars_divmod(i8, by, &q, &r);
  EXPECT_EQ(values(q), (std::vector<double>{3, -4, -4, 3, 0, 0, -43}));
  EXPECT_EQ(values(r), (std::vector<double>{1, 1, -1, -1, 0, 0, 1}));
  mars_tensor *fp = mars_float_power(i8, by);
  EXPECT_EQ(mars_dtype_of(fp), MARS_F64);
  EXPECT_EQ(values(fp)[0], 49.0);
  mars_modf(t, &q, &r);
  EXPECT_EQ(values(q)[3], -0.25);
  EXPECT_EQ(values(r)[3], -7);
  EXPECT_EQ(values(r)[7], inf);
  mars_frexp(t, &q, &r);
  EXPECT_EQ(values(q)[0], 0.625);
  EXPECT_EQ(values(r)[0], 2);
  EXPECT_EQ(mars_dtype_of(r), MARS_I32);
}

// The named functions of ops.h are the same rows.
TEST(ElementwiseComposed, NamedFunctionsAreTheRows) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  Rng rng(5);
  Array a = random_array(MARS_F64, {100}, rng, true), b = random_array(MARS_F64, {100}, rng, true);
  mars_tensor *x = tensor(s, a), *y = tensor(s, b), *both[] = {x, y};
  EXPECT_TRUE(same_bits(fetched(mars_add(x, y)), fetched(mars_apply(s, "add", both, 2))));
  EXPECT_TRUE(same_bits(fetched(mars_sub(x, y)), fetched(mars_apply(s, "subtract", both, 2))));
  EXPECT_TRUE(same_bits(fetched(mars_exp(x)), fetched(mars_apply(s, "exp", both, 1))));
  mars_tensor *three[] = {mars_less(x, y), x, y};
  EXPECT_TRUE(same_bits(fetched(mars_where(three[0], x, y)), fetched(mars_apply(s, "where", three, 3))));
}

} // namespace
