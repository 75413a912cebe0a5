"""Files whose names say their time, found by a pattern such as ``"s1_{time:%Y%m%d}_mu.tif"``."""

from __future__ import annotations

import datetime as dt
import glob
import os
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from xfusion.datamodel.times import label_text

FIELD = "time"
EXAMPLE = "'s1_{time:%Y%m%d}_mu.tif'"
# Of the codes of strftime those of fixed length: "%d" of "2023061" might be 1 or 61
DIGITS = {"Y": 4, "y": 2, "m": 2, "d": 2, "j": 3, "H": 2, "M": 2, "S": 2, "f": 6}
CODE = re.compile(r"%(.)", re.DOTALL)
STAMP = r"\d[\dTZ_:.\-]*"  # what looks like a time, whatever the format
DAYS = ({"m", "d"}, {"j"})  # with a year, one of these is a day
SHOWN = 3  # names of files that an error tells
ANY = f"[^{re.escape(os.sep)}]*"
FOLDER = re.compile(f"[^{re.escape(os.sep)}]+")


@dataclass(frozen=True)
class DatedFiles:
    """A path with ``{time:...}`` in it, and perhaps ``*`` for what else differs."""

    pattern: str
    parts: tuple[tuple[str, str | None], ...]
    """Pairs of what is there literally, and the format of the time behind it."""

    @classmethod
    def of(cls, pattern: str, *, name: str) -> Self:
        """Read a pattern.

        Raises
        ------
        ValueError
            If there is no time in it, or not enough for a day.
        """
        # not Path.expanduser, which fails on a name that begins with ~ and is no user
        at_home = os.path.expanduser(pattern)  # noqa: PTH111  # as above
        try:
            fields = [*string.Formatter().parse(str(Path(at_home)))]
        except ValueError as error:
            msg = f"{name}={pattern!r} is no pattern, {error}: a brace that is meant is doubled"
            raise ValueError(msg) from error
        for _, field, spec, conversion in fields:
            if field is not None and (field != FIELD or not spec or conversion):
                said = f"{{{field}{'!' if conversion else ''}{conversion or ''}:{spec}}}"
                msg = f"{name}={pattern!r} has {said}, and may have {{time:...}}: such as {EXAMPLE}"
                raise ValueError(msg)
        parts = tuple((text, spec or None) for text, _, spec, _ in fields)
        codes = {code for _, spec in parts for code in CODE.findall(spec or "")} - {"%"}
        unknown = sorted(codes - {*DIGITS})
        if unknown:
            known = " ".join(f"%{code}" for code in DIGITS)
            msg = (
                f"{name}={pattern!r} has %{unknown[0]}, whose length is not known: use of {known} "
                "those that the names have, and * for the rest"
            )
            raise ValueError(msg)
        if not {"Y", "y"} & codes or not any(day <= codes for day in DAYS):
            msg = (
                f"{name}={pattern!r} says no day, by which files are put in order: write where it "
                f"is in the names, such as {EXAMPLE}; or give a list, [...]"
            )
            raise ValueError(msg)
        return cls(pattern, parts)

    def by_time(self, *, name: str) -> dict[np.datetime64, str]:
        """Return the files of these names, by their times.

        Raises
        ------
        ValueError
            If there are none, one has no date where others have it or may be read in two ways, or
            two are of one time.
        """
        found: dict[np.datetime64, str] = {}
        exact, lazily = (re.compile(self._expression(star)) for star in (ANY, f"{ANY}?"))
        loose = re.compile(self._expression(ANY, STAMP))
        for path in sorted(glob.glob(self._glob())):  # noqa: PTH207  # Path.glob has no absolute ones
            match, other = exact.fullmatch(path), lazily.fullmatch(path)
            if match is None or other is None:
                if loose.fullmatch(path):
                    msg = self._no_date(path, "the digits there are others", name)
                    raise ValueError(msg)
                continue
            if match.groupdict() != other.groupdict():
                msg = (
                    f"{path} has two dates that {name}={self.pattern!r} may mean: write out what "
                    "is before that of acquisition, in the place of *"
                )
                raise ValueError(msg)
            time = self._time(path, match.groupdict(), name)
            if time in found:
                msg = (
                    f"{found[time]} and {path} are both of {label_text(time)}, by {name}="
                    f"{self.pattern!r}: have the time of day in the pattern, or give lists of "
                    "those to use; frames of one pass are mosaicked first"
                )
                raise ValueError(msg)
            found[time] = path
        if not found:
            msg = f"{name}={self.pattern!r} names no file: {self._there()}"
            raise ValueError(msg)
        return found

    def name_of(self, time: np.datetime64) -> str:
        """Return how the file of a time would be called."""
        moment = time.astype("datetime64[us]").item()
        assert isinstance(moment, dt.datetime)  # noqa: S101  # it is of microseconds
        return "".join(text + (moment.strftime(spec) if spec else "") for text, spec in self.parts)

    def _time(self, path: str, digits: dict[str, str], name: str) -> np.datetime64:
        codes = " ".join(f"%{code}" for code in digits)
        try:
            moment = dt.datetime.strptime(" ".join(digits.values()), codes)  # noqa: DTZ007  # UTC
        except ValueError as error:
            msg = self._no_date(path, str(error), name)
            raise ValueError(msg) from error
        return np.datetime64(moment, "ns")

    def _no_date(self, path: str, why: str, name: str) -> str:
        return (
            f"{path} has no date where {name}={self.pattern!r} has one, {why}: correct the "
            "pattern or the name, or give a list of the files to use"
        )

    def _expression(self, star: str, stamp: str | None = None) -> str:
        """Return the pattern as a regular expression, with a group for each code."""
        seen: set[str] = set()

        def digits(code: re.Match[str]) -> str:
            key = code[1]
            if key == "%":
                return "%"
            if key in seen:  # as of 2023/20230620
                return f"(?P={key})"
            seen.add(key)
            return rf"(?P<{key}>\d{{{DIGITS[key]}}})"

        def of_format(spec: str) -> str:
            if stamp is not None:
                return re.escape(os.sep).join([stamp] * (1 + spec.count(os.sep)))
            literal = CODE.split(spec)  # text, code, text, ...
            codes = (digits(code) for code in CODE.finditer(spec))
            return "".join(
                next(codes) if odd else re.escape(text)
                for odd, text in ((i % 2, text) for i, text in enumerate(literal))
            )

        return "".join(
            star.join(map(re.escape, text.split("*"))) + (of_format(spec) if spec else "")
            for text, spec in self.parts
        )

    def _glob(self) -> str:
        def stars(text: str) -> str:
            return "*".join(map(glob.escape, text.split("*")))

        return "".join(stars(text) + FOLDER.sub("*", spec or "") for text, spec in self.parts)

    def _there(self) -> str:
        """Say what is in the folder in which all files would be."""
        literal = self.parts[0][0].partition("*")[0]
        folder = Path(literal) if literal.endswith(("/", os.sep)) else Path(literal).parent
        if not folder.is_dir():
            return f"{folder} is no folder"
        names = sorted(path.name for path in folder.iterdir())
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"{folder} has {', '.join(names[:SHOWN]) or 'no file'}{more}"


def paired(patterns: Mapping[str, DatedFiles]) -> tuple[list[np.datetime64], dict[str, list[str]]]:
    """Return the times of files, and the files of each variable in their order.

    Parameters
    ----------
    patterns : mapping
        Variable -> what its files are called, mu first.

    Raises
    ------
    ValueError
        If a time has a file of one, but not of another; both names are told.
    """
    found = {name: pattern.by_time(name=name) for name, pattern in patterns.items()}
    first, *others = found
    for name in others:
        for a, b in ((first, name), (name, first)):
            lone = next((time for time in found[a] if time not in found[b]), None)
            if lone is not None:
                msg = (
                    f"{found[a][lone]}, {a} of {label_text(lone)}, is without its {b}: there is no "
                    f"{patterns[b].name_of(lone)}; add it, or give lists of those to use"
                )
                raise ValueError(msg)
    times = sorted(found[first])
    return times, {name: [files[time] for time in times] for name, files in found.items()}
