"""NumPy as its competent user writes it: results into existing arrays, blocks that stay in the cache where it helps."""
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import chains
import peer

PI_BLOCK = 1 << 16
CACHE_BLOCK = 1 << 15


def pi(a):
    """The whole-array expression (where memory has room for it), and blocks in the cache on all threads."""
    def naive():
        rng = np.random.default_rng(1)
        x = rng.random(a.size)
        y = rng.random(a.size)
        return np.count_nonzero(x * x + y * y <= 1) * 4 / a.size

    def blocks(seed, n):
        rng = np.random.Generator(np.random.SFC64(seed))
        x, y = np.empty(PI_BLOCK), np.empty(PI_BLOCK)
        inside = np.empty(PI_BLOCK, bool)
        count = 0
        for at in range(0, n, PI_BLOCK):
            m = min(PI_BLOCK, n - at)
            u, v, w = x[:m], y[:m], inside[:m]
            rng.random(out=u)
            rng.random(out=v)
            np.multiply(u, u, out=u)
            np.multiply(v, v, out=v)
            np.add(u, v, out=u)
            np.less_equal(u, 1.0, out=w)
            count += np.count_nonzero(w)
        return count

    pool = ThreadPoolExecutor(a.threads)

    def blocked():
        parts = [a.size * (t + 1) // a.threads - a.size * t // a.threads for t in range(a.threads)]
        return sum(pool.map(blocks, range(a.threads), parts)) * 4 / a.size

    ways = [(blocked, lambda r: r)]
    if a.size <= 100_000_000:
        ways.append((naive, lambda r: r))
    return ways


def on_threads(a, pool, part):
    """part(begin, end) over ranges, one for each thread: NumPy lets go of the lock in its loops."""
    edges = [a * t // pool._max_workers for t in range(pool._max_workers + 1)]
    list(pool.map(part, edges[:-1], edges[1:]))


def scale(a):
    plus_one = a.suite == "axpb"
    if a.case == "spill":
        def run():
            out = np.lib.format.open_memmap(a.output, "w+", np.float64, (a.size,))
            for at in range(0, a.size, peer.BLOCK):
                x = np.arange(at, min(at + peer.BLOCK, a.size), dtype=np.float64)
                if plus_one:
                    x += 1
                np.multiply(x, 2, out=out[at:at + len(x)])
            out.flush()
            return out[-1]
        return run, lambda last: last
    x, out = peer.data(0, a.size, np.float64), np.zeros(a.size)
    pool = ThreadPoolExecutor(a.threads)

    def whole():
        if plus_one:
            np.add(x, 1, out=out)
            np.multiply(out, 2, out=out)
        else:
            np.multiply(x, 2, out=out)

    def part(begin, end):
        for at in range(begin, end, CACHE_BLOCK):
            u, v = x[at:min(at + CACHE_BLOCK, end)], out[at:min(at + CACHE_BLOCK, end)]
            if plus_one:
                np.add(u, 1, out=v)
                np.multiply(v, 2, out=v)
            else:
                np.multiply(u, 2, out=v)

    last = lambda _: out[-1]
    return [(whole, last), (lambda: on_threads(a.size, pool, part), last)]


def stream(a):
    def run():
        x = np.load(a.input, mmap_mode="r")
        out = np.lib.format.open_memmap(a.output, "w+", np.float64, x.shape)
        for at in range(0, len(x), peer.BLOCK):
            block = x[at:at + peer.BLOCK] + 1
            np.multiply(block, 2, out=out[at:at + peer.BLOCK])
        out.flush()
        return out[-1]
    return run, lambda last: last


REDUCTIONS = {
    "sum": lambda x: x.sum(),
    "std": lambda x: x.std(),
    "argmax": lambda x: x.argmax(),
    "axis0": lambda x: x.sum(axis=0),
    "axis1": lambda x: x.sum(axis=1),
}


def blocked_std(x):
    """One pass in blocks that merges (count, mean, M2): NumPy's own std makes temporaries as large as x."""
    count, mean, m2 = 0, 0.0, 0.0
    flat = x.reshape(-1)
    for at in range(0, flat.size, CACHE_BLOCK):
        b = flat[at:at + CACHE_BLOCK]
        m = b.mean()
        d = b - m
        delta, total = m - mean, count + b.size
        m2 += np.dot(d, d) + delta * delta * count * b.size / total
        mean += delta * b.size / total
        count = total
    return np.sqrt(m2 / count)


def reduce(a):
    op = a.case.replace("-npy", "")
    total = lambda r: np.sum(r)
    if a.case.endswith("-npy"):
        if op == "std":
            return (lambda: blocked_std(np.load(a.input, mmap_mode="r"))), total
        return (lambda: REDUCTIONS[op](np.load(a.input, mmap_mode="r"))), total
    rows, cols = peer.shape_2d(a.size)
    x = peer.data(0, rows * cols, np.float64).reshape(rows, cols)
    ways = [(lambda: REDUCTIONS[op](x), total)]
    if op == "std":
        ways.append((lambda: blocked_std(x), total))
        if a.size > 100_000_000:
            ways = ways[1:]
    return ways


def chain(a):
    dtype = peer.dtype_of(a.dtype)
    names = {k: getattr(np, k) for k in ("sin", "cos", "exp", "log", "sqrt", "tanh", "where")}
    for k in range(chains.inputs(a.case)):
        names["abcd"[k]] = peer.data(k, a.size, dtype)
    out = np.zeros(a.size, bool if a.case == "blosc" else dtype)
    if a.case == "options":
        steps = [(name, compile(text, "step", "eval")) for name, text in chains.OPTIONS]
    else:
        steps = [("value", compile(chains.TEXT[a.case], "chain", "eval"))]

    def over(block):
        for at in range(0, a.size, block):
            scope = {k: v[at:at + block] if isinstance(v, np.ndarray) else v for k, v in names.items()}
            for name, code in steps:
                scope[name] = eval(code, scope)
            out[at:at + block] = scope["value"]

    mean = lambda _: out.mean(dtype=np.float64)
    return [(lambda: over(a.size), mean), (lambda: over(CACHE_BLOCK), mean)]


def aat(a):
    """NumPy sees that it is a product with its own transpose."""
    n = peer.fitting(a, lambda n: 24 * n * n, 3)

    def run():
        x = np.random.default_rng(1).random((n, n))
        d = x @ x.T
        d -= x
        return blocked_std(d)
    return run, None


def tssvd(a):
    m = peer.fitting(a, lambda m: 4 * 256 * m, 1)

    def run():
        x = np.random.default_rng(1).random((m, 32))
        u, s, v = np.linalg.svd(x, full_matrices=False)
        return np.abs(u * s @ v - x).max()
    return run, None


def matmul(a):
    dtype = peer.dtype_of(a.dtype)
    x, y = (peer.data(k, a.size * a.size, dtype).reshape(a.size, a.size) for k in (0, 1))
    out = np.zeros_like(x)

    def run():
        for _ in range(200 if a.case == "latency" else 1):
            np.matmul(x, y, out=out)
        return out[-1, -1]
    return run, lambda last: last


def factor(a):
    n = peer.fitting(a, lambda n: 32 * n * n, 3)
    x = np.random.default_rng(1).random((n, n))
    if a.case == "cholesky":
        x[np.diag_indices(n)] += n
        return (lambda: np.linalg.cholesky(x)), None
    if a.case == "qr":
        return (lambda: np.linalg.qr(x)), None
    if a.case == "solve":
        return (lambda: np.linalg.solve(x, np.ones(n))), None
    raise peer.Skip("numpy has no lu")


def prepare(a):
    table = {"pi": pi, "scale": scale, "axpb": scale, "stream": stream, "reduce": reduce, "chain": chain, "aat": aat,
             "tssvd": tssvd, "matmul": matmul, "factor": factor}
    if a.suite not in table:
        raise peer.Skip(f"no {a.suite}")
    return table[a.suite](a)


sys.exit(peer.main("numpy", "numpy", prepare))
