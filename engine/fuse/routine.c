/* The kernel of a routine: its operands' values and views, and which of its results are wanted. */
#include "engine/fuse/fuse.h"
#include "engine/routine.h"

#include <stdio.h>
#include <string.h>

static void name_it(mx_pkernel *k) {
  const char *op = mx_op_row_of(k->node->op)->info.name, *in = k->node->within;
  if (!in || strcmp(in, op) == 0) snprintf(k->fn, sizeof k->fn, "%s", op);
  else snprintf(k->fn, sizeof k->fn, "%s, in its %s", in, op);
}

mars_status mx_fuse_routine(mx_fuser *f, int group, int level, mars_error *err) {
  mx_plan *plan = f->plan;
  mx_node *node = f->roots.at[group].node;
  const int n = node->n_operands;
  mx_pkernel k = {.level = level, .carry_first = -1, .node = node, .dtype = node->operand[0]->dtype, .n_slots = n, .routine = mx_routine_of(node->op)};
  k.slot = mx_pool_alloc(&plan->pool, (size_t)n * sizeof *k.slot + 1);
  if (!k.slot) return MX_NOMEM(err, plan->fn);
  if (!k.routine) return mx_fail(err, MARS_E_INTERNAL, "%s: no tile rule for %s", plan->fn, mx_op_row_of(node->op)->info.name);
  for (int i = 0; i < n; i++) {
    mx_access a = {0};
    mx_node *base = mx_fuse_base(f, node->operand[i], &a.view);
    a.ndim = base->shape.ndim;
    k.slot[i] = (mx_pslot){.value = mx_finfo_of(f, base)->value, .access = a};
    if (k.slot[i].value < 0) return mx_fail(err, MARS_E_INTERNAL, "%s: an operand of %s is no value", plan->fn, mx_op_row_of(node->op)->info.name);
  }
  memset(k.result, -1, sizeof k.result);
  for (int64_t i = 0; i < f->roots.n; i++) {
    const mx_root *r = &f->roots.at[i];
    if (r->group != group) continue;
    k.result[r->node->attr.routine.which] = r->value;
    plan->values.at[r->value].producer = (int)plan->kernels.n;
    k.n_results++;
  }
  k.prog.mem = plan->mem;
  k.prog.routine = true;
  name_it(&k);
  return mx_vec_push(plan->mem, &plan->kernels, k) ? MARS_OK : MX_NOMEM(err, plan->fn);
}
