"""The range check for parameters of rules and optimizers."""

from fedge.errors import ConfigError


def require_range(whose: str, name: str, value: float, *, low: float, high: float) -> None:
    """ConfigError unless the parameter lies in low..high; NaN does not.

    The message begins with `whose` parameter it is, such as "optimizer fedavg".
    """
    if not low <= value <= high:
        raise ConfigError(f"{whose}: {name} must be {low:g} to {high:g}, not {value:g}")
