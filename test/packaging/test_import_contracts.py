"""Lists of modules in the import contracts that have to follow the folders."""

from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "proxia_segmentation_ros"


def test_every_command_is_kept_from_the_benchmarks() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (
        contract
        for contract in settings["contracts"]
        if contract["name"] == "Only its own commands import the benchmarks"
    )
    modules = {path.stem for path in (ROOT / PACKAGE / "cli").glob("*.py")}
    commands = modules - {"__init__", "__main__"}
    assert set(contract["source_modules"]) == {f"{PACKAGE}.cli.{name}" for name in commands}
