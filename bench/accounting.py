"""What a process has used, from the kernel's own books: Linux, /proc."""

import os
import re
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KIB_PER_MIB = 1024

_UTIME, _STIME = 11, 12  # fields 14 and 15 of proc(5), counted from behind the command's name
_IDLE, _IOWAIT = 3, 4
_COUNTED = 8  # fields of the first line of /proc/stat: what follows (guests) is counted in them already


def cpu_s(pid: int) -> float:
    """Return the CPU time of the process so far, of all its threads, in user and kernel mode."""
    return ticks_of(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")) / TICKS_PER_S


def peak_rss_mib(pid: int) -> float:
    """Return the most memory that the process has held at a time (VmHWM)."""
    return peak_kib_of(Path(f"/proc/{pid}/status").read_text("utf-8", "replace")) / KIB_PER_MIB


def rss_mib(pid: int) -> float:
    """Return the memory that the process holds now (VmRSS)."""
    return rss_kib_of(Path(f"/proc/{pid}/status").read_text("utf-8", "replace")) / KIB_PER_MIB


def machine_busy_s() -> float:
    """Return how long the machine's cores have been busy since it started, whoever kept them so."""
    return busy_ticks_of(Path("/proc/stat").read_text("utf-8")) / TICKS_PER_S


def ticks_of(stat: str) -> int:
    """Return user and system time out of /proc/PID/stat; the command's name may hold anything."""
    fields = stat[stat.rindex(")") + 1 :].split()
    return int(fields[_UTIME]) + int(fields[_STIME])


def peak_kib_of(status: str) -> int:
    """Return VmHWM out of /proc/PID/status, 0 for a process that has ended."""
    return _kib_of("VmHWM", status)


def rss_kib_of(status: str) -> int:
    """Return VmRSS out of /proc/PID/status, 0 for a process that has ended."""
    return _kib_of("VmRSS", status)


def busy_ticks_of(stat: str) -> int:
    """Return what all cores were not idle for, nor waiting for a disk, out of /proc/stat."""
    first = stat.splitlines()[0].split()[1 : 1 + _COUNTED]
    return sum(int(ticks) for index, ticks in enumerate(first) if index not in (_IDLE, _IOWAIT))


def _kib_of(name: str, status: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) if found else 0
