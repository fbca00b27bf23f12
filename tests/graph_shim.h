/*
 * What the graph tests need to see of nodes, as plain C: the engine's headers are C11 and stay out of C++.
 */
#ifndef GRAPH_SHIM_H
#define GRAPH_SHIM_H

#include <mars/mars.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gs_node gs_node; /* an mx_node */

const gs_node *gs_node_of(const mars_tensor *t);
bool gs_weak(const mars_tensor *t);
const char *gs_op(const gs_node *n);   /* "ADD" */
int gs_dtype(const gs_node *n);
int gs_loop(const gs_node *n);
mars_shape gs_shape(const gs_node *n);
int gs_n_operands(const gs_node *n);
const gs_node *gs_operand(const gs_node *n, int i);
int gs_axis(const gs_node *n);         /* IOTA, CONCAT, scans */
uint32_t gs_mask(const gs_node *n);    /* reductions */
double gs_ddof(const gs_node *n);
uint64_t gs_stream(const gs_node *n);  /* random rows */
uint64_t gs_seed(const gs_node *n);
void gs_view(const gs_node *n, int d, int *axis, int64_t *start, int64_t *step);
void gs_const(const gs_node *n, long double *re, long double *im);
int gs_const_dtype(const gs_node *n);

long long gs_live(mars_session *s);    /* records not yet freed */
void gs_fail_at(mars_session *s, long long n);
long long gs_fail_left(mars_session *s);
size_t gs_n_nodes(mars_session *s);
/* Gives the node values that exist, as a run would. false: no memory. */
bool gs_give_value(mars_tensor *t, void *data);

/* Whether casting the constant whose element bits are `bits` (no half) gives what the host's loop gives. */
bool gs_cast_agrees(int from, int to, uint64_t bits);
int gs_loop_dtype(const char *op, int dt);
int gs_result_dtype(const char *op, int dt);
/* parts of the accumulator of row `op` for K kept elements; returns its bytes */
size_t gs_acc_layout(const char *op, int src, int64_t kept, int *n_parts, int *dtypes, size_t *offsets);
/* Text of a small program: y = x * 2 + sum(x). Length as snprintf. */
int gs_program_text(char *buf, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
