"""Points in time as SLURM 22.05 reads them for ``--begin``, ``-S`` and ``-E``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

_UNITS = {
    "": 1,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}
_HOURS = {"midnight": 0, "noon": 12, "fika": 15, "teatime": 16}
_FROM_NOW = re.compile(r"now(?:\s*([+-])\s*([0-9]{1,9})\s*([a-z]*))?", re.IGNORECASE | re.ASCII)
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?\s*(am|pm)?", re.IGNORECASE | re.ASCII)
_DATES = (
    re.compile(r"(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})", re.ASCII),
    re.compile(r"(?P<month>[0-9]{1,2})[/.](?P<day>[0-9]{1,2})(?:[/.](?P<year>[0-9]{2,4}))?", re.ASCII),
    re.compile(r"(?P<month>[0-9]{2})(?P<day>[0-9]{2})(?P<year>[0-9]{2})?", re.ASCII),
)
_EPOCH = re.compile(r"uts([0-9]{1,11})", re.ASCII)


class BadTime(ValueError):
    """Nobody can read it; the text is SLURM's."""

    def __init__(self, text: str) -> None:
        digits = len(text) - len(text.lstrip("0123456789"))
        super().__init__(f"Invalid time specification (pos={digits}): {text}")


def parse(text: str, now: float, zone: tzinfo | None, *, past: bool = False) -> float:
    """Seconds since the epoch.

    A time of day that is over today is tomorrow's, and a date without a year that is over is next
    year's, unless ``past`` is true. Raises BadTime.
    """
    words = text.strip()
    if (match := _EPOCH.fullmatch(words)) is not None:
        return float(match[1])
    if (match := _FROM_NOW.fullmatch(words)) is not None:
        unit = (match[3] or "").lower()
        if unit not in _UNITS:
            raise BadTime(text)
        seconds = int(match[2] or 0) * _UNITS[unit]
        return now - seconds if match[1] == "-" else now + seconds
    here = datetime.fromtimestamp(now, zone)
    try:
        moment = _moment(words, here, past)
    except (ValueError, OverflowError) as error:
        raise BadTime(text) from error
    if moment is None:
        raise BadTime(text)
    try:
        return moment.timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise BadTime(text) from error


def _moment(words: str, here: datetime, past: bool) -> datetime | None:
    day: datetime | None = None
    clock: tuple[int, int, int] | None = None
    year_given = False
    parts = [part for part in re.split(r"[T\s]+(?=[0-9a-zA-Z])", words) if part]
    if len(parts) > 1 and parts[-1].lower() in ("am", "pm"):
        parts[-2:] = [parts[-2] + parts[-1]]
    today = here.replace(hour=0, minute=0, second=0, microsecond=0)
    if not parts or len(parts) > 2:
        return None
    if words.lower() in ("today", "tomorrow"):  # the split would take their first letter
        parts = [words]
    for part in parts:
        word = part.lower()
        if word in ("today", "tomorrow") and day is None:
            day = today if word == "today" else _next(today)
            year_given = True
        elif word in _HOURS and clock is None:
            clock = (_HOURS[word], 0, 0)
        elif (match := _CLOCK.fullmatch(part)) is not None and clock is None:
            clock = _clock(match)
        elif day is None and (found := _date(part, here)) is not None:
            day, year_given = found
        else:
            return None
    hour, minute, second = clock or (0, 0, 0)
    moment = (day or today).replace(hour=hour, minute=minute, second=second)
    if past or moment > here:
        return moment
    if day is None:
        return _next(moment)
    return moment if year_given else moment.replace(year=moment.year + 1)


def _next(moment: datetime) -> datetime:
    return moment + timedelta(days=1)


def _clock(match: re.Match[str]) -> tuple[int, int, int]:
    hour = int(match[1])
    half = (match[4] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError(match[0])
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return hour, int(match[2]), int(match[3] or 0)


def _date(part: str, here: datetime) -> tuple[datetime, bool] | None:
    for pattern in _DATES:
        match = pattern.fullmatch(part)
        if match is None:
            continue
        year = int(match["year"]) if match["year"] else here.year
        if year < 100:
            year += 2000
        day = here.replace(
            year=year,
            month=int(match["month"]),
            day=int(match["day"]),
            hour=0,
            minute=0,
            second=0,
            microsecond=0,
        )
        return day, match["year"] is not None
    return None
