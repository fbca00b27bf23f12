# The loop files are compiled once per instruction set, as object libraries.
# Sets MARS_LOOPS_SOURCES. No contraction: the same bits on every CPU. No strict aliasing: loops work in place.
set(MARS_LOOPS_KERNELS
    ${CMAKE_CURRENT_LIST_DIR}/loops_int.c ${CMAKE_CURRENT_LIST_DIR}/loops_float.c
    ${CMAKE_CURRENT_LIST_DIR}/loops_cast.c ${CMAKE_CURRENT_LIST_DIR}/random.c)
set(MARS_LOOPS_SOURCES ${CMAKE_CURRENT_LIST_DIR}/loops.c)
set(MARS_LOOPS_OPTIONS $<IF:$<BOOL:${MARS_SANITIZE}>,-O1,-O3> -fno-math-errno -fno-trapping-math -ffp-contract=off -fno-strict-aliasing)
if(CMAKE_C_COMPILER_ID MATCHES "Clang") # a loop that cannot be vectorised is no fault; SLEEF's results are const
  list(APPEND MARS_LOOPS_OPTIONS -Wno-pass-failed -Wno-incompatible-function-pointer-types)
endif()

# What is undefined in a source is so for every instruction set: the baseline's copy is enough. Addresses are checked in all.
set(MARS_ISA_AGAIN)
if(MARS_SANITIZE STREQUAL "address")
  set(MARS_ISA_AGAIN -fno-sanitize=undefined)
endif()

function(mars_loops_isa isa)
  add_library(mars_loops_${isa} OBJECT ${MARS_LOOPS_KERNELS})
  target_compile_definitions(mars_loops_${isa} PRIVATE MARS_BUILD MX_ISA=${isa})
  target_compile_options(mars_loops_${isa} PRIVATE ${MARS_LOOPS_OPTIONS} ${ARGN})
  target_include_directories(mars_loops_${isa} PRIVATE ${SLEEF_INCLUDE})
  add_dependencies(mars_loops_${isa} mars_ops_header)
  set(MARS_LOOPS_SOURCES ${MARS_LOOPS_SOURCES} $<TARGET_OBJECTS:mars_loops_${isa}> PARENT_SCOPE)
endfunction()

mars_loops_isa(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  mars_loops_isa(avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt -mpopcnt ${MARS_ISA_AGAIN})
  mars_loops_isa(avx512 -march=skylake-avx512 -mprefer-vector-width=512 ${MARS_ISA_AGAIN})
endif()
