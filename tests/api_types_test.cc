// Dtypes: promotion of all pairs and of weak scalars against a table written by hand, casts of all pairs,
// names.
#include "tests/api_util.h"

using namespace api;
using oracle::Num;

namespace {

std::string name(mars_dtype dt) {
  return mars_dtype_name(dt);
}

TEST(Dtypes, NamesBytesAndKinds) {
  const struct {
    mars_dtype dt;
    const char *names[4];
    size_t bytes;
  } rows[] = {{MARS_BOOL, {"bool", nullptr}, 1},
              {MARS_I8, {"int8", "i1", nullptr}, 1},
              {MARS_I32, {"int32", "i4", "i32", nullptr}, 4},
              {MARS_U64, {"uint64", "u64", nullptr}, 8},
              {MARS_F16, {"float16", "f2", "f16", nullptr}, 2},
              {MARS_BF16, {"bfloat16", "bf16", nullptr}, 2},
              {MARS_F64, {"float64", "f64", nullptr}, 8},
              {MARS_C128, {"complex128", "c16", "c128", nullptr}, 16}};
  for (auto &r : rows) {
    EXPECT_EQ(name(r.dt), r.names[0]);
    EXPECT_EQ(mars_dtype_bytes(r.dt), r.bytes);
    for (int i = 0; i < 4 && r.names[i]; i++)
      EXPECT_EQ(mars_dtype_from_name(r.names[i]), r.dt) << r.names[i];
  }
  EXPECT_EQ(mars_dtype_from_name("float128"), MARS_DTYPE_AUTO);
  EXPECT_EQ(mars_dtype_from_name(""), MARS_DTYPE_AUTO);
  // int64 to NumPy, int8 to Mars: refused
  EXPECT_EQ(mars_dtype_from_name("i8"), MARS_DTYPE_AUTO);
  EXPECT_EQ(mars_dtype_from_name("u8"), MARS_DTYPE_AUTO);
  EXPECT_EQ(mars_dtype_from_name(nullptr), MARS_DTYPE_AUTO);
  EXPECT_STREQ(mars_dtype_name((mars_dtype)99), "?");
  EXPECT_EQ(mars_dtype_bytes((mars_dtype)99), 0u);
  EXPECT_STREQ(mars_status_name(MARS_E_SHAPE), "MARS_E_SHAPE");
  EXPECT_NE(mars_status_text((mars_status)1234), nullptr);
  EXPECT_NE(mars_status_name((mars_status)1234), nullptr);
}

TEST(Promotion, AllPairs) {
  mars_session *s = shared_session(Config());
  for (mars_dtype a : kDtypes)
    for (mars_dtype b : kDtypes) {
      Scope scope(s);
      mars_dtype want = oracle::promote(a, b);
      EXPECT_EQ(name(mars_dtype_promote(a, b)), name(want)) << name(a) << ", " << name(b);
      mars_tensor *sum = mars_add(mars_ones(s, a, MARS_SHAPE(2)), mars_ones(s, b, MARS_SHAPE(2)));
      EXPECT_EQ(name(mars_dtype_of(sum)), name(want)) << name(a) << " + " << name(b);
      // one + one, whatever the dtypes
      Array got = fetched(sum);
      Num two = got.get(0);
      EXPECT_EQ((double)(oracle::kind_of(want) == 'f' || oracle::kind_of(want) == 'c' ? two.re
                                                                                      : (long double)two.i),
                want == MARS_BOOL ? 1 : 2);
      mars_tensor *pair[] = {mars_zeros(s, a, MARS_SHAPE(2)), mars_ones(s, b, MARS_SHAPE(3))};
      EXPECT_EQ(name(mars_dtype_of(mars_concatenate(pair, 2, 0))), name(want));
      mars_tensor *w = mars_where(mars_bool(s, true), pair[0], mars_ones(s, b, MARS_SHAPE(1)));
      EXPECT_EQ(name(mars_dtype_of(w)), name(want));
      EXPECT_EQ(mars_dtype_of(mars_less(pair[0], mars_ones(s, b, MARS_SHAPE(1)))), MARS_BOOL);
    }
}

TEST(Promotion, WeakScalars) {
  mars_session *s = shared_session(Config());
  for (mars_dtype a : kDtypes) {
    Scope scope(s);
    mars_tensor *x = mars_ones(s, a, MARS_SHAPE(2));
    const struct {
      char kind;
      mars_tensor *t;
    } weak[] = {{'b', mars_bool(s, true)},
                {'i', mars_int(s, 2)},
                {'f', mars_float(s, 0.5)},
                {'c', mars_complex(s, 0.5, 1)}};
    for (auto &w : weak) {
      mars_dtype want = oracle::promote_weak(a, w.kind);
      EXPECT_EQ(name(mars_dtype_of(mars_add(x, w.t))), name(want)) << name(a) << " + weak " << w.kind;
      EXPECT_EQ(name(mars_dtype_of(mars_add(w.t, x))), name(want)) << "weak " << w.kind << " + " << name(a);
    }
    // a typed 0-d tensor is not weak
    mars_tensor *typed = mars_full(s, MARS_F64, MARS_SHAPE_0D, mars_float(s, 1));
    EXPECT_EQ(name(mars_dtype_of(mars_add(x, typed))), name(oracle::promote(a, MARS_F64)));
  }
  Scope scope(s);
  // weak with weak: Python's own
  EXPECT_EQ(mars_dtype_of(mars_add(mars_int(s, 1), mars_int(s, 2))), MARS_I64);
  EXPECT_EQ(mars_dtype_of(mars_add(mars_int(s, 1), mars_float(s, 2))), MARS_F64);
  EXPECT_EQ(mars_dtype_of(mars_add(mars_complex(s, 1, 1), mars_float(s, 2))), MARS_C128);
}

// A weak integer that the other dtype cannot hold is an error, as in NumPy 2.
TEST(Promotion, WeakIntegerOutOfRange) {
  mars_session *s = shared_session(Config());
  Scope scope(s);
  mars_tensor *u8 = mars_ones(s, MARS_U8, MARS_SHAPE(2));
  EXPECT_TRUE(is_error(mars_add(u8, mars_int(s, 256)), MARS_E_OVERFLOW, {"mars_add", "256", "uint8"}));
  EXPECT_TRUE(is_error(mars_add(u8, mars_int(s, -1)), MARS_E_OVERFLOW, {"mars_add", "-1", "uint8"}));
  EXPECT_EQ((int)fetched(mars_add(u8, mars_int(s, 254))).get(0).i, 255);
}

// Mixed dtypes give the value that casting both by hand gives.
TEST(Promotion, MixedValues) {
  mars_session *s = shared_session(Config());
  Rng rng(8);
  for (mars_dtype a : kDtypes)
    for (mars_dtype b : kDtypes) {
      Scope scope(s);
      Array x = random_array(a, {60}, rng), y = random_array(b, {60}, rng);
      mars_dtype p = oracle::promote(a, b);
      mars_tensor *mixed = mars_multiply(tensor(s, x), tensor(s, y));
      mars_tensor *by_hand = mars_multiply(mars_astype(tensor(s, x), p), mars_astype(tensor(s, y), p));
      EXPECT_TRUE(same_bits(fetched(mixed), fetched(by_hand))) << name(a) << " * " << name(b);
    }
}

TEST(Casts, AllPairsWithSpecials) {
  Rng rng(3);
  for (mars_dtype from : kDtypes)
    for (mars_dtype to : kDtypes) {
      Array a = random_array(from, {500}, rng);
      for (const Config &config : {Config(), covering_configs(100)[1]}) {
        mars_session *s = shared_session(config);
        Scope scope(s);
        Array got = fetched(mars_astype(tensor(s, a), to));
        ASSERT_EQ(got.dt, to);
        int shown = 0;
        for (int64_t i = 0; i < a.size() && shown < 3; i++) {
          Num want = oracle::cast(a.get(i), from, to);
          if (oracle::close(to, got.get(i), want, oracle::Bound()))
            continue;
          shown++;
          ADD_FAILURE() << short_name(from) << " to " << short_name(to) << ": " << oracle::show(a.get(i))
                        << " becomes " << oracle::show(got.get(i)) << " instead of " << oracle::show(want)
                        << ", " << name_of(config);
        }
      }
    }
}

// Every half survives the way through every wider float.
TEST(Casts, HalvesRoundTrip) {
  mars_session *s = shared_session(Config());
  for (mars_dtype half : {MARS_F16, MARS_BF16})
    for (mars_dtype wider : {MARS_F32, MARS_F64, MARS_C64, MARS_C128}) {
      Array a(half, {65536});
      for (int i = 0; i < 65536; i++) {
        uint16_t bits = (uint16_t)i;
        std::memcpy(a.at(i), &bits, 2);
      }
      Scope scope(s);
      EXPECT_TRUE(same_bits(fetched(mars_astype(mars_astype(tensor(s, a), wider), half)), a));
    }
}

// Ties and the neighbourhood of every half: f32 values at, below and above the middle of two halves.
TEST(Casts, ToHalvesRoundToNearestEven) {
  mars_session *s = shared_session(Config());
  for (mars_dtype half : {MARS_F16, MARS_BF16}) {
    Array halves(half, {65536});
    for (int i = 0; i < 65536; i++) {
      uint16_t bits = (uint16_t)i;
      std::memcpy(halves.at(i), &bits, 2);
    }
    std::vector<float> v;
    for (int i = 0; i < 65535; i += quick() ? 17 : 1) {
      long double a = halves.get(i).re, b = halves.get(i + 1).re;
      if (!std::isfinite(a) || !std::isfinite(b) || std::signbit(a) != std::signbit(b))
        continue;
      float middle = (float)((a + b) / 2);
      v.insert(v.end(), {middle, std::nextafterf(middle, HUGE_VALF), std::nextafterf(middle, -HUGE_VALF)});
    }
    Array x = array_of(MARS_F32, {(int64_t)v.size()}, v);
    Scope scope(s);
    Array got = fetched(mars_astype(tensor(s, x), half));
    int shown = 0;
    for (int64_t i = 0; i < x.size() && shown < 5; i++) {
      Num want = oracle::cast(x.get(i), MARS_F32, half);
      if (oracle::close(half, got.get(i), want, oracle::Bound()))
        continue;
      shown++;
      ADD_FAILURE() << oracle::show(x.get(i)) << " to " << short_name(half) << " gives "
                    << oracle::show(got.get(i)) << " instead of " << oracle::show(want);
    }
  }
}

} // namespace
