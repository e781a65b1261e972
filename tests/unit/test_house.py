"""Rules of the house that a linter does not know: who may vouch, how long a module is, what it is called.

Each test lists the offenders, so that an empty list is the rule kept.
"""

import ast
import re
from functools import cache
from pathlib import Path

import dnsbound

SOURCE = Path(dnsbound.__file__).parent
MODULES = {
    path.relative_to(SOURCE).as_posix(): path
    for path in sorted(SOURCE.rglob("*.py"))
    if "migrations" not in path.relative_to(SOURCE).parts
}

BANNED_NAMES = {"util", "utils", "misc", "common", "helper", "helpers", "base", "manager", "managers"}
MAX_MODULE_LINES = 405
"""The rule says about 400."""
MAX_FUNCTION_LINES = 43
"""The rule says about 40; docstring and signature do not count here."""
LOW_FLOORS = {"records", "credential", "dns", "verify", "tls", "protocols"}
CLOCKS_AND_ENTROPY = re.compile(
    r"\b(?:time\.(?:time|monotonic|perf_counter|sleep)\(|datetime\.(?:now|utcnow|today)\("
    r"|os\.(?:urandom|environ|getenv)|secrets\.|random\.(?:random|choice|randint|randbytes))"
)
WEAKENING = re.compile(
    r"^(?:allow|accept|skip|no|disable|ignore|trust|force)_\w*(?:insecure|unsigned|verif|expired|weak|anyone)"
)


@cache
def text(module: str) -> str:
    return MODULES[module].read_text("utf-8")


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(text(module), module)


def functions(module: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def floor(module: str) -> str:
    return module.partition("/")[0]


def test_the_modules_are_found() -> None:
    assert {"verify/engine.py", "verify/peer.py", "names.py"} <= set(MODULES)


def test_a_peer_is_attested_in_one_place_only() -> None:
    users = [
        module
        for module in MODULES
        for node in ast.walk(tree(module))
        if (isinstance(node, ast.Name) and node.id == "_attest")
        or (isinstance(node, ast.Attribute) and node.attr == "_attest")
    ]
    assert users == ["verify/engine.py"]
    importers = [
        module
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom) and any(alias.name in ("_attest", "_SEAL") for alias in node.names)
    ]
    assert importers == ["verify/engine.py"]
    assert [module for module in MODULES if "_SEAL" in text(module)] == [
        "objects/signed.py",
        "verify/peer.py",
        "verify/users.py",
    ]


def test_a_signed_object_is_attested_in_one_place_only() -> None:
    named = [module for module in MODULES if "_attest_object" in text(module)]
    assert named == ["edge/object_verifier.py", "objects/signed.py"]


def test_modules_are_named_for_what_they_are() -> None:
    assert [module for module in MODULES if BANNED_NAMES & set(re.split(r"[/._]", module))] == []


def test_modules_say_what_they_are() -> None:
    assert [module for module in MODULES if not ast.get_docstring(tree(module))] == []


def test_modules_are_short() -> None:
    long = {module: len(text(module).splitlines()) for module in MODULES}
    assert {module: lines for module, lines in long.items() if lines > MAX_MODULE_LINES} == {}


def test_functions_fit_on_a_screen() -> None:
    assert [
        (module, node.name, body_lines(node))
        for module in MODULES
        for node in functions(module)
        if body_lines(node) > MAX_FUNCTION_LINES
    ] == []


def test_public_classes_say_what_they_are() -> None:
    assert [
        (module, node.name)
        for module in MODULES
        for node in tree(module).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node)
    ] == []


def test_the_floors_below_the_edge_read_no_clock_and_no_environment() -> None:
    low = [module for module in MODULES if floor(module) in LOW_FLOORS or "/" not in module]
    assert len(low) > 20
    assert [(module, found[0]) for module in low if (found := CLOCKS_AND_ENTROPY.search(text(module)))] == []


def test_nothing_is_caught_without_a_name() -> None:
    assert [
        (module, node.lineno)
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ] == []


def test_a_knob_that_weakens_security_has_danger_in_its_name() -> None:
    assert [
        (module, argument.arg)
        for module in MODULES
        for node in functions(module)
        for argument in (*node.args.args, *node.args.kwonlyargs)
        if WEAKENING.match(argument.arg)
    ] == []
