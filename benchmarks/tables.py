"""Numbers to Markdown: what every benchmark prints."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from statistics import median, quantiles

PACKAGES = ("ray", "torch", "torchvision", "openvino")


def heading(title: str) -> str:
    """Return what a table must say to be compared with another: command, machine, versions, date, load."""
    command = f"python -m benchmarks.{title} {' '.join(sys.argv[1:])}".strip()
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return f"# {title}\n\n`{command}`\n\n{date.today()}, {hardware()}, {load}, {software()}\n"


def hardware() -> str:
    """Return what the machine is, as far as a table depends on it."""
    gpu = "no GPU" if not os.path.exists("/dev/nvidia0") else "GPU not used"  # noqa: PTH110
    return f"{os.cpu_count()} cores, {gpu}, {platform.machine()}"


def software() -> str:
    """Return the versions of Python and of the packages that do the work."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {versions}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return one Markdown table; numbers are aligned on the right."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    shown = [
        "| "
        + " | ".join(_pad(cell, width, place) for place, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if place == 0 else ":") for place, width in enumerate(widths)) + "|"
    return "\n".join([f"{shown[0]} |", rule, *(f"{line} |" for line in shown[1:])]) + "\n"


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that so many percent of the values do not exceed, interpolated."""
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median with the least and the greatest value."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds with three digits that count."""
    return f"{seconds * 1000:.0f}" if seconds >= 0.1 else f"{seconds * 1000:.1f}"


def _pad(cell: str, width: int, place: int) -> str:
    return cell.ljust(width) if place == 0 else cell.rjust(width)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
