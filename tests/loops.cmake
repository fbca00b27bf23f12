mars_test(loops_test loops_test.cc loops_cast_test.cc loops_shim.c oracle.cc oracle_ops.cc oracle_misc.cc)
mars_test(random_test random_test.cc loops_shim.c oracle.cc oracle_misc.cc)
