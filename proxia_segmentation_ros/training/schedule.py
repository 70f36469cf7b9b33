"""Learning-rate schedule."""


def compute_learning_rate(
    step: int, *, peak: float, steps: int, warmup_steps: int, power: float
) -> float:
    """Return the rate of `step` (from 0): linear warm-up, then poly decay to 0 at `steps`."""
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    remaining = max(0.0, 1 - step / steps)
    return float(peak * warmup * remaining**power)
