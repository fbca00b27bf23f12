#include "tools_shim.h"

#include "tools/mars/fmt.h"
#include "tools/mars/fn.h"
#include "tools/mars/options.h"
#include "tools/mars/run.h"
#include "tools_fake.h"

#include <stdlib.h>
#include <string.h>

static int calls;

static void finish(tools_result *out, const mt_diag *diag, const mt_str *text) {
  *out = (tools_result){.code = diag->exit_code, .pos = diag->failed && diag->source ? (int)diag->pos : -1};
  snprintf(out->text, sizeof out->text, "%s", diag->failed ? diag->message : text->text ? text->text : "");
}

void tools_parse(const char *source, tools_result *out) {
  mt_arena arena = {0};
  mt_diag diag = {0};
  mx_script program;
  mt_str text = {0};

  if (mt_parse(source, &arena, &diag, &program))
    for (size_t i = 0; i < program.n; i++) {
      const mx_statement *st = &program.statement[i];
      if (i) mt_str_puts(&text, "; ");
      for (size_t k = 0; k < st->n_targets; k++) mt_str_printf(&text, "%s ", st->target[k]);
      if (st->n_targets) mt_str_puts(&text, "= ");
      mt_ast_write(st->value, &text);
    }
  finish(out, &diag, &text);
  mt_str_free(&text);
  mt_arena_free(&arena);
}

static void put_value(const mt_value *v, mt_str *out) {
  switch (v->kind) {
  case MT_NONE: mt_str_puts(out, "None"); break;
  case MT_DOTS: mt_str_puts(out, "..."); break;
  case MT_STRING: mt_str_printf(out, "'%s'", v->text); break;
  case MT_DTYPE: mt_str_printf(out, "dtype %s", mars_dtype_name(v->dtype)); break;
  case MT_TENSOR: mt_str_puts(out, tools_fake_text(v->tensor)); break;
  case MT_TUPLE:
    mt_str_puts(out, "(");
    for (size_t i = 0; i < v->n; i++) {
      if (i) mt_str_puts(out, ", ");
      put_value(&v->item[i], out);
    }
    mt_str_puts(out, ")");
    break;
  default: mt_fmt_number(v, out); break;
  }
}

void tools_eval(const char *source, tools_result *out) {
  mt_arena arena = {0};
  mt_diag diag = {0};
  mt_eval ev = {.arena = &arena, .diag = &diag};
  mx_script program;
  mt_value v = {0};
  mt_str text = {0};
  static const struct {
    const char *name;
    mars_dtype dt;
    int64_t rows;
  } inputs[] = {{"f", MARS_F32, 6}, {"k", MARS_I64, 6}, {"c", MARS_C128, 2}, {"BAD", MARS_F64, 2}};

  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
    v = mt_of_tensor(tools_fake_tensor(strcmp(inputs[i].name, "BAD") ? inputs[i].name : "BAD(", inputs[i].dt,
                                       MARS_SHAPE(inputs[i].rows)));
    mt_eval_set(&ev, inputs[i].name, &v);
  }
  v = mt_of_tensor(tools_fake_tensor("x", MARS_F64, MARS_SHAPE(1000, 10)));
  mt_eval_set(&ev, "x", &v);
  calls = tools_fake_calls();
  if (mt_parse(source, &arena, &diag, &program) && mt_eval_program(&ev, &program, &v)) put_value(&v, &text);
  calls = tools_fake_calls() - calls;
  finish(out, &diag, &text);
  mt_str_free(&text);
  mt_arena_free(&arena);
  tools_fake_reset();
}

int tools_eval_calls(void) { return calls; }

void tools_diagnose(const char *command, const char *source, size_t pos, const char *message, tools_result *out) {
  mt_diag diag = {0};
  char *text = NULL;
  size_t n = 0;
  FILE *f = open_memstream(&text, &n);

  mt_fail(&diag, MT_EXIT_USAGE, source, pos, "%s", message);
  mt_diag_print(f, command, &diag);
  fclose(f);
  *out = (tools_result){0};
  snprintf(out->text, sizeof out->text, "%s", text);
  free(text);
}

void tools_format(int dtype, int ndim, const int64_t *dims, unsigned cut, const void *data, tools_result *out) {
  mt_array a = {.dtype = (mars_dtype)dtype, .shape.ndim = ndim, .data = data};
  mt_str text = {0};

  for (int d = 0; d < ndim; d++) {
    a.shape.dims[d] = dims[d];
    a.cut[d] = cut >> d & 1;
  }
  mt_fmt_array(&a, &text);
  *out = (tools_result){0};
  snprintf(out->text, sizeof out->text, "%s", text.text);
  mt_str_free(&text);
}

double tools_half_to_double(int dtype, uint16_t bits) { return mt_half_to_double((mars_dtype)dtype, bits); }
uint16_t tools_half_of_double(int dtype, double v) { return mt_half_of_double((mars_dtype)dtype, v); }

int64_t tools_bytes(const char *text) {
  size_t bytes;
  return mt_parse_bytes(text, &bytes) ? (int64_t)bytes : -1;
}

void tools_progress(int64_t done, int64_t total, double seconds, double eta, int columns, tools_result *out) {
  mars_progress p = {done, total, seconds, eta};

  *out = (tools_result){0};
  mt_progress_text(&p, columns, out->text, sizeof out->text);
}

void tools_options(const char *command, int argc, char **argv, tools_result *out) {
  mt_arena arena = {0};
  mt_diag diag = {0};
  mt_str text = {0};
  mt_options o;

  if (mt_options_parse(command, argc, argv, &arena, &diag, &o)) {
    mt_str_printf(&text, "expr=%s budget=%zu threads=%d chunk=%lld dtype=%d", o.expression ? o.expression : "",
                  o.budget_bytes, o.threads, (long long)o.chunk_elements, (int)o.dtype);
    if (o.has_seed) mt_str_printf(&text, " seed=%llu", (unsigned long long)o.seed);
    for (size_t i = 0; i < o.n_bindings; i++) mt_str_printf(&text, " bind %s=%s", o.binding[i].name, o.binding[i].text);
    for (size_t i = 0; i < o.n_outputs; i++)
      mt_str_printf(&text, " out %s=%s", o.output[i].name ? o.output[i].name : "", o.output[i].text);
    for (int i = 0; i < o.n_spill; i++) mt_str_printf(&text, " spill %s", o.spill[i]);
    if (o.quiet) mt_str_puts(&text, " quiet");
    if (o.dot) mt_str_puts(&text, " dot");
    if (o.help) mt_str_puts(&text, " help");
  }
  finish(out, &diag, &text);
  mt_str_free(&text);
  mt_arena_free(&arena);
}
