# Factorisations of general matrices and what is composed of them.
set(here ${CMAKE_CURRENT_SOURCE_DIR})
foreach(area dense norms)
  mars_test(linalg_${area}_test ${here}/linalg_${area}_test.cc)
  target_link_libraries(linalg_${area}_test PRIVATE api_support)
  set_tests_properties(linalg_${area}_test PROPERTIES TIMEOUT 600 LABELS api)
endforeach()
