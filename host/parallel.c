/*
 * Fork and join over an OpenMP team. Contract: host/parallel.h.
 *
 * The team is formed once and stays in its parallel region; work is handed to it through the words below. OpenMP's own
 * fork and join would do, but its workers spin for milliseconds after every region, on cores that the owner, session and
 * store threads need: in a job that waits for its drive that was 85 % of all processor time.
 */
#include "host/parallel.h"

#include "engine/status.h"

#include <limits.h>
#include <linux/futex.h>
#include <omp.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_THREADS = 1024 };

enum { OPEN = 1 << 30, SPINS = 300 }; /* some 10 us of pauses before a wait becomes a system call */

/* The pool for which this thread, as its caller, was bound last: pools have numbers, as addresses come again. */
static _Thread_local uint64_t caller_bound_for;
static atomic_ullong next_pool;

struct mx_pool {
  mx_mem *mem;
  uint64_t id;
  const mx_host_machine *machine;
  int threads;
  bool bind;
  pthread_t leader; /* of the team; exists if threads > 1 */
  _Alignas(64) atomic_uint turn;   /* grows with every job; workers sleep on it */
  atomic_int sleepers;
  atomic_bool stop;
  _Alignas(64) atomic_uint state;  /* OPEN while workers may join the job, plus how many are in it; the caller sleeps on it */
  _Alignas(64) atomic_llong next;  /* first unit that nobody took */
  _Alignas(64) int64_t n_units;    /* the job, written before state opens */
  int64_t grain;
  mx_unit_fn *fn;
  void *ctx;
};

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

/* ---- waiting ---- */

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void sleep_on(atomic_uint *word, unsigned seen) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0); }
static void wake_all(atomic_uint *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }

/* ---- workers ---- */

static void work(mx_pool *pool, int thread) {
  for (;;) {
    int64_t begin = atomic_fetch_add_explicit(&pool->next, pool->grain, memory_order_relaxed), end = begin + pool->grain;

    if (begin >= pool->n_units) return;
    pool->fn(pool->ctx, thread, begin, end < pool->n_units ? end : pool->n_units);
  }
}

/* A worker that comes late finds the job closed and is not waited for. */
static bool join(mx_pool *pool) {
  unsigned s = atomic_load_explicit(&pool->state, memory_order_relaxed);

  while (s & OPEN)
    if (atomic_compare_exchange_weak_explicit(&pool->state, &s, s + 1, memory_order_acquire, memory_order_relaxed)) return true;
  return false;
}

static void leave(mx_pool *pool) {
  if (atomic_fetch_sub_explicit(&pool->state, 1, memory_order_release) == 1) wake_all(&pool->state);
}

static unsigned next_turn(mx_pool *pool, unsigned seen) {
  unsigned turn = seen;

  for (int i = 0; i < SPINS; i++) {
    turn = atomic_load_explicit(&pool->turn, memory_order_acquire);
    if (turn != seen) return turn;
    pause_briefly();
  }
  atomic_fetch_add(&pool->sleepers, 1);
  while ((turn = atomic_load(&pool->turn)) == seen) sleep_on(&pool->turn, seen);
  atomic_fetch_sub(&pool->sleepers, 1);
  return turn;
}

static void bind_self(const mx_pool *pool, int worker) {
  hwloc_obj_t unit = pool->bind ? mx_host_machine_unit(pool->machine, worker) : NULL;

  if (unit != NULL) (void)hwloc_set_cpubind(pool->machine->topology, unit->cpuset, HWLOC_CPUBIND_THREAD);
}

/* The caller is worker 0: unbound, it may share a core with worker 1 for whole jobs. The process's first thread is the
   user's and left where it is. */
static void bind_caller(const mx_pool *pool) {
  if (caller_bound_for == pool->id) return;
  caller_bound_for = pool->id;
  if (syscall(SYS_gettid) != getpid()) bind_self(pool, 0);
}

static void worker_main(mx_pool *pool, int thread) {
  unsigned seen = 0;

  bind_self(pool, thread);
  while (!atomic_load(&pool->stop)) {
    if (join(pool)) {
      work(pool, thread);
      leave(pool);
    }
    seen = next_turn(pool, seen);
  }
}

static void *leader_main(void *arg) {
  mx_pool *pool = arg;

#pragma omp parallel num_threads(pool->threads - 1) default(none) shared(pool)
  worker_main(pool, 1 + omp_get_thread_num());
  return NULL;
}

mars_status mx_pool_create(mx_mem *mem, const mx_host_machine *machine, int threads, bool bind, mx_pool **out,
                           mars_error *err) {
  mx_pool *pool;
  void *raw;

  *out = NULL;
  if (threads < 0 || threads > MAX_THREADS)
    return mx_fail(err, MARS_E_ARG, "mars_session_create: %d threads; 0 (all) to %d", threads, MAX_THREADS);
  raw = mx_alloc(mem, sizeof *pool + 64 + sizeof(void *));
  if (raw == NULL) return mx_fail(err, MARS_E_MEMORY, "mars_session_create: no memory for the thread pool");
  pool = (mx_pool *)(((uintptr_t)raw + sizeof(void *) + 63) & ~(uintptr_t)63); /* cache lines; the allocator may not align */
  ((void **)pool)[-1] = raw;
  if (threads == 0) {
    threads = machine->cores < MAX_THREADS ? machine->cores : MAX_THREADS;
    if (machine->cpu_quota > 0 && machine->cpu_quota < threads) threads = machine->cpu_quota;
  }
  pool->mem = mem;
  pool->machine = machine;
  pool->bind = bind;
  pool->id = atomic_fetch_add(&next_pool, 1) + 1;
  pool->threads = threads > 1 ? startable(mem, threads) : 1;
  if (pool->threads < 1) pool->threads = 1;
  if (pool->threads > 1 && pthread_create(&pool->leader, NULL, leader_main, pool) != 0) pool->threads = 1;
  *out = pool;
  return MARS_OK;
}

void mx_pool_destroy(mx_pool *pool) {
  if (pool == NULL) return;
  if (pool->threads > 1) {
    atomic_store(&pool->stop, true);
    atomic_fetch_add(&pool->turn, 1);
    wake_all(&pool->turn);
    pthread_join(pool->leader, NULL);
  }
  mx_free(pool->mem, ((void **)pool)[-1]);
}

int mx_pool_threads(const mx_pool *pool) { return pool->threads; }

static void wait_for_workers(mx_pool *pool) {
  unsigned s = atomic_fetch_and_explicit(&pool->state, ~(unsigned)OPEN, memory_order_acquire) & ~(unsigned)OPEN;

  for (int i = 0; s != 0; i++) {
    if (i < SPINS) pause_briefly();
    else sleep_on(&pool->state, s);
    s = atomic_load_explicit(&pool->state, memory_order_acquire);
  }
}

void mx_parallel_for(mx_pool *pool, int64_t n_units, int64_t grain, mx_unit_fn *fn, void *ctx) {
  int threads = n_units < pool->threads ? (int)n_units : pool->threads;

  if (n_units <= 0) return;
  if (threads <= 1) {
    fn(ctx, 0, 0, n_units);
    return;
  }
  bind_caller(pool);
  /* many small units: take several at once, but leave 16 turns a thread to even out */
  pool->grain = grain > 0 ? grain : n_units / (threads * 16);
  if (pool->grain < 1) pool->grain = 1;
  pool->n_units = n_units;
  pool->fn = fn;
  pool->ctx = ctx;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->state, OPEN, memory_order_release);
  atomic_fetch_add(&pool->turn, 1);
  if (atomic_load(&pool->sleepers) > 0) wake_all(&pool->turn);
  work(pool, 0);
  wait_for_workers(pool);
}
