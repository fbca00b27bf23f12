/*
 * Kernels of the user's own: expressions as text, CUDA C. Included by <mars/mars.h>.
 */
#ifndef MARS_KERNEL_H
#define MARS_KERNEL_H

#include <mars/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mars_session mars_session;
typedef struct mars_tensor mars_tensor;

/** A tensor and what a text calls it: letters, digits and underscores, no digit first. */
typedef struct mars_named {
  const char *name;
  mars_tensor *tensor;
} mars_named;

/**
 * \brief An elementwise expression as text: mars_elementwise(s, "x*x + a*y", (mars_named[]){{"x", x}, {"a", a}, {"y", y}}, 3).
 *
 * Python's syntax and NumPy's meaning: + - * / // % **, & | ^ ~ << >>, comparisons (chained ones too), every elementwise function
 * of mars/ops.h by NumPy's, the array API standard's or Python's name (sin, np.sin, where, maximum, abs), dtypes as functions
 * (float32(x)), the constants pi, e, euler_gamma, inf, nan, True, False. Several statements, separated by ';' or line breaks, may
 * name parts: "t = x - m; t*t". Numbers are Python's: they take the other operand's dtype, and among themselves they are
 * computed at once.
 *
 * The result is what the same calls of mars_add, mars_multiply, ... would give: nodes of the graph, so that it is fused with what
 * is around it and runs on every device.
 *
 * \param operands  n of them, which broadcast; names must differ and hide functions and constants
 * \return          broadcast shape; dtype by NumPy 2's promotion
 *
 * Types      what the operators and functions take.
 * Memory     none of its own.
 * Accuracy   each operation's row in mars/ops.h.
 * Errors     MARS_E_ARG (syntax, names), MARS_E_DTYPE, MARS_E_SHAPE, MARS_E_OVERFLOW at the call; the message begins with the line and
 *            column of the text, counted from 1 in bytes.
 */
MARS_API mars_tensor *mars_elementwise(mars_session *s, const char *expression, const mars_named *operands, size_t n);

/* ---- CUDA C --------------------------------------------------------------------------------------- */

/** What one call of a kernel works on: a run of the results' elements in C order. In CUDA C it is declared before the text, as
    `struct mars_chunk` with `long long` members. */
typedef struct mars_chunk {
  int64_t offset;                 /**< index of the first element in the whole result, C order */
  int64_t count;                  /**< elements, > 0 */
  int64_t ndim;                   /**< of the whole result, */
  int64_t shape[MARS_MAX_DIMS];   /**< and its extents */
} mars_chunk;

typedef enum mars_operand_rule {
  MARS_OPERAND_CHUNK = 0, /**< broadcast with the others of this rule to the results' shape; a call sees the chunk's elements */
  MARS_OPERAND_WHOLE = 1  /**< every call sees all its elements in C order: a table, a parameter. It has to fit into memory */
} mars_operand_rule;

typedef struct mars_kernel_operand {
  mars_dtype dtype; /**< Python-like scalars are cast to it; tensors must have it */
  mars_operand_rule rule;
} mars_kernel_operand;

/** The same on the host: may be called from several threads at once, must not call Mars. in, out: as many as declared. */
typedef void mars_kernel_fn(const mars_chunk *chunk, const void *const *in, void *const *out, void *user);

/** A kernel: CUDA C, a host function with the same meaning, or both. Everything in it is copied when it is used. */
typedef struct mars_kernel {
  const char *name;        /**< for messages; NULL: the entry */
  const char *source;      /**< CUDA C; NULL: the host alone runs it */
  const char *entry;       /**< of the source: extern "C" __global__ void entry(mars_chunk c, const IN0 *in0, .., OUT0 *out0, ..) */
  mars_kernel_fn *host;    /**< NULL: CUDA devices alone run it */
  void *user;              /**< given to host */
  int n_in, n_out;         /**< 1 to 32, 1 to 4 */
  const mars_kernel_operand *in; /**< [n_in] */
  const mars_dtype *out;         /**< [n_out] */
} mars_kernel;

/**
 * \brief Apply a kernel of one's own, chunk by chunk: each call sees contiguous pieces of its operands and fills contiguous pieces of its
 * results.
 *
 * Elements must not depend on others: how they are cut into chunks is the planner's. A launch has blocks of 256 threads, at least one
 * thread for every element: i = blockIdx.x * blockDim.x + threadIdx.x, and those with i >= c.count do nothing. The text is compiled with
 * --fmad=false and C++17, without headers of the system. Both sides may run parts of one result; what a kernel with source and host
 * function gives then should not depend on where.
 *
 * \param operands  kernel->n_in tensors
 * \param results   [kernel->n_out], filled with tensors of the broadcast shape, or errors
 *
 * Types      as declared.
 * Memory     a chunk of each operand and result, and what is MARS_OPERAND_WHOLE. Operands are stored, not fused into it.
 * Errors     MARS_E_ARG (the description), MARS_E_DTYPE, MARS_E_SHAPE at the call; when it is run MARS_E_UNSUPPORTED (no host function, and
 *            no CUDA device that can), MARS_E_ARG (the text does not compile: the compiler's log from the first error on, with the line
 *            of the text as kernel(LINE); or it has no such entry), MARS_E_DEVICE (it failed, or the devices that
 *            could run it were lost, and there is no host function).
 */
MARS_API void mars_kernel_apply(mars_session *s, const mars_kernel *kernel, mars_tensor *const *operands, mars_tensor **results);

#ifdef __cplusplus
}
#endif
#endif
