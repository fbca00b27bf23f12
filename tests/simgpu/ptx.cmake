# The PTX interpreter of the simulated CUDA platform (simgpu/README.md), and its tests.
set(dir ${CMAKE_CURRENT_LIST_DIR})
add_library(simgpu_ptx STATIC
  ${dir}/memory.cc ${dir}/ptx_lexer.cc ${dir}/ptx_parser.cc ${dir}/ptx_parse_data.cc ${dir}/ptx_parse_body.cc
  ${dir}/ptx_decode.cc ${dir}/ptx_cfg.cc ${dir}/ptx_module.cc ${dir}/ptx_run.cc ${dir}/ptx_flow.cc ${dir}/ptx_barrier.cc
  ${dir}/ptx_shared.cc ${dir}/ptx_access.cc ${dir}/ptx_int.cc ${dir}/ptx_bits.cc ${dir}/ptx_float.cc ${dir}/ptx_half.cc
  ${dir}/ptx_compare.cc ${dir}/ptx_convert.cc ${dir}/ptx_move.cc ${dir}/ptx_memory.cc ${dir}/ptx_atomic.cc
  ${dir}/ptx_warp.cc ${dir}/ptx_system.cc)
# Registers are bytes that are read as many types. Products are rounded before they are added unless the PTX says fma, and
# loops that run under another rounding direction must not be folded. -O2: handlers are loops over lanes.
target_compile_options(simgpu_ptx PRIVATE -fno-strict-aliasing -ffp-contract=off -fno-trapping-math
                       $<$<NOT:$<CONFIG:Debug>>:${TESTS_FAST}> -fvisibility=hidden)
set_source_files_properties(${dir}/ptx_float.cc ${dir}/ptx_convert.cc PROPERTIES COMPILE_OPTIONS -frounding-math)
target_link_libraries(simgpu_ptx PUBLIC Threads::Threads m)

add_executable(simgpu_ptx_test ${dir}/ptx_test_util.cc ${dir}/ptx_int_test.cc ${dir}/ptx_convert_test.cc ${dir}/ptx_float_test.cc
               ${dir}/ptx_flow_test.cc ${dir}/ptx_check_test.cc ${dir}/ptx_program_test.cc
               ${dir}/ptx_nvrtc_test.cc)
target_link_libraries(simgpu_ptx_test PRIVATE simgpu_ptx GTest::gtest GTest::gtest_main ${CMAKE_DL_LIBS})
add_test(NAME simgpu_ptx_test COMMAND simgpu_ptx_test)
