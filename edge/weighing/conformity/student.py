"""Student's t distribution: the two functions that COST 323 asks for, without a numerical library.

Called by edge/weighing/conformity/cost323.py. The tail is a regularised incomplete beta function, by its continued
fraction (Numerical Recipes, 6.4; Lentz's method); tests compare it with SciPy.
"""

from __future__ import annotations

import math
from typing import Final

_TINY: Final = 1e-300


def tail(t: float, freedom: float) -> float:
    """P(T > t) with `freedom` degrees of freedom."""
    square = t * t
    half = 0.5 * _beta_share(freedom / 2, 0.5, freedom / (freedom + square), square / (freedom + square))
    return half if t >= 0 else 1.0 - half


def quantile(probability: float, freedom: float) -> float:
    """The t below which T falls with this probability, strictly between 0 and 1."""
    if not 0.0 < probability < 1.0:
        raise ValueError(f"probability {probability} is not between 0 and 1")
    if probability < 0.5:
        return -quantile(1.0 - probability, freedom)
    low, high = 0.0, 1.0
    while tail(high, freedom) > 1.0 - probability:
        high *= 2.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if tail(middle, freedom) > 1.0 - probability else (low, middle)
    return (low + high) / 2


def _beta_share(a: float, b: float, x: float, rest: float) -> float:
    """Regularised incomplete beta function I_x(a, b); `rest` is 1 - x, which the caller knows without cancellation."""
    if x <= 0.0:
        return 0.0
    if rest <= 0.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / _off_zero(1.0 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 500):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _off_zero(1.0 + step * d)
            c = _off_zero(1.0 + step / c)
            result *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return result


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
