#include "bench/util.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

double bench_size(const bench_options *o, double normal, double quick, double headline) {
  if (o->size > 0)
    return o->size;
  return o->scale == BENCH_QUICK ? quick : o->scale == BENCH_HEADLINE ? headline : normal;
}

size_t bench_budget(const bench_options *o, size_t normal_bytes) {
  return o->budget_bytes > 0 ? o->budget_bytes : normal_bytes;
}

void bench_set_error(char *error, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(error, BENCH_TEXT, fmt, ap);
  va_end(ap);
}

#define HUGE ((size_t)2 << 20)

static size_t mapped_bytes(size_t bytes) {
  return (bytes + 2 * HUGE - 1) & ~(HUGE - 1);
}

void *bench_alloc(size_t bytes, int threads) {
  const size_t mapped = mapped_bytes(bytes);
  char *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (p == MAP_FAILED)
    return NULL;
  madvise(p, mapped, MADV_HUGEPAGE);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (size_t i = 0; i < mapped; i += 4096)
    p[i] = 0;
  return p; /* 2 MiB alignment only where the kernel gives it: 4 KiB is what the kernels need */
}

void bench_free(void *p, size_t bytes) {
  if (p != NULL)
    munmap(p, mapped_bytes(bytes));
}

size_t bench_physical_memory(void) {
  return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

double bench_datum(int k, uint64_t i) {
  static const uint32_t odd[] = {2654435761u, 2246822519u, 3266489917u, 668265263u};
  return (uint32_t)(i * odd[k]) * 0x1p-32;
}

void bench_fill_f64(double *x, int k, int64_t n, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < n; i++)
    x[i] = bench_datum(k, (uint64_t)i);
}

void bench_fill_f32(float *x, int k, int64_t n, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < n; i++)
    x[i] = (float)bench_datum(k, (uint64_t)i);
}

bool bench_session_open(const bench_options *o, size_t budget_bytes, int64_t chunk_elements,
                        mars_session **out, char *error) {
  const char *dirs[] = {o->work_dir};
  mars_session_config config;
  mars_error err;
  mars_status st;

  mars_session_config_init(&config);
  config.host_budget_bytes = budget_bytes;
  config.devices = o->devices;
  config.device_budget_bytes = o->device_budget_bytes;
  config.threads = o->threads;
  config.spill_dirs = dirs;
  config.n_spill_dirs = 1;
  config.chunk_elements = chunk_elements;
  st = mars_session_create(&config, out, &err);
  if (st != MARS_OK)
    bench_set_error(error, "%s: %s", mars_status_name(st), err.message);
  return st == MARS_OK;
}

bool bench_session_open_beside(const bench_options *o, size_t budget_bytes, mars_session **first, mars_session **out,
                               char *error) {
  mars_session_info info;

  mars_session_get_info(*first, &info);
  if (info.n_devices > 1 && o->device_budget_bytes == 0) { /* beyond the host */
    mars_session_destroy(*first);
    *first = NULL;
  }
  return bench_session_open(o, budget_bytes, 0, out, error);
}

bool bench_execute(mars_session *s, const mars_output *outputs, size_t n, bench_sample *sample) {
  mars_job *job = NULL;
  mars_error err;
  mars_status st;

  memset(&err, 0, sizeof err);
  st = mars_submit(s, outputs, n, &job, &err);
  if (st == MARS_OK)
    st = mars_wait(job, &err);
  if (st == MARS_OK)
    mars_job_get_stats(job, &sample->stats);
  mars_job_release(job);
  sample->ok = st == MARS_OK;
  if (st != MARS_OK)
    bench_set_error(sample->error, "%s: %s", mars_status_name(st), err.message);
  return sample->ok;
}

bool bench_fetch(mars_tensor *t, void *data, size_t bytes, bench_sample *sample) {
  mars_error err;
  mars_status st;

  memset(&err, 0, sizeof err);
  st = mars_fetch(t, data, bytes, &err);
  sample->ok = st == MARS_OK;
  if (st != MARS_OK)
    bench_set_error(sample->error, "%s: %s", mars_status_name(st), err.message);
  return sample->ok;
}

bool bench_close_to(double a, double b, double tolerance) {
  return fabs(a - b) <= tolerance * fmax(1.0, fabs(b)); /* false for NaN */
}

/* VmHWM, the high-water mark of the resident set, starts again from now when 5 is written to clear_refs. */
void bench_rss_reset(void) {
  FILE *f = fopen("/proc/self/clear_refs", "w");

  if (f == NULL)
    return;
  fputs("5", f);
  fclose(f);
}

size_t bench_rss_peak(void) {
  FILE *f = fopen("/proc/self/status", "r");
  char line[256];
  unsigned long kib = 0;

  if (f == NULL)
    return 0;
  while (fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, "VmHWM: %lu", &kib) == 1)
      break;
  fclose(f);
  return (size_t)kib * 1024;
}
