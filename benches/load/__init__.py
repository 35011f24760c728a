"""The rows that compare `stackctl loadgen` with hey and wrk, against servers on loopback. Client and server are pinned to
a core each, alike for all clients."""

from .rows import ROWS
from .tools import Failed

__all__ = ["ROWS", "Failed"]
