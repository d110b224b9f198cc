from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import cv2
import numpy as np
import pytest

from inference.catalogue import find_models
from inference.engines.contract import Engine, Head, HeadLayout, ModelInfo, ModelNotLoaded, Task
from inference.engines.embedded import EmbeddedEngine
from inference.ocr.reader import Legible, TextLines, decode_ctc, recognise
from inference.ocr.turns import OcrTurns, shared_turns
from inference.types import Floats, Image
from tests.support.frames import canvas_of, frames
from tests.support.reading import read_text

READER = ModelInfo(Task.OCR_REC, "reader", ("", "a", "b", "c"), None, None)


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1, "ocr") as executor:
        yield executor


@pytest.fixture
async def ocr_engine(models_dir: Path) -> AsyncIterator[Engine]:
    files = find_models(models_dir)
    if Task.OCR_REC not in files:
        pytest.skip("the package rapidocr, which carries the OCR models, is not installed")
    engine = await EmbeddedEngine.open({task: files[task] for task in (Task.OCR_DET, Task.OCR_REC)})
    yield engine
    await engine.close()


def one_hot(*classes: int, probability: float = 0.9) -> Floats:
    """One line whose steps have these best classes."""
    steps = np.full((1, len(classes), len(READER.labels)), 0.01, np.float32)
    steps[0, np.arange(len(classes)), classes] = probability
    return steps


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ((1, 2, 3), "abc"),
        ((1, 1, 2, 2, 2), "ab"),
        ((1, 0, 1), "aa"),
        ((0, 0, 3, 0, 0), "c"),
    ],
)
def test_ctc_merges_repeats_and_drops_blanks(classes: tuple[int, ...], text: str) -> None:
    assert decode_ctc(one_hot(*classes), READER) == [(text, pytest.approx(0.9))]


def test_ctc_of_blanks_only_is_an_empty_text_with_score_0() -> None:
    assert decode_ctc(one_hot(0, 0, 0), READER) == [("", 0.0)]


def test_ctc_score_is_the_mean_over_characters_not_over_blanks() -> None:
    steps = np.concatenate((one_hot(1, probability=0.6), one_hot(0, probability=0.99), one_hot(2)), axis=1)
    assert decode_ctc(steps, READER) == [("ab", pytest.approx(0.75))]


def test_the_best_classes_alone_are_enough() -> None:
    steps = np.array([[(0, 1, 0.6), (0, 1, 0.5), (0, 0, 0.99), (0, 2, 0.9)]], np.float32)
    best_only = replace(READER, layout=HeadLayout.CTC_BEST)
    assert decode_ctc(steps, best_only) == [("ab", pytest.approx(0.75))]


def test_a_class_is_a_high_and_a_low_byte() -> None:
    many = ("", *map(chr, range(0x4E00, 0x4E00 + 18_000)))
    best_only = ModelInfo(Task.OCR_REC, "reader", many, HeadLayout.CTC_BEST, None)
    numbers = np.array([3000, 0, 17_999, 255, 256])
    steps = np.stack((numbers // 256, numbers % 256, np.full(5, 0.9)), axis=1)[np.newaxis]
    expected = "".join(many[number] for number in numbers)
    # Half precision holds bytes, and not the classes themselves.
    assert decode_ctc(steps.astype(np.float16).astype(np.float32), best_only)[0][0] == expected
    assert (numbers.astype(np.float16) != numbers).any()


def test_a_reader_that_an_earlier_version_exported_is_read_as_well() -> None:
    steps = np.array([[(1, 0.6), (1, 0.5), (0, 0.99), (2, 0.9)]], np.float32)
    best_only = replace(READER, layout=HeadLayout.CTC_BEST)
    assert decode_ctc(steps, best_only) == [("ab", pytest.approx(0.75))]


class Recogniser:
    """Reads nothing, and keeps the shape of each batch."""

    models: ClassVar = {Task.OCR_REC: READER}

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    async def infer(self, task: Task, images: Image) -> Head:
        self.batches.append(images.shape[:3])
        return (np.zeros((len(images), images.shape[2] // 8, len(READER.labels)), np.float32),)


async def test_a_batch_has_eight_lines_at_most_and_fewer_long_ones(
    executor: Executor,
) -> None:
    widths = [1280, 16, 320, 700, *[320] * 8, 16, 1280, 1280]
    images = [np.zeros((48, width, 3), np.uint8) for width in widths]
    lines = TextLines([np.zeros((4, 2), np.float32)] * len(images), images)
    recogniser = Recogniser()
    await recognise(cast("Engine", recogniser), lines, executor, OcrTurns(shared_turns()), Legible())
    assert recogniser.batches == [(8, 48, 320), (3, 48, 320), (2, 48, 1280), (2, 48, 1280)]


class TwoSided:
    """Reads a line by the brightness of its left end, as surely as that is bright."""

    models: ClassVar = {Task.OCR_REC: READER}

    async def infer(self, task: Task, images: Image) -> Head:
        ends = images[:, 24, 4, 0].tolist()
        return (np.concatenate([one_hot(1 if end > 128 else 2, 3, probability=end / 255) for end in ends]),)


def line(left: int, right: int) -> Image:
    image = np.full((48, 320, 3), left, np.uint8)
    image[:, 160:] = right
    return image


async def test_what_is_not_read_surely_is_looked_at_again_upside_down(executor: Executor) -> None:
    quad = np.array(((0.1, 0.1), (0.3, 0.1), (0.3, 0.2), (0.1, 0.2)), np.float32)
    lines = TextLines([quad] * 3, [line(215, 250), line(250, 255), line(215, 100)])
    turned, sure, upright = await recognise(
        cast("Engine", TwoSided()), lines, executor, OcrTurns(shared_turns()), Legible()
    )
    assert (turned.text, turned.score) == ("ac", pytest.approx(250 / 255, abs=0.001))
    assert turned.quad[0] == pytest.approx((0.3, 0.2)), "its own top left"
    assert (sure.score, sure.quad[0]) == (pytest.approx(250 / 255, abs=0.001), pytest.approx((0.1, 0.1)))
    assert (upright.score, upright.quad[0]) == (
        pytest.approx(215 / 255, abs=0.001),
        pytest.approx((0.1, 0.1)),
    )


# --- with the real models -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["640x480", "320x240"])
async def test_reads_every_sign_of_the_clip_and_nothing_else(
    ocr_engine: Engine, executor: Executor, media_dir: Path, size: str
) -> None:
    signs = json.loads((media_dir / "text.json").read_text())["signs"]
    read = set()
    for time_s, picture in frames(media_dir / "text.mp4", every=45):
        frame = picture if size == "640x480" else canvas_of(picture)
        texts = await read_text(ocr_engine, frame, executor)
        shown = {sign["text"] for sign in signs if sign["start_s"] <= time_s < sign["end_s"]}
        assert {text.text for text in texts} == shown, f"at {time_s:.2f} s"
        read |= shown
    assert read == {sign["text"] for sign in signs}


async def test_the_quad_lies_on_the_sign(ocr_engine: Engine, executor: Executor, media_dir: Path) -> None:
    truth = json.loads((media_dir / "text.json").read_text())["signs"][0]
    (text,) = await read_text(ocr_engine, sign_frame(media_dir), executor)

    x, y, width, height = truth["boxes"]["30"]
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    # Ground truth hugs the glyphs; a quad may stand off by half their height.
    assert np.array(text.quad) * (640, 480) == pytest.approx(np.array(corners), abs=height / 2)
    assert text.score > 0.9


@pytest.mark.parametrize("degrees", [-90, -20, 20])
async def test_turned_text_is_read_and_its_quad_starts_at_its_own_top_left(
    ocr_engine: Engine, executor: Executor, media_dir: Path, degrees: int
) -> None:
    turn = cv2.getRotationMatrix2D((320, 240), degrees, 0.7)
    frame = np.asarray(cv2.warpAffine(sign_frame(media_dir), turn, (640, 480)), np.uint8)

    (text,) = await read_text(ocr_engine, frame, executor)

    assert text.text == "PLATFORM 9 EXIT"
    expected = turn @ (54, 54, 1)
    assert np.array(text.quad[0]) * (640, 480) == pytest.approx(expected, abs=15)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_words_are_read_at_every_quarter_turn(
    ocr_engine: Engine, executor: Executor, turns: int
) -> None:
    words = ["OPEN", "HOTEL", "Bakery", "TAXI", "Pharmacy", "STOP"]
    page = np.full((480, 640, 3), 235, np.uint8)
    for number, word in enumerate(words):
        x, y = 50 + 300 * (number % 2), 110 + 140 * (number // 2)
        cv2.putText(page, word, (x, y), cv2.FONT_HERSHEY_DUPLEX, 1.6, (20, 20, 40), 3, cv2.LINE_AA)
    texts = await read_text(ocr_engine, np.ascontiguousarray(np.rot90(page, turns)), executor)
    assert {text.text for text in texts} == set(words)


@pytest.mark.parametrize("shape", [(240, 320, 3), (16, 16, 3), (20, 2000, 3)])
async def test_a_frame_without_text_gives_none(
    ocr_engine: Engine, executor: Executor, shape: tuple[int, ...]
) -> None:
    assert await read_text(ocr_engine, np.full(shape, 120, np.uint8), executor) == ()


async def test_more_lines_than_fit_one_batch_are_read_in_order(
    ocr_engine: Engine, executor: Executor
) -> None:
    words = [f"line {'x' * (number % 3)} {number}" for number in range(11, 22)]
    page = np.full((480, 640, 3), 255, np.uint8)
    for row, word in enumerate(words):
        cv2.putText(page, word, (30, 36 + 42 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 2)

    texts = await read_text(ocr_engine, page, executor)

    assert [text.text.split()[-1] for text in texts] == [word.split()[-1] for word in words]


async def test_an_engine_without_ocr_models_says_so(executor: Executor) -> None:
    engine = await EmbeddedEngine.open({})
    with pytest.raises(ModelNotLoaded):
        await read_text(engine, np.zeros((240, 320, 3), np.uint8), executor)
    await engine.close()


def sign_frame(media_dir: Path) -> Image:
    """Second 1 of the clip: one sign alone."""
    return next(picture for time_s, picture in frames(media_dir / "text.mp4") if time_s >= 1.0)


# Those of the photographs that have writing, a sign or a number in them.
WITH_TEXT = {
    *("000000005001", "000000160012", "000000184324", "000000205401", "000000311303", "000000357888"),
    *("000000417285", "000000423617", "000000434204", "000000460229", "000000475678", "000000520707"),
    *("000000553664", "000000568290"),
}


async def test_reads_nothing_where_there_is_nothing_to_read(
    ocr_engine: Engine, executor: Executor, media_dir: Path
) -> None:
    """Walls, woods, animals, an aeroplane whose silhouette is an X."""
    photographs = sorted((media_dir.parent / "accuracy" / "images").glob("*.jpg"))
    if not photographs:
        pytest.skip(f"no photographs beside {media_dir}")
    read = {}
    for path in photographs:
        if path.stem not in WITH_TEXT:
            picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.uint8)
            texts = await read_text(ocr_engine, picture, executor)
            read[path.stem] = [text.text for text in texts]
    assert {name: texts for name, texts in read.items() if texts} == {}
    assert len(read) == 38
