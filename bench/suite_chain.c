/* Ten expressions of 3 to 30 operations, f32 and f64, caller's arrays to caller's array: fusion and kernels.
 */
#include "bench/chains.h"
#include "bench/hand/kernels.h"
#include "bench/util.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct chain_info {
  const char *name;
  int inputs, ops, out_bytes;
  const char *text;
} chain_info;

static const chain_info chains[HAND_CHAINS] = {
#define X(name, inputs, ops, out_bytes, text) {#name, inputs, ops, out_bytes, text},
    BENCH_CHAINS(X)
#undef X
};

typedef struct chain_case {
  const bench_options *o;
  int which;
  bool f32;
  int64_t n;
  size_t budget_bytes;
  mars_session *s;
  void *in[HAND_CHAIN_INPUTS], *out;
} chain_case;

static size_t width(const chain_case *c) {
  return c->f32 ? sizeof(float) : sizeof(double);
}

static size_t out_width(const chain_case *c) {
  return chains[c->which].out_bytes > 0 ? (size_t)chains[c->which].out_bytes : width(c);
}

/* ---- the expressions, as a user writes them -------------------------------------------------------- */

#define NUM(v) mars_float(s, v)
#define INT(v) mars_int(s, v)
#define ADD mars_add
#define SUB mars_sub
#define MUL mars_mul
#define DIV mars_div
#define POW(x, k) mars_power(x, INT(k))

static mars_tensor *horner(mars_session *s, mars_tensor *a) {
  mars_tensor *p = NUM(bench_horner[BENCH_HORNER_DEGREE]);

  for (int k = BENCH_HORNER_DEGREE - 1; k >= 0; k--)
    p = ADD(MUL(p, a), NUM(bench_horner[k]));
  return p;
}

static mars_tensor *options(mars_session *s, mars_tensor *a, mars_tensor *b, mars_tensor *c, mars_tensor *d) {
  mars_tensor *spot = ADD(a, INT(1)), *strike = ADD(b, INT(1)), *t = ADD(c, NUM(0.125));
  mars_tensor *v = ADD(MUL(d, NUM(0.5)), NUM(0.125)), *vt = MUL(v, mars_sqrt(t));
  mars_tensor *drift = MUL(ADD(MUL(MUL(v, NUM(0.5)), v), NUM(0.03125)), t);
  mars_tensor *d1 = DIV(ADD(mars_log(DIV(spot, strike)), drift), vt), *d2 = SUB(d1, vt);
  mars_tensor *n1 = ADD(mars_tanh(MUL(d1, NUM(0.8125))), INT(1)),
              *n2 = ADD(mars_tanh(MUL(d2, NUM(0.8125))), INT(1));
  mars_tensor *discount = mars_exp(MUL(t, NUM(-0.03125)));

  return SUB(MUL(spot, n1), MUL(MUL(strike, discount), n2));
}

static mars_tensor *expression(const chain_case *cc, mars_tensor *const *in) {
  mars_tensor *a = in[0], *b = in[1], *c = in[2], *d = in[3];
  mars_session *s = cc->s;

  switch (cc->which) {
  case 0:
    return ADD(MUL(INT(2), a), MUL(INT(3), b));
  case 1:
    return ADD(ADD(POW(a, 2), POW(b, 2)), MUL(MUL(INT(2), a), b));
  case 2:
    return ADD(POW(mars_sin(a), 2), POW(mars_cos(b), 2));
  case 3:
    return mars_where(mars_logical_and(mars_greater(a, NUM(0.25)), mars_less(b, NUM(0.75))),
                      SUB(MUL(a, b), c), mars_where(mars_greater(c, NUM(0.5)), ADD(a, c), SUB(b, c)));
  case 4:
    return ADD(mars_log(ADD(mars_exp(a), mars_exp(b))),
               MUL(mars_log(ADD(INT(1), c)), mars_exp(mars_negative(d))));
  case 5:
    return horner(s, a);
  case 6:
    return mars_sqrt(ADD(POW(SUB(a, b), 2), POW(SUB(c, d), 2)));
  case 7:
    return DIV(INT(1), ADD(INT(1), mars_exp(mars_negative(a))));
  case 8:
    return options(s, a, b, c, d);
  case 9:
    return mars_logical_and(mars_less(ADD(POW(a, 3), mars_sin(MUL(a, INT(2)))), c), mars_greater(b, INT(0)));
  default:
    return NULL;
  }
}

/* ---- the independent value, in double with the C library ------------------------------------------- */

static double reference(int which, double a, double b, double c, double d) {
  double p = bench_horner[BENCH_HORNER_DEGREE];

  switch (which) {
  case 0:
    return 2 * a + 3 * b;
  case 1:
    return a * a + b * b + 2 * a * b;
  case 2:
    return sin(a) * sin(a) + cos(b) * cos(b);
  case 3:
    return a > 0.25 && b < 0.75 ? a * b - c : c > 0.5 ? a + c : b - c;
  case 4:
    return log(exp(a) + exp(b)) + log(1 + c) * exp(-d);
  case 5:
    for (int k = BENCH_HORNER_DEGREE - 1; k >= 0; k--)
      p = p * a + bench_horner[k];
    return p;
  case 6:
    return sqrt((a - b) * (a - b) + (c - d) * (c - d));
  case 7:
    return 1 / (1 + exp(-a));
  case 8: {
    const double t = c + 0.125, v = d * 0.5 + 0.125, vt = v * sqrt(t);
    const double d1 = (log((a + 1) / (b + 1)) + (v * 0.5 * v + 0.03125) * t) / vt, d2 = d1 - vt;
    return (a + 1) * (tanh(d1 * 0.8125) + 1) - (b + 1) * exp(t * -0.03125) * (tanh(d2 * 0.8125) + 1);
  }
  case 9:
    return a * a * a + sin(a * 2) < c && b > 0;
  default:
    return NAN;
  }
}

static double element(const chain_case *c, const void *array, size_t bytes, int64_t i) {
  if (bytes == 1)
    return ((const bool *)array)[i];
  return c->f32 ? ((const float *)array)[i] : ((const double *)array)[i];
}

/* All of a small array, every 97th element of a large one. A comparison may fall either way where it is
 * close. */
static bool verify(const chain_case *c) {
  const int64_t step = c->n > 1000000 ? 97 : 1;
  const double tolerance = c->f32 ? 4e-6 : 1e-14;
  int64_t wrong = 0, places = 0;

  for (int64_t i = 0; i < c->n; i += step, places++) {
    double v[HAND_CHAIN_INPUTS];
    for (int k = 0; k < HAND_CHAIN_INPUTS; k++)
      v[k] = element(c, c->in[k], width(c), i);
    wrong += !bench_close_to(element(c, c->out, out_width(c), i), reference(c->which, v[0], v[1], v[2], v[3]),
                             tolerance);
  }
  return chains[c->which].out_bytes == 1 ? wrong <= places / 100000 : wrong == 0;
}

static double mean(const chain_case *c) {
  double sum = 0;

  for (int64_t i = 0; i < c->n; i++)
    sum += element(c, c->out, out_width(c), i);
  return sum / (double)c->n;
}

/* ---- contenders ------------------------------------------------------------------------------------ */

static bool open_chain(void *ctx, bool ours, bool others, char *error) {
  chain_case *c = ctx;

  for (int k = 0; k <= HAND_CHAIN_INPUTS; k++) {
    void *p = bench_alloc((size_t)c->n * width(c), c->o->threads);
    if (p == NULL) {
      bench_set_error(error, "no memory for five arrays of %lld elements", (long long)c->n);
      return false;
    }
    if (k == HAND_CHAIN_INPUTS) {
      c->out = p;
    } else if (c->f32) {
      bench_fill_f32(c->in[k] = p, k, c->n, c->o->threads);
    } else {
      bench_fill_f64(c->in[k] = p, k, c->n, c->o->threads);
    }
  }
  return !ours || bench_session_open(c->o, c->budget_bytes, 0, &c->s, error);
}

static void close_chain(void *ctx) {
  chain_case *c = ctx;

  mars_session_destroy(c->s);
  for (int k = 0; k < HAND_CHAIN_INPUTS; k++)
    bench_free(c->in[k], (size_t)c->n * width(c));
  bench_free(c->out, (size_t)c->n * width(c));
}

static void run_ours(void *ctx, bool check, bench_sample *s) {
  chain_case *c = ctx;
  const size_t bytes = (size_t)c->n * out_width(c);
  mars_tensor *in[HAND_CHAIN_INPUTS];
  double start;

  if (check)
    memset(c->out, 0xff, bytes);
  start = bench_now();
  mars_scope_open(c->s);
  for (int k = 0; k < HAND_CHAIN_INPUTS; k++)
    in[k] =
        mars_from_memory(c->s, c->f32 ? MARS_F32 : MARS_F64, MARS_SHAPE(c->n), NULL, c->in[k], NULL, NULL);
  bench_execute(
      c->s,
      &(mars_output){.tensor = expression(c, in), .sink = MARS_SINK_MEMORY, .data = c->out, .bytes = bytes},
      1, s);
  mars_scope_close(c->s);
  s->seconds = bench_now() - start;
  if (check && s->ok) {
    s->result = mean(c);
    s->correct = verify(c);
  }
}

static void run_hand(void *ctx, bool check, bench_sample *s) {
  chain_case *c = ctx;
  const double start = bench_now();

  hand_chain(c->which, c->f32, c->out, (const void *const *)c->in, c->n, c->o->threads);
  s->seconds = bench_now() - start;
  s->ok = true;
}

static void run_limit(void *ctx, bool check, bench_sample *s) {
  chain_case *c = ctx;
  const double start = bench_now();

  hand_touch(c->f32, c->out, (int)out_width(c), (const void *const *)c->in, chains[c->which].inputs, c->n,
             c->o->threads);
  s->seconds = bench_now() - start;
  s->ok = true;
}

/* ---- the suite ------------------------------------------------------------------------------------- */

static double geomean_of(double product_log, int n) {
  return n > 0 ? exp(product_log / n) : NAN;
}

/* A row of geometric means; a peer counts only where it has all ten. */
static void add_geomean(const bench_row *rows, int n, bench_report *r) {
  bench_row g = rows[0];
  double seconds = 0, rate = 0, fraction = 0, limit = 0, hand = 0, hand_seconds = 0;

  snprintf(g.name, sizeof g.name, "geomean");
  g.n_peers = 0;
  g.correct = true;
  memset(&g.stats, 0, sizeof g.stats);
  for (int i = 0; i < n; i++) {
    seconds += log(rows[i].seconds);
    rate += log(rows[i].rate);
    fraction += log(rows[i].limit_fraction);
    limit += log(rows[i].limit_value);
    hand += log(rows[i].hand_ratio);
    hand_seconds += log(rows[i].hand_seconds);
    g.correct = g.correct && rows[i].correct;
    g.has_limit = g.has_limit && rows[i].has_limit;
    g.has_hand = g.has_hand && rows[i].has_hand;
    g.stats.tasks += rows[i].stats.tasks;
    g.stats.plan_seconds += rows[i].stats.plan_seconds;
    if (rows[i].peak_rss_bytes > g.peak_rss_bytes)
      g.peak_rss_bytes = rows[i].peak_rss_bytes;
  }
  g.seconds = geomean_of(seconds, n);
  g.rate = geomean_of(rate, n);
  g.limit_fraction = geomean_of(fraction, n);
  g.limit_value = geomean_of(limit, n);
  g.hand_ratio = geomean_of(hand, n);
  g.hand_seconds = geomean_of(hand_seconds, n);
  g.result = NAN;
  for (int p = 0; p < rows[0].n_peers; p++) {
    double ratio = 0, time = 0;
    int found = 0;
    for (int i = 0; i < n; i++)
      for (int q = 0; q < rows[i].n_peers; q++)
        if (strcmp(rows[i].peers[q].name, rows[0].peers[p].name) == 0) {
          ratio += log(rows[i].peers[q].ratio);
          time += log(rows[i].peers[q].seconds);
          found++;
        }
    if (found < n)
      continue;
    g.peers[g.n_peers] = rows[0].peers[p];
    g.peers[g.n_peers].ratio = geomean_of(ratio, n);
    g.peers[g.n_peers++].seconds = geomean_of(time, n);
  }
  bench_report_add(r, &g);
}

static void run_dtype(const bench_options *o, const char *only, bool f32, bench_report *r) {
  bench_row rows[HAND_CHAINS];
  int n = 0;

  for (int which = 0; which < HAND_CHAINS && !bench_interrupted(); which++) {
    chain_case c = {.o = o, .which = which, .f32 = f32, .budget_bytes = bench_budget(o, (size_t)256 << 20)};
    c.n = ((int64_t)bench_size(o, 2e7, 1e6, 5e7) + 63) &
          ~(int64_t)63; /* the hand-written loops have no tails */
    const bench_job job = {.suite = "chain",
                           .name = chains[which].name,
                           .size = (double)c.n,
                           .dtype = f32 ? "f32" : "f64",
                           .budget_bytes = c.budget_bytes,
                           .work = (double)c.n,
                           .work_scale = 1e-9,
                           .unit = "Gelem/s",
                           .limit_name = "memory",
                           .ctx = &c,
                           .open = open_chain,
                           .close = close_chain,
                           .run = {run_ours, run_hand, run_limit},
                           .peer_suite = "chain"};
    if (only != NULL && strcmp(only, chains[which].name) != 0)
      continue;
    bench_measure(&job, o, &rows[n]);
    bench_report_add(r, &rows[n]);
    n += rows[n].error[0] == '\0';
  }
  if (n == HAND_CHAINS)
    add_geomean(rows, n, r);
}

static void run(const bench_options *o, const char *only, bench_report *r) {
  run_dtype(o, only, false, r);
  run_dtype(o, only, true, r);
}

static const char *const cases[] = {
#define X(name, inputs, ops, out_bytes, text) #name,
    BENCH_CHAINS(X)
#undef X
        NULL};
const bench_suite bench_suite_chain = {"chain", "ten expressions of 3 to 30 operations in f32 and f64", cases,
                                       run};
