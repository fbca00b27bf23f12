/*
 * Accumulators of several devices that become one by a collective operation of the devices, instead of being copied to one of them.
 * Which operations: mx_acc_join_of. Contract: engine/plan/plan.h.
 */
#include "engine/plan/schedule.h"

int mx_plan_join_places(const mx_plan *p, const mx_pkernel *k, int slot, int64_t bytes) {
  const mx_machine *m = p->machine;
  mx_join join;
  uint32_t use = 0;
  if (!m->joined || bytes < MX_JOIN_BYTES || !mx_acc_join_of(mx_op_row_of(k->prog.outs[slot].op)->acc, k->prog.outs[slot].src, &join)) return 0;
  for (int i = 0; i < m->n_use; i++)
    if (mx_plan_may_use(p, m->use[i])) use |= 1u << m->use[i];
  return use == m->joined ? m->n_use : 0;
}

bool mx_plan_joins(const mx_plan *p, int32_t task, mx_join *join) {
  const mx_ptask *t = &p->tasks.at[task];
  const mx_pkernel *k = &p->kernels.at[t->kernel];
  uint32_t makers = 0;
  if (!p->task_device || !p->machine->joined || t->tile >= 0 || mx_combine_is_final(t)) return false;
  if (t[1].first_in - t->first_in != __builtin_popcount(p->machine->joined)) return false;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) makers |= 1u << mx_join_device(p, p->ins.at[i]);
  if (makers != p->machine->joined || !(makers >> mx_task_device(p, task) & 1)) return false;
  const mx_out_desc *out = &k->prog.outs[-1 - t->tile];
  mx_join own;
  return p->chunks.at[p->outs.at[t->first_out]].bytes >= MX_JOIN_BYTES && mx_acc_join_of(mx_op_row_of(out->op)->acc, out->src, join ? join : &own);
}

bool mx_join_together(mx_scheduler *z, int32_t task, int32_t position, bool *joined) {
  mx_plan *p = z->plan;
  const mx_ptask *t = &p->tasks.at[task];
  const int a = mx_task_device(p, task);
  const int32_t sum = p->outs.at[t->first_out];
  mx_fence f = MX_NO_FENCE;
  *joined = false;
  if (!mx_plan_joins(p, task, NULL)) return true;
  for (int32_t i = t->first_in; i < t[1].first_in; i++)
    if (!mx_resident(z, mx_join_device(p, p->ins.at[i]), p->ins.at[i])) return true; /* it had to leave: they are copied */
  z->arena[a].s[sum].pin = position;
  const int64_t at = mx_make_room(z, a, mx_room_of(z, a, sum), position, position, &f);
  if (at < 0 || !mx_settle(z, a, sum, at, f, MX_STEP_COLLECTIVE, MX_TIER_DEVICE)) return false;
  const int32_t step = (int32_t)p->steps.n - 1;
  for (int32_t i = t->first_in; i < t[1].first_in; i++) {
    const int d = mx_join_device(p, p->ins.at[i]);
    z->arena[d].s[p->ins.at[i]].fence.after_store = step;
    if (d != a) p->stats.device[a].peer_bytes += (size_t)p->chunks.at[p->ins.at[i]].bytes;
  }
  p->stats.computes++;
  p->stats.device[a].computes++;
  *joined = true;
  return !z->nomem;
}
