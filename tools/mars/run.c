#include "run.h"
#include "fmt.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int signal) { stop_signal = signal; }

/* The second Ctrl-C ends the process at once: SA_RESETHAND. */
static void catch_signals(struct sigaction old[2]) {
  struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

  stop_signal = 0;
  sigemptyset(&act.sa_mask);
  sigaction(SIGINT, NULL, &old[0]);
  sigaction(SIGTERM, NULL, &old[1]);
  if (old[0].sa_handler != SIG_IGN) sigaction(SIGINT, &act, NULL); /* ignored under nohup: stays so */
  if (old[1].sa_handler != SIG_IGN) sigaction(SIGTERM, &act, NULL);
}

static void restore_signals(const struct sigaction old[2]) {
  sigaction(SIGINT, &old[0], NULL);
  sigaction(SIGTERM, &old[1], NULL);
}

static int terminal_columns(void) {
  struct winsize w;

  return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void draw(mars_job *job) {
  mars_progress p = {0};
  char text[256];

  mars_job_get_progress(job, &p);
  if (p.tasks_total <= 0) return;
  mt_progress_text(&p, terminal_columns(), text, sizeof text);
  mt_status_line(text);
}

static double now(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The pause grows with the time that has passed, so that short jobs do not wait for it. */
static void wait_for(mars_job *job, bool progress) {
  double start = now(), drawn = start + 0.4, t;
  bool cancelled = false;

  while (!mars_job_done(job)) {
    t = now();
    if (stop_signal && !cancelled) {
      mars_cancel(job);
      cancelled = true;
    }
    if (progress && t - drawn >= 0.1) {
      draw(job);
      drawn = t;
    }
    double pause = 0.1 * (t - start);
    pause = pause < 50e-6 ? 50e-6 : pause > 0.05 ? 0.05 : pause;
    nanosleep(&(struct timespec){0, (long)(pause * 1e9)}, NULL); /* a signal ends it early */
  }
  if (progress) mt_status_line(NULL);
}

bool mt_run(mars_session *s, const mars_output *outputs, size_t n, const mt_options *o, mars_stats *stats, mt_diag *diag) {
  bool progress = !o->no_progress && !o->quiet && isatty(STDERR_FILENO);
  struct sigaction old[2];
  mars_error err = {0};
  mars_job *job = NULL;
  mars_status st;

  catch_signals(old);
  st = mars_submit(s, outputs, n, &job, &err);
  if (st == MARS_OK) {
    wait_for(job, progress);
    st = mars_wait(job, &err);
    if (stats) mars_job_get_stats(job, stats);
    mars_job_release(job);
  }
  restore_signals(old);
  if (st == MARS_OK) return true;
  if (st == MARS_E_CANCELLED && stop_signal)
    return mt_fail(diag, 128 + stop_signal, NULL, 0, "cancelled; no result was written");
  return mt_fail(diag, MT_EXIT_RUN, NULL, 0, "%s", err.message[0] ? err.message : mars_status_text(st));
}
