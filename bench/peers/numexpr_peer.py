"""numexpr into existing arrays, on as many threads as mars."""
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import chains
import peer


def evaluator(a):
    os.environ.setdefault("NUMEXPR_MAX_THREADS", str(max(a.threads, 1)))
    import numexpr
    numexpr.set_num_threads(a.threads)
    return numexpr


def prepare(a):
    ne = evaluator(a)
    if a.suite == "pi":
        return pi(a, ne)
    if a.suite in ("scale", "axpb") and a.case == "memory":
        x, out = peer.data(0, a.size, np.float64), np.zeros(a.size)
        text = "(x + 1)*2" if a.suite == "axpb" else "x*2"
        return (lambda: ne.evaluate(text, local_dict={"x": x}, out=out)), lambda _: out[-1]
    if a.suite == "stream":
        return stream(a, ne)
    if a.suite == "reduce":
        return reduce(a, ne)
    if a.suite == "chain":
        return chain(a, ne)
    raise peer.Skip(f"nothing for {a.suite}:{a.case}")


def pi(a, ne):
    """Random numbers by NumPy on all threads, block by block; the rest by numexpr."""
    block = 1 << 18
    rngs = [np.random.Generator(np.random.SFC64(seed)) for seed in range(2 * a.threads)]
    pool = ThreadPoolExecutor(a.threads)
    x, y = np.empty(block), np.empty(block)

    def run():
        count = 0
        for at in range(0, a.size, block):
            m = min(block, a.size - at)
            edges = [m * t // a.threads for t in range(a.threads + 1)]
            parts = [v[edges[t]:edges[t + 1]] for v in (x, y) for t in range(a.threads)]
            list(pool.map(lambda rng, part: rng.random(out=part), rngs, parts))
            count += int(ne.evaluate("sum(where(u*u + v*v <= 1, 1, 0))", local_dict={"u": x[:m], "v": y[:m]}))
        return count * 4 / a.size
    return run, lambda r: r


def stream(a, ne):
    def run():
        x = np.load(a.input, mmap_mode="r")
        out = np.lib.format.open_memmap(a.output, "w+", np.float64, x.shape)
        for at in range(0, len(x), peer.BLOCK):
            u = x[at:at + peer.BLOCK]
            ne.evaluate("(u + 1)*2", local_dict={"u": u}, out=out[at:at + peer.BLOCK])
        out.flush()
        return out[-1]
    return run, lambda last: last


def reduce(a, ne):
    op = a.case.replace("-npy", "")
    if op == "argmax":
        raise peer.Skip("numexpr has no argmax")
    rows, cols = peer.shape_2d(a.size)
    memory = None if a.case.endswith("-npy") else peer.data(0, rows * cols, np.float64).reshape(rows, cols)

    def run():
        x = memory if memory is not None else np.load(a.input, mmap_mode="r")
        if op == "std":
            m = float(ne.evaluate("sum(x)", local_dict={"x": x})) / x.size
            return np.sqrt(float(ne.evaluate("sum((x - m)**2)", local_dict={"x": x, "m": m})) / x.size)
        text = {"sum": "sum(x)", "axis0": "sum(x, axis=0)", "axis1": "sum(x, axis=1)"}[op]
        return ne.evaluate(text, local_dict={"x": x})
    return run, lambda r: np.sum(r)


def chain(a, ne):
    dtype = peer.dtype_of(a.dtype)
    text = chains.inlined_options() if a.case == "options" else chains.TEXT[a.case]
    names = {"abcd"[k]: peer.data(k, a.size, dtype) for k in range(chains.inputs(a.case))}
    out = np.zeros(a.size, bool if a.case == "blosc" else dtype)
    if a.dtype == "f32":
        text = as_float32(text, names)
    return (lambda: ne.evaluate(text, local_dict=names, out=out)), lambda _: out.mean(dtype=np.float64)


def as_float32(text, names):
    """A literal with a point would make numexpr compute in double: constants become float32 variables."""
    import re

    def constant(m):
        name = f"k{len(names)}"
        names[name] = np.float32(m.group(0))
        return name
    return re.sub(r"\d+\.\d+", constant, text)


sys.exit(peer.main("numexpr", "numexpr", prepare))
