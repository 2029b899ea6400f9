"""The table of the fan-out benchmark: ours beside Node's and Bun's socket.io, with the targets."""

import os
from collections.abc import Callable, Collection, Iterator

from bench.fanout_runs import Bench, Result, alternate
from bench.servers import BUN, ENGINE, NODE, PRODUCT

CLIENTS = [int(count) for count in os.environ.get("FANOUT_CLIENTS", "2000,5000,10000").split(",")]
HEADINGS = (
    "| figure | ours | Node | Bun | ratio to Node | ratio to Bun | target | |",
    "|---|---|---|---|---|---|---|---|",
)


def row(figure: str, ours: str, *, target: str, holds: bool, node: str = "", bun: str = "", ratios: str = " | ") -> str:
    """One line; `ratios` are two cells, ours to Node and ours to Bun."""
    line = f"| {figure} | {ours} | {node} | {bun} | {ratios} | {target} | {'met' if holds else '**not met**'} |"
    print(line, flush=True)
    return line


def measure(bench: Bench, only: Collection[str] | None = None) -> list[str]:
    """The lines of the table, all or those of the named figures."""
    figures: dict[str, Callable[[Bench], Iterator[str]]] = {
        "fanout": fanout,
        "connect": connect,
        "idle": idle,
        "deflate": deflate,
        "slow": slow,
        "storm": storm,
    }
    rows: list[str] = []
    for name, figure in figures.items():
        if only is None or name in only:
            print(name, flush=True)
            rows += figure(bench)
    return rows


def fanout(bench: Bench) -> Iterator[str]:
    for count in CLIENTS:
        got = alternate([PRODUCT, NODE, BUN, ENGINE], lambda kind, count=count: bench.fanout(kind, count))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        ours, node, bun, engine = (got[kind.name] for kind in (PRODUCT, NODE, BUN, ENGINE))
        ratio = node["cpu_us"] / ours["cpu_us"]
        yield row(
            f"CPU per message, {count:,} clients ({ours['bytes']:.0f} B)",
            f"{_message(ours)}, engine alone {_message(engine)}",
            node=_message(node),
            bun=_message(bun),
            ratios=f"{ratio:.2f} | {bun['cpu_us'] / ours['cpu_us']:.2f}",
            target="1.7 or more of Node",
            holds=ratio >= 1.7,
        )
        share = ours["p99_ms"] / node["p99_ms"]
        yield row(
            f"p99 emit to arrival, {count:,} clients",
            _latency(ours),
            node=_latency(node),
            bun=_latency(bun),
            ratios=f"{share:.2f} | {ours['p99_ms'] / bun['p99_ms']:.2f}",
            target="80 ms and below 0.7 of Node" if count == 10_000 else "below 0.7 of Node",
            holds=share < 0.7 and (count != 10_000 or ours["p99_ms"] <= 80),
        )


def _message(result: Result) -> str:
    return f"{result['cpu_us']:.1f} us ({result['kernel_us']:.1f} in the kernel)"


def _latency(result: Result) -> str:
    return f"{result['p99_ms']:.0f} ms (p50 {result['p50_ms']:.0f})"


def connect(bench: Bench) -> Iterator[str]:
    got = alternate([PRODUCT, NODE, BUN, ENGINE], lambda kind: bench.connect(kind, 5000))
    ours, node, bun, engine = (got[kind.name] for kind in (PRODUCT, NODE, BUN, ENGINE))
    to_node, to_bun = ours["per_s"] / node["per_s"], ours["per_s"] / bun["per_s"]
    yield row(
        "connects with subscription per second, 5,000",
        f"{_connects(ours)}, engine alone {_connects(engine)}",
        node=_connects(node),
        bun=_connects(bun),
        ratios=f"{to_node:.2f} | {to_bun:.2f}",
        target="1.2 or more of Node, 0.9 or more of Bun",
        holds=to_node >= 1.2 and to_bun >= 0.9,
    )
    share = ours["memory_b"] / node["memory_b"]
    yield row(
        "memory per client, 5,000",
        f"{_memory(ours)} (engine alone {_memory(engine)})",
        node=_memory(node),
        bun=_memory(bun),
        ratios=f"{share:.2f} | {ours['memory_b'] / bun['memory_b']:.2f}",
        target="a third of Node or less",
        holds=share <= 1 / 3,
    )


def _connects(result: Result) -> str:
    return f"{result['per_s']:,.0f} ({result['cpu_us']:.0f} us each, {result['kernel_us']:.0f} in the kernel)"


def _memory(result: Result) -> str:
    return f"{result['memory_b'] / 1000:.1f} KB"


def idle(bench: Bench) -> Iterator[str]:
    got = alternate([PRODUCT, NODE, BUN, ENGINE], lambda kind: bench.idle(kind, 2000))
    ours, node, bun, engine = (got[kind.name]["core"] for kind in (PRODUCT, NODE, BUN, ENGINE))
    yield row(
        "idle CPU, 2,000 clients, 25 s pings",
        f"{ours:.2f} % of a core (engine alone {engine:.2f})",
        node=f"{node:.2f} %",
        bun=f"{bun:.2f} %",
        ratios=f"{ours / node:.2f} | {ours / bun:.2f}",
        target="1 or less of Node",
        holds=ours <= node,
    )


def deflate(bench: Bench) -> Iterator[str]:
    plain = alternate([PRODUCT], lambda kind: bench.fanout(kind, 2000))[PRODUCT.name]
    offered = alternate([PRODUCT], lambda kind: bench.fanout(kind, 2000, "--deflate"))[PRODUCT.name]
    ratio = offered["cpu_us"] / plain["cpu_us"]
    yield row(
        "CPU per message, permessage-deflate offered, 2,000",
        f"{offered['cpu_us']:.1f} us (without {plain['cpu_us']:.1f}: {ratio:.2f})",
        target="the same (within 5 %)",
        holds=ratio <= 1.05,
    )


def slow(bench: Bench) -> Iterator[str]:
    alone, crowd, beside = (
        alternate([PRODUCT], lambda kind, others=others: bench.slow(kind, others))[PRODUCT.name]["p99_ms"]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        for others in ("none", "reading", "stuck")
    )
    yield row(
        "p99 of 1,000 healthy beside 1,000 slow readers",
        f"{beside:.1f} ms (beside 1,000 healthy {crowd:.1f}, alone {alone:.1f}: {beside / alone:.2f})",
        target="moves by less than 20 %",
        holds=beside / alone < 1.2,
    )


def storm(bench: Bench) -> Iterator[str]:
    got = alternate([PRODUCT, NODE, BUN], lambda kind: bench.storm(kind, 2000))
    ours, node, bun = (got[kind.name] for kind in (PRODUCT, NODE, BUN))
    yield row(
        "reconnect storm of 2,000",
        f"{ours['seconds']:.2f} s, {ours['fetches']:.0f} upstream calls meanwhile",
        node=f"{node['seconds']:.2f} s",
        bun=f"{bun['seconds']:.2f} s",
        ratios=f"{ours['seconds'] / node['seconds']:.2f} | {ours['seconds'] / bun['seconds']:.2f}",
        target="all back within 5 s, upstream calls unchanged",
        holds=ours["seconds"] <= 5 and ours["fetches"] <= 4,
    )
