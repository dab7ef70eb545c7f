"""The .ts files of the UEA and UCR archives: one case a line, channels with ':' between, the target last."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rekur._values import CellError, number_of
from rekur.data.cells import Time, time_of
from rekur.data.files import read_lines
from rekur.data.inputs import Input
from rekur.data.source import Row, Source, shown_names
from rekur.errors import describe

_PAIR = re.compile(r"\(([^()]*)\)")
_FLAGS = {"timestamps", "classlabel", "targetlabel", "univariate", "equallength", "missing"}
_KNOWN = {*_FLAGS, "problemname", "dimension", "dimensions", "serieslength", "data"}


class TimeSeries(Source):
    """A .ts file; columns ``series``, float64 (T, D) with NaN for ``?``, and ``label`` if the file has one.

    Cases may differ in length. With ``@classLabel true`` labels are text out of the declared ones, with
    ``@targetLabel true`` numbers. With ``@timeStamps true`` a value is ``(time,value)``; the steps are the
    times that any channel has, in order, and a channel without a value at one of them has NaN there.

    Args:
        file: what to read, maybe packed.
        encoding: the encoding of the text.
    """

    def __init__(self, file: Input, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self.name, self.format = file.name, "ts"
        self._classes: list[str] | None = None
        self._is_target = self._is_timed = False
        self._channels = 0  # 0: as many as the first case has
        self._steps = ""
        self._header: dict[str, bool] = {}
        self._data_line = self._read_header()
        self.columns = ["series", "label"] if self._classes is not None or self._is_target else ["series"]
        if next(self.rows(), None) is None:
            raise self.error("cases: got 0 after @data; expected 1 or more.")

    def rows(self) -> Iterator[Row]:
        """Yield each case."""
        first: tuple[int, int] | None = None  # length and line of the first case
        for number, text in self._cases():
            body, label = self._cut(text)
            try:
                series = self._series(body)
                first = first or (len(series), number)
                self._check_case(series, *first)
                row = Row({"series": series}, number)
                if "label" in self.columns:
                    row["label"] = self._label(label)
            except CellError as error:
                raise self.error(str(error), number) from None
            yield row

    def _read_header(self) -> int:
        number = 0
        for number, text in enumerate(read_lines(self._file, self._encoding), 1):
            line = text.strip()
            if not line or line.startswith(("#", "%")):
                continue
            if not line.startswith("@"):
                break
            name, *rest = line[1:].split() or [""]
            self._take(name.lower(), name, [word.lower() for word in rest], rest, number)
            if name.lower() == "data":
                self._check_header()
                return number
        fix = "Is it a .ts file of the UEA and UCR archives?"
        raise self.error(f"header: got no line '@data'; expected one before the first case. {fix}", number or None)

    def _take(self, name: str, shown: str, low: list[str], rest: list[str], number: int) -> None:
        is_true = low[:1] == ["true"]
        if name not in _KNOWN:
            expected = "one of @problemName, @timeStamps, @dimensions, @classLabel, @targetLabel, @data, …"
            raise self.error(describe("header", f"@{shown}", expected), number)
        key = "dimensions" if name == "dimension" else name
        if key in self._header:
            raise self.error(f"header: got @{shown} again; expected it once. Take one of the lines out.", number)
        self._header[key] = is_true
        if name in _FLAGS and low[:1] not in (["true"], ["false"]):
            raise self.error(describe(f"@{shown}", " ".join(rest), "true or false"), number)
        if name == "timestamps":
            self._is_timed = is_true
        elif name == "targetlabel":
            self._is_target = is_true
        elif name == "classlabel":
            self._classes = rest[1:] if is_true else None
        elif name in ("dimension", "dimensions"):
            if len(rest) != 1 or not rest[0].isdecimal() or int(rest[0]) < 1:
                raise self.error(describe(f"@{shown}", " ".join(rest), "a whole number of 1 or more"), number)
            self._channels = int(rest[0])
        elif name == "serieslength":
            self._steps = " ".join(rest)

    def _check_header(self) -> None:
        """Settle what the lines of the header say together; raise where they contradict each other."""
        if self._header.get("univariate"):
            if self._channels > 1:
                fix = "Correct one of them."
                raise self.error(describe("@univariate", "true", f"false with @dimensions {self._channels}", fix))
            self._channels = 1
        if self._header.get("classlabel") and self._is_target:
            fix = "Correct one of them."
            raise self.error(f"header: got @classLabel true and @targetLabel true; expected one of them. {fix}")
        if self._is_equal and self._steps and not self._steps.isdecimal():
            raise self.error(describe("@seriesLength", self._steps, "a whole number"))

    @property
    def _is_equal(self) -> bool:
        """Whether all cases are said to have the same length, which times of their own do not show."""
        has_length = self._steps.isdecimal() and int(self._steps) > 0
        return self._header.get("equallength", has_length) and not self._is_timed

    def _cases(self) -> Iterator[tuple[int, str]]:
        for number, text in enumerate(read_lines(self._file, self._encoding), 1):
            line = text.strip()
            if number > self._data_line and line and not line.startswith("#"):
                yield number, line

    def _cut(self, text: str) -> tuple[str, str]:
        """Return the channels and the target of a case."""
        if "label" not in self.columns:
            return text, ""
        body, _, label = text.rpartition(":")
        return body, label.strip()

    def _label(self, text: str) -> str | float:
        if self._is_target:
            return number_of(text, "target")
        if self._classes and text not in self._classes:
            expected = f"one of those after @classLabel: {shown_names(self._classes)}"
            raise CellError(describe("label", text, expected))
        return text

    def _series(self, body: str) -> NDArray[np.float64]:
        if self._is_timed:
            return self._timed(body)
        channels = [_numbers(part, k) for k, part in enumerate(body.split(":"))]
        self._check_count(len(channels))
        for k, channel in enumerate(channels):
            if len(channel) != len(channels[0]):
                expected = f"{len(channels[0])}, as in channel 1"
                raise CellError(describe(f"channel {k + 1}: steps", len(channel), expected))
        return np.stack(channels, axis=1)

    def _timed(self, body: str) -> NDArray[np.float64]:
        # A date has ':' in it, so channels are told apart outside the parentheses only.
        pairs = (match.group(1) for match in _PAIR.finditer(body))
        bare = _PAIR.sub("\0", body)
        channels: list[dict[Time, float]] = []
        kinds: set[str] = set()
        for k, part in enumerate(bare.split(":")):
            if part.replace("\0", "").strip(" ,"):
                raise CellError(describe(f"channel {k + 1}", part.replace("\0", "(…)"), "(time,value),(time,value),…"))
            channel: dict[Time, float] = {}
            for pair in (next(pairs) for _ in range(part.count("\0"))):
                time, comma, value = pair.rpartition(",")
                if not comma:
                    raise CellError(describe(f"channel {k + 1}", f"({pair})", "(time,value)"))
                kind, when = time_of(time, f"channel {k + 1}: time")
                if len(kinds := kinds | {kind}) > 1:
                    raise CellError(describe(f"channel {k + 1}: time", time, "numbers alone, or dates alone"))
                if when in channel:
                    raise CellError(describe(f"channel {k + 1}: time", time, "a time once only"))
                channel[when] = number_of(value, f"channel {k + 1}")
            channels.append(channel)
        self._check_count(len(channels))
        times = sorted(set().union(*channels))
        return np.asarray([[c.get(t, np.nan) for c in channels] for t in times]).reshape(len(times), len(channels))

    def _check_case(self, series: NDArray[np.float64], length: int, line: int) -> None:
        """Raise where a case is not as the header says."""
        if self._is_equal:
            expected = f"{self._steps}, as @seriesLength says" if self._steps else f"{length}, as line {line} has"
            if len(series) != int(self._steps or length):
                fix = "Write @equalLength false if cases may differ."
                raise CellError(describe("steps", len(series), expected, fix))
        if self._header.get("missing") is False and not self._is_timed and np.isnan(series).any():
            raise CellError("value: got a missing one; expected none, as @missing false says. Write @missing true.")

    def _check_count(self, got: int) -> None:
        self._channels = self._channels or got
        if got != self._channels:
            raise CellError(describe("channels", got, f"{self._channels}, as in the header or the first case"))


def _numbers(part: str, channel: int) -> NDArray[np.float64]:
    cells = part.split(",")
    try:
        numbers = np.asarray(list(map(float, cells)))
        if not np.isinf(numbers).any() and "_" not in part:  # float() takes 1_000
            return numbers
    except ValueError:
        pass
    if not part.strip():
        return np.empty(0)
    return np.asarray([number_of(c, f"channel {channel + 1}, step {i + 1}") for i, c in enumerate(cells)])
