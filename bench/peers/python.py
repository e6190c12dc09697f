"""Python contenders over the graphs of ../graphs.lua, one in each process.

usage: python3 python.py probe
         prints the names of the contenders that are installed
       python3 python.py run CONTENDER SHAPE TASKS
         prints: ns a task to build, ns to run, checksum, peak bytes a task
       python3 python.py barrier CONTENDER JSON
         JSON: branches, each a chain of sleeps in ms; prints the makespan in ms
"""

import asyncio
import json
import math
import re
import sys
import time

MASK = 1048575
SLEEP = 0.01


def layered(n):
    width = 10 if n < 1000 else 100
    x, deps = 12345, []
    for i in range(n // width * width):
        found = []
        for _ in range(3 if i >= width else 0):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
            before = (i // width - 1) * width + (x >> 8) % width
            if before not in found:
                found.append(before)
        deps.append(found)
    return deps


def tree(n):
    children = ((2 * (n - 1 - i) + 1, 2 * (n - 1 - i) + 2) for i in range(n))
    return [[n - 1 - c for c in pair if c < n] for pair in children]


def wave(n):
    side = math.isqrt(n)
    return [
        ([i - 1] if i % side else []) + ([i - side] if i >= side else [])
        for i in range(side * side)
    ]


SHAPES = {
    "chain": lambda n: [[i - 1] if i else [] for i in range(n)],
    "wide": lambda n: [[]] + [[0]] * (n - 2) + [list(range(1, n - 1))],
    "layered": layered,
    "tree": tree,
    "wave": wave,
    "sleepers": lambda n: [[] for _ in range(n)],
}


def memory(name):
    """Bytes of memory that the process had at most, or has."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return int(re.search(name + r":\s*(\d+)", file.read())[1]) * 1024
    except OSError:
        return 0


def build_asyncio(deps, times=None):
    """One asyncio task for each node, which waits for those before it."""

    async def node(i, tasks):
        total = 1
        for d in deps[i]:
            total += (await tasks[d])["v"]
        if times:
            await asyncio.sleep(times[i])
        return {"v": total & MASK}

    async def main():
        tasks = []
        for i in range(len(deps)):
            tasks.append(asyncio.create_task(node(i, tasks)))
        return [await task for task in tasks]

    return lambda: asyncio.run(main())


def build_dask(get):
    def build(deps, times=None):
        def node(i, inputs):
            if times:
                time.sleep(times[i])
            return {"v": (1 + sum(value["v"] for value in inputs)) & MASK}

        keys = [f"t{i}" for i in range(len(deps))]
        graph = {
            keys[i]: (node, i, [keys[d] for d in before])
            for i, before in enumerate(deps)
        }
        return lambda: list(get(graph, keys))

    return build


def contenders():
    found = {"asyncio": build_asyncio}
    try:
        from dask.local import get_sync
        from dask.threaded import get as get_threaded
    except ImportError:
        return found
    found["dask"] = build_dask(get_sync)
    found["dask, 2 threads"] = build_dask(
        lambda graph, keys: get_threaded(graph, keys, num_workers=2)
    )
    return found


def run(name, shape, tasks):
    deps = SHAPES[shape](int(tasks))
    n = len(deps)
    times = [SLEEP] * n if shape == "sleepers" else None
    build = contenders()[name]
    before = memory("VmRSS")
    began = time.perf_counter_ns()
    start = build(deps, times)
    built = time.perf_counter_ns()
    results = start()
    ran = time.perf_counter_ns()
    peak = memory("VmHWM") - before
    checksum = sum(result["v"] for result in results)
    print((built - began) / n, (ran - built) / n, checksum, peak // n, sep="\t")


def barrier(name, branches):
    deps, times = [], []
    for branch in json.loads(branches):
        for k, milliseconds in enumerate(branch):
            deps.append([len(deps) - 1] if k else [])
            times.append(milliseconds / 1000)
    start = contenders()[name](deps, times)
    began = time.perf_counter()
    start()
    print((time.perf_counter() - began) * 1000)


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        print("\n".join(contenders()))
    else:
        {"run": run, "barrier": barrier}[sys.argv[1]](*sys.argv[2:])
