"""Who may import whom, read from the source: ui -> rag_app -> {retriever, generator} -> knowledge_bases.records."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("knowledge_bases", "retriever", "generator", "rag_app", "ui")
MAY_IMPORT: dict[str, set[str]] = {
    "knowledge_bases": set(),
    "retriever": {"knowledge_bases"},
    "generator": {"knowledge_bases"},
    "rag_app": {"knowledge_bases", "retriever", "generator"},
    "ui": {"knowledge_bases", "rag_app"},
}
# An entry point ties the layers together; it is no library module.
ENTRY_POINTS = {Path("rag_app/__main__.py"): {"ui"}}


def sources(package: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module named in an import statement of a file, wherever it stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(names)


def outsiders(package: str, tool: str) -> set[str]:
    return {str(path) for path in sources(package) for name in imports(path) if name.split(".")[0] == tool}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_lies_below(package: str) -> None:
    assert sources(package)
    for path in sources(package):
        allowed = MAY_IMPORT[package] | {package} | ENTRY_POINTS.get(path, set())
        ours = {name for name in imports(path) if name.split(".")[0] in PACKAGES}
        wrong = {name for name in ours if name.split(".")[0] not in allowed}
        assert not wrong, f"{path} imports {sorted(wrong)}"


@pytest.mark.parametrize("package", ["retriever", "generator"])
def test_models_know_only_the_records(package: str) -> None:
    for path in sources(package):
        if "training" in path.parts:
            continue  # training reads knowledge bases to learn from them
        below = {name for name in imports(path) if name.startswith("knowledge_bases")}
        wrong = {name for name in below if not name.startswith("knowledge_bases.records")}
        assert not wrong, f"{path} imports {sorted(wrong)}"


def test_only_the_application_imports_langchain() -> None:
    for package in PACKAGES:
        found = outsiders(package, "langchain_core")
        assert bool(found) == (package == "rag_app"), found


def test_only_the_page_imports_gradio() -> None:
    for package in PACKAGES:
        found = outsiders(package, "gradio")
        assert bool(found) == (package == "ui"), found


def test_knowledge_bases_import_no_torch() -> None:
    assert not outsiders("knowledge_bases", "torch")
    assert not outsiders("knowledge_bases", "transformers")


def test_nothing_below_the_application_guesses_a_device() -> None:
    for package in ("retriever", "generator"):
        for path in sources(package):
            if "training" not in path.parts:
                assert "cuda.is_available" not in (ROOT / path).read_text(encoding="utf-8"), path
