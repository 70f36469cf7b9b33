"""The Makefile's help is complete, and each check asks for no more than it needs."""

import os
import subprocess

from workspace import ROOT


def run_make(*arguments: str) -> list[str]:
    command = ["make", "--no-print-directory", "-C", str(ROOT), *arguments]
    # what a `make test` around this one was told is not for us
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return done.stdout.splitlines()


def test_help_lists_every_target_in_its_group() -> None:
    groups: dict[str, list[str]] = {}
    for line in run_make("help"):
        if line.startswith("  make "):
            groups[list(groups)[-1]].append(line.split()[1])
        elif line:
            groups[line] = []
    assert list(groups) == ["Use", "Develop", "Check", "Clean"]
    listed = {target for targets in groups.values() for target in targets}
    phony = (ROOT / "Makefile").read_text().partition(".PHONY: ")[2].partition("\n")[0].split()
    assert set(phony) - listed == {"help", "lint-venv", "need-python"}
    assert listed <= set(phony)


def test_lint_waits_for_no_set_up() -> None:
    set_ups = [line for line in run_make("-n", "lint") if "scripts/set_up.py" in line]
    assert [line.split("set_up.py")[1].strip() for line in set_ups] == ["lint"]


def test_everything_is_checked_and_the_tests_come_last() -> None:
    lines = run_make("-n", "test", "PYTEST_ARGS=-x")
    text = "\n".join(lines)
    for tool in ("ruff check", "ruff format --check", "codespell", "lint-imports", "mypy"):
        assert tool in text
    assert lines[-1].endswith("python -m pytest -n 2 --dist loadfile -x")
