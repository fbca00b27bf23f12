/*
 * Linear algebra. Included by <mars/mars.h>.
 *
 * Matrices are the last two axes, axes before them are batches, as in numpy.linalg. Types: f32, f64, c64, c128; integers and
 * bool become f64, except in products, which take every dtype. Nothing needs a whole matrix in memory unless said so.
 */
#ifndef MARS_LINALG_H
#define MARS_LINALG_H

#include <mars/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mars_tensor mars_tensor;

/* ---- products -------------------------------------------------------------------------------------- */

/**
 * \brief Matrix product, numpy.matmul: a [..., m, k] by b [..., k, n] gives [..., m, n]; batches broadcast; an operand with
 * one axis is a row (a) or column (b), which goes away again.
 *
 * Transposes and conjugates of operands cost nothing. a by its own transpose (conjugate transpose) is computed as a
 * symmetric (Hermitian) product with half of the flops, and nothing above its diagonal is stored when what follows is
 * elementwise or a reduction.
 *
 * Types      all; f16 and bf16 add in f32; integers wrap around; bool is "or of ands".
 * Memory     one tile of the result and one of each operand; with more, blocks of the result stay in memory and the rest
 *            moves. Least possible are 2 m n k / sqrt(budget in elements) elements; of files at most 1.15 times that is moved
 *            (1.2 times where n is below 8 sqrt(budget in elements)), of results of other passes, which are spilled in chunks
 *            as they come, up to 1.6 times.
 * Accuracy   |error| <= (4 + k) u |a| |b| per element.
 * Errors     MARS_E_SHAPE at the call; MARS_E_IO when it is run.
 */
MARS_API mars_tensor *mars_matmul(mars_tensor *a, mars_tensor *b);

/**
 * \brief numpy.dot: the last axis of a is summed with the last but one of b (with the only one of a vector). An operand
 * without axes multiplies every element. For matrices and vectors the same as mars_matmul.
 *
 * \return  a's other axes, then b's
 *
 * Types, memory, accuracy and errors as mars_matmul, but for this: with a vector, nothing is kept but the result.
 */
MARS_API mars_tensor *mars_dot(mars_tensor *a, mars_tensor *b);

/** \brief numpy.inner: the last axes of both are summed. Otherwise as mars_dot. */
MARS_API mars_tensor *mars_inner(mars_tensor *a, mars_tensor *b);

/** \brief numpy.outer: every element of a (in C order) times every element of b, [size of a, size of b]. Elementwise: it is
    not stored for what reads it. */
MARS_API mars_tensor *mars_outer(mars_tensor *a, mars_tensor *b);

/** \brief numpy.vdot: the sum of conj(a) * b over all elements, in C order; both have the same number of them. */
MARS_API mars_tensor *mars_vdot(mars_tensor *a, mars_tensor *b);

/** The last n axes, the first n axes: mars_tensordot(a, b, mars_last_axes(2), mars_first_axes(2)) is numpy.tensordot(a, b, 2). */
static inline mars_axes mars_last_axes(int n) {
  mars_axes a = {n, {0}};
  for (int i = 0; i < n && i < MARS_MAX_DIMS; i++) a.axis[i] = i - n;
  return a;
}
static inline mars_axes mars_first_axes(int n) {
  mars_axes a = {n, {0}};
  for (int i = 0; i < n && i < MARS_MAX_DIMS; i++) a.axis[i] = i;
  return a;
}

/**
 * \brief numpy.tensordot: axis axes_a.axis[i] of a and axis axes_b.axis[i] of b are summed together, for every i.
 *
 * \param axes_a, axes_b  in pairs, negative ones from the end; mars_last_axes and mars_first_axes for NumPy's integer form.
 *                        No axes: the outer product. MARS_ALL for both: a number.
 * \return  a's other axes, then b's
 *
 * Memory     as mars_matmul. Permuted operands are used as they lie; one that has to become a matrix by merging axes is
 *            stored once, unless one of its own axes has 128 elements: then the others are batches.
 * Errors     MARS_E_SHAPE, MARS_E_AXIS at the call, with both shapes; otherwise as mars_matmul.
 */
MARS_API mars_tensor *mars_tensordot(mars_tensor *a, mars_tensor *b, mars_axes axes_a, mars_axes axes_b);

/**
 * \brief numpy.einsum: the product of the operands, summed over the labels that the output does not have.
 *
 * \param subscripts  "ij,jk->ik": a letter for each axis. Without "->" the output has the labels that occur once, in
 *                    alphabetic order. A label twice in one operand takes its diagonal. "..." stands for axes without
 *                    letters, which broadcast. Extents of 1 broadcast, too. Blanks do not count.
 * \param operands    n of them, any dtypes: promoted together
 *
 * Pairs of operands are contracted in the order with the fewest products (the best of all orders for up to 8 operands, a
 * greedy one for more), as matrix products of permuted views where two operands have axes of their own, else as a pass with
 * a reduction.
 *
 * Types      all; halves are added in f32 and rounded once; integers wrap around; bool is "or of ands".
 * Memory     as mars_tensordot for each pair; intermediate results as any other.
 * Accuracy   as mars_matmul for each pair.
 * Errors     MARS_E_ARG (subscripts), MARS_E_SHAPE at the call, with the subscripts, the label and the shape;
 *            MARS_E_UNSUPPORTED if an intermediate result has more than 16 axes; MARS_E_IO when it is run.
 */
MARS_API mars_tensor *mars_einsum(const char *subscripts, mars_tensor *const *operands, size_t n);

/** \brief numpy.kron: every element of a times the whole of b, as blocks; missing leading axes count as 1. Elementwise. */
MARS_API mars_tensor *mars_kron(mars_tensor *a, mars_tensor *b);

/**
 * \brief numpy.linalg.matrix_power: a [..., m, m] times itself, n factors, by repeated squaring; 0 gives unit matrices,
 * negative n powers of mars_inv(a).
 *
 * Types, memory and accuracy as mars_matmul for each product, and mars_inv.
 * Errors     MARS_E_SHAPE at the call; MARS_E_NUMERIC (n < 0: singular), MARS_E_IO when it is run.
 */
MARS_API mars_tensor *mars_matrix_power(mars_tensor *a, int64_t n);

/**
 * \brief numpy.linalg.multi_dot: the product of 2 to 1024 matrices in the order with the fewest products; the first may be
 * a row, the last a column (one axis).
 *
 * Types, memory and accuracy as mars_matmul for each product.
 * Errors     MARS_E_SHAPE, MARS_E_ARG at the call; MARS_E_IO when it is run.
 * Source     Cormen, Leiserson, Rivest, Stein, Introduction to Algorithms, section 15.2.
 */
MARS_API mars_tensor *mars_multi_dot(mars_tensor *const *tensors, size_t n);

/* ---- parts of matrices ------------------------------------------------------------------------------- */

/**
 * \brief Diagonals of the last two axes, numpy.linalg.diagonal: a[..., i, i + offset], [..., number of them].
 *
 * A view: of what is stored, chunks without diagonal elements are not read; expressions are computed on the diagonal alone.
 *
 * Types      all.
 * Errors     MARS_E_SHAPE (fewer than two axes) at the call.
 */
MARS_API mars_tensor *mars_diagonal(mars_tensor *a, int64_t offset);

/** \brief Sums of the diagonals of the last two axes, numpy.linalg.trace; dtypes as mars_sum. */
MARS_API mars_tensor *mars_trace(mars_tensor *a, int64_t offset);

/** \brief numpy.diag: of one axis, the square matrix with a on its k-th diagonal; of two, mars_diagonal(a, k). */
MARS_API mars_tensor *mars_diag(mars_tensor *a, int64_t k);

/** \brief a with zeros where column - row > k (tril) or < k (triu), in the last two axes. Elementwise. Of a vector [n]: of the
    square [n, n] that has it in every row. */
MARS_API mars_tensor *mars_tril(mars_tensor *a, int64_t k);
MARS_API mars_tensor *mars_triu(mars_tensor *a, int64_t k);

/* ---- triangular and LU factorisations, systems -------------------------------------------------------- */

typedef enum mars_triangle { MARS_UPPER = 0, MARS_LOWER = 1 } mars_triangle;
typedef enum mars_trans { MARS_NO_TRANS = 0, MARS_TRANS = 1, MARS_CONJ_TRANS = 2 } mars_trans;

/**
 * \brief Cholesky factor of a symmetric or Hermitian positive definite matrix, numpy.linalg.cholesky: a [.., n, n] = l l^H.
 *
 * \param a  only the lower triangle is read
 * \return   l [.., n, n], lower triangular with a positive diagonal, exact zeros above it
 *
 * Types      f32, f64, c64, c128; integers and bool become f64.
 * Memory     a few tiles of the result; with more, blocks of its columns stay in memory while the columns before them are read
 *            once per block. Nothing but the result is spilled.
 * Accuracy   normwise backward error <= 10 n u (row CHOLESKY in engine/ops.def).
 * Errors     MARS_E_SHAPE (not square), MARS_E_DTYPE (f16, bf16) at the call; MARS_E_NUMERIC when it is run, with the order of the
 *            first leading minor that is not positive (or is NaN).
 * Source     Golub and Van Loan, Matrix Computations, 4th ed., section 4.2.
 */
MARS_API mars_tensor *mars_cholesky(mars_tensor *a);

/**
 * \brief Solve op(a) x = b for a triangular a, scipy.linalg.solve_triangular: a [.., n, n], b [n] or [.., n, k].
 *
 * b is one vector for all matrices if it has one axis, otherwise a matrix (NumPy 2's rule for solve); batches broadcast.
 *
 * \param triangle       the one of a that is read; nothing else is
 * \param trans          op: a itself, its transpose, its conjugate transpose; none of them is made
 * \param unit_diagonal  the diagonal is taken as ones and not read
 * \return               x, as b with the batches of both
 *
 * Types      f32, f64, c64, c128; integers and bool become f64; a and b are promoted to one dtype.
 * Memory     a few tiles; as many columns of x as fit stay in memory while the triangle is read once.
 * Accuracy   columnwise backward error <= 10 n u (row SOLVE_TRIANGULAR).
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE, MARS_E_ARG at the call; MARS_E_NUMERIC when it is run, with the index of a zero on the
 *            diagonal.
 */
MARS_API mars_tensor *mars_solve_triangular(mars_tensor *a, mars_tensor *b, mars_triangle triangle, mars_trans trans,
                                            bool unit_diagonal);

/**
 * \brief LU factorisation with partial pivoting, scipy.linalg.lu: a [.., m, n] = p l u with a permutation p [.., m, m], a unit
 * lower triangular l [.., m, k] and an upper triangular u [.., k, n], k = min(m, n).
 *
 * Singular matrices have factors too: u then has zeros on its diagonal. What one job wants of the three is made in one factorisation;
 * a job that wants another of them later factors again. p takes no memory until something reads it: argmax of p over its last axis
 * is the order of rows, which is cheap to keep beside l and u.
 *
 * \param p, l, u  results in a's dtype; NULL: not wanted
 *
 * Types      f32, f64, c64, c128; integers and bool become f64.
 * Memory     whole columns, at least four; with more, a window of columns stays in memory while the columns of l before it are read
 *            once per window. l is spilled as it is made, u is not touched again.
 * Accuracy   normwise backward error <= 10 max(m, n) u times the growth of the pivots (row LU).
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE at the call; MARS_E_BUDGET when it is run, with the bytes that are needed.
 * Source     Toledo, Locality of reference in LU decomposition with partial pivoting, SIAM J. Matrix Anal. Appl. 18 (1997).
 */
MARS_API void mars_lu(mars_tensor *a, mars_tensor **p, mars_tensor **l, mars_tensor **u);

/**
 * \brief Solve a x = b, numpy.linalg.solve: a [.., n, n], b [n] or [.., n, k]; batches broadcast.
 *
 * By LU with partial pivoting. b is one vector for all matrices if it has one axis, otherwise a matrix (NumPy 2's rule). Few
 * right-hand sides are eliminated while the matrix is factored; many are brought through in windows of columns afterwards.
 *
 * \return  x, as b with the batches of both
 *
 * Types      f32, f64, c64, c128; integers and bool become f64; a and b are promoted to one dtype.
 * Memory     as mars_lu, and as many columns of b.
 * Accuracy   columnwise backward error <= 20 n u times the growth of the pivots (row SOLVE).
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE at the call; MARS_E_NUMERIC when it is run, with the column whose pivot is exactly 0;
 *            MARS_E_BUDGET with the bytes that are needed.
 */
MARS_API mars_tensor *mars_solve(mars_tensor *a, mars_tensor *b);

/**
 * \brief Inverse, numpy.linalg.inv: solves a x = 1 for a [.., n, n] in 2 n^3 flops. To solve a system use mars_solve: it is faster
 * and more accurate.
 *
 * Types, Memory, Errors as mars_solve; MARS_E_NUMERIC names the row.
 * Accuracy   |a x - 1| <= 20 n u |a| |x| in norms (row INV).
 */
MARS_API mars_tensor *mars_inv(mars_tensor *a);

/**
 * \brief Determinant, numpy.linalg.det: [..] of a [.., n, n]; 0 if a pivot is exactly 0, 1 for n = 0.
 *
 * The product of the pivots, which overflows or underflows only if the determinant does. The factors are not kept.
 *
 * Types      f32, f64, c64, c128; integers and bool become f64.
 * Memory     as mars_lu without results.
 * Accuracy   that of a matrix within 10 n u |a| of a (row DET).
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE at the call; MARS_E_BUDGET when it is run, with the bytes that are needed.
 */
MARS_API mars_tensor *mars_det(mars_tensor *a);

/**
 * \brief Sign and logarithm of the modulus of the determinant, numpy.linalg.slogdet: det = sign exp(logdet), without overflow.
 *
 * \param sign    a's dtype: -1, 0 or 1, or of modulus 1 if a is complex; 0 for singular matrices. NULL: not wanted
 * \param logdet  real; -inf for singular matrices. NULL: not wanted
 *
 * Types, Memory, Accuracy, Errors as mars_det.
 */
MARS_API void mars_slogdet(mars_tensor *a, mars_tensor **sign, mars_tensor **logdet);

/* ---- orthogonal factorisations ------------------------------------------------------------------------ */

typedef enum mars_qr_mode { MARS_QR_REDUCED = 0, MARS_QR_COMPLETE = 1 } mars_qr_mode;

/**
 * \brief a = q r, numpy.linalg.qr: q's columns are orthonormal, r is upper triangular. The signs of r's diagonal depend on the
 * method.
 *
 * A matrix of four times as many rows as columns, or more, is read in blocks of rows: Cholesky QR of the Gram matrix in two
 * passes where the condition of a (with columns scaled to one length) is small; where it is found not to be, in three passes, or
 * by Householder reflections in a tree of blocks. The job then starts anew; the log and mars_stats.methods say so. Others:
 * reflections in panels.
 *
 * \param a     [..., m, n]
 * \param mode  reduced: q [..., m, k], r [..., k, n] with k = min(m, n); complete: k = m
 * \param q     NULL: only r is made
 * \param r     may be NULL
 *
 * Types      f32, f64, c64, c128; integers and bool as f64.
 * Memory     tall: a block of rows and 14 matrices n x n; a generated or stored a is not spilled, what reflections make of it is.
 * Accuracy   |q^H q - 1| and |q r - a| / |a| <= 20 n u; measured below 1e-12 in f64.
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE, MARS_E_ARG at the call; MARS_E_NUMERIC (NaN or infinity), MARS_E_BUDGET, MARS_E_IO when
 *            it is run.
 * Source     Fukaya, Nakatsukasa, Yanagisawa, Yamamoto, ScalA 2014; Demmel, Grigori, Hoemmen, Langou, SIAM J. Sci. Comput. 34 (2012).
 */
MARS_API void mars_qr(mars_tensor *a, mars_qr_mode mode, mars_tensor **q, mars_tensor **r);
/**
 * \brief a = u diag(s) vh, numpy.linalg.svd: singular values in falling order, left vectors in u's columns, right ones in vh's
 * rows (conjugated).
 *
 * A tall a is reduced to its r factor as mars_qr does it, and u is made in one more pass over a, block by block, for whoever reads
 * it; a wide one is the transpose of a tall one.
 *
 * \param a              [..., m, n]
 * \param full_matrices  u [..., m, m] and vh [..., n, n]; otherwise u [..., m, k] and vh [..., k, n], k = min(m, n)
 * \param u, s, vh       any may be NULL; s [..., k] has the real dtype
 *
 * Types      f32, f64, c64, c128; integers and bool as f64.
 * Memory     tall: as mars_qr.
 * Accuracy   |error of s| <= 40 n u s[0]; |u^H u - 1|, |u s vh - a| / s[0] alike; measured below 1e-12 in f64.
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE at the call; MARS_E_NUMERIC (NaN or infinity, no convergence), MARS_E_BUDGET, MARS_E_IO
 *            when it is run.
 * Source     Golub and Van Loan, Matrix Computations, 4th ed., section 8.6.
 */
MARS_API void mars_svd(mars_tensor *a, bool full_matrices, mars_tensor **u, mars_tensor **s, mars_tensor **vh);
/** \brief s of mars_svd alone, numpy.linalg.svdvals. */
MARS_API mars_tensor *mars_svdvals(mars_tensor *a);
/**
 * \brief Eigenvalues in rising order and orthonormal eigenvectors of a Hermitian (real: symmetric) matrix, numpy.linalg.eigh:
 * a v = v diag(w).
 *
 * \param a         [..., n, n]
 * \param triangle  the one that is read
 * \param w, v      either may be NULL; w [..., n] has the real dtype, v [..., n, n] has the vectors in its columns
 *
 * Types      f32, f64, c64, c128; integers and bool as f64.
 * Memory     a whole matrix and LAPACK's workspace for it: 3 n^2 elements, for the eigenvalues alone n^2. Where 3 n^2 do not fit
 *            but n^2 do, QR iteration takes the place of divide and conquer, several times slower. A budget below that is
 *            refused before anything runs, with the bytes that are needed; leading eigenvectors of larger matrices:
 *            mars_randomized_svd.
 * Accuracy   |a v - v diag(w)| / |a|, |v^H v - 1| and |error of w| / |a| <= 40 n u. The last bits of a large matrix's results depend
 *            on the number of threads.
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE, MARS_E_ARG at the call; MARS_E_NUMERIC (NaN or infinity in the triangle, no
 *            convergence), MARS_E_BUDGET, MARS_E_IO when it is run.
 * Source     Golub and Van Loan, Matrix Computations, 4th ed., chapter 8; LAPACK's ?syevd, ?heevd, ?syev, ?heev.
 */
MARS_API void mars_eigh(mars_tensor *a, mars_triangle triangle, mars_tensor **w, mars_tensor **v);
/** \brief w of mars_eigh alone, numpy.linalg.eigvalsh. */
MARS_API mars_tensor *mars_eigvalsh(mars_tensor *a, mars_triangle triangle);
/**
 * \brief The k leading singular values and vectors of a matrix of any size, out of core: a is about u diag(s) vh.
 *
 * a is multiplied with k + oversample random vectors and projected on an orthonormal basis of what comes out; the SVD of the
 * projection, which is small, gives the result. Each power iteration multiplies with a^H and a once more, orthonormalising
 * after every product. a is read 2 + 2 power_iterations times and never held.
 *
 * \param a                 [..., m, n]
 * \param k                 1 to min(m, n)
 * \param oversample        0 or more; 5 to 10 are usual
 * \param power_iterations  0 or more; 1 or 2 for values that fall slowly
 * \param u, s, vh          [..., m, k], [..., k] (real dtype), [..., k, n]; any may be NULL
 *
 * Types      f32, f64, c64, c128; integers and bool as f64.
 * Memory     tiles of a, and blocks of (m + n) x (k + oversample) matrices.
 * Accuracy   the random vectors are the session's next streams: the same seed gives the same result. The expected error
 *            |a - u diag(s) vh| without power iterations is below (1 + 4 sqrt((k + p) min(m, n)) / (p - 1)) s[k], p = oversample, where
 *            s[k] is the first value that is left out.
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE, MARS_E_ARG at the call; those of mars_qr and mars_svd when it is run.
 * Source     Halko, Martinsson, Tropp, SIAM Review 53 (2011), algorithms 4.4 and 5.1.
 */
MARS_API void mars_randomized_svd(mars_tensor *a, int64_t k, int64_t oversample, int power_iterations, mars_tensor **u,
                                  mars_tensor **s, mars_tensor **vh);

/* ---- least squares, norms ------------------------------------------------------------------------------ */

/**
 * \brief The shortest x that minimises |b - a x|, numpy.linalg.lstsq, from the SVD of a.
 *
 * \param a          [m, n]
 * \param b          [m, k], or [m] for one right-hand side
 * \param rcond      singular values up to rcond times the greatest count as 0; below 0: machine precision times max(m, n)
 * \param x          [n, k], or [n]
 * \param residuals  [k], or [1]: |b - a x|^2 of each column. Always: numpy returns nothing where a has not full rank or m <= n,
 *                   which is known only when it has run
 * \param rank       i64 scalar: singular values that do not count as 0
 * \param s          [min(m, n)], real dtype
 * Any result may be NULL.
 *
 * Types      f32, f64, c64, c128, a and b promoted to one dtype; integers and bool as f64.
 * Memory     that of mars_svd; m much larger than n goes block by block.
 * Accuracy   that of the SVD: x is the solution for matrices within 40 max(m, n) u of a and b, while the rank is clear.
 * Errors     MARS_E_SHAPE, MARS_E_DTYPE, MARS_E_ARG at the call; those of mars_svd when it is run.
 * Source     Golub and Van Loan, Matrix Computations, 4th ed., section 5.5.
 */
MARS_API void mars_lstsq(mars_tensor *a, mars_tensor *b, double rcond, mars_tensor **x, mars_tensor **residuals,
                         mars_tensor **rank, mars_tensor **s);
/**
 * \brief Moore-Penrose inverse [..., n, m] of a [..., m, n], numpy.linalg.pinv; rcond as for mars_lstsq.
 *
 * Types, memory, errors: those of mars_svd; MARS_E_ARG for an rcond that is NaN.
 */
MARS_API mars_tensor *mars_pinv(mars_tensor *a, double rcond);
/**
 * \brief Number of singular values above tol, i64 [...], numpy.linalg.matrix_rank. tol below 0: the greatest one times machine
 * precision times max(m, n). Of a vector or scalar: whether it is not 0. Of an empty matrix: 0.
 *
 * Types, memory, errors: those of mars_svdvals; MARS_E_ARG for a tol that is NaN.
 */
MARS_API mars_tensor *mars_matrix_rank(mars_tensor *a, double tol);

/** Orders of norms beside the numbers: numpy's None, 'fro', 'nuc'; inf and -inf are INFINITY and -INFINITY. */
#define MARS_NORM_DEFAULT (-1000.0)
#define MARS_NORM_FRO (-1001.0)
#define MARS_NORM_NUC (-1002.0)

/**
 * \brief Norms, numpy.linalg.norm.
 *
 * One axis: vectors; MARS_NORM_DEFAULT is 2, 0 counts what is not 0, INFINITY and -INFINITY are the greatest and smallest absolute
 * value, any other number p is (sum |a|^p)^(1/p). Two axes (rows, columns): matrices; MARS_NORM_DEFAULT and MARS_NORM_FRO are
 * the Frobenius norm, 2, -2 and MARS_NORM_NUC the greatest, the smallest and the sum of the singular values, 1 and -1 the
 * greatest and smallest sum of absolute values down a column, INFINITY and -INFINITY along a row. MARS_ALL: all axes there
 * are (one or two of them), or with MARS_NORM_DEFAULT the 2-norm of all elements as one vector.
 *
 * \param keepdims  the axes stay, with extent 1
 * \return          of a's dtype, for complex its real one
 *
 * Types      all; integers and bool as f64. f16 and bf16 not with 2, -2 and nuc of matrices.
 * Memory     one pass over a; orders of singular values: that of mars_svdvals.
 * Accuracy   that of sums, 8 u, and one root; squares are added in f64, so that those of narrower dtypes do not overflow.
 * Errors     MARS_E_AXIS, MARS_E_ARG (no such order), MARS_E_DTYPE, MARS_E_SHAPE (extremes of nothing) at the call; those of
 *            mars_svdvals when it is run.
 */
MARS_API mars_tensor *mars_norm(mars_tensor *a, double ord, mars_axes axes, bool keepdims);
/**
 * \brief Condition numbers [...] of a [..., m, n], numpy.linalg.cond.
 *
 * MARS_NORM_DEFAULT and 2: greatest over smallest singular value, -2 the other way round; the other orders of mars_norm: the norm of
 * a square a times that of its inverse. Infinity for a singular a.
 *
 * Types      f32, f64, c64, c128; integers and bool as f64. The result is real.
 * Memory     that of mars_svdvals, or of mars_inv.
 * Errors     MARS_E_SHAPE (a matrix of nothing, not square), MARS_E_ARG, MARS_E_DTYPE at the call; MARS_E_NUMERIC when it is run: NaN or infinity
 *            in a, for the orders by singular values (those by the inverse give NaN for NaN in a).
 */
MARS_API mars_tensor *mars_cond(mars_tensor *a, double ord);

#ifdef __cplusplus
}
#endif
#endif
