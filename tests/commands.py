"""What the tests of the command share."""

import pytest

QUICK = ["--form", "cancelled", "--dtype", "bfloat16", "--label", "1", "--no-plots"]


def refused(capsys, main, argv):
    """The one line on standard error of a command that ends with status 2."""
    with pytest.raises(SystemExit) as stop:
        main(argv)
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1
    return message
