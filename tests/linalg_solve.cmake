# Cholesky, LU, triangular and general systems, inverses, determinants.
foreach(area solve solve_errors)
  mars_test(linalg_${area}_test ${CMAKE_CURRENT_SOURCE_DIR}/linalg_${area}_test.cc)
  target_link_libraries(linalg_${area}_test PRIVATE api_support)
  set_tests_properties(linalg_${area}_test PROPERTIES TIMEOUT 600 LABELS "api;linalg")
endforeach()
set_tests_properties(linalg_solve_errors_test PROPERTIES LABELS "api;linalg;tsan")
