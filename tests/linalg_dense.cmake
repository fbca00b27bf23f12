# Factorisations of general matrices and what is composed of them.
mars_linalg_test(linalg_dense_test)
mars_linalg_test(linalg_norms_test)
