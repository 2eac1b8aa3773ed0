"""Amplifier and digitiser of one array: the ideal signal of a block in, 16-bit samples out. Called by `array.py`.

Coupling (high-pass), anti-alias filter (low-pass), cross-talk, wandering baseline, noise, hum, spikes, saturation, and
the faults of sensors. Filters carry their state from block to block; noise and spikes are seeded by block. Quiet blocks
cost no more than their noise.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from firmware_sim.scenario import Effects, Electronics, Fault, Sensor

_SPIKE_S = 0.004

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Samples = npt.NDArray[np.int16]


class Front:
    """The electronics of one array; blocks must come in order."""

    def __init__(
        self,
        sensors: list[Sensor],
        electronics: Electronics,
        effects: Effects,
        rate_hz: float,
        key: int,
        rng: np.random.Generator,
    ) -> None:
        """`key` seeds the noise of the blocks, `rng` what stays the same: drift, hum."""
        self._sensors, self._electronics, self._effects = sensors, electronics, effects
        self._rate_hz, self._key = rate_hz, key
        self._n = len(sensors)
        self._weighs = np.array([sensor.type != "loop" for sensor in sensors])
        self._digital = np.array([s.type == "loop" and s.loop_counts is None for s in sensors])
        self._drift = self._drift_waves(rng)
        self._hum_phase = rng.uniform(0, 2 * math.pi, self._n)
        self._hum_size = rng.uniform(0.5, 1.0, self._n)
        self._leak = np.zeros(self._n)  # state of each high-pass, in counts
        self._taps = self._low_pass_taps()
        self._tail = np.zeros((0 if self._taps is None else len(self._taps) - 1, self._n))
        self._tail_live = False
        self._spikes: list[tuple[float, int, float]] = []

    def digitise(
        self, number: int, times: Floats, signal: Floats, active: npt.NDArray[np.bool_], faults: list[Fault]
    ) -> Samples:
        """Samples of block `number` from `signal` (scans, channels) in counts; `active`: channels that carry one."""
        electronics, effects = self._electronics, self._effects
        for fault in faults:
            self._swap(fault, signal, active, times)
        if active.any() and electronics.crosstalk:
            self._cross(signal)
        self._high_pass(signal, active)
        self._low_pass(signal, active)
        rng = np.random.Generator(np.random.Philox(key=self._key, counter=number << 64))
        out = np.zeros(signal.shape, dtype=np.float32)
        if effects.noise and electronics.noise_counts > 0:
            rng.standard_normal(out=out, dtype=np.float32)
            out *= self._noise_sizes(faults, float(times[0]))
        if signal.any():
            out += signal.astype(np.float32)
        ends = self._baseline(times[[0, -1]]).astype(np.float32)
        out += ends[0] + np.linspace(0, 1, len(times), dtype=np.float32)[:, None] * (ends[1] - ends[0])
        if effects.hum and electronics.hum_counts > 0:
            out += self._hum(times)
        if effects.spikes and electronics.spikes_per_h > 0:
            self._add_spikes(out, times, rng)
        if self._digital.any():
            out[:, self._digital] = signal[:, self._digital]
        for fault in faults:
            self._break(fault, out, times)
        limit = min(electronics.full_scale_counts, 32767.0)
        np.rint(out, out=out)
        np.clip(out, -limit - 1 if limit == 32767.0 else -limit, limit, out=out)
        return out.astype(np.int16)

    def _cross(self, signal: Floats) -> None:
        """Neighbouring strips of one line hear each other."""
        share = self._electronics.crosstalk
        for a, first in enumerate(self._sensors):
            for b in range(a + 1, self._n):
                if self._weighs[a] and self._weighs[b] and abs(first.x_m - self._sensors[b].x_m) < 0.02:
                    left, right = signal[:, a].copy(), signal[:, b].copy()
                    signal[:, a] += share * right
                    signal[:, b] += share * left

    def _high_pass(self, signal: Floats, active: npt.NDArray[np.bool_]) -> None:
        """First-order coupling of charge amplifiers: subtract what has leaked into the slow state."""
        for channel, sensor in enumerate(self._sensors):
            tau = sensor.coupling_tau_s
            if tau <= 0 or not (active[channel] or self._leak[channel]):
                continue
            rho = math.exp(-1 / (tau * self._rate_hz))
            column = signal[:, channel]
            rho_n = rho ** np.arange(1, len(signal) + 1)
            leaked = rho_n * (self._leak[channel] + np.cumsum((1 - rho) * column / rho_n))
            column -= np.concatenate([[self._leak[channel]], leaked[:-1]])
            self._leak[channel] = leaked[-1] if active[channel] or abs(leaked[-1]) > 0.01 else 0.0

    def _low_pass_taps(self) -> Floats | None:
        """Two equal poles at the corner frequency, as a short FIR with gain 1 at 0 Hz."""
        corner = self._electronics.low_pass_hz
        if not self._effects.low_pass or corner <= 0:
            return None
        rho = math.exp(-2 * math.pi * corner / self._rate_hz)
        n = np.arange(max(4, min(64, math.ceil(12 / max(1e-3, -math.log(rho))))))
        taps = (n + 1) * rho**n
        return np.asarray(taps / taps.sum())

    def _low_pass(self, signal: Floats, active: npt.NDArray[np.bool_]) -> None:
        live = bool(active.any()) or bool(np.any(self._leak))
        if self._taps is None or not (live or self._tail_live):
            return
        for channel in np.flatnonzero(self._weighs):
            extended = np.concatenate([self._tail[:, channel], signal[:, channel]])
            self._tail[:, channel] = extended[-len(self._tail) :]
            signal[:, channel] = np.convolve(extended, self._taps, mode="valid")
        self._tail_live = live

    def _drift_waves(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
        """Offset, and amplitudes, angular frequencies and phases (channels, waves) of a slow wander."""
        electronics = self._electronics
        periods = np.array([47.0, 131.0, 389.0, 1201.0, 4801.0]) * rng.uniform(0.8, 1.25, (self._n, 5))
        amplitude = electronics.drift_counts_per_min / 60 * periods / (2 * math.pi) * math.sqrt(2 / 5)
        offset = rng.uniform(-1, 1, self._n) * electronics.baseline_counts
        phases = rng.uniform(0, 2 * math.pi, (self._n, 5))
        keep = self._weighs * float(self._effects.drift)
        return offset * keep, amplitude * keep[:, None], 2 * math.pi / periods, phases

    def _baseline(self, times: Floats) -> Floats:
        offset, amplitude, omega, phase = self._drift
        waves = amplitude[None] * np.sin(omega[None] * times[:, None, None] + phase[None])
        return np.asarray(offset + waves.sum(axis=2))

    def _noise_sizes(self, faults: list[Fault], time_s: float) -> Singles:
        sizes = np.full(self._n, self._electronics.noise_counts, dtype=np.float32)
        for fault in faults:
            if fault.kind == "noisy_channel" and fault.at_s <= time_s < fault.at_s + fault.for_s:
                sizes[int(fault.options.get("channel", 0))] *= float(fault.options.get("factor", 4.0))
        return sizes

    def _hum(self, times: Floats) -> Singles:
        """The mains and its third harmonic, with a phase of its own on each channel."""
        angle = 2 * math.pi * self._electronics.mains_hz * times
        size = self._electronics.hum_counts * self._hum_size * self._weighs
        inside = np.outer(np.sin(angle) + 0.2 * np.sin(3 * angle + 0.7), size * np.cos(self._hum_phase))
        inside += np.outer(np.cos(angle), size * np.sin(self._hum_phase))
        return inside.astype(np.float32)

    def _add_spikes(self, out: Singles, times: Floats, rng: np.random.Generator) -> None:
        """Short pulses with a fast front and an exponential tail, on one channel or on all, of either sign."""
        electronics = self._electronics
        span_s = len(times) / self._rate_hz
        for _ in range(int(rng.poisson(electronics.spikes_per_h * span_s / 3600))):
            channel = -1 if rng.random() < 0.3 else int(rng.integers(self._n))
            size = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 1.0)) * electronics.spike_counts
            self._spikes.append((float(times[0] + rng.random() * span_s), channel, size))
        for at_s, channel, size in self._spikes:
            rows = np.flatnonzero((times >= at_s) & (times < at_s + _SPIKE_S))
            pulse = (size * np.exp(-(times[rows] - at_s) / 0.0008)).astype(np.float32)
            if channel >= 0:
                out[rows, channel] += pulse
            else:
                out[rows] += pulse[:, None]
        self._spikes = [spike for spike in self._spikes if spike[0] + _SPIKE_S > times[-1]]

    @staticmethod
    def _swap(fault: Fault, signal: Floats, active: npt.NDArray[np.bool_], times: Floats) -> None:
        """Two sensors in each other's plugs: the amplifiers keep their offsets and noise."""
        rows = np.flatnonzero((times >= fault.at_s) & (times < fault.at_s + fault.for_s))
        if fault.kind == "swapped_channels" and rows.size:
            a, b = fault.options.get("channels", [0, 1])
            signal[np.ix_(rows, [a, b])] = signal[np.ix_(rows, [b, a])]
            active[[a, b]] = active[a] or active[b]

    def _break(self, fault: Fault, out: Singles, times: Floats) -> None:
        """Apply a fault of a sensor; other faults are none of the electronics' business."""
        rows = (times >= fault.at_s) & (times < fault.at_s + fault.for_s)
        if not rows.any():
            return
        options = fault.options
        channel = int(options.get("channel", 0))
        if fault.kind == "dead_channel":
            out[rows, channel] = float(options.get("counts", 0.0))
        elif fault.kind == "saturated_channel":
            out[rows, channel] = self._electronics.full_scale_counts
        elif fault.kind == "reversed_channel":
            out[rows, channel] *= -1
        elif fault.kind in ("loop_stuck_on", "loop_stuck_off", "loop_chatter") and "channel" in options:
            top = self._sensors[channel].loop_counts or 1.0
            if fault.kind == "loop_chatter":
                out[rows, channel] = top * (np.sin(2 * math.pi * float(options.get("hz", 7.0)) * times[rows]) > 0)
            else:
                out[rows, channel] = top if fault.kind == "loop_stuck_on" else 0.0
