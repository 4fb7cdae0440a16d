"""The allocator's setting takes effect on Linux with glibc, and is a sentence elsewhere."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from ablata.engine.hardware import memory

PROBE = """
import ctypes, sys
from ablata.engine.hardware.memory import keep_memory
if sys.argv[1] == "keep":
    assert "stay with the process" in keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
size = 24 << 20
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
block = libc.malloc(size)
ctypes.memset(block, 1, size)
full = resident()
libc.free(block)
print(int(full - resident() < size // 2))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_freed_block_stays_with_the_process_only_after_the_call() -> None:
    kept = {
        mode: subprocess.run([sys.executable, "-c", PROBE, mode], capture_output=True, text=True, check=True).stdout
        for mode in ("keep", "leave")
    }
    assert kept == {"keep": "1\n", "leave": "0\n"}


def test_elsewhere_nothing_is_done_and_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("the C library was touched"))
    assert "not Linux" in memory.keep_memory()


def test_a_library_without_mallopt_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert "not found" in memory.keep_memory()
