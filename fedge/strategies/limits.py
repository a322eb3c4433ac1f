"""What every rule and optimizer refuses."""

from fedge.errors import ConfigError


def require_range(whose: str, name: str, value: float, *, low: float, high: float) -> None:
    """ConfigError unless the parameter lies in low..high; NaN does not.

    The sentence begins with whose it is, such as "optimizer fedavg".
    """
    if not low <= value <= high:
        raise ConfigError(f"{whose}: {name} must be {low:g} to {high:g}, not {value:g}")
