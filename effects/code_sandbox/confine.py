"""How a worker gives up its rights, after it has loaded all it needs and before it reads the first job."""

import ctypes
import os
import pwd
import resource
import signal
import sys

from effects.code_sandbox.errors import WorkerFailedError

_NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


def confine(max_data_bytes: int) -> None:
    """Become nobody if we are root; from here on no new file, process, thread or right.

    Args:
        max_data_bytes: memory that the process may write to; more kills it.

    Raises:
        WorkerFailedError: we are root but may not change the user.
    """
    os.chdir("/")
    os.umask(0o777)
    if os.geteuid() == 0:
        user, group = _nobody()
        try:
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
        except PermissionError as error:
            raise WorkerFailedError(f"root may not become another user here ({error}); run as another user") from error
    if sys.platform == "linux":
        # In this order: a change of user resets what is told of the parent's death.
        control = ctypes.CDLL(None, use_errno=True).prctl
        control(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        control(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        control(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _cap(resource.RLIMIT_DATA, max_data_bytes)
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        _cap(limit, 0)


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return entry.pw_uid, entry.pw_gid


def _cap(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))
