"""Which function of a library a piece of a jaxpr is: recognised by JAX's own, never by name alone.

A call is a library's where its jaxpr has the name *and* was defined in that library's file. A `jit` call keeps both
when it is differentiated, so there its text must also be that of the function itself, traced anew.

A function that calls nothing leaves its equations among the others. They are known by their traceback, which leads
through the function's frame before any other file's, and by being, one by one, those that the function traces to; so
a user who writes the same formula is read as he writes. A float in them that stands for a constant is that constant.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, gensym

from stability.real.function import Function
from stability.real.meanings._table import CALLS, CONSTANTS, INLINE, INLINED, MEANING, Named
from stability.real.walk import equations

MACHINERY = ("source_info_util.py", "core.py", "interpreters/", "pjit.py", "traceback_util.py")
"""Files of JAX whose frames lie between an equation and the function that it is of."""


def _path(file: str) -> str | None:
    """A file's path inside JAX's package, or `None` if it is another's."""
    home = os.path.dirname(jax.__file__) + os.sep
    return file[len(home) :].removeprefix("_src/") if file.startswith(home) else None


def _open(jaxpr: Jaxpr | ClosedJaxpr) -> Jaxpr:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


def _called(eqn) -> Jaxpr | None:
    found = eqn.params.get("jaxpr" if eqn.primitive.name in ("jit", "pjit") else "call_jaxpr")
    return _open(found) if isinstance(found, Jaxpr | ClosedJaxpr) else None


def _key(jaxpr: Jaxpr) -> tuple[str, str] | None:
    """Where the function of a called jaxpr is defined, and its name."""
    info = jaxpr.debug_info
    _, _, where = (info.func_src_info or "").partition(" at ")
    path = _path(where.rpartition(":")[0])
    return (path, info.func_name) if path else None


def aval(v: Any) -> Any:
    return v.aval


def is_float(v) -> bool:
    return jax.numpy.issubdtype(aval(v).dtype, np.floating)


def _spec(v) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype, weak_type=v.aval.weak_type)


def _is_itself(called: Jaxpr, fn: Callable) -> bool:
    """Whether a called jaxpr is what `fn` traces to, rather than a derivative of it."""
    calls = (_called(e) for traced in _traced(fn, tuple(map(_spec, called.invars))) for e in equations(traced))
    return any(str(inner) == str(called) for inner in calls if inner is not None)


@functools.lru_cache(maxsize=1024)
def _traced(fn: Callable, specs: tuple) -> list[Jaxpr]:
    """What a function traces to, where JAX keeps 64 bits, and where it doesn't; nothing where it does not take that."""
    found = []
    for x64 in (True,) if any(s.dtype == np.float64 for s in specs) else (False, True):
        with jax.enable_x64(x64), contextlib.suppress(TypeError):
            found.append(jax.make_jaxpr(fn)(*specs).jaxpr)
    return found


def meaning_of(eqn: JaxprEqn) -> JaxprEqn | None:
    """The equation that says what a call means, or `None` where it means what its own equations say.

    The arguments are the last of a call's inputs; before them come the arrays that the function closes over.
    """
    called = _called(eqn)
    key = called and _key(called)
    named = key and CALLS.get(key)
    if not called or not key or not named or len(eqn.outvars) != len(named.functions) or len(eqn.invars) < named.arity:
        return None
    args = eqn.invars[len(eqn.invars) - named.arity :]
    shape = np.broadcast_shapes(*(aval(v).shape for v in args))
    itself = named.fn is None or (len(args) == len(eqn.invars) and _is_itself(called, named.fn))
    elementwise = all(aval(v).shape == shape for v in eqn.outvars)
    return _meaning(eqn, named.functions, args, key[1]) if itself and elementwise else None


def _frames(eqn) -> list[tuple[str, str]]:
    """The functions of JAX that an equation comes from, innermost first, up to the first that is not JAX's.

    Of a function that is inlined (`jit(inline=True)`), what remains is the frame that called it: `INLINED`.
    """
    trace, found = eqn.source_info.traceback, []
    for frame in trace.frames if trace else ():
        path = _path(frame.file_name)
        if path is None:
            break
        found.append((path, frame.function_name))
    machinery = list(itertools.takewhile(lambda f: f[0].startswith(MACHINERY), found))
    inlined = any(name == "_run_python_pjit" for _, name in machinery)
    by_ufunc = found[len(machinery) : len(machinery) + 1] == [("numpy/ufunc_api.py", "ufunc.__call__")]
    return [*found, INLINED] if inlined and not by_ufunc else found


def of_values(eqn) -> bool:
    """Whether an equation is of the program of the values, not of a derivative of it."""
    return "jvp(" not in str(eqn.source_info.name_stack)


def _moves_only(eqn) -> bool:
    """Whether an equation only repeats or reshapes what one number, or the same numbers, are."""
    if eqn.primitive.name not in ("broadcast_in_dim", "reshape", "squeeze", "convert_element_type"):
        return False
    x, y = eqn.invars[0].aval, eqn.outvars[0].aval
    return is_float(eqn.invars[0]) and (x.size == 1 or x.size == y.size)


def _same_operation(p: JaxprEqn, s: JaxprEqn) -> bool:
    inner, other = _called(p), _called(s)
    return (
        p.primitive is s.primitive
        and len(p.invars) == len(s.invars)
        and len(p.outvars) == len(s.outvars)
        and p.params.get("y") == s.params.get("y")
        and (inner is None) == (other is None)
        and (inner is None or other is None or _key(inner) == _key(other))
    )


class _Match:
    """The equations of a program from `start` on, unified one by one with those of a pattern."""

    def __init__(self, pattern: Jaxpr, eqns: Sequence[JaxprEqn], start: int):
        self.bound: dict[Any, Any] = {}
        self.aliases: dict[Any, Any] = {}
        self.used: list[int] = []
        self.found = self._run(pattern, eqns, start)

    def _resolved(self, atom):
        while not isinstance(atom, Literal) and atom in self.aliases:
            atom = self.aliases[atom]
        return atom

    def _unify(self, p, s) -> bool:
        p, s = self._resolved(p), self._resolved(s)
        if isinstance(p, Literal):
            return isinstance(s, Literal) and bool(np.array_equal(p.val, s.val, equal_nan=True))
        known = self.bound.setdefault(p, s)
        return known is s or (isinstance(known, Literal) and isinstance(s, Literal) and known.val == s.val)

    def _run(self, pattern: Jaxpr, eqns: Sequence[JaxprEqn], start: int) -> bool:
        at = start
        for p in equations(pattern):
            if _moves_only(p):
                self.aliases[p.outvars[0]] = p.invars[0]
                continue
            while at < len(eqns) and _moves_only(eqns[at]):
                self.aliases[eqns[at].outvars[0]] = eqns[at].invars[0]
                self.used.append(at)
                at += 1
            if at == len(eqns) or not _same_operation(p, eqns[at]):
                return False
            if not all(self._unify(a, b) for a, b in zip(p.invars, eqns[at].invars, strict=True)):
                return False
            self.bound.update(zip(p.outvars, eqns[at].outvars, strict=True))
            self.used.append(at)
            at += 1
        return True


def _inlined(eqns: Sequence[JaxprEqn], start: int) -> tuple[JaxprEqn, list[int]] | None:
    """The meaning of the function whose equations begin here, and which those are."""
    dtype = next((aval(v).dtype for v in eqns[start].invars if is_float(v)), None)
    if dtype is None or not of_values(eqns[start]):
        return None
    for key in _frames(eqns[start]):
        for named in INLINE.get(key, ()):
            assert named.fn is not None
            for pattern in _traced(named.fn, (jax.ShapeDtypeStruct((), dtype),) * named.arity):
                found = _matched(named, pattern, eqns, start, key)
                if found:
                    return found
    return None


def _matched(named: Named, pattern: Jaxpr, eqns: Sequence[JaxprEqn], start: int, key: tuple[str, str]):
    """The meaning of a function with this pattern, if its equations begin here, and which those are."""
    match = _Match(pattern, eqns, start)
    if not match.found or not all(key in _frames(eqns[i]) for i in match.used):
        return None
    last, args = eqns[match.used[-1]], [match.bound[v] for v in pattern.invars]
    same = np.broadcast_shapes(*(aval(a).shape for a in args)) == aval(last.outvars[0]).shape
    if not same or match.bound[pattern.outvars[0]] is not last.outvars[0]:
        return None
    return _meaning(last, named.functions, args, getattr(named.fn, "__name__", key[1])), match.used


def _meaning(eqn: JaxprEqn, functions: tuple[Callable[..., Any], ...], args: Sequence[Any], name: str) -> JaxprEqn:
    return eqn.replace(primitive=MEANING, invars=list(args), params={"functions": functions, "named": name})


def _constant_of(eqn: JaxprEqn, atom) -> dict[str, Any] | None:
    """The constant that a literal of a library's function stands for, as parameters of its meaning, or `None`."""
    if not isinstance(atom, Literal) or not is_float(atom) or aval(atom).shape:
        return None
    for key in _frames(eqn):
        for c in CONSTANTS.get((*key, eqn.primitive.name), ()):
            value, eps = float(c.approximate), float(jax.numpy.finfo(aval(atom).dtype).eps)
            if abs(float(atom.val) - value) <= eps * abs(value):
                return {"functions": (Function(c.exact),), "named": c.named or key[1]}
    return None


def _with_constants(eqn: JaxprEqn, fresh: Callable) -> list[JaxprEqn]:
    out: list[JaxprEqn] = []
    invars: list[Any] = list(eqn.invars)
    for i, atom in enumerate(eqn.invars):
        constant = _constant_of(eqn, atom) if isinstance(atom, Literal) else None
        if constant:
            invars[i] = fresh(atom.aval)
            out.append(eqn.replace(primitive=MEANING, invars=[], outvars=[invars[i]], params=constant))
    return [*out, eqn.replace(invars=invars)] if out else [eqn]


def _live(eqns: Sequence[JaxprEqn], outvars: Sequence[Any], doubtful: set[int]) -> list[JaxprEqn]:
    """The equations without those of `doubtful` that nothing uses any more."""
    used, kept = {v for v in outvars if not isinstance(v, Literal)}, []
    for i in reversed(range(len(eqns))):
        if i not in doubtful or any(v in used for v in eqns[i].outvars):
            kept.append(eqns[i])
            used.update(v for v in eqns[i].invars if not isinstance(v, Literal))
    return kept[::-1]


@functools.lru_cache(maxsize=4096)
def meant(jaxpr: Jaxpr) -> Jaxpr:
    """A jaxpr with the named functions that it calls in place of their equations (`MEANING`)."""
    given = equations(jaxpr)
    eqns, doubtful, at = list(given), set[int](), 0
    while at < len(eqns):
        found = _inlined(eqns, at)
        if found:
            doubtful.update(found[1][:-1])
            at = found[1][-1]
        eqns[at] = found[0] if found else meaning_of(eqns[at]) or eqns[at]
        at += 1
    fresh = gensym()
    kept = [new for e in _live(eqns, jaxpr.outvars, doubtful) for new in _with_constants(e, fresh)]
    unchanged = len(kept) == len(given) and all(a is b for a, b in zip(kept, given, strict=True))
    return jaxpr if unchanged else jaxpr.replace(eqns=kept)
