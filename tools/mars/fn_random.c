/* Random tensors: the same values for any chunking, thread count or budget; each call takes the next stream. */
#include "fn.h"

/* size (None: 0-d) and dtype; half of the functions have them last in this order */
static bool size_and_dtype(mt_call *c, int size, int dtype, mars_shape *s, mars_dtype *dt) {
  return mt_arg_shape(c, size, s) && mt_arg_dtype(c, dtype, MARS_F64, dt);
}

static bool fn_uniform(mt_call *c, mt_value *out) {
  double low, high;
  mars_shape s;
  mars_dtype dt;

  return mt_arg_double(c, 0, 0, &low) && mt_arg_double(c, 1, 1, &high) && size_and_dtype(c, 2, 3, &s, &dt) &&
         mt_give(c, mars_random_uniform(c->ev->session, dt, s, low, high), out);
}
/* random.random(size), random.rand(n, m) */
static bool fn_rand(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  return size_and_dtype(c, 0, 1, &s, &dt) && mt_give(c, mars_random_uniform(c->ev->session, dt, s, 0, 1), out);
}
static bool fn_standard_normal(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  return size_and_dtype(c, 0, 1, &s, &dt) && mt_give(c, mars_random_standard_normal(c->ev->session, dt, s), out);
}
static bool fn_normal(mt_call *c, mt_value *out) {
  double loc, scale;
  mars_shape s;
  mars_dtype dt;

  return mt_arg_double(c, 0, 0, &loc) && mt_arg_double(c, 1, 1, &scale) && size_and_dtype(c, 2, 3, &s, &dt) &&
         mt_give(c, mars_random_normal(c->ev->session, dt, s, loc, scale), out);
}
static bool fn_exponential(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  double scale;

  return mt_arg_double(c, 0, 1, &scale) && size_and_dtype(c, 1, 2, &s, &dt) &&
         mt_give(c, mars_random_exponential(c->ev->session, dt, s, scale), out);
}
static bool fn_standard_exponential(mt_call *c, mt_value *out) {
  mars_shape s;
  mars_dtype dt;
  return size_and_dtype(c, 0, 1, &s, &dt) && mt_give(c, mars_random_exponential(c->ev->session, dt, s, 1), out);
}

static bool fn_integers(mt_call *c, mt_value *out) {
  int64_t low, high;
  mars_shape s;
  mars_dtype dt;
  bool endpoint;

  if (!mt_arg_int(c, 0, 0, &low) || !mt_arg_int(c, 1, 0, &high) || !mt_arg_shape(c, 2, &s) ||
      !mt_arg_dtype(c, 3, MARS_I64, &dt) || !mt_arg_bool(c, 4, false, &endpoint))
    return false;
  if (!c->given[1]) { /* integers(high) */
    high = low;
    low = 0;
  }
  if (endpoint && __builtin_add_overflow(high, (int64_t)1, &high))
    return mt_eval_fail(c->ev, c->at[1], "%s(): high is out of range", c->name);
  return mt_give(c, mars_random_integers(c->ev->session, dt, s, low, high), out);
}

static bool fn_bernoulli(mt_call *c, mt_value *out) {
  mars_shape s;
  double p;

  return mt_arg_double(c, 0, 0.5, &p) && mt_arg_shape(c, 1, &s) &&
         mt_give(c, mars_random_bernoulli(c->ev->session, s, p), out);
}

static bool fn_seed(mt_call *c, mt_value *out) {
  int64_t seed;

  if (!mt_arg_int(c, 0, 0, &seed)) return false;
  mars_random_seed(c->ev->session, (uint64_t)seed);
  *out = (mt_value){.kind = MT_NONE};
  return true;
}

const mt_fn mt_fn_random[] = {
    {"random.uniform", "low=0.0, high=1.0, size=None, dtype=float64", false, fn_uniform, "Uniform in [low, high)."},
    {"random.rand", "*size=None, |, dtype=float64", false, fn_rand, "Uniform in [0, 1); rand(n, m)."},
    {"random.random_sample", "size=None, dtype=float64", false, fn_rand, "Uniform in [0, 1); also random.random."},
    {"random.randn", "*size=None, |, dtype=float64", false, fn_standard_normal, "Standard normal; randn(n, m)."},
    {"random.standard_normal", "size=None, dtype=float64", false, fn_standard_normal, "Standard normal."},
    {"random.normal", "loc=0.0, scale=1.0, size=None, dtype=float64", false, fn_normal, "Normal."},
    {"random.exponential", "scale=1.0, size=None, dtype=float64", false, fn_exponential, "Exponential."},
    {"random.standard_exponential", "size=None, dtype=float64", false, fn_standard_exponential, "Exponential with scale 1."},
    {"random.integers", "low, high=None, size=None, dtype=int64, endpoint=False", false, fn_integers, "Integers in [low, high)."},
    {"random.bernoulli", "p=0.5, size=None", false, fn_bernoulli, "True with probability p."},
    {"random.seed", "seed", false, fn_seed, "Seed of the streams that follow."},
    {NULL, NULL, false, NULL, NULL},
};
