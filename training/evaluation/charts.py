"""The report's curves as SVG pictures, each with words for those who cannot see it."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from training.arrays import FloatArray
from training.evaluation.comparison import MATCHINGS
from training.evaluation.results import EMBEDDER, SERVED, ProtocolResult
from training.evaluation.scores import REJECTED, MatchingScores
from training.evaluation.wording import MATCHING_TITLES, METHOD_TITLES, percent
from training.scoring.intervals import Estimate

_SIZE_INCHES = (5.2, 4.0)
_STYLES = (("#1f5fa8", "-", "o"), ("#d1701f", "--", "s"), ("#4b8b3b", "-", "^"), ("#8a4fa3", "--", "D"))
"""Colour, dashes and marker of the lines: they differ in a print without colours, too."""

_KINDS = (("known, right name first", "#1f5fa8", "-"), ("known, wrong name first", "#d1701f", "--"))
_UNKNOWN = ("unknown animal", "#555555", "-")
_BINS = 40
_SHIFT = 0.05  # between lines with error bars, which would hide each other


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of numbers.

    Attributes:
        svg: the picture.
        caption: how to read it.
        alternative: what it shows, in words.
    """

    svg: str
    caption: str
    alternative: str


@dataclass(frozen=True, slots=True)
class _Line:
    """One method with one way of matching.

    Attributes:
        label: for the legend.
        scores: with 1 to N references.
        colour: of the line.
        dashes: of the line.
        marker: of its points.
    """

    label: str
    scores: Sequence[MatchingScores]
    colour: str
    dashes: str
    marker: str

    @property
    def main(self) -> MatchingScores:
        """With the most references."""
        return self.scores[-1]


def all_charts(result: ProtocolResult) -> tuple[Chart, ...]:
    """Draw every chart of a result."""
    charts = (cmc_chart(result), reference_chart(result), distance_chart(result))
    return charts if result.main().open_set is None else (*charts, rejection_chart(result))


def cmc_chart(result: ProtocolResult) -> Chart:
    """Draw the cumulative match characteristic of every method, with intervals."""
    figure, axes = _figure("Right name among the first n", "first n names of the list", "photos of known animals")
    lowest = 1.0
    for line in _lines(result):
        values, lows, highs = _curve(line.main.cmc)
        places = np.arange(1, len(values) + 1)
        axes.plot(places, values, line.dashes, color=line.colour, marker=line.marker, markersize=4, label=line.label)
        axes.fill_between(places, lows, highs, alpha=0.12, color=line.colour)
        lowest = min(lowest, float(lows.min()))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _start_below(axes, lowest)
    main = result.main()
    return Chart(
        _finish(figure, axes),
        "How often the right name is among the first n of the list (the cumulative match characteristic, CMC). Bands"
        " are 95 % intervals.",
        f"Line chart. The model's right name is first for {percent(main.top1.value)} of the photos, among the first"
        f" five for {percent(main.top5.value)}, among the first {len(main.cmc)} for {percent(main.cmc[-1].value)}.",
    )


def reference_chart(result: ProtocolResult) -> Chart:
    """Draw top-1 over the number of reference photos."""
    figure, axes = _figure("Right name first", "reference photos of each animal, at most", "photos of known animals")
    lowest = 1.0
    for place, line in enumerate(_lines(result)):
        values, lows, highs = _curve([one.top1 for one in line.scores])
        spots = [one.references + _SHIFT * place for one in line.scores]
        spread = np.maximum([values - lows, highs - values], 0.0)
        axes.errorbar(
            spots,
            values,
            spread,
            linestyle=line.dashes,
            color=line.colour,
            marker=line.marker,
            markersize=5,
            capsize=3,
            label=line.label,
        )
        lowest = min(lowest, float(lows.min()))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _start_below(axes, lowest)
    served = [one for one in result.scores[EMBEDDER] if one.matching == SERVED]
    return Chart(
        _finish(figure, axes),
        "What more reference photos of each animal bring. Bars are 95 % intervals.",
        "Line chart. The model's right name is first, by reference photos: "
        + ", ".join(f"{one.references}: {percent(one.top1.value)}" for one in served)
        + ".",
    )


def distance_chart(result: ProtocolResult) -> Chart:
    """Draw how near the best candidates are: right, wrong, and of unknown individuals."""
    figure, axes = _figure("Distance of the first name", "distance (less is more alike)", "photos")
    best, open_set = result.best, result.main().open_set
    seen = np.isfinite(best.known)
    groups = (best.known[seen & best.right], best.known[seen & ~best.right], best.unknown)
    everything = np.concatenate(groups)
    edges = list(np.linspace(0.0, max(float(everything.max(initial=0.0)) * 1.02, 1e-3), _BINS + 1))
    for (label, colour, dashes), distances in zip((*_KINDS, _UNKNOWN), groups, strict=True):
        if len(distances):
            named = f"{label} ({len(distances)} photos)"
            axes.hist(distances, edges, histtype="step", label=named, color=colour, linestyle=dashes, lw=1.8)
            axes.hist(distances, edges, color=colour, alpha=0.12)
    if open_set is not None and np.isfinite(open_set.threshold):
        label = f"threshold that rejects {percent(REJECTED)} of unknown"
        axes.axvline(open_set.threshold, color="black", linestyle=":", lw=1.5, label=label)
    medians = [
        f"{label}: {np.median(distances):.2f}"
        for (label, *_), distances in zip((*_KINDS, _UNKNOWN), groups, strict=True)
        if len(distances)
    ]
    return Chart(
        _finish(figure, axes),
        "How far the first name of the list is from the photo. The less the humps of known and unknown animals overlap,"
        " the better new animals are noticed.",
        f"Histogram. Median distances: {', '.join(medians)}.",
    )


def rejection_chart(result: ProtocolResult) -> Chart:
    """Draw false rejects over false accepts, for thresholds that were chosen on the other half of the individuals."""
    figure, axes = _figure(
        "New or known?", "photos of unknown animals given a name", "photos of known animals called new"
    )
    for line in _lines(result):
        if line.main.open_set is not None:
            rates = [one for _, one in line.main.open_set.curve]
            accepts, rejects = [one.false_accept for one in rates], [one.false_reject for one in rates]
            axes.plot(
                accepts, rejects, line.dashes, color=line.colour, marker=line.marker, markersize=4, label=line.label
            )
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlim(left=0.0)
    _shares(axes)
    shown = result.main().open_set
    words = "Line chart."
    if shown is not None:
        accept, reject = shown.false_accept.value, shown.false_reject.value
        axes.plot(accept, reject, "o", ms=12, mfc="none", mec="black", label="the threshold of this report")
        words += (
            f" At this report's threshold {percent(accept)} of the photos of unknown animals are given a name and"
            f" {percent(reject)} of the photos of known animals are called new."
        )
    return Chart(
        _finish(figure, axes),
        "Each point is one threshold; nearer to the lower left corner is better. Fewer wrong names for new animals cost"
        " more known animals called new.",
        words,
    )


def _lines(result: ProtocolResult) -> Iterator[_Line]:
    pairs = [(method, matching) for method in result.scores for matching in MATCHINGS]
    for (method, matching), style in zip(pairs, _STYLES, strict=False):
        row = [one for one in result.scores[method] if one.matching == matching]
        yield _Line(
            f"{METHOD_TITLES[method]}, {MATCHING_TITLES[matching]}", sorted(row, key=lambda one: one.references), *style
        )


def _curve(estimates: Sequence[Estimate]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return values, lower and upper ends."""
    rows = np.array([(one.value, one.low, one.high) for one in estimates])
    return rows[:, 0], rows[:, 1], rows[:, 2]


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    return figure, axes


def _start_below(axes: Axes, lowest: float) -> None:
    """Let a scale of shares end at 100 % and begin at 0, or at 50 % where all that is shown lies above."""
    start = 0.5 if lowest > 0.5 else 0.0
    _shares(axes, start)


def _shares(axes: Axes, start: float = 0.0) -> None:
    axes.set_ylim(start, 1.0 + 0.02 * (1.0 - start))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _finish(figure: Figure, axes: Axes) -> str:
    """Return the picture as SVG text, its legend below, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    content = io.StringIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
