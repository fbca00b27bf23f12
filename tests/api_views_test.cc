// Creation, views, indexing and joining, against a naive model: a view is a list of element numbers of its
// base.
#include "tests/api_util.h"

#include <numeric>

using namespace api;

namespace {

double as_double(const Array &a, int64_t i) {
  oracle::Num n = a.get(i);
  return n.kind == 'f' || n.kind == 'c' ? (double)n.re : (double)n.i;
}
std::vector<double> doubles(const Array &a) {
  std::vector<double> v;
  for (int64_t i = 0; i < a.size(); i++)
    v.push_back(as_double(a, i));
  return v;
}
std::vector<double> doubles(mars_tensor *t) {
  return doubles(fetched(t));
}

// ---- creation -------------------------------------------------------------------------------------------

TEST(Creation, ConstantsOfEveryDtype) {
  for (const Config &config : covering_configs(7)) {
    mars_session *s = shared_session(config);
    for (mars_dtype dt : kDtypes) {
      Scope scope(s);
      EXPECT_EQ(doubles(mars_zeros(s, dt, MARS_SHAPE(3, 7))), std::vector<double>(21, 0));
      EXPECT_EQ(doubles(mars_ones(s, dt, MARS_SHAPE(3, 7))), std::vector<double>(21, 1));
      EXPECT_EQ(doubles(mars_empty(s, dt, MARS_SHAPE(5))), std::vector<double>(5, 0)); // never garbage
      mars_tensor *f = mars_full(s, dt, MARS_SHAPE(2, 1, 3), mars_int(s, 1));
      EXPECT_EQ(mars_dtype_of(f), dt);
      EXPECT_EQ(doubles(f), std::vector<double>(6, 1));
      EXPECT_EQ(doubles(mars_ones_like(f)), std::vector<double>(6, 1));
      EXPECT_EQ(doubles(mars_zeros_like(f)), std::vector<double>(6, 0));
      EXPECT_EQ(doubles(mars_empty_like(f)), std::vector<double>(6, 0));
      EXPECT_EQ(mars_dtype_of(mars_full_like(f, mars_float(s, 0))), dt);
      EXPECT_EQ(fetched(mars_zeros(s, dt, MARS_SHAPE(0, 4))).size(), 0);
      EXPECT_EQ(doubles(mars_ones(s, dt, MARS_SHAPE_0D)), std::vector<double>(1, 1));
    }
  }
  mars_session *s = shared_session(Config());
  Scope scope(s);
  EXPECT_EQ(mars_dtype_of(mars_full(s, MARS_DTYPE_AUTO, MARS_SHAPE(2), mars_complex(s, 1, 2))), MARS_C128);
  Array c = fetched(mars_full(s, MARS_C64, MARS_SHAPE(2), mars_complex(s, 1, 2)));
  EXPECT_EQ((double)c.get(1).im, 2);
  // integers that a double cannot hold
  Array big = fetched(mars_full(s, MARS_I64, MARS_SHAPE(1), mars_int(s, INT64_MAX - 1)));
  EXPECT_EQ((int64_t)big.get(0).i, INT64_MAX - 1);
}

TEST(Creation, ArangeLinspaceEyeIota) {
  for (const Config &config : covering_configs(10)) {
    mars_session *s = shared_session(config);
    Scope scope(s);
    EXPECT_EQ(doubles(mars_arange(s, MARS_I32, 0, 10, 3)), (std::vector<double>{0, 3, 6, 9}));
    EXPECT_EQ(doubles(mars_arange(s, MARS_I64, 10, 0, -4)), (std::vector<double>{10, 6, 2}));
    EXPECT_EQ(doubles(mars_arange(s, MARS_F64, 0, 1, 0.25)), (std::vector<double>{0, .25, .5, .75}));
    EXPECT_EQ(fetched(mars_arange(s, MARS_F64, 5, 5, 1)).size(), 0);
    EXPECT_EQ(fetched(mars_arange(s, MARS_F64, 5, 1, 1)).size(), 0);
    EXPECT_EQ(mars_dtype_of(mars_arange(s, MARS_DTYPE_AUTO, 0, 3, 1)), MARS_I64);
    EXPECT_EQ(mars_dtype_of(mars_arange(s, MARS_DTYPE_AUTO, 0, 3, 0.5)), MARS_F64);
    std::vector<double> tenths = doubles(mars_arange(s, MARS_F64, 1, 3, 0.1));
    ASSERT_EQ(tenths.size(), 20u);
    for (size_t i = 0; i < tenths.size(); i++)
      EXPECT_NEAR(tenths[i], 1 + 0.1 * (double)i, 1e-14);
    std::vector<double> l = doubles(mars_linspace(s, MARS_F64, -1, 2, 31, true));
    ASSERT_EQ(l.size(), 31u);
    EXPECT_EQ(l[30], 2);
    EXPECT_EQ(l[0], -1);
    for (size_t i = 0; i < 31; i++)
      EXPECT_NEAR(l[i], -1 + 3.0 / 30 * (double)i, 1e-15);
    EXPECT_EQ(doubles(mars_linspace(s, MARS_F32, 0, 1, 4, false)), (std::vector<double>{0, .25, .5, .75}));
    EXPECT_EQ(doubles(mars_linspace(s, MARS_F64, 3, 9, 1, true)), (std::vector<double>{3}));
    EXPECT_EQ(fetched(mars_linspace(s, MARS_F64, 3, 9, 0, true)).size(), 0);
    for (int64_t k : {-3, -1, 0, 2, 7}) {
      Array e = fetched(mars_eye(s, MARS_U8, 4, 6, k));
      for (int64_t i = 0; i < 4; i++)
        for (int64_t j = 0; j < 6; j++)
          EXPECT_EQ(as_double(e, i * 6 + j), j - i == k) << k;
    }
    Array iota = fetched(mars_iota(s, MARS_I16, MARS_SHAPE(3, 4, 5), 1));
    for (int64_t i = 0; i < 60; i++)
      EXPECT_EQ(as_double(iota, i), (double)(i / 5 % 4));
  }
}

TEST(Creation, MemoryWithStridesAndRelease) {
  int released = 0;
  std::vector<int32_t> data(60);
  std::iota(data.begin(), data.end(), 0);
  {
    Session s;
    {
      Scope scope(s);
      int64_t strides[] = {-4 * 12, 4 * 2, 0}; // rows backwards, every second column, broadcast
      mars_tensor *t = mars_from_memory(
          s, MARS_I32, MARS_SHAPE(5, 6, 2), strides, data.data() + 48, [](void *p) { ++*(int *)p; },
          &released);
      Array a = fetched(t);
      for (int64_t i = 0; i < a.size(); i++)
        ASSERT_EQ(as_double(a, i), (double)(48 - 12 * (i / 12) + 2 * (i / 2 % 6)));
      EXPECT_EQ(released, 0);
    }
    EXPECT_EQ(released, 1) << "no tensor needs the memory any more";
    mars_tensor *kept = mars_from_memory(
        s, MARS_I32, MARS_SHAPE(60), nullptr, data.data(), [](void *p) { ++*(int *)p; }, &released);
    ASSERT_NE(kept, nullptr);
  }
  EXPECT_EQ(released, 2) << "the session ended";
}

// A result that was computed lets go of the borrowed memory; the copy of mars_from_copy is taken at once.
TEST(Creation, CopyIsTakenAtOnce) {
  Session s;
  Scope scope(s);
  std::vector<double> v = {1, 2, 3};
  mars_tensor *t = mars_from_copy(s, MARS_F64, MARS_SHAPE(3), v.data());
  v = {7, 8, 9};
  EXPECT_EQ(doubles(t), (std::vector<double>{1, 2, 3}));
}

// ---- views: a random walk -------------------------------------------------------------------------------

struct Model { // element i of the view is element at[i] of the base
  std::vector<int64_t> dims;
  std::vector<int64_t> at;
};

// The view with `dims` whose element c (coordinates) is old's element pick(c)
Model remap(const Model &old, std::vector<int64_t> dims,
            const std::function<std::vector<int64_t>(const std::vector<int64_t> &)> &pick) {
  Model m;
  m.dims = dims;
  int64_t n = count_of(dims);
  for (int64_t i = 0; i < n; i++) {
    std::vector<int64_t> c(dims.size());
    int64_t rest = i;
    for (size_t d = dims.size(); d-- > 0;) {
      c[d] = rest % dims[d];
      rest /= dims[d];
    }
    std::vector<int64_t> o = pick(c);
    int64_t index = 0;
    for (size_t d = 0; d < old.dims.size(); d++)
      index = index * old.dims[d] + o[d];
    m.at.push_back(old.at[(size_t)index]);
  }
  return m;
}

struct Walk {
  Model model;
  mars_tensor *t;
  std::string text;
  Rng &rng;

  size_t ndim() const { return model.dims.size(); }

  void index() {
    std::vector<mars_slice> items;
    std::vector<int64_t> dims, start(ndim(), 0), step(ndim(), 1);
    std::vector<int> from; // the old axis of each new one, -1: new
    size_t ellipsis = rng.chance(0.3) && ndim() ? (size_t)rng.below((int64_t)ndim()) : ndim() + 1, skip = 0;
    text += " [";
    for (size_t d = 0; d < ndim(); d++) {
      int64_t n = model.dims[d];
      bool inside = d > ellipsis && d < ellipsis + skip; // of the axes that the ellipsis stands for
      if (!inside && rng.chance(0.15) && dims.size() < 6) {
        items.push_back({MARS_SLICE_NEWAXIS, 0, 0, 0});
        dims.push_back(1);
        from.push_back(-1);
        text += "new ";
      }
      if (d == ellipsis) {
        skip = 1 + (size_t)rng.below((int64_t)(ndim() - d));
        items.push_back({MARS_SLICE_ELLIPSIS, 0, 0, 0});
        text += "... ";
      }
      if (d >= ellipsis && d < ellipsis + skip) {
        dims.push_back(n);
        from.push_back((int)d);
        continue;
      }
      if (n > 0 && rng.chance(0.2)) {
        int64_t i = rng.between(-n, n - 1);
        items.push_back({MARS_SLICE_INTEGER, i, 0, 0});
        start[d] = i < 0 ? i + n : i;
        text += std::to_string(i) + " ";
        continue;
      }
      mars_slice item = {MARS_SLICE_RANGE, MARS_NONE, MARS_NONE, MARS_NONE};
      if (rng.chance(0.6))
        item.start = rng.between(-n - 2, n + 2);
      if (rng.chance(0.6))
        item.stop = rng.between(-n - 2, n + 2);
      if (rng.chance(0.5))
        item.step = rng.chance(0.5) ? rng.between(1, 3) : -rng.between(1, 3);
      text += item_text(item) + " ";
      int64_t length;
      python_slice(item, n, &start[d], &step[d], &length);
      dims.push_back(length);
      from.push_back((int)d);
      items.push_back(item);
    }
    text += "]";
    model = remap(model, dims, [&](const std::vector<int64_t> &c) {
      std::vector<int64_t> o = start;
      for (size_t k = 0; k < from.size(); k++)
        if (from[k] >= 0)
          o[(size_t)from[k]] += c[k] * step[(size_t)from[k]];
      return o;
    });
    t = mars_index(t, items.data(), items.size());
  }

  static std::string item_text(const mars_slice &s) {
    auto part = [](int64_t v) { return v == MARS_NONE ? std::string() : std::to_string(v); };
    return part(s.start) + ":" + part(s.stop) + ":" + part(s.step);
  }

  // slice.indices(n) of Python
  static void python_slice(const mars_slice &s, int64_t n, int64_t *start, int64_t *step, int64_t *length) {
    *step = s.step == MARS_NONE ? 1 : s.step;
    int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? n - 1 : n;
    auto bound = [&](int64_t v, int64_t other) {
      if (v == MARS_NONE)
        return other;
      if (v < 0)
        v += n;
      return std::min(std::max(v, low), high);
    };
    *start = bound(s.start, *step < 0 ? high : low);
    int64_t stop = bound(s.stop, *step < 0 ? low : high);
    *length = *step < 0 ? (stop < *start ? (*start - stop - 1) / -*step + 1 : 0)
                        : (*start < stop ? (stop - *start - 1) / *step + 1 : 0);
    if (*length == 0)
      *start = 0;
  }

  void reshape() {
    int64_t n = count_of(model.dims), left = n;
    std::vector<int64_t> dims;
    if (n == 0)
      return;
    while (left > 1 && dims.size() < 4) {
      std::vector<int64_t> divisors;
      for (int64_t d = 1; d <= left; d++)
        if (left % d == 0)
          divisors.push_back(d);
      dims.push_back(divisors[(size_t)rng.below((int64_t)divisors.size())]);
      left /= dims.back();
    }
    if (left > 1)
      dims.push_back(left);
    if (rng.chance(0.2))
      dims.insert(dims.begin() + rng.below((int64_t)dims.size() + 1), 1);
    std::vector<int64_t> given = dims;
    if (!dims.empty() && rng.chance(0.3))
      given[(size_t)rng.below((int64_t)dims.size())] = -1;
    text += " reshape" + testing::PrintToString(given);
    model.dims = dims;
    t = mars_reshape(t, shape_of(given));
  }

  void permute() {
    std::vector<int> order(ndim());
    std::iota(order.begin(), order.end(), 0);
    int how = (int)rng.below(4);
    if (how == 0)
      std::reverse(order.begin(), order.end());
    if (how == 1 || ndim() < 2)
      for (size_t i = ndim(); i > 1; i--)
        std::swap(order[i - 1], order[(size_t)rng.below((int64_t)i)]);
    int a = ndim() ? (int)rng.below((int64_t)ndim()) : 0, b = ndim() ? (int)rng.below((int64_t)ndim()) : 0;
    int negative = rng.chance(0.5) ? (int)ndim() : 0;
    if (how == 2 && ndim() >= 2)
      std::swap(order[(size_t)a], order[(size_t)b]);
    if (how == 3 && ndim() >= 2) {
      order.erase(order.begin() + a);
      order.insert(order.begin() + b, a);
    }
    text += " permute" + std::to_string(how) + testing::PrintToString(order);
    std::vector<int64_t> dims;
    for (int o : order)
      dims.push_back(model.dims[(size_t)o]);
    model = remap(model, dims, [&](const std::vector<int64_t> &c) {
      std::vector<int64_t> o(c.size());
      for (size_t k = 0; k < c.size(); k++)
        o[(size_t)order[k]] = c[k];
      return o;
    });
    mars_axes axes = {};
    axes.count = (int)ndim();
    for (size_t k = 0; k < ndim(); k++)
      axes.axis[k] = order[k];
    t = how == 0                 ? mars_transpose(t)
        : how == 1 || ndim() < 2 ? mars_permute_dims(t, axes)
        : how == 2               ? mars_swapaxes(t, a - negative, b)
                                 : mars_moveaxis(t, a, b - negative);
  }

  void flip() {
    uint32_t mask = (uint32_t)rng.next();
    mars_axes axes = {};
    for (size_t d = 0; d < ndim(); d++)
      if (mask >> d & 1)
        axes.axis[axes.count++] = (int)d;
    if (axes.count == (int)ndim() && rng.chance(0.5))
      axes = MARS_ALL;
    text += " flip" + std::to_string(mask & ((1u << ndim()) - 1));
    model = remap(model, model.dims, [&](const std::vector<int64_t> &c) {
      std::vector<int64_t> o = c;
      for (size_t d = 0; d < c.size(); d++)
        if (mask >> d & 1)
          o[d] = model.dims[d] - 1 - c[d];
      return o;
    });
    t = mars_flip(t, axes);
  }

  void broadcast() {
    std::vector<int64_t> dims = model.dims;
    for (int64_t &d : dims)
      if (d == 1 && count_of(dims) < 2000 && rng.chance(0.5))
        d = rng.between(1, 4);
    if (dims.size() < 5 && count_of(dims) < 2000 && rng.chance(0.4))
      dims.insert(dims.begin(), rng.between(1, 3));
    text += " broadcast" + testing::PrintToString(dims);
    size_t extra = dims.size() - ndim();
    model = remap(model, dims, [&](const std::vector<int64_t> &c) {
      std::vector<int64_t> o;
      for (size_t d = 0; d < ndim(); d++)
        o.push_back(model.dims[d] == 1 ? 0 : c[d + extra]);
      return o;
    });
    t = mars_broadcast_to(t, shape_of(dims));
  }

  void ones() {
    if (rng.chance(0.5) && ndim() < 6) {
      int axis = (int)rng.between(0, (int64_t)ndim());
      model.dims.insert(model.dims.begin() + axis, 1);
      text += " expand" + std::to_string(axis);
      t = mars_expand_dims(t, rng.chance(0.5) ? axis : axis - (int)ndim());
    } else {
      model.dims.erase(std::remove(model.dims.begin(), model.dims.end(), 1), model.dims.end());
      text += " squeeze";
      t = mars_squeeze(t, MARS_ALL);
    }
  }

  void step() {
    switch (rng.below(7)) {
    case 0:
      return index();
    case 1:
      return reshape();
    case 2:
      return permute();
    case 3:
      return flip();
    case 4:
      return broadcast();
    case 5:
      return ones();
    default:
      text += " ravel";
      model.dims = {count_of(model.dims)};
      t = mars_ravel(t);
    }
  }
};

class RandomViews : public testing::TestWithParam<int> {};

TEST_P(RandomViews, AreWhatTheModelSays) {
  std::vector<Config> configs = covering_configs(6);
  for (int k = 0; k < (quick() ? 20 : 100); k++) {
    uint64_t seed = seed_base() + (uint64_t)GetParam() * 1000 + (uint64_t)k;
    Rng rng(seed);
    const Config &config = configs[(size_t)rng.below((int64_t)configs.size())];
    mars_session *s = shared_session(config);
    Scope scope(s);
    std::vector<int64_t> dims;
    for (int64_t d = rng.below(4); d >= 0; d--)
      dims.push_back(rng.between(1, 7));
    std::vector<int64_t> v((size_t)count_of(dims));
    std::iota(v.begin(), v.end(), 0);
    Array base = array_of(MARS_I64, dims, v);
    mars_tensor *t = rng.chance(0.5) ? tensor(s, base) : borrow(s, base);
    bool computed = rng.chance(0.4); // a view of a result instead of a view of memory
    if (computed)
      t = mars_add(t, mars_int(s, 0));
    Walk walk = {{dims, v}, t, testing::PrintToString(dims), rng};
    for (int64_t n = rng.between(1, 6); n > 0; n--) {
      walk.step();
      if (rng.chance(0.2))
        walk.t = mars_positive(walk.t), walk.text += " +";
    }
    std::string where = "seed " + std::to_string(seed) + ", " + name_of(config) + ": " + walk.text;
    Array got;
    ASSERT_TRUE(fetch(walk.t, &got)) << where;
    ASSERT_EQ(got.dims, walk.model.dims) << where;
    ASSERT_TRUE(same_bits(got, array_of(MARS_I64, walk.model.dims, walk.model.at))) << where;
    int64_t sum = std::accumulate(walk.model.at.begin(), walk.model.at.end(), (int64_t)0);
    ASSERT_EQ((int64_t)fetched(mars_sum(walk.t, MARS_ALL)).get(0).i, sum) << where;
    // the view and its mirror image meet in one op
    ASSERT_EQ(
        (int64_t)fetched(mars_sum(mars_subtract(walk.t, mars_flip(walk.t, MARS_ALL)), MARS_ALL)).get(0).i, 0)
        << where;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomViews, testing::Range(0, 8));

// ---- joining --------------------------------------------------------------------------------------------

TEST(Joining, ConcatenateAndStackAtEveryAxis) {
  Rng rng(12);
  for (const Config &config : covering_configs(6)) {
    mars_session *s = shared_session(config);
    for (int axis = 0; axis < 3; axis++) {
      Scope scope(s);
      std::vector<int64_t> extents = {2, 0, 5, 1};
      std::vector<Array> parts;
      std::vector<mars_tensor *> t;
      for (int64_t e : extents) {
        std::vector<int64_t> dims = {4, 3, 6};
        dims[(size_t)axis] = e;
        parts.push_back(random_array(MARS_I32, dims, rng));
        t.push_back(tensor(s, parts.back()));
      }
      Array got = fetched(mars_concatenate(t.data(), t.size(), axis == 2 ? -1 : axis));
      std::vector<int64_t> dims = {4, 3, 6};
      dims[(size_t)axis] = 8;
      ASSERT_EQ(got.dims, dims);
      for (int64_t i = 0; i < got.size(); i++) {
        int64_t c[3] = {i / (dims[1] * dims[2]), i / dims[2] % dims[1], i % dims[2]};
        size_t p = 0;
        while (c[axis] >= extents[p])
          c[axis] -= extents[p++];
        const Array &a = parts[p];
        ASSERT_EQ(as_double(got, i), as_double(a, (c[0] * a.dims[1] + c[1]) * a.dims[2] + c[2]))
            << name_of(config);
      }
      std::vector<mars_tensor *> same = {t[0], mars_negative(t[0]), t[0]};
      for (int at : {0, axis, 3, -1}) {
        Array stacked = fetched(mars_stack(same.data(), 3, at));
        std::vector<int64_t> want = parts[0].dims;
        want.insert(want.begin() + (at < 0 ? 3 : at), 3);
        ASSERT_EQ(stacked.dims, want);
        mars_slice items[] = {{MARS_SLICE_INTEGER, 1, 0, 0}};
        mars_tensor *front = mars_index(mars_moveaxis(mars_stack(same.data(), 3, at), at, 0), items, 1);
        EXPECT_TRUE(same_bits(fetched(front), fetched(same[1]))) << name_of(config);
      }
    }
  }
}

// Joined pieces that are views, constants, computed and random, feeding one more op.
TEST(Joining, PiecesOfEveryKind) {
  Rng rng(1);
  Array a = random_array(MARS_F64, {50}, rng, true);
  std::vector<double> want;
  for (const Config &config : covering_configs(50)) {
    mars_session *s = shared_session(config);
    Scope scope(s);
    mars_tensor *x = tensor(s, a);
    mars_tensor *parts[] = {mars_flip(x, MARS_ALL), mars_ones(s, MARS_F64, MARS_SHAPE(30)), mars_mul(x, x),
                            mars_arange(s, MARS_F64, 0, 20, 1)};
    std::vector<double> got = doubles(mars_add(mars_concatenate(parts, 4, 0), mars_float(s, 1)));
    ASSERT_EQ(got.size(), 150u);
    if (want.empty()) {
      for (int i = 0; i < 50; i++)
        want.push_back(as_double(a, 49 - i) + 1);
      for (int i = 0; i < 30; i++)
        want.push_back(2);
      for (int i = 0; i < 50; i++)
        want.push_back(as_double(a, i) * as_double(a, i) + 1);
      for (int i = 0; i < 20; i++)
        want.push_back(i + 1);
    }
    EXPECT_EQ(got, want) << name_of(config);
  }
}

} // namespace
