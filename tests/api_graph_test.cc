// Random graphs: elementwise ops, views, reductions, joins, random numbers and scans, against a naive
// evaluator that computes node by node. Everything is bit-equal but float reductions, which are judged within
// their bound; what follows them is computed from the engine's own value of the reduction and is bit-equal
// again.
#include "tests/api_util.h"

#include <cmath>
#include <cstdlib>

using namespace api;
using oracle::Num;

namespace {

enum Kind {
  LEAF,
  UNIFORM,
  INTEGERS,
  IOTA,
  ELEMENTWISE,
  CAST,
  FLIP,
  TRANSPOSE,
  SLICE,
  RESHAPE,
  BROADCAST,
  REDUCE,
  CONCAT,
  SCAN
};

struct Node {
  Kind kind;
  mars_dtype dt;
  std::vector<int64_t> dims;
  std::vector<size_t> in;
  std::string op;
  Array leaf;
  int axis = -1;         // REDUCE: -1 is all axes
  mars_slice slice = {}; // along axis 0
  uint64_t stream = 0;
  bool inexact() const {
    return REDUCE == kind && oracle::kind_of(dt) == 'f' && (op == "sum" || op == "mean" || op == "std");
  }
};

// Which of -0 and 0 is the greater is open: adding 0 makes them one, here and in the engine
bool picks_a_zero(const Node &n) {
  return oracle::kind_of(n.dt) == 'f' &&
         (n.op == "maximum" || n.op == "minimum" || n.op == "max" || n.op == "min");
}

// The sign of a NaN that arithmetic made is the machine's choice, another one on a GPU: where operand k is there for its sign,
// 1 stands for NaN, here and in the engine
bool hides_nan(const Node &n, size_t k) {
  return on_gpus() && ((n.op == "copysign" && k == 1) || (n.op == "signbit" && k == 0));
}

const uint64_t kSeed = 4711;
const double kScalar = 0.75; // a weak scalar operand, marked by an input number beyond the list
const size_t SCALAR = SIZE_MAX;

// ---- making a graph -------------------------------------------------------------------------------------

struct Maker {
  Rng rng;
  std::vector<Node> nodes;
  uint64_t streams = 0;
  int64_t rows, cols, limit; // most elements of a node

  explicit Maker(uint64_t seed, bool large = false) : rng(seed), limit(large ? 100000 : 4000) {
    rows = large ? rng.between(50, 150) : rng.between(1, 23);
    cols = large ? rng.between(200, 400) : rng.between(1, 61);
    for (int i = 0; i < 3; i++)
      source();
    for (int64_t n = rng.between(5, 37); n > 0; n--)
      grow();
  }

  size_t any() {
    return rng.chance(0.5) && nodes.size() > 4 ? nodes.size() - 1 - (size_t)rng.below(4)
                                               : (size_t)rng.below((int64_t)nodes.size());
  }
  mars_dtype dtype() { return std::vector<mars_dtype>{MARS_F64, MARS_F32, MARS_I64}[(size_t)rng.below(3)]; }

  Node &push(Kind kind, mars_dtype dt, std::vector<int64_t> dims, std::vector<size_t> in = {}) {
    Node n;
    n.kind = kind;
    n.dt = dt;
    n.dims = std::move(dims);
    n.in = std::move(in);
    nodes.push_back(n);
    return nodes.back();
  }

  void source() {
    std::vector<std::vector<int64_t>> shapes = {{rows, cols}, {rows, cols}, {rows, cols},
                                                {cols},       {rows, 1},    {}};
    std::vector<int64_t> dims = shapes[(size_t)rng.below((int64_t)shapes.size())];
    switch (rng.below(4)) {
    case 0:
      push(UNIFORM, rng.chance(0.5) ? MARS_F64 : MARS_F32, dims).stream = streams++;
      break;
    case 1:
      push(INTEGERS, MARS_I64, dims).stream = streams++;
      break;
    case 2:
      if (!dims.empty()) {
        push(IOTA, dtype(), dims).axis = (int)rng.below((int64_t)dims.size());
        break;
      }
      [[fallthrough]];
    default: {
      mars_dtype dt = dtype();
      push(LEAF, dt, dims).leaf = random_array(dt, dims, rng, true);
    }
    }
  }

  bool broadcast_dims(const std::vector<int64_t> &a, const std::vector<int64_t> &b,
                      std::vector<int64_t> *out) {
    size_t n = std::max(a.size(), b.size());
    out->assign(n, 1);
    for (size_t k = 0; k < n; k++) {
      int64_t x = k < a.size() ? a[a.size() - 1 - k] : 1, y = k < b.size() ? b[b.size() - 1 - k] : 1;
      if (x != y && x != 1 && y != 1)
        return false;
      (*out)[n - 1 - k] = x == 1 ? y : x;
    }
    return count_of(*out) <= limit;
  }

  void elementwise() {
    static const std::vector<std::string> unary = {"negative", "absolute",    "square", "sqrt",   "floor",
                                                   "isnan",    "logical_not", "rint",   "signbit"};
    static const std::vector<std::string> binary = {"add",           "subtract",     "multiply",  "divide",
                                                    "maximum",       "minimum",      "less",      "equal",
                                                    "greater_equal", "floor_divide", "remainder", "copysign",
                                                    "logical_and",   "add",          "multiply"};
    std::vector<size_t> in = {any()};
    std::vector<int64_t> dims = nodes[in[0]].dims, next;
    mars_dtype p = nodes[in[0]].dt;
    std::string op;
    double kind = rng.unit();
    if (kind < 0.3) {
      op = unary[(size_t)rng.below((int64_t)unary.size())];
    } else {
      op = kind < 0.9 ? binary[(size_t)rng.below((int64_t)binary.size())] : "where";
      for (int more = op == "where" ? 2 : 1; more > 0; more--) {
        size_t k = any();
        if (more == 1 && op != "where" && rng.chance(0.15)) {
          in.push_back(SCALAR);
          p = oracle::promote_weak(p, 'f');
          continue;
        }
        if (!broadcast_dims(dims, nodes[k].dims, &next))
          k = in[0], next = dims;
        dims = next;
        p = op == "where" && in.size() == 1 ? nodes[k].dt : oracle::promote(p, nodes[k].dt);
        in.push_back(k);
      }
    }
    mars_dtype loop, result;
    if (!oracle::op_types(op, p, &loop, &result))
      return;
    push(ELEMENTWISE, result, dims, in).op = op;
  }

  void view() {
    size_t k = any();
    const Node from = nodes[k];
    std::vector<int64_t> dims = from.dims;
    switch (rng.below(5)) {
    case 0:
      push(FLIP, from.dt, dims, {k});
      break;
    case 1:
      push(TRANSPOSE, from.dt, std::vector<int64_t>(dims.rbegin(), dims.rend()), {k});
      break;
    case 2: {
      if (dims.empty() || dims[0] < 2)
        return;
      mars_slice s = {MARS_SLICE_RANGE, rng.below(2), dims[0] - rng.below(2), rng.between(1, 2)};
      if (rng.chance(0.4))
        s = {MARS_SLICE_RANGE, dims[0] - 1, MARS_NONE, -rng.between(1, 3)};
      int64_t span = s.step > 0 ? s.stop - s.start : s.start + 1, step = std::llabs(s.step);
      dims[0] = span <= 0 ? 0 : (span - 1) / step + 1;
      if (dims[0] == 0)
        return;
      push(SLICE, from.dt, dims, {k}).slice = s;
      break;
    }
    case 3: {
      int64_t n = count_of(dims);
      std::vector<int64_t> to = {n};
      for (int64_t d : {2, 3, 5, 7})
        if (n % d == 0 && rng.chance(0.5)) {
          to = {n / d, d};
          break;
        }
      push(RESHAPE, from.dt, to, {k});
      break;
    }
    default: {
      std::vector<int64_t> to = dims;
      for (int64_t &d : to)
        if (d == 1)
          d = rng.between(2, 5);
      to.insert(to.begin(), rng.between(1, 3));
      if (count_of(to) <= limit && to.size() < 5)
        push(BROADCAST, from.dt, to, {k});
    }
    }
  }

  void reduce() {
    static const std::vector<std::string> ops = {"sum",    "mean", "std",           "max", "min",
                                                 "argmax", "any",  "count_nonzero", "prod"};
    size_t k = any();
    const Node from = nodes[k];
    std::string op = ops[(size_t)rng.below((int64_t)ops.size())];
    if (op == "prod" && from.dt != MARS_I64)
      op = "max";
    std::vector<int64_t> dims = from.dims;
    int axis = dims.empty() || rng.chance(0.3) ? -1 : (int)rng.below((int64_t)dims.size());
    if (axis < 0)
      dims.clear();
    else
      dims.erase(dims.begin() + axis);
    Node &n = push(REDUCE, oracle::reduce_dtype(op, from.dt, MARS_DTYPE_AUTO), dims, {k});
    n.op = op;
    n.axis = axis;
  }

  void join() {
    size_t a = any(), b = any();
    std::vector<int64_t> x = nodes[a].dims, y = nodes[b].dims;
    if (x.empty())
      return;
    if (x.size() != y.size())
      b = a, y = x;
    int axis = (int)rng.below((int64_t)x.size());
    for (size_t d = 0; d < x.size(); d++)
      if ((int)d != axis && x[d] != y[d])
        b = a, y = x;
    x[(size_t)axis] += y[(size_t)axis];
    if (count_of(x) > limit)
      return;
    push(CONCAT, oracle::promote(nodes[a].dt, nodes[b].dt), x, {a, b}).axis = axis;
  }

  void grow() {
    double kind = rng.unit();
    if (kind < 0.5)
      return elementwise();
    if (kind < 0.7)
      return view();
    if (kind < 0.8)
      return reduce();
    if (kind < 0.86)
      return join();
    if (kind < 0.9)
      return source();
    size_t k = any();
    mars_dtype from = nodes[k].dt;
    if (kind < 0.95) {
      push(CAST, dtype(), nodes[k].dims, {k});
    } else if (!nodes[k].dims.empty()) {
      Node &n = push(SCAN, oracle::kind_of(from) == 'f' ? from : MARS_I64, nodes[k].dims, {k});
      n.axis = (int)rng.below((int64_t)n.dims.size());
    }
  }
};

// ---- evaluating it naively ------------------------------------------------------------------------------

std::vector<int64_t> coordinates(int64_t i, const std::vector<int64_t> &dims) {
  std::vector<int64_t> c(dims.size());
  for (size_t d = dims.size(); d-- > 0;) {
    c[d] = i % dims[d];
    i /= dims[d];
  }
  return c;
}
int64_t offset(const std::vector<int64_t> &c, const std::vector<int64_t> &dims) {
  int64_t i = 0;
  for (size_t d = 0; d < dims.size(); d++)
    i = i * dims[d] + c[d];
  return i;
}

Array eval_elementwise(const Node &n, const std::vector<Array> &v) {
  Array out(n.dt, n.dims);
  bool where = n.op == "where";
  mars_dtype p = v[n.in[where ? 1 : 0]].dt;
  for (size_t k = where ? 2 : 1; k < n.in.size(); k++)
    p = n.in[k] == SCALAR ? oracle::promote_weak(p, 'f') : oracle::promote(p, v[n.in[k]].dt);
  for (int64_t i = 0; i < out.size(); i++) {
    Num a[3];
    for (size_t k = 0; k < n.in.size(); k++) {
      if (n.in[k] == SCALAR) {
        a[k] = oracle::cast(Num{'f', 0, kScalar, 0}, MARS_F64, p);
        continue;
      }
      const Array &x = v[n.in[k]];
      Num e = x.get(x.broadcast_index(i, n.dims));
      a[k] = oracle::cast(e, x.dt, where && k == 0 ? MARS_BOOL : p);
      if (hides_nan(n, k) && a[k].kind == 'f' && std::isnan(a[k].re))
        a[k].re = 1;
    }
    out.set(i, oracle::eval(n.op, p, a, 0).value);
  }
  return out;
}

Array eval_reduce(const Node &n, const Array &x, std::vector<oracle::Reduced> *want) {
  Array out(n.dt, n.dims);
  std::vector<std::vector<Num>> g((size_t)out.size());
  for (int64_t i = 0; i < x.size(); i++) {
    std::vector<int64_t> c = coordinates(i, x.dims);
    if (n.axis < 0)
      c.clear();
    else
      c.erase(c.begin() + n.axis);
    g[(size_t)offset(c, n.dims)].push_back(x.get(i));
  }
  const double ulp = n.op == "std" ? 16 : 8; // rows SUM, MEAN, STD
  for (int64_t i = 0; i < out.size(); i++) {
    want->push_back(oracle::reduce(n.op, x.dt, g[(size_t)i], 0, MARS_DTYPE_AUTO, ulp));
    out.set(i, want->back().value);
  }
  return out;
}

Array eval_scan(const Node &n, const Array &x) {
  Array out(n.dt, n.dims);
  int64_t len = n.dims[(size_t)n.axis], inner = 1;
  for (size_t d = (size_t)n.axis + 1; d < n.dims.size(); d++)
    inner *= n.dims[d];
  for (int64_t line = 0; line < (len ? out.size() / len : 0); line++) {
    int64_t first = line / inner * inner * len + line % inner;
    std::vector<Num> e;
    for (int64_t i = 0; i < len; i++)
      e.push_back(x.get(first + i * inner));
    e = oracle::scan("cumsum", x.dt, e);
    for (int64_t i = 0; i < len; i++)
      out.set(first + i * inner, e[(size_t)i]);
  }
  return out;
}

Array eval_simple(const Node &n, const std::vector<Array> &v) {
  if (n.kind == LEAF)
    return n.leaf;
  Array out(n.dt, n.dims);
  for (int64_t i = 0; i < out.size(); i++) {
    std::vector<int64_t> c = coordinates(i, n.dims);
    Num x;
    const Array *from = n.in.empty() ? nullptr : &v[n.in[0]];
    switch (n.kind) {
    case UNIFORM:
      x = Num{'f', 0,
              n.dt == MARS_F64 ? oracle::uniform_f64(kSeed, n.stream, (uint64_t)i)
                               : oracle::uniform_f32(kSeed, n.stream, (uint64_t)i),
              0};
      break;
    case INTEGERS:
      x = Num{'i', oracle::integer(kSeed, n.stream, (uint64_t)i, -20, 41), 0, 0};
      break;
    case IOTA:
      x = oracle::cast(Num{'i', c[(size_t)n.axis], 0, 0}, MARS_I64, n.dt);
      break;
    case CAST:
      x = oracle::cast(from->get(i), from->dt, n.dt);
      break;
    case FLIP:
      for (size_t d = 0; d < c.size(); d++)
        c[d] = n.dims[d] - 1 - c[d];
      x = from->get(offset(c, from->dims));
      break;
    case TRANSPOSE:
      x = from->get(offset(std::vector<int64_t>(c.rbegin(), c.rend()), from->dims));
      break;
    case SLICE:
      c[0] = n.slice.start + c[0] * n.slice.step;
      x = from->get(offset(c, from->dims));
      break;
    case RESHAPE:
      x = from->get(i);
      break;
    case BROADCAST:
      x = from->get(from->broadcast_index(i, n.dims));
      break;
    default: { // CONCAT
      int64_t first = from->dims[(size_t)n.axis];
      if (c[(size_t)n.axis] >= first) {
        c[(size_t)n.axis] -= first;
        from = &v[n.in[1]];
      }
      x = oracle::cast(from->get(offset(c, from->dims)), from->dt, n.dt);
    }
    }
    out.set(i, x);
  }
  return out;
}

// ---- the same graph in the engine -----------------------------------------------------------------------

mars_tensor *build(mars_session *s, const Node &n, const std::vector<mars_tensor *> &t) {
  mars_tensor *a = n.in.empty() ? nullptr : t[n.in[0]];
  switch (n.kind) {
  case LEAF:
    return tensor(s, n.leaf);
  case UNIFORM:
    return mars_random_uniform(s, n.dt, shape_of(n.dims), 0, 1);
  case INTEGERS:
    return mars_random_integers(s, n.dt, shape_of(n.dims), -20, 21);
  case IOTA:
    return mars_iota(s, n.dt, shape_of(n.dims), n.axis);
  case CAST:
    return mars_astype(a, n.dt);
  case FLIP:
    return mars_flip(a, MARS_ALL);
  case TRANSPOSE:
    return mars_transpose(a);
  case SLICE:
    return mars_index(a, &n.slice, 1);
  case RESHAPE:
    return mars_reshape(a, shape_of(n.dims));
  case BROADCAST:
    return mars_broadcast_to(a, shape_of(n.dims));
  case SCAN:
    return mars_cumsum(a, n.axis);
  case CONCAT: {
    mars_tensor *both[] = {a, t[n.in[1]]};
    return mars_concatenate(both, 2, n.axis);
  }
  case REDUCE: {
    mars_reduce_options o = {};
    o.axes = n.axis < 0 ? MARS_ALL : MARS_AXES(n.axis);
    mars_tensor *r = mars_apply_reduce(n.op.c_str(), a, &o);
    return picks_a_zero(n) ? mars_add(r, mars_int(s, 0)) : r;
  }
  default: {
    std::vector<mars_tensor *> in;
    for (size_t k : n.in) {
      mars_tensor *x = k == SCALAR ? mars_float(s, kScalar) : t[k];
      if (hides_nan(n, in.size()) && k != SCALAR && oracle::kind_of(mars_dtype_of(x)) == 'f')
        x = mars_where(mars_isnan(x), mars_float(s, 1), x);
      in.push_back(x);
    }
    mars_tensor *r = mars_apply(s, n.op.c_str(), in.data(), in.size());
    return picks_a_zero(n) ? mars_add(r, mars_int(s, 0)) : r;
  }
  }
}

Array without_negative_zero(const Node &n, Array a) {
  if (picks_a_zero(n))
    for (int64_t i = 0; i < a.size(); i++) {
      Num x = a.get(i);
      if (x.kind == 'f')
        x.re += 0.0L, a.set(i, x);
    }
  return a;
}

std::string describe(const std::vector<Node> &nodes) {
  static const char *const names[] = {"leaf",      "uniform", "integers",  "iota",  "",
                                      "cast",      "flip",    "transpose", "slice", "reshape",
                                      "broadcast", "",        "concat",    "cumsum"};
  std::string text;
  for (size_t k = 0; k < nodes.size(); k++) {
    const Node &n = nodes[k];
    text += "\n  " + std::to_string(k) + ": " + (n.op.empty() ? names[n.kind] : n.op.c_str()) + " " +
            short_name(n.dt) + testing::PrintToString(n.dims);
    for (size_t i : n.in)
      text += i == SCALAR ? " scalar" : " " + std::to_string(i);
    if (n.axis >= 0)
      text += " axis " + std::to_string(n.axis);
    if (n.kind == SLICE)
      text += " " + std::to_string(n.slice.start) + ":" + std::to_string(n.slice.stop) + ":" +
              std::to_string(n.slice.step);
  }
  return text;
}

// Which nodes the job gives back: all inexact reductions, the last nodes, and some others.
std::vector<size_t> chosen(const std::vector<Node> &nodes, Rng &rng) {
  std::vector<size_t> out;
  for (size_t k = 0; k < nodes.size(); k++)
    if (nodes[k].inexact() || k + 3 >= nodes.size() || rng.chance(0.15))
      out.push_back(k);
  return out;
}

testing::AssertionResult check_graph(mars_session *s, const std::vector<Node> &nodes, Rng &rng,
                                     bool in_two_runs) {
  Scope scope(s);
  mars_random_seed(s, kSeed);
  std::vector<mars_tensor *> t;
  for (const Node &n : nodes)
    t.push_back(build(s, n, t));
  std::vector<size_t> out = chosen(nodes, rng);
  std::vector<mars_tensor *> wanted;
  for (size_t k : out)
    wanted.push_back(t[k]);
  if (in_two_runs) {
    mars_error err = {};
    mars_tensor *first[] = {t[nodes.size() / 2], t[nodes.size() / 3]};
    mars_status st = mars_run(s, first, 2, &err);
    if (st != MARS_OK)
      return ok(st, err);
  }
  std::vector<Array> got;
  testing::AssertionResult ran = fetch_all(s, wanted, &got);
  if (!ran)
    return ran;

  std::vector<Array> v;
  size_t next = 0;
  for (size_t k = 0; k < nodes.size(); k++) {
    const Node &n = nodes[k];
    std::vector<oracle::Reduced> want;
    Array a = n.kind == ELEMENTWISE ? eval_elementwise(n, v)
              : n.kind == REDUCE    ? eval_reduce(n, v[n.in[0]], &want)
              : n.kind == SCAN      ? eval_scan(n, v[n.in[0]])
                                    : eval_simple(n, v);
    a = without_negative_zero(n, a);
    if (next < out.size() && out[next] == k) {
      const Array &g = got[next++];
      if (n.inexact()) {
        if (g.dims != n.dims || g.dt != n.dt)
          return testing::AssertionFailure() << "node " << k << ": wrong shape or dtype";
        for (int64_t i = 0; i < g.size(); i++)
          if (!oracle::close(g.dt, g.get(i), want[(size_t)i].value, want[(size_t)i].bound))
            return testing::AssertionFailure()
                   << "node " << k << " (" << n.op << ") element " << i << ": " << oracle::show(g.get(i))
                   << " instead of " << oracle::show(want[(size_t)i].value);
        a = g;
      } else {
        testing::AssertionResult same = same_bits(g, a);
        if (!same)
          return testing::AssertionFailure() << "node " << k << ": " << same.message();
      }
    }
    v.push_back(a);
  }
  return testing::AssertionSuccess();
}

class RandomGraphs : public testing::TestWithParam<int> {};

TEST_P(RandomGraphs, MatchTheNaiveEvaluator) {
  const char *only = std::getenv("MARS_TEST_SEED");
  for (int k = 0; k < (quick() ? 5 : 25); k++) {
    uint64_t seed =
        only ? std::strtoull(only, nullptr, 10) : seed_base() + (uint64_t)GetParam() * 100 + (uint64_t)k;
    Maker maker(seed);
    Rng rng(seed ^ 0x5555);
    std::vector<Config> configs = covering_configs(maker.cols);
    for (int c = 0; c < 4; c++) {
      Config config = configs[(size_t)rng.below((int64_t)configs.size())];
      if (config.chunk == maker.cols)
        config.chunk = 61; // keep the number of open sessions small
      config.eager = c == 3;
      EXPECT_TRUE(check_graph(shared_session(config), maker.nodes, rng, c % 2 == 1))
          << "MARS_TEST_SEED=" << seed << ", " << name_of(config) << (c % 2 ? ", in two runs" : "")
          << describe(maker.nodes);
    }
    if (HasFailure() || only)
      return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, testing::Range(0, 12));

// The same with nodes of which two or three fill the arena: results are spilled, dropped and made again.
class LargeGraphs : public testing::TestWithParam<int> {};

TEST_P(LargeGraphs, MatchTheNaiveEvaluatorOutOfCore) {
  const char *only = std::getenv("MARS_TEST_SEED");
  const uint64_t found[] = {2501, 9600}; // loaded a chunk while it was still being spilled
  uint64_t seed = only             ? std::strtoull(only, nullptr, 10)
                  : GetParam() < 2 ? found[GetParam()]
                                   : seed_base() + 500 + (uint64_t)GetParam();
  Maker maker(seed, true);
  Rng rng(seed ^ 0x5555);
  for (int c = 0; c < (quick() ? 1 : 4); c++) {
    Config config;
    config.budget = kMinimalBudget * (size_t)rng.between(1, 2);
    config.chunk = c % 2 ? 0 : rng.between(900, 5000);
    config.threads = 1 + c / 2;
    config.fusion = c != 1;
    Session s(config);
    EXPECT_TRUE(check_graph(s, maker.nodes, rng, c > 1))
        << "MARS_TEST_SEED=" << seed << ", " << name_of(config) << (c > 1 ? ", in two runs" : "")
        << describe(maker.nodes);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LargeGraphs, testing::Range(0, quick() ? 2 : 8));

// A chain of 60 ops is one kernel, and deep chains neither recurse nor grow.
TEST(Graphs, LongChains) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_tensor *t = mars_zeros(s, MARS_F64, MARS_SHAPE(100)), *deep = mars_zeros(s, MARS_I64, MARS_SHAPE(10));
  for (int i = 0; i < 60; i++)
    t = mars_add(t, mars_float(s, 1));
  EXPECT_EQ((double)fetched(t).get(99).re, 60);
  for (int i = 0; i < 5000; i++)
    deep = mars_add(deep, mars_int(s, i % 2 ? 1 : 2));
  EXPECT_EQ((int)fetched(deep).get(9).i, 7500);
}

// A constant that a join has to store, used by another op of the same job too.
TEST(Graphs, ConstantJoinedAndUsed) {
  for (const Config &config : covering_configs(30)) {
    mars_session *s = shared_session(config);
    Scope scope(s);
    mars_tensor *c = mars_full(s, MARS_F64, MARS_SHAPE(30), mars_float(s, 3)),
                *x = mars_iota(s, MARS_F64, MARS_SHAPE(30), 0);
    mars_tensor *parts[] = {c, mars_mul(x, c), mars_flip(c, MARS_ALL)};
    std::vector<Array> got;
    ASSERT_TRUE(fetch_all(s, {mars_concatenate(parts, 3, 0), mars_add(x, c), c}, &got)) << name_of(config);
    for (int64_t i = 0; i < 90; i++)
      ASSERT_EQ((double)got[0].get(i).re, i / 30 == 1 ? 3.0 * (double)(i - 30) : 3.0);
    for (int64_t i = 0; i < 30; i++)
      ASSERT_EQ((double)got[1].get(i).re, (double)i + 3);
  }
}

// A running sum of halves is held in f32: whoever reads it sees halves.
TEST(Graphs, ScanOfHalvesJoinedAndReduced) {
  for (mars_dtype dt : {MARS_F16, MARS_BF16})
    for (const Config &config : covering_configs(40)) {
      mars_session *s = shared_session(config);
      Scope scope(s);
      mars_tensor *x = mars_full(s, dt, MARS_SHAPE(40), mars_float(s, 0.375)), *c = mars_cumsum(x, 0);
      mars_tensor *parts[] = {x, c, mars_flip(c, MARS_ALL)};
      std::vector<Array> got;
      ASSERT_TRUE(fetch_all(s, {mars_concatenate(parts, 3, 0), c, mars_max(c, MARS_ALL)}, &got))
          << name_of(config);
      EXPECT_EQ(got[0].dt, dt);
      for (int64_t i = 0; i < 40; i++) {
        ASSERT_EQ((double)got[0].get(40 + i).re, (double)got[1].get(i).re) << i;
        ASSERT_EQ((double)got[0].get(119 - i).re, (double)got[1].get(i).re) << i;
      }
      EXPECT_EQ((double)got[2].get(0).re, 15);
    }
}

// Equal subexpressions are one node, whoever writes them.
TEST(Graphs, EqualSubexpressionsAreOneNode) {
  Session s;
  Scope scope(s);
  mars_tensor *x = mars_arange(s, MARS_F64, 0, 10, 1);
  mars_tensor *a = mars_exp(mars_add(x, mars_float(s, 1)));
  size_t before = shim_live_nodes(s);
  mars_tensor *b = mars_exp(mars_add(x, mars_float(s, 1)));
  EXPECT_EQ(shim_live_nodes(s), before);
  EXPECT_TRUE(same_bits(fetched(a), fetched(b)));
  // two random tensors are two streams
  mars_tensor *r = mars_random_uniform(s, MARS_F64, MARS_SHAPE(4), 0, 1);
  EXPECT_FALSE(same_bits(fetched(r), fetched(mars_random_uniform(s, MARS_F64, MARS_SHAPE(4), 0, 1))));
}

} // namespace
