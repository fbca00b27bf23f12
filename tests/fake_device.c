#include "tests/fake_device.h"
#include "engine/session.h"
#include "engine/status.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static fake_plan plan;
static atomic_long calls, launched, copies[3], in_flight, most_in_flight, broadcasts, joins;
static int connected;
static atomic_int alive;
static char complaint[256];
static pthread_mutex_t complaint_lock = PTHREAD_MUTEX_INITIALIZER;

typedef struct fake fake;
typedef struct queue {
  fake *dev;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t arrived;
  mx_transfer *head, **tail;
  bool stop;
  uint64_t random;
} queue;

struct fake {
  mx_device base;
  mx_device *inner;
  mx_kernel *tiles; /* the inner device's, for tile operations */
  mx_mem *mem;
  int index;
  char name[16];
  char *memory, *arena;
  size_t bytes, arena_bytes;
  queue queue[3];
  atomic_bool lost;
};

typedef struct fake_kernel {
  mx_kernel *inner;
  int n_in, n_out;
} fake_kernel;

/* ---- what tests ask ---- */

void fake_set(const fake_plan *p) {
  plan = *p;
  calls = launched = copies[0] = copies[1] = copies[2] = in_flight = most_in_flight = broadcasts = joins = 0;
  connected = 0;
  complaint[0] = '\0';
}

long fake_calls(void) { return calls; }
long fake_launched(void) { return launched; }
long fake_copies(int kind) { return copies[kind]; }
long fake_broadcasts(void) { return broadcasts; }
long fake_joins(void) { return joins; }
int fake_connected(void) { return connected; }
long fake_most_in_flight(void) { return most_in_flight; }
const char *fake_complaint(void) { return complaint[0] ? complaint : NULL; }
int fake_alive(void) { return alive; }

static void complain(const fake *f, const char *what) {
  pthread_mutex_lock(&complaint_lock);
  if (!complaint[0]) snprintf(complaint, sizeof complaint, "%s: %s", f->name, what);
  pthread_mutex_unlock(&complaint_lock);
}

static mars_status may_fail(fake *f, const char *what, mars_error *err) {
  if (f->lost) return mx_fail(err, MARS_E_DEVICE, "%s after the device was lost", what);
  if (atomic_fetch_add(&calls, 1) != plan.fail_at) return MARS_OK;
  if (plan.fail_with == MARS_E_DEVICE) f->lost = true;
  return mx_fail(err, plan.fail_with, "injected failure of a %s", what);
}

/* ---- copies ---- */

static bool inside(const char *p, size_t bytes, const char *area, size_t area_bytes) {
  return p >= area && bytes <= area_bytes && (size_t)(p - area) <= area_bytes - bytes;
}

static void check_copy(fake *f, const mx_transfer *t) {
  const bool up = t->kind == MX_TRANSFER_UP, down = t->kind == MX_TRANSFER_DOWN;
  const fake *peer = (const fake *)t->peer;
  const bool dst = down ? inside(t->dst, t->bytes, f->arena, f->arena_bytes) : inside(t->dst, t->bytes, f->memory, f->bytes);
  const bool src = up     ? inside(t->src, t->bytes, f->arena, f->arena_bytes)
                   : down ? inside(t->src, t->bytes, f->memory, f->bytes)
                          : peer && inside(t->src, t->bytes, peer->memory, peer->bytes);
  if (!dst || !src) complain(f, "a copy outside the arenas");
  if (!up && !down && !plan.peers) complain(f, "a peer copy that is not offered");
}

static void *copy_main(void *arg) {
  queue *q = arg;
  for (;;) {
    pthread_mutex_lock(&q->lock);
    while (!q->head && !q->stop) pthread_cond_wait(&q->arrived, &q->lock);
    mx_transfer *t = q->head;
    if (t) q->head = t->next;
    if (!q->head) q->tail = &q->head;
    pthread_mutex_unlock(&q->lock);
    if (!t) return NULL;
    q->random = q->random * 6364136223846793005u + 1442695040888963407u;
    if (plan.delay_us > 0) usleep((useconds_t)((q->random >> 33) % (uint64_t)(plan.delay_us + 1)));
    mx_error_clear(&t->err);
    t->status = may_fail(q->dev, "copy", &t->err);
    if (t->status == MARS_OK) memcpy(t->dst, t->src, t->bytes);
    atomic_fetch_sub(&in_flight, 1);
    t->done(t);
  }
}

static void fake_transfer(mx_device *dev, mx_transfer *t) {
  fake *f = (fake *)dev;
  queue *q = &f->queue[t->kind];
  check_copy(f, t);
  atomic_fetch_add(&copies[t->kind], 1);
  long now = atomic_fetch_add(&in_flight, 1) + 1, most = most_in_flight;
  while (now > most && !atomic_compare_exchange_weak(&most_in_flight, &most, now)) {}
  t->next = NULL;
  pthread_mutex_lock(&q->lock);
  *q->tail = t;
  q->tail = &t->next;
  pthread_cond_signal(&q->arrived);
  pthread_mutex_unlock(&q->lock);
}

static void fake_broadcast(mx_device *dev, mx_transfer *const *list, mx_device *const *to, int n) {
  fake *f = (fake *)dev;
  if (n < 2 || n > MX_MOST_BROADCAST) complain(f, "a broadcast to none, to one or to too many");
  for (int i = 0; i < n; i++)
    if (list[i]->kind != MX_TRANSFER_PEER || list[i]->peer != dev || list[i]->src != list[0]->src || list[i]->bytes != list[0]->bytes)
      complain(f, "a broadcast of different things");
  atomic_fetch_add(&broadcasts, 1);
  for (int i = 0; i < n; i++) fake_transfer(to[i], list[i]);
}

static bool fake_can_join(mx_device *dev, int n) {
  (void)dev;
  return plan.joins && n == connected;
}

#define FOLD(T)                                                                         \
  for (size_t i = 0; i < bytes / sizeof(T); i++) {                                      \
    T x = ((T *)(void *)to)[i], y = ((const T *)(const void *)from)[i], z = 0;          \
    switch (join.op) {                                                                  \
    case MX_JOIN_SUM: (void)__builtin_add_overflow(x, y, &z); break;                    \
    case MX_JOIN_PROD: (void)__builtin_mul_overflow(x, y, &z); break;                   \
    case MX_JOIN_MIN: z = x < y ? x : y; break;                                         \
    case MX_JOIN_MAX: z = x > y ? x : y; break;                                         \
    }                                                                                   \
    ((T *)(void *)to)[i] = z;                                                           \
  }

static bool fold(mx_join join, char *to, const char *from, size_t bytes) {
  switch (join.dtype) {
  case MARS_I8: FOLD(int8_t) return true;
  case MARS_U8: FOLD(uint8_t) return true;
  case MARS_I32: FOLD(int32_t) return true;
  case MARS_U32: FOLD(uint32_t) return true;
  case MARS_I64: FOLD(int64_t) return true;
  case MARS_U64: FOLD(uint64_t) return true;
  default: return false;
  }
}

/* By a thread of its own, late. */
typedef struct joining {
  fake *dev;
  int n;
  mx_transfer *list[MX_MOST_BROADCAST];
} joining;

static void *join_main(void *arg) {
  joining *j = arg;
  mx_transfer *t = j->list[0];
  if (plan.delay_us > 0) usleep((useconds_t)plan.delay_us);
  mx_error_clear(&t->err);
  t->status = may_fail(j->dev, "join", &t->err);
  if (t->status == MARS_E_DEVICE) t->failed = &j->dev->base;
  if (t->status == MARS_OK) memcpy(t->dst, t->src, t->bytes);
  for (int i = 1; i < j->n && t->status == MARS_OK; i++)
    if (!fold(t->join, t->dst, j->list[i]->src, t->bytes)) complain(j->dev, "a join of a dtype that devices do not join");
  free(j);
  t->done(t);
  return NULL;
}

static void fake_join(mx_device *dev, mx_transfer *const *list, mx_device *const *of, int n) {
  fake *f = (fake *)dev;
  joining *j = malloc(sizeof *j);
  pthread_t thread;
  uint32_t seen = 0;
  if (!plan.joins || n != connected || of[0] != dev) complain(f, "a join that is not offered");
  for (int i = 0; i < n; i++) {
    const fake *g = (const fake *)of[i];
    seen |= 1u << g->index;
    if (list[i]->kind != MX_TRANSFER_JOIN || list[i]->bytes != list[0]->bytes || !inside(list[i]->src, list[i]->bytes, g->memory, g->bytes))
      complain(f, "a join of what does not lie on its device");
  }
  if (__builtin_popcount(seen) != n || !inside(list[0]->dst, list[0]->bytes, f->memory, f->bytes)) complain(f, "a join of one device with itself");
  atomic_fetch_add(&joins, 1);
  *j = (joining){.dev = f, .n = n};
  memcpy(j->list, list, (size_t)n * sizeof *list);
  if (pthread_create(&thread, NULL, join_main, j) != 0) abort();
  pthread_detach(thread);
}

static void fake_connect(void *ctx, mx_device *const *devs, int n) {
  connected = n;
  for (int i = 0; i < n; i++)
    if (devs[i]->ops->broadcast != fake_broadcast) complain((const fake *)devs[i], "connected with others");
}

/* ---- kernels ---- */

static const char *fake_name(mx_device *dev) { return ((fake *)dev)->name; }

static mars_status fake_kernel_create(mx_device *dev, const mx_program *prog, mx_kernel **out, mars_error *err) {
  fake *f = (fake *)dev;
  *out = NULL;
  mars_status st = may_fail(f, "kernel", err);
  if (st != MARS_OK) return st;
  fake_kernel *k = mx_alloc(f->mem, sizeof *k);
  if (!k) return mx_fail(err, MARS_E_MEMORY, "no memory for a kernel");
  *k = (fake_kernel){.n_in = prog->n_in, .n_out = prog->n_out};
  st = f->inner->ops->kernel_create(f->inner, prog, &k->inner, err);
  if (st == MARS_OK) *out = (mx_kernel *)k;
  else mx_free(f->mem, k);
  return st;
}

static void fake_kernel_destroy(mx_device *dev, mx_kernel *kernel) {
  fake *f = (fake *)dev;
  f->inner->ops->kernel_destroy(f->inner, ((fake_kernel *)kernel)->inner);
  mx_free(f->mem, kernel);
}

static size_t fake_kernel_scratch(mx_device *dev, const mx_kernel *kernel, const int64_t *shape) {
  fake *f = (fake *)dev;
  return f->inner->ops->kernel_scratch(f->inner, ((const fake_kernel *)kernel)->inner, shape);
}

static bool mine(const fake *f, const char *p) { return p == NULL || inside(p, 1, f->memory, f->bytes); }

static bool binds_are_mine(const fake *f, const mx_bind *b, int n) {
  bool ok = true;
  for (int i = 0; i < n; i++) {
    ok &= mine(f, b[i].base);
    for (int k = 0; k < b[i].n_pieces; k++) ok &= mine(f, b[i].pieces[k].base);
  }
  return ok;
}

static void check_call(const fake *f, const mx_call *c) {
  const fake_kernel *k = (const fake_kernel *)c->kernel;
  bool ok = mine(f, c->scratch) && mine(f, c->carry_in) && mine(f, c->carry_out);
  if (c->kind == MX_CALL_PROGRAM) ok &= binds_are_mine(f, c->in, k->n_in) && binds_are_mine(f, c->out, k->n_out);
  if (c->kind == MX_CALL_COMBINE) {
    ok &= mine(f, c->out[c->slot].base);
    for (int i = 0; i < c->n_partials; i++) ok &= mine(f, c->partials[i]);
  }
  if (c->kind == MX_CALL_TILE)
    for (int i = 0; i < c->tile->n; i++) ok &= mine(f, c->tile->mat[i].base);
  if (!ok) complain(f, "a call with memory that is not the device's");
}

static mars_status fake_launch(mx_device *dev, mx_call *const *given, int n, mars_error *err) {
  fake *f = (fake *)dev;
  mars_status st = may_fail(f, "launch", err);
  if (st != MARS_OK) return st;
  mx_call *copy = malloc((size_t)n * sizeof *copy), **list = malloc((size_t)n * sizeof *list);
  if (!copy || !list) st = mx_fail(err, MARS_E_MEMORY, "no memory for a launch");
  for (int i = 0; st == MARS_OK && i < n; i++) {
    check_call(f, given[i]);
    copy[i] = *given[i];
    if (copy[i].kind == MX_CALL_TILE && !f->tiles) {
      const mx_program none = {.mem = f->mem, .routine = true};
      st = f->inner->ops->kernel_create(f->inner, &none, &f->tiles, err);
    }
    copy[i].kernel = copy[i].kernel ? ((fake_kernel *)copy[i].kernel)->inner : f->tiles;
    list[i] = &copy[i];
  }
  if (st == MARS_OK && !fake_complaint()) st = f->inner->ops->launch(f->inner, list, n, err);
  atomic_fetch_add(&launched, n);
  free(copy);
  free(list);
  return st;
}

static bool refused(uint64_t key) { return plan.refuse_every > 0 && key % (uint64_t)plan.refuse_every == 0; }

static bool fake_can_program(mx_device *dev, const mx_program *prog) {
  uint64_t key = (uint64_t)prog->n_instrs;
  for (int i = 0; i < prog->n_instrs; i++) key = key * 31 + prog->instrs[i].op;
  (void)dev;
  return !plan.no_programs && !refused(key);
}

static bool fake_can_tile(mx_device *dev, mx_tile_op op, mars_dtype dtype) {
  (void)dev, (void)dtype;
  return !plan.no_tiles && !refused((uint64_t)op + 1);
}

static bool fake_can_peer(mx_device *dev, mx_device *peer) {
  (void)dev, (void)peer;
  return plan.peers;
}

/* ---- life ---- */

static void *fake_memory(mx_device *dev, size_t *bytes) {
  *bytes = ((fake *)dev)->bytes;
  return ((fake *)dev)->memory;
}

static void fake_info(mx_device *dev, mx_device_info *out) {
  *out = (mx_device_info){.model = "Fake", .memory_bytes = ((fake *)dev)->bytes};
}

static mars_status fake_host_memory(mx_device *dev, void *arena, size_t bytes, mars_error *err) {
  fake *f = (fake *)dev;
  f->arena = arena;
  f->arena_bytes = bytes;
  return plan.refuse_arena ? mx_fail(err, MARS_E_UNSUPPORTED, "nothing to register with") : MARS_OK; /* neither is an error */
}

static void stop_queue(queue *q) {
  if (!q->dev) return;
  pthread_mutex_lock(&q->lock);
  q->stop = true;
  pthread_cond_signal(&q->arrived);
  pthread_mutex_unlock(&q->lock);
  pthread_join(q->thread, NULL);
  pthread_cond_destroy(&q->arrived);
  pthread_mutex_destroy(&q->lock);
}

static void fake_destroy(mx_device *dev) {
  fake *f = (fake *)dev;
  for (int i = 0; i < 3; i++) stop_queue(&f->queue[i]);
  if (f->tiles) f->inner->ops->kernel_destroy(f->inner, f->tiles);
  if (f->inner) f->inner->ops->destroy(f->inner);
  mx_free(f->mem, f);
  alive--;
}

static const mx_device_ops ops = {
    .name = fake_name,
    .kernel_create = fake_kernel_create,
    .kernel_destroy = fake_kernel_destroy,
    .kernel_scratch = fake_kernel_scratch,
    .launch = fake_launch,
    .memory = fake_memory,
    .destroy = fake_destroy,
    .info = fake_info,
    .host_memory = fake_host_memory,
    .transfer = fake_transfer,
    .can_program = fake_can_program,
    .can_tile = fake_can_tile,
    .can_peer = fake_can_peer,
    .broadcast = fake_broadcast,
    .can_join = fake_can_join,
    .join = fake_join,
};

static int fake_count(void *ctx) { return plan.count; }

static mars_status fake_describe(void *ctx, int index, mx_device_info *out, mars_error *err) {
  *out = (mx_device_info){.model = "Fake", .memory_bytes = plan.memory_bytes};
  return MARS_OK;
}

static mars_status start_queue(fake *f, int kind, mars_error *err) {
  queue *q = &f->queue[kind];
  pthread_mutex_init(&q->lock, NULL);
  pthread_cond_init(&q->arrived, NULL);
  q->tail = &q->head;
  q->random = plan.seed + (uint64_t)(f->index * 3 + kind) * 77;
  q->dev = f;
  if (pthread_create(&q->thread, NULL, copy_main, q) == 0) return MARS_OK;
  q->dev = NULL;
  return mx_fail(err, MARS_E_MEMORY, "no thread");
}

static mars_status fake_create(void *ctx, const mx_device_request *r, mx_device **out, mars_error *err) {
  mars_status st = MARS_OK;
  fake *f = mx_alloc(r->mem, sizeof *f);
  *out = NULL;
  if (!f) return mx_fail(err, MARS_E_MEMORY, "no memory for a fake device");
  f->base.ops = &ops;
  f->mem = r->mem;
  f->index = r->index;
  alive++;
  snprintf(f->name, sizeof f->name, "fake:%d", r->index);
  mx_host_config hc = {.mem = r->mem, .arena_bytes = (r->budget_bytes ? r->budget_bytes : plan.memory_bytes) / 4096 * 4096, .threads = 1};
  MX_TRY(mx_host_device_create(&hc, &f->inner, err));
  f->memory = f->inner->ops->memory(f->inner, &f->bytes);
  memset(f->memory, 0xA5, f->bytes); /* what nobody wrote is no zero */
  for (int i = 0; i < 3; i++) MX_TRY(start_queue(f, i, err));
  *out = &f->base;
  f = NULL;
done:
  if (f) fake_destroy(&f->base);
  return st;
}

static const mx_device_kind kind = {.name = "fake", .count = fake_count, .describe = fake_describe, .create = fake_create,
                                    .connect = fake_connect};

mars_status fake_session_create(const mars_session_config *config, mars_session **out, mars_error *err) {
  const mx_device_kind *const kinds[] = {&kind};
  return mx_session_create_with(config, kinds, 1, out, err);
}
