# The simulated CUDA platform: shared libraries with the real names in ${CMAKE_BINARY_DIR}/simgpu. They are compiled against the
# toolkit's headers, so that prototypes and symbol versions are the real ones; without the headers there is no simulator.
set(SIMGPU_DIR ${CMAKE_BINARY_DIR}/simgpu)
set(simgpu_src ${CMAKE_SOURCE_DIR}/tests/simgpu)

# simgpu_library(target file sources...): one stand-in, file its name and soname.
function(simgpu_library target file)
  add_library(${target} SHARED ${ARGN})
  target_include_directories(${target} SYSTEM PRIVATE ${MARS_SIMGPU_INCLUDES})
  target_include_directories(${target} PRIVATE ${simgpu_src})
  target_link_libraries(${target} PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
  target_link_options(${target} PRIVATE -Wl,-soname,${file} -Wl,-rpath,$ORIGIN -Wl,--no-undefined
    -Wl,--version-script=${simgpu_src}/simgpu.map)
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${file} SUFFIX "" NO_SONAME ON CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON LIBRARY_OUTPUT_DIRECTORY ${SIMGPU_DIR} SKIP_BUILD_RPATH ON)
endfunction()

if(MARS_HAS_SIMGPU)
  simgpu_library(simgpu_cuda libcuda.so.1
    simgpu/driver_api.cc simgpu/driver_check.cc simgpu/driver_config.cc simgpu/driver_context.cc simgpu/driver_copy.cc
    simgpu/driver_device.cc simgpu/driver_guard.cc simgpu/driver_launch.cc simgpu/driver_memory.cc simgpu/driver_module.cc simgpu/driver_names.cc
    simgpu/driver_pool.cc simgpu/driver_race.cc simgpu/driver_report.cc simgpu/driver_sched.cc simgpu/driver_sim.cc
    simgpu/driver_streams.cc)
  target_link_libraries(simgpu_cuda PRIVATE simgpu_ptx)
  simgpu_library(simgpu_nvml libnvidia-ml.so.1 simgpu/nvml.cc)
  simgpu_library(simgpu_nccl libnccl.so.2 simgpu/nccl.cc simgpu/nccl_meet.cc)
  simgpu_library(simgpu_cublas libcublas.so.13
    simgpu/cublas.cc simgpu/cublas_gemm.cc simgpu/cublas_triangle.cc simgpu/cublas_vector.cc simgpu/blas_host.cc)
  simgpu_library(simgpu_cusolver libcusolver.so.12
    simgpu/cusolver.cc simgpu/cusolver_typed.cc simgpu/cusolver_x.cc simgpu/blas_host.cc)
  simgpu_library(simgpu_cusparse libcusparse.so.12 simgpu/cusparse.cc)
  simgpu_library(simgpu_cufft libcufft.so.12 simgpu/cufft.cc)
  pkg_check_modules(FFTW REQUIRED IMPORTED_TARGET fftw3 fftw3f)
  target_link_libraries(simgpu_cufft PRIVATE PkgConfig::FFTW)
  set(simgpu_libraries simgpu_nvml simgpu_nccl simgpu_cublas simgpu_cusolver simgpu_cusparse simgpu_cufft)
  foreach(simgpu_one ${simgpu_libraries})
    target_link_libraries(${simgpu_one} PRIVATE simgpu_cuda)
  endforeach()
  foreach(simgpu_one simgpu_cublas simgpu_cusolver)
    target_include_directories(${simgpu_one} SYSTEM PRIVATE ${CBLAS_INCLUDE} ${LAPACKE_INCLUDE})
  endforeach()
  # An NVRTC that lets the driver run machine code, in a folder of its own: only one test wants it.
  simgpu_library(simgpu_nvrtc libnvrtc.so.13 simgpu/nvrtc.cc)
  set_target_properties(simgpu_nvrtc PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/simgpu_nvrtc CXX_VISIBILITY_PRESET default)
  # All of the platform, for whoever runs the engine on it.
  add_custom_target(simgpu DEPENDS simgpu_cuda ${simgpu_libraries})
endif()

if(TARGET simgpu_cuda)
  add_executable(simgpu_driver_test simgpu/driver_test.cc simgpu/driver_errors_test.cc simgpu/driver_guard_test.cc
    simgpu/driver_peer_test.cc simgpu/driver_linalg_test.cc simgpu/driver_fft_test.cc simgpu/driver_test_util.cc)
  target_include_directories(simgpu_driver_test SYSTEM PRIVATE ${MARS_SIMGPU_INCLUDES})
  target_compile_definitions(simgpu_driver_test PRIVATE SIMGPU_DIR="${SIMGPU_DIR}")
  target_link_libraries(simgpu_driver_test PRIVATE GTest::gtest GTest::gtest_main Threads::Threads ${CMAKE_DL_LIBS})
  add_dependencies(simgpu_driver_test simgpu)
  add_test(NAME simgpu_driver_test COMMAND simgpu_driver_test)
endif()
