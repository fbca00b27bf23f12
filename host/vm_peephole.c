/* Steps that become one. Contract: host/vm.h, host/fused.h. */
#include "host/vm.h"

typedef struct peephole {
  mx_kernel *k;
  const mx_fused *fused;
  const int *constant; /* [n_values] >= 0: a constant */
  int *uses;           /* [n_values] operands that it is */
  int *def;            /* [n_values] step that makes it, -1: none */
} peephole;

/* x o y of two arrays, or of an array and a constant: then y is the constant. */
typedef struct binary {
  int o, x, y;
  bool constant;
} binary;

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

static int reversed(int o) {
  static const int other[MX_F_OPS] = {MX_F_ADD, MX_F_RSUB, MX_F_MUL, MX_F_SUB, MX_F_RDIV, MX_F_DIV};

  return other[o];
}

static bool is_constant(const peephole *h, int v) { return h->constant[v] >= 0; }

/* The step as x o y over `type`; false if it is none of the table's. */
static bool as_binary(const peephole *h, const mx_step *step, int type, binary *out) {
  int o = step->kind == MX_S_CALL ? mx_fused_op((mx_op)step->op) : -1;

  if (o < 0 || mx_fused_type((mars_dtype)step->dtype) != type) return false;
  *out = (binary){o, step->a, step->op == MX_OP_SQUARE ? step->a : step->b, false}; /* square(x) is x * x */
  if (is_constant(h, out->x) && !is_constant(h, out->y)) *out = (binary){reversed(o), out->y, out->x, false};
  out->constant = is_constant(h, out->y);
  return true;
}

/* The step that makes v, if it is add, subtract or multiply over type and nobody else reads it; else NULL. */
static mx_step *inner_op(const peephole *h, int v, int type, binary *out) {
  mx_step *step;

  if (v < 0 || h->uses[v] != 1 || h->def[v] < 0) return NULL;
  step = &h->k->steps[h->def[v]];
  return as_binary(h, step, type, out) && out->o <= MX_F_RSUB ? step : NULL;
}

static void drop(mx_step *step) { step->kind = MX_S_COPY, step->dst = -1; }

/* A reversed difference of two arrays, the operands back in place. */
static void unreverse(binary *x) {
  if (x->o == MX_F_RSUB && !x->constant) *x = (binary){MX_F_SUB, x->y, x->x, false};
}

/* (a o b) p (c q d), (a o b) p c, c p (a o b) become one step in the place of p. */
static void join_arithmetic(const peephole *h, mx_step *outer) {
  int type = mx_fused_type((mars_dtype)outer->dtype);
  binary p, in, other;
  mx_step *x, *y, joined = *outer;
  const mx_fused_loop *loop;

  if (type < 0 || !as_binary(h, outer, type, &p) || p.o > MX_F_RSUB || p.x == p.y) return;
  x = inner_op(h, p.x, type, &in);
  y = inner_op(h, p.y, type, &other);
  if (x == NULL && y == NULL) return;
  if (x == NULL) { /* what is computed stands first */
    p = (binary){reversed(p.o), p.y, p.x, false};
    in = other;
    x = y;
    y = NULL;
  }
  joined.kind = MX_S_FUSED;
  joined.op = MX_OP_COUNT;
  joined.a = in.x, joined.b = in.y;
  if (y != NULL && !in.constant && !other.constant && p.o < MX_F_RSUB) {
    unreverse(&in);
    unreverse(&other);
    joined.a = in.x, joined.b = in.y, joined.c = other.x, joined.d = other.y;
    loop = &h->fused->quad[type][in.o][p.o][other.o];
    drop(y);
  } else {
    joined.c = p.y;
    loop = &h->fused->pair[type][in.o][p.o][in.constant][p.constant];
    joined.scalar_b = in.constant;
    joined.scalar_c = p.constant;
  }
  drop(x);
  joined.fused = loop->plain;
  joined.stream = loop->stream;
  *outer = joined;
}

/* A single op that can store past the caches itself. */
static void add_stream(const peephole *h, mx_step *step) {
  int type = step->kind == MX_S_CALL ? mx_fused_type((mars_dtype)step->dtype) : -1;
  binary x;

  if (type < 0 || !as_binary(h, step, type, &x)) return;
  step->stream = h->fused->single[type][x.o][x.constant];
  step->stream_a = x.x;
  step->stream_b = x.y;
}

/* x*x + y*y compared with a constant: the count squares by itself. */
static void join_squares(const peephole *h, mx_step *count, int type, int which) {
  mx_step *sum;

  if (!is_constant(h, count->b) || h->uses[count->a] != 1 || h->def[count->a] < 0) return;
  sum = &h->k->steps[h->def[count->a]];
  if (sum->kind != MX_S_FUSED || sum->fused != h->fused->quad[type][MX_F_MUL][MX_F_ADD][MX_F_MUL].plain) return;
  if (sum->a != sum->b || sum->c != sum->d) return;
  sum->counted = true;
  sum->slot = count->slot;
  count->squares = h->fused->count_squares[type][which];
  count->c = sum->a;
  count->d = sum->c;
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
  compare->count = h->fused->count[type][which][is_constant(h, compare->b)];
  join_squares(h, compare, type, which);
  drop(reduce);
  reduce->a = -1;
}

void mx_vm_peephole(mx_kernel *kernel, const mx_fused *fused, const int *constant, int *uses, int *def) {
  peephole h = {kernel, fused, constant, uses, def};
  int n = 0;

  count_uses(&h);
  for (int s = 0; s < kernel->n_steps; s++) {
    join_arithmetic(&h, &kernel->steps[s]);
    join_count(&h, &kernel->steps[s]);
  }
  for (int s = 0; s < kernel->n_steps; s++) add_stream(&h, &kernel->steps[s]);
  for (int s = 0; s < kernel->n_steps; s++) /* dropped steps make nothing and store nothing */
    if (kernel->steps[s].kind != MX_S_COPY || kernel->steps[s].dst >= 0) kernel->steps[n++] = kernel->steps[s];
  kernel->n_steps = n;
}
