"""Errors that a user can act on."""

import pytest

from proxia_segmentation_ros.errors import (
    BackendError,
    ConfigError,
    InputError,
    ProxiaError,
    WeightsError,
)


def test_sentence_names_value_rule_and_remedy() -> None:
    error = ConfigError.from_parts("size is '3x3'", "at least 16x16", "enlarge it")
    assert isinstance(error, ConfigError)
    assert str(error) == "size is '3x3'; expected at least 16x16; enlarge it"


@pytest.mark.parametrize(
    ("kind", "code"),
    [(ConfigError, 2), (InputError, 3), (WeightsError, 4), (BackendError, 5)],
)
def test_each_kind_has_its_exit_code(kind: type[ProxiaError], code: int) -> None:
    assert kind.exit_code == code
    with pytest.raises(ProxiaError):
        raise kind.from_parts("a", "b", "c")


def test_sentence_holds_nothing_that_a_terminal_obeys() -> None:
    error = InputError.from_parts("file '\x1b[2Jé\u202etxt' is bad", "a good one", "get\nit")
    assert str(error).startswith("file '\\x1b[2Jé\\u202etxt' is bad")
    assert str(error).endswith("get\nit")
