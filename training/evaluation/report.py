"""The report that a biologist reads: one HTML file with everything in it."""

import base64
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.evaluation.charts import all_charts
from training.evaluation.scores import Scores
from training.evaluation.study import ProtocolResult
from training.evaluation.summary import Subject, counts
from training.files import write_atomically
from training.scoring.intervals import Estimate

_TEMPLATE = "report.html.jinja"

PROTOCOL_TITLES = {
    "encounters": "Honest: gallery and queries share no encounter",
    "given": "The data's own gallery and queries",
    "seed": "The original's protocol: optimistic, for comparison only",
}


def write_report(file: Path, subject: Subject, results: Mapping[str, ProtocolResult]) -> None:
    """Write the report.

    Args:
        file: to write; replaced as a whole or not at all.
        subject: what was evaluated.
        results: by protocol, the one to trust first.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "interval": interval, "data_url": _data_url, "jpeg_url": _jpeg_url}
    first = next(iter(results.values()))
    text = environment.get_template(_TEMPLATE).render(
        subject=subject,
        results=results,
        titles=PROTOCOL_TITLES,
        counts={name: counts(result) for name, result in results.items()},
        main=first.main(),
        first=first,
        charts=all_charts(first),
        rows=score_rows(results),
        differences=differences(results),
    )
    write_atomically(file, text.encode())


def score_rows(results: Mapping[str, ProtocolResult]) -> list[tuple[str, str, Scores]]:
    """Return (protocol, method, scores) with the most references first, for tables."""
    return [
        (protocol, method, one)
        for protocol, result in results.items()
        for method, scores in result.scores.items()
        for one in sorted(scores, key=lambda one: (-one.references, one.matching))
    ]


def differences(results: Mapping[str, ProtocolResult]) -> dict[str, float]:
    """Return by how much the original's protocol flatters: its score minus the honest one, by the score's name."""
    if "seed" not in results or len(results) < 2:
        return {}
    honest, seed = (result.main() for result in (next(iter(results.values())), results["seed"]))
    found = {
        "top-1": seed.top1.value - honest.top1.value,
        "top-5": seed.top5.value - honest.top5.value,
        "mAP": seed.mean_average_precision.value - honest.mean_average_precision.value,
    }
    if seed.open_set is not None and honest.open_set is not None:
        found["open-set AUROC"] = seed.open_set.auroc.value - honest.open_set.auroc.value
        found["accepted and right"] = seed.open_set.accepted_right.value - honest.open_set.accepted_right.value
    return found


def percent(value: float) -> str:
    """Return 0.934 as "93 %"."""
    return "not to be had" if value != value else f"{100.0 * value:.0f} %"


def interval(estimate: Estimate) -> str:
    """Return an estimate as "0.934 (0.900 to 0.960)"."""
    if estimate.value != estimate.value:
        return "not to be had"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _data_url(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _jpeg_url(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
