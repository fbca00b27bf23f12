/* mars calc and mars plan. */
#include "run.h"
#include "show.h"

#include <string.h>

typedef struct calc {
  mt_options o;
  mt_arena arena;
  mt_diag diag;
  mars_session *session;
  mt_eval ev;
  mx_script program, *bound; /* of the expression; of each name=EXPRESSION */
  mt_value result;
  mt_shown *shown;
  size_t n_shown, n_outputs;
  mars_output *output;
} calc;

static bool is_path(const char *text) {
  size_t n = strlen(text);
  return n > 4 && !strcmp(text + n - 4, ".npy") && !strpbrk(text, "'\"(");
}

/* Everything is parsed before a session is opened: a syntax error costs nothing. */
static bool parse_all(calc *c) {
  c->bound = mt_alloc(&c->arena, (c->o.n_bindings + 1) * sizeof *c->bound);
  for (size_t i = 0; i < c->o.n_bindings; i++) {
    const char *text = c->o.binding[i].text;
    if (!is_path(text) && !mt_parse(text, &c->arena, &c->diag, &c->bound[i])) return false;
  }
  return mt_parse(c->o.expression, &c->arena, &c->diag, &c->program);
}

static bool evaluate(calc *c) {
  mt_value v;

  c->ev = (mt_eval){.session = c->session, .arena = &c->arena, .diag = &c->diag};
  for (size_t i = 0; i < c->o.n_bindings; i++) {
    const mt_pair *b = &c->o.binding[i];
    c->ev.source = NULL;
    if (is_path(b->text) ? !mt_eval_give(&c->ev, 0, mars_from_npy(c->session, b->text), &v)
                         : !mt_eval_program(&c->ev, &c->bound[i], &v))
      return false;
    mt_eval_set(&c->ev, b->name, &v);
  }
  return mt_eval_program(&c->ev, &c->program, &c->result);
}

/* --dtype applies to all results. */
static bool convert(calc *c, mt_value *v) {
  mars_tensor *t;

  if (c->o.dtype == MARS_DTYPE_AUTO) return true;
  c->ev.source = NULL;
  if (v->kind == MT_TUPLE) {
    mt_value *item = mt_alloc(&c->arena, (v->n + 1) * sizeof *item);
    if (v->n) memcpy(item, v->item, v->n * sizeof *item);
    v->item = item;
    for (size_t i = 0; i < v->n; i++)
      if (!convert(c, &v->item[i])) return false;
    return true;
  }
  if (v->kind != MT_TENSOR && !mt_is_number(v)) return true;
  return mt_eval_tensor(&c->ev, 0, v, "--dtype", &t) && mt_eval_give(&c->ev, 0, mars_astype(t, c->o.dtype), v);
}

static bool file_output(calc *c, const mt_pair *p, mars_output *out) {
  const mt_value *found = p->name ? mt_eval_get(&c->ev, p->name) : &c->result;
  mt_value v;

  c->ev.source = NULL;
  if (!found) return mt_eval_fail(&c->ev, 0, "-o %s=%s: no name '%s' was set", p->name, p->text, p->name);
  v = *found;
  if (v.kind == MT_TUPLE)
    for (size_t i = 0; i < v.n; i++)
      if (v.item[i].kind == MT_TENSOR)
        return mt_eval_fail(&c->ev, 0, "-o %s: the value is a %s of %zu; give its parts names: a, b = ...; with -o a=a.npy -o b=b.npy",
                            p->text, mt_kind_name(&v), v.n);
  if (!convert(c, &v)) return false;
  *out = (mars_output){.sink = MARS_SINK_NPY, .path = p->text};
  return mt_eval_tensor(&c->ev, 0, &v, "-o", &out->tensor);
}

static bool make_outputs(calc *c, bool print) {
  size_t n = c->o.n_outputs;

  c->n_outputs = c->o.n_outputs;
  if (print && !mt_show_prepare(&c->ev, &c->result, &c->shown, &c->n_shown)) return false;
  for (size_t i = 0; i < c->n_shown; i++) n += c->shown[i].n_blocks;
  c->output = mt_alloc(&c->arena, (n + 1) * sizeof *c->output);
  for (size_t i = 0; i < c->o.n_outputs; i++)
    if (!file_output(c, &c->o.output[i], &c->output[i])) return false;
  for (size_t i = 0; i < c->n_shown; i++)
    for (size_t k = 0; k < c->shown[i].n_blocks; k++) {
      const mt_block *b = &c->shown[i].block[k];
      if (!b->bytes) continue; /* nothing to fetch */
      c->output[c->n_outputs++] =
          (mars_output){.tensor = b->tensor, .sink = MARS_SINK_MEMORY, .data = b->data, .bytes = b->bytes};
    }
  return true;
}

static void print_stats(const mars_stats *s) {
  fprintf(stderr, "tasks        %lld in %lld kernels, %lld steps, %lld recomputed\n", (long long)s->tasks,
          (long long)s->kernels, (long long)s->steps, (long long)s->recomputed_tasks);
  fprintf(stderr, "time         plan %s, run %s\n", mt_fmt_seconds(s->plan_seconds), mt_fmt_seconds(s->run_seconds));
  fprintf(stderr, "memory       peak %s of tensor data\n", mt_fmt_bytes((double)s->peak_arena_bytes));
  fprintf(stderr, "files        read %s, written %s\n", mt_fmt_bytes((double)s->source_read_bytes),
          mt_fmt_bytes((double)s->sink_written_bytes));
  fprintf(stderr, "spill        written %s, read %s\n", mt_fmt_bytes((double)s->spill_written_bytes),
          mt_fmt_bytes((double)s->spill_read_bytes));
  if (s->methods[0]) fprintf(stderr, "methods      %s\n", s->methods);
}

static bool print(calc *c, mt_str *text) {
  if (text->n) fwrite(text->text, 1, text->n, stdout);
  if (fflush(stdout) == 0 && !ferror(stdout)) return true;
  return mt_fail(&c->diag, MT_EXIT_RUN, NULL, 0, "the result cannot be written to standard output");
}

static bool calculate(calc *c) {
  bool show = c->o.n_outputs == 0;
  mars_stats stats = {0};
  mt_str text = {0};
  bool ok;

  if (show && !convert(c, &c->result)) return false;
  if (c->o.shape_only) mt_show_shape(&c->result, &text);
  ok = make_outputs(c, show && !c->o.shape_only);
  if (ok && c->n_outputs) ok = mt_run(c->session, c->output, c->n_outputs, &c->o, &stats, &c->diag);
  for (size_t i = 0; ok && i < c->n_shown; i++) mt_show_assemble(&c->shown[i]);
  if (ok && show && !c->o.shape_only) mt_show_value(&c->result, c->shown, &text);
  if (ok) ok = print(c, &text);
  if (ok && c->o.stats) print_stats(&stats);
  mt_str_free(&text);
  return ok;
}

/* What calc would run: the files of -o, or else the whole result. */
static bool explain(calc *c) {
  mars_error err = {0};
  char *text = NULL;
  mt_str out = {0};
  mars_status st;
  bool ok;

  if (!c->o.n_outputs) {
    size_t n = c->result.kind == MT_TUPLE ? c->result.n : 1;
    const mt_value *item = c->result.kind == MT_TUPLE ? c->result.item : &c->result;
    if (!convert(c, &c->result)) return false;
    item = c->result.kind == MT_TUPLE ? c->result.item : &c->result;
    c->output = mt_alloc(&c->arena, (n + 1) * sizeof *c->output);
    for (size_t i = 0; i < n; i++)
      if (item[i].kind == MT_TENSOR) c->output[c->n_outputs++] = (mars_output){.tensor = item[i].tensor};
  } else if (!make_outputs(c, false)) {
    return false;
  }
  if (!c->n_outputs) return mt_fail(&c->diag, MT_EXIT_USAGE, NULL, 0, "the result is no tensor: there is nothing to plan");
  st = mars_explain(c->session, c->output, c->n_outputs, c->o.dot ? MARS_EXPLAIN_DOT : MARS_EXPLAIN_TEXT, &text, &err);
  if (st != MARS_OK) return mt_fail(&c->diag, MT_EXIT_RUN, NULL, 0, "%s", err.message);
  mt_str_puts(&out, text);
  if (out.n && out.text[out.n - 1] != '\n') mt_str_puts(&out, "\n");
  mars_text_free(c->session, text);
  ok = print(c, &out);
  mt_str_free(&out);
  return ok;
}

int mt_main_calc(const char *command, int argc, char **argv) {
  calc c = {0};
  bool ok = mt_options_parse(command, argc, argv, &c.arena, &c.diag, &c.o);
  int code = MT_EXIT_OK;

  if (ok && c.o.help) {
    fputs(mt_help_page(command), stdout);
  } else {
    ok = ok && parse_all(&c) && mt_session_open(&c.o, &c.session, &c.diag) && evaluate(&c) &&
         (command[0] == 'p' ? explain(&c) : calculate(&c));
  }
  if (!ok) {
    mt_diag_print(stderr, command, &c.diag);
    code = c.diag.exit_code;
    if (code == MT_EXIT_USAGE && !c.diag.source) fprintf(stderr, "Try 'mars %s --help'.\n", command);
  }
  mars_session_destroy(c.session);
  mt_arena_free(&c.arena);
  return code;
}
