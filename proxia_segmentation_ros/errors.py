"""Errors that a user can act on: what was wrong, what is expected, what to do."""

from typing_extensions import Self


class ProxiaError(Exception):
    """Root of every error that the package raises on purpose."""

    exit_code = 1

    @classmethod
    def from_parts(cls, wrong: str, rule: str, remedy: str) -> Self:
        """Build the sentence `<wrong, with its value>; expected <rule>; <remedy>`."""
        return cls(f"{wrong}; expected {rule}; {remedy}")


class ConfigError(ProxiaError):
    """A setting, parameter or option is out of its range."""

    exit_code = 2


class InputError(ProxiaError):
    """An image, file or message can't be read as what it claims to be."""

    exit_code = 3


class WeightsError(ProxiaError):
    """A weight file is missing, corrupt or does not fit the network."""

    exit_code = 4


class BackendError(ProxiaError):
    """A compute backend is missing or failed to compile or run."""

    exit_code = 5
