mars_test(vm_test ${CMAKE_CURRENT_LIST_DIR}/vm_test.cc ${CMAKE_CURRENT_LIST_DIR}/vm_reduce_test.cc
          ${CMAKE_CURRENT_LIST_DIR}/vm_scan_test.cc ${CMAKE_CURRENT_LIST_DIR}/vm_util.cc
          ${CMAKE_CURRENT_LIST_DIR}/vm_shim.c ${CMAKE_CURRENT_LIST_DIR}/oracle.cc
          ${CMAKE_CURRENT_LIST_DIR}/oracle_ops.cc ${CMAKE_CURRENT_LIST_DIR}/oracle_misc.cc
          ${CMAKE_CURRENT_LIST_DIR}/oracle_reduce.cc)
