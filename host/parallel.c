/* Fork and join over OpenMP. Contract: host/parallel.h. */
#include "host/parallel.h"

#include "engine/status.h"

#include <omp.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

/* libgomp is not built with ThreadSanitizer: tell it of the fork and of the join. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *);
void __tsan_release(void *);
#define HANDS_OVER(p) __tsan_release(p)
#define TAKES_OVER(p) __tsan_acquire(p)
#else
#define HANDS_OVER(p) (void)(p)
#define TAKES_OVER(p) (void)(p)
#endif

enum { MAX_THREADS = 1024 };

/* Which thread was bound as which worker: a number per pool, so that a thread that serves two pools is bound anew. */
static _Thread_local uint64_t bound_for;
static atomic_ullong next_pool;

struct mx_pool {
  mx_mem *mem;
  const mx_host_machine *machine;
  uint64_t id;
  int threads;
  bool bind;
};

typedef struct job {
  _Alignas(64) atomic_llong next; /* its own line: every worker writes it */
  _Alignas(64) int64_t n_units;
  int64_t grain;
  mx_unit_fn *fn;
  void *ctx;
  char fork, join; /* addresses for the annotations */
} job;

/* ---- can they start? ----
 * libgomp ends the process when a thread cannot be created. So try first, with plain threads that all live at once. */

typedef struct trial {
  pthread_mutex_t lock;
  pthread_cond_t go;
  bool open;
} trial;

static void *trial_main(void *arg) {
  trial *t = arg;

  pthread_mutex_lock(&t->lock);
  while (!t->open) pthread_cond_wait(&t->go, &t->lock);
  pthread_mutex_unlock(&t->lock);
  return NULL;
}

static int startable(mx_mem *mem, int extra) {
  trial t = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
  pthread_t *ids = mx_calloc(mem, (size_t)extra, sizeof *ids);
  int n = 0;

  if (ids == NULL) return 0;
  while (n < extra && pthread_create(&ids[n], NULL, trial_main, &t) == 0) n++;
  pthread_mutex_lock(&t.lock);
  t.open = true;
  pthread_cond_broadcast(&t.go);
  pthread_mutex_unlock(&t.lock);
  for (int i = 0; i < n; i++) pthread_join(ids[i], NULL);
  mx_free(mem, ids);
  return n;
}

mars_status mx_pool_create(mx_mem *mem, const mx_host_machine *machine, int threads, bool bind, mx_pool **out,
                           mars_error *err) {
  mx_pool *pool;

  *out = NULL;
  if (threads < 0 || threads > MAX_THREADS)
    return mx_fail(err, MARS_E_ARG, "mars_session_create: %d threads; 0 (all) to %d", threads, MAX_THREADS);
  pool = mx_alloc(mem, sizeof *pool);
  if (pool == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for the thread pool");
  if (threads == 0) {
    threads = machine->cores < MAX_THREADS ? machine->cores : MAX_THREADS;
    if (machine->cpu_quota > 0 && machine->cpu_quota < threads) threads = machine->cpu_quota;
  }
  pool->mem = mem;
  pool->machine = machine;
  pool->bind = bind;
  pool->id = atomic_fetch_add(&next_pool, 1) + 1;
  pool->threads = threads > 1 ? 1 + startable(mem, threads - 1) : 1;
  *out = pool;
  return MARS_OK;
}

void mx_pool_destroy(mx_pool *pool) {
  if (pool != NULL) mx_free(pool->mem, pool);
}

int mx_pool_threads(const mx_pool *pool) { return pool->threads; }

/* Once per thread and pool. The process's first thread is the user's: it is left where it is. */
static void bind_self(const mx_pool *pool, int worker) {
  hwloc_obj_t unit;

  if (bound_for == pool->id) return;
  bound_for = pool->id;
  if (syscall(SYS_gettid) == getpid()) return;
  unit = mx_host_machine_unit(pool->machine, worker);
  if (unit != NULL) (void)hwloc_set_cpubind(pool->machine->topology, unit->cpuset, HWLOC_CPUBIND_THREAD);
}

static void work(job *j, int thread) {
  for (;;) {
    int64_t begin = atomic_fetch_add_explicit(&j->next, j->grain, memory_order_relaxed), end = begin + j->grain;

    if (begin >= j->n_units) return;
    j->fn(j->ctx, thread, begin, end < j->n_units ? end : j->n_units);
  }
}

void mx_parallel_for(mx_pool *pool, int64_t n_units, int64_t grain, mx_unit_fn *fn, void *ctx) {
  int threads = n_units < pool->threads ? (int)n_units : pool->threads;
  job j = {.n_units = n_units, .fn = fn, .ctx = ctx};

  if (n_units <= 0) return;
  if (threads <= 1) {
    fn(ctx, 0, 0, n_units);
    return;
  }
  /* many small units: take several at once, but leave 16 turns a thread to even out */
  j.grain = grain > 0 ? grain : n_units / (threads * 16);
  if (j.grain < 1) j.grain = 1;
  atomic_init(&j.next, 0);
  HANDS_OVER(&j.fork);
#pragma omp parallel num_threads(threads) default(none) shared(j, pool)
  {
    int me = omp_get_thread_num();

    TAKES_OVER(&j.fork);
    if (pool->bind) bind_self(pool, me);
    work(&j, me);
    HANDS_OVER(&j.join);
  }
  TAKES_OVER(&j.join);
}
