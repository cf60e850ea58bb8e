"""Our servers may start no process: the kernel ends one that tries, and so the scenario that made it try.

What took over Apache's brokers by request 25 (CVE-2023-33246) was a command that they ran.
"""

import ctypes
import functools
import os
import platform
import signal
import struct
import sys

from harness.processes import Failure

# From linux/audit.h, linux/filter.h and linux/seccomp.h.
LOAD, EQUAL, HAS_BITS, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER_AT, MACHINE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
ALLOW, END_PROCESS, NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x00050000 | 38
NO_NEW_PRIVILEGES, SECCOMP, BY_FILTER = 38, 22, 2
# A thread of the same process is no process of its own.
CLONE_THREAD = 0x00010000
CLONE3 = 435
NOT_HERE = 3
# The machine's mark, clone, and the calls that only make processes (fork, vfork).
MACHINES = {"x86_64": (0xC000003E, 56, (57, 58)), "aarch64": (0xC00000B7, 220, ())}


def forbid():
    """In the process that calls it, from now on and in all that it becomes. To be called between fork and exec."""
    mark, clone, forks = MACHINES[platform.machine()]
    steps = [(LOAD, 0, 0, MACHINE_AT), (EQUAL, 1, 0, mark), (RETURN, 0, 0, END_PROCESS), (LOAD, 0, 0, NUMBER_AT)]
    for fork in forks:
        steps += [(EQUAL, 0, 1, fork), (RETURN, 0, 0, END_PROCESS)]
    steps += [
        # Its arguments cannot be looked at; who hears that there is no such call takes clone.
        (EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, NO_SUCH_CALL),
        (EQUAL, 1, 0, clone), (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT), (HAS_BITS, 1, 0, CLONE_THREAD), (RETURN, 0, 0, END_PROCESS), (RETURN, 0, 0, ALLOW)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filter_of = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0 or libc.prctl(SECCOMP, BY_FILTER, filter_of, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "processes cannot be forbidden")


@functools.cache
def can_be_forbidden():
    """Whether this machine does so. A child tries it, and then starts a process, which must be its end."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return False
    child = os.fork()
    if child == 0:
        # Whatever happens, the child does not go on as this program.
        try:
            forbid()
            os.fork()
            os._exit(0)
        except OSError:
            os._exit(NOT_HERE)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NOT_HERE:
        return False
    if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS):
        raise Failure("a process that may start none has started one")
    return True
