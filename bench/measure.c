/*
 * Runs the contenders of one case in turn and makes a row of it.
 *
 * Contenders live in forked processes, which are told over a socket to run once. The parent has no big
 * buffers and no threads, so a child's peak RSS is its own.
 */
#include "bench/util.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct worker {
  pid_t pid;
  int fd;
} worker;

typedef struct request {
  int lane;
  bool check;
} request;

static bool send_all(int fd, const void *data, size_t bytes) {
  return send(fd, data, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static bool receive_all(int fd, void *data, size_t bytes) {
  char *at = data;

  while (bytes > 0) {
    const ssize_t got = read(fd, at, bytes);
    if (got <= 0)
      return false; /* EINTR too: a signal asks us to stop */
    at += got;
    bytes -= (size_t)got;
  }
  return true;
}

/* ---- the child ------------------------------------------------------------------------------------- */

static void serve(const bench_job *job, bool ours, bool others, const char *cgroup, int fd) {
  bench_sample s;
  request r;
  bool opened;

  memset(&s, 0, sizeof s);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  opened = cgroup[0] == '\0' || bench_cgroup_enter(cgroup, s.error);
  opened = opened && job->open(job->ctx, ours, others, s.error);
  s.ok = opened;
  send_all(fd, &s, sizeof s);
  while (opened && receive_all(fd, &r, sizeof r)) {
    memset(&s, 0, sizeof s);
    usleep(20000); /* threads of the last contender spin for some milliseconds */
    bench_rss_reset();
    job->run[r.lane](job->ctx, r.check, &s);
    s.peak_rss_bytes = bench_rss_peak();
    if (!send_all(fd, &s, sizeof s))
      break;
  }
  job->close(job->ctx);
  fflush(stdout);
  _exit(0);
}

/* ---- the parent ------------------------------------------------------------------------------------ */

static void worker_stop(worker *w) {
  if (w->pid <= 0)
    return;
  close(w->fd); /* a child that waits for a request ends by itself */
  if (bench_interrupted())
    kill(w->pid, SIGKILL);
  while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
    kill(w->pid, SIGKILL);
  w->pid = 0;
}

static bool worker_receive(worker *w, bench_sample *s) {
  int status = 0;

  if (receive_all(w->fd, s, sizeof *s))
    return s->ok;
  memset(s, 0, sizeof *s);
  if (bench_interrupted()) {
    bench_set_error(s->error, "interrupted");
  } else if (waitpid(w->pid, &status, 0) == w->pid) {
    close(w->fd);
    w->pid = 0;
    if (WIFSIGNALED(status))
      bench_set_error(s->error, "the process was ended by signal %d (%s)", WTERMSIG(status),
                      strsignal(WTERMSIG(status)));
    else
      bench_set_error(s->error, "the process ended with status %d", WEXITSTATUS(status));
  }
  return false;
}

static bool worker_start(const bench_job *job, bool ours, bool others, const char *cgroup, worker *w,
                         char *error) {
  bench_sample s;
  int fds[2];

  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    bench_set_error(error, "socketpair: %s", strerror(errno));
    return false;
  }
  fflush(stdout);
  w->pid = fork();
  if (w->pid == 0) {
    close(fds[0]);
    serve(job, ours, others, cgroup, fds[1]);
  }
  close(fds[1]);
  w->fd = fds[0];
  if (w->pid < 0) {
    bench_set_error(error, "fork: %s", strerror(errno));
    close(fds[0]);
    return false;
  }
  if (worker_receive(w, &s))
    return true;
  memcpy(error, s.error, BENCH_TEXT);
  worker_stop(w);
  return false;
}

static bool worker_run(worker *w, bench_lane lane, bool check, bench_sample *s) {
  const request r = {lane, check};

  if (w->pid > 0 && send_all(w->fd, &r, sizeof r))
    return worker_receive(w, s);
  memset(s, 0, sizeof *s);
  bench_set_error(s->error, "the process is gone");
  return false;
}

double bench_median(const double *values, int n) {
  double sorted[BENCH_MAX_REPEAT];

  if (n <= 0 || n > BENCH_MAX_REPEAT)
    return NAN;
  for (int i = 0; i < n; i++) {
    int at = i;
    for (; at > 0 && sorted[at - 1] > values[i]; at--)
      sorted[at] = sorted[at - 1];
    sorted[at] = values[i];
  }
  return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static double to_rate(const bench_job *job, double seconds) {
  return (job->inverse ? seconds / job->work : job->work / seconds) * job->work_scale;
}

/* The contenders of one case while they are measured. */
typedef struct contest {
  const bench_job *job;
  const bench_options *o;
  worker workers[2]; /* ours; others when isolated */
  worker *of[BENCH_LANES];
  double seconds[BENCH_LANES][BENCH_MAX_REPEAT];
  double ratio[BENCH_LANES][BENCH_MAX_REPEAT];
  double hand_result;
  int repeat;
} contest;

static void note_sample(const contest *c, const char *who, int i, double seconds) {
  if (c->o->verbose)
    fprintf(stderr, "  %s:%s %-7s run %d: %.6f s\n", c->job->suite, c->job->name, who, i, seconds);
}

static bool run_ours(contest *c, bool check, bench_sample *s, bench_row *row) {
  if (!worker_run(c->of[BENCH_OURS], BENCH_OURS, check, s)) {
    memcpy(row->error, s->error, BENCH_TEXT);
    return false;
  }
  if (check) {
    row->correct = s->correct;
    row->result = s->result;
  }
  if (s->peak_rss_bytes > row->peak_rss_bytes)
    row->peak_rss_bytes = s->peak_rss_bytes;
  row->stats = s->stats;
  return true;
}

/* A contender that fails is left out with a note; ours fails the row. */
static bool run_other(contest *c, bench_lane lane, bench_sample *s) {
  if (worker_run(c->of[lane], lane, false, s))
    return true;
  fprintf(stderr, "mars-bench: %s:%s: %s left out: %s\n", c->job->suite, c->job->name,
          lane == BENCH_HAND ? "hand-written version" : c->job->limit_name, s->error);
  c->of[lane] = NULL;
  return false;
}

static bool warm_up(contest *c, bench_row *row) {
  bench_sample s;

  if (!run_ours(c, true, &s, row))
    return false;
  for (int lane = BENCH_HAND; lane < BENCH_LANES; lane++)
    if (c->of[lane] != NULL)
      run_other(c, lane, &s);
  return !bench_interrupted();
}

static bool rounds(contest *c, bench_row *row) {
  static const char *const who[] = {"mars", "hand", "limit"};
  bench_sample s;

  for (int i = 0; i < c->repeat; i++) {
    if (!run_ours(c, c->job->long_runs && i == c->repeat - 1, &s, row))
      return false;
    c->seconds[BENCH_OURS][i] = s.seconds;
    note_sample(c, who[0], i, s.seconds);
    for (int lane = BENCH_HAND; lane < BENCH_LANES; lane++) {
      if (c->of[lane] == NULL || !run_other(c, lane, &s))
        continue;
      if (lane == BENCH_HAND)
        c->hand_result = s.result;
      c->seconds[lane][i] = s.seconds;
      c->ratio[lane][i] = s.seconds / c->seconds[BENCH_OURS][i];
      note_sample(c, who[lane], i, s.seconds);
    }
    if (bench_interrupted())
      return false;
  }
  return true;
}

#define PEER_PATIENCE 90.0 /* seconds of timed runs of one peer, then its repeats stop */

static void measure_peer(contest *c, const char *name, bench_row *row) {
  bench_peer_result *to = &row->peers[row->n_peers];
  double seconds[BENCH_MAX_REPEAT], ratio[BENCH_MAX_REPEAT], result = NAN, spent = 0;
  char error[BENCH_TEXT] = "";
  bench_sample s;
  bench_peer *p = bench_peer_start(name, c->job, c->o, error);
  int n = 0;

  if (p != NULL && (c->job->long_runs || bench_peer_run(p, &seconds[0], &result, error))) {
    while (n < c->repeat && spent < PEER_PATIENCE && !bench_interrupted()) {
      if (!run_ours(c, false, &s, row) || !bench_peer_run(p, &seconds[n], &result, error))
        break;
      ratio[n] = seconds[n] / s.seconds;
      spent += seconds[n];
      note_sample(c, name, n, seconds[n]);
      n++;
    }
  }
  if (n > 0) {
    snprintf(to->name, sizeof to->name, "%s", name);
    snprintf(to->version, sizeof to->version, "%s", bench_peer_version(p));
    to->seconds = bench_median(seconds, n);
    to->ratio = bench_median(ratio, n);
    row->n_peers++;
    if (isfinite(result) && !bench_close_to(result, row->result, 1e-3))
      fprintf(stderr, "mars-bench: %s:%s: %s computed %.12g, mars %.12g\n", c->job->suite, c->job->name, name,
              result, row->result);
  } else if (error[0] != '\0') {
    fprintf(stderr, "mars-bench: %s:%s: %s left out: %s\n", c->job->suite, c->job->name, name, error);
  }
  bench_peer_stop(p);
}

/* Files that a case needs are made by a process that then ends: its buffers never count for ours. */
static bool prepare_files(const bench_job *job, char *error) {
  int fds[2], status = 1;
  ssize_t got;
  pid_t pid;

  if (job->prepare == NULL)
    return true;
  if (pipe(fds) != 0) {
    bench_set_error(error, "pipe: %s", strerror(errno));
    return false;
  }
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    char text[BENCH_TEXT] = "";
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    status = job->prepare(job->ctx, text) ? 0 : 1;
    if (write(fds[1], text, sizeof text) < 0)
      status = 1;
    _exit(status);
  }
  close(fds[1]);
  got = pid < 0 ? -1 : read(fds[0], error, BENCH_TEXT);
  close(fds[0]);
  if (pid > 0 && bench_interrupted())
    kill(pid, SIGKILL);
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
    kill(pid, SIGKILL);
  if (status == 0)
    error[0] = '\0';
  if (status != 0 && (got <= 0 || error[0] == '\0'))
    bench_set_error(error, "the input could not be made");
  return status == 0;
}

static bool start_workers(contest *c, const char *cgroup, bench_row *row) {
  const bool others = c->job->run[BENCH_HAND] != NULL || c->job->run[BENCH_LIMIT] != NULL;
  const bool two = c->job->isolated && others;

  if (!worker_start(c->job, true, others && !two, cgroup, &c->workers[0], row->error))
    return false;
  if (two && !worker_start(c->job, false, true, "", &c->workers[1], row->error))
    return false;
  for (int lane = 0; lane < BENCH_LANES; lane++)
    if (c->job->run[lane] != NULL)
      c->of[lane] = &c->workers[two && lane != BENCH_OURS];
  return true;
}

static bool enough_disk(const bench_job *job, const bench_options *o, char *error) {
  struct statvfs v;

  if (job->disk_bytes <= 0 || statvfs(o->work_dir, &v) != 0)
    return true;
  const double have = (double)v.f_bavail * (double)v.f_frsize;
  if (have >= job->disk_bytes + 1e9)
    return true;
  bench_set_error(error, "needs %.1f GB free in %s, which has %.1f", (job->disk_bytes + 1e9) * 1e-9,
                  o->work_dir, have * 1e-9);
  return false;
}

static void compare_results(const contest *c, bench_row *row) {
  if (c->job->same_as_hand <= 0 || c->of[BENCH_HAND] == NULL ||
      bench_close_to(row->result, c->hand_result, c->job->same_as_hand))
    return;
  row->correct = false;
  fprintf(stderr, "mars-bench: %s:%s: the hand-written version computed %.17g, mars %.17g\n", c->job->suite,
          c->job->name, c->hand_result, row->result);
}

static void fill_row(const contest *c, bench_row *row) {
  const bench_job *job = c->job;

  row->seconds = bench_median(c->seconds[BENCH_OURS], c->repeat);
  row->rate = to_rate(job, row->seconds);
  if (c->of[BENCH_HAND] != NULL) {
    row->has_hand = true;
    row->hand_seconds = bench_median(c->seconds[BENCH_HAND], c->repeat);
    row->hand_ratio = bench_median(c->ratio[BENCH_HAND], c->repeat);
  }
  if (c->of[BENCH_LIMIT] != NULL) {
    row->has_limit = true;
    row->limit_value = to_rate(job, bench_median(c->seconds[BENCH_LIMIT], c->repeat));
    row->limit_fraction = bench_median(c->ratio[BENCH_LIMIT], c->repeat);
    snprintf(row->limit_name, sizeof row->limit_name, "%s", job->limit_name);
  }
}

void bench_measure(const bench_job *job, const bench_options *o, bench_row *row) {
  char cgroup[BENCH_PATH] = "";
  contest *c = calloc(1, sizeof *c);

  memset(row, 0, sizeof *row);
  snprintf(row->suite, sizeof row->suite, "%s", job->suite);
  snprintf(row->name, sizeof row->name, "%s", job->name);
  snprintf(row->dtype, sizeof row->dtype, "%s", job->dtype);
  snprintf(row->unit, sizeof row->unit, "%s", job->unit);
  row->size = job->size;
  row->threads = o->threads;
  row->budget_bytes = job->budget_bytes;
  if (c == NULL) {
    bench_set_error(row->error, "out of memory");
    return;
  }
  c->job = job;
  c->o = o;
  c->repeat = o->repeat > 0 ? o->repeat : job->long_runs || o->scale == BENCH_QUICK ? 3 : 5;
  if (!enough_disk(job, o, row->error) || !prepare_files(job, row->error))
    goto done;
  if (job->cgroup_bytes > 0 && !bench_cgroup_create(job->cgroup_bytes, cgroup, row->error))
    goto done;
  if (!start_workers(c, cgroup, row))
    goto done;
  if (!job->long_runs && !warm_up(c, row))
    goto done;
  if (!rounds(c, row))
    goto done;
  fill_row(c, row);
  compare_results(c, row);
  for (int i = 0; i < BENCH_MAX_PEERS && job->peer_suite != NULL; i++)
    if (o->peers[i] && !bench_interrupted())
      measure_peer(c, bench_peer_names[i], row);
done:
  if (bench_interrupted() && row->error[0] == '\0')
    bench_set_error(row->error, "interrupted");
  worker_stop(&c->workers[1]);
  worker_stop(&c->workers[0]);
  bench_cgroup_remove(cgroup);
  free(c);
}

bool bench_run_job(const bench_job *job, const bench_options *o, bench_report *r) {
  bench_row row;

  if (bench_interrupted())
    return false;
  bench_measure(job, o, &row);
  bench_report_add(r, &row);
  return row.error[0] == '\0';
}
