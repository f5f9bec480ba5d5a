"""The report's curves as SVG pictures."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.scores import Scores
from training.evaluation.study import BestDistances, ProtocolResult
from training.evaluation.trial import MATCHINGS
from training.scoring.intervals import Estimate

_SIZE_INCHES = (5.2, 3.6)
_COLOURS = ("#1f5fa8", "#d1701f", "#4b8b3b", "#8a4fa3")
_RIGHT, _WRONG, _UNKNOWN = "#1f5fa8", "#d1701f", "#666666"
_BINS = 40


def cmc_chart(result: ProtocolResult) -> str:
    """Draw the cumulative match characteristic of every method, with intervals."""
    figure, axes = _figure("right individual among the first n", "n", "share of queries")
    for colour, (name, scores) in zip(_COLOURS, _lines(result), strict=False):
        _band(axes, range(1, len(scores.cmc) + 1), scores.cmc, name, colour)
    return _finish(figure, axes)


def reference_chart(result: ProtocolResult) -> str:
    """Draw top-1 over the number of reference photos."""
    figure, axes = _figure("right individual first", "reference photos of each individual", "share of queries")
    shift = 0.0
    for method, scores in result.scores.items():
        for matching in MATCHINGS:
            row = [one for one in scores if one.matching == matching]
            places = [one.references + shift for one in row]
            values = [one.top1.value for one in row]
            spread = [[one.top1.value - one.top1.low for one in row], [one.top1.high - one.top1.value for one in row]]
            colour = _COLOURS[round(shift / 0.04) % len(_COLOURS)]
            axes.errorbar(
                places,
                values,
                np.maximum(spread, 0.0),
                marker="o",
                capsize=3,
                label=_name(method, matching),
                color=colour,
            )
            shift += 0.04
    axes.set_xticks(sorted({one.references for scores in result.scores.values() for one in scores}))
    axes.set_ylim(0.0, 1.02)
    return _finish(figure, axes)


def rejection_chart(result: ProtocolResult) -> str:
    """Draw false rejects over false accepts, for thresholds that were chosen on the other half of the individuals."""
    figure, axes = _figure(
        "new or known? (threshold from the other half)", "unknown animals given a name", "known animals called new"
    )
    for colour, (name, scores) in zip(_COLOURS, _lines(result), strict=False):
        if scores.open_set is not None:
            judged = [one for _, one in scores.open_set.curve]
            axes.plot(
                [one.false_accept for one in judged],
                [one.false_reject for one in judged],
                marker="o",
                label=name,
                color=colour,
            )
    axes.set_xlim(left=0.0)
    axes.set_ylim(0.0, 1.02)
    return _finish(figure, axes)


def distance_chart(best: BestDistances, threshold: float | None) -> str:
    """Draw how near the best candidates are: right, wrong, and of unknown individuals."""
    figure, axes = _figure("distance of the best candidate", "distance (lower is better)", "share of its kind")
    seen = np.isfinite(best.known)
    kinds = (
        ("known, right name first", best.known[seen & best.right], _RIGHT),
        ("known, wrong name first", best.known[seen & ~best.right], _WRONG),
        ("unknown individual", best.unknown, _UNKNOWN),
    )
    everything = np.concatenate([distances for _, distances, _ in kinds])
    edges = np.linspace(0.0, max(float(everything.max(initial=0.0)) * 1.02, 1e-3), _BINS + 1)
    for label, distances, colour in kinds:
        if len(distances):
            shares = np.full(len(distances), 1.0 / len(distances))
            axes.hist(distances, bins=list(edges), weights=shares, histtype="step", label=label, color=colour, lw=1.6)
    if threshold is not None and np.isfinite(threshold):
        axes.axvline(threshold, color="black", linestyle="--", lw=1.0, label="threshold (90 % of unknown rejected)")
    return _finish(figure, axes)


def _lines(result: ProtocolResult) -> list[tuple[str, Scores]]:
    return [
        (_name(method, matching), result.main(method, matching)) for method in result.scores for matching in MATCHINGS
    ]


def _name(method: str, matching: str) -> str:
    return f"{method}, {matching}"


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    return figure, axes


def _band(axes: Axes, places: Sequence[int] | range, values: Sequence[Estimate], label: str, colour: str) -> None:
    axes.plot(places, [one.value for one in values], marker=".", label=label, color=colour)
    axes.fill_between(places, [one.low for one in values], [one.high for one in values], alpha=0.15, color=colour)
    axes.set_ylim(0.0, 1.02)


def _finish(figure: Figure, axes: Axes) -> str:
    """Return the picture as SVG text."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    content = io.StringIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def all_charts(result: ProtocolResult) -> Mapping[str, str]:
    """Draw every chart of a result: SVG by caption."""
    open_set = result.main().open_set
    charts = {
        "How often the right name is among the first n of the list; bands are 95 % intervals.": cmc_chart(result),
        "What more reference photos of each individual bring.": reference_chart(result),
        "Distances of the best candidates. The better the kinds part, the better new animals are noticed.": (
            distance_chart(result.best, None if open_set is None else open_set.threshold)
        ),
    }
    if open_set is not None:
        charts["Each point is one threshold. Fewer wrong names for new animals cost more known animals called new."] = (
            rejection_chart(result)
        )
    return charts
