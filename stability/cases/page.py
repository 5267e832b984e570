"""The page of the cases as Markdown."""

from __future__ import annotations

import ast
import inspect

from stability.cases._case import Case
from stability.cases.finding import Finding, place, point_of
from stability.cases.rewritten import SAME
from stability.diagnosis import MEANINGS
from stability.environment import untested
from stability.formats import FORMATS
from stability.report.tables import both, how_many, value

_HERE = "stability.cases."


def source_of(fn) -> str:
    """The code of a function of a case as it stands in its file; of a library's, its name."""
    inner = inspect.unwrap(fn)
    if not inner.__module__.startswith(_HERE):
        return f"# {inner.__name__} of {inner.__module__.partition('.')[0]}"
    lines = inspect.getsource(inner).splitlines()
    (found,) = ast.parse("\n".join(lines)).body
    assert isinstance(found, ast.FunctionDef)
    first = found.body[0 if ast.get_docstring(found) is None else 1]
    return "\n".join([lines[found.lineno - 1], *lines[first.lineno - 1 :]])


def _is_gradient(fn) -> bool:
    """Whether `fn` is `jax.grad` of a function, which is not jitted (a jitted one can be lowered)."""
    return inspect.unwrap(fn) is not fn and not hasattr(fn, "lower")


def _code(fn) -> str:
    how = "jax.grad of\n" if _is_gradient(fn) else ""
    return f"```python\n{'# ' + how if how else ''}{source_of(fn)}\n```"


def _span(case: Case, found: Finding, mode: str) -> str:
    fmt, regions = FORMATS[case.dtype], found.regions[mode]
    if not regions:
        return "none"
    first = regions[0]
    ends = f"{both(value(first.start, fmt), fmt)} to {both(value(first.stop, fmt), fmt)}, {how_many(first)}"
    return ends + (f" (one of {len(regions):,} such regions)" if len(regions) > 1 else "")


def as_expected(found: Finding) -> bool:
    """Whether the culprit is the operation that the fix changes."""
    culprit, case = found.diagnosis.culprit, found.case
    return culprit is not None and (culprit.primitive, culprit.kind) == (case.primitive, case.cause)


def _section(found: Finding) -> str:
    case, culprit = found.case, found.diagnosis.culprit
    fmt = FORMATS[case.dtype]
    eager, jit = _span(case, found, "eager"), _span(case, found, "jit")
    where = (
        f"`{case.kind}` op by op and under jit at x from {eager}"
        if eager == jit
        else (f"`{case.kind}` op by op at x from {eager}; under jit at x from {jit}")
    )
    blamed = (
        "none"
        if culprit is None
        else (f"`{culprit.primitive}`, {MEANINGS.get(culprit.kind, culprit.kind)}, at {place(culprit.source)}")
    )
    kinds = ", ".join(f"`{kind}`" for kind in found.fixed_kinds)
    low, high = case.domain
    return "\n".join(
        [
            f"## {case.name}",
            f"[{case.repository}#{case.number}]({case.url}): “{case.title}”",
            "",
            case.report,
            "",
            _code(case.naive),
            f"- **Region**, {case.dtype}, x from {low:g} to {high:g}: {where}.",
            f"- **Culprit** at x = {both(float(point_of(case)), fmt)}: {blamed}.",
            f"- **Fix**: {case.remedy} In that region: {kinds}, with an error up to {found.fixed_ulp:.3g} ulps.",
            "",
            _code(case.fixed),
            *_source(found),
        ]
    )


def _source(found: Finding) -> list[str]:
    made = found.rewritten
    if made is None or not made.source:
        return []
    return ["", "- **Rewritten** by `stabilize`:", "", f"```python\n{made.source.rstrip()}\n```"]


INTRODUCTION = """
Each is a NaN or a loss of digits that someone reported of a JAX function or gradient in a public tracker, cut down to
the operation that the report is about. The truth is the function in real arithmetic; the region's ends are exact, where
one float further the function is not of that kind; the culprit is what `stability.diagnose` names at the point: in
{} of {} the operation that the fix changes. The errors of the fix are measured at floats of that region, in ulps of the
true value (`ok`: within 16; `flushed`: a subnormal result that XLA takes as 0). Subnormal inputs are left out there.

| case | reported in | kind | first float of the region | culprit | what happened | the fix there |
|---|---|---|---|---|---|---|
"""


def _line(found: Finding) -> str:
    case, culprit, regions = found.case, found.diagnosis.culprit, found.regions["eager"]
    fmt = FORMATS[case.dtype]
    cells = [
        f"[{case.name}](#{case.name})",
        f"[{case.repository}#{case.number}]({case.url})",
        case.kind,
        both(value(regions[0].start, fmt), fmt) if regions else "none",
        f"`{culprit.primitive}`" if culprit else "none",
        MEANINGS.get(culprit.kind, culprit.kind) if culprit else "",
        f"{', '.join(found.fixed_kinds)}, {found.fixed_ulp:.3g} ulps",
    ]
    return f"| {' | '.join(cells)} |"


def page(findings: list[Finding], manifest: dict) -> str:
    """The page as Markdown."""
    written = (
        f"Written by `{manifest['command']}` with jax {manifest['jax']}, jaxlib {manifest['jaxlib']}, python-flint "
        f"{manifest['python-flint']}, on {manifest['backend']} ({manifest['cpu']})."
    )
    if warning := untested(manifest["jax"]):
        written += f"\n\n**{warning}**"
    introduction = INTRODUCTION.format(sum(map(as_expected, findings)), len(findings))
    table = "\n".join(map(_line, findings))
    sections = "\n\n".join(map(_section, findings))
    return f"# Reported failures, reproduced\n\n{written}\n{introduction}{table}\n{_rewritten(findings)}\n{sections}\n"


REWRITTEN = """
## What `stabilize` makes of them

`stabilize` is given the function as it was reported, and its domain. The errors are those op by op at floats of the
domain that are not subnormal: the share that fails, and the worst error of the others. As accurate as the fix (at no
more floats that fail, and else within {:g} ulps, or within what the fix is): {} of {}; failing at more floats than the
function as it was reported: {}.

| case | as reported | the fix | rewritten | as accurate |
|---|---|---|---|---|
{}
"""


def _rewritten(findings: list[Finding]) -> str:
    """The table of the rewritten functions, where those were asked for."""
    known = [(f, f.rewritten) for f in findings if f.rewritten]
    if not known:
        return ""
    lines = [
        f"| [{f.case.name}](#{f.case.name}) | {r.naive} | {r.fixed} | {r.refused or r.stable} | "
        f"{'yes' if r.as_accurate else 'no'} |"
        for f, r in known
    ]
    good, worse = sum(r.as_accurate for _, r in known), sum(r.worse for _, r in known)
    return REWRITTEN.format(SAME, good, len(known), worse, "\n".join(lines))
