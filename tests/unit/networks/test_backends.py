"""Which backend runs a network."""

import logging

import pytest
import torch

from pipeline.errors import SettingsError
from pipeline.networks import backends
from pipeline.networks.backends import choose_runtime, use_threads


def cannot_convert():
    raise SettingsError("no such operation")


def cannot_import():
    raise ImportError("libopenvino.so")


@pytest.mark.parametrize(
    ("requested", "device", "installed", "expected"),
    [
        ("auto", "cpu", True, "openvino"),
        ("auto", "cpu", False, "torch"),
        ("torch", "cpu", True, "torch"),
        ("openvino", "cpu", True, "openvino"),
        ("auto", "cuda:0", True, "torch"),
        ("openvino", "cuda:0", True, "torch"),
        ("openvino", "cuda", False, "torch"),
    ],
)
def test_the_backend_follows_request_device_and_what_is_installed(monkeypatch, requested, device, installed, expected):
    monkeypatch.setattr(backends, "openvino_installed", lambda: installed)
    runtime, engine = choose_runtime(requested, device, lambda: "by torch", lambda: "by openvino")
    assert (runtime, engine) == (f"by {expected}", expected)


@pytest.mark.parametrize("fails", [cannot_convert, cannot_import])
def test_auto_falls_back_to_torch_and_says_why(monkeypatch, caplog, fails):
    monkeypatch.setattr(backends, "openvino_installed", lambda: True)
    with caplog.at_level(logging.WARNING):
        assert choose_runtime("auto", "cpu", lambda: "by torch", fails) == ("by torch", "torch")
    assert "OpenVINO cannot run this network" in caplog.text


@pytest.mark.parametrize("fails", [cannot_convert, cannot_import])
def test_openvino_by_name_is_refused_where_it_cannot_run_the_network(monkeypatch, fails):
    monkeypatch.setattr(backends, "openvino_installed", lambda: True)
    with pytest.raises(SettingsError, match="backend"):
        choose_runtime("openvino", "cpu", lambda: "by torch", fails)


def test_openvino_by_name_is_refused_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(backends, "openvino_installed", lambda: False)
    with pytest.raises(SettingsError, match="pip install openvino"):
        choose_runtime("openvino", "cpu", lambda: "by torch", lambda: "by openvino")


def test_threads_are_bounded_and_zero_leaves_them():
    before = torch.get_num_threads()
    try:
        use_threads(3)
        use_threads(0)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
