#include "tests/loops_shim.h"
#include "host/loops.h"

int loops_op_count(void) { return MX_OP_COUNT; }

loops_row loops_row_of(int op) {
  const mx_op_row *row = mx_op_row_of((mx_op)op);
  bool elementwise = row->kind == MX_KIND_UNARY || row->kind == MX_KIND_BINARY || row->kind == MX_KIND_TERNARY;
  return (loops_row){row->info.name, elementwise ? row->info.arity : 0, row->info.ulp};
}
mars_dtype loops_loop_dtype(int op, mars_dtype dt) { return mx_op_loop_dtype((mx_op)op, dt); }
mars_dtype loops_result_dtype(int op, mars_dtype loop) { return mx_op_result_dtype((mx_op)op, loop); }

bool loops_has(const char *isa) { return mx_loops_select(isa) != NULL; }
const char *loops_name(const char *isa) { return mx_loops_select(isa)->isa; }
loops_fn *loops_op(const char *isa, int op, mars_dtype dt) { return mx_loops_select(isa)->op[op][dt]; }
loops_fn *loops_cast(const char *isa, mars_dtype from, mars_dtype to) { return mx_loops_select(isa)->cast[from][to]; }
loops_fn *loops_round(const char *isa, mars_dtype half) {
  return half == MARS_F16 ? mx_loops_select(isa)->round_f16 : mx_loops_select(isa)->round_bf16;
}

void loops_fill(const char *isa, const loops_random *r, uint64_t index, int64_t step, int64_t n, void *dst) {
  static const mx_op ops[] = {[LOOPS_UNIFORM] = MX_OP_UNIFORM,
                              [LOOPS_NORMAL] = MX_OP_NORMAL,
                              [LOOPS_EXPONENTIAL] = MX_OP_EXPONENTIAL,
                              [LOOPS_INTEGERS] = MX_OP_INTEGERS,
                              [LOOPS_BERNOULLI] = MX_OP_BERNOULLI};
  mx_random m = {.op = ops[r->op], .dtype = r->dtype, .seed = r->seed, .stream = r->stream, .p0 = r->p0, .p1 = r->p1,
                 .low = r->low, .range = r->range};
  mx_loops_select(isa)->random(&m, index, step, n, dst);
}
void loops_iota(const char *isa, int64_t start, int64_t step, int64_t n, int64_t *dst) {
  mx_loops_select(isa)->iota(start, step, n, dst);
}
void loops_stream_copy(const char *isa, void *dst, const void *src, size_t bytes) {
  mx_loops_select(isa)->stream_copy(dst, src, bytes);
}
