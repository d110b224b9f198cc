"""Estimates an object's position and velocity from its boxes with a Kalman filter."""

from __future__ import annotations

from dataclasses import dataclass

from inference.types import Point

_NOISE = 0.1
"""Standard deviation of a measured box centre, in sizes of the box."""
_START_SPEED = 3.0
"""Standard deviation of the speed of a new object, in sizes a second."""
_RESTLESSNESS = 3.0
"""Spectral density of the acceleration, in sizes²/s³."""
_FLOW_NOISE = 1.0
"""Standard deviation of a velocity from optical flow, in sizes a second."""
_AGREES = 2.0
"""Standard deviations within which a velocity from optical flow is accepted."""


@dataclass(slots=True)
class ConstantVelocity:
    """A Kalman filter of a box centre with a constant-velocity model and white-noise acceleration.

    ``x`` and ``y`` are in frame widths and heights, ``vx`` and ``vy`` in frame widths and heights a second.
    The axes are filtered apart but share one covariance, in box sizes and seconds. Uncertainty is taken as
    proportional to the size of the box.
    """

    x: float
    y: float
    vx: float = 0.0
    vy: float = 0.0
    _place: float = _NOISE**2
    _both: float = 0.0
    _speed: float = _START_SPEED**2

    def ahead(self, seconds: float) -> Point:
        """Predicts the centre ``seconds`` after the last measurement."""
        return self.x + self.vx * seconds, self.y + self.vy * seconds

    def variance(self, seconds: float) -> float:
        """Variance of a measurement around the predicted centre, on either axis, in sizes²."""
        return (
            self._place
            + seconds * (2 * self._both + seconds * self._speed)
            + _RESTLESSNESS * seconds**3 / 3
            + _NOISE**2
        )

    def see(self, x: float, y: float, seconds: float) -> None:
        """Updates the filter with the centre measured ``seconds`` after the last measurement."""
        uncertain = self.variance(seconds)
        both = self._both + seconds * self._speed + _RESTLESSNESS * seconds**2 / 2
        speed = self._speed + _RESTLESSNESS * seconds
        gain, speed_gain = 1 - _NOISE**2 / uncertain, both / uncertain
        expected_x, expected_y = self.ahead(seconds)
        off_x, off_y = x - expected_x, y - expected_y
        self.x, self.y = expected_x + gain * off_x, expected_y + gain * off_y
        self.vx, self.vy = self.vx + speed_gain * off_x, self.vy + speed_gain * off_y
        self._place, self._both = gain * _NOISE**2, both * (1 - gain)
        self._speed = speed - speed_gain * both

    def refine(self, vx: float, vy: float, size: float) -> None:
        """Updates the filter with a velocity measured otherwise, unless it differs too much.

        ``size`` is the geometric mean of the box's sides.
        """
        variance = self._speed + _FLOW_NOISE**2
        off_x, off_y = vx - self.vx, vy - self.vy
        if off_x**2 + off_y**2 > _AGREES**2 * variance * size**2:
            return
        gain, place_gain = self._speed / variance, self._both / variance
        self.x, self.y = self.x + place_gain * off_x, self.y + place_gain * off_y
        self.vx, self.vy = self.vx + gain * off_x, self.vy + gain * off_y
        self._place -= place_gain * self._both
        self._both, self._speed = (1 - gain) * self._both, (1 - gain) * self._speed
