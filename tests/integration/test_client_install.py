"""The client alone on a machine without the service: its own requirements, its own files, nothing else."""

import csv
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.unit.client.scripted_server import ScriptedServer, served_in_a_thread

ROOT = Path(__file__).parents[2]
CLIENT_FILES = ("pipeline/__init__.py", "pipeline/errors.py", "pipeline/client")
MIB = 2**20


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client's files and a virtual environment with its requirements, `.venv`."""
    folder = tmp_path_factory.mktemp("machine")
    for name in CLIENT_FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "requirements-client.txt", folder)
    venv.create(folder / ".venv", with_pip=True)
    pip = [str(folder / ".venv/bin/python"), "-m", "pip", "--retries", "1", "--timeout", "5"]
    command = [*pip, "install", "-r", "requirements-client.txt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode and "connection broken by" in done.stderr:
        pytest.skip("pip reaches no package index from here, so the client cannot be installed anew")
    assert done.returncode == 0, done.stderr
    return folder


def run(machine: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(machine / ".venv/bin/python"), "-m", "pipeline.client", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WHALE"))}
    return subprocess.run(command, cwd=machine, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_the_command_line_runs_with_the_clients_files_and_requirements_alone(machine: Path) -> None:
    done = run(machine, "--help")
    assert done.returncode == 0, done.stderr
    assert "identify" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("upload", [[], ["--upload"]])
def test_photos_are_identified_from_there(machine: Path, upload: list[str]) -> None:
    (machine / "photos").mkdir(exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        (machine / "photos" / name).write_bytes(b"photo")
    with served_in_a_thread(ScriptedServer()) as server:
        done = run(machine, "identify", "photos", "--server", server.url, "--csv", "out.csv", *upload)
    assert done.returncode == 0, done.stderr
    with (machine / "out.csv").open(newline="", encoding="utf-8") as file:
        best = {Path(row["path"]).name: row["individual"] for row in csv.DictReader(file) if row["rank"] == "1"}
    assert best == {"a.jpg": "PMOD001_DANTE", "b.jpg": "PMOD001_DANTE"}


@pytest.mark.slow
def test_what_is_installed_is_a_few_megabytes(machine: Path) -> None:
    (packages,) = (machine / ".venv").glob("lib/python*/site-packages")
    installed = [path for path in packages.iterdir() if not path.name.startswith(("pip", "setuptools", "wheel"))]
    files = [file for path in installed for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    assert sum(file.stat().st_size for file in files if file.suffix != ".pyc") < 20 * MIB
    names = {path.name.lower() for path in installed}
    assert names.isdisjoint({"torch", "ray", "numpy"})


def test_the_client_has_the_versions_of_the_service() -> None:
    service = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    client = (ROOT / "requirements-client.txt").read_text(encoding="utf-8").splitlines()
    assert client
    assert [line for line in client if line not in service] == []


def test_the_requirements_are_what_the_client_imports() -> None:
    code = "import sys; here = {*sys.modules}; import pipeline.client.command_line; print(*{*sys.modules} - here)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()} - sys.stdlib_module_names - {"pipeline"}
    needed_by_rich = {"pygments", "markdown_it", "mdurl"}
    assert packages - needed_by_rich == {"rich", "websockets"}
