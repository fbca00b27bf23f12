mars_test(graph_test graph_util.cc graph_test.cc graph_views_test.cc graph_life_test.cc graph_types_test.cc graph_shim.c)
