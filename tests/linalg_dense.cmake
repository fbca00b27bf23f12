# Factorisations of general matrices and what is composed of them.
mars_linalg_test(linalg_dense_test)
mars_linalg_test(linalg_norms_test)
# Hard matrices for every routine, and LAPACK beside the headline's small case.
mars_linalg_test(linalg_conditions_test)
