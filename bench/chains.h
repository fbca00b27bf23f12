/*
 * The ten expressions of the suite `chain`: names, inputs and operations. The library's own form is in
 * suite_chain.c, the hand-written one in hand/k_chain.h, the peers' in peers/chains.py; constants are powers
 * of two or sums of few, so that they are the same in float and double.
 */
#ifndef BENCH_CHAINS_H
#define BENCH_CHAINS_H

#define BENCH_HORNER_DEGREE 15

/* c[k] of sum c[k] a**k */
static const double bench_horner[BENCH_HORNER_DEGREE + 1]
    __attribute__((unused)) = {1.0,    -0.5,     0.25,   -0.125,   0.75,    -0.625,   0.375,   -0.3125,
                               0.4375, -0.21875, 0.6875, -0.15625, 0.09375, -0.53125, 0.28125, 0.0625};

/*  name, inputs, operations, bytes of the result (0: of the dtype), expression */
#define BENCH_CHAINS(X)                                                                                      \
  X(axpby, 2, 3, 0, "2*a + 3*b")                                                                             \
  X(squares, 2, 6, 0, "a**2 + b**2 + 2*a*b")                                                                 \
  X(sincos, 2, 5, 0, "sin(a)**2 + cos(b)**2")                                                                \
  X(where, 3, 10, 0, "where((a > .25) & (b < .75), a*b - c, where(c > .5, a + c, b - c))")                   \
  X(explog, 4, 9, 0, "log(exp(a) + exp(b)) + log(1 + c)*exp(-d)")                                            \
  X(horner, 1, 30, 0, "polynomial of degree 15 by Horner's rule")                                            \
  X(distance, 4, 6, 0, "sqrt((a - b)**2 + (c - d)**2)")                                                      \
  X(logistic, 1, 4, 0, "1/(1 + exp(-a))")                                                                    \
  X(options, 4, 29, 0, "Black-Scholes-like call price, tanh for the normal distribution")                    \
  X(blosc, 3, 7, 1, "((a**3 + sin(a*2)) < c) & (b > 0)")

#endif
