"""What is planted in the other training steps of real libraries is found (`test_examples.py` has the first five)."""

import pytest
from training import diagnosed, example, float32  # noqa: F401

from stability.examples import NAMES
from stability.examples.finding import as_planted

pytestmark = pytest.mark.usefixtures("float32")


@pytest.mark.parametrize("name", NAMES[5:])
def test_what_is_planted_is_found_with_its_line_and_leaf(name):
    planted = example(name)
    found = diagnosed(planted.planted)
    assert as_planted(planted, found), found.summary()
