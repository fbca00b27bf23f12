/*
 * Scopes of handles, as the graph sees them. Internal to engine/graph.
 */
#ifndef MX_GRAPH_HANDLE_H
#define MX_GRAPH_HANDLE_H

#include "engine/graph/graph.h"

/* The default scope, which every thread without an open scope uses. false: no memory. */
bool mx_scopes_init(mx_graph *graph);
/* Frees every handle, retained ones too, and every scope; nodes are left alone. */
void mx_scopes_reset(mx_graph *graph);

#endif
