# Sources of the graph and of what everything in engine/ shares; relative to engine/.
set(MARS_GRAPH_SOURCES
  status.c numeric.c mem.c types.c op_table.c program.c
  expr/lex.c expr/names.c expr/parse.c
  graph/graph.c graph/handle.c graph/build.c graph/constant.c graph/promote.c graph/rows.c graph/index.c graph/views.c
  graph/join.c graph/reduce.c graph/create.c graph/source.c graph/random.c graph/compose.c
  graph/dlpack.c graph/expression.c graph/number.c graph/user_kernel.c
  graph/linalg.c graph/linalg_contract.c graph/linalg_einsum.c graph/linalg_lstsq.c graph/linalg_norms.c
  graph/linalg_orthogonal.c graph/linalg_parts.c graph/linalg_products.c graph/linalg_solve.c graph/linalg_spectral.c)
