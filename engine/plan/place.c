/*
 * Placement: a device for every task, and an order in which the devices work side by side.
 *
 * Every task has a place, one of the devices that share the work. The tiles of a kernel are cut into contiguous runs, one for
 * each place, all kernels at the same fractions: so what lies at the same relative position of any grid is in one place, and
 * neighbours are together. How much each gets is weighed by the cost model. Combines follow their first input; a routine's
 * chunks are updated where they are ("the owner computes"), and what it makes on the way is made where most of its operands are.
 * The device of a task is its place, or the host where that cannot run it.
 *
 * Places take turns by their clocks, each in the order that was there before, but for copies from caller memory, which are made
 * ahead. A place that has made much for others waits until they come to it: the order before the merge used soon what it made, and
 * what is made long before its reader would be spilled.
 */
#include "engine/plan/plan.h"
#include "engine/routine.h"
#include "engine/user.h"

#include <string.h>

/* Rates where a device does not say: a plain GPU; and an addition of the host (residency's figures). */
#define UNKNOWN_FLOPS 1e12
#define UNKNOWN_MEMORY 5e11
#define UNKNOWN_LINK 1.2e10
#define HOST_FLOPS 6.7e9       /* operations of a kernel program, one thread */
#define HOST_TILE_FLOPS 5e10   /* of tile operations, one thread */
#define HOST_MEMORY 2.4e10
#define TASK_SECONDS 5e-6

typedef struct placer {
  mx_plan *plan;
  int n;                      /* places */
  uint8_t place[MX_MAX_DEVICES]; /* their devices */
  double until[MX_MAX_DEVICES];  /* fraction of every grid that ends a place's run */
  uint32_t *can;              /* per kernel: devices that can run its programs; of routines: the ones that are there at all */
  uint8_t *at;                /* per task: number of its place */
  double *seconds;            /* per kernel and place: of one task */
  uint32_t tile_can[MX_TILE_COUNT];
  int32_t tile_kernel;        /* kernel that tile_can was asked for */
  mx_mat *mat;                /* operands of the tile operation that a device is asked about */
  size_t cap_mat;
} placer;

bool mx_plan_may_use(const mx_plan *p, int d) { return d == 0 || (!p->machine->device[d].lost && !(p->without >> d & 1)); }

bool mx_plan_devices(const mx_plan *p) {
  for (int i = 0; i < p->machine->n_use; i++)
    if (p->machine->use[i] && mx_plan_may_use(p, p->machine->use[i])) return true;
  return false;
}

static void find_places(placer *z) {
  const mx_machine *m = z->plan->machine;
  for (int i = 0; i < m->n_use; i++)
    if (mx_plan_may_use(z->plan, m->use[i])) z->place[z->n++] = m->use[i];
  if (!z->n) z->place[z->n++] = 0;
}

/* ---- who can ---- */

static bool in_memory(const mx_plan *p, int value) {
  const mx_pvalue *v = &p->values.at[value];
  if (v->kind == MX_PV_MEMORY) return true;
  for (int j = 0; v->kind == MX_PV_CONCAT && j < v->n_joins; j++)
    if (in_memory(p, v->joins[j].value)) return true;
  return false;
}

static uint32_t kernel_can(const placer *z, const mx_pkernel *k) {
  const mx_plan *p = z->plan;
  uint32_t can = 1;
  if (k->home > 1) return 1u << (k->home - 1);
  for (int i = 0; !k->routine && i < k->prog.n_in; i++)
    if (in_memory(p, k->in[i].value)) return can;
  for (int o = 0; !k->routine && o < k->prog.n_out; o++)
    if (in_memory(p, k->out[o].value)) return can;
  for (int d = 1; d < p->machine->n_devices; d++) {
    mx_device *dev = p->machine->device[d].dev;
    if (mx_plan_may_use(p, d) && (k->routine || dev->ops->can_program(dev, &k->prog))) can |= 1u << d;
  }
  return can;
}

static uint32_t tile_can(placer *z, const mx_ptask *t) {
  const mx_plan *p = z->plan;
  const mx_rtask *r = &p->rtasks.at[t->tile];
  for (int32_t i = r->first_arg; i < r[1].first_arg; i++)
    if (p->rargs.at[i].memory >= 0) return 1;
  if (r->op == MX_TILE_USER && !((const mx_user_kernel *)(intptr_t)r->p[2])->source) return 1;
  if (z->tile_kernel != t->kernel) memset(z->tile_can, 0, sizeof z->tile_can);
  z->tile_kernel = t->kernel;
  uint32_t *can = &z->tile_can[r->op];
  if (*can) return *can;
  *can = 1;
  for (int d = 1; d < p->machine->n_devices; d++) {
    mx_device *dev = p->machine->device[d].dev;
    if (z->can[t->kernel] >> d & 1 && dev->ops->can_tile(dev, (mx_tile_op)r->op, (mars_dtype)r->dtype)) *can |= 1u << d;
  }
  return *can;
}

/* Asks device d what scratch the tile operation takes there; false: it does not want it. */
static bool ask_scratch(placer *z, int d, const mx_ptask *t) {
  const mx_plan *p = z->plan;
  mx_device *dev = p->machine->device[d].dev;
  mx_rtask *r = &p->rtasks.at[t->tile];
  const size_t n = (size_t)(r[1].first_arg - r->first_arg);
  size_t bytes = 0;
  if (!dev->ops->tile_scratch) return true;
  if (n > z->cap_mat) {
    mx_mat *grown = mx_grow(p->mem, z->mat, z->cap_mat * sizeof *grown, 2 * n * sizeof *grown);
    if (!grown) return false; /* the host needs no answer */
    z->mat = grown;
    z->cap_mat = 2 * n;
  }
  for (size_t i = 0; i < n; i++) {
    const mx_rarg *a = &p->rargs.at[r->first_arg + (int32_t)i];
    z->mat[i] = (mx_mat){NULL, a->rows, a->cols, a->rs, a->cs};
  }
  mx_tile_call call = {.op = (mx_tile_op)r->op, .flags = r->flags, .dtype = (mars_dtype)r->dtype, .n = (int)n, .mat = z->mat};
  memcpy(call.p, r->p, sizeof call.p);
  if (!dev->ops->tile_scratch(dev, &call, &bytes)) return false;
  r->own_scratch = (int64_t)((bytes + 63) & ~(size_t)63);
  return true;
}

static bool fits(const mx_plan *p, int d, const mx_ptask *t) {
  int64_t n = p->kernels.at[t->kernel].routine && p->rtasks.at[t->tile].own_scratch > 0 ? mx_space_round(p->rtasks.at[t->tile].own_scratch) : 0;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) n += mx_chunk_room(&p->chunks.at[p->ins.at[i]], d);
  for (int32_t i = t->first_out; i < t[1].first_out; i++)
    if (p->chunks.at[p->outs.at[i]].takes < 0) n += mx_chunk_room(&p->chunks.at[p->outs.at[i]], d);
  return n <= (int64_t)p->machine->device[d].arena_bytes;
}

static int device_of(placer *z, int32_t task) {
  const mx_ptask *t = &z->plan->tasks.at[task];
  const int d = z->place[z->at[task]];
  if (z->plan->kernels.at[t->kernel].home > 1) return z->plan->kernels.at[t->kernel].home - 1;
  if (!d || z->plan->kernels.at[t->kernel].pin == 1) return 0;
  const bool routine = z->plan->kernels.at[t->kernel].routine != NULL;
  const uint32_t can = routine ? tile_can(z, t) : z->can[t->kernel];
  return can >> d & 1 && (!routine || ask_scratch(z, d, t)) && fits(z->plan, d, t) ? d : 0;
}

/* ---- the cost model ---- */

static double longer(double a, double b) { return a > b ? a : b; }
static double or_else(double rate, double unknown) { return rate > 0 ? rate : unknown; }

static int64_t kernel_tasks(const mx_plan *p, int64_t i) {
  int64_t t = p->kernels.at[i].first_task, n = 0;
  while (t + n < p->n_tasks && p->tasks.at[t + n].kernel == i) n++;
  return n;
}

/* Seconds of all of a kernel's tasks on one device, by flops, its memory, and the link for what comes from or goes to the host. */
static double kernel_seconds(const mx_plan *p, int64_t i, int d) {
  const mx_pkernel *k = &p->kernels.at[i];
  const mx_machine_device *m = &p->machine->device[d];
  double ops = 0, bytes = 0, link = 0, points = 1;
  const int64_t n = kernel_tasks(p, i);
  if (k->routine) {
    for (int64_t t = k->first_task; t < k->first_task + n; t++) ops += p->rtasks.at[p->tasks.at[t].tile].flops;
  } else {
    for (int j = 0; j < k->prog.ndim; j++) points *= (double)k->prog.space[j];
    ops = points * k->prog.cost;
    for (int s = 0; s < k->prog.n_in; s++) {
      const mx_pvalue *v = &p->values.at[k->in[s].value];
      const double b = points * (double)mars_dtype_bytes(v->dtype);
      bytes += b;
      if (v->producer < 0 && v->kind != MX_PV_CONCAT) link += b;
    }
    for (int o = 0; o < k->prog.n_out; o++) {
      const mx_pvalue *v = &p->values.at[k->out[o].value];
      if (k->out[o].reduce) continue;
      bytes += points * (double)mars_dtype_bytes(v->dtype);
      if (v->output >= 0) link += points * (double)mars_dtype_bytes(v->dtype);
    }
  }
  const double task = TASK_SECONDS * (double)n;
  if (!d) return longer(ops / (k->routine ? HOST_TILE_FLOPS : HOST_FLOPS) / p->machine->threads, bytes / HOST_MEMORY) + task;
  return longer(longer(ops / or_else(m->flops, UNKNOWN_FLOPS), bytes / or_else(m->memory_bytes_per_second, UNKNOWN_MEMORY)),
                link / or_else(m->link_bytes_per_second, UNKNOWN_LINK)) + task;
}

static void share(placer *z) {
  const mx_plan *p = z->plan;
  double speed[MX_MAX_DEVICES], sum = 0, so_far = 0;
  for (int i = 0; i < z->n; i++) {
    double all = 1e-9;
    for (int64_t k = 0; k < p->kernels.n; k++) {
      double s = kernel_seconds(p, k, z->place[i]);
      int64_t n = kernel_tasks(p, k);
      z->seconds[k * z->n + i] = n ? s / (double)n : 0;
      all += s;
    }
    speed[i] = 1 / all;
    sum += speed[i];
  }
  for (int i = 0; i < z->n; i++) {
    so_far += speed[i] / sum;
    z->until[i] = i == z->n - 1 ? 2 : so_far;
  }
}

/* ---- places ---- */

static int at_fraction(const placer *z, int64_t index, int64_t total) {
  const double f = ((double)index + 0.5) / (double)(total > 0 ? total : 1);
  int i = 0;
  while (f >= z->until[i]) i++;
  return i;
}

/* Place of a chunk that is there already, or made by a task before. */
static int home(const placer *z, int32_t c) {
  const mx_pchunk *pc = &z->plan->chunks.at[c];
  if (pc->producer >= 0) return z->at[pc->producer];
  return pc->value >= 0 ? at_fraction(z, pc->index, z->plan->values.at[pc->value].grid.total) : 0;
}

static int pinned(const placer *z, const mx_pkernel *k) {
  const int pin = k->home ? k->home : k->pin;
  for (int i = 0; pin && i < z->n; i++)
    if (z->place[i] == pin - 1) return i;
  return -1;
}

/* Where most bytes of the operands are. */
static int near_operands(const placer *z, const mx_ptask *t) {
  int64_t bytes[MX_MAX_DEVICES] = {0};
  int best = 0;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) bytes[home(z, z->plan->ins.at[i])] += z->plan->chunks.at[z->plan->ins.at[i]].bytes;
  for (int i = 1; i < z->n; i++)
    if (bytes[i] > bytes[best]) best = i;
  return best;
}

static int place_of(const placer *z, int32_t task) {
  const mx_plan *p = z->plan;
  const mx_ptask *t = &p->tasks.at[task];
  const mx_pkernel *k = &p->kernels.at[t->kernel];
  const int pin = pinned(z, k);
  if (pin >= 0) return pin;
  if (t->tile < 0) return home(z, p->ins.at[t->first_in]);
  if (!k->routine) return at_fraction(z, t->tile, k->grid.total);
  for (int32_t o = t->first_out; o < t[1].first_out; o++)
    if (p->chunks.at[p->outs.at[o]].takes >= 0) return home(z, p->chunks.at[p->outs.at[o]].takes);
  for (int32_t o = t->first_out; o < t[1].first_out; o++) {
    const mx_pchunk *c = &p->chunks.at[p->outs.at[o]];
    if (c->value >= 0 && p->values.at[c->value].grid.total > 1) return at_fraction(z, c->index, p->values.at[c->value].grid.total);
  }
  if (t[1].first_in > t->first_in) return near_operands(z, t);
  return at_fraction(z, t->tile - p->tasks.at[k->first_task].tile, kernel_tasks(p, t->kernel));
}

/* A user's kernel without a host function has no place on the host. */
static int away_from_host(placer *z, int32_t task, int place) {
  const mx_ptask *t = &z->plan->tasks.at[task];
  const mx_rtask *r = z->plan->kernels.at[t->kernel].routine ? &z->plan->rtasks.at[t->tile] : NULL;
  if (!r || r->op != MX_TILE_USER || ((const mx_user_kernel *)(intptr_t)r->p[2])->host) return place;
  const uint32_t can = tile_can(z, t);
  for (int i = 0; i < z->n && !z->place[place]; i++)
    if (can >> z->place[i] & 1) place = i;
  return place;
}

/* ---- side by side ---- */

enum {
  EARLY_SHARE = 8, /* of the host's arena, for what is brought ahead */
  OWED_SHARE = 3   /* of a place's arena and its part of the host's, for what other places have not come to yet */
};

/* Tasks of one place, in order. */
typedef struct queue {
  int64_t head, end; /* in merger.task */
  double clock;
} queue;

typedef struct merger {
  const placer *z;
  uint8_t *done;   /* per task */
  int32_t *left;   /* per chunk: readers that are still to come */
  uint8_t *owed_to; /* per chunk: places that it goes to have not come to it yet */
  int32_t *task;
  queue queue[MX_MAX_DEVICES];
  queue early[MX_MAX_DEVICES]; /* of it, what the host does for a device without waiting for anything: copies from caller
                                  memory, which run ahead like loads from a file */
  int64_t ahead[MX_MAX_DEVICES]; /* bytes of those that nobody has read yet */
  int64_t owed[MX_MAX_DEVICES];  /* bytes that a place has made for others, and none of them has read */
} merger;

static bool ready(const merger *m, int32_t task) {
  const mx_plan *p = m->z->plan;
  const mx_ptask *t = &p->tasks.at[task];
  for (int32_t i = t->first_in; i < t[1].first_in; i++) {
    int32_t producer = p->chunks.at[p->ins.at[i]].producer;
    if (producer >= 0 && !m->done[producer]) return false;
  }
  for (int32_t o = t->first_out; o < t[1].first_out; o++) { /* what it updates in place must have been read by all others */
    int32_t old = p->chunks.at[p->outs.at[o]].takes;
    if (old >= 0 && m->left[old] > 1) return false;
  }
  return true;
}

static bool is_early(const placer *z, int32_t task) {
  const mx_ptask *t = &z->plan->tasks.at[task];
  return z->place[z->at[task]] && !z->plan->task_device[task] && t->first_in == t[1].first_in && t->tile >= 0;
}

static int place_that_made(const placer *z, int32_t chunk) {
  const int32_t producer = z->plan->chunks.at[chunk].producer;
  return producer >= 0 ? z->at[producer] : -1;
}

/* Made from no other chunk: it may leave and is made again where it is wanted, or it is a copy from caller memory (`ahead`). */
static bool is_generated(const mx_plan *p, int32_t chunk) {
  const mx_ptask *t = &p->tasks.at[p->chunks.at[chunk].producer];
  return t->first_in == t[1].first_in && !p->kernels.at[t->kernel].routine;
}

static void fill(merger *m) {
  const mx_plan *p = m->z->plan;
  int64_t at = 0;
  for (int64_t t = 0; t < p->n_tasks; t++)
    for (int32_t i = p->tasks.at[t].first_in; i < p->tasks.at[t + 1].first_in; i++) {
      const int32_t c = p->ins.at[i], from = place_that_made(m->z, c);
      m->left[c]++;
      if (from >= 0 && from != m->z->at[t] && !is_generated(p, c)) m->owed_to[c] = 1;
    }
  for (int i = 0; i < m->z->n; i++)
    for (int early = 0; early < 2; early++) {
      queue *q = early ? &m->early[i] : &m->queue[i];
      q->head = at;
      for (int64_t o = 0; o < p->order.n; o++)
        if (m->z->at[p->order.at[o]] == i && is_early(m->z, p->order.at[o]) == early) m->task[at++] = p->order.at[o];
      q->end = at;
    }
}

/* Has place i made as much for others as there is room for until they come to it? */
static bool is_far_ahead(const merger *m, int i) {
  const mx_machine *machine = m->z->plan->machine;
  const int d = m->z->place[i];
  const size_t room = machine->device[0].arena_bytes / (size_t)m->z->n + (d ? machine->device[d].arena_bytes : 0);
  return m->owed[i] >= (int64_t)(room / OWED_SHARE);
}

/* What the place with the least clock whose next task may run does next. There is always one if nobody waits for others to come to
   what he has made: the first task of the old order that is left. */
static queue *next_queue(merger *m, int *place) {
  queue *best = NULL;
  const int64_t most = (int64_t)m->z->plan->machine->device[0].arena_bytes / EARLY_SHARE / m->z->n;
  for (int waiting = 1; waiting >= 0 && !best; waiting--)
    for (int i = 0; i < m->z->n; i++) {
      queue *q = &m->queue[i], *e = &m->early[i];
      if (best && q->clock >= best->clock) continue;
      const bool waits = waiting && is_far_ahead(m, i), runs = q->head < q->end && ready(m, m->task[q->head]);
      if (e->head < e->end && ((!runs && !waits) || m->ahead[i] < most)) q = e;
      else if (!runs || waits) continue;
      best = q;
      *place = i;
    }
  return best;
}

static void made(merger *m, const queue *q, int place, int32_t chunk) {
  const int64_t bytes = m->z->plan->chunks.at[chunk].bytes;
  if (q == &m->early[place]) m->ahead[place] += bytes;
  if (m->owed_to[chunk]) m->owed[place] += bytes;
}

static void was_read(merger *m, int place, int32_t chunk) {
  const mx_pchunk *c = &m->z->plan->chunks.at[chunk];
  const int from = place_that_made(m->z, chunk);
  if (--m->left[chunk] == 0 && from >= 0 && is_early(m->z, c->producer)) m->ahead[from] -= c->bytes;
  if (!m->owed_to[chunk] || from == place) return;
  m->owed[from] -= c->bytes;
  m->owed_to[chunk] = 0;
}

static void merge(merger *m) {
  mx_plan *p = m->z->plan;
  for (int64_t o = 0; o < p->order.n; o++) {
    int i = 0;
    queue *q = next_queue(m, &i);
    const int32_t task = m->task[q->head++];
    const mx_ptask *t = &p->tasks.at[task];
    p->order.at[o] = task;
    m->done[task] = 1;
    if (q == &m->queue[i]) q->clock += m->z->seconds[t->kernel * m->z->n + i];
    for (int32_t k = t->first_out; k < t[1].first_out; k++) made(m, q, i, p->outs.at[k]);
    for (int32_t k = t->first_in; k < t[1].first_in; k++) was_read(m, i, p->ins.at[k]);
  }
}

static mars_status side_by_side(placer *z, mars_error *err) {
  mx_plan *p = z->plan;
  mars_status st = MARS_OK;
  merger m = {.z = z};
  m.done = mx_calloc(p->mem, (size_t)p->n_tasks + 1, 1);
  m.left = mx_calloc(p->mem, (size_t)p->chunks.n + 1, sizeof *m.left);
  m.task = mx_alloc(p->mem, ((size_t)p->n_tasks + 1) * sizeof *m.task);
  m.owed_to = mx_calloc(p->mem, (size_t)p->chunks.n + 1, 1);
  if (!m.done || !m.left || !m.task || !m.owed_to) MX_TRY(MX_NOMEM(err, p->fn));
  fill(&m);
  merge(&m);
done:
  mx_free(p->mem, m.done);
  mx_free(p->mem, m.left);
  mx_free(p->mem, m.owed_to);
  mx_free(p->mem, m.task);
  return st;
}

/* Caller memory on a device is read and written by that device or by nobody. */
static mars_status check_homes(const mx_plan *p, mars_error *err) {
  for (int64_t k = 0; k < p->kernels.n; k++) {
    const mx_pkernel *q = &p->kernels.at[k];
    const mx_machine_device *m = &p->machine->device[q->home > 1 ? q->home - 1 : 0];
    char lacking[300] = "it refuses them";
    if (q->home <= 1) continue;
    if (m->lost)
      return mx_fail_from(err, m->lost, "%s: memory of device %s is read or written, but the device was lost: %.300s", p->fn, m->name, m->lost->message);
    if (!mx_plan_may_use(p, q->home - 1))
      return mx_fail(err, MARS_E_BUDGET, "%s: memory of device %s is read or written, but its budget, %zu bytes, is too small for that even in small chunks", p->fn,
                     m->name, m->arena_bytes);
    if (m->dev->ops->can_program(m->dev, &q->prog)) continue;
    if (m->dev->ops->lacks) (void)m->dev->ops->lacks(m->dev, lacking, sizeof lacking);
    return mx_fail(err, MARS_E_UNSUPPORTED, "%s: memory of device %s is read or written, but it runs no kernels for that: %s", p->fn, m->name, lacking);
  }
  return MARS_OK;
}

mars_status mx_plan_place(mx_plan *p, mars_error *err) {
  mars_status st = check_homes(p, err);
  if (st != MARS_OK) return st;
  placer z = {.plan = p, .tile_kernel = -1};
  mx_free(p->mem, p->task_device);
  p->task_device = NULL;
  for (int64_t k = 0; k < p->kernels.n; k++) p->kernels.at[k].devices = 1;
  find_places(&z);
  if (z.n == 1 && z.place[0] == 0) return MARS_OK;
  z.can = mx_alloc(p->mem, ((size_t)p->kernels.n + 1) * sizeof *z.can);
  z.at = mx_alloc(p->mem, (size_t)p->n_tasks + 1);
  z.seconds = mx_alloc(p->mem, ((size_t)p->kernels.n * (size_t)z.n + 1) * sizeof *z.seconds);
  p->task_device = mx_alloc(p->mem, (size_t)p->n_tasks + 1);
  if (!z.can || !z.at || !z.seconds || !p->task_device) MX_TRY(MX_NOMEM(err, p->fn));
  for (int64_t k = 0; k < p->kernels.n; k++) {
    z.can[k] = kernel_can(&z, &p->kernels.at[k]);
    p->kernels.at[k].devices = 0;
  }
  share(&z);
  for (int64_t o = 0; o < p->order.n; o++) {
    const int32_t task = p->order.at[o];
    z.at[task] = (uint8_t)away_from_host(&z, task, place_of(&z, task));
    p->task_device[task] = (uint8_t)device_of(&z, task);
    p->kernels.at[p->tasks.at[task].kernel].devices |= 1u << p->task_device[task];
  }
  MX_TRY(side_by_side(&z, err));
done:
  mx_free(p->mem, z.can);
  mx_free(p->mem, z.at);
  mx_free(p->mem, z.seconds);
  mx_free(p->mem, z.mat);
  return st;
}
