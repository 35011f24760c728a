"""Settings, from the environment."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    # How long the slow work takes, in seconds.
    slow: float = 3.0


def read_config(environment=os.environ) -> Config:
    """What the environment says, and the defaults for what it doesn't. Raises ValueError, naming the variable."""
    text = environment.get("SLOW_SECONDS")
    if not text:
        return Config()
    try:
        slow = float(text)
    except ValueError:
        slow = -1.0
    if not 0 <= slow <= 60:
        raise ValueError(f"SLOW_SECONDS is {text!r}: a number from 0 to 60 is expected")
    return Config(slow=slow)
