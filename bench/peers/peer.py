"""What the peers share: arguments, timing, the protocol.

A peer is run as  <name>_peer.py SUITE CASE SIZE DTYPE THREADS REPEAT [--paced] [--input FILE] [--output FILE].
It prints one JSON line {name, version, seconds, result}: the median of REPEAT runs after one warm-up.
With --paced it prints {name, version} when its data are ready, then a line {seconds, result} for every line on
standard input, so that mars-bench can interleave it with others.
"""
import argparse
import json
import os
import statistics
import sys
import time

import numpy as np

ODD = (2654435761, 2246822519, 3266489917, 668265263)  # bench_datum in util.c
BLOCK = 1 << 22


class Skip(Exception):
    """This peer has nothing for that case."""


def data(k, n, dtype):
    """n elements of the benchmark's array k: the fraction of i * ODD[k] / 2**32."""
    out = np.empty(n, dtype)
    for at in range(0, n, BLOCK):
        i = np.arange(at, min(at + BLOCK, n), dtype=np.uint64)
        i *= np.uint64(ODD[k])
        i &= np.uint64(0xFFFFFFFF)
        out[at:at + len(i)] = i * 2.0**-32
    return out


def shape_2d(n):
    cols = 16000 if n >= 160000 else 10 if n >= 100 else 1
    return max(n // cols, 1), cols


def available():
    """Bytes of memory that a program can still get."""
    with open("/proc/meminfo") as f:
        for line in f:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 1 << 62


def fitting(a, bytes_of, power):
    """The largest size of which bytes_of(size) fits in three quarters of the memory, a.size at most. Times are then scaled to
    a.size by its power: the peer is compared with what it would take if there were more memory."""
    size, room = a.size, 0.75 * available()
    while bytes_of(size) > room and size > 1:
        size = size * 9 // 10
    a.scale = (a.size / size) ** power
    return size


def dtype_of(name):
    return {"f32": np.float32, "f64": np.float64}[name]


def forget(path):
    """Drop the file from the page cache."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("suite")
    p.add_argument("case")
    p.add_argument("size", type=lambda s: int(float(s)))
    p.add_argument("dtype")
    p.add_argument("threads", type=int)
    p.add_argument("repeat", type=int)
    p.add_argument("--paced", action="store_true")
    p.add_argument("--input", default="")
    p.add_argument("--output", default="")
    return p.parse_args()


def main(name, module, prepare):
    """prepare(args) returns functions (run, result): run is timed, result(what run returned) is not.

    It may return a list of such pairs: every one is run once, and the fastest is the peer's."""
    a = arguments()
    a.scale = 1.0
    say = lambda **what: print(json.dumps(what), flush=True)
    try:
        version = __import__(module).__version__
        ways = prepare(a)
    except (ImportError, Skip) as e:
        say(name=name, error=str(e) or "nothing for this case")
        return 1
    if not isinstance(ways, list):
        ways = [ways]

    def once(way):
        run, result = way
        if a.input:
            forget(a.input)
        start = time.perf_counter()
        value = run()
        seconds = (time.perf_counter() - start) * a.scale
        return seconds, (float(result(value)) if result else None)

    if len(ways) > 1:
        for way in ways:
            once(way)
        ways = [min(ways, key=lambda way: once(way)[0])]
    if a.paced:
        say(name=name, version=version)
        for _ in sys.stdin:
            seconds, value = once(ways[0])
            say(seconds=seconds, result=value)
    else:
        once(ways[0])
        runs = [once(ways[0]) for _ in range(a.repeat)]
        say(name=name, version=version, seconds=statistics.median(r[0] for r in runs), result=runs[-1][1])
    if a.output and os.path.exists(a.output):
        os.remove(a.output)
    return 0
