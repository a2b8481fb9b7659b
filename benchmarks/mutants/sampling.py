"""The mutants of a package: cosmic-ray's operators at every position of its modules, and a seeded sample of them."""

import ast
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from cosmic_ray.work_item import MutationSpec

OPERATORS = re.compile(
    r".*/(ReplaceBinaryOperator_.*|ReplaceUnaryOperator_.*|ReplaceComparisonOperator_.*|AddNot|NumberReplacer"
    r"|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceAndWithOr|ReplaceOrWithAnd"
    r"|ReplaceBreakWithContinue|ReplaceContinueWithBreak)"
)
"""An operator, a comparison, a condition, a constant or a jump is changed; neither words nor decorators are."""
IDENTITY = re.compile(r".*/ReplaceComparisonOperator_((Is|IsNot)_(?!Is)|(?!Is)[A-Za-z]+_(Is|IsNot)$)")
"""`==` to `is` and the like: whether equal numbers are one object is Python's affair."""


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        spec: the change, as cosmic-ray applies it.
        module: path of the module, relative to the repository.
        function: name of the innermost function or class around the change; "" at the module's top.
        before: the line that changes, stripped.
        after: what it changes to, stripped.
        line: its number, from 1.
    """

    spec: MutationSpec
    module: str
    function: str
    before: str
    after: str
    line: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells mutants apart, wherever their line stands."""
        return self.module, self.function, self.before, self.after


def modules_of(package: str, root: Path) -> list[Path]:
    """Return the modules of a package, or the module of that name, as paths relative to `root`."""
    directory = Path("tui_influence", package)
    if (root / directory).is_dir():
        return sorted(path.relative_to(root) for path in (root / directory).rglob("*.py"))
    return [directory.with_suffix(".py")]


def sample(modules: Sequence[Path], root: Path, count: int, seed: int) -> list[Mutant]:
    """Draw mutants of some modules.

    Positions are drawn first, all alike, then one of the changes at each: an arithmetic operator has eleven and would
    crowd out the rest. What changes nothing but an annotation, or is no Python, is passed over.

    Args:
        modules: relative to `root`.
        root: of the repository.
        count: how many; fewer come back if there are fewer positions.
        seed: the same seed draws the same mutants from the same code.

    Returns:
        mutants in the order in which they were drawn.
    """
    rng = random.Random(seed)
    at_position: dict[tuple[str, tuple[int, int]], list[MutationSpec]] = {}
    for module in modules:
        for spec in _changes(module, root):
            at_position.setdefault((str(module), spec.start_pos), []).append(spec)
    positions = list(at_position)
    rng.shuffle(positions)
    drawn: list[Mutant] = []
    for position in positions:
        if len(drawn) == count:
            break
        changes = at_position[position]
        rng.shuffle(changes)
        mutant = next(filter(None, (_mutant(spec, root) for spec in changes)), None)
        if mutant is not None:
            drawn.append(mutant)
    return drawn


def _changes(module: Path, root: Path) -> Iterator[MutationSpec]:
    """Every change that the chosen operators can make to a module."""
    nodes = list(ast_nodes(get_ast_from_path(root / module)))
    for name in operator_names():
        if not OPERATORS.fullmatch(name) or IDENTITY.match(name):
            continue
        operator = get_operator(name)()
        positions = ((node, *span) for node in nodes for span in operator.mutation_positions(node))
        for occurrence, (node, start, end) in enumerate(positions):
            yield MutationSpec(
                module_path=module,
                operator_name=name,
                occurrence=occurrence,
                start_pos=start,
                end_pos=end,
                definition_name=ASTQuery(node).get_definition_name(),
            )


def _mutant(spec: MutationSpec, root: Path) -> Mutant | None:
    """The mutant of a change; None if it is no Python or means the same."""
    source = (root / spec.module_path).read_text(encoding="utf-8")
    mutated = mutate_code(source, get_operator(spec.operator_name)(), spec.occurrence)
    try:
        if _meaning(mutated) == _meaning(source):
            return None
    except SyntaxError:
        return None
    before, after = source.splitlines(), mutated.splitlines()
    changed = next(number for number, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])
    return Mutant(
        spec=spec,
        module=str(spec.module_path),
        function=spec.definition_name or "",
        before=before[changed].strip(),
        after=after[changed].strip(),
        line=changed + 1,
    )


def _meaning(source: str) -> str:
    """The syntax tree of a module without what says nothing of its behaviour."""
    return ast.dump(_Bare().visit(ast.parse(source)))


class _Bare(ast.NodeTransformer):
    """Takes out annotations, the markers `*` and `/` of parameters, and the `strict` of `zip`, which only asserts."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "zip":
            node.keywords = []
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        self.generic_visit(node)
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.defaults = [*node.defaults, *filter(None, node.kw_defaults)]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return node
