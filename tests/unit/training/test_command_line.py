"""What the training commands tell a script by their exit status."""

import pytest

from training.command_line import COLLAPSED, exit_status
from training.errors import CollapsedError, TrainingError


def failing(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TrainingError("the folder is empty"), 1),
        (FileNotFoundError("no such file"), 1),
        (CollapsedError("all the same"), COLLAPSED),
    ],
)
def test_an_error_is_told_on_stderr_and_by_the_status(error, status, capsys):
    assert exit_status(failing(error)) == status
    assert str(error) in capsys.readouterr().err


def test_a_collapsed_run_can_be_told_from_a_mistake():
    assert COLLAPSED not in (0, 1, 2)  # 2 is argparse's


@pytest.mark.parametrize(("answer", "status"), [(None, 0), (0, 0), (4, 4)])
def test_an_action_decides_the_status_itself(answer, status):
    assert exit_status(lambda: answer) == status


def test_a_defect_is_not_taken_for_a_mistake_of_the_user():
    with pytest.raises(KeyError):
        exit_status(failing(KeyError("defect")))
