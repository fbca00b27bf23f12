/*
 * Contractions: sums of products of tensors whose axes carry labels. What einsum, tensordot and their kin are made of.
 *
 * Labels are numbers below MX_MAX_LABELS. A labelled tensor has each label once and no axis of extent 1: an axis that is
 * broadcast is one that the tensor does not have.
 *
 * Layer: engine/graph only. Threads: as build.h.
 */
#ifndef MX_GRAPH_CONTRACT_H
#define MX_GRAPH_CONTRACT_H

#include "engine/graph/build.h"

enum { MX_MAX_LABELS = 64 };

typedef struct mx_labelled {
  mx_node *node; /* NULL after a failure */
  int8_t label[MARS_MAX_DIMS]; /* of each axis */
} mx_labelled;

/* Dtype in which sums of products of a dtype are held between steps: halves in f32. */
mars_dtype mx_contract_dtype(mars_dtype dt);

/* Takes repeated labels of one tensor for its diagonal and drops the axes of extent 1. Extents of repeated labels are equal. */
mx_labelled mx_contract_label(mx_build *b, mx_node *node, const int8_t *label);
uint64_t mx_contract_labels(const mx_labelled *x); /* as a mask */
/* Sums over the labels that are not in `need`. */
mx_labelled mx_contract_sum(mx_build *b, mx_labelled x, uint64_t need);
/* Product of x and y, of one dtype, summed over the labels that are not in `need`. Neither has elements missing (no extent 0). */
mx_labelled mx_contract_pair(mx_build *b, mx_labelled x, mx_labelled y, uint64_t need);
/* The axes in this order; labels that x does not have become axes of extent extent[label], broadcast. */
mx_node *mx_contract_arrange(mx_build *b, mx_labelled x, const int8_t *label, int n, const int64_t *extent);

#endif
