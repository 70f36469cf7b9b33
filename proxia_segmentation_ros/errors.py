"""Errors for users: what was wrong, what is expected, what to do."""

import re

from typing_extensions import Self

# Control characters but tab and newline, and those that change the direction of writing: a terminal
# obeys them, also in a file's name or a model card.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def make_printable(text: str) -> str:
    """Return the text with characters that a terminal would obey written as escapes."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ProxiaError(Exception):
    """Base class of all errors that the package raises intentionally."""

    exit_code = 1

    def __init__(self, sentence: object = "") -> None:
        super().__init__(make_printable(str(sentence)))

    @classmethod
    def from_parts(cls, wrong: str, rule: str, remedy: str) -> Self:
        """Build the sentence `<wrong, with its value>; expected <rule>; <remedy>`."""
        return cls(f"{wrong}; expected {rule}; {remedy}")


class ConfigError(ProxiaError):
    """A setting, parameter or option is invalid."""

    exit_code = 2


class InputError(ProxiaError):
    """An image, file or message is invalid or unreadable."""

    exit_code = 3


class WeightsError(ProxiaError):
    """A weight file is missing, corrupt or does not match the network."""

    exit_code = 4


class BackendError(ProxiaError):
    """A backend is missing, or failed to compile or run."""

    exit_code = 5
