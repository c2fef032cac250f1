"""What must hold before a Greenroom starts, checked before anything slow: each failure names the setting to change."""

import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from actors.settings import Settings
from cli.errors import DataFolderError, DataInUseError, InvalidSettingsError, PortInUseError

_LOCK_FILE = "in-use.lock"


def check_port(settings: Settings) -> None:
    """Return when the HTTP address can be listened on.

    Raises:
        PortInUseError: another program listens there.
        InvalidSettingsError: this machine has no such address, or this user may not listen on the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.http_host, settings.http_port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(settings.http_port) from error
            name = "GREENROOM_HTTP_PORT" if error.errno == errno.EACCES else "GREENROOM_HTTP_HOST"
            raise InvalidSettingsError((f"{name}: cannot be listened on: {error.strerror}",)) from error


def prepare_data_folder(settings: Settings) -> None:
    """Make the data folder, for its owner alone, and return when files can be made in it.

    Raises:
        DataFolderError: they cannot.
    """
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.data_dir):
            pass
    except OSError as error:
        raise DataFolderError(str(settings.data_dir), error.strerror or type(error).__name__) from error


@contextmanager
def data_folder_lock(settings: Settings) -> Iterator[None]:
    """Hold the data folder for this process; the operating system lets go of it however the process ends.

    Two clusters over one SQLite file would take each other's runs for orphans. With PostgreSQL there is nothing to
    hold: several machines may share the folder.

    Raises:
        DataInUseError: another Greenroom holds it.
    """
    if not settings.database_url.startswith("sqlite"):
        yield
        return
    descriptor = os.open(settings.data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DataInUseError(str(settings.data_dir)) from error
    try:
        yield
    finally:
        os.close(descriptor)
