"""The house's rules that a reviewer should not have to check by eye."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_NOT_IMPORT = {
    "pipeline": {"deployments", "training", "benchmarks", "tests", "ray"},
    "training": {"deployments", "benchmarks", "tests"},
    "deployments": {"training", "benchmarks", "tests"},
    "benchmarks": {"tests"},
}
LOWEST_FIRST = ("errors", "records", "settings")
SOURCES = sorted(path for room in MAY_NOT_IMPORT for path in (ROOT / room).rglob("*.py"))
TORCH_FREE = (
    "pipeline.client",
    "deployments.ingress",
    "deployments.site",
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


@pytest.mark.parametrize("place", range(len(LOWEST_FIRST)))
def test_the_lowest_modules_import_only_what_lies_below(place):
    allowed = {f"pipeline.{name}" for name in LOWEST_FIRST[:place]}
    ours = {
        name
        for name in imported_modules(ROOT / "pipeline" / f"{LOWEST_FIRST[place]}.py")
        if name.startswith("pipeline")
    }
    assert ours <= allowed


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
