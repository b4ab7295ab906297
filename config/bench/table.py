"""The one table that the bench prints, and the same figures as JSON."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

GROUPS = ("web", "worker", "postgres", "redis", "client", "others")


@dataclass(slots=True)
class Step:
    """One measured step; rates are a second, times are ms."""

    name: str
    connections: int
    rate: float
    p50: float
    p99: float = 0.0
    applied: float = 0.0  # messages settled / (load + drain) time
    messages: int = 0
    per_commit: float = 0.0  # messages kept by one transaction, on average
    wal: float = 0.0  # bytes a message
    cpu: dict[str, float] = field(default_factory=dict)  # ms a message, by group
    outcomes: dict[str, int] = field(default_factory=dict)
    other: dict[str, int] = field(default_factory=dict)  # answers that were not AA
    deadlocks: int = 0
    rollbacks: int = 0
    stuck: int = 0
    beside: float = 0.0  # pgbench's rate just before, at as many connections


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed; 0 where there is none.

    >>> percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 0.99)
    (2, 4)
    """
    if not values:
        return 0.0
    ordered = sorted(values)
    place = -(-share * len(ordered) // 1)
    return ordered[max(0, int(place) - 1)]


def median(steps: Sequence[Step]) -> list[Step]:
    """Return of each step the round of median rate; its counts of trouble are those of all."""
    found = []
    for key in dict.fromkeys((step.name, step.connections) for step in steps):
        same = sorted(
            (step for step in steps if (step.name, step.connections) == key), key=lambda s: s.rate
        )
        chosen = same[(len(same) - 1) // 2]
        chosen.other = dict(sum((Counter(step.other) for step in same), Counter()))
        for trouble in ("deadlocks", "rollbacks", "stuck"):
            setattr(chosen, trouble, sum(getattr(step, trouble) for step in same))
        if ratios := [step.rate / step.beside for step in same if step.beside]:
            chosen.beside = chosen.rate / statistics.median(ratios)
        found.append(chosen)
    return found


def table(steps: Sequence[Step]) -> str:
    """Return the steps as a Markdown table."""
    heads = ["step", "conns", "per second", "p50 ms", "p99 ms", "applied/s", "ours/pgbench"]
    heads += ["msgs/commit", "WAL B/msg", *(f"CPU ms: {group}" for group in GROUPS)]
    rows = [heads, *(_row(step) for step in steps)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(
        1,
        "|" + "|".join(f" {'-' * (w - 1)}{':' if i else '-'} " for i, w in enumerate(widths)) + "|",
    )
    return "\n".join(lines)


def _row(step: Step) -> list[str]:
    return [
        step.name,
        str(step.connections),
        f"{step.rate:,.0f}",
        f"{step.p50:.2f}",
        f"{step.p99:.1f}" if step.p99 else "",
        f"{step.applied:,.0f}" if step.applied else "",
        f"{step.rate / step.beside:.2f}" if step.beside else "",
        f"{step.per_commit:.1f}" if step.per_commit else "",
        f"{step.wal:,.0f}" if step.wal else "",
        *(f"{step.cpu[group]:.3f}" if group in step.cpu else "" for group in GROUPS),
    ]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        f" {cell:<{width}} " if i == 0 else f" {cell:>{width}} "
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "|" + "|".join(cells) + "|"


def troubles(steps: Sequence[Step]) -> list[str]:
    """Return in words what went otherwise than it should."""
    found = []
    for step in steps:
        told = [f"{number} answered {answer}" for answer, number in step.other.items()]
        told += [f"{n} {state}" for state, n in step.outcomes.items() if state != "applied"]
        told += [
            f"{number} {name}"
            for name in ("deadlocks", "rollbacks")
            if (number := getattr(step, name))
        ]
        if step.stuck:
            told.append(f"{step.stuck} were not settled")
        if told:
            found.append(f"{step.name}, {step.connections} connections: {'; '.join(told)}")
    return found


def as_json(steps: Sequence[Step]) -> list[dict[str, object]]:
    """Return the steps as what `json` can write."""
    return [asdict(step) for step in steps]
