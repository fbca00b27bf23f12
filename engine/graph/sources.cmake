# Sources of the graph and of what everything in engine/ shares; relative to engine/.
set(MARS_GRAPH_SOURCES
  status.c mem.c types.c op_table.c program.c)
