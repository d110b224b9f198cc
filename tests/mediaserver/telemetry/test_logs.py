from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
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


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_of_memory_that_ran_out_no_traceback_is_told(
    logger: logging.Logger, formatter: logging.Formatter
) -> None:
    logger.handlers[0].setFormatter(formatter)
    try:
        raise MemoryError("no room")
    except MemoryError:
        logger.exception("failed")
    text = "".join(lines(logger))
    assert "MemoryError: no room" in text
    assert "Traceback" not in text


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


_LOGS_TO_NOBODY = """
import logging
from mediaserver.telemetry.logs import configure, fields

configure("info", "text")
logger = logging.getLogger("mediaserver.test")
for number in range(3000):
    logger.info("%s", number * "x", extra=fields(session="s"))
print("goes on", flush=True)
input()
logger.info("read again", extra=fields(session="s"))
"""


def test_who_does_not_read_the_log_holds_nothing_up_and_is_told_how_much_is_lost() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        (sys.executable, "-c", _LOGS_TO_NOBODY), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline() == "goes on\n"
        os.read(program.stderr.fileno(), 1 << 20)
        _, log = program.communicate("\n", timeout=20)
    assert re.search(r"read again session=s lines_lost_before=\d{3,}\n", log)
