"""Dask arrays on its threaded scheduler, with chunks of some ten megabytes."""
import sys

import numpy as np

import chains
import peer

CHUNK = 4_000_000


def pi(a, da):
    def run():
        rng = da.random.RandomState(1)
        x = rng.random_sample(a.size, chunks=CHUNK)
        y = rng.random_sample(a.size, chunks=CHUNK)
        return float((x * x + y * y <= 1).sum().compute() * 4 / a.size)
    return run, lambda r: r


def expression(a, x):
    return (x + 1) * 2 if a.suite == "axpb" else x * 2


def scale(a, da):
    if a.case == "spill":
        def spill():
            out = np.lib.format.open_memmap(a.output, "w+", np.float64, (a.size,))
            x = da.arange(a.size, chunks=CHUNK, dtype=np.float64)
            da.store(expression(a, x), out, lock=False)
            out.flush()
            return out[-1]
        return spill, lambda last: last
    data, out = peer.data(0, a.size, np.float64), np.zeros(a.size)

    def run():
        x = da.from_array(data, chunks=CHUNK, name=False)
        da.store(expression(a, x), out, lock=False)
    return run, lambda _: out[-1]


def stream(a, da):
    def run():
        source = np.load(a.input, mmap_mode="r")
        out = np.lib.format.open_memmap(a.output, "w+", np.float64, source.shape)
        x = da.from_array(source, chunks=CHUNK, name=False)
        da.store((x + 1) * 2, out, lock=False)
        out.flush()
        return out[-1]
    return run, lambda last: last


def reduce(a, da):
    op = a.case.replace("-npy", "")
    rows, cols = peer.shape_2d(a.size)
    memory = None if a.case.endswith("-npy") else peer.data(0, rows * cols, np.float64).reshape(rows, cols)
    chunks = (max(CHUNK // cols, 1), cols)

    def run():
        x = da.from_array(memory if memory is not None else np.load(a.input, mmap_mode="r"), chunks=chunks, name=False)
        if op == "std":
            return x.std().compute()
        if op == "argmax":
            return x.ravel().argmax(axis=0).compute()
        return x.sum(axis={"sum": None, "axis0": 0, "axis1": 1}[op]).compute()
    return run, lambda r: np.sum(r)


def chain(a, da):
    dtype = peer.dtype_of(a.dtype)
    data = {"abcd"[k]: peer.data(k, a.size, dtype) for k in range(chains.inputs(a.case))}
    out = np.zeros(a.size, bool if a.case == "blosc" else dtype)
    functions = {k: getattr(da, k) for k in ("sin", "cos", "exp", "log", "sqrt", "tanh", "where")}
    steps = chains.OPTIONS if a.case == "options" else (("value", chains.TEXT[a.case]),)

    def run():
        scope = dict(functions)
        for name, array in data.items():
            scope[name] = da.from_array(array, chunks=1_000_000, name=False)
        for name, text in steps:
            scope[name] = eval(text, scope)
        da.store(scope["value"], out, lock=False)
    return run, lambda _: out.mean(dtype=np.float64)


def aat(a, da):
    n = peer.fitting(a, lambda n: 32 * n * n, 3)

    def run():
        x = da.random.RandomState(1).random_sample((n, n), chunks=2000)
        return (x @ x.T - x).std().compute()
    return run, None


def tssvd(a, da):
    m = peer.fitting(a, lambda m: 6 * 256 * m, 1)

    def run():
        x = da.random.RandomState(1).random_sample((m, 32), chunks=(125_000, 32))
        u, s, v = da.linalg.svd(x)
        return abs(u * s @ v - x).max().compute()
    return run, None


def matmul(a, da):
    if a.case == "latency":
        raise peer.Skip("dask is not for small arrays")
    dtype = peer.dtype_of(a.dtype)
    x, y = (peer.data(k, a.size * a.size, dtype).reshape(a.size, a.size) for k in (0, 1))
    out = np.zeros_like(x)

    def run():
        da.store(da.from_array(x, chunks=2048, name=False) @ da.from_array(y, chunks=2048, name=False), out, lock=False)
        return out[-1, -1]
    return run, lambda last: last


def factor(a, da):
    if a.case != "qr":
        import scipy.linalg  # noqa: F401 what dask's blocks call; without it there is nothing to run
    n = peer.fitting(a, lambda n: 48 * n * n, 3)
    x = np.random.default_rng(1).random((n, n))
    if a.case == "cholesky":
        x = (x + x.T) / 2
        x[np.diag_indices(n)] += n
    chunks = (1000, n) if a.case == "qr" else 1000
    work = {"cholesky": lambda d: da.linalg.cholesky(d, lower=True), "lu": lambda d: da.linalg.lu(d)[1:],
            "qr": da.linalg.qr, "solve": lambda d: da.linalg.solve(d, da.ones(n, chunks=1000))}[a.case]

    def run():
        import dask
        return dask.compute(work(da.from_array(x, chunks=chunks, name=False)))
    return run, None


def prepare(a):
    import dask
    import dask.array as da
    dask.config.set(scheduler="threads", num_workers=a.threads)
    table = {"pi": pi, "scale": scale, "axpb": scale, "stream": stream, "reduce": reduce, "chain": chain,
             "aat": aat, "tssvd": tssvd, "matmul": matmul, "factor": factor}
    if a.suite not in table:
        raise peer.Skip(f"no {a.suite}")
    return table[a.suite](a, da)


sys.exit(peer.main("dask", "dask", prepare))
