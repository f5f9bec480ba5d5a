"""The start command's checks, each as an operator would meet it."""

import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from deployments import launch
from deployments.launch import ON_LOOPBACK, RAY_ENVIRONMENT, main, ray_environment
from pipeline.catalogue.schema import SCHEMA_VERSION
from pipeline.catalogue.service_lock import check_not_held
from pipeline.catalogue.sql_store import found_layout, open_catalogue
from pipeline.errors import CatalogueHeldError
from pipeline.model_files import load_model_folder
from pipeline.networks.architectures import build_detector, build_embedder

ROW = 'WHALE_A,photo.jpg,"[' + ", ".join(["0.1"] * 128) + ']"\n'


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with untrained weights of the narrow networks."""
    folder = tmp_path_factory.mktemp("weights")
    document = {
        "segmenter": {"architecture": "fasterrcnn_narrow_resnet_fpn"},
        "body_parts": [{"name": name, "architecture": "narrow_resnet"} for name in ("fluke", "flank")],
    }
    (folder / "models.yaml").write_text(yaml.safe_dump(document))
    for name in ("segmentation.pth", "pm_fluke.pth", "pm_flank.pth"):
        (folder / name).touch()
    spec = load_model_folder(folder)
    torch.save(build_detector(spec.segmenter).state_dict(), spec.segmenter_file)
    for part in spec.body_parts:
        torch.save(build_embedder(part).state_dict(), spec.embedder_file(part.name))
    return folder


@pytest.fixture
def models(weights: Path, tmp_path: Path) -> Path:
    """The same folder, to be broken."""
    folder = tmp_path / "models"
    folder.mkdir()
    for file in weights.iterdir():
        os.link(file, folder / file.name)
    return folder


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config(folder: Path, models_dir: Path, port: int, host: str = "127.0.0.1", **arguments: object) -> str:
    arguments = {"models_dir": str(models_dir), "catalogue_url": f"sqlite:///{folder / 'c.sqlite'}", **arguments}
    document = {
        "http_options": {"host": host, "port": port},
        "applications": [{"name": "whales", "import_path": "deployments.application:build", "args": arguments}],
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


def refusal(capsys: pytest.CaptureFixture[str], file: str) -> str:
    assert main([file, "--check"]) == 1
    return capsys.readouterr().err


def test_everything_in_order(tmp_path, models, port, capsys):
    assert main([config(tmp_path, models, port), "--check"]) == 0
    assert "everything in order" in capsys.readouterr().out


def test_wrong_argument(tmp_path, models, port, capsys):
    assert "args.devise" in refusal(capsys, config(tmp_path, models, port, devise="cpu"))


def test_missing_config(tmp_path, capsys):
    assert "no such config file" in refusal(capsys, str(tmp_path / "absent.yaml"))


def test_config_that_is_not_yaml(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("{ broken")
    assert "cannot be read as YAML" in refusal(capsys, str(tmp_path / "config.yaml"))


def test_missing_weight_file(tmp_path, models, port, capsys):
    (models / "pm_flank.pth").unlink()
    assert "missing weight file: pm_flank.pth" in refusal(capsys, config(tmp_path, models, port))


def test_weight_file_of_another_network(tmp_path, models, port, capsys):
    (models / "pm_flank.pth").unlink()
    os.link(models / "segmentation.pth", models / "pm_flank.pth")
    error = refusal(capsys, config(tmp_path, models, port))
    assert "pm_flank.pth: does not fit its architecture" in error
    assert "expected shape" in error


def test_missing_models_folder(tmp_path, port, capsys):
    assert "no such models folder" in refusal(capsys, config(tmp_path, tmp_path / "absent", port))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu(tmp_path, models, port, capsys):
    assert "torch finds no GPU" in refusal(capsys, config(tmp_path, models, port, device="cuda"))


def test_taken_port_names_its_holder(tmp_path, models, capsys):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        error = refusal(capsys, config(tmp_path, models, holder.getsockname()[1]))
    assert f"held by process {os.getpid()}" in error
    assert "desktop app" in error


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    "host", [pytest.param("::", marks=needs_ipv6), pytest.param("::1", marks=needs_ipv6), "localhost", "0.0.0.0"]
)
def test_host_may_be_a_name_or_an_ipv6_address(tmp_path, models, port, host):
    assert main([config(tmp_path, models, port, host=host), "--check"]) == 0


@needs_ipv6
def test_taken_ipv6_port_names_its_holder(tmp_path, models, capsys):
    with socket.socket(socket.AF_INET6) as holder:
        holder.bind(("::1", 0))
        holder.listen()
        error = refusal(capsys, config(tmp_path, models, holder.getsockname()[1], host="::1"))
    assert f"held by process {os.getpid()}" in error


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "2001:db8::1"])
def test_host_that_is_not_this_machine_is_named(tmp_path, models, port, capsys, host):
    error = refusal(capsys, config(tmp_path, models, port, host=host))
    assert f"http_options.host: {host}" in error
    assert "desktop app" not in error


def test_bad_catalogue_row_is_named_and_nothing_is_taken_in(tmp_path, models, port, capsys):
    (models / "pm_identification_fluke_ind.csv").write_text(ROW)
    (models / "pm_identification_flank_ind.csv").write_text(ROW + "WHALE_B,photo.jpg,[1]\n")
    error = refusal(capsys, config(tmp_path, models, port))
    assert "pm_identification_flank_ind.csv" in error
    assert "line 2" in error
    assert not (tmp_path / "c.sqlite").exists()


LAYOUT_1 = Path(__file__).parents[1] / "unit" / "catalogue" / "layout1.sqlite"


@pytest.fixture
def started(monkeypatch):
    """The config files with which the start command would have become the service."""
    files = []
    monkeypatch.setattr(launch, "_become_the_service", lambda file, _: files.append(file))
    return files


def test_start_brings_a_catalogue_of_an_older_release_up_to_date_after_a_backup(
    tmp_path, models, port, started, caplog
):
    shutil.copy(LAYOUT_1, tmp_path / "c.sqlite")
    caplog.set_level(logging.INFO)
    main([config(tmp_path, models, port)])
    assert open_catalogue(f"sqlite:///{tmp_path / 'c.sqlite'}").counts().photos == 11
    assert (tmp_path / "c.layout-1.sqlite").is_file()
    assert len(started) == 1
    assert "DDL" not in caplog.text


def test_check_says_that_a_catalogue_will_be_brought_up_to_date_and_leaves_it(tmp_path, models, port, caplog):
    shutil.copy(LAYOUT_1, tmp_path / "c.sqlite")
    caplog.set_level(logging.INFO)
    assert main([config(tmp_path, models, port), "--check"]) == 0
    assert f"brings the catalogue from layout 1 to {SCHEMA_VERSION}" in caplog.text
    assert not list(tmp_path.glob("c.layout-1*"))
    assert found_layout(f"sqlite:///{tmp_path / 'c.sqlite'}") == 1


def test_check_makes_no_catalogue_and_the_start_makes_and_fills_one(tmp_path, models, port, started):
    (models / "pm_identification_fluke_ind.csv").write_text(ROW)
    file = config(tmp_path, models, port)
    assert main([file, "--check"]) == 0
    assert not (tmp_path / "c.sqlite").exists()
    main([file])
    assert open_catalogue(f"sqlite:///{tmp_path / 'c.sqlite'}").counts().photos == 1
    assert len(started) == 1


def test_nothing_is_brought_up_to_date_while_another_application_is_wrong(tmp_path, models, port, started, capsys):
    shutil.copy(LAYOUT_1, tmp_path / "c.sqlite")
    file = Path(config(tmp_path, models, port))
    document = yaml.safe_load(file.read_text())
    wrong = document["applications"][0] | {"name": "second", "args": {"models_dir": str(tmp_path / "absent")}}
    file.write_text(yaml.safe_dump(document | {"applications": [*document["applications"], wrong]}))
    assert main([str(file)]) == 1
    assert "no such models folder" in capsys.readouterr().err
    assert found_layout(f"sqlite:///{tmp_path / 'c.sqlite'}") == 1
    assert not started


@pytest.fixture
def another_service(tmp_path):
    """A process that holds the catalogue of `config`, as a running service does."""
    code = (
        "import sys; from pipeline.catalogue.service_lock import held_catalogues\n"
        "with held_catalogues([sys.argv[1]]): print('held', flush=True); sys.stdin.read()"
    )
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"
    with subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_catalogue_of_a_running_service_is_refused_and_its_process_named(
    tmp_path, models, port, started, capsys, another_service, options
):
    file = config(tmp_path, models, port)
    assert main([file, *options]) == 1
    assert f"in use by another service (process {another_service.pid} on " in capsys.readouterr().err
    assert not (tmp_path / "c.sqlite").exists()
    another_service.kill()
    another_service.wait()
    assert main([file, *options]) == 0


def test_a_catalogue_is_held_while_the_start_command_becomes_the_service(tmp_path, models, port, monkeypatch):
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"

    def become(*_) -> None:
        with pytest.raises(CatalogueHeldError):
            check_not_held([url])

    monkeypatch.setattr(launch, "_become_the_service", become)
    main([config(tmp_path, models, port)])
    check_not_held([url])


def test_a_cluster_of_its_own_has_a_new_token_at_each_start():
    first, second = ray_environment({}), ray_environment({"RAY_ADDRESS": "local"})
    assert first["RAY_ADDRESS"] == second["RAY_ADDRESS"] == "local"
    assert first["RAY_AUTH_MODE"] == second["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]
    assert first.items() >= ON_LOOPBACK.items()


@pytest.mark.parametrize(
    "given",
    [
        {"RAY_AUTH_TOKEN": "own"},
        {"RAY_AUTH_TOKEN_PATH": "/own"},
        {"RAY_AUTH_MODE": "disabled"},
        {"RAY_AUTH_TOKEN": "own", **dict.fromkeys(ON_LOOPBACK, "1")},
    ],
)
def test_the_operators_way_into_the_cluster_stays(given):
    environment = ray_environment(given)
    assert environment | given == environment
    assert environment.get("RAY_AUTH_TOKEN") == given.get("RAY_AUTH_TOKEN")
    assert environment["RAY_AUTH_MODE"] == given.get("RAY_AUTH_MODE", "token")


def test_a_cluster_that_the_operator_names_keeps_its_own_ways():
    environment = ray_environment({"RAY_ADDRESS": "10.0.0.1:6379"})
    assert environment == RAY_ENVIRONMENT | {"RAY_ADDRESS": "10.0.0.1:6379"}


def test_missing_photo_root(tmp_path, models, port, capsys):
    assert "args.photo_roots" in refusal(capsys, config(tmp_path, models, port, photo_roots=["/no/such/folder"]))


def test_export_dir_that_is_a_file(tmp_path, models, port, capsys):
    (tmp_path / "taken").touch()
    assert "is not a folder" in refusal(capsys, config(tmp_path, models, port, export_dir=str(tmp_path / "taken")))
