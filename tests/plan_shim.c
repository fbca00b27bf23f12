#include "tests/plan_shim.h"
#include "engine/exec/actor.h"
#include "engine/sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct shim_plan {
  mx_plan *plan;
  mx_want wants[8];
};

static size_t no_scratch(void *ctx, int device, const mx_pkernel *k, const int64_t *shape) { return 0; }
static char nowhere[1];

mars_status shim_plan_make(mars_session *s, mars_tensor *const *t, size_t n, bool keep, shim_plan **out, mars_error *err) {
  shim_plan *p = calloc(1, sizeof *p);
  for (size_t i = 0; i < n; i++)
    p->wants[i] = (mx_want){.node = t[i]->node, .sink = keep ? MARS_SINK_KEEP : MARS_SINK_MEMORY, .data = nowhere};
  mx_plan_input in = {.mem = &s->mem, .machine = &s->machine, .store_ops = s->store->ops, .fn = "plan_test", .wants = p->wants, .n_wants = n,
                      .kept = s->actor->kept.at, .n_kept = (size_t)s->actor->kept.n};
  mars_status st = mx_plan_make(&in, NULL, no_scratch, NULL, &p->plan, err);
  if (st != MARS_OK) {
    free(p);
    p = NULL;
  }
  *out = p;
  return st;
}

typedef struct countdown {
  int64_t n, asked;
} countdown;

static bool is_cancelled(void *ctx) {
  countdown *c = ctx;
  return c->asked++ == c->n;
}

mars_status shim_plan_make_cancelled(mars_session *s, mars_tensor *t, int64_t n, int64_t *asked, mars_error *err) {
  countdown c = {n, 0};
  mx_want want = {.node = t->node, .sink = MARS_SINK_KEEP};
  mx_plan *plan = NULL;
  mx_plan_input in = {.mem = &s->mem, .machine = &s->machine, .store_ops = s->store->ops, .fn = "plan_test", .wants = &want, .n_wants = 1,
                      .cancelled = is_cancelled, .cancelled_ctx = &c};
  mars_status st = mx_plan_make(&in, NULL, no_scratch, NULL, &plan, err);
  mx_plan_destroy(plan);
  *asked = c.asked;
  return st;
}

void shim_plan_free(shim_plan *p) {
  if (!p) return;
  mx_plan_destroy(p->plan);
  free(p);
}

int64_t shim_plan_kernels(const shim_plan *p) { return p->plan->kernels.n; }
int64_t shim_plan_tasks(const shim_plan *p) { return p->plan->n_tasks; }
int64_t shim_plan_steps(const shim_plan *p) { return p->plan->steps.n; }
int64_t shim_plan_peak(const shim_plan *p) { return (int64_t)p->plan->stats.peak_bytes; }
int64_t shim_plan_recomputed(const shim_plan *p) { return p->plan->stats.recomputed; }
int64_t shim_plan_side_by_side(const shim_plan *p) {
  const mx_plan *plan = p->plan;
  int64_t most = 0;
  for (int64_t first = 0, at = 0; at < plan->order.n; at++) {
    const mx_ptask *t = &plan->tasks.at[plan->order.at[at]];
    for (int64_t i = first; i < at; i++) /* behind the last task that this one reads from */
      for (int32_t k = t->first_in; k < t[1].first_in; k++)
        if (plan->chunks.at[plan->ins.at[k]].producer == plan->order.at[i]) first = i + 1;
    if (at - first + 1 > most) most = at - first + 1;
  }
  return most;
}
int64_t shim_plan_again_within(const shim_plan *p) {
  const mx_plan *plan = p->plan;
  int64_t n = 0, since = 0;   /* such computations since the last task of a routine, */
  int32_t last = -1, end = 0; /* that task; behind the last one of its group */
  bool *made = calloc((size_t)plan->n_tasks, 1);
  for (int64_t i = 0; i < plan->steps.n; i++) {
    if (plan->steps.at[i].kind != MX_STEP_COMPUTE) continue;
    const int32_t task = plan->steps.at[i].id;
    const mx_ptask *t = &plan->tasks.at[task];
    if (t->tile >= 0 && plan->kernels.at[t->kernel].routine) {
      const int32_t gate = plan->rtasks.at[t->tile].gate;
      if (task < end && task == last + 1) n += since;
      if (gate > 1) end = task + gate;
      last = task;
      since = 0;
    } else since += made[task];
    made[task] = true;
  }
  free(made);
  return n;
}
int64_t shim_plan_spilled(const shim_plan *p) { return (int64_t)p->plan->stats.spill_write_bytes; }
int shim_op(const char *name) { return (int)mx_op_find(name); }

int shim_plan_instrs(const shim_plan *p, int kernel, int op) {
  const mx_program *prog = &p->plan->kernels.at[kernel].prog;
  int n = 0;
  for (int i = 0; i < prog->n_instrs; i++) n += op < 0 || (prog->instrs[i].kind == MX_I_OP && prog->instrs[i].op == op);
  return n;
}

mars_status shim_plan_validate(const shim_plan *p, mars_error *err) { return mx_plan_validate(p->plan, err); }

static void remove_step(mx_plan *p, int64_t i) {
  memmove(&p->steps.at[i], &p->steps.at[i + 1], (size_t)(p->steps.n - i - 1) * sizeof p->steps.at[0]);
  p->steps.n--;
}

bool shim_plan_damage(shim_plan *sp, shim_damage how) {
  mx_plan *p = sp->plan;
  bool any = false;
  for (int64_t i = p->steps.n - 1; i > 0; i--) {
    mx_step *s = &p->steps.at[i];
    if (how == DROP_FENCES) {
      any |= s->after >= 0 || s->after_store >= 0;
      s->after = s->after_store = -1;
    } else if (how == DROP_LOAD && s->kind == MX_STEP_LOAD) {
      remove_step(p, i);
      return true;
    } else if (how == DROP_COPY && s->kind == MX_STEP_COPY) {
      remove_step(p, i);
      return true;
    } else if (how == DROP_JOIN && s->kind == MX_STEP_COLLECTIVE) {
      remove_step(p, i);
      return true;
    } else if (how == EARLY_JOIN && s->kind == MX_STEP_COLLECTIVE) {
      const mx_step c = *s; /* before the last computation, which makes one of the accumulators */
      int64_t to = i - 1;
      while (to > 0 && p->steps.at[to].kind != MX_STEP_COMPUTE) to--;
      memmove(&p->steps.at[to + 1], &p->steps.at[to], (size_t)(i - to) * sizeof c);
      p->steps.at[to] = c;
      return true;
    } else if (how == WRONG_DEVICE && s->kind == MX_STEP_COMPUTE && s->device) {
      s->device = 0;
      return true;
    } else if (how == DOUBLE_FREE && s->kind == MX_STEP_FREE && p->steps.at[i - 1].kind == MX_STEP_FREE) {
      p->steps.at[i] = p->steps.at[i - 1];
      return true;
    } else if (how == DROP_FREE && s->kind == MX_STEP_FREE) {
      remove_step(p, i);
      return true;
    } else if (how == SHIFT_ALLOC && s->kind == MX_STEP_ALLOC && p->steps.at[i - 1].kind <= MX_STEP_LOAD) {
      s->offset = p->steps.at[i - 1].offset; /* onto what has just been placed */
      return true;
    } else if (how == REORDER_COMPUTE && s->kind == MX_STEP_COMPUTE && p->tasks.at[s->id].tile < 0) {
      mx_step c = *s; /* a combine before what it combines */
      memmove(&p->steps.at[1], &p->steps.at[0], (size_t)i * sizeof c);
      p->steps.at[0] = c;
      return true;
    }
  }
  return any;
}

double shim_plan_simulate(const shim_plan *p, double read_rate, double *busiest) {
  mx_sim_machine m = mx_sim_default(2);
  mx_sim_result r;
  m.read_bytes_per_s = read_rate;
  if (mx_simulate(p->plan, &m, &r, NULL) != MARS_OK) return -1;
  *busiest = r.compute_busy;
  if (r.read_busy > *busiest) *busiest = r.read_busy;
  if (r.write_busy > *busiest) *busiest = r.write_busy;
  return r.seconds;
}

/* ---- the arena model ---- */

enum { LIVE = 200 };

static uint64_t next_random(uint64_t *s) {
  *s ^= *s << 13;
  *s ^= *s >> 7;
  *s ^= *s << 17;
  return *s;
}

const char *shim_space_torture(uint64_t seed, int64_t bytes, int rounds) {
  mx_mem mem;
  mx_mem_init(&mem, NULL);
  mx_space *space = mx_space_create(&mem, (size_t)bytes);
  int64_t at[LIVE], size[LIVE], used = 0;
  const char *wrong = NULL;
  for (int i = 0; i < LIVE; i++) at[i] = -1;
  for (int r = 0; r < rounds && !wrong; r++) {
    int i = (int)(next_random(&seed) % LIVE);
    if (at[i] >= 0) {
      if (!mx_space_free(space, at[i], size[i], (mx_fence){r, next_random(&seed) & 1 ? r : -1})) wrong = "free failed";
      used -= mx_space_round(size[i]);
      at[i] = -1;
      continue;
    }
    mx_fence f = {-1, -1};
    int shift = (int)(next_random(&seed) % 18);
    size[i] = 1 + (int64_t)(next_random(&seed) & ((1u << shift) - 1));
    at[i] = mx_space_alloc(space, size[i], &f);
    if (at[i] < 0) continue;
    int64_t n = mx_space_round(size[i]);
    used += n;
    if (at[i] + n > bytes) wrong = "beyond the arena";
    if (size[i] >= MX_IO_ALIGN && at[i] % MX_IO_ALIGN) wrong = "not aligned";
    if (f.after >= r) wrong = "fence from the future";
    for (int k = 0; k < LIVE; k++)
      if (k != i && at[k] >= 0 && at[k] < at[i] + n && at[i] < at[k] + mx_space_round(size[k])) wrong = "overlap";
    if (mx_space_used(space) != used) wrong = "miscounted";
  }
  for (int i = 0; i < LIVE; i++)
    if (at[i] >= 0) mx_space_free(space, at[i], size[i], (mx_fence){-1, -1});
  mx_fence f = {-1, -1};
  mx_space_use_all(space);
  if (!wrong && mx_space_alloc(space, bytes / 4096 * 4096, &f) < 0) wrong = "free memory does not come together again";
  mx_space_destroy(space);
  if (!wrong && atomic_load(&mem.live)) wrong = "leak";
  return wrong;
}
