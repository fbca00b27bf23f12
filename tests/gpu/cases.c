/* Contract: tests/gpu/cases.h. */
#include "tests/gpu/cases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum form { FLAT, ROWS, COLUMNS } form;
static const struct row {
  const char *name;
  form form;
  int n_in;
  mars_dtype in, out;
  bool reduce, scan;
  double tolerance;
} rows[CASE_COUNT] = {
  {"f32 square", FLAT, 1, MARS_F32, MARS_F32, false, false, 0},
  {"f32 x + y", FLAT, 2, MARS_F32, MARS_F32, false, false, 0},
  {"f64 x + y", FLAT, 2, MARS_F64, MARS_F64, false, false, 0},
  {"i8 x + y", FLAT, 2, MARS_I8, MARS_I8, false, false, 0},
  {"f32 chain of 10", FLAT, 2, MARS_F32, MARS_F32, false, false, 0},
  {"f32 exp", FLAT, 1, MARS_F32, MARS_F32, false, false, 4e-7},
  {"f64 log", FLAT, 1, MARS_F64, MARS_F64, false, false, 1e-15},
  {"f32 to f64", FLAT, 1, MARS_F32, MARS_F64, false, false, 0},
  {"f64 random_uniform", FLAT, 0, MARS_F64, MARS_F64, false, false, 0},
  {"f32 sum", FLAT, 1, MARS_F32, MARS_F32, true, false, 1e-6},
  {"f64 sum of rows", ROWS, 1, MARS_F64, MARS_F64, true, false, 1e-13},
  {"f32 max of columns", COLUMNS, 1, MARS_F32, MARS_F32, true, false, 0},
  {"f64 std of columns", COLUMNS, 1, MARS_F64, MARS_F64, true, false, 1e-11},
  {"i64 cumsum of rows", ROWS, 1, MARS_I64, MARS_I64, false, true, 0},
};

void case_make(int i, size_t bytes, kernel_case *c) {
  const struct row *r = &rows[i];
  size_t widest = mars_dtype_bytes(r->in) > mars_dtype_bytes(r->out) ? mars_dtype_bytes(r->in) : mars_dtype_bytes(r->out);
  int64_t points = (int64_t)(bytes / widest), across = points >= 1 << 20 ? 4096 : 64;

  *c = (kernel_case){.name = r->name, .n_in = r->n_in, .out = r->out, .scan = r->scan, .tolerance = r->tolerance, .number = i};
  for (int k = 0; k < r->n_in; k++) c->in[k] = r->in;
  c->ndim = r->form == FLAT ? 1 : 2;
  c->shape[0] = r->form == FLAT ? points : points / across;
  if (r->form != FLAT) c->shape[1] = across;
  if (r->reduce || r->scan) c->mask = r->form == ROWS ? 2 : 1;
}

vm_prog *case_program(const kernel_case *c) {
  const struct row *r = &rows[c->number];
  vm_prog *p = vm_prog_new(c->ndim, c->shape, c->mask);
  int v[CASE_MAX_IN], x;
  const float two = 2;

  for (int k = 0; k < c->n_in; k++) v[k] = vm_load(p, c->in[k]);
  if (c->n_in == 0) x = vm_random(p, "random_uniform", c->out, 1, 2, 0, 1, 0, 0);
  else if (strstr(c->name, "exp") != NULL) x = vm_op(p, "exp", v[0], -1, -1);
  else if (strstr(c->name, "log") != NULL) x = vm_op(p, "log", v[0], -1, -1);
  else if (strstr(c->name, "to f64") != NULL) x = vm_cast(p, v[0], MARS_F64);
  else if (strstr(c->name, "square") != NULL) x = vm_op(p, "multiply", v[0], v[0], -1);
  else if (c->n_in == 2) x = vm_op(p, "add", v[0], v[1], -1);
  else x = v[0];
  if (c->number == CASE_CHAIN)
    for (int i = 0; i < 9; i++) x = i % 2 ? vm_op(p, "add", x, v[i / 2 % 2], -1) : vm_op(p, "multiply", x, vm_const(p, MARS_F32, &two), -1);
  if (r->reduce) (void)vm_reduce(p, strstr(c->name, "max") ? "max" : strstr(c->name, "std") ? "std" : "sum", x, c->out, 0);
  else if (r->scan) (void)vm_scan(p, "cumsum", x);
  else (void)vm_store(p, x);
  return p;
}

size_t case_points(const kernel_case *c) { return (size_t)c->shape[0] * (c->ndim > 1 ? (size_t)c->shape[1] : 1); }

size_t case_results(const kernel_case *c) {
  size_t n = 1;

  for (int d = 0; d < c->ndim; d++)
    if (c->scan || !(c->mask >> d & 1)) n *= (size_t)c->shape[d];
  return n;
}

static void put(mars_dtype dt, char *at, size_t i, unsigned r) {
  double v = 0.5 + (double)(r % 1000) / 1000;

  switch (dt) {
  case MARS_F32: ((float *)at)[i] = (float)v; break;
  case MARS_F64: ((double *)at)[i] = v; break;
  case MARS_I64: ((int64_t *)at)[i] = (int64_t)(r % 1000); break;
  default: ((int8_t *)at)[i] = (int8_t)(r % 100);
  }
}

void case_fill(const kernel_case *c, char *memory) {
  unsigned r = 12345;

  for (int k = 0; k < c->n_in; k++) {
    for (size_t i = 0; i < case_points(c); i++) {
      r = r * 1664525u + 1013904223u;
      put(c->in[k], memory, i, r >> 8);
    }
    memory += (case_points(c) * mars_dtype_bytes(c->in[k]) + 255) & ~(size_t)255;
  }
}

bool case_equal(const kernel_case *c, const char *got, const char *want) {
  size_t n = case_results(c);

  if (c->tolerance == 0) return memcmp(got, want, n * mars_dtype_bytes(c->out)) == 0;
  for (size_t i = 0; i < n; i++) {
    double a = c->out == MARS_F32 ? (double)((const float *)got)[i] : ((const double *)got)[i];
    double b = c->out == MARS_F32 ? (double)((const float *)want)[i] : ((const double *)want)[i];

    if (!(fabs(a - b) <= c->tolerance * fabs(b))) return false;
  }
  return true;
}

const char *case_percent(double fraction) {
  static char text[16];

  snprintf(text, sizeof text, "%.0f%%", 100 * fraction);
  return text;
}

double case_hidden(double hidden, double of) {
  double p = of > 0 ? 100 * hidden / of : 0;

  return p < 0 ? 0 : p > 100 ? 100 : p;
}
