"""The records on their way between deployments."""

import pickle

import pytest

from pipeline.records import BoundingBox, Detection, Detections


@pytest.mark.parametrize("count", [0, 1, 100])
def test_detections_survive_pickling_in_their_order(count):
    items = tuple(
        Detection(BoundingBox(number, 0.1, 2.5, 3e-7), f"part {number % 2}", 1 / 3) for number in range(count)
    )
    detections = Detections(items, "0123456789ab")
    assert pickle.loads(pickle.dumps(detections)) == detections


def test_a_hundred_boxes_pickle_without_an_object_for_each():
    items = tuple(Detection(BoundingBox(number, 1.0, 2.0, 3.0), "fluke", 0.5) for number in range(100))
    as_objects = pickle.dumps(items)
    assert len(pickle.dumps(Detections(items, "0123456789ab"))) < len(as_objects)
