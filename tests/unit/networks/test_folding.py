"""Folding changes how long a network takes, never what it answers."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from pipeline.networks.folding import fold_batch_norms

EXAMPLE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def with_statistics(network: nn.Module) -> nn.Module:
    """Give batch norms statistics that matter: fresh ones are all 0 and 1."""
    generator = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.running_mean, -0.2), (module.running_var, 0.5), (module.weight, 0.5)):
                values.data.uniform_(low, low + 1.0, generator=generator)
    return network.eval()


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121"])
def test_a_folded_network_answers_the_same(name):
    network = with_statistics(get_model(name, weights=None))
    folded = fold_batch_norms(network, EXAMPLE)
    with torch.inference_mode():
        expected = network(EXAMPLE)
        assert torch.allclose(folded(EXAMPLE), expected, atol=1e-4 * float(expected.abs().max()))


def test_a_resnet_has_no_batch_norm_left():
    folded = fold_batch_norms(with_statistics(get_model("resnet18", weights=None)), EXAMPLE)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]


class Untraceable(nn.Module):
    """Decides by a value, which symbolic tracing cannot follow."""

    def forward(self, images: Tensor) -> Tensor:
        return images if images.sum() > 0 else -images


def test_a_network_that_cannot_be_traced_stays_as_it_is():
    network = Untraceable()
    assert fold_batch_norms(network, EXAMPLE) is network


class SharedConvolution(nn.Module):
    """One convolution before two batch norms: folding both into it would be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        first: Tensor = self.first(self.convolution(images))
        second: Tensor = self.second(self.convolution(images + 1))
        return first + second


def test_a_network_that_folding_would_change_stays_as_it_is():
    network = with_statistics(SharedConvolution())
    assert fold_batch_norms(network, EXAMPLE) is network
