"""A leaky bucket of points for each token: a request takes what it may cost and gets back what it did not use.

Whoever shows no token, or none that is known, has the bucket of the address that the request came from.

As at Shopify's Admin API (https://shopify.dev/docs/api/usage/limits): a bucket holds so many points and fills again by
so many a second; a request whose calculated cost is not in the bucket is not run, and is told when it may come again.
The buckets are this process's own, so several servers let a token do as many times as much.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from opscore.api.errors import Throttled, TooComplex

BUCKETS_KEPT = 20_000
ENTRY = 1
"""What every request takes before it is looked into: a mistake, and a request that is sent away, have cost this."""
IPV6_NETWORK_BITS = 64
"""One household or server has a network of this many bits, so its addresses share a bucket."""
_NANO = 1_000_000_000


@dataclass(slots=True)
class _Bucket:
    nano_points: int
    at_ns: int


class Throttle:
    """Buckets by token or address. Not for several threads: the event loop alone asks."""

    def __init__(
        self,
        maximum: int,
        restore_rate: int,
        *,
        of: str = "token",
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """maximum: points that a full bucket holds. restore_rate: points that come back in a second, at least 1.

        of: what has a bucket each, as messages call it.
        """
        self._of = of
        self.maximum = maximum
        self.restore_rate = restore_rate
        self._clock_ns = clock_ns
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()

    @staticmethod
    def key_of(authorization: str) -> bytes:
        """Return the name of a token's bucket, which does not tell the token."""
        return hashlib.blake2b(authorization.split()[-1].encode(), digest_size=16).digest()

    @staticmethod
    def key_of_address(host: str) -> bytes:
        """Return the name of an address's bucket."""
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return host.encode()  # Such as the path of a local socket.
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return address.packed if address.version == 4 else address.packed[: IPV6_NETWORK_BITS // 8]

    def take(self, key: bytes, points: int, *, taken: int = 0) -> None:
        """Take points out of a bucket, of which `taken` were before; raises Throttled, taking none, while they are not
        there.

        Raises TooComplex for more than any bucket holds.
        """
        if points > self.maximum:
            raise TooComplex(
                f"This costs {points} points, and each {self._of} has {self.maximum} at the most; ask for less.",
                limit="throttle",
                most=self.maximum,
                found=points,
            )
        bucket = self._filled(key)
        if (points - taken) * _NANO > bucket.nano_points:
            # What was taken before is gone: whoever comes again needs all of it.
            missing = points * _NANO - bucket.nano_points
            # Rounded up twice, to whole nanoseconds and then to seconds: whoever waits that long is let through.
            seconds = -(-missing // (self.restore_rate * _NANO))
            raise Throttled(
                f"This {self._of} has used up its points for now; come again in {seconds} s, or ask for less at once.",
                retryAfter=seconds,
                cost={"requested": points, "throttle": self.status(key)},
            )
        bucket.nano_points -= (points - taken) * _NANO

    def give_back(self, key: bytes, points: int) -> None:
        """Put back points that were taken and not used; less than none takes what it cost beyond them."""
        bucket = self._filled(key)
        bucket.nano_points = min(bucket.nano_points + points * _NANO, self.maximum * _NANO)

    def available(self, key: bytes) -> int:
        """Return how many whole points are in a bucket now."""
        return max(0, self._filled(key).nano_points // _NANO)

    def status(self, key: bytes) -> dict[str, int]:
        """Return how a bucket stands, as `extensions.cost.throttle` shows it."""
        return {"maximum": self.maximum, "available": self.available(key), "restoreRate": self.restore_rate}

    def extension(self, key: bytes, requested: int, actual: int) -> bytes:
        """Return the member `extensions` of an answer as JSON."""
        return (
            f'"extensions":{{"cost":{{"requested":{requested},"actual":{actual},"throttle":{{"maximum":{self.maximum},'
            f'"available":{self.available(key)},"restoreRate":{self.restore_rate}}}}}}}'
        ).encode()

    def _filled(self, key: bytes) -> _Bucket:
        """Return a bucket with what has come back to it until now; one that nobody knows is full."""
        now = self._clock_ns()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self.maximum * _NANO, now)
            if len(self._buckets) > BUCKETS_KEPT:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(key)
        if now > bucket.at_ns:
            restored = bucket.nano_points + (now - bucket.at_ns) * self.restore_rate
            bucket.nano_points = min(restored, self.maximum * _NANO)
            bucket.at_ns = now
        return bucket


class Account:
    """What one request takes from a bucket, its entry first; without a throttle, as much as it likes."""

    def __init__(self, throttle: Throttle | None, key: bytes) -> None:
        """Take the entry; raises Throttled."""
        self._throttle = throttle
        self._key = key
        if throttle is not None:
            throttle.take(key, ENTRY)

    def take(self, points: int) -> None:
        """Take what the request may cost, its entry included; raises Throttled or TooComplex."""
        if self._throttle is not None:
            self._throttle.take(self._key, max(points, ENTRY), taken=ENTRY)

    def give_back(self, points: int) -> None:
        """Put back what was not used; less than none takes what it cost beyond."""
        if self._throttle is not None:
            self._throttle.give_back(self._key, points)

    def extension(self, requested: int, actual: int) -> bytes | None:
        """Return the member `extensions` of an answer as JSON; None without a throttle."""
        return None if self._throttle is None else self._throttle.extension(self._key, requested, actual)
