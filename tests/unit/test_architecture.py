"""The house's rules that a reviewer should not have to check by eye."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS: dict[str, set[str]] = {
    "pipeline.errors": set(),
    "pipeline.records": {"errors"},
    "pipeline.stored_photos": {"records"},
    "pipeline.photo_store": {"errors"},
    "pipeline.names": {"errors", "records"},
    "pipeline.catalogue_url": set(),
    "pipeline.settings": {"errors", "records", "catalogue_url"},
    "pipeline.rights": {"errors", "records"},
    "pipeline.access": {"records", "rights"},
    "pipeline.model_files": {"errors"},
    "pipeline.protocol": {"errors", "records", "stored_photos", "names"},
    "pipeline.session": {"errors", "records", "stored_photos", "access", "protocol"},
    "pipeline.photos": {"errors", "records", "stored_photos", "photo_store", "names", "settings"},
    "pipeline.networks": {"errors", "records", "settings", "model_files"},
    "pipeline.catalogue": {
        *(
            "errors",
            "records",
            "stored_photos",
            "names",
            "catalogue_url",
            "rights",
            "access",
            "protocol",
            "model_files",
        ),
    },
    "pipeline.extraction": {"errors", "records", "stored_photos", "names", "model_files", "photos", "networks"},
    "pipeline.client": {"errors"},
    "pipeline.admin": {"errors", "records", "rights", "settings", "model_files", "photos", "catalogue"},
}
"""Each room of `pipeline` and those that it may import; docs/architecture.md has the same table."""

MAY_NOT_IMPORT = {
    "pipeline": {"deployments", "training", "benchmarks", "tests", "ray"},
    "training": {"deployments", "benchmarks", "tests"},
    "deployments": {"training", "benchmarks", "tests"},
    "benchmarks": {"tests"},
}
SOURCES = sorted(path for room in MAY_NOT_IMPORT for path in (ROOT / room).rglob("*.py"))
TORCH_FREE = (
    "pipeline.admin.command_line",
    "pipeline.catalogue.people",
    "pipeline.client",
    "deployments.catalogue",
    "deployments.ingress",
    "deployments.site",
    "pipeline.catalogue.opening",
    "pipeline.catalogue.permitted",
    "pipeline.session.session",
    "pipeline.model_files",
)


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    room = path.relative_to(ROOT).parts[0]
    upward = {name for name in imported_modules(path) if name.split(".")[0] in MAY_NOT_IMPORT[room]}
    assert not upward, f"{path.name} imports {upward}"


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_every_module_of_the_pipeline_is_in_a_room():
    modules = {room_of(module_of(path)) for path in SOURCES if path.is_relative_to(ROOT / "pipeline")}
    assert modules - {"pipeline.__init__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_that_it_may(room):
    allowed = {f"pipeline.{name}" for name in ROOMS[room]} | {room}
    for path in SOURCES:
        if room_of(module_of(path)) == room:
            ours = {room_of(name) for name in imported_modules(path) if name.startswith("pipeline")}
            assert ours <= allowed, path


def test_no_arrow_between_rooms_leads_back():
    done: set[str] = set()
    while left := set(ROOMS) - done:
        free = {room for room in left if {f"pipeline.{name}" for name in ROOMS[room]} <= done}
        assert free, f"a cycle among {left}"
        done |= free


def test_the_document_has_the_same_arrows():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("| room | what | may import |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    documented = {f"pipeline.{room.strip('`/')}": set(re.findall(r"`(\w+)`", arrows)) for room, _, arrows in rows}
    assert documented == ROOMS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or node.lineno) - node.lineno < 40, node.name


def local_imports(module: str, seen: set[str]) -> set[str]:
    """All modules that importing `module` imports at its top level, ours followed."""
    if module in seen:
        return set()
    seen.add(module)
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.exists() else ROOT / module.replace(".", "/") / "__init__.py"
    if not path.exists():
        return {module}
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            found |= local_imports(name, seen) if name.startswith(("pipeline", "deployments")) else {name.split(".")[0]}
    return found


@pytest.mark.parametrize("module", TORCH_FREE)
def test_the_edge_starts_without_torch(module):
    assert not {"torch", "torchvision", "openvino"} & local_imports(module, set())
