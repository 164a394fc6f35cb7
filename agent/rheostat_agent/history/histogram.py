"""Histograms of durations: log-linear, 32 buckets an octave, sparse, and cheap to fill.

A duration's bucket is the upper half of its single-precision float without the last two bits, that is 8 bits of exponent
and 5 of mantissa. So the middle of a bucket is within 1/64 of any duration in it, and a list of durations is sorted
into buckets by `array` and `Counter`, in C.

Stored as pairs of bucket (u16) and count (u64), little-endian, in ascending order.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterable

_SINGLE = struct.Struct("<f")
_BITS = struct.Struct("<I")
_PAIR = struct.Struct("<HQ")
_FINE = 2  # bits of a half word that make no difference
_HIGH = 1 if struct.pack("=H", 1) == b"\x01\0" else 0  # which half of a float is the upper


def bucket_of(duration_ns: int) -> int:
    """Return the bucket of *duration_ns*."""
    bits: int = _BITS.unpack(_SINGLE.pack(max(duration_ns, 0)))[0]
    return bits >> 16 + _FINE


def bounds_of(bucket: int) -> tuple[float, float]:
    """Return the least duration of *bucket*, and that of the next."""
    low, high = (
        _SINGLE.unpack(_BITS.pack(number << 16 + _FINE))[0] for number in (bucket, bucket + 1)
    )
    return low, high


class Histogram:
    """Counts of durations by bucket."""

    __slots__ = ("counts",)

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts: dict[int, int] = {} if counts is None else counts

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        bucket = bucket_of(duration_ns)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def add_all(self, durations_ns: Iterable[int]) -> None:
        """Count many durations, none negative: a tenth of the cost each."""
        halves = memoryview(array("f", durations_ns)).cast("B").cast("H")[_HIGH::2]
        counts = self.counts
        for half, count in Counter(halves).items():
            bucket = half >> _FINE
            counts[bucket] = counts.get(bucket, 0) + count

    def merge(self, other: Histogram) -> None:
        """Add the counts of *other*."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    @property
    def count(self) -> int:
        """Return how many durations have been counted."""
        return sum(self.counts.values())

    def quantile(self, fraction: float) -> int | None:
        """Return the duration that *fraction* of all do not exceed, within 1.6 %; None if there are none."""
        rank = fraction * self.count
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                low, high = bounds_of(bucket)
                return round((low + high) / 2) if bucket else 0
        return None

    def to_bytes(self) -> bytes:
        """Return the stored form."""
        return b"".join(_PAIR.pack(bucket, self.counts[bucket]) for bucket in sorted(self.counts))

    @classmethod
    def from_bytes(cls, data: bytes) -> Histogram:
        """Return the histogram stored as *data*. Raises ValueError if it is not one."""
        if len(data) % _PAIR.size:
            raise ValueError(f"a histogram does not have {len(data)} bytes")
        return cls(dict(_PAIR.iter_unpack(data)))
