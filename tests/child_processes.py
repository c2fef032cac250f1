"""The processes that the process of the tests has started, found by their command lines."""

import psutil


def children_with(text: str) -> list[psutil.Process]:
    """Return the living children of this process that have ``text`` in an argument.

    Whatever else this process starts may come and go meanwhile. Between fork and exec a child still bears the command
    line of its parent; it is not found then.
    """
    return [child for child in psutil.Process().children() if any(text in part for part in command_line(child))]


def command_line(process: psutil.Process) -> list[str]:
    """Return the arguments of a process, none of one that has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
