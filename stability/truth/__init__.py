"""True values: a state a point, made in one place from balls, from doubles with a proven bound, or on a device."""

from stability.truth._truth import (
    FRACTION,
    Point,
    State,
    Truth,
    concatenated,
    enclosed,
    infinite,
    nearest_quanta,
    of_floats,
    of_points,
    of_quanta,
    pole,
    quantize,
    undecided,
    undefined,
    within,
)

__all__ = [
    "FRACTION",
    "Point",
    "State",
    "Truth",
    "concatenated",
    "enclosed",
    "infinite",
    "nearest_quanta",
    "of_floats",
    "of_points",
    "of_quanta",
    "pole",
    "quantize",
    "undecided",
    "undefined",
    "within",
]
