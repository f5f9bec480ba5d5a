"""How fast the renderer of synthetic whales is: photos a second on one core, by size.

    OMP_NUM_THREADS=1 python -m benchmarks.render

A photo counts with everything it takes: planning, a new individual's skin, waves of a new sea, rendering, JPEG, truth.
Four photos an encounter and two encounters an individual, as in a training set. The first photos of a process, which
build the wave tiles, are counted too but not in the row "warm".
"""

import argparse
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from training.synthetic.individuals import BODY_PARTS, Individual, Population
from training.synthetic.plans import Encounter
from training.synthetic.render import render_jpeg
from training.synthetic.views import plan_photo
from training.synthetic.writers import truths_of

SIZES = ((640, 427, 64), (1280, 853, 24), (3888, 2592, 3), (6000, 4000, 2))
WARM_UP = 24


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    label: str
    photos: int
    wall_s: float
    cpu_s: float
    jpeg_bytes: int

    def text(self) -> str:
        """Return the line."""
        size = self.jpeg_bytes / self.photos / 1e3
        return (
            f"| {self.label:18} | {self.photos:6} | {self.photos / self.wall_s:12.2f} | "
            f"{self.photos / self.cpu_s:14.2f} | {size:8.0f} |"
        )


def measure(label: str, width: int, height: int, first: int, count: int) -> Row:
    """Render `count` photos from the `first` on and time them."""
    wall, cpu, total = time.perf_counter(), time.process_time(), 0
    for index in range(first, first + count):
        individual = Individual(99, Population.TRAIN, index // 8)
        part = BODY_PARTS[index // 8 % 2]
        plan = plan_photo(Encounter(individual, index % 8 // 4), index % 4, part, aspect=height / width)
        total += len(render_jpeg(plan, width, height))
        truths_of(plan, width, height)
    return Row(label, count, time.perf_counter() - wall, time.process_time() - cpu, total)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only 640x427")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, OpenCV {cv2.__version__}\n")
    print("| size               | photos | photos/s     | photos/CPU-s   | kB/photo |")
    print("|--------------------|--------|--------------|----------------|----------|")
    print(measure("640x427, first 24", 640, 427, 0, WARM_UP).text())
    first = 1000
    for width, height, count in SIZES[:1] if options.quick else SIZES:
        label = f"{width}x{height}" + (", warm" if width == SIZES[0][0] else "")
        print(measure(label, width, height, first, count).text(), flush=True)
        first += 1000


if __name__ == "__main__":
    main()
