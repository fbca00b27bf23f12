/* Steps that become one. Contract: host/vm.h, host/fused.h. */
#include "host/vm.h"

typedef struct peephole {
  mx_kernel *k;
  const mx_fused *fused;
  int *uses; /* [n_values] steps that read it */
  int *def;  /* [n_values] step that makes it, -1: none */
} peephole;

static void count_uses(peephole *h) {
  for (int v = 0; v < h->k->n_values; v++) {
    h->uses[v] = 0;
    h->def[v] = -1;
  }
  for (int s = 0; s < h->k->n_steps; s++) {
    const mx_step *step = &h->k->steps[s];

    if (step->a >= 0) h->uses[step->a]++;
    if (step->b >= 0) h->uses[step->b]++;
    if (step->c >= 0) h->uses[step->c]++;
    if (step->dst >= 0) h->def[step->dst] = s;
  }
}

/* The step that makes v, if it is an add, subtract or multiply over type that nobody else reads; else NULL. */
static mx_step *inner_op(const peephole *h, int v, int type) {
  mx_step *step;

  if (v < 0 || h->uses[v] != 1 || h->def[v] < 0) return NULL;
  step = &h->k->steps[h->def[v]];
  if (step->kind != MX_S_CALL || mx_fused_op((mx_op)step->op) < 0) return NULL;
  return mx_fused_type((mars_dtype)step->dtype) == type ? step : NULL;
}

/* square(x) is x * x. */
static int second(const mx_step *step) { return step->op == MX_OP_SQUARE ? step->a : step->b; }

static void drop(mx_step *step) { step->kind = MX_S_COPY, step->dst = -1; }

/* (a o b) p (c q d), (a o b) p c, c p (a o b) become one step in the place of p. */
static void join_arithmetic(const peephole *h, mx_step *outer) {
  int p = mx_fused_op((mx_op)outer->op), type = mx_fused_type((mars_dtype)outer->dtype);
  mx_step *x, *y, joined = *outer;

  if (outer->kind != MX_S_CALL || p < 0 || type < 0 || outer->op == MX_OP_SQUARE || outer->a == outer->b) return;
  x = inner_op(h, outer->a, type);
  y = inner_op(h, outer->b, type);
  if (x == NULL && y == NULL) return;
  joined.kind = MX_S_FUSED;
  joined.op = MX_OP_COUNT;
  if (x != NULL && y != NULL) {
    joined.fused = h->fused->quad[type][mx_fused_op((mx_op)x->op)][p][mx_fused_op((mx_op)y->op)];
    joined.a = x->a, joined.b = second(x), joined.c = y->a, joined.d = second(y);
    drop(y);
    drop(x);
  } else {
    const mx_step *in = x != NULL ? x : y;

    if (x == NULL && p == MX_F_SUB) p = MX_F_RSUB;
    joined.fused = h->fused->pair[type][mx_fused_op((mx_op)in->op)][p];
    joined.a = in->a, joined.b = second(in), joined.c = x != NULL ? outer->b : outer->a;
    drop(x != NULL ? x : y);
  }
  *outer = joined;
}

/* count_nonzero of a comparison */
static void join_count(const peephole *h, mx_step *reduce) {
  mx_step *compare;
  int which, type;

  if (reduce->kind != MX_S_REDUCE || h->k->outs[reduce->slot].desc.op != MX_OP_COUNT_NONZERO) return;
  if (h->uses[reduce->a] != 1 || h->def[reduce->a] < 0) return;
  compare = &h->k->steps[h->def[reduce->a]];
  which = mx_fused_compare((mx_op)compare->op);
  type = mx_fused_type((mars_dtype)compare->dtype);
  if (compare->kind != MX_S_CALL || which < 0 || type < 0) return;
  compare->kind = MX_S_COUNT; /* where its operands are at hand; the order of reductions does not matter */
  compare->slot = reduce->slot;
  compare->count = h->fused->count[type][which];
  drop(reduce);
  reduce->a = -1;
}

void mx_vm_peephole(mx_kernel *kernel, const mx_fused *fused, int *uses, int *def) {
  peephole h = {kernel, fused, uses, def};
  int n = 0;

  count_uses(&h);
  for (int s = 0; s < kernel->n_steps; s++) {
    join_arithmetic(&h, &kernel->steps[s]);
    join_count(&h, &kernel->steps[s]);
  }
  for (int s = 0; s < kernel->n_steps; s++) /* dropped steps make nothing and store nothing */
    if (kernel->steps[s].kind != MX_S_COPY || kernel->steps[s].dst >= 0) kernel->steps[n++] = kernel->steps[s];
  kernel->n_steps = n;
}
