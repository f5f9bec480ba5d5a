"""Loss and score over a run as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.runs.history import Record, rounds

_SIZE_INCHES = (8.0, 4.5)
_DOTS_PER_INCH = 120
_LOSS_COLOUR, _SCORE_COLOUR = "tab:blue", "tab:orange"


def draw_curve(file: Path, history: Sequence[Record], title: str, score_name: str) -> None:
    """Draw the loss (left axis) and the score (right axis) over the photos seen.

    Args:
        file: a PNG.
        history: of the run.
        title: above the picture.
        score_name: what the score is, in words.
    """
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    losses = [record for record in history if "loss" in record]
    axes.plot([one["photos"] for one in losses], [one["loss"] for one in losses], color=_LOSS_COLOUR)
    axes.set_xlabel("photos seen")
    axes.set_ylabel("training loss", color=_LOSS_COLOUR)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    scores = rounds(history)
    right = axes.twinx()
    right.plot([one["photos"] for one in scores], [one["score"] for one in scores], color=_SCORE_COLOUR, marker="o")
    right.set_ylabel(score_name, color=_SCORE_COLOUR)
    figure.savefig(file, dpi=_DOTS_PER_INCH)
