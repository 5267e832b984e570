"""How figures of the atlas are told: regions, errors, the axis of a profile."""

import numpy as np
import pytest

from stability.atlas.figures import condensed, rounded_down
from stability.atlas.profile import position
from stability.formats import FORMATS
from stability.measure.regions import Region


def test_regions_nearest_to_each_other_are_told_as_one():
    regions = [Region("nan", k * k * 10, k * k * 10 + 1, 2) for k in range(20)]
    found = condensed(regions)
    assert len(found) == 8 and sum(r.count for r in found) == 40
    assert (found[0].start, found[-1].stop) == (0, 3611) and found[0].alternates


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_axis_of_a_profile_ascends(dtype):
    fmt = FORMATS[dtype]
    at = position(np.linspace(-fmt.infinity - 1, fmt.infinity, 1001).astype(np.int64), fmt)
    assert (np.diff(at) >= 0).all() and (at[0], at[-1]) == (-1, 1)


def test_an_error_is_told_by_no_more_than_it_is():
    assert rounded_down(1.2345678) == 1.23456 and rounded_down(0.5) == 0.5 and rounded_down(9.9999999) <= 9.9999999
