/* Sessions from the command line, and who may write to the terminal. */
#include "options.h"

#include <pthread.h>

/* ---- stderr, shared by the progress line and the library's messages -------------------------------- */

static pthread_mutex_t stderr_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool line_shown; /* under the mutex */

static void erase_line(void) {
  if (line_shown) fputs("\r\033[K", stderr);
  line_shown = false;
}

void mt_stderr_lock(void) {
  pthread_mutex_lock(&stderr_mutex);
  erase_line();
}

void mt_stderr_unlock(void) {
  fflush(stderr);
  pthread_mutex_unlock(&stderr_mutex);
}

void mt_status_line(const char *text) {
  mt_stderr_lock();
  if (text) {
    fprintf(stderr, "%s", text);
    line_shown = true;
  }
  mt_stderr_unlock();
}

/* ---- sessions ------------------------------------------------------------------------------------- */

static void log_to_stderr(void *user, mars_log_level level, const char *text) {
  const mt_options *o = user;
  static const char *const names[] = {"debug: ", "", "warning: ", "error: "};

  if (o->quiet || (level < MARS_LOG_WARNING && !o->verbose)) return;
  mt_stderr_lock();
  fprintf(stderr, "mars: %s%s\n", names[level], text);
  mt_stderr_unlock();
}

bool mt_session_open(const mt_options *o, mars_session **out, mt_diag *diag) {
  mars_session_config config;
  mars_error err = {0};

  mars_session_config_init(&config);
  config.host_budget_bytes = o->budget_bytes;
  config.devices = o->devices;
  config.device_budget_bytes = o->device_budget_bytes;
  config.threads = o->threads;
  config.chunk_elements = o->chunk_elements;
  config.no_fusion = o->no_fusion;
  if (o->n_spill) {
    config.spill_dirs = o->spill;
    config.n_spill_dirs = o->n_spill;
  }
  if (o->no_spill) {
    config.spill_dirs = NULL;
    config.n_spill_dirs = MARS_SPILL_OFF;
  }
  config.log = log_to_stderr;
  config.user = (void *)o;
  if (mars_session_create(&config, out, &err) != MARS_OK) return mt_fail(diag, MT_EXIT_RUN, NULL, 0, "%s", err.message);
  if (o->has_seed) mars_random_seed(*out, o->seed);
  return true;
}
