/* Plain C view of host/loops.h for the C++ tests: the engine's headers are C11 only. */
#ifndef TESTS_LOOPS_SHIM_H
#define TESTS_LOOPS_SHIM_H

#include <mars/mars.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void loops_fn(int64_t n, void *dst, const void *a, const void *b, const void *c);

typedef struct loops_row {
  const char *name;
  int arity; /* 0: not elementwise */
  double ulp;
} loops_row;

enum loops_distribution { LOOPS_UNIFORM, LOOPS_NORMAL, LOOPS_EXPONENTIAL, LOOPS_INTEGERS, LOOPS_BERNOULLI };
typedef struct loops_random {
  enum loops_distribution op;
  mars_dtype dtype;
  uint64_t seed, stream;
  double p0, p1;
  int64_t low;
  uint64_t range;
} loops_random;

int loops_op_count(void);
loops_row loops_row_of(int op);
mars_dtype loops_loop_dtype(int op, mars_dtype dt);
mars_dtype loops_result_dtype(int op, mars_dtype loop);

/* false: this CPU does not have the instruction set; name NULL: the best */
bool loops_has(const char *isa);
const char *loops_name(const char *isa);
loops_fn *loops_op(const char *isa, int op, mars_dtype dt);
loops_fn *loops_cast(const char *isa, mars_dtype from, mars_dtype to);
loops_fn *loops_round(const char *isa, mars_dtype half);
void loops_fill(const char *isa, const loops_random *r, uint64_t index, int64_t step, int64_t n, void *dst);
void loops_iota(const char *isa, int64_t start, int64_t step, int64_t n, int64_t *dst);
void loops_stream_copy(const char *isa, void *dst, const void *src, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
