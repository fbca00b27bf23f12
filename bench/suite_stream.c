/* (x + 1)*2 from an npy file to an npy file, both larger than the budget. */
#include "bench/hand/kernels.h"
#include "bench/limits/disk.h"
#include "bench/util.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct stream_case {
  const bench_options *o;
  int64_t n;
  size_t budget_bytes;
  mars_session *s;
  char in[BENCH_PATH], out[BENCH_PATH], raw[BENCH_PATH];
} stream_case;

static size_t file_bytes(const stream_case *c) {
  return DISK_NPY_HEADER + (size_t)c->n * sizeof(double);
}

static bool prepare(void *ctx, char *error) {
  stream_case *c = ctx;
  return disk_make_npy(c->in, c->n, 0, error);
}

static bool open_stream(void *ctx, bool ours, bool others, char *error) {
  stream_case *c = ctx;
  return !ours || bench_session_open(c->o, c->budget_bytes, 0, &c->s, error);
}

static void close_stream(void *ctx) {
  mars_session_destroy(((stream_case *)ctx)->s);
}

/* 10,000 places of the written file, read without the library. */
static bool verify(const stream_case *c, double *last) {
  enum { PLACES = 10000 };
  const int fd = open(c->out, O_RDONLY | O_CLOEXEC);
  unsigned char head[10];
  struct stat st;
  char text[16384] = "", shape[64]; /* writers may pad the header, e.g. to a page */
  bool ok =
      fd >= 0 && fstat(fd, &st) == 0 && pread(fd, head, 10, 0) == 10 && memcmp(head, "\x93NUMPY\x01", 7) == 0;
  const size_t header = ok ? 10 + head[8] + 256u * head[9] : 0;

  snprintf(shape, sizeof shape, "'shape': (%lld,)", (long long)c->n);
  ok = ok && header - 10 < sizeof text && pread(fd, text, header - 10, 10) == (ssize_t)(header - 10);
  ok = ok && strstr(text, "'<f8'") != NULL && strstr(text, shape) != NULL;
  ok = ok && (size_t)st.st_size == header + (size_t)c->n * sizeof(double);
  for (int k = 0; k < PLACES && ok; k++) {
    const int64_t at = (int64_t)((double)(c->n - 1) * k / (PLACES - 1));
    ok = pread(fd, last, sizeof *last, (off_t)(header + (size_t)at * sizeof(double))) == sizeof *last &&
         *last == (bench_datum(0, (uint64_t)at) + 1.0) * 2.0;
  }
  if (fd >= 0)
    close(fd);
  return ok;
}

static void run_ours(void *ctx, bool check, bench_sample *s) {
  stream_case *c = ctx;
  double start;

  disk_forget(c->in);
  start = bench_now();
  mars_scope_open(c->s);
  mars_tensor *x = mars_from_npy(c->s, c->in);
  mars_tensor *y = mars_mul(mars_add(x, mars_int(c->s, 1)), mars_int(c->s, 2));
  bench_execute(c->s, &(mars_output){.tensor = y, .sink = MARS_SINK_NPY, .path = c->out}, 1, s);
  mars_scope_close(c->s);
  s->seconds = bench_now() - start;
  if (check && s->ok)
    s->correct = verify(c, &s->result);
  unlink(c->out);
}

static void axpb_block(void *user, char *buf, size_t offset, size_t len) {
  const size_t skip = offset == 0 ? DISK_NPY_HEADER : 0;
  hand_kernels_get()->axpb_in_place((double *)(buf + skip), (int64_t)((len - skip) / sizeof(double)));
}

static void run_hand(void *ctx, bool check, bench_sample *s) {
  stream_case *c = ctx;

  disk_forget(c->in);
  s->seconds = disk_time_copy(c->in, c->raw, file_bytes(c), 16, axpb_block, NULL, false, s->error);
  s->ok = s->seconds > 0;
}

/* The better of two depths, where that does not take minutes. */
static void run_limit(void *ctx, bool check, bench_sample *s) {
  stream_case *c = ctx;
  double deeper;

  disk_forget(c->in);
  s->seconds = disk_time_copy(c->in, c->raw, file_bytes(c), 16, NULL, NULL, false, s->error);
  s->ok = s->seconds > 0;
  if (!s->ok || c->n > 1000000000)
    return;
  deeper = disk_time_copy(c->in, c->raw, file_bytes(c), 32, NULL, NULL, false, s->error);
  if (deeper > 0)
    s->seconds = fmin(s->seconds, deeper);
}

static void run(const bench_options *o, const char *only, bench_report *r) {
  const double bytes = bench_size(o, 4e9, 64e6, 3.2e10);
  stream_case c = {.o = o,
                   .n = (int64_t)(bytes / 8),
                   .budget_bytes =
                       bench_budget(o, o->scale == BENCH_QUICK ? (size_t)32 << 20 : (size_t)512 << 20)};
  bench_job job = {.suite = "stream",
                   .name = o->cgroup ? "cgroup" : "npy",
                   .size = 8.0 * (double)c.n,
                   .dtype = "f64",
                   .budget_bytes = c.budget_bytes,
                   .work = 8.0 * (double)c.n,
                   .work_scale = 1e-9,
                   .unit = "GB/s",
                   .limit_name = "raw copy",
                   .ctx = &c,
                   .prepare = prepare,
                   .open = open_stream,
                   .close = close_stream,
                   .run = {run_ours, run_hand, run_limit},
                   .isolated = true,
                   .long_runs = true,
                   .cgroup_bytes = o->cgroup ? c.budget_bytes + ((size_t)96 << 20) : 0,
                   .disk_bytes = 2 * bytes,
                   .peer_suite = "stream"};

  snprintf(c.in, sizeof c.in, "%.480s/stream-in.npy", o->work_dir);
  snprintf(c.out, sizeof c.out, "%.480s/stream-out.npy", o->work_dir);
  snprintf(c.raw, sizeof c.raw, "%.480s/stream-raw", o->work_dir);
  memcpy(job.input, c.in, sizeof job.input);
  memcpy(job.output, c.raw, sizeof job.output);
  bench_run_job(&job, o, r);
  unlink(c.in);
}

static const char *const cases[] = {"npy", NULL};
const bench_suite bench_suite_stream = {
    "stream", "(x + 1)*2 from an npy file to an npy file in a small budget", cases, run};
