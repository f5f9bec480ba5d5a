"""Strict loading: what the original's load_state_dict takes is taken, everything else is refused with its reason."""

import hashlib
import os
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d

from pipeline.errors import ModelFilesError
from pipeline.networks.checkpoints import load_weights


def network(norm=nn.BatchNorm2d):
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=norm(4), fc=nn.Sequential(nn.Linear(4, 2, bias=False)))
    )


@pytest.fixture
def trained():
    made = network()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    nn.init.uniform_(made.bn.running_var, 0.5, 2.0)
    return made


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pm_fluke.pth"


def assert_same_weights(loaded, expected):
    for key, value in expected.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(loaded.state_dict()[key], value, rtol=0, atol=0)


def test_a_checkpoint_loads_and_is_named_by_its_hash(trained, file):
    torch.save(trained.state_dict(), file)
    loaded = network()
    assert load_weights(loaded, file) == hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    assert_same_weights(loaded, trained)


@pytest.mark.parametrize("plain", [True, False], ids=["plain dict", "with torch's metadata"])
def test_the_parallel_prefix_is_taken_off(trained, file, plain):
    state = nn.DataParallel(trained).state_dict()
    assert all(key.startswith("module.") for key in state)
    torch.save(dict(state) if plain else state, file)
    loaded = network()
    load_weights(loaded, file)
    assert_same_weights(loaded, trained)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_frozen_batch_norms_load_without_their_step_counter(trained, file, prefix):
    frozen = network(FrozenBatchNorm2d)
    frozen.load_state_dict(trained.state_dict())
    state = frozen.state_dict()
    assert not any(key.endswith("num_batches_tracked") for key in state)
    torch.save({prefix + key: value for key, value in state.items()} if prefix else state, file)
    loaded = network()
    load_weights(loaded, file)
    assert_same_weights(loaded, trained)


@pytest.mark.parametrize("zip_format", [True, False])
def test_torchs_old_and_new_file_formats_load(trained, file, zip_format):
    torch.save(trained.state_dict(), file, _use_new_zipfile_serialization=zip_format)
    loaded = network()
    load_weights(loaded, file)
    assert_same_weights(loaded, trained)


def test_half_precision_weights_load_as_the_networks_own_type(trained, file):
    torch.save({key: value.half() for key, value in trained.state_dict().items()}, file)
    loaded = network()
    load_weights(loaded, file)
    assert loaded.conv.weight.dtype == torch.float32


def broken(trained, change):
    state = dict(trained.state_dict())
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda state: state.update({"fc.0.weight": torch.zeros(3, 4)}),
            "fc.0.weight: expected shape (2, 4), found shape (3, 4)",
        ),
        (lambda state: state.pop("fc.0.weight"), "fc.0.weight is missing (expected shape (2, 4))"),
        (lambda state: state.pop("bn.running_mean"), "bn.running_mean is missing (expected shape (4,))"),
        (
            lambda state: state.update({"fc.weight": torch.zeros(7)}),
            "fc.weight is not in the architecture (found shape (7,))",
        ),
        (
            lambda state: state.update({"module.conv.bias": state.pop("conv.bias")}),
            "conv.bias is missing (expected shape (4,)); module.conv.bias is not in the architecture",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_file_key_expected_and_found(trained, file, change, said):
    torch.save(broken(trained, change), file)
    with pytest.raises(ModelFilesError) as refused:
        load_weights(network(), file)
    assert str(refused.value).startswith(f"{file}: does not fit its architecture: ")
    assert said in str(refused.value)


def test_many_problems_are_counted_rather_than_all_printed(trained, file):
    torch.save({f"other.{number}": torch.zeros(1) for number in range(40)}, file)
    with pytest.raises(ModelFilesError, match=r"and \d+ more") as refused:
        load_weights(network(), file)
    assert len(str(refused.value)) < 600


class Runs:
    """Unpickling this would make a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_with_code_is_refused_and_its_code_never_runs(tmp_path, file):
    trap = tmp_path / "trap"
    torch.save({"weights": Runs(trap)}, file)
    with pytest.raises(ModelFilesError, match="could run code"):
        load_weights(network(), file)
    assert not trap.exists()


def test_a_whole_pickled_network_is_refused(trained, file):
    torch.save(trained, file)
    with pytest.raises(ModelFilesError, match=r"save it again with torch\.save\(network\.state_dict\(\), file\)"):
        load_weights(network(), file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        b"PK\x03\x04 cut short",
        "\u00e9t\u00e9".encode(),
        pickle.dumps({"weights": [1, 2]})[:-1],
    ],
)
def test_what_is_no_checkpoint_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(ModelFilesError, match=r"pm_fluke\.pth"):
        load_weights(network(), file)


def test_a_truncated_checkpoint_is_refused(trained, file):
    torch.save(trained.state_dict(), file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ModelFilesError, match="damaged"):
        load_weights(network(), file)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.zeros(1)], "found a list"),
        ({}, "found an empty mapping"),
        ({"epoch": 3, "state_dict": {}}, "found 'epoch': a int"),
        ({1: torch.zeros(1)}, "found 1: a Tensor"),
    ],
)
def test_other_contents_than_a_state_dict_are_refused(file, content, found):
    torch.save(content, file)
    with pytest.raises(ModelFilesError, match="expected a state dict") as refused:
        load_weights(network(), file)
    assert found in str(refused.value)


def test_a_missing_file_is_refused(file):
    with pytest.raises(ModelFilesError, match="No such file"):
        load_weights(network(), file)
