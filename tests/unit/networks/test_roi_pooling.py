"""Pooling on several threads changes nothing."""

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from pipeline.networks.roi_pooling import ThreadedRoiPool


def pool():
    return MultiScaleRoIAlign(["0", "1"], output_size=7, sampling_ratio=2)


def boxes(count):
    corners = torch.rand(count, 2) * 60
    return torch.cat([corners, corners + 5 + torch.rand(count, 2) * 60], dim=1)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("counts", [(40,), (7, 1, 20), (0, 5), (1,), (0,)])
def test_the_answers_are_torchvisions_to_the_last_bit(threads, counts):
    torch.manual_seed(0)
    features = {"0": torch.rand(len(counts), 8, 32, 32), "1": torch.rand(len(counts), 8, 16, 16)}
    regions = [boxes(count) for count in counts]
    sizes = [(128, 128 - 3 * index) for index in range(len(counts))]
    with torch.inference_mode():
        threaded = ThreadedRoiPool(pool(), threads)(features, regions, sizes)
        assert torch.equal(threaded, pool()(features, regions, sizes))
