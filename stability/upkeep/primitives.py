"""`python -m stability.upkeep.primitives`: the primitives of the installed JAX that the instrument has no rule for.

Those that JAX makes public: the `Primitive` objects of `jax.extend.core.primitives` and `jax.lax`. What is missing is
an error where a function has it; `--check FILE` compares the list with a stated one, so that a release that brings new
primitives is noticed before a user does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax

from stability.cli.arguments import Parser
from stability.environment import numbers


def available() -> set[str]:
    """The names of the primitives that the installed JAX makes public."""
    from stability.real.records import public_primitives

    return {p.name for p in public_primitives()}


def registered() -> set[str]:
    """The names of the primitives that `stability.real` has a record of."""
    from stability.real.records import RECORDS

    return set(RECORDS)


def missing() -> set[str]:
    """The names of the primitives that JAX has and the instrument has not."""
    return available() - registered()


def stated(text: str, release: str) -> set[str]:
    """The names that a stated list has for a release of JAX.

    **Arguments:** `text` a name a line, with `since 0.10.1` or `before 0.11.1` (or both) behind it where not all
    releases have it; `#` begins a comment. `release` as `0.12.0.1`.

    **Raises:** `ValueError` for a line that is not of that kind.
    """
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        name, *rest = words
        limits = dict(zip(rest[::2], map(numbers, rest[1::2]), strict=False))
        if len(rest) != 2 * len(limits) or not limits.keys() <= {"since", "before"} or () in limits.values():
            raise ValueError(f"line {number}: give a name, and since and before a release where not all have it")
        until = limits.get("before", (sys.maxsize,))
        if limits.get("since", ()) <= numbers(release) < until:
            found.add(name)
    return found


def difference(found: set[str], expected: set[str]) -> list[str]:
    """What two sets of names differ in, a line each: `+` where only `found` has it, `-` where only `expected` has."""
    return [f"{'+' if name in found else '-'} {name}" for name in sorted(found ^ expected)]


def main(argv: list[str]) -> int:
    p = Parser(prog="python -m stability.upkeep.primitives", description=__doc__)
    p.add_argument("--check", type=Path, metavar="FILE", help="compare with the list in FILE; status 1 if they differ")
    args = p.parse_args(argv)
    found = missing()
    if args.check is None:
        print(f"jax {jax.__version__}: {len(available())} primitives, {len(found)} without a rule in stability.real")
        print("\n".join(sorted(found)))
        return 0
    try:
        expected = stated(args.check.read_text(), jax.__version__)
    except (OSError, ValueError) as error:
        p.error(f"--check {args.check}: {getattr(error, 'strerror', None) or error}")
    lines = difference(found, expected)
    if lines:
        print(f"jax {jax.__version__} and {args.check} differ (+ not stated, - stated and not missing):")
        print("\n".join(lines))
        return 1
    print(f"jax {jax.__version__}: {len(found)} primitives without a rule, as {args.check} states")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
