"""The protocol by which long tasks report their progress."""

from typing import Protocol


class Progress(Protocol):
    """Consecutive stages; `advance` may be called from any thread."""

    def begin(self, text: str, total: int | None = None) -> None:
        """Start a stage of `total` steps; None if the number is unknown."""

    def advance(self) -> None:
        """Count a step of the stage."""
