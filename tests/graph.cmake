mars_test(graph_test graph_test.cc graph_types_test.cc graph_shim.c)
