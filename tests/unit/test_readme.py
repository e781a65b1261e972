"""The README's program is the example, and the example says what its comments say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_readmes_program_is_the_example() -> None:
    assert f"```python\n{(ROOT / 'examples/hello.py').read_text()}```" in (ROOT / "README.md").read_text()


def test_the_example_runs() -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "examples/hello.py")], capture_output=True, text=True, timeout=60, check=True
    )
    greeting, refusal = ended.stdout.splitlines()
    assert greeting == "hello car54._device.cars.example"
    assert refusal.startswith("shut out:")


def test_every_document_the_readme_names_is_there() -> None:
    import re

    named = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(named) > 6
    assert [name for name in named if not (ROOT / name).exists()] == []
