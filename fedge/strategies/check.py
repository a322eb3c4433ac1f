"""What every strategy refuses."""

from fedge.errors import ConfigError


def require_range(strategy: str, name: str, value: float, *, low: float, high: float) -> None:
    """ConfigError unless the parameter lies in low..high; NaN does not."""
    if not low <= value <= high:
        raise ConfigError(f"strategy {strategy}: {name} must be {low:g} to {high:g}, not {value:g}")
