"""What is learned about the readers of two points while vehicles are matched between them.

`ReadModel` turns "read here, not read there" into evidence: where nine of ten tags are read at both points, an untagged
vehicle is not the one whose tag was read. `AxleModel` knows how far two measurements of one vehicle differ.
Called by `edge.waiting.evidence`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge import core

FloatArray = npt.NDArray[np.float32]
_SHORT_M = 2.5


class ReadModel:
    """Joint chances that one vehicle is read upstream and downstream by one kind of reader."""

    MEMORY = 300.0

    def __init__(self, mismatch_llr: float) -> None:
        self.mismatch_llr = mismatch_llr
        # 2 * upstream read + downstream read; a weak belief in independence
        self._counts = [1.0, 1.0, 1.0, 1.0]
        self._total = 4.0
        self._evidence = self._table()
        self._fresh = 1

    def learn(self, upstream: bool, downstream: bool) -> bool:
        """One vehicle that was surely matched by something else, or by its place in the queue.

        True where the evidence has changed by it.
        """
        self._counts[2 * upstream + downstream] += 1.0
        self._total += 1.0
        self._fresh -= 1
        if self._fresh > 0:
            return False
        if self._total > self.MEMORY:  # the older fade
            keep = self.MEMORY / self._total
            self._counts = [keep * count for count in self._counts]
            self._total = self.MEMORY
        self._fresh = max(1, min(16, int(self._total) // 16))  # the table moves slowly once there are many counts
        self._evidence = self._table()
        return True

    def evidence(self, upstream: bool, downstream: bool) -> float:
        """Ln likelihood ratio "one vehicle" of these two facts; for two readings: of two that differ."""
        return self._evidence[2 * upstream + downstream]

    def _table(self) -> list[float]:
        counts, total = self._counts, self._total + 0.8
        out = []
        for up in (0, 1):
            for down in (0, 1):
                joint = (counts[2 * up + down] + 0.2) / total
                alone = (counts[2 * up] + counts[2 * up + 1] + 0.4) * (counts[down] + counts[2 + down] + 0.4) / total**2
                out.append(max(-6.0, min(2.0, math.log(joint / alone))))
        out[3] = self.mismatch_llr
        return out


class AxleModel:
    """Likelihood ratios of axle signatures, with deviations and scale learned from sure matches.

    "Another vehicle" is what this traffic looks like: the mean likelihood against vehicles seen lately. So fleets of
    equal tractors do not pass for proof.
    """

    REFERENCE = 200

    def __init__(self) -> None:
        self.spacing_m = 0.04
        self.spacing_sd = 0.015
        self.load_sd = 0.08
        self.scale = 1.0
        self._n = 20.0
        self._reference = np.zeros((self.REFERENCE, core.AXLE_FEATURES), np.float32)
        self._seen = 0

    def compare(self, query: FloatArray, rows: FloatArray) -> FloatArray:
        """Ln likelihood ratio for each row; -1e9 where a row holds no signature."""
        sds = {"spacing_m": self.spacing_m, "spacing_sd": self.spacing_sd, "load_sd": self.load_sd}
        loglik = core.compare_axles(query, rows, **sds, scale=self.scale)
        kept = min(self._seen, self.REFERENCE)
        if kept < 20:
            other = float(np.max(loglik, initial=-50.0)) - 4.0
        else:
            population = core.compare_axles(query, self._reference[:kept], **sds)
            top = float(population.max())
            other = -50.0 if top < -1e7 else top + math.log(float(np.exp(population - top).sum()) / kept + 1e-9)
            other = max(other, float(np.max(loglik, initial=-50.0)) - 12.0)
        llr = np.clip(loglik - other, -6.0, 12.0)
        llr[loglik < -5e8] = -1e9
        out: FloatArray = llr.astype(np.float32)
        return out

    def note(self, signature: FloatArray) -> None:
        """A vehicle of this traffic."""
        self._reference[self._seen % self.REFERENCE] = signature
        self._seen += 1

    def learn(self, upstream: FloatArray, downstream: FloatArray) -> None:
        """Two signatures that are surely of one vehicle."""
        n = int(upstream[0])
        if n != int(downstream[0]) or n < 2:
            return
        most = core.AXLE_MOST
        a, b = upstream[1:n].astype(float), downstream[1:n].astype(float)
        la, lb = upstream[most : most + n].astype(float), downstream[most : most + n].astype(float)
        if a.min() <= 0 or b.min() <= 0 or la.min() <= 0 or lb.min() <= 0:
            return
        self._n = min(self._n + 1.0, 300.0)
        rate = 1.0 / self._n
        # Short spacings show the error in metres, long ones what grows with the length (the speed's error).
        short = np.minimum(a, b) < _SHORT_M
        square = (a - b) ** 2
        ratio = np.log(lb / la)
        gross = float(np.log(lb.sum() / la.sum()))
        load = min(float(np.mean((ratio - math.log(self.scale)) ** 2)), 0.09)
        if short.any():
            metres = min(float(square[short].mean()), 0.09)
            self.spacing_m = math.sqrt(max((1 - rate) * self.spacing_m**2 + rate * metres, 2.5e-5))
        if not short.all():
            relative = float(np.mean((square[~short] - self.spacing_m**2) / (a[~short] * b[~short])))
            relative = max(-0.002, min(0.01, relative))
            self.spacing_sd = math.sqrt(max((1 - rate) * self.spacing_sd**2 + rate * relative, 4e-6))
        self.load_sd = math.sqrt(max((1 - rate) * self.load_sd**2 + rate * load, 1e-4))
        # `scale` multiplies the upstream row into downstream kilograms: the comparison multiplies its rows.
        self.scale = math.exp(math.log(self.scale) + rate * (max(-0.3, min(0.3, gross)) - math.log(self.scale)))


def signature(positions_m: tuple[float, ...], loads_kg: tuple[float, ...]) -> FloatArray:
    """Row of an axle signature; one with fewer than 2 or more than 12 axles is no signature."""
    row = np.zeros(core.AXLE_FEATURES, np.float32)
    n = len(positions_m)
    if 2 <= n <= core.AXLE_MOST:
        row[0] = n
        ordered = np.sort(np.abs(np.asarray(positions_m)))
        row[1:n] = np.diff(ordered)
        row[core.AXLE_MOST : core.AXLE_MOST + n] = loads_kg
    return row
