/*
 * Kernels of the user's own: expressions as text. Included by <mars/mars.h>.
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

#ifdef __cplusplus
}
#endif
#endif
