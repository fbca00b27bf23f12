/* mars-bench: the command line. */
#include "bench/bench.h"
#include "bench/util.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const bench_suite *const suites[] = {
    &bench_suite_pi,    &bench_suite_scale, &bench_suite_axpb,   &bench_suite_stream,
    &bench_suite_reduce, &bench_suite_chain, &bench_suite_aat,    &bench_suite_tssvd,
    &bench_suite_matmul, &bench_suite_factor, &bench_suite_plan,  &bench_suite_overhead};
#define N_SUITES ((int)(sizeof suites / sizeof *suites))

static volatile sig_atomic_t interrupted;
static void on_signal(int sig) {
  interrupted = 1;
}
bool bench_interrupted(void) {
  return interrupted != 0;
}

static const char usage[] =
    "usage: mars-bench list                  suites and their cases\n"
    "       mars-bench limits [options]      physical limits of this machine\n"
    "       mars-bench run NAME... [options] NAME: a suite, suite:case, or all\n"
    "options:\n"
    "  --size N         elements, e.g. 1e9 (stream: bytes; aat, matmul, factor: order of the matrices;\n"
    "                   tssvd: rows; plan, overhead: tasks)\n"
    "  --budget B       host memory for the session, e.g. 512M, 2G\n"
    "  --devices LIST   devices that share the work, e.g. cuda:0,host\n"
    "  --device-budget B  memory of each GPU\n"
    "  --threads N      default: the cores that this process may use\n"
    "  --spill DIR      where big files go; default $MARS_SPILL_DIR, $TMPDIR or /tmp\n"
    "  --repeat K       timed runs of every contender, default 5 (3 for long ones)\n"
    "  --peers LIST     numpy,numexpr,dask, all or none (default)\n"
    "  --json FILE      all rows as a JSON list\n"
    "  --quick          small sizes\n"
    "  --headline       the largest sizes\n"
    "  --cgroup         stream: in a memory cgroup of the budget + 96 MiB\n"
    "  --verbose        every timed run on standard error\n"
    "Peers run with $MARS_BENCH_PYTHON, default /usr/bin/python3; $MARS_BENCH_ISA (baseline, avx2, avx512) "
    "limits the\n"
    "hand-written kernels. Exit status: 0 all rows correct, 1 a row failed, 2 wrong usage.\n";

typedef struct arguments {
  bench_options o;
  const char *spill, *json;
  const char *names[64];
  int n_names;
} arguments;

static bool parse_number(const char *text, double *out) {
  char *end;

  errno = 0;
  *out = strtod(text, &end);
  if (end == text || errno != 0 || !(*out > 0) || !isfinite(*out))
    return false;
  if (*end == 'K' || *end == 'k')
    *out *= 1024, end++;
  else if (*end == 'M' || *end == 'm')
    *out *= 1048576, end++;
  else if (*end == 'G' || *end == 'g')
    *out *= 1073741824, end++;
  if (end[0] == 'i' && end[1] == 'B')
    end += 2;
  else if (end[0] == 'B')
    end++;
  return *end == '\0' && *out < 9e15;
}

static bool parse_peers(const char *text, bool *peers) {
  char copy[128], *rest = copy;

  snprintf(copy, sizeof copy, "%s", text);
  for (char *word; (word = strsep(&rest, ",")) != NULL;) {
    bool known = strcmp(word, "none") == 0;
    for (int i = 0; i < BENCH_MAX_PEERS; i++)
      if (strcmp(word, "all") == 0 || strcmp(word, bench_peer_names[i]) == 0)
        peers[i] = known = true;
    if (!known)
      return false;
  }
  return true;
}

static bool usage_error(const char *what, const char *value) {
  fprintf(stderr, "mars-bench: %s '%s'\n%s", what, value, usage);
  return false;
}

/* Options that take a value. */
static bool parse_valued(arguments *a, const char *name, const char *value) {
  double number = 0;
  const bool is_number = parse_number(value, &number);

  if (strcmp(name, "--spill") == 0) {
    a->spill = value;
  } else if (strcmp(name, "--devices") == 0) {
    a->o.devices = value;
  } else if (strcmp(name, "--json") == 0) {
    a->json = value;
  } else if (strcmp(name, "--peers") == 0) {
    if (!parse_peers(value, a->o.peers))
      return usage_error("--peers takes numpy, numexpr, dask, all or none, not", value);
  } else if (!is_number) {
    return usage_error("a positive number is needed, not", value);
  } else if (strcmp(name, "--size") == 0) {
    a->o.size = floor(number);
  } else if (strcmp(name, "--budget") == 0) {
    a->o.budget_bytes = (size_t)number;
  } else if (strcmp(name, "--device-budget") == 0) {
    a->o.device_budget_bytes = (size_t)number;
  } else if (strcmp(name, "--threads") == 0) {
    if (number > 1024)
      return usage_error("--threads takes 1 to 1024, not", value);
    a->o.threads = (int)number;
  } else {
    if (number > BENCH_MAX_REPEAT - 1)
      return usage_error("--repeat takes 1 to 100, not", value);
    a->o.repeat = (int)number;
  }
  return true;
}

static bool is_valued(const char *name) {
  static const char *const valued[] = {"--size",   "--budget", "--threads", "--spill",
                                       "--repeat", "--peers",  "--json",    "--devices", "--device-budget"};

  for (size_t i = 0; i < sizeof valued / sizeof *valued; i++)
    if (strcmp(name, valued[i]) == 0)
      return true;
  return false;
}

static bool parse_arguments(int argc, char **argv, arguments *a) {
  for (int i = 2; i < argc; i++) {
    if (is_valued(argv[i])) {
      if (i + 1 >= argc)
        return usage_error("a value is missing after", argv[i]);
      if (!parse_valued(a, argv[i], argv[i + 1]))
        return false;
      i++;
    } else if (strcmp(argv[i], "--quick") == 0) {
      a->o.scale = BENCH_QUICK;
    } else if (strcmp(argv[i], "--headline") == 0) {
      a->o.scale = BENCH_HEADLINE;
    } else if (strcmp(argv[i], "--cgroup") == 0) {
      a->o.cgroup = true;
    } else if (strcmp(argv[i], "--verbose") == 0) {
      a->o.verbose = true;
    } else if (argv[i][0] == '-') {
      return usage_error("unknown option", argv[i]);
    } else if (a->n_names < (int)(sizeof a->names / sizeof *a->names)) {
      a->names[a->n_names++] = argv[i];
    }
  }
  return true;
}

/* The suite of a name, and its case if one is named: "reduce:std". */
static const bench_suite *find_suite(const char *name, const char **only) {
  const char *colon = strchr(name, ':');
  const size_t len = colon != NULL ? (size_t)(colon - name) : strlen(name);

  *only = NULL;
  for (int i = 0; i < N_SUITES; i++) {
    if (strlen(suites[i]->name) != len || strncmp(suites[i]->name, name, len) != 0)
      continue;
    if (colon == NULL)
      return suites[i];
    for (int k = 0; suites[i]->cases[k] != NULL; k++)
      if (strcmp(colon + 1, suites[i]->cases[k]) == 0)
        *only = suites[i]->cases[k];
    return *only != NULL ? suites[i] : NULL;
  }
  return NULL;
}

static int list(void) {
  for (int i = 0; i < N_SUITES; i++) {
    printf("%-9s %s\n         ", suites[i]->name, suites[i]->doc);
    for (int k = 0; suites[i]->cases[k] != NULL; k++)
      printf(" %s", suites[i]->cases[k]);
    printf("\n");
  }
  return 0;
}

/* ---- the work directory ---------------------------------------------------------------------------- */

static bool make_work_dir(arguments *a) {
  const char *base = a->spill;

  if (base == NULL)
    base = getenv("MARS_SPILL_DIR");
  if (base == NULL || base[0] == '\0')
    base = getenv("TMPDIR");
  if (base == NULL || base[0] == '\0')
    base = "/tmp";
  if (strlen(base) > 400)
    return usage_error("the spill directory's name is longer than 400 characters:", base);
  snprintf(a->o.work_dir, sizeof a->o.work_dir, "%s/mars-bench-XXXXXX", base);
  if (mkdtemp(a->o.work_dir) != NULL)
    return true;
  fprintf(stderr, "mars-bench: cannot make a directory in %s: %s\n", base, strerror(errno));
  a->o.work_dir[0] = '\0';
  return false;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  return remove(path);
}

static void remove_work_dir(const arguments *a) {
  if (a->o.work_dir[0] != '\0')
    nftw(a->o.work_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- run ------------------------------------------------------------------------------------------- */

static int run_suites(const arguments *a) {
  bench_report *r = bench_report_create(&a->o);
  const char *only;
  int failures;

  if (r == NULL) {
    fprintf(stderr, "mars-bench: out of memory\n");
    return 1;
  }
  for (int i = 0; i < a->n_names; i++) {
    const bool all = strcmp(a->names[i], "all") == 0;
    for (int k = 0; k < N_SUITES && !bench_interrupted(); k++)
      if (all || find_suite(a->names[i], &only) == suites[k])
        suites[k]->run(&a->o, all ? NULL : only, r);
  }
  failures = bench_report_failures(r);
  if (a->json != NULL && !bench_report_write_json(r, a->json)) {
    fprintf(stderr, "mars-bench: cannot write %s: %s\n", a->json, strerror(errno));
    failures++;
  }
  bench_report_destroy(r);
  return failures > 0 ? 1 : 0;
}

static bool check_names(arguments *a) {
  const char *only;

  if (a->n_names == 0 && a->o.scale == BENCH_QUICK)
    a->names[a->n_names++] = "all";
  if (a->n_names == 0)
    return usage_error("name a suite; see", "mars-bench list");
  for (int i = 0; i < a->n_names; i++)
    if (strcmp(a->names[i], "all") != 0 && find_suite(a->names[i], &only) == NULL)
      return usage_error("no such suite or case:", a->names[i]);
  return true;
}

int main(int argc, char **argv) {
  const struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: reads end */
  arguments a = {.o = {.scale = BENCH_NORMAL}};
  cpu_set_t cpus;
  int status;

  if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0) {
    fputs(usage, argc < 2 ? stderr : stdout);
    return argc < 2 ? 2 : 0;
  }
  if (strcmp(argv[1], "list") == 0)
    return list();
  const bool limits = strcmp(argv[1], "limits") == 0;
  if (!limits && strcmp(argv[1], "run") != 0)
    return usage_error("unknown command", argv[1]), 2;
  a.o.threads = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  if (!parse_arguments(argc, argv, &a) || (!limits && !check_names(&a)))
    return 2;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  if (!make_work_dir(&a))
    return 1;
  status = limits ? bench_limits(&a.o) : run_suites(&a);
  remove_work_dir(&a);
  return bench_interrupted() ? 130 : status;
}
