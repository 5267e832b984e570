"""What a diagnosis says, as data and as a table."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Input:
    """An input of a row: the `row` that computed it (`None` for an argument or a constant), its `name`, float and
    true value."""

    row: int | None
    name: str
    result: float | complex | int | bool
    true: float | complex | None

    def as_json(self) -> dict:
        return {"row": self.row, "name": self.name, "result": _json(self.result), "true": _json(self.true)}


@dataclass(frozen=True)
class Row:
    """One execution of one equation; of an array, the element that is furthest off, or the one to blame.

    **Attributes:** `primitive` by JAX's name; `source` the user's line, `file:line:column (function)`; `inputs`;
    `result` as the floats have it; `true` correctly rounded (to float64 where the format would make it 0 or infinite),
    `None` where the truth is no number, and then `undefined` says why; `total_error` in ulps of the true value;
    `own_error`, that of this equation on the inputs that it was given, in ulps of the exact result on those;
    `amplification`, the condition number: the relative change of the true result for a relative change of the input
    that matters most; `kind` of what happened here,
    empty where nothing did; `caller` the line that called the installed library of which `source` is a line, else
    empty. Numbers that can't be told are NaN.
    """

    index: int
    primitive: str
    source: str
    inputs: tuple[Input, ...]
    result: float | complex | int | bool
    true: float | complex | None
    undefined: str | None
    total_error: float
    own_error: float
    amplification: float
    kind: str
    caller: str = ""

    def made_of(self) -> str:
        """The inputs in words: numbers, or the rows that computed them; of many the first."""
        told = [short(i.result) if i.row is None else f"#{i.row}" for i in self.inputs]
        return ", ".join(told if len(told) <= 8 else [*told[:6], f"{len(told) - 6} more"])

    def as_json(self) -> dict:
        return {
            "index": self.index,
            "primitive": self.primitive,
            "source": self.source,
            "inputs": [i.as_json() for i in self.inputs],
            "result": _json(self.result),
            "true": _json(self.true),
            "undefined": self.undefined,
            "total_error": _json(self.total_error),
            "own_error": _json(self.own_error),
            "amplification": _json(self.amplification),
            "kind": self.kind,
            "caller": self.caller,
        }


def _json(x: Any) -> Any:
    """A number as JSON has it: what is not finite as a string."""
    if isinstance(x, complex):
        return str(x)
    if isinstance(x, float):
        return x if math.isfinite(x) else str(x)
    return x.item() if hasattr(x, "item") else x


def short(x: Any) -> str:
    if x is None:
        return "none"
    if isinstance(x, complex):
        return f"{x.real:.9g}{x.imag:+.9g}j"
    return f"{x:.9g}" if isinstance(x, float) else str(x)


def ulps(x: float) -> str:
    return "" if math.isnan(x) else f"{x:.3g}"


MEANINGS = {
    "absorption": "a sum lost the digits of its smaller operand",
    "amplification": "an ill-conditioned operation magnified a rounding error",
    "approximation": "the equations of the library's function come to something else than the function",
    "branch": "a comparison came out the other way",
    "cancellation": "a sum of nearly opposite numbers left only their rounding errors",
    "domain": "the argument lies outside the function's domain",
    "flush": "a subnormal number was taken as 0",
    "inaccurate": "the operation itself is off by more than rounding",
    "infinity_minus_infinity": "∞ - ∞",
    "infinity_over_infinity": "∞ / ∞",
    "not_proven": "it has no meaning over the reals: what is true of it was computed in wider floats",
    "overflow": "the result exceeds the greatest float",
    "pole": "a number over 0, or a function at its pole",
    "underflow": "the result is below the least normal float",
    "zero_over_zero": "0 / 0",
    "zero_times_infinity": "0 · ∞",
}
"""The kinds of a row and of a culprit."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the outputs of a call.

    **Attributes:**

    - `leaf` the output, as its path in the tree of outputs (empty where there is but one), `element` the index in it of
      the element that is worst off, `count` how many elements of that leaf are of this kind, `also` the other leaves
      that the same culprit spoils in the same way.
    - `kind` of `stability.measure.KINDS`, or `undefined`.
    - `result`, `true`, `undefined`, `error` of that element, as of a `Diagnosis`; `proven` whether balls prove the true
      value, or wider floats are taken for it.
    - `culprit` the equation to blame, `None` where none is; `chain` the rows from where it went wrong to the output.
    - `fix` what is known to help, in one line.
    """

    leaf: str
    element: tuple[int, ...]
    count: int
    kind: str
    result: float | complex
    true: float | complex | None
    undefined: str | None
    proven: bool
    error: float
    culprit: Row | None
    chain: tuple[Row, ...]
    fix: str
    also: tuple[str, ...] = ()

    def as_json(self) -> dict:
        """The attributes as JSON has them. **Returns:** a dictionary; numbers that are not finite are strings."""
        return {
            "leaf": self.leaf,
            "element": list(self.element),
            "count": self.count,
            "kind": self.kind,
            "result": _json(self.result),
            "true": _json(self.true),
            "undefined": self.undefined,
            "proven": self.proven,
            "error": _json(self.error),
            "culprit": None if self.culprit is None else self.culprit.as_json(),
            "chain": [r.as_json() for r in self.chain],
            "fix": self.fix,
            "also": list(self.also),
        }

    @property
    def where(self) -> str:
        """The element in words, `['w'][17, 4]`."""
        return self.leaf + (str(list(self.element)) if self.element else "")

    def lines(self) -> list[str]:
        """What is wrong, where it began, the way from there, and what helps."""
        how = "proven" if self.proven else "by wider floats, not proven"
        true = f"{short(self.true)} ({how})" if self.undefined is None else self.undefined
        off = "" if math.isnan(self.error) or math.isinf(self.error) else f", {self.error:.3g} ulps off"
        many = f" ({self.count} elements)" if self.count > 1 else ""
        lines = [f"{self.where or 'result'}{many}: {short(self.result)}, true value {true}: {self.kind}{off}"]
        if self.culprit is not None:
            c = self.culprit
            lines.append(f"  culprit: {c.primitive}, {c.kind.replace('_', ' ')} ({MEANINGS[c.kind]})")
            lines.append(f"  at {c.source}")
            if c.caller:
                lines.append(f"  called from {c.caller}")
            if len(self.chain) > 1:
                lines.append("  chain: " + " > ".join(_chained(self.chain)))
        if self.fix:
            lines.append(f"  what helps: {self.fix}")
        if self.also:
            others = ", ".join(self.also[:4]) + (f" and {len(self.also) - 4} more" if len(self.also) > 4 else "")
            lines.append(f"  also {self.kind} by it: {others}")
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _chained(chain: tuple[Row, ...]) -> list[str]:
    """The primitives of a chain, what is in the middle of a long one left out."""
    names = [f"{r.primitive} {short(r.result)}" for r in chain]
    return names if len(names) <= 7 else [*names[:3], f"({len(names) - 6} more)", *names[-3:]]


@dataclass(frozen=True)
class Diagnosis:
    """The floats and the reals of a function at one point, side by side.

    **Attributes:**

    - `function` its name, `arguments` the values of its numbers (empty where there are thousands), `dtype` the format
      of the result.
    - `mode`, `eager` (each equation an XLA computation of its own) or `jit`.
    - `findings` what is wrong, the gravest first; empty where nothing is. What follows is of the output element of the
      first, or of the one that is furthest off where nothing is wrong.
    - `leaf` the output as its path in the tree of outputs, empty where there is but one; `element` the index in it.
    - `result` in this mode; `eager` and `jit`, those of both.
    - `true` correctly rounded (at a removable hole the limit), `None` where the truth is no number, and then
      `undefined` says why; `proven` whether balls prove that, or wider floats are taken for it.
    - `error` in ulps of the true value; `verdict` a kind of `stability.measure.KINDS`, or `undefined`.
    - `rows` what each equation did (of a large function, each on the way from the culprit to the result); `culprit` the
      one to blame, or `None`; `source` its line; `path` the indices of the rows from the result to where the error came
      from.
    - `other` the diagnosis in the other mode where `differs`, that is where the two results differ (of a large
      function, where its verdict differs).
    - `note` what else there is to say.

    ```python
    import jax.numpy as jnp
    from stability import diagnose

    found = diagnose(lambda x: 1 - jnp.cos(x), jnp.float32(1e-4))
    assert found.result == 0 and abs(found.true - 5e-9) < 1e-15
    assert found.culprit.kind == "cancellation" and "culprit: #1 sub" in found.summary()
    ```
    """

    function: str
    dtype: str
    mode: str
    arguments: tuple[Any, ...]
    leaf: str
    element: tuple[int, ...]
    result: float | complex
    true: float | complex | None
    undefined: str | None
    proven: bool
    error: float
    verdict: str
    findings: tuple[Finding, ...]
    rows: tuple[Row, ...]
    culprit: Row | None
    path: tuple[int, ...]
    eager: float | complex
    jit: float | complex
    other: Diagnosis | None = None
    note: str = ""

    @property
    def source(self) -> str | None:
        """The source line of the culprit."""
        return None if self.culprit is None else self.culprit.source

    @property
    def differs(self) -> bool:
        """Whether jit and eager results differ at this point."""
        return not _same(self.eager, self.jit)

    def as_json(self) -> dict:
        """The attributes as JSON has them. **Returns:** a dictionary; numbers that are not finite are strings."""
        return {
            "function": self.function,
            "dtype": self.dtype,
            "mode": self.mode,
            "arguments": [_json(a) for a in self.arguments],
            "leaf": self.leaf,
            "element": list(self.element),
            "result": _json(self.result),
            "true": _json(self.true),
            "undefined": self.undefined,
            "proven": self.proven,
            "error": _json(self.error),
            "verdict": self.verdict,
            "findings": [f.as_json() for f in self.findings],
            "culprit": None if self.culprit is None else self.culprit.as_json(),
            "path": list(self.path),
            "rows": [r.as_json() for r in self.rows],
            "eager": _json(self.eager),
            "jit": _json(self.jit),
            "other": None if self.other is None else self.other.as_json(),
            "note": self.note,
        }

    def table(self, width: int = 160) -> Table:
        """The rows as a table, the culprit's marked.

        **Arguments:**

        - `width` in columns of text; what a row was made of is left out where there is little room.

        **Returns:** a `rich.table.Table`.
        """
        wide = ("inputs", "own", "cond.") if width < 120 else ()
        table = Table(title=f"{self.function} in {self.dtype}, {self.mode}", title_justify="left")
        headings = ("", "operation", "inputs", "result", "true result", "error", "own", "cond.", "what", "line")
        for heading in headings:
            right = heading in ("result", "true result", "error", "own", "cond.")
            if heading not in wide:
                table.add_column(heading, justify="right" if right else "left", overflow="fold")
        for row in self.rows:
            guilty = self.culprit is not None and row.index == self.culprit.index
            cells = (
                f"{'▶' if guilty else ' '}{row.index}",
                row.primitive,
                row.made_of(),
                short(row.result),
                short(row.true) if row.undefined is None else row.undefined,
                ulps(row.total_error),
                ulps(row.own_error),
                ulps(row.amplification),
                self.culprit.kind if guilty and self.culprit else row.kind,
                line_of(row.source),
            )
            shown = [cell for heading, cell in zip(headings, cells, strict=True) if heading not in wide]
            table.add_row(*shown, style="bold" if guilty else None)
        return table

    def summary(self) -> str:
        """The findings in a few lines. **Returns:** them, as one text."""
        true = short(self.true) if self.undefined is None else self.undefined
        where = self.leaf + (str(list(self.element)) if self.element else "")
        told = f"{self.function}{where and ' ' + where}: result {short(self.result)} ({self.mode}), true value {true}"
        lines = [f"{told}: {self.verdict}"]
        if not math.isnan(self.error):
            lines[0] += f", {self.error:.3g} ulps off"
        if self.culprit is not None:
            c = self.culprit
            lines.append(
                f"culprit: #{c.index} {c.primitive}, {c.kind.replace('_', ' ')} ({MEANINGS[c.kind]}), {c.source}"
            )
            if c.caller:
                lines.append(f"called from {c.caller}")
        if self.findings and self.findings[0].culprit is self.culprit:
            lines += self.findings[0].lines()[-1:] if self.findings[0].fix else []
        for finding in self.findings[1 if self.culprit is not None else 0 :]:
            lines += finding.lines()
        if self.differs:
            lines.append(f"jit gives {short(self.jit)} and eager {short(self.eager)}")
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)

    def print(self, console: Console | None = None) -> None:
        """Prints the table and the findings, and those of the other mode where it differs.

        **Arguments:**

        - `console` of rich to print to, the terminal by default.
        """
        console = console or Console()
        if self.rows:
            console.print(self.table(console.width))
        console.print(self.summary(), markup=False, highlight=False, soft_wrap=console.width >= 120)
        if self.other is not None:
            console.print()
            self.other.print(console)

    def __str__(self) -> str:
        return self._recorded().export_text().rstrip()

    def _repr_html_(self) -> str:
        return self._recorded().export_html(code_format="<pre>{code}</pre>", inline_styles=True)

    def _recorded(self) -> Console:
        console = Console(width=160, record=True, file=io.StringIO(), color_system=None)
        self.print(console)
        return console


def line_of(source: str) -> str:
    """`file:line (function)` without directories."""
    path, _, rest = source.partition(":")
    return f"{path.rsplit('/', 1)[-1]}:{rest}" if rest else source


def _same(x: float | complex, y: float | complex) -> bool:
    return all(
        (a != a and b != b) or (a == b and math.copysign(1, a) == math.copysign(1, b))
        for a, b in ((x.real, y.real), (x.imag, y.imag))
    )
