"""Errors for users: what was wrong, what is expected, what to do."""

from typing_extensions import Self


class ProxiaError(Exception):
    """Base class of all errors that the package raises intentionally."""

    exit_code = 1

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
