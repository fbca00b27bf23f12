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
  mx_free(mem, plan->final_offset);
  mx_pool_reset(&plan->pool);
  mx_free(mem, plan);
}

static mars_status lay_out(mx_plan *plan, mx_scratch_fn *scratch, void *ctx, mars_error *err) {
  mars_status st = MARS_OK;
  MX_TRY(mx_tile_grids(plan, err));
  MX_TRY(mx_tile_tasks(plan, err));
  MX_TRY(mx_plan_order(plan, err));
  MX_TRY(mx_plan_schedule(plan, scratch, ctx, err));
done:
  return st;
}

mars_status mx_plan_make(const mx_plan_input *input, mx_kernel_ready_fn *ready, mx_scratch_fn *scratch, void *ctx,
                         mx_plan **out, mars_error *err) {
  mars_status st = MARS_OK;
  mx_plan *plan = mx_alloc(input->mem, sizeof *plan);
  *out = NULL;
  if (!plan) return MX_NOMEM(err, input->fn);
  *plan = (mx_plan){.mem = input->mem, .machine = input->machine, .store_ops = input->store_ops, .fn = input->fn,
                    .exact = input->exact};
  mx_pool_init(&plan->pool, input->mem);
  MX_TRY(mx_fuse(plan, input, err));
  if (ready) MX_TRY(ready(ctx, plan, err));
  bool routines = false;
  for (int64_t k = 0; k < plan->kernels.n; k++) routines |= plan->kernels.at[k].routine != NULL;
  mx_tile_choose(plan);
  for (;; plan->attempt++) {
    plan->spill_short = false;
    st = lay_out(plan, scratch, ctx, err);
    bool least = plan->machine->chunk_elements > 0 || plan->chunk_elements <= SMALLEST_CHUNK;
    if (st != MARS_E_BUDGET || (least && (!routines || plan->spill_short || plan->attempt >= MOST_ATTEMPTS))) break;
    if (least) continue; /* routines have sizes of their own */
    plan->chunk_elements = plan->chunk_elements / 4 > SMALLEST_CHUNK ? plan->chunk_elements / 4 : SMALLEST_CHUNK;
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
