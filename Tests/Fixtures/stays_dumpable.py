"""Runs a program that cannot hide from others: python stays_dumpable.py ERRNO PROGRAM ARGUMENT…

Its prctl(PR_SET_DUMPABLE) fails with ERRNO; with 0 it is told that it worked, and nothing has changed."""
import ctypes, os, platform, struct, sys

PRCTL = {"x86_64": 157, "aarch64": 167}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06


def step(code, value, skipped_if_not=0):
    return struct.pack("=HBBI", code, 0, skipped_if_not, value)


program = b"".join([
    step(LOAD, 0), step(EQUAL, PRCTL, 3),  # the system call's number
    step(LOAD, 16), step(EQUAL, 4, 1),  # its first argument: PR_SET_DUMPABLE
    step(RETURN, 0x50000 | int(sys.argv[1])),  # SECCOMP_RET_ERRNO
    step(RETURN, 0x7FFF0000),  # SECCOMP_RET_ALLOW
])
code = ctypes.create_string_buffer(program, len(program))
filter = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in [(38, 1, 0, 0, 0), (22, 2, filter, 0, 0)]:  # PR_SET_NO_NEW_PRIVS; PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    if libc.prctl(*arguments) != 0:
        sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
