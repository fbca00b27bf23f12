# Cholesky, LU, triangular and general systems, inverses, determinants.
mars_linalg_test(linalg_solve_test)
mars_linalg_test(linalg_solve_errors_test)
set_tests_properties(linalg_solve_errors_test PROPERTIES LABELS "linalg;tsan")
