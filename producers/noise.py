"""Counter-based randomness in integers: every draw is a hash of (seed, purpose, entity, counter).

Draws do not depend on each other, so any slice of a fleet's readings can be made by itself; there is no floating point,
so every machine gives the same result. The hash is the finaliser of SplitMix64 over a Weyl sequence
(Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from enum import IntEnum

import numpy as np

from windrow.columns.arrays import Int64s, Mask, Words

_WEYL = 0x9E37_79B9_7F4A_7C15
_MASK = 2**64 - 1
# A sum of four uniform 16-bit numbers has the mean 2 * 65535 and this standard deviation: near enough to normal.
_NORMAL_MEAN = 2 * 65_535
_NORMAL_DEVIATION = 37_837


class Purpose(IntEnum):
    """What a draw is for. Seeds depend on the numbers: never change them."""

    PHASE = 1
    JITTER = 2
    SITE_MEAN = 3
    SITE_SWING = 4
    SITE_NOON = 5
    WEATHER = 6
    BIAS = 7
    DRIFT = 8
    GRAIN = 9
    DUPLICATE = 10
    MALFORMED = 11
    MALFORMED_KIND = 12
    LATE = 13
    SHUFFLED = 14
    SHUFFLED_PLACE = 15
    DROPOUT = 16
    STUCK = 17
    SPIKE = 18
    SPIKE_SIZE = 19
    SKEWED = 20
    SKEW = 21
    ECHO = 22
    LATENESS = 23
    TRUNCATED = 24


def keys_of(seed: int, purpose: Purpose, entities: Int64s) -> Words:
    """Return one key per entity (a sensor or a site) for draws of this `purpose`: uint64, the shape of `entities`."""
    origin = np.array([(seed + purpose * _WEYL) & _MASK], np.uint64)
    return draw(draw(origin, np.zeros(1, np.int64)), entities)


def draw(keys: Words, counters: Int64s) -> Words:
    """Return 64 random bits for each key and counter, broadcast against each other."""
    words = counters.astype(np.uint64)
    words = (words + np.uint64(1)) * np.uint64(_WEYL) + keys
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58_476D_1CE4_E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D0_49BB_1331_11EB)
    words ^= words >> np.uint64(31)
    return words


def below(words: Words, bound: int) -> Int64s:
    """Return uniform integers from 0 to `bound` - 1, for a bound up to 2^31."""
    return ((words >> np.uint64(32)) * np.uint64(bound) >> np.uint64(32)).astype(np.int64)


def happens(words: Words, rate: float) -> Mask:
    """Return which of the draws happen at this `rate`, 0 to 1, which is rounded to 2^-31: bool."""
    return below(words, 2**31) < round(rate * 2**31)


def normal(words: Words, deviation: int) -> Int64s:
    """Return roughly normal integers around 0 with this standard deviation; never beyond 3.5 of them."""
    lanes = np.uint64(0xFFFF)
    total = words & lanes
    for lane in (16, 32, 48):
        total = total + (words >> np.uint64(lane) & lanes)
    return (total.astype(np.int64) - _NORMAL_MEAN) * deviation // _NORMAL_DEVIATION


def autocorrelated(keys: Words, steps: Int64s, deviation: int) -> Int64s:
    """Return autocorrelated noise: an AR(1) process with the coefficient 1/2, cut off after four terms."""
    # The sum has 1 + 1/4 + 1/16 + 1/64 times the variance of a term, so terms get 100/115 of the deviation.
    fresh = deviation * 100 // 115
    total = normal(draw(keys, steps), fresh)
    for back in (1, 2, 3):
        total += normal(draw(keys, steps - back), fresh) >> back
    return total


def smooth(keys: Words, times_ms: Int64s, *, period_ms: int, deviation: int) -> Int64s:
    """Return a slowly varying value: normal at every multiple of `period_ms`, linear in between."""
    knots, since_ms = np.divmod(times_ms, period_ms)
    here = normal(draw(keys, knots), deviation)
    there = normal(draw(keys, knots + 1), deviation)
    return here + (there - here) * since_ms // period_ms
