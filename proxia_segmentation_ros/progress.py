"""How a long task tells whoever watches how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Stages, one after the other; `advance` may come from any thread."""

    def begin(self, text: str, total: int | None = None) -> None:
        """Start a stage of `total` steps, None when nobody knows."""

    def advance(self) -> None:
        """Count one step of the stage."""
