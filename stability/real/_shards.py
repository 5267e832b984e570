"""What is mapped over the devices of a mesh: all of them in step, each with its own values.

A variable holds one value for each device. An equation is taken on each device by itself, and one that communicates on
all at once. A branch or a loop that differs from device to device is undecided.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from stability.real import scalars, steps
from stability.real._bits import filled
from stability.real.arrays import as_array, bare, elementwise, is_real
from stability.real.reals import Reals
from stability.real.values import UNDECIDED, Undecided, array
from stability.real.walk import walk

Coordinates = tuple[int, ...]


class Devices(NamedTuple):
    """**Attributes:** `names` of the axes of a mesh and their `sizes`."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def all(self) -> list[Coordinates]:
        """The devices, the last axis running fastest."""
        return list(itertools.product(*map(range, self.sizes)))

    def number(self, device: Coordinates, names: Sequence[str]) -> int:
        """Which of the devices along some axes, the last of them running fastest, a device is."""
        along = [self.names.index(name) for name in names]
        return functools.reduce(lambda n, k: n * self.sizes[k] + device[k], along, 0)

    def group(self, device: Coordinates, names: Sequence[str]) -> list[int]:
        """The positions in `all` of the devices that differ from one along some axes at most, in order of these."""
        fixed = [k for k, name in enumerate(self.names) if name not in names]
        same = [i for i, other in enumerate(self.all) if all(other[k] == device[k] for k in fixed)]
        return sorted(same, key=lambda i: self.number(self.all[i], names))


def devices_of(eqn) -> Devices:
    """The devices that a `shard_map` maps over by hand."""
    mesh = eqn.params["mesh"]
    by_hand = eqn.params.get("newly_manual_axes") or set(mesh.axis_names)
    names = tuple(name for name in mesh.axis_names if name in by_hand)
    return Devices(names, tuple(mesh.shape[name] for name in names))


class Each(NamedTuple):
    """One value for each device."""

    values: list


class Shards(Reals):
    """Every device holds values of its own."""

    def __init__(self, devices: Devices):
        super().__init__()
        self.devices = devices

    def each(self, value: Any) -> list:
        return value.values if isinstance(value, Each) else [value] * len(self.devices.all)

    def equation(self, eqn, values, source):
        columns = [self.each(v) for v in values]
        if eqn.primitive.name in COLLECTIVES:
            return COLLECTIVES[eqn.primitive.name](eqn, columns, self.devices)
        rows = [super(Shards, self).equation(eqn, list(row), source) for row in self.by_device(columns)]
        return [Each(list(out)) for out in zip(*rows, strict=True)]

    def by_device(self, columns: list[list]) -> list[tuple]:
        return list(zip(*columns, strict=True)) if columns else [()] * len(self.devices.all)

    def decided(self, value, what):
        flags = {super(Shards, self).decided(v, what) for v in self.each(value)}
        if len(flags) > 1:
            raise Undecided(UNDECIDED, what)
        return flags.pop()

    def picked(self, values):
        rows = [super(Shards, self).picked(list(row)) for row in self.by_device([self.each(v) for v in values])]
        return [Each(list(out)) for out in zip(*rows, strict=True)]

    def row(self, value, i):
        return Each([super(Shards, self).row(v, i) for v in self.each(value)])

    def stacked(self, rows, aval):
        if not rows:
            return super().stacked(rows, aval)
        return Each([super(Shards, self).stacked(list(r), aval) for r in self.by_device([self.each(r) for r in rows])])


def block(spec, shape: Sequence[int], device: Coordinates, devices: Devices) -> tuple[slice, ...]:
    """The part of an array of a device."""
    parts = []
    for k, size in enumerate(shape):
        names = spec[k] if k < len(spec) else None
        names = () if names is None else (names,) if isinstance(names, str) else names
        names = tuple(name for name in names if name in devices.names)
        count = math.prod(devices.sizes[devices.names.index(name)] for name in names)
        length = size // count
        at = devices.number(device, names) * length
        parts.append(slice(at, at + length))
    return tuple(parts)


def mapped(eqn, values: Sequence[Any]) -> list:
    """The outputs of a `shard_map` over several devices."""
    devices, p = devices_of(eqn), eqn.params
    args = [
        Each([bare(as_array(x)[block(spec, v.aval.shape, d, devices)]) for d in devices.all])
        for x, spec, v in zip(values, p["in_specs"], eqn.invars, strict=True)
    ]
    semantics = Shards(devices)
    out = []
    for found, spec, v in zip(walk(p["jaxpr"], args, semantics), p["out_specs"], eqn.outvars, strict=True):
        shards = [as_array(x) for x in semantics.each(found)]
        whole = np.empty(v.aval.shape, shards[0].dtype)
        for shard, d in zip(shards, devices.all, strict=True):
            whole[block(spec, v.aval.shape, d, devices)] = shard
        out.append(bare(whole))
    return out


def _names(axes: Any) -> tuple[str, ...]:
    return tuple(axes) if isinstance(axes, tuple | list) else (axes,)


def collective(rule: Callable[[Any, list[np.ndarray], int], np.ndarray], axes: str) -> Callable:
    """An equation that communicates: what a device gets of what those of its group have, and which of them it is."""

    def apply(eqn, columns: list[list], devices: Devices) -> list[Each]:
        names = _names(eqn.params[axes])
        if eqn.params.get("axis_index_groups") is not None or any(isinstance(name, int) for name in names):
            return [Each([filled(v.aval)] * len(devices.all)) for v in eqn.outvars]
        out = []
        for column in columns:
            groups = [([as_array(column[i]) for i in devices.group(d, names)], d) for d in devices.all]
            out.append(Each([bare(rule(eqn.params, group, devices.number(d, names))) for group, d in groups]))
        return out

    return apply


def total(group: Sequence[np.ndarray], rule: Callable = scalars.add, native: Callable = np.add) -> np.ndarray:
    """The values of a group folded, by a function of reals or by one of integers."""
    held = any(map(is_real, group))
    fold = functools.reduce(elementwise(rule) if held else native, group)
    return fold if isinstance(fold, np.ndarray) else array([fold], ()) if held else np.asarray(fold)


def _gathered(p: Any, group: list[np.ndarray], me: int) -> np.ndarray:
    return (np.concatenate if p["tiled"] else np.stack)(group, p["all_gather_dimension"])


def _part(x: np.ndarray, p: Any, axis: int, n: int, me: int) -> np.ndarray:
    return np.split(x, n, axis)[me] if p["tiled"] else np.asarray(np.take(x, me, axis), x.dtype)


def _exchanged(p: Any, group: list[np.ndarray], me: int) -> np.ndarray:
    parts = [_part(x, p, p["split_axis"], len(group), me) for x in group]
    return (np.concatenate if p["tiled"] else np.stack)(parts, p["concat_axis"])


def _sent(p: Any, group: list[np.ndarray], me: int) -> np.ndarray:
    source = next((a for a, b in p["perm"] if b == me), None)
    nothing = arb(0) if is_real(group[me]) else 0
    return np.full_like(group[me], nothing) if source is None else group[source]


def _own_number(eqn, columns: list[list], devices: Devices) -> list[Each]:
    names = _names(eqn.params["axis_name"])
    return [Each([np.int32(devices.number(d, names)) for d in devices.all])]


def _same(eqn, columns: list[list], devices: Devices) -> list[Each]:
    return [Each(column) for column in columns]


_SUM = collective(lambda p, group, me: total(group), "axes")

COLLECTIVES: dict[str, Callable[[Any, list[list], Devices], list[Each]]] = {
    **dict.fromkeys(("psum", "psum_invariant", "psum2"), _SUM),
    "pmax": collective(lambda p, group, me: total(group, steps.maximum, np.maximum), "axes"),
    "pmin": collective(lambda p, group, me: total(group, steps.minimum, np.minimum), "axes"),
    **dict.fromkeys(("all_gather", "all_gather_invariant"), collective(_gathered, "axis_name")),
    "reduce_scatter": collective(
        lambda p, group, me: _part(total(group), p, p["scatter_dimension"], len(group), me), "axis_name"
    ),
    "all_to_all": collective(_exchanged, "axis_name"),
    "ppermute": collective(_sent, "axis_name"),
    "axis_index": _own_number,
    **dict.fromkeys(("pvary", "pcast", "pbroadcast"), _same),
}
"""By the primitive's name."""
