"""Bounds so small that a random client meets them every few messages."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from unittest.mock import patch

import pipeline.protocol.json_text
import pipeline.session.answers
import pipeline.session.extract_job
import pipeline.session.identify_job
import pipeline.session.save_job
import pipeline.session.session
import pipeline.session.uploads
from tests.unit.session.session_made import SmallLimits

LIMITS = SmallLimits(
    max_photo_bytes=20, max_photos_per_request=12, max_requests_per_connection=3, in_flight_per_connection=1
)
STREAM_WINDOW = 3
HELD_BYTES = 8
UNACKNOWLEDGED_BYTES = 16
MOST_HELD_BYTES = max(HELD_BYTES, LIMITS.max_photo_bytes) + UNACKNOWLEDGED_BYTES
"""What docs/protocol.md promises, with these bounds."""
WINDOWS: Mapping[ModuleType, Mapping[str, int]] = {
    pipeline.session.answers: {"MAX_UNACKNOWLEDGED_ITEMS": STREAM_WINDOW},
    pipeline.session.identify_job: {"PORTION_ITEMS": 2},
    pipeline.session.uploads: {
        "FREELY_HELD_BYTES": HELD_BYTES,
        "MAX_UNACKNOWLEDGED_BYTES": UNACKNOWLEDGED_BYTES,
        "ACKNOWLEDGED_STEP_BYTES": 2,
    },
}
MAX_TEXT_BYTES, MAX_BINARY_BYTES = 3000, 30
LENGTHS: Mapping[ModuleType, Mapping[str, int]] = {
    pipeline.protocol.json_text: {"MAX_TEXT_BYTES": MAX_TEXT_BYTES, "MAX_CONTAINERS": 60, "MAX_VALUES": 300},
    pipeline.session.session: {"MAX_BINARY_BYTES": MAX_BINARY_BYTES},
    pipeline.session.extract_job: {"SLICE_ELEMENTS": 3},
    pipeline.session.identify_job: {"SLICE_ELEMENTS": 3},
    pipeline.session.save_job: {"SLICE_ELEMENTS": 3},
}


@contextmanager
def small_bounds(*bounds: Mapping[ModuleType, Mapping[str, int]]) -> Iterator[None]:
    """Put these in the place of the real ones."""
    with ExitStack() as stack:
        for modules in bounds:
            for module, values in modules.items():
                stack.enter_context(patch.multiple(module, **values))
        yield
