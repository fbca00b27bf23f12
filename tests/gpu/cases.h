/* The kernels that gpu_measure looks at: programs of one pass, their operands, and what equal results are. */
#ifndef TESTS_GPU_CASES_H
#define TESTS_GPU_CASES_H

#include "tests/vm_shim.h"

enum { CASE_CHAIN = 4, CASE_COUNT = 14, CASE_MAX_IN = 3 };

typedef struct kernel_case {
  const char *name;
  int n_in, ndim;
  mars_dtype in[CASE_MAX_IN], out;
  int64_t shape[MARS_MAX_DIMS];
  uint32_t mask; /* reduced, or scanned */
  bool scan;
  double tolerance; /* relative; 0: the same bits */
  int number;
} kernel_case;

/* Case i with operands of about so many bytes at most. */
void case_make(int i, size_t bytes, kernel_case *out);
vm_prog *case_program(const kernel_case *c); /* vm_prog_free */
size_t case_points(const kernel_case *c);
size_t case_results(const kernel_case *c);
/* Operands one after another, each at a multiple of 256 bytes. */
void case_fill(const kernel_case *c, char *memory);
bool case_equal(const kernel_case *c, const char *got, const char *want);
const char *case_percent(double fraction); /* good until the next call */
double case_hidden(double hidden, double of); /* percent, 0 to 100 */

#endif
