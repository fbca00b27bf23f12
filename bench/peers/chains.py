"""The suite chain's expressions, in NumPy's and numexpr's common syntax; names and order of bench/chains.h."""

HORNER = (1.0, -0.5, 0.25, -0.125, 0.75, -0.625, 0.375, -0.3125,
          0.4375, -0.21875, 0.6875, -0.15625, 0.09375, -0.53125, 0.28125, 0.0625)


def _horner():
    text = repr(HORNER[-1])
    for c in reversed(HORNER[:-1]):
        text = f"({text})*a + {c!r}"
    return text


TEXT = {
    "axpby": "2*a + 3*b",
    "squares": "a**2 + b**2 + 2*a*b",
    "sincos": "sin(a)**2 + cos(b)**2",
    "where": "where((a > 0.25) & (b < 0.75), a*b - c, where(c > 0.5, a + c, b - c))",
    "explog": "log(exp(a) + exp(b)) + log(1 + c)*exp(-d)",
    "horner": _horner(),
    "distance": "sqrt((a - b)**2 + (c - d)**2)",
    "logistic": "1/(1 + exp(-a))",
    "blosc": "((a**3 + sin(a*2)) < c) & (b > 0)",
}

# Named steps of the option price, in order; the last one is the value. Each is an expression of the ones before.
OPTIONS = (
    ("t", "c + 0.125"),
    ("v", "d*0.5 + 0.125"),
    ("w", "v*sqrt(t)"),
    ("d1", "(log((a + 1)/(b + 1)) + (v*0.5*v + 0.03125)*t)/w"),
    ("value", "(a + 1)*(tanh(d1*0.8125) + 1) - (b + 1)*exp(t*-0.03125)*(tanh((d1 - w)*0.8125) + 1)"),
)


def inlined_options():
    """One expression: numexpr finds the common parts by itself."""
    import re
    known = {}
    for name, text in OPTIONS:
        known[name] = re.sub(r"\b(t|v|w|d1)\b", lambda m: "(" + known[m.group(1)] + ")", text)
    return known["value"]


def inputs(text_or_case):
    return {"horner": 1, "logistic": 1, "axpby": 2, "squares": 2, "sincos": 2, "where": 3, "blosc": 3}.get(text_or_case, 4)
