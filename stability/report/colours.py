"""One colour a form, and one a kind, in every picture and on every page.

The colours of forms are at least 26 apart in CIELAB, and 3 to 1 from white, as they are and as deuteranopes, protanopes
and tritanopes see them (tested). Colour is never alone: a form's name stands beside it, and a kind's word.
"""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = {
    "autodiff": "#000000",
    "autodiff_textbook": "#888888",
    "chain_split": "#CC7755",
    "chain_common": "#663344",
    "chain_expanded": "#6600AA",
    "chain_combined": "#CC55FF",
    "cancelled": "#880000",
    "componentwise": "#6600FF",
    "logits": "#EE6611",
    "optax": "#6699CC",
    "rounded": "#004477",
    "jacobian": "#CC7755",
    "logsumexp": "#EE6611",
    "accurate": "#004477",
}
"""Forms of different studies that do the same have the same colour."""

FORM_COLOURS = tuple(dict.fromkeys(_NAMED.values()))

KIND_COLOURS = {
    "nan": "#000000",
    "inf": "#CC79A7",
    "vanished": "#D55E00",
    "flushed": "#56B4E9",
    "wrong_sign": "#009E73",
    "inaccurate": "#E69F00",
    "pole": "#0072B2",
    "outside": "#F0E442",
    "undecided": "#A9A9A9",
    "ok": "#E8E8E8",
}
KIND_WORDS = {"nan": "NaN", "vanished": "0", "wrong_sign": "wrong sign"}
"""What stands for a kind where there is little room; else its name."""


def colours_of(forms: Sequence[str]) -> dict[str, str]:
    """A colour for each form: its own where it has one, else the next that none of these has."""
    own = {form: _NAMED[form] for form in forms if form in _NAMED}
    others = [form for form in forms if form not in own]
    free = [colour for colour in FORM_COLOURS[::-1] if colour not in own.values()] or list(FORM_COLOURS)
    return own | {form: free[k % len(free)] for k, form in enumerate(others)}
