// The evaluator over a stand-in for libmars: which calls an expression becomes, and where errors are shown.
#include "tests/tools_shim.h"
#include <gtest/gtest.h>
#include <random>
#include <string>

namespace {

std::string Eval(const std::string &source) {
  tools_result r;
  tools_eval(source.c_str(), &r);
  EXPECT_EQ(r.code, 0) << source << ": " << r.text;
  return r.text;
}

void ExpectError(const std::string &source, int pos, const std::string &part, int code = 2) {
  tools_result r;
  tools_eval(source.c_str(), &r);
  EXPECT_EQ(r.code, code) << source << ": " << r.text;
  EXPECT_EQ(r.pos, pos) << source << ": " << r.text;
  EXPECT_NE(std::string(r.text).find(part), std::string::npos) << source << ": " << r.text;
}

TEST(ToolsFold, PythonArithmetic) {
  EXPECT_EQ(Eval("1 + 2 * 3"), "7");
  EXPECT_EQ(Eval("7 // 2, -7 // 2, 7 // -2, -7 // -2"), "(3, -4, -4, 3)");
  EXPECT_EQ(Eval("7 % 3, -7 % 3, 7 % -3, -7 % -3"), "(1, 2, -2, -1)");
  EXPECT_EQ(Eval("7 / 2, 6 / 2"), "(3.5, 3.0)");
  EXPECT_EQ(Eval("2 ** 10, 2 ** -1, (-8) ** 3"), "(1024, 0.5, -512)");
  EXPECT_EQ(Eval("10 ** 6, 1e6"), "(1000000, 1000000.0)");
  EXPECT_EQ(Eval("7.5 // 2, -7.5 // 2, -7.5 % 2, 5.5 % -2"), "(3.0, -4.0, 0.5, -0.5)");
  EXPECT_EQ(Eval("1 + 2j, 2j * 2j, (1 + 2j) / 2, abs(3 + 4j)"), "((1+2j), (-4+0j), (0.5+1j), 5.0)");
  EXPECT_EQ(Eval("5 & 3, 5 | 3, 5 ^ 3, ~5, 1 << 10, -16 >> 2, 5 >> 100"), "(1, 7, 6, -6, 1024, -4, 0)");
  EXPECT_EQ(Eval("True + True, -True, True & False"), "(2, -1, False)");
  EXPECT_EQ(Eval("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(Eval("0.1 + 0.2, 1e16, 1e-5, 123456789.0, 1e22"), "(0.30000000000000004, 1e+16, 1e-05, 123456789.0, 1e+22)");
  EXPECT_EQ(Eval("inf, -inf, nan, pi, np.e"), "(inf, -inf, nan, 3.141592653589793, 2.718281828459045)");
}

TEST(ToolsFold, Comparisons) {
  EXPECT_EQ(Eval("1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, 2 != 2, not 0, not 1.5"), "(True, False, True, False, True, False)");
  EXPECT_EQ(Eval("1j == 1j, nan == nan"), "(True, False)");
}

TEST(ToolsFold, Builtins) {
  EXPECT_EQ(Eval("abs(-3), abs(-2.5), max(1, 2.5, 2), min(3, 1, 2), pow(2, 5)"), "(3, 2.5, 2.5, 1, 32)");
  EXPECT_EQ(Eval("round(2.5), round(3.5), round(2.675, 2), round(1234, -2), round(1250, -2)"), "(2.0, 4.0, 2.67, 1200, 1200)");
  EXPECT_EQ(Eval("divmod(7, -2), int(3.9), float(2), bool(0.0), complex(1, 2)"), "((-4, -1), 3, 2.0, False, (1+2j))");
}

TEST(ToolsFold, Errors) {
  ExpectError("1 / 0", 2, "division by zero");
  ExpectError("1 // 0", 2, "division by zero");
  ExpectError("1.5 % 0", 4, "division by zero");
  ExpectError("0 ** -1", 2, "division by zero");
  ExpectError("2 ** 64", 2, "64 bits");
  ExpectError("9223372036854775807 + 1", 20, "64 bits");
  ExpectError("-9223372036854775808 // -1", 21, "64 bits");
  ExpectError("9223372036854775808 + x", 0, "64 bits");
  ExpectError("1 << -1", 2, "negative shift");
  ExpectError("1.5 << 1", 4, "no bits");
  ExpectError("1j < 2", 3, "no order");
  ExpectError("'a' + 1", 4, "no such operation");
  ExpectError("(1, 2) + 1", 7, "no such operation");
}

TEST(ToolsEval, Operators) {
  EXPECT_EQ(Eval("(x + 1) * 2"), "multiply(add(x, 1), 2)");
  EXPECT_EQ(Eval("-x, +x, ~k, not x"), "(negative(x), positive(x), invert(k), logical_not(x))");
  EXPECT_EQ(Eval("x - 1.5 / x"), "subtract(x, divide(1.5f, x))");
  EXPECT_EQ(Eval("x // 2 % 3"), "remainder(floor_divide(x, 2), 3)");
  EXPECT_EQ(Eval("k << 1 >> 2 & 3 | 4 ^ 5"), "bitwise_or(bitwise_and(right_shift(left_shift(k, 1), 2), 3), 1)");
  EXPECT_EQ(Eval("x ** 3, 2 ** x"), "(power(x, 3), power(2, x))");
  EXPECT_EQ(Eval("x ** 2, x ** 2.0, x ** 0.5, k ** 2, k ** 0.5"),
            "(square(x), square(x), sqrt(x), square(k), power(k, 0.5f))");
  EXPECT_EQ(Eval("x * 2j"), "multiply(x, (0+2j))");
  EXPECT_EQ(Eval("x == 1"), "equal(x, 1)");
  EXPECT_EQ(Eval("x * 2 ** 3"), "multiply(x, 8)");
}

TEST(ToolsEval, ChainedComparisonsEvaluateOnce) {
  EXPECT_EQ(Eval("0 <= x < 1"), "logical_and(less_equal(0, x), less(x, 1))");
  Eval("0 < sin(x) < 1");
  EXPECT_EQ(tools_eval_calls(), 6); // 0, sin, less, 1, less, and
}

TEST(ToolsEval, Statements) {
  EXPECT_EQ(Eval("a = x + 1; b = a * 2; b - a"), "subtract(multiply(add(x, 1), 2), add(x, 1))");
  EXPECT_EQ(Eval("q, r = divmod(x, 2); r"), "divmod.r(x, 2)");
  EXPECT_EQ(Eval("a = 5"), "5");
  EXPECT_EQ(Eval("pi = 3; pi"), "3");
  ExpectError("a, b = x", 0, "cannot be split");
  ExpectError("a, b = (1, 2, 3)", 0, "3 values");
}

TEST(ToolsEval, Functions) {
  EXPECT_EQ(Eval("sin(x), np.sin(x), mt.sin(x), numpy.sin(x), mars.sin(x)"), "(sin(x), sin(x), sin(x), sin(x), sin(x))");
  EXPECT_EQ(Eval("arctan2(x, 1), hypot(3, 4), maximum(x, f)"), "(arctan2(x, 1), hypot(3, 4), maximum(x, f))");
  EXPECT_EQ(Eval("abs(x), atan2(x, 1), mod(x, 2), pow(x, 3), conjugate(c)"),
            "(absolute(x), arctan2(x, 1), remainder(x, 2), power(x, 3), conj(c))");
  EXPECT_EQ(Eval("where(x > 0, x, 0)"), "where(greater(x, 0), x, 0)");
  EXPECT_EQ(Eval("clip(x, 0, 1), clip(x, None, 1), clip(x, min=0), x.clip(0, 1)"),
            "(clip(x, 0, 1), minimum(x, 1), maximum(x, 0), clip(x, 0, 1))");
  EXPECT_EQ(Eval("round(x), round(x, 2), x.round(decimals=-1)"), "(round(x, 0), round(x, 2), round(x, -1))");
  EXPECT_EQ(Eval("modf(x), frexp(x)"), "((modf.f(x), modf.i(x)), (frexp.m(x), frexp.e(x)))");
  EXPECT_EQ(Eval("nan_to_num(x), float_power(x, 2), isposinf(x), isneginf(x)"),
            "(nan_to_num(x), float_power(x, 2), isposinf(x), isneginf(x))");
  EXPECT_EQ(Eval("special.erf(x), np.add(x, y=1)"), "(erf(x), add(x, 1))");
}

TEST(ToolsEval, Reductions) {
  EXPECT_EQ(Eval("sum(x), x.sum(), x.sum(axis=0), x.sum((0, 1)), x.sum(axis=-1, keepdims=True)"),
            "(sum(x, all), sum(x, all), sum(x, {0}), sum(x, {0,1}), sum(x, {-1}, keepdims))");
  EXPECT_EQ(Eval("x.std(ddof=1), var(x, 0, correction=1), np.max(x, 0), min(x), amax(x)"),
            "(std(x, all, ddof=1), var(x, {0}, ddof=1), max(x, {0}), min(x, all), max(x, all))");
  EXPECT_EQ(Eval("f.sum(dtype=float64), f.mean(dtype='float64'), x.argmax(), x.any(), nanmean(x, axis=None)"),
            "(sum(f, all, float64), mean(astype(f, float64), all), argmax(x, all), any(x, all), nanmean(x, all))");
  EXPECT_EQ(Eval("cumsum(x), x.cumsum(axis=1), f.cumprod(), ptp(x, axis=0)"),
            "(cumsum(ravel(x), {0}), cumsum(x, {1}), cumprod(f, {0}), subtract(max(x, {0}), min(x, {0})))");
  ExpectError("x.sum(ddof=1)", 6, "ddof");
  ExpectError("max(x, f)", 0, "maximum(a, b)");
  ExpectError("x.sum(axis='a')", 6, "axis must be an integer");
  ExpectError("x.sum(1.5)", 6, "axis must be an integer");
  ExpectError("x.sum(where=1)", 6, "unexpected keyword where; it is sum(a, axis=None, *, keepdims=False");
}

TEST(ToolsEval, Creation) {
  EXPECT_EQ(Eval("zeros(3), zeros((2, 3)), ones((2,), dtype=float32), np.empty(2*1000, 'int8')"),
            "(zeros(float64, (3)), zeros(float64, (2,3)), ones(float32, (2)), empty(int8, (2000)))");
  EXPECT_EQ(Eval("zeros(10**6), zeros(1e3), zeros(x.shape), zeros(()), full((2, 2), 7), full(3, x.max(), dtype=int)"),
            "(zeros(float64, (1000000)), zeros(float64, (1000)), zeros(float64, (1000,10)), zeros(float64, ()), full(auto, (2,2), 7), "
            "full(int64, (3), max(x, all)))");
  EXPECT_EQ(Eval("arange(5), arange(1, 5), arange(0, 1, 0.25), arange(5, dtype=float32), linspace(0, 1), linspace(0, 1, 5, endpoint=False)"),
            "(arange(int64, 0, 5, 1), arange(int64, 1, 5, 1), arange(float64, 0, 1, 0.25), arange(float32, 0, 5, 1), "
            "linspace(float64, 0, 1, 50, 1), linspace(float64, 0, 1, 5, 0))");
  EXPECT_EQ(Eval("eye(3), eye(2, 3, k=1, dtype=bool), identity(2), iota((2, 3), axis=1)"),
            "(eye(float64, 3, 3, 0), eye(bool, 2, 3, 1), eye(float64, 2, 2, 0), iota(int64, (2,3), 1))");
  EXPECT_EQ(Eval("zeros_like(x), ones_like(f, dtype=int8), full_like(f, 2)"),
            "(zeros_like(x), astype(ones_like(f), int8), full(float32, (6), 2))");
  EXPECT_EQ(Eval("load('a b.npy')"), "npy(a b.npy)");
  EXPECT_EQ(Eval("array([[1, 2], [3, 4]]), array([1, 2.5]), array([True, False]), array([1, 2j]), array([1, 2], dtype=float32), array(3)"),
            "(array(int64, (2,2), [1,2,3,4]), array(float64, (2), [1,2.5]), array(bool, (2), [1,0]), array(complex128, (2), [1+0j,0+2j]), "
            "astype(array(int64, (2), [1,2]), float32), array(int64, (), [3]))");
  EXPECT_EQ(Eval("array([]), array([[], []]), x + [1, 2]"),
            "(array(float64, (0), []), array(float64, (2,0), []), add(x, array(int64, (2), [1,2])))");
  ExpectError("array([[1, 2], [3]])", 6, "same length");
  ExpectError("array([x, 1])", 6, "stack");
  ExpectError("array(['a'])", 6, "made of numbers");
  ExpectError("zeros(1.5)", 6, "shape must be an integer");
  ExpectError("zeros((2, 'a'))", 6, "shape must be made of integers");
  ExpectError("zeros(2, dtype='float65')", 9, "no dtype 'float65'; there are bool, int8");
  ExpectError("zeros()", 0, "missing argument shape; it is zeros(shape, dtype=float64)");
  ExpectError("zeros(1, 2, 3)", 12, "too many arguments");
  ExpectError("zeros(1, shape=2)", 9, "given twice");
  ExpectError("a = [1,2,3,4,5,6,7,8,9,10]; b = [a,a,a,a,a,a,a,a,a,a]; c = [b,b,b,b,b,b,b,b,b,b]; d = [c,c,c,c,c,c,c,c,c,c];"
              "e1 = [d,d,d,d,d,d,d,d,d,d]; g = [e1,e1,e1,e1,e1,e1,e1,e1,e1,e1]; array([g, g])", 179, "at most");
}

TEST(ToolsEval, Random) {
  EXPECT_EQ(Eval("random.uniform(size=5), np.random.uniform(low=-1, high=1, size=(2, 3), dtype=float32), random.rand(2, 3), random.random(4)"),
            "(uniform(float64, (5), 0, 1), uniform(float32, (2,3), -1, 1), uniform(float64, (2,3), 0, 1), uniform(float64, (4), 0, 1))");
  EXPECT_EQ(Eval("random.normal(1, 2, 3), random.standard_normal((2,)), random.randn(4), random.exponential(2, size=3)"),
            "(normal(float64, (3), 1, 2), standard_normal(float64, (2)), standard_normal(float64, (4)), exponential(float64, (3), 2))");
  EXPECT_EQ(Eval("random.integers(10, size=3), random.randint(1, 7, 3), random.integers(1, 6, 3, endpoint=True, dtype=uint8), random.bernoulli(0.25, 8)"),
            "(integers(int64, (3), 0, 10), integers(int64, (3), 1, 7), integers(uint8, (3), 1, 7), bernoulli((8), 0.25))");
  EXPECT_EQ(Eval("random.uniform(), random.seed(7)"), "(uniform(float64, (), 0, 1), None)");
}

TEST(ToolsEval, ViewsAndJoins) {
  EXPECT_EQ(Eval("x.reshape(10, -1), x.reshape((5, 2000)), reshape(x, -1), ravel(x), x.flatten()"),
            "(reshape(x, (10,-1)), reshape(x, (5,2000)), reshape(x, (-1)), ravel(x), ravel(x))");
  EXPECT_EQ(Eval("x.T, x.mT, transpose(x), x.transpose(1, 0), transpose(x, (1, 0)), permute_dims(x, (1, 0))"),
            "(transpose(x), swapaxes(x, -1, -2), transpose(x), permute_dims(x, {1,0}), permute_dims(x, {1,0}), permute_dims(x, {1,0}))");
  EXPECT_EQ(Eval("swapaxes(x, 0, 1), moveaxis(x, 0, -1), expand_dims(x, 0), squeeze(x), x.squeeze(axis=(0, 1)), flip(x), flip(x, 0)"),
            "(swapaxes(x, 0, 1), moveaxis(x, 0, -1), expand_dims(x, 0), squeeze(x, all), squeeze(x, {0,1}), flip(x, all), flip(x, {0}))");
  EXPECT_EQ(Eval("broadcast_to(f, (4, 6)), concatenate((x, f), axis=1), concat([x, x]), stack((f, k))"),
            "(broadcast_to(f, (4,6)), concatenate([x, f], 1), concatenate([x, x], 0), stack([f, k], 0))");
  EXPECT_EQ(Eval("concatenate((x, f), axis=None)"), "concatenate([ravel(x), ravel(f)], 0)");
  ExpectError("concatenate(x)", 12, "a tuple of tensors");
  ExpectError("stack(())", 6, "at least one");
}

TEST(ToolsEval, Indexing) {
  EXPECT_EQ(Eval("x[0], x[-1, 2], x[1:10:2, ..., None], x[::-1], x[:, newaxis], x[np.newaxis]"),
            "(x[0], x[-1, 2], x[1:10:2, ..., None], x[::-1], x[::, None], x[None])");
  EXPECT_EQ(Eval("n = 3; x[n:2*n], x[(1, 2)], x[None:5]"), "(x[3:6:], x[1, 2], x[:5:])");
  EXPECT_EQ(Eval("x.shape[0], x.shape[-1], x.shape[1:], (1, 2, 3)[:2]"), "(1000, 10, (10), (1, 2))");
  ExpectError("x[1.5]", 2, "not float");
  ExpectError("x[x > 0]", 4, "not available yet");
  ExpectError("x[[1, 2]]", 2, "not available yet");
  ExpectError("x[1.0:2]", 2, "a slice takes integers");
  ExpectError("x.shape[2]", 8, "out of range");
  ExpectError("x[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", 70, "too many indices");
}

TEST(ToolsEval, Products) {
  EXPECT_EQ(Eval("x @ x.T"), "matmul(x, transpose(x))");
  EXPECT_EQ(Eval("x * 2 @ f / 3 - k"), "subtract(divide(matmul(multiply(x, 2), f), 3), k)");
  EXPECT_EQ(Eval("-x @ x.mT ** 2"), "matmul(negative(x), square(swapaxes(x, -1, -2)))");
  EXPECT_EQ(Eval("x @ [1, 2]"), "matmul(x, array(int64, (2), [1,2]))");
  EXPECT_EQ(Eval("matmul(x, f), np.linalg.matmul(x1=x, x2=f), dot(x, f), x.dot(f), inner(x, f), linalg.outer(f, k)"),
            "(matmul(x, f), matmul(x, f), dot(x, f), dot(x, f), inner(x, f), outer(f, k))");
  EXPECT_EQ(Eval("vdot(c, c), kron(x, f), matrix_power(x, -2), linalg.multi_dot([x, x.T, f])"),
            "(vdot(c, c), kron(x, f), matrix_power(x, -2), multi_dot([x, transpose(x), f], 0))");
  EXPECT_EQ(Eval("tensordot(x, x, 1), tensordot(x, x), tensordot(x, x, axes=0), tensordot(x, x, (0, 1)), tensordot(x, x, ((0, 1), [0, -1]))"),
            "(tensordot(x, x, {1}, {0}), tensordot(x, x, {0,1}, {0,1}), tensordot(x, x, {}, {}), tensordot(x, x, {0}, {1}), "
            "tensordot(x, x, {0,1}, {0,-1}))");
  EXPECT_EQ(Eval("einsum('ij,kj->ik', x, x), einsum('ii', x), einsum(\"i,i\", [1, 2], [3, 4]), einsum('ij->ji', [[1, 2]]), "
                 "einsum('ij,j', x, f, optimize=True)"),
            "(ij,kj->ik([x, x], 0), ii([x], 0), i,i([array(int64, (2), [1,2]), array(int64, (2), [3,4])], 0), "
            "ij->ji([array(int64, (1,2), [1,2])], 0), ij,j([x, f], 0))");
  ExpectError("x @ 'a'", 2, "matmul: a tensor or a number was expected, not string");
  ExpectError("dot(x)", 0, "missing argument b; it is dot(a, b)");
  ExpectError("x.inner(f)", 2, "write inner(x)");
  ExpectError("einsum(x, f)", 7, "subscripts must be a string in quotes");
  ExpectError("einsum('ii')", 0, "missing argument operands");
  ExpectError("tensordot(x, f, 2)", 16, "2 axes are to be summed over; a has 2, b 1");
  ExpectError("tensordot(x, x, -1)", 16, "-1 axes");
  ExpectError("tensordot(x, x, (0, 1, 2))", 16, "a pair of them");
  ExpectError("tensordot(x, x, (0, 'a'))", 16, "an integer or a tuple of integers");
  ExpectError("multi_dot(x)", 10, "a tuple of tensors");
  ExpectError("x @ BAD", 2, "shapes do not fit", 1);
}

TEST(ToolsEval, PartsOfMatrices) {
  EXPECT_EQ(Eval("trace(x), x.trace(1), x.diagonal(offset=-2), linalg.trace(x), diag(x), diag(f, -1), tril(x), triu(x, k=2)"),
            "(trace(x, 0), trace(x, 1), diagonal(x, -2), trace(x, 0), diag(x, 0), diag(f, -1), tril(x, 0), triu(x, 2))");
  // Of more than two axes NumPy takes the first two, in numpy.linalg the last two.
  EXPECT_EQ(Eval("a = zeros((2, 3, 4)); trace(a), linalg.trace(a), diagonal(a, 0, 0, 2), a.diagonal(axis1=-1, axis2=0)"),
            "(trace(permute_dims(zeros(float64, (2,3,4)), {2,0,1}), 0), trace(zeros(float64, (2,3,4)), 0), "
            "diagonal(permute_dims(zeros(float64, (2,3,4)), {1,0,2}), 0), diagonal(permute_dims(zeros(float64, (2,3,4)), {1,2,0}), 0))");
  ExpectError("trace(x, axis1=2)", 9, "axis 2 is out of range for 2 axes");
  ExpectError("diagonal(x, 0, 1, -1)", 18, "the same");
}

TEST(ToolsEval, Systems) {
  EXPECT_EQ(Eval("cholesky(x), linalg.solve(x, f), inv(x), np.linalg.det(x), slogdet(x), scipy.linalg.lu(x)"),
            "(cholesky(x), solve(x, f), inv(x), det(x), (slogdet.s(x), slogdet.l(x)), (lu.p(x), lu.l(x), lu.u(x)))");
  EXPECT_EQ(Eval("solve_triangular(x, f), solve_triangular(x, f, lower=True), solve_triangular(x, f, 'T', True, unit_diagonal=True), "
                 "solve_triangular(x, f, trans=2), solve_triangular(x, f, trans='N')"),
            "(solve_triangular(x, f, upper), solve_triangular(x, f, lower), solve_triangular(x, f, lower, trans, unit), "
            "solve_triangular(x, f, upper, conj_trans), solve_triangular(x, f, upper))");
  EXPECT_EQ(Eval("p, l, u = lu(x); u"), "lu.u(x)");
  ExpectError("solve_triangular(x, f, 3)", 23, "trans must be 0, 1, 2, 'N', 'T' or 'C', not 3");
  ExpectError("solve_triangular(x, f, trans='H')", 23, "not 'H'");
  ExpectError("solve_triangular(x, f, lower='L')", 23, "lower must be True or False");
  ExpectError("a, b = lu(x)", 0, "3 values cannot be given to 2 names");
}

TEST(ToolsEval, Decompositions) {
  EXPECT_EQ(Eval("u, s, v = svd(x); max(abs(u * s @ v - x))"),
            "max(absolute(subtract(matmul(multiply(svd.u(x), svd.s(x)), svd.vh(x)), x)), all)");
  EXPECT_EQ(Eval("svd(x, full_matrices=True)[0], svd(x, compute_uv=False), linalg.svdvals(x), svd(x)[1]"),
            "(svd.u(x, full), svdvals(x), svdvals(x), svd.s(x))");
  EXPECT_EQ(Eval("qr(x), qr(x, 'complete'), linalg.qr(x, mode='r')"),
            "((qr.q(x), qr.r(x)), (qr.q(x, complete), qr.r(x, complete)), qr.r(x))");
  EXPECT_EQ(Eval("eigh(x), eigh(x, UPLO='U'), eigvalsh(x, 'u')"),
            "((eigh.w(x, lower), eigh.v(x, lower)), (eigh.w(x, upper), eigh.v(x, upper)), eigvalsh(x, 0))");
  EXPECT_EQ(Eval("randomized_svd(x, 5), randomized_svd(x, k=5, oversample=7, power_iterations=0)[1]"),
            "((rsvd.u(x, 5, 10, 2), rsvd.s(x, 5, 10, 2), rsvd.vh(x, 5, 10, 2)), rsvd.s(x, 5, 7, 0))");
  ExpectError("qr(x, mode='raw')", 6, "'reduced', 'complete' or 'r' was expected, not 'raw'");
  ExpectError("qr(x, mode=1)", 6, "mode must be 'reduced', 'complete' or 'r', not int");
  ExpectError("eigh(x, 'lower')", 8, "'L' or 'U' was expected");
  ExpectError("svd(x, full_matrices='no')", 7, "True or False");
  ExpectError("svd(BAD)", 0, "shapes do not fit", 1);
  ExpectError("u, s = svd(x)", 0, "3 values cannot be given to 2 names");
  ExpectError("randomized_svd(x)", 0, "missing argument k");
}

TEST(ToolsEval, LeastSquaresAndNorms) {
  EXPECT_EQ(Eval("lstsq(x, f), lstsq(x, f, rcond=1e-3)[0], pinv(x), pinv(x, rtol=0.5), matrix_rank(x), matrix_rank(x, tol=2)"),
            "((lstsq.x(x, f, -1), lstsq.r(x, f, -1), lstsq.n(x, f, -1), lstsq.s(x, f, -1)), lstsq.x(x, f, 0.001), pinv(x, -1), "
            "pinv(x, 0.5), matrix_rank(x, -1), matrix_rank(x, 2))");
  EXPECT_EQ(Eval("norm(x), linalg.norm(f, 1), norm(x, 'fro'), norm(x, ord=-inf), norm(x, 'nuc', keepdims=True), norm(x, axis=1), "
                 "norm(x, 3, axis=-1), norm(x, 2, (0, 1)), cond(x), cond(x, 'fro'), cond(x, p=inf)"),
            "(norm(x, -1000, all), norm(f, 1, {0}), norm(x, -1001, {0,1}), norm(x, -inf, {0,1}), norm(x, -1002, {0,1}, keepdims), "
            "norm(x, -1000, {1}), norm(x, 3, {-1}), norm(x, 2, {0,1}), cond(x, -1000), cond(x, -1001), cond(x, inf))");
  ExpectError("norm(x, 'max')", 8, "'fro' or 'nuc' was expected, not 'max'");
  ExpectError("norm(x, -1001)", 8, "out of range");
  ExpectError("norm(x, f)", 8, "ord must be a number");
  ExpectError("norm(zeros((2, 3, 4)), 2)", 23, "needs a vector, a matrix or axis=; this has 3 axes");
  ExpectError("pinv(x, 'a')", 8, "rcond must be a real number");
}

TEST(ToolsEval, AttributesAndCasts) {
  EXPECT_EQ(Eval("x.shape, x.dtype, x.size, x.ndim, x.nbytes, x.itemsize"), "((1000, 10), dtype float64, 10000, 2, 80000, 8)");
  EXPECT_EQ(Eval("c.real, c.imag, c.conj()"), "(real(c), imag(c), conj(c))");
  EXPECT_EQ(Eval("x.astype(float32), x.astype('f8'), x.astype(k.dtype), float32(x), np.int8(3), bool(x), zeros(2, x.dtype)"),
            "(astype(x, float32), astype(x, float64), astype(x, int64), astype(x, float32), astype(3, int8), astype(x, bool), zeros(float64, (2)))");
  EXPECT_EQ(Eval("float32, np.uint8, int"), "(dtype float32, dtype uint8, dtype int64)");
  ExpectError("x.foo", 2, "no attribute 'foo'");
  ExpectError("x.sum", 2, "call it");
  ExpectError("'a'.T", 4, "a string has no attribute");
  ExpectError("x.sin()", 2, "write sin(x)");
}

TEST(ToolsEval, Names) {
  ExpectError("y + 1", 0, "unknown name 'y'");
  ExpectError("x + zreos(3)", 4, "did you mean zeros");
  ExpectError("arctna(x)", 0, "arctan");
  ExpectError("np.sine(x)", 3, "did you mean sin");
  ExpectError("x.meen()", 2, "unknown method 'meen'; did you mean mean");
  ExpectError("total = x; totl + 1", 11, "did you mean total");
  ExpectError("sin", 0, "call it");
  ExpectError("np", 0, "module");
  ExpectError("x(1)", 0, "a tensor: it cannot be called");
  ExpectError("3(1)", 0, "a int: it cannot be called");
  ExpectError("sort(x)", 0, "not available yet");
  ExpectError("np.linalg.eig(x)", 10, "'linalg.eig' is not available yet");
  ExpectError("np.linalg.solv(x, x)", 10, "unknown function 'linalg.solv'; did you mean solve");
  ExpectError("linalg.sin(x)", 7, "unknown function 'linalg.sin'");
  ExpectError("linalg.qr", 7, "call it");
  ExpectError("sin(x, x)", 7, "too many arguments; it is sin(x)");
  ExpectError("add(x)", 0, "missing argument y");
  ExpectError("sin('a')", 0, "not string");
}

// An error tensor is reported where it is made, even deep inside.
TEST(ToolsEval, ErrorTensorsHaveAPlace) {
  ExpectError("x + (x * BAD) + 1", 7, "shapes do not fit", 1);
  ExpectError("sin(exp(BAD))", 4, "shapes do not fit", 1);
  ExpectError("a = x.T; BAD.sum(axis=3)", 13, "shapes do not fit", 1);
  ExpectError("x + BAD[1:, 2]", 7, "shapes do not fit", 1);
}

TEST(ToolsEval, DeepButLegal) {
  std::string source = "x";
  for (int i = 0; i < 1900; i++) source += "+x";
  tools_result r;
  tools_eval((source + "; 1").c_str(), &r);
  EXPECT_EQ(r.code, 0) << r.text;
}

// Grammatical nonsense: a value or a message, never a crash or a leak.
TEST(ToolsEval, NonsenseGivesMessages) {
  static const char *const operands[] = {"x", "f", "k", "c", "BAD", "1", "0", "-3", "2.5", "1j", "'s'", "True", "None", "...", "(1, 2)", "[1, 2]",
                                         "()", "pi", "inf", "float32", "x.shape", "zeros(3)", "sin", "y", "9223372036854775807"};
  static const char *const forms[] = {"(A + B)", "(A - B)", "(A * B)", "(A / B)", "(A // B)", "(A % B)", "(A ** B)", "(A @ B)", "(A < B)", "(A == B)",
                                      "(A & B)", "(A << B)", "(-A)", "(~A)", "(not A)", "A[B]", "A[B:B]", "A[B, A]", "sum(A, axis=B)", "A.sum(B)",
                                      "A.T", "A.shape", "zeros(A, B)", "reshape(A, B)", "where(A, B, A)", "max(A, B)", "round(A, B)", "A.astype(B)",
                                      "clip(A, B)", "arange(A, B)", "random.uniform(A, B)", "concatenate((A, B))", "array([A, B])", "divmod(A, B)",
                                      "(A, B)", "A(B)", "float32(A)", "cumsum(A, B)", "full(A, B)", "int(A)", "abs(A)", "load(A)", "eye(A, B)",
                                      "tensordot(A, A, B)", "einsum(A, B)", "einsum('ij,jk', A, B)", "svd(A, B)", "qr(A, B)", "norm(A, B, A)", "trace(A, B, A)",
                                      "solve_triangular(A, B, A)", "multi_dot((A, B))", "linalg.eigh(A, B)", "lstsq(A, B, A)",
                                      "expand_dims(A, B)", "squeeze(A, B)", "permute_dims(A, B)", "stack(A, axis=B)", "full_like(A, B)", "ptp(A, B)"};
  std::mt19937 rng(777);
  int fine = 0, refused = 0;
  for (int round = 0; round < 20000; round++) {
    std::string source = "A";
    for (int level = 0; level < 4; level++) {
      std::string next;
      for (char ch : source) {
        if (ch != 'A' && ch != 'B') next += ch;
        else if (rng() % 2 || level == 3) next += operands[rng() % (sizeof operands / sizeof *operands)];
        else next += forms[rng() % (sizeof forms / sizeof *forms)];
      }
      source = next;
    }
    tools_result r;
    tools_eval(source.c_str(), &r);
    if (r.code == 0) {
      fine++;
      continue;
    }
    refused++;
    ASSERT_TRUE(r.code == 1 || r.code == 2);
    ASSERT_GE(r.pos, 0) << source;
    ASSERT_LE(r.pos, (int)source.size()) << source;
    ASSERT_NE(r.text[0], 0) << source;
  }
  EXPECT_GT(fine, 500);
  EXPECT_GT(refused, 500);
}

} // namespace
