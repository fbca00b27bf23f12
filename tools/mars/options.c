#include "options.h"
#include "fmt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef enum option_id {
  OPT_HELP, OPT_JSON, OPT_QUIET, OPT_VERBOSE, OPT_STATS, OPT_NO_PROGRESS, OPT_SHAPE, OPT_DOT, OPT_NO_SPILL,
  OPT_NO_FUSION, OPT_SEED, OPT_BUDGET, OPT_THREADS, OPT_CHUNK, OPT_DTYPE, OPT_SPILL, OPT_OUTPUT, OPT_DEVICES,
  OPT_DEVICE_BUDGET
} option_id;

/* Which commands know an option: c calc, p plan, i info, o ops. */
static const struct option {
  const char *name, *commands, *value; /* value NULL: takes none */
  option_id id;
} options[] = {
    {"-o", "cp", "FILE.npy or NAME=FILE.npy", OPT_OUTPUT},
    {"--budget", "cpi", "a size, e.g. 512M", OPT_BUDGET},
    {"--threads", "cpi", "a number of threads", OPT_THREADS},
    {"--devices", "cpi", "a list, e.g. cuda:0,host", OPT_DEVICES},
    {"--device-budget", "cpi", "a size, e.g. 8G", OPT_DEVICE_BUDGET},
    {"--spill", "cpi", "a directory", OPT_SPILL},
    {"--no-spill", "cpi", NULL, OPT_NO_SPILL},
    {"--chunk", "cp", "a number of elements", OPT_CHUNK},
    {"--dtype", "cp", "a dtype, e.g. float32", OPT_DTYPE},
    {"--seed", "cp", "a number", OPT_SEED},
    {"--shape", "c", NULL, OPT_SHAPE},
    {"--no-fusion", "cp", NULL, OPT_NO_FUSION},
    {"--no-progress", "c", NULL, OPT_NO_PROGRESS},
    {"--stats", "c", NULL, OPT_STATS},
    {"--quiet", "cpi", NULL, OPT_QUIET},
    {"-q", "cpi", NULL, OPT_QUIET},
    {"--verbose", "cpi", NULL, OPT_VERBOSE},
    {"--dot", "p", NULL, OPT_DOT},
    {"--json", "io", NULL, OPT_JSON},
    {"--help", "cpio", NULL, OPT_HELP},
    {"-h", "cpio", NULL, OPT_HELP},
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static bool known_to(const struct option *o, const char *command) { return strchr(o->commands, command[0]) != NULL; }

static bool usage(mt_diag *diag, const char *problem, const char *what, const char *more) {
  return mt_fail(diag, MT_EXIT_USAGE, NULL, 0, "%s '%.200s'%s", problem, what, more);
}

static bool parse_count(const char *text, int64_t least, int64_t most, int64_t *out) {
  char *end;

  errno = 0;
  *out = strtoll(text, &end, 0);
  return end != text && !*end && !errno && *out >= least && *out <= most;
}

static bool set_value(mt_options *o, const struct option *opt, const char *value, mt_arena *arena, mt_diag *diag) {
  const char *equals = strchr(value, '=');
  int64_t n = 0;
  char *end;
  bool ok = *value != 0;

  switch (opt->id) {
  case OPT_BUDGET: ok = mt_parse_bytes(value, &o->budget_bytes) && o->budget_bytes > 0; break;
  case OPT_DEVICES: o->devices = value; break;
  case OPT_DEVICE_BUDGET: ok = mt_parse_bytes(value, &o->device_budget_bytes) && o->device_budget_bytes > 0; break;
  case OPT_THREADS:
    ok = parse_count(value, 1, 4096, &n);
    o->threads = (int)n;
    break;
  case OPT_CHUNK: ok = parse_count(value, 1, INT64_MAX, &o->chunk_elements); break;
  case OPT_SEED:
    errno = 0;
    o->seed = strtoull(value, &end, 0);
    o->has_seed = true;
    ok = end != value && !*end && !errno;
    break;
  case OPT_DTYPE:
    o->dtype = mars_dtype_from_name(value);
    ok = o->dtype != MARS_DTYPE_AUTO;
    break;
  case OPT_SPILL: o->spill[o->n_spill++] = value; break;
  case OPT_OUTPUT:
    o->output[o->n_outputs].text = value;
    if (equals && equals > value && !memchr(value, '/', (size_t)(equals - value)) &&
        !memchr(value, '.', (size_t)(equals - value))) {
      o->output[o->n_outputs].name = mt_strndup(arena, value, (size_t)(equals - value));
      o->output[o->n_outputs].text = equals + 1;
      ok = equals[1] != 0;
    }
    o->n_outputs++;
    break;
  default: break;
  }
  return ok || mt_fail(diag, MT_EXIT_USAGE, NULL, 0, "%s takes %s, not '%.200s'", opt->name, opt->value, value);
}

static void set_flag(mt_options *o, option_id id) {
  switch (id) {
  case OPT_HELP: o->help = true; break;
  case OPT_JSON: o->json = true; break;
  case OPT_QUIET: o->quiet = true; break;
  case OPT_VERBOSE: o->verbose = true; break;
  case OPT_STATS: o->stats = true; break;
  case OPT_NO_PROGRESS: o->no_progress = true; break;
  case OPT_SHAPE: o->shape_only = true; break;
  case OPT_DOT: o->dot = true; break;
  case OPT_NO_SPILL: o->no_spill = true; break;
  case OPT_NO_FUSION: o->no_fusion = true; break;
  default: break;
  }
}

/* -1: no option of that name; n: characters of the name */
static int find_option(const char *command, const char *arg, size_t n) {
  for (int i = 0; i < N_OPTIONS; i++)
    if (strlen(options[i].name) == n && !memcmp(options[i].name, arg, n) && known_to(&options[i], command)) return i;
  return -1;
}

static bool unknown_option(const char *command, const char *arg, mt_arena *arena, mt_diag *diag) {
  mt_suggest s;

  mt_suggest_init(&s, mt_strndup(arena, arg, strcspn(arg, "=")));
  for (int i = 0; i < N_OPTIONS; i++)
    if (known_to(&options[i], command)) mt_suggest_offer(&s, options[i].name);
  return usage(diag, "unknown option", arg, mt_suggest_text(&s, arena));
}

static bool is_name(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!(text[i] == '_' || (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') ||
          (i && text[i] >= '0' && text[i] <= '9')))
      return false;
  return n > 0;
}

/* The first is the expression, name=value the others. */
static bool positional(mt_options *o, char *arg, mt_arena *arena, mt_diag *diag) {
  const char *equals = strchr(arg, '=');

  if (o->command[0] == 'o') {
    o->word[o->n_words++] = arg;
    return true;
  }
  if (o->command[0] == 'i') return usage(diag, "unexpected argument", arg, "");
  if (!o->expression) {
    o->expression = arg;
    return true;
  }
  if (!equals || !is_name(arg, (size_t)(equals - arg)) || !equals[1])
    return usage(diag, "expected name=FILE.npy or name=EXPRESSION, not", arg, "");
  o->binding[o->n_bindings].name = mt_strndup(arena, arg, (size_t)(equals - arg));
  o->binding[o->n_bindings++].text = equals + 1;
  return true;
}

bool mt_options_parse(const char *command, int argc, char **argv, mt_arena *arena, mt_diag *diag, mt_options *o) {
  bool only_positional = false;
  size_t most = (size_t)argc + 1;

  *o = (mt_options){.command = command, .dtype = MARS_DTYPE_AUTO};
  o->spill = mt_alloc(arena, most * sizeof *o->spill);
  o->word = mt_alloc(arena, most * sizeof *o->word);
  o->binding = mt_alloc(arena, most * sizeof *o->binding);
  o->output = mt_alloc(arena, most * sizeof *o->output);
  for (int i = 0; i < argc; i++) {
    char *arg = argv[i];
    size_t n = strcspn(arg, "=");
    int k;
    if (!only_positional && !strcmp(arg, "--")) {
      only_positional = true;
      continue;
    }
    k = only_positional || arg[0] != '-' ? -1 : find_option(command, arg, n);
    if (k < 0) {
      /* "-x + 1" is an expression: only what looks like a long option is none */
      if (!only_positional && arg[0] == '-' && (arg[1] == '-' || o->expression || !strchr("cp", command[0])))
        return unknown_option(command, arg, arena, diag);
      if (!positional(o, arg, arena, diag)) return false;
    } else if (!options[k].value) {
      if (arg[n]) return usage(diag, "this option takes no value:", arg, "");
      set_flag(o, options[k].id);
    } else {
      if (!arg[n] && i + 1 == argc) return usage(diag, "a value is missing behind", arg, "");
      if (!set_value(o, &options[k], arg[n] ? arg + n + 1 : argv[++i], arena, diag)) return false;
    }
  }
  if (!o->help && !o->expression && strchr("cp", command[0]))
    return mt_fail(diag, MT_EXIT_USAGE, NULL, 0, "an expression is missing, e.g. mars %s '(x + 1) * 2' x=big.npy", command);
  return true;
}
