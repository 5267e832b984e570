"""The page of the examples as Markdown."""

from __future__ import annotations

from stability.diagnosis import MEANINGS
from stability.environment import untested
from stability.examples.finding import Finding, Timed, short

INTRODUCTION = """
Each is a step of training on a small batch, as one writes it with a library, in a file of
[stability/examples](../../stability/examples): a healthy one, and one with a failure that people reported, planted.
Both are given to `stability.diagnose` with all their parameters. In {clean} of {all} healthy steps it finds nothing,
and in {right} of {all} planted ones it names the leaf, the kind of the error and the line that the fix changes, op by
op and under jit. Where that line is a library's, the line that called it is told too.

Seconds are of the first call on the step and of one more, op by op; the first compiles each operation.

| example | healthy | planted, as reported in | found | in the line | seconds, healthy | seconds, planted |
|---|---|---|---|---|---|---|
"""


def page(findings: list[Finding], manifest: dict) -> str:
    """The page as Markdown."""
    libraries = ", ".join(f"{name} {version}" for name, version in manifest["libraries"].items())
    written = (
        f"Written by `{manifest['command']}` with jax {manifest['jax']}, jaxlib {manifest['jaxlib']}, {libraries}, "
        f"python-flint {manifest['python-flint']}, on {manifest['backend']} ({manifest['cpu']})."
    )
    if warning := untested(manifest["jax"]):
        written += f"\n\n**{warning}**"
    counts = {"all": len(findings), "clean": sum(f.clean for f in findings), "right": sum(f.right for f in findings)}
    table = "\n".join(map(_line, findings))
    sections = "\n\n".join(map(_section, findings))
    return f"# Training steps, diagnosed\n\n{written}\n{INTRODUCTION.format(**counts)}{table}\n\n{sections}\n"


def _line(found: Finding) -> str:
    e, planted = found.example, found.eager["planted"].diagnosis
    culprit = planted.culprit
    cells = [
        f"[{e.title}](#{found.name})",
        "nothing found" if found.clean else "a false alarm",
        f"[{e.repository}#{e.number}]({e.url})",
        f"`{planted.verdict}` in `{planted.findings[0].where}`" if planted.findings else "nothing",
        "" if culprit is None else f"{_file(culprit.caller or culprit.source)}: `{culprit.primitive}`, {culprit.kind}",
        *(f"{t.first:.1f}, then {t.second:.1f}" for t in found.eager.values()),
    ]
    return f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |"


def _file(source: str) -> str:
    """A link to a line of a file of the project."""
    path, line, *_ = short(source).split(":")
    return f"[{path.rpartition('/')[2]}:{line}](../../{path}#L{line})"


def _section(found: Finding) -> str:
    e, eager, jit = found.example, found.eager["planted"], found.jit["planted"]
    same = _told(eager) == _told(jit)
    healthy = ", ".join(f"{mode} {t.first:.1f} s, then {t.second:.1f} s" for mode, t in _by_mode(found, "healthy"))
    planted = ", ".join(f"{mode} {t.first:.1f} s, then {t.second:.1f} s" for mode, t in _by_mode(found, "planted"))
    alarms = "\n".join(_told(t) for _, t in _by_mode(found, "healthy") if t.diagnosis.findings)
    parts = [
        f"## {found.name}",
        f"**{e.title}** ([the code](../../stability/examples/{found.name}.py)): {e.data}.",
        "",
        f"Planted, as in [{e.repository}#{e.number}]({e.url}) “{e.thread}”: {e.fault} The healthy step: {e.remedy}",
        "",
        f"- **Healthy**: {'nothing found' if found.clean else 'a false alarm'} ({healthy}).",
        *([f"```\n{alarms}\n```"] if alarms else []),
        f"- **Planted** ({planted}), op by op{' and under jit' if same else ''}:",
        f"```\n{_told(eager)}\n```",
        *([] if same else ["under jit:", f"```\n{_told(jit)}\n```"]),
    ]
    if eager.diagnosis.findings:
        parts += ["The way from the culprit:", "", _chain(eager)]
    return "\n".join(parts)


def _by_mode(found: Finding, step: str) -> list[tuple[str, Timed]]:
    return [("op by op", found.eager[step]), ("under jit", found.jit[step])]


def _told(t: Timed) -> str:
    return short("\n".join(line for f in t.diagnosis.findings for line in f.lines())) or "nothing"


def _chain(t: Timed) -> str:
    """The rows of the first finding's chain, what is in the middle of a long one left out."""
    rows = t.diagnosis.findings[0].chain
    told = [
        f"| `{r.primitive}` | {r.result:.6g} | {'–' if r.true is None else f'{r.true:.6g}'} | "
        f"{MEANINGS.get(r.kind, r.kind)} | {short(r.source).partition(' (')[0].rpartition('/')[2]} |"
        for r in rows
    ]
    kept = told if len(told) <= 9 else [*told[:5], f"| … {len(told) - 8} more | | | | |", *told[-3:]]
    return "\n".join(["| operation | result | true value | what happened | line |", "|---|---|---|---|---|", *kept])
