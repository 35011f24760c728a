"""Settings, from the environment."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Config:
    redis_host: str = "redis"
    redis_port: int = 6379
    redis_password: str | None = field(default=None, repr=False)
    # Seconds to connect to Redis, and to wait for each of its answers: less than a probe waits for ours.
    redis_timeout: float = 2.0
    key: str = "visitor"


def read_config(environment=os.environ) -> Config:
    """What the environment says, and the defaults for what it doesn't. Raises ValueError, naming the variable."""
    default = Config()
    return Config(
        redis_host=environment.get("REDIS_HOST") or default.redis_host,
        redis_port=_number(environment, "REDIS_PORT", default.redis_port, int, 1, 65535),
        redis_password=environment.get("REDIS_PASSWORD") or None,
        redis_timeout=_number(environment, "REDIS_TIMEOUT", default.redis_timeout, float, 0.01, 60),
        key=environment.get("COUNTER_KEY") or default.key,
    )


def _number(environment, name, default, kind, least, most):
    text = environment.get(name)
    if not text:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        raise ValueError(f"{name} is {text!r}: a number from {least} to {most} is expected")
    return value
