/*
 * One public call under construction: its nodes, its first error, its result.
 *
 * A call opens an mx_build, checks its operands into it, makes nodes with the mx_build_ functions, and closes it with the
 * node that is its result. Every function here may be called after a failure: it then returns NULL (or false) and
 * changes nothing, so calls nest and only the end looks at the status. Nodes returned are borrowed from the build,
 * which gives all of them back when it is closed.
 *
 * Layer: engine/graph only. Threads: one owner (the caller of the public function); the graph's lock is taken inside.
 */
#ifndef MX_GRAPH_BUILD_H
#define MX_GRAPH_BUILD_H

#include "engine/graph/graph.h"
#include "engine/status.h"

/* An operand: its node, and whether it is a Python-like scalar. */
typedef struct mx_term {
  mx_node *node;
  bool weak;
} mx_term;

typedef struct mx_build {
  mars_session *session; /* NULL: the call returns NULL */
  const char *fn;        /* public name without "mars_" */
  mars_status st;
  mars_error error;      /* valid when st is not MARS_OK */
  size_t n_held, cap_held;
  mx_node **held;        /* `few` until it is full */
  mx_node *few[24];
} mx_build;

/* ---- open, fail, close ---- */

void mx_build_open(mx_build *b, mars_session *s, const char *fn);
/* Open, and check operands: the first error among them, NULL, different sessions. s NULL: the operands' session. */
void mx_build_open_on(mx_build *b, mars_session *s, const char *fn, mars_tensor *const *operands, size_t n);
/* Operand i: NULL, an error, another session's. */
void mx_build_check(mx_build *b, const mars_tensor *operand, size_t i);
/* Records the first failure; the text is prefixed with "mars_<fn>: ". Returns NULL for use in return statements. */
mx_node *mx_build_fail(mx_build *b, mars_status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with an error that somebody else filled. */
mx_node *mx_build_fail_copy(mx_build *b, const mars_error *error);
/* Takes over a reference, to be given back at the end. NULL is "no memory". */
mx_node *mx_build_hold(mx_build *b, mx_node *node);
/* Gives the held nodes back and makes the handle: on `node`, or on the error. */
mars_tensor *mx_build_close(mx_build *b, mx_node *node, bool weak);
/* For calls with several results: a handle now, the build stays open. */
mars_tensor *mx_build_result(mx_build *b, mx_node *node);
/* Handles for n <= 4 results, where out[i] is not NULL; an eager session makes them in one job. The build stays open. */
void mx_build_results(mx_build *b, mx_node *const *node, mars_tensor **const *out, int n);
/* Gives the held nodes back and makes no handle. */
void mx_build_drop(mx_build *b);

/* ---- checks ---- */

/* Cleans *shape into *out (extents behind ndim 0) and checks ndim, signs and sizes for elements of dt. */
bool mx_build_shape(mx_build *b, mars_dtype dt, const mars_shape *shape, mars_shape *out);
/* Axis in [0, ndim), negative ones from the end; ndim 0 counts as 1 when `scalar_ok`. */
bool mx_build_axis(mx_build *b, int axis, int ndim, int *out);
/* Set of axes as a mask; repeated ones fail. */
bool mx_build_axes(mx_build *b, const mars_axes *axes, int ndim, uint32_t *mask);
bool mx_build_dtype(mx_build *b, mars_dtype dt);
/* Memory whose elements a load or a vector unit may touch as such; NumPy calls these arrays "aligned". strides NULL: C order. */
bool mx_build_memory(mx_build *b, mars_dtype dt, const mars_shape *shape, const int64_t *strides, const void *data);

/* ---- nodes ---- */

/* A SOURCE on a value, whose reference is taken over; value NULL: no memory for it. */
mx_node *mx_build_source(mx_build *b, mars_dtype dt, const mars_shape *shape, mx_value *value);
mx_node *mx_build_const(mx_build *b, mars_dtype dt, const mars_shape *shape, const mx_const *value);
/* A constant given as a double, cast to dt. */
mx_node *mx_build_number(mx_build *b, mars_dtype dt, const mars_shape *shape, double value);
mx_node *mx_build_iota(mx_build *b, const mars_shape *shape, int axis); /* i64 */
mx_node *mx_build_random(mx_build *b, const mars_shape *shape, const mx_random *random);
/* Standard normal numbers of the session's next stream, f32 or f64. */
mx_node *mx_build_normal(mx_build *b, mars_dtype dt, const mars_shape *shape);
mx_node *mx_build_cast(mx_build *b, mx_node *node, mars_dtype dt);
mx_node *mx_build_view(mx_build *b, mx_node *node, const mars_shape *shape, const mx_view *view);
mx_node *mx_build_reshape(mx_build *b, mx_node *node, const mars_shape *shape);
mx_node *mx_build_to_device(mx_build *b, mx_node *node, int device);
mx_node *mx_build_broadcast(mx_build *b, mx_node *node, const mars_shape *shape);
mx_node *mx_build_expand(mx_build *b, mx_node *node, int axis); /* a new axis of extent 1; axis in [0, ndim] */
/* Row of the op table on operands that have the loop's dtype and the shape already. */
mx_node *mx_build_row(mx_build *b, mx_op op, mars_dtype loop, mx_node *const *operand, int n);
/* mask not 0, operand not empty */
mx_node *mx_build_reduce(mx_build *b, mx_op op, mx_node *node, uint32_t mask, double ddof);
/* As the public functions do it: any set of axes, any operand. */
mx_node *mx_build_reduce_axes(mx_build *b, mx_op op, mx_node *node, const mars_axes *axes, bool keepdims);
mx_node *mx_build_scan(mx_build *b, mx_op op, mx_node *node, int axis);
/* Result `which` of a routine, of this dtype and shape; operands not empty. */
mx_node *mx_build_routine(mx_build *b, mx_op op, mx_node *const *operand, int n, mars_dtype dt, const mars_shape *shape, int which,
                          uint32_t flags, int64_t p0, int64_t p1);
/* Matrix product of operands of one dtype with NumPy's matmul rules for two or more axes (batches broadcast, empty ones give
   zeros); finds conjugates and symmetry (linalg.c). */
mx_node *mx_build_matmul(mx_build *b, mx_node *x, mx_node *y);
/* Result axis d is axis perm[d] of the node. */
mx_node *mx_build_permute(mx_build *b, mx_node *node, const int *perm);
/* The last two axes exchanged; with conj also conjugated. */
mx_node *mx_build_matrix_transpose(mx_build *b, mx_node *x, bool conj);
/* The elements of axes p and q (not equal) whose index along q is that along p plus `offset`, along a new last axis; p and q go
   away. No more than these elements is read where the layout allows it (linalg_parts.c). */
mx_node *mx_build_diagonal(mx_build *b, mx_node *x, int p, int q, int64_t offset);
/* n >= 2 operands of one dtype, none empty */
mx_node *mx_build_concat(mx_build *b, mx_node *const *operand, int n, const mars_shape *shape, int axis);

/* ---- elementwise ops with NumPy's rules (promote.c) ---- */

/* Common dtype of the terms; *weak: all of them are. */
mars_dtype mx_build_promote(mx_build *b, const mx_term *term, int n, bool *weak);
bool mx_build_broadcast_shapes(mx_build *b, const mx_term *term, int n, mars_shape *out);
/* Promotion, domain, broadcasting, casts; *weak (may be NULL): the result is a Python-like scalar again. */
mx_node *mx_build_apply(mx_build *b, mx_op op, const mx_term *term, int n, bool *weak);
/* Terms of strong nodes, for compositions. */
mx_node *mx_build_op1(mx_build *b, mx_op op, mx_node *x);
mx_node *mx_build_op2(mx_build *b, mx_op op, mx_node *x, mx_node *y);
mx_node *mx_build_where(mx_build *b, mx_node *condition, mx_node *y, mx_node *z);
/* cast of a term as an operand of dtype dt: a weak integer that does not fit is an error */
mx_node *mx_build_cast_term(mx_build *b, const mx_term *term, mars_dtype dt);

static inline mx_term mx_term_of(const mars_tensor *t) { return (mx_term){t->node, t->weak}; }

/* ---- dtypes and constants (constant.c) ---- */

static inline bool mx_dtype_is_half(mars_dtype dt) { return dt == MARS_F16 || dt == MARS_BF16; }
static inline bool mx_dtype_is_signed(mars_dtype dt) { return dt >= MARS_I8 && dt <= MARS_I64; }
static inline bool mx_dtype_is_unsigned(mars_dtype dt) { return dt >= MARS_U8 && dt <= MARS_U64; }
static inline bool mx_dtype_is_integer(mars_dtype dt) { return dt >= MARS_I8 && dt <= MARS_U64; }
static inline bool mx_dtype_is_float(mars_dtype dt) { return dt >= MARS_F16 && dt <= MARS_F64; }
static inline bool mx_dtype_is_complex(mars_dtype dt) { return dt == MARS_C64 || dt == MARS_C128; }

/* All bytes of *c are set: it is compared as bytes. */
void mx_const_bool(mx_const *c, bool value);
void mx_const_i64(mx_const *c, int64_t value);
void mx_const_f64(mx_const *c, double value);
void mx_const_c128(mx_const *c, double re, double im);
/* As the CAST op: float to integer truncates and saturates, NaN gives 0; integers wrap; halves are rounded once and kept
   as f32. `to` may be a half, out->dtype is then f32. */
void mx_const_cast(const mx_const *from, mars_dtype to, mx_const *out);
/* Least and greatest value of an integer dtype. */
int64_t mx_dtype_min(mars_dtype dt);
uint64_t mx_dtype_max(mars_dtype dt);
/* Whether an i64 is a value of an integer dtype. */
bool mx_dtype_holds(mars_dtype dt, int64_t value);
/* Greatest finite value of a float dtype. */
double mx_dtype_huge(mars_dtype dt);

#endif
