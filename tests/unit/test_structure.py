"""The package's structure and words: what CONTRIBUTING.md asks of every module, counted."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import tui_influence

PACKAGE = Path(tui_influence.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}

MAX_PER_10_000 = {"found": 10, "one": 5}
"""Names that say that a value is there, not what it is."""
VAGUE, MAX_VAGUE = frozenset({"asked", "said", "told", "wanted", "own", "place", "look", "pen"}), 15
"""Further such names, and how many of 10,000 they may be together."""
MAX_LOCAL_IMPORTS = 25
MAX_LINES, MIN_LINES = 600, 40


def identifiers() -> Iterator[str]:
    """Every name, attribute, argument and definition in the package."""
    for tree in TREES.values():
        for node in ast.walk(tree):
            match node:
                case ast.Name():
                    yield node.id
                case ast.Attribute():
                    yield node.attr
                case ast.arg():
                    yield node.arg
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    yield node.name


def imported_modules(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The package's own modules that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in MODULES)
        return
    for alias in node.names:
        full = f"{node.module}.{alias.name}"
        yield from (name for name in (full if full in MODULES else node.module,) if name in MODULES and name != module)


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import statement below a node."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = [stack.pop()]
            while component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                components.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return components


def test_names_say_what_a_value_is():
    counts = Counter(identifiers())
    per_10_000 = 10_000 / sum(counts.values())
    used = {name: counts[name] * per_10_000 for name in MAX_PER_10_000}
    assert {name: rate for name, rate in used.items() if rate > MAX_PER_10_000[name]} == {}
    assert sum(counts[name] for name in VAGUE) * per_10_000 <= MAX_VAGUE, {name: counts[name] for name in VAGUE}


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        module: {name for node in imports(tree) for name in imported_modules(module, node)}
        for module, tree in TREES.items()
    }
    assert circles(graph) == []


def test_circles_are_noticed():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def local_imports() -> dict[str, list[int]]:
    """Lines of each module that import another of the package's modules inside a function."""
    lines = defaultdict(list)
    for module, tree in TREES.items():
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        for node in {inner for function in functions for inner in imports(function)}:
            if any(imported_modules(module, node)):
                lines[module].append(node.lineno)
    return dict(lines)


def test_imports_stand_at_the_top_of_a_file():
    lines = local_imports()
    assert sum(map(len, lines.values())) <= MAX_LOCAL_IMPORTS, lines


@pytest.mark.parametrize(("module", "numbers"), local_imports().items())
def test_an_import_inside_a_function_gives_its_reason(module, numbers):
    """A comment on its line, or above it or the first of a block of them."""
    text = MODULES[module].read_text("utf-8").splitlines()
    for number in numbers:
        first = number
        while first - 1 in numbers:
            first -= 1
        assert "#" in text[number - 1] or "#" in text[first - 1] or text[first - 2].lstrip().startswith("#"), (
            f"{module}:{number}"
        )


def described_attributes(cls: ast.ClassDef) -> set[str]:
    """The names in the section `Attributes` of a class's docstring."""
    section = (ast.get_docstring(cls) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    return {name.strip() for line in re.findall(r"^    ([\w, ]+):", section, re.MULTILINE) for name in line.split(",")}


def attributes(cls: ast.ClassDef) -> set[str]:
    """The names that a class declares, sets on itself, or defines as methods and properties."""
    names = set()
    for node in ast.walk(cls):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.FunctionDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                names.add(name)
    return names


def test_docstrings_describe_attributes_that_exist():
    unknown = {
        f"{module}.{node.name}": names
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and (names := described_attributes(node) - attributes(node))
    }
    assert unknown == {}


def test_a_module_is_neither_long_nor_a_fragment():
    """Short ones say why in `SHORT`; packages' own files only describe them."""
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
    short = {name for name, path in MODULES.items() if lengths[name] < MIN_LINES and path.name != "__init__.py"}
    assert {name.removeprefix("tui_influence.") for name in short} == SHORT.keys()


SHORT = {
    "__main__": "the module that Python runs for `python -m tui_influence`",
    "analysis.prior": "where records meet the prior: used by the rankings, the effects, two probes and the curve",
    "cli.commands.score": "one command: what it reads, scores and writes has modules of its own",
    "growth.extension": "where every kind of growth is decided: each has a module",
    "export.example": "the document of one result",
    "pixel_counts": "below everything that reads pixels; tells nothing else",
    "threads": "shared by the packing of images and by training, which knows no files",
    "tui.theme": "two colour themes",
    "training.device_memory": "of torch's devices; that of the host is read without torch",
}
"""Modules of fewer than 40 lines, and the reason of each."""
