"""The option that writes rendered tables into the documents."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-docs", action="store_true", help="write the rendered tables anew")
