"""Every name that a package promises can be imported, although it is loaded on first use."""

import importlib

import pytest
from workspace import PACKAGE, ROOT

PACKAGES = sorted(
    path.parent.relative_to(ROOT).as_posix().replace("/", ".")
    for path in (ROOT / PACKAGE).rglob("__init__.py")
    if "__all__" in path.read_text()
)
NAMES = [
    (package, name) for package in PACKAGES for name in importlib.import_module(package).__all__
]


def test_packages_are_found() -> None:
    assert {f"{PACKAGE}.ros", f"{PACKAGE}.inference", f"{PACKAGE}.model"} <= set(PACKAGES)


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_promised_name_is_there(package: str, name: str) -> None:
    assert getattr(importlib.import_module(package), name) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_other_names_are_not_there(package: str) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = importlib.import_module(package).no_such_name
