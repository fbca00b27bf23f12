/*
 * mars-bench: options, contenders, rows.
 *
 * A suite describes each of its cases as a bench_job: what ours, the hand-written version and the physical
 * limit do. bench_measure forks the processes, runs the contenders in turn (A B C A B C ...), so that the
 * noise of a shared machine hits all alike, and fills a row. Ratios are medians of the ratios within one
 * turn.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <mars/mars.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_PATH 512
#define BENCH_TEXT 400
#define BENCH_MAX_PEERS 3
#define BENCH_MAX_REPEAT 101

/** Seconds of a clock that only goes forward. */
double bench_now(void);

/* ---- options --------------------------------------------------------------------------------------- */

typedef enum bench_scale { BENCH_NORMAL, BENCH_QUICK, BENCH_HEADLINE } bench_scale;

typedef struct bench_options {
  double size;         /**< 0: the suite's default */
  size_t budget_bytes; /**< 0: the suite's default */
  const char *devices; /**< NULL: the library's choice */
  size_t device_budget_bytes; /**< 0: the devices' choice */
  int threads;
  int repeat;                  /**< 0: the case's default */
  bool peers[BENCH_MAX_PEERS]; /**< in the order of bench_peer_names */
  bench_scale scale;
  bool cgroup;               /**< ours inside a memory cgroup where the suite says so */
  bool verbose;              /**< every sample to standard error */
  char work_dir[BENCH_PATH]; /**< fresh directory under --spill, removed at the end */
} bench_options;

/** \brief Size to use: --size, else the one for the scale. */
double bench_size(const bench_options *o, double normal, double quick, double headline);
size_t bench_budget(const bench_options *o, size_t normal_bytes);

/* ---- contenders ------------------------------------------------------------------------------------ */

typedef enum bench_lane { BENCH_OURS, BENCH_HAND, BENCH_LIMIT, BENCH_LANES } bench_lane;

/** What one run of a contender gave. */
typedef struct bench_sample {
  bool ok, correct;
  double seconds, result;
  size_t peak_rss_bytes; /**< of the process during this run */
  mars_stats stats;
  char error[BENCH_TEXT];
} bench_sample;

typedef struct bench_job bench_job;

/** One run. Sets seconds, and ok or error; ours also result and stats, and with `check` verifies and sets
 * correct. */
typedef void bench_run_fn(void *ctx, bool check, bench_sample *s);

struct bench_job {
  /* what it is */
  const char *suite, *name;
  double size; /* elements; bytes for stream; order of the matrices, or rows of tall ones */
  const char *dtype;
  size_t budget_bytes;
  double work;       /* units of one run: rate = work / seconds */
  double work_scale; /* printed rate = work / seconds * work_scale */
  const char *unit;  /* of the printed rate */
  bool inverse;      /* rate = seconds / work instead */
  const char *limit_name;

  /* how to run it; ctx is the suite's plain data, which every process copies when it is forked */
  void *ctx;
  bool (*prepare)(void *ctx, char *error); /* once, in a process of its own: files; NULL: nothing */
  bool (*open)(void *ctx, bool ours, bool others, char *error); /* in the process, before its first run */
  void (*close)(void *ctx);
  bench_run_fn *run[BENCH_LANES]; /* NULL: there is none */
  bool isolated;                  /* ours in a process of its own: its peak RSS counts */
  bool long_runs;                 /* no warm-up, three repeats: minutes of disk traffic */
  double same_as_hand;            /* > 0: ours must have the hand-written version's result, to this relative error */
  size_t cgroup_bytes;            /* 0: ours in no cgroup */
  double disk_bytes;              /* free space that it needs */

  /* peers: bench/peers/<peer>_peer.py; NULL: none fits */
  const char *peer_suite;
  char input[BENCH_PATH], output[BENCH_PATH]; /* files that peers read and write; empty: none */
};

/* ---- rows ------------------------------------------------------------------------------------------ */

typedef struct bench_peer_result {
  char name[16], version[32];
  double seconds, ratio;
} bench_peer_result;

typedef struct bench_row {
  char suite[16], name[24], dtype[8], unit[16], limit_name[32];
  double size;
  int threads;
  double seconds, rate;
  bool has_limit, has_hand;
  double limit_value, limit_fraction;
  double hand_seconds, hand_ratio;
  int n_peers;
  bench_peer_result peers[BENCH_MAX_PEERS];
  double result;
  bool correct;
  size_t budget_bytes, peak_rss_bytes;
  mars_stats stats;
  char error[BENCH_TEXT]; /**< why it failed; empty: it did not */
} bench_row;

typedef struct bench_report bench_report;

/** \brief Rows so far; NULL when there is no memory. */
bench_report *bench_report_create(const bench_options *o);
void bench_report_destroy(bench_report *r);
/** \brief Print the row and keep it. */
void bench_report_add(bench_report *r, const bench_row *row);
/** \brief Write all rows as a JSON list (temporary name, then renamed). \return false and errno set on
 * failure */
bool bench_report_write_json(const bench_report *r, const char *path);
/** \brief Rows that failed or were not correct. */
int bench_report_failures(const bench_report *r);

/** \brief Run the job's contenders and peers and fill *row; the row carries the error if there was one. */
void bench_measure(const bench_job *job, const bench_options *o, bench_row *row);
/** \brief bench_measure and bench_report_add. \return whether the row is without error */
bool bench_run_job(const bench_job *job, const bench_options *o, bench_report *r);
double bench_median(const double *values, int n);
/** \brief Whether SIGINT or SIGTERM asked to stop. */
bool bench_interrupted(void);

/* ---- suites ---------------------------------------------------------------------------------------- */

typedef struct bench_suite {
  const char *name, *doc;
  const char *const *cases;                                               /* NULL-terminated */
  void (*run)(const bench_options *o, const char *only, bench_report *r); /* only: a case's name, NULL: all */
} bench_suite;

extern const bench_suite bench_suite_pi, bench_suite_scale, bench_suite_axpb, bench_suite_stream,
    bench_suite_reduce, bench_suite_chain, bench_suite_aat, bench_suite_tssvd, bench_suite_matmul,
    bench_suite_factor, bench_suite_plan, bench_suite_overhead;

/** \brief Print the physical limits: memory, generator, arithmetic, drive. */
int bench_limits(const bench_options *o);

#endif
