/* Small helpers of the suites: memory, sessions, test data, comparison. */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include "bench/bench.h"

/** \brief Zeroed, touched memory aligned to 2 MiB with huge pages where they can be had; NULL: none. */
void *bench_alloc(size_t bytes, int threads);
void bench_free(void *p, size_t bytes);
size_t bench_physical_memory(void);

/** \brief x[i] = fraction of (i * an odd constant of array k) / 2^32: the same in C and in the peers. */
double bench_datum(int k, uint64_t i);
void bench_fill_f64(double *x, int k, int64_t n, int threads);
void bench_fill_f32(float *x, int k, int64_t n, int threads);

/** \brief Open a session with the options' threads, `budget_bytes` and spilling to the work directory. */
bool bench_session_open(const bench_options *o, size_t budget_bytes, int64_t chunk_elements,
                        mars_session **out, char *error);
/** \brief The same for a check beside an open session. On devices whose memory that one holds it goes first and is NULL then;
    the caller opens it again. */
bool bench_session_open_beside(const bench_options *o, size_t budget_bytes, mars_session **first, mars_session **out,
                               char *error);
/** \brief Submit and wait: stats and error go to the sample. Time it yourself. */
bool bench_execute(mars_session *s, const mars_output *outputs, size_t n, bench_sample *sample);
/* The call that waits for its result; there are no statistics of it. */
bool bench_fetch(mars_tensor *t, void *data, size_t bytes, bench_sample *sample);

/** \brief Whether a and b differ by at most `tolerance` times the greater of 1 and |b|. */
bool bench_close_to(double a, double b, double tolerance);

void bench_set_error(char *error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* peak RSS of this process since the last reset */
void bench_rss_reset(void);
size_t bench_rss_peak(void);

/* ---- memory cgroups (v1 or v2) --------------------------------------------------------------------- */

/** \brief Make a cgroup limited to `bytes`; its path goes to path[BENCH_PATH]. */
bool bench_cgroup_create(size_t bytes, char *path, char *error);
bool bench_cgroup_enter(const char *path, char *error);
void bench_cgroup_remove(const char *path);

/* ---- peers ----------------------------------------------------------------------------------------- */

extern const char *const bench_peer_names[BENCH_MAX_PEERS];

typedef struct bench_peer bench_peer; /* a running script */
/** \brief Start a peer's script and wait until its data are ready; NULL with the reason in error. */
bench_peer *bench_peer_start(const char *name, const bench_job *job, const bench_options *o, char *error);
/** \brief One timed run. */
bool bench_peer_run(bench_peer *p, double *seconds, double *result, char *error);
const char *bench_peer_version(const bench_peer *p);
void bench_peer_stop(bench_peer *p);

#endif
