/*
 * Plan making: the stages in a row, with smaller chunks as long as the schedule does not fit the budget.
 */
#include "engine/plan/plan.h"

enum { SMALLEST_CHUNK = 256, MOST_ATTEMPTS = 12, ALWAYS_VALIDATED = 20000 };

void mx_plan_destroy(mx_plan *plan) {
  if (!plan) return;
  mx_mem *mem = plan->mem;
  mx_vec_free(mem, &plan->values);
  mx_vec_free(mem, &plan->kernels);
  mx_vec_free(mem, &plan->chunks);
  mx_vec_free(mem, &plan->tasks);
  mx_vec_free(mem, &plan->ins);
  mx_vec_free(mem, &plan->outs);
  mx_vec_free(mem, &plan->rtasks);
  mx_vec_free(mem, &plan->rargs);
  mx_vec_free(mem, &plan->order);
  mx_vec_free(mem, &plan->steps);
  mx_free(mem, plan->task_device);
  mx_pool_reset(&plan->pool);
  mx_free(mem, plan);
}

mars_status mx_plan_cancelled(const mx_plan *plan, mars_error *err) {
  if (!plan->cancelled || !plan->cancelled(plan->cancelled_ctx)) return MARS_OK;
  return mx_fail(err, MARS_E_CANCELLED, "%s: cancelled", plan->fn);
}

static mars_status lay_out(mx_plan *plan, mx_kernel_ready_fn *ready, mx_scratch_fn *scratch, void *ctx, mars_error *err) {
  mars_status st = MARS_OK;
  MX_TRY(mx_tile_grids(plan, err));
  MX_TRY(mx_tile_tasks(plan, err));
  MX_TRY(mx_plan_cancelled(plan, err));
  MX_TRY(mx_plan_order(plan, err));
  MX_TRY(mx_plan_cancelled(plan, err));
  MX_TRY(mx_plan_place(plan, err));
  if (ready) MX_TRY(ready(ctx, plan, err));
  MX_TRY(mx_plan_schedule(plan, scratch, ctx, err));
done:
  return st;
}

/* A plan was refused: the device that was too small, or the smallest where a routine's rule found that there is too little room. */
static int too_small(const mx_plan *plan) {
  int least = 0;
  if (plan->refused >= 0) return plan->refused;
  for (int d = 1; d < plan->machine->n_devices && mx_plan_devices(plan); d++)
    if (mx_plan_may_use(plan, d) && plan->machine->device[d].arena_bytes < plan->machine->device[least].arena_bytes) least = d;
  return least;
}

/* The others do its part, with working sets as large as they allow. */
static void do_without(mx_plan *plan, int device) {
  mx_machine *m = &plan->own;
  plan->without |= 1u << device;
  m->arena_bytes = m->device[0].arena_bytes;
  for (int d = 1; d < m->n_devices; d++)
    if (mx_plan_may_use(plan, d) && m->device[d].arena_bytes < m->arena_bytes) m->arena_bytes = m->device[d].arena_bytes;
  mx_tile_choose(plan);
}

static void smaller(mx_plan *plan) { plan->chunk_elements = plan->chunk_elements / 4 > SMALLEST_CHUNK ? plan->chunk_elements / 4 : SMALLEST_CHUNK; }

/* What an earlier run of the job has found out. */
static void heed(mx_plan *plan, const mx_plan_input *input) {
  for (int d = 1; d < plan->own.n_devices; d++)
    if (input->without >> d & 1) do_without(plan, d);
  plan->attempt = input->smaller;
  for (int i = 0; i < input->smaller && plan->own.chunk_elements <= 0 && plan->chunk_elements > SMALLEST_CHUNK; i++) smaller(plan);
}

mars_status mx_plan_make(const mx_plan_input *input, mx_kernel_ready_fn *ready, mx_scratch_fn *scratch, void *ctx,
                         mx_plan **out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_plan *plan = mx_alloc(input->mem, sizeof *plan);
  *out = NULL;
  if (!plan) return MX_NOMEM(err, input->fn);
  *plan = (mx_plan){.mem = input->mem, .own = *input->machine, .store_ops = input->store_ops, .fn = input->fn,
                    .cancelled = input->cancelled, .cancelled_ctx = input->cancelled_ctx,
                    .exact = input->exact, .holds = input->holds, .n_holds = input->n_holds};
  plan->machine = &plan->own;
  mx_pool_init(&plan->pool, input->mem);
  MX_TRY(mx_fuse(plan, input, err));
  bool routines = false;
  for (int64_t k = 0; k < plan->kernels.n; k++) routines |= plan->kernels.at[k].routine != NULL;
  mx_tile_choose(plan);
  heed(plan, input);
  for (;; plan->attempt++) {
    plan->spill_short = false;
    plan->refused = -1;
    st = lay_out(plan, ready, scratch, ctx, err);
    bool least = plan->machine->chunk_elements > 0 || plan->chunk_elements <= SMALLEST_CHUNK;
    if (st == MARS_E_BUDGET && (least || plan->attempt >= MOST_ATTEMPTS) && too_small(plan) > 0) {
      do_without(plan, too_small(plan));
      plan->attempt = -1; /* from the beginning */
      continue;
    }
    if (st != MARS_E_BUDGET || (least && (!routines || plan->spill_short || plan->attempt >= MOST_ATTEMPTS))) break;
    if (least) continue; /* routines have sizes of their own */
    smaller(plan);
  }
  if (st != MARS_OK) goto done;
  mx_error_clear(err);
  if (plan->steps.n <= ALWAYS_VALIDATED) MX_TRY(mx_plan_validate(plan, err));
  *out = plan;
  plan = NULL;
done:
  mx_plan_destroy(plan);
  return st;
}
