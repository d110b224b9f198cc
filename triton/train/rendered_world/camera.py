"""Simulates the effects of a camera and a video codec on a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def photograph(picture: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Applies light, blur, motion, noise and compression of random strength."""
    shown: cv2.typing.MatLike = _light(picture, random)
    rows, columns = shown.shape[:2]
    if random.random() < 0.35:
        shown = cv2.GaussianBlur(shown, (0, 0), random.uniform(0.3, 0.9))
    if random.random() < 0.12:
        length = int(random.integers(2, 6))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(random.integers(length))), (length - 1, int(random.integers(length))), 1.0)
        shown = cv2.filter2D(shown, -1, kernel / max(kernel.sum(), 1.0))
    if random.random() < 0.15:
        share = random.uniform(0.65, 0.95)
        small = cv2.resize(shown, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        shown = cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR)
    if random.random() < 0.5:
        noise = random.normal(0, random.uniform(1, 6), (rows, columns, 1)).astype(np.float32)
        shown = (shown + noise).clip(0, 255).astype(np.uint8)
    if random.random() < 0.7:
        quality = int(random.integers(35, 92))
        _, code = cv2.imencode(".jpg", shown, (cv2.IMWRITE_JPEG_QUALITY, quality))
        shown = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR_BGR))
    return np.asarray(shown, np.uint8)


def _light(picture: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    gain, gamma = random.uniform(0.65, 1.25), random.uniform(0.8, 1.3)
    tint = random.normal(1.0, 0.05, 3)
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain * tint * 255 + random.uniform(-10, 15)
    table = levels.clip(0, 255).astype(np.uint8)[:, None, :]
    return np.asarray(cv2.LUT(picture, table), np.uint8)
