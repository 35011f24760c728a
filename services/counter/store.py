"""The count, which Redis keeps."""

import mmap

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import Config


class Unavailable(Exception):
    """Redis cannot be used now. Its text is the reason."""


class Store:
    def __init__(self, config: Config):
        self._key = config.key
        self._where = f"Redis at {config.redis_host}:{config.redis_port}"
        # Never tried again: an INCR whose answer was lost may have been carried out, and would count twice. Each process
        # has its own connections, also when this object was made before it was forked off.
        self._redis = redis.Redis(
            host=config.redis_host,
            port=config.redis_port,
            password=config.redis_password,
            socket_connect_timeout=config.redis_timeout,
            socket_timeout=config.redis_timeout,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        # Shared by this process and those that it forks.
        self._reached = mmap.mmap(-1, 1)

    def increment(self) -> int:
        """Counts one visit in one step, and returns the new count."""
        return self._ask(lambda: self._redis.execute_command("INCR", self._key))

    def check(self) -> None:
        """Raises Unavailable unless Redis would count a visit now."""
        self._ask(self._redis.ping)
        # While a backup is being put back Redis is a replica: it answers, but counts nothing.
        if self._ask(lambda: self._redis.execute_command("ROLE"))[0] != "master":
            raise Unavailable(f"{self._where} is a replica and takes no writes")

    def was_reached(self) -> bool:
        """Whether Redis could be used at least once since the service started."""
        if not self._reached[0]:
            try:
                self.check()
            except Unavailable:
                return False
            self._reached[0] = 1
        return True

    def _ask(self, command):
        try:
            return command()
        except redis.RedisError as error:
            raise Unavailable(f"{self._where}: {error}") from error
