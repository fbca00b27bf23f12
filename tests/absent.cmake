# What is not there: each case is a process with its own environment.
set(here ${CMAKE_CURRENT_SOURCE_DIR})
if(MARS_HAS_SIMGPU)
  add_executable(absent_test ${here}/absent_test.cc)
  target_link_libraries(absent_test PRIVATE api_support GTest::gtest_main)
  set(sim "MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/simgpu")
  function(absent name)
    add_test(NAME absent_${name} COMMAND absent_test --gtest_filter=Absent.${name})
    set_tests_properties(absent_${name} PROPERTIES LABELS "api;devices" ENVIRONMENT "${ARGN}")
  endfunction()
  absent(Driver "MARS_CUDA_LIBRARY_PATH=${CMAKE_BINARY_DIR}/nowhere:!")
  absent(Devices ${sim} MARS_SIMGPU_DEVICES=0)
  absent(OldDriver ${sim} MARS_SIMGPU_DRIVER=10020)
  absent(DeviceNumberAndBudget ${sim} MARS_SIMGPU_DEVICES=2 MARS_SIMGPU_BYTES=256M)
  # libmars names no library of CUDA, and no function of one is looked for by the loader
  add_test(NAME absent_symbols COMMAND sh -c "${CMAKE_READELF} -d -W $<TARGET_FILE:mars> && ${CMAKE_READELF} --dyn-syms -W $<TARGET_FILE:mars>")
  set_tests_properties(absent_symbols PROPERTIES LABELS api PASS_REGULAR_EXPRESSION "NEEDED.* mars_session_create"
    FAIL_REGULAR_EXPRESSION "NEEDED[^\n]*(cuda|nvrtc|cublas|cusolver|nccl|nvidia);UND (cu[A-Z]|cuda|nvrtc|cublas|cusolver|cusparse|cufft|nccl|nvml|nvtx)")
  # a suite that is to run on GPUs says why it does not, where they would leave all of it to the host
  add_test(NAME absent_nvrtc_on_gpu COMMAND absent_test --gtest_filter=Absent.Driver)
  set_tests_properties(absent_nvrtc_on_gpu PROPERTIES LABELS "api;devices" ENVIRONMENT "${sim}:!;MARS_TEST_DEVICES=cuda:0"
    PASS_REGULAR_EXPRESSION "GPUs run no kernels here: libnvrtc is missing: not found" FAIL_REGULAR_EXPRESSION "RUN  ")
  absent(Nvrtc ${sim}:! MARS_SIMGPU_DEVICES=2 MARS_SIMGPU_BYTES=256M)
  add_dependencies(absent_test simgpu simgpu_nvrtc)
  foreach(library Cublas Cusolver Nccl TheFirstFolderThatIsNamedWins ThanTheDriverReads AndTheDriverTakesNoMachineCode ThanTheDevice)
    add_test(NAME absent_${library} COMMAND absent_test --gtest_filter=*.${library})
    set_tests_properties(absent_${library} PROPERTIES LABELS "api;devices" ENVIRONMENT
      "MARS_TEST_SIMGPU=${CMAKE_BINARY_DIR}/simgpu;MARS_CACHE_DIR=${CMAKE_BINARY_DIR}/kernels;MARS_SIMGPU_DEVICES=2;MARS_SIMGPU_BYTES=256M;MARS_SIMGPU_LINKS=none")
  endforeach()
endif()
