/* Random tensors. Seed, stream and element index fix every value: engine/program.h. */
#include "engine/graph/build.h"
#include "engine/session.h"

#include <math.h>
#include <string.h>

void mars_random_seed(mars_session *s, uint64_t seed) {
  if (s == NULL) return;
  pthread_mutex_lock(&s->graph.lock);
  s->graph.seed = seed;
  s->graph.next_stream = 0; /* the same calls after the same seed give the same values */
  pthread_mutex_unlock(&s->graph.lock);
}

/* dtype (AUTO is f64) and shape of a float distribution; *loop: what is generated, f32 for halves. */
static bool check_float(mx_build *b, mars_dtype *dt, const mars_shape *shape, mars_shape *clean, mars_dtype *loop) {
  if (*dt == MARS_DTYPE_AUTO) *dt = MARS_F64;
  if (!mx_build_dtype(b, *dt) || !mx_build_shape(b, *dt, shape, clean)) return false;
  if (!mx_dtype_is_float(*dt))
    mx_build_fail(b, MARS_E_DTYPE, "not for %s; it makes float16, bfloat16, float32, float64", mars_dtype_name(*dt));
  *loop = mx_dtype_is_half(*dt) ? MARS_F32 : *dt;
  return b->st == MARS_OK;
}

/* A node of the next stream. Taken after every check, so that a call that fails changes no later one. */
static mx_node *draw(mx_build *b, const mars_shape *shape, mx_random *random) {
  mx_graph *graph;

  if (b->st != MARS_OK) return NULL;
  graph = &b->session->graph;
  pthread_mutex_lock(&graph->lock);
  random->seed = graph->seed;
  random->stream = graph->next_stream++;
  pthread_mutex_unlock(&graph->lock);
  return mx_build_random(b, shape, random);
}

static void random_init(mx_random *random, mx_op op, mars_dtype dt) {
  memset(random, 0, sizeof *random);
  random->op = op;
  random->dtype = dt;
}

mars_tensor *mars_random_uniform(mars_session *s, mars_dtype dt, mars_shape shape, double low, double high) {
  mx_node *node = NULL;
  mars_shape clean;
  mars_dtype loop;
  mx_random random;
  mx_build b;

  mx_build_open(&b, s, "random_uniform");
  if (!(low <= high) || !isfinite(high - low))
    mx_build_fail(&b, MARS_E_ARG, "low %g, high %g; both must be finite, their difference too, and low <= high", low, high);
  if (check_float(&b, &dt, &shape, &clean, &loop)) {
    random_init(&random, MX_OP_UNIFORM, loop);
    random.p0 = loop == MARS_F32 ? (double)(float)low : low;
    random.p1 = loop == MARS_F32 ? (double)(float)high : high;
    if (!isfinite(random.p1 - random.p0) || (loop == MARS_F32 && !isfinite((float)(random.p1 - random.p0))))
      mx_build_fail(&b, MARS_E_OVERFLOW, "low %g, high %g do not fit %s", low, high, mars_dtype_name(loop));
    node = draw(&b, &clean, &random);
    if (random.p0 >= random.p1) node = mx_build_number(&b, loop, &clean, random.p0); /* no room below high */
    node = mx_build_cast(&b, node, dt);
  }
  return mx_build_close(&b, node, false);
}

/* loc + scale * x, in the dtype that x was generated in */
static mx_node *scaled(mx_build *b, mx_node *x, double loc, double scale) {
  static const mars_shape scalar;

  if (b->st != MARS_OK) return NULL;
  if (scale != 1) x = mx_build_op2(b, MX_OP_MULTIPLY, x, mx_build_number(b, x->dtype, &scalar, scale));
  if (b->st == MARS_OK && loc != 0) x = mx_build_op2(b, MX_OP_ADD, x, mx_build_number(b, x->dtype, &scalar, loc));
  return x;
}

static mars_tensor *scaled_draw(mars_session *s, const char *fn, mx_op op, mars_dtype dt, const mars_shape *shape,
                                double loc, double scale) {
  mx_node *node = NULL;
  mars_shape clean;
  mars_dtype loop;
  mx_random random;
  mx_build b;

  mx_build_open(&b, s, fn);
  if (!isfinite(loc)) mx_build_fail(&b, MARS_E_ARG, "loc is %g; it must be finite", loc);
  if (!isfinite(scale) || scale < 0) mx_build_fail(&b, MARS_E_ARG, "scale is %g; it must be finite and 0 or more", scale);
  if (check_float(&b, &dt, shape, &clean, &loop)) {
    if (loop == MARS_F32 && (fabs(loc) > mx_dtype_huge(MARS_F32) || scale > mx_dtype_huge(MARS_F32)))
      mx_build_fail(&b, MARS_E_OVERFLOW, "loc %g, scale %g do not fit float32", loc, scale);
    random_init(&random, op, loop);
    node = mx_build_cast(&b, scaled(&b, draw(&b, &clean, &random), loc, scale), dt);
  }
  return mx_build_close(&b, node, false);
}

mx_node *mx_build_normal(mx_build *b, mars_dtype dt, const mars_shape *shape) {
  mx_random random;

  random_init(&random, MX_OP_NORMAL, dt);
  return draw(b, shape, &random);
}

mars_tensor *mars_random_standard_normal(mars_session *s, mars_dtype dt, mars_shape shape) {
  return scaled_draw(s, "random_standard_normal", MX_OP_NORMAL, dt, &shape, 0, 1);
}

mars_tensor *mars_random_normal(mars_session *s, mars_dtype dt, mars_shape shape, double loc, double scale) {
  return scaled_draw(s, "random_normal", MX_OP_NORMAL, dt, &shape, loc, scale);
}

mars_tensor *mars_random_exponential(mars_session *s, mars_dtype dt, mars_shape shape, double scale) {
  return scaled_draw(s, "random_exponential", MX_OP_EXPONENTIAL, dt, &shape, 0, scale);
}

mars_tensor *mars_random_integers(mars_session *s, mars_dtype dt, mars_shape shape, int64_t low, int64_t high) {
  mx_node *node = NULL;
  mars_shape clean;
  mx_random random;
  mx_build b;

  mx_build_open(&b, s, "random_integers");
  if (dt == MARS_DTYPE_AUTO) dt = MARS_I64;
  if (mx_build_dtype(&b, dt) && mx_build_shape(&b, dt, &shape, &clean)) {
    if (!mx_dtype_is_integer(dt))
      mx_build_fail(&b, MARS_E_DTYPE, "not for %s; it makes integers", mars_dtype_name(dt));
    else if (low >= high)
      mx_build_fail(&b, MARS_E_ARG, "low %lld, high %lld; low must be below high", (long long)low, (long long)high);
    else if (!mx_dtype_holds(dt, low) || !mx_dtype_holds(dt, high - 1))
      mx_build_fail(&b, MARS_E_OVERFLOW, "[%lld, %lld) is out of bounds for %s, whose values are %lld to %llu", (long long)low,
                    (long long)high, mars_dtype_name(dt), (long long)mx_dtype_min(dt), (unsigned long long)mx_dtype_max(dt));
    random_init(&random, MX_OP_INTEGERS, dt);
    random.low = low;
    random.range = (uint64_t)high - (uint64_t)low;
    node = draw(&b, &clean, &random);
  }
  return mx_build_close(&b, node, false);
}

mars_tensor *mars_random_bernoulli(mars_session *s, mars_shape shape, double p) {
  mx_node *node = NULL;
  mars_shape clean;
  mx_random random;
  mx_build b;

  mx_build_open(&b, s, "random_bernoulli");
  if (!(p >= 0 && p <= 1)) mx_build_fail(&b, MARS_E_ARG, "p is %g; a probability is in [0, 1]", p);
  if (mx_build_shape(&b, MARS_BOOL, &shape, &clean)) {
    random_init(&random, MX_OP_BERNOULLI, MARS_BOOL);
    random.p0 = p;
    node = draw(&b, &clean, &random);
  }
  return mx_build_close(&b, node, false);
}
