/*
 * The ring without io_uring: a few threads that move one part each with preadv and pwritev.
 */
#include "io/internal.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define N_WORKERS 8

typedef struct pool {
  mx_ring base;
  mx_mem *mem;
  pthread_mutex_t lock;
  pthread_cond_t work, news;
  mx_part *todo, **todo_end, *finished, **finished_end;
  bool woken, stop;
  int n_workers;
  pthread_t workers[N_WORKERS];
} pool;

static pool *pool_of(mx_ring *ring) {
  return (pool *)ring;
}

static void *work(void *arg) {
  pool *p = arg;
  pthread_setname_np(pthread_self(), "mars-io-rw");
  pthread_mutex_lock(&p->lock);
  for (;;) {
    while (!p->todo && !p->stop) pthread_cond_wait(&p->work, &p->lock);
    mx_part *part = p->todo;
    if (!part) break;
    p->todo = part->next;
    if (!p->todo) p->todo_end = &p->todo;
    pthread_mutex_unlock(&p->lock);

    int fd = part->direct ? part->file->fd_direct : part->file->fd, n = part->n_iov - part->iov_first;
    const struct iovec *v = &part->iov[part->iov_first];
    ssize_t moved = part->write ? pwritev(fd, v, n, part->offset) : preadv(fd, v, n, part->offset);
    part->result = moved < 0 ? -errno : moved;
    part->next = NULL;

    pthread_mutex_lock(&p->lock);
    *p->finished_end = part;
    p->finished_end = &part->next;
    pthread_cond_signal(&p->news);
  }
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

static void pool_queue(mx_ring *ring, mx_part *part) {
  pool *p = pool_of(ring);
  part->next = NULL;
  pthread_mutex_lock(&p->lock);
  *p->todo_end = part;
  p->todo_end = &part->next;
  pthread_cond_signal(&p->work);
  pthread_mutex_unlock(&p->lock);
}

static void pool_flush(mx_ring *ring) {
  (void)ring; /* workers begin at once */
}

static mx_part *pool_reap(mx_ring *ring, bool wait) {
  pool *p = pool_of(ring);
  pthread_mutex_lock(&p->lock);
  while (wait && !p->finished && !p->woken) pthread_cond_wait(&p->news, &p->lock);
  mx_part *first = p->finished;
  p->finished = NULL;
  p->finished_end = &p->finished;
  p->woken = false;
  pthread_mutex_unlock(&p->lock);
  return first;
}

static void pool_wake(mx_ring *ring) {
  pool *p = pool_of(ring);
  pthread_mutex_lock(&p->lock);
  p->woken = true;
  pthread_cond_signal(&p->news);
  pthread_mutex_unlock(&p->lock);
}

static void pool_forget(mx_ring *ring, mx_file *file) {
  (void)ring, (void)file; /* there is no table of files */
}

static void pool_retire(mx_ring *ring) { (void)ring; }

static void pool_destroy(mx_ring *ring) {
  pool *p = pool_of(ring);
  pthread_mutex_lock(&p->lock);
  p->stop = true;
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->lock);
  for (int i = 0; i < p->n_workers; i++) pthread_join(p->workers[i], NULL);
  pthread_cond_destroy(&p->work);
  pthread_cond_destroy(&p->news);
  pthread_mutex_destroy(&p->lock);
  mx_free(p->mem, p);
}

static const mx_ring_ops ops = {.name = "threads",
                                .queue = pool_queue,
                                .flush = pool_flush,
                                .reap = pool_reap,
                                .wake = pool_wake,
                                .forget = pool_forget,
                                .retire = pool_retire,
                                .destroy = pool_destroy};

int mx_ring_threads_create(const mx_ring_config *config, mx_ring **out) {
  *out = NULL;
  pool *p = mx_alloc(config->mem, sizeof *p);
  if (!p) return -1;
  p->base.ops = &ops;
  p->mem = config->mem;
  p->todo_end = &p->todo;
  p->finished_end = &p->finished;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  pthread_cond_init(&p->news, NULL);
  int error = 0;
  while (p->n_workers < N_WORKERS && !error) {
    error = pthread_create(&p->workers[p->n_workers], NULL, work, p);
    if (!error) p->n_workers++;
  }
  if (!p->n_workers) { /* with one at least it works, slower */
    pool_destroy(&p->base);
    return error;
  }
  *out = &p->base;
  return 0;
}
