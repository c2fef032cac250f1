"""The time in zones, timestamps and weekdays. Texts and defaults are those of Dify's time tools."""

import calendar
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from effects.tools.errors import ToolParameterError
from effects.tools.parameters import Parameters
from graph.ports import Clock, ToolMessage

_FORMAT = "%Y-%m-%d %H:%M:%S"
_FORMAT_WITH_ZONE = f"{_FORMAT} %Z"
_HOME = "Asia/Shanghai"
_NEIGHBOUR = "Asia/Tokyo"


def current_time(parameters: Parameters, clock: Clock) -> list[ToolMessage]:
    """Tell the time of ``timezone`` (default UTC) in the strftime ``format``; an unknown zone is told as text."""
    name = parameters.text("timezone", "UTC")
    zone = _zone_or_none(name)
    if zone is None:
        return [ToolMessage("text", f"Invalid timezone: {name}")]
    now = datetime.fromtimestamp(clock.now(), zone)
    return [ToolMessage("text", now.strftime(parameters.text("format", _FORMAT_WITH_ZONE)))]


def localtime_to_timestamp(parameters: Parameters, clock: Clock) -> list[ToolMessage]:
    """Tell the Unix seconds of ``localtime`` in ``timezone``."""
    local = _time_in(parameters, "localtime", _zone(parameters, "timezone", _HOME))
    return [ToolMessage("text", str(int(local.timestamp())))]


def timestamp_to_localtime(parameters: Parameters, clock: Clock) -> list[ToolMessage]:
    """Tell the time in ``timezone`` at ``timestamp``, Unix seconds."""
    zone = _zone(parameters, "timezone", _HOME)
    try:
        local = datetime.fromtimestamp(parameters.integer("timestamp"), zone)
    except (ValueError, OverflowError, OSError):
        raise ToolParameterError(parameters.tool, "the timestamp is out of range") from None
    return [ToolMessage("text", local.strftime(_FORMAT))]


def timezone_conversion(parameters: Parameters, clock: Clock) -> list[ToolMessage]:
    """Tell ``current_time`` of ``current_timezone`` in ``target_timezone``."""
    local = _time_in(parameters, "current_time", _zone(parameters, "current_timezone", _HOME))
    try:
        there = local.astimezone(_zone(parameters, "target_timezone", _NEIGHBOUR))
    except OverflowError:
        raise ToolParameterError(parameters.tool, "the time is out of range") from None
    return [ToolMessage("text", there.strftime(_FORMAT))]


def weekday(parameters: Parameters, clock: Clock) -> list[ToolMessage]:
    """Tell the weekday of a date, by default today in UTC for what is not given; a date that is none as text."""
    today = datetime.fromtimestamp(clock.now(), UTC).date()
    year = parameters.integer("year", today.year)
    month = parameters.integer("month", today.month)
    day = parameters.integer("day", today.day)
    try:
        asked = date(year, month, day)
    except (ValueError, OverflowError):
        return [ToolMessage("text", f"Invalid date: Year {year}, Month {month}, Day {day}.")]
    named = f"{calendar.month_name[month]} {day}, {year}"
    return [ToolMessage("text", f"{named} is {calendar.day_name[asked.weekday()]}.")]


def _zone_or_none(name: str) -> tzinfo | None:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None


def _zone(parameters: Parameters, parameter: str, default: str) -> tzinfo:
    name = parameters.text(parameter, default)
    zone = _zone_or_none(name)
    if zone is None:
        raise ToolParameterError(parameters.tool, f"Invalid timezone: {name!r}")
    return zone


def _time_in(parameters: Parameters, parameter: str, zone: tzinfo) -> datetime:
    text = parameters.text(parameter)
    try:
        read = datetime.strptime(text, _FORMAT).replace(tzinfo=zone)
        read.timestamp()
    except (ValueError, OverflowError):
        raise ToolParameterError(parameters.tool, f"{text!r} is no time of the form YYYY-MM-DD hh:mm:ss") from None
    return read
