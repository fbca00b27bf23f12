/*
 * Factorisations as nodes, for compositions. As the functions of build.h: nothing happens after a failure, nodes are
 * borrowed from the build.
 *
 * Layer: engine/graph only. Threads: as build.h.
 */
#ifndef MX_GRAPH_LINALG_H
#define MX_GRAPH_LINALG_H

#include "engine/graph/build.h"

/* The operand of a factorisation: at least two axes; integers and bool become f64, halves fail. */
mx_node *mx_build_matrix(mx_build *b, mars_tensor *a);
/* x is what mx_build_matrix gives, or computed from it. */
void mx_build_qr(mx_build *b, mx_node *x, mars_qr_mode mode, mx_node **q, mx_node **r);
void mx_build_svd(mx_build *b, mx_node *x, bool full, mx_node *out[3]);
/* Inverse of square matrices. */
mx_node *mx_build_inv(mx_build *b, mx_node *x, uint32_t flags); /* 0 or MX_RF_SINGULAR */
/* max(rows, cols) of the last two axes times the precision of x's dtype: below that part of the greatest singular value
   others are 0. */
double mx_matrix_rcond(const mx_node *x);
/* Handles for the results that the caller wants (out[i] not NULL); the build is closed. */
void mx_build_deliver(mx_build *b, mx_node *const *node, mars_tensor **const *out, int n);
/* x with other extents of its last two axes. */
mars_shape mx_matrix_shape(const mx_node *x, int64_t rows, int64_t cols);
bool mx_shape_is_empty(const mars_shape *s);
static inline mars_dtype mx_dtype_real_of(mars_dtype dt) { return dt == MARS_C64 ? MARS_F32 : dt == MARS_C128 ? MARS_F64 : dt; }

#endif
