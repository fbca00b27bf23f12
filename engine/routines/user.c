/* KERNEL: a kernel of the user's own, over chunks of lines of elements. Operands that do not stand in one piece are copied to it. */
#include "engine/routine.h"
#include "engine/status.h"
#include "engine/user.h"

#include <stdio.h>

static const mx_user_kernel *user_of(const mx_pkernel *k) { return (const mx_user_kernel *)(intptr_t)k->node->attr.routine.p[0]; }

static mars_status grids(mx_plan *plan, mx_pkernel *k, mars_error *err) {
  int64_t chunk[MARS_MAX_DIMS] = {plan->chunk_elements > 0 ? plan->chunk_elements : 1};

  (void)err;
  for (int o = 0; o < MX_USER_OUT; o++)
    if (k->result[o] >= 0) {
      mx_pvalue *v = &plan->values.at[k->result[o]];

      if (chunk[0] > v->shape.dims[0]) chunk[0] = v->shape.dims[0];
      mx_grid_init(&v->grid, &v->shape, chunk);
    }
  return MARS_OK;
}

/* Of the first device that might have. */
static void why_not(const mx_plan *p, char *text, size_t bytes) {
  const mx_machine *m = p->machine;
  char lacking[300];

  snprintf(text, bytes, "there is no CUDA device");
  for (int i = 0; i < m->n_use; i++) {
    const mx_machine_device *d = &m->device[m->use[i]];

    if (m->use[i] == 0) continue;
    if (d->lost == NULL && !mx_plan_may_use(p, m->use[i])) snprintf(text, bytes, "%s has too little memory for it", d->name);
    else if (d->dev->ops->lacks && d->dev->ops->lacks(d->dev, lacking, sizeof lacking)) snprintf(text, bytes, "%s", lacking);
    else snprintf(text, bytes, "%s is of another kind", d->name);
    return;
  }
}

/* Without a function for the host only a device will do: MARS_E_DEVICE where there was one, and it was lost. */
static bool can_run(mx_rbuild *b, const mx_user_kernel *u) {
  const mx_machine *m = b->plan->machine;
  const mx_machine_device *lost = NULL;
  const char *name = u->name != NULL ? u->name : u->entry;
  char why[300];

  if (u->host != NULL) return true;
  for (int i = 0; i < m->n_use; i++) {
    const mx_machine_device *d = &m->device[m->use[i]];

    if (m->use[i] == 0 || !d->dev->ops->can_tile(d->dev, MX_TILE_USER, b->dtype)) continue;
    if (mx_plan_may_use(b->plan, m->use[i])) return true;
    if (d->lost != NULL && lost == NULL) lost = d;
  }
  if (lost != NULL) {
    b->st = mx_fail_from(b->err, lost->lost, "mars_%s: kernel '%.60s' is CUDA C, and device %s, which could run it, was lost: %.300s", b->k->fn, name, lost->name,
                         lost->lost->message);
    return false;
  }
  why_not(b->plan, why, sizeof why);
  mx_r_fail(b, MARS_E_UNSUPPORTED, "kernel '%.60s' is CUDA C, and no device of the session can run it (%s); give it a host function, too",
            name, why);
  return false;
}

/* Elements [start, start + n) of an operand, in one piece. */
static mx_rarg operand(mx_rbuild *b, int slot, mars_dtype dt, int64_t start, int64_t n) {
  const mars_dtype own = b->dtype;
  const int64_t elem = b->elem;
  mx_rarg a;

  b->dtype = dt; /* its copies are of its dtype */
  b->elem = (int64_t)mars_dtype_bytes(dt);
  a = mx_r_operand(b, slot, NULL, 0, start, 1, n);
  if (b->st == MARS_OK && n > 1 && a.cs != 1) {
    a = mx_r_mat(mx_r_temp(b, n * b->elem), 1, n);
    mx_r_load(b, slot, NULL, 0, start, &a);
  }
  b->dtype = own;
  b->elem = elem;
  return a;
}

static void tasks(mx_rbuild *b) {
  const mx_pkernel *k = b->k;
  const mx_user_kernel *u = user_of(k);
  mx_rarg in[MX_USER_IN];
  int first = 0;

  if (!can_run(b, u)) return;
  while (k->result[first] < 0) first++;
  for (int i = 0; i < u->n_in; i++)
    if (u->in[i].rule == MARS_OPERAND_WHOLE) in[i] = operand(b, i, u->in[i].dtype, 0, k->node->operand[i]->size);
  const int64_t total = b->plan->values.at[k->result[first]].grid.total;
  for (int64_t c = 0; c < total && b->st == MARS_OK; c++) {
    int64_t start[MARS_MAX_DIMS], extent[MARS_MAX_DIMS];

    mx_r_result_box(b, first, c, start, extent);
    mx_r_break(b); /* chunks are independent */
    for (int i = 0; i < u->n_in; i++)
      if (u->in[i].rule == MARS_OPERAND_CHUNK) in[i] = operand(b, i, u->in[i].dtype, start[0], extent[0]);
    mx_r_begin(b, MX_TILE_USER, 0);
    mx_r_p(b, 0, start[0]);
    mx_r_p(b, 1, extent[0]);
    mx_r_p(b, 2, (int64_t)(intptr_t)u);
    for (int o = 0; o < u->n_out; o++) {
      mx_rarg out = k->result[o] >= 0 ? mx_r_result_mat(b, o, c)
                                      : mx_r_mat(mx_r_temp(b, extent[0] * (int64_t)mars_dtype_bytes(u->out[o])), 1, extent[0]);
      mx_r_write(b, &out);
    }
    for (int i = 0; i < u->n_in; i++) mx_r_read(b, &in[i]);
    mx_r_end(b, 0, (double)extent[0] * 10);
  }
}

const mx_user_kernel *mx_user_call(const struct mx_tile_call *t, mars_chunk *chunk) {
  const mx_user_kernel *u = (const mx_user_kernel *)(intptr_t)t->p[2];

  *chunk = (mars_chunk){.offset = t->p[0], .count = t->p[1], .ndim = u->shape.ndim};
  for (int d = 0; d < u->shape.ndim; d++) chunk->shape[d] = u->shape.dims[d];
  return u;
}

const mx_routine mx_routine_kernel = {.op = MX_OP_KERNEL, .grids = grids, .tasks = tasks};
