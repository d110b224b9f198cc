from __future__ import annotations

import io
import json
import logging
from datetime import datetime

import pytest

from mediaserver.telemetry.logs import FloodFilter, JsonFormatter, TextFormatter, configure, fields


@pytest.fixture
def logger() -> logging.Logger:
    made = logging.Logger("mediaserver.test")
    made.addHandler(logging.StreamHandler(io.StringIO()))
    return made


def lines(logger: logging.Logger) -> list[str]:
    stream = logger.handlers[0].stream  # type: ignore[attr-defined]
    return stream.getvalue().splitlines()  # type: ignore[no-any-return]


def test_text_is_the_message_and_its_fields(logger: logging.Logger) -> None:
    logger.handlers[0].setFormatter(TextFormatter(worker=1))
    logger.info("session %s", "ended", extra=fields(reason="bye", dropped={"sink": 2}))
    assert lines(logger)[0].endswith(
        " worker 1 INFO mediaserver.test: session ended reason=bye dropped={'sink': 2}"
    )


def test_json_is_one_object_a_line_whatever_is_in_it(logger: logging.Logger) -> None:
    logger.handlers[0].setFormatter(JsonFormatter(worker=1))
    logger.info("two\nlines", extra=fields(seconds=1.5, dropped={"sink": 2}, thing=object))
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("failed")
    first, second = (json.loads(line) for line in lines(logger))
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert first == {
        "level": "info",
        "logger": "mediaserver.test",
        "worker": 1,
        "message": "two\nlines",
        "seconds": 1.5,
        "dropped": {"sink": 2},
        "thing": "<class 'object'>",
    }
    assert second["exception"].startswith("Traceback")
    assert second["exception"].endswith("ValueError: broken")


def test_a_flood_is_cut_and_what_was_left_out_is_counted(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("mediaserver.telemetry.logs.time.monotonic", lambda: now)
    logger.handlers[0].setFormatter(TextFormatter())
    logger.handlers[0].addFilter(FloodFilter())
    for attempt in range(101):
        if attempt == 100:
            now += 6.0
        logger.warning("bad request %d", attempt)
    assert len(lines(logger)) == 11
    assert lines(logger)[-1].endswith("bad request 100 left_out=90")
    logger.warning("another place in the code")
    assert len(lines(logger)) == 12


def test_the_lines_of_sessions_are_all_kept(logger: logging.Logger) -> None:
    logger.handlers[0].addFilter(FloodFilter())
    for number in range(100):
        logger.info("session started", extra=fields(session=str(number)))
    assert len(lines(logger)) == 100


@pytest.mark.usefixtures("root_logger")
def test_configuring_again_replaces_what_was_there(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    configure("debug", "json", worker=3)
    logging.getLogger("mediaserver.test").debug("hello")
    logging.getLogger("aioice").info("a candidate with an address")
    (line,) = capsys.readouterr().err.splitlines()
    assert (json.loads(line)["message"], json.loads(line)["worker"]) == ("hello", 3)
