mars_test(io_test io_shim.c io_util.cc io_test.cc io_npy_test.cc io_fault_test.cc io_extent_test.cc)
