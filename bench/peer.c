/* Peers: Python scripts that prepare their data, then do one timed run for every line that they are sent. */
#include "bench/util.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const bench_peer_names[BENCH_MAX_PEERS] = {"numpy", "numexpr", "dask"};

struct bench_peer {
  pid_t pid;
  FILE *to, *from;
  char version[32];
};

/* The value behind "key": in one line of JSON as the scripts print it. */
static const char *find_value(const char *line, const char *key) {
  char pattern[32];
  const char *at;

  snprintf(pattern, sizeof pattern, "\"%s\": ", key);
  at = strstr(line, pattern);
  return at != NULL ? at + strlen(pattern) : NULL;
}

static void get_text(const char *line, const char *key, char *to, size_t cap) {
  const char *at = find_value(line, key);

  to[0] = '\0';
  if (at == NULL || *at != '"')
    return;
  snprintf(to, cap, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
}

static double get_number(const char *line, const char *key) {
  const char *at = find_value(line, key);
  return at != NULL && strncmp(at, "null", 4) != 0 ? strtod(at, NULL) : NAN;
}

static bool read_answer(bench_peer *p, char *line, size_t cap, char *error) {
  char text[BENCH_TEXT];

  if (fgets(line, (int)cap, p->from) == NULL) {
    bench_set_error(error, "%s", bench_interrupted() ? "interrupted" : "the script ended without an answer");
    return false;
  }
  get_text(line, "error", text, sizeof text);
  if (text[0] == '\0')
    return true;
  bench_set_error(error, "%s", text);
  return false;
}

/* A fresh environment for their BLAS: kernels chosen for this CPU, not for an older library's sake. */
static void become(const char *name, const bench_job *job, const bench_options *o) {
  const char *python = getenv("MARS_BENCH_PYTHON"), *dir = getenv("MARS_BENCH_PEERS");
  char script[BENCH_PATH], size[32], threads[16], repeat[16];

  if (python == NULL || python[0] == '\0')
    python = "/usr/bin/python3";
  snprintf(script, sizeof script, "%.450s/%s_peer.py", dir != NULL ? dir : MARS_BENCH_PEERS_DIR, name);
  snprintf(size, sizeof size, "%.0f", job->size);
  snprintf(threads, sizeof threads, "%d", o->threads);
  snprintf(repeat, sizeof repeat, "%d", o->repeat > 0 ? o->repeat : 5);
  unsetenv("OPENBLAS_CORETYPE");
  unsetenv("OPENBLAS_L2_SIZE");
  setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
  execl(python, python, script, job->peer_suite, job->name, size, job->dtype, threads, repeat, "--paced",
        "--input", job->input, "--output", job->output, (char *)NULL);
  _exit(127);
}

bench_peer *bench_peer_start(const char *name, const bench_job *job, const bench_options *o, char *error) {
  bench_peer *p = calloc(1, sizeof *p);
  int to[2] = {-1, -1}, from[2] = {-1, -1};
  char line[1024];

  if (p == NULL || pipe(to) != 0 || pipe(from) != 0) {
    bench_set_error(error, "cannot start it: %s", strerror(errno));
    goto failed;
  }
  fflush(stdout);
  p->pid = fork();
  if (p->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    dup2(to[0], 0);
    dup2(from[1], 1);
    for (int i = 0; i < 2; i++)
      close(to[i]), close(from[i]);
    become(name, job, o);
  }
  signal(SIGPIPE, SIG_IGN);
  p->to = fdopen(to[1], "w");
  p->from = fdopen(from[0], "r");
  close(to[0]);
  close(from[1]);
  if (p->pid < 0 || p->to == NULL || p->from == NULL) {
    bench_set_error(error, "cannot start it: %s", strerror(errno));
    bench_peer_stop(p);
    return NULL;
  }
  if (!read_answer(p, line, sizeof line, error)) {
    bench_peer_stop(p);
    return NULL;
  }
  get_text(line, "version", p->version, sizeof p->version);
  return p;
failed:
  for (int i = 0; i < 2; i++) {
    if (to[i] >= 0)
      close(to[i]);
    if (from[i] >= 0)
      close(from[i]);
  }
  free(p);
  return NULL;
}

bool bench_peer_run(bench_peer *p, double *seconds, double *result, char *error) {
  char line[1024];

  if (fputs("run\n", p->to) < 0 || fflush(p->to) != 0) {
    bench_set_error(error, "the script is gone");
    return false;
  }
  if (!read_answer(p, line, sizeof line, error))
    return false;
  *seconds = get_number(line, "seconds");
  *result = get_number(line, "result");
  if (*seconds > 0)
    return true;
  bench_set_error(error, "no time in its answer");
  return false;
}

const char *bench_peer_version(const bench_peer *p) {
  return p->version;
}

void bench_peer_stop(bench_peer *p) {
  if (p == NULL)
    return;
  if (p->to != NULL)
    fclose(p->to); /* end of input ends the script */
  if (p->pid > 0 && bench_interrupted())
    kill(p->pid, SIGKILL);
  while (p->pid > 0 && waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
    kill(p->pid, SIGKILL);
  if (p->from != NULL)
    fclose(p->from);
  free(p);
}
