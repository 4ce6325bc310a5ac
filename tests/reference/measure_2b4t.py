#!/usr/bin/env python3
"""Memory and time of the largest shape that this project promises, BitNet-b1.58-2B-4T; the commands are printed as they run.

Promised and checked: converting stays under 1.5 GiB resident; running stays under file + KV cache + 100 MiB.

usage: measure_2b4t.py WORK_DIR        (3 GB of disk; needs numpy; not part of CI)
"""
import os
import pathlib
import subprocess
import sys
import time

import harness
import make_2b4t_checkpoint as shape

MIB = 2**20
CONTEXT = 512


def measured(*arguments):
    """Runs a command with its output on ours; returns (peak resident bytes, seconds)."""
    print("$", " ".join(map(str, arguments)), flush=True)
    start = time.monotonic()
    process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"failed: exit code {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss * 1024, seconds


def verdict(what, peak, limit, seconds):
    word = "ok" if peak <= limit else "TOO MUCH"
    print(f"{what}: peak resident {peak / MIB:.0f} MiB, limit {limit / MIB:.0f} MiB: {word}; {seconds:.1f} s\n", flush=True)
    return peak <= limit


def main():
    work = pathlib.Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    source, file = work / "bitnet-2b4t-random", work / "bitnet-2b4t-random.gguf"
    if not source.exists():
        measured(sys.executable, pathlib.Path(shape.__file__), source)
    peak, seconds = measured(harness.STERNA, "convert", source, "-o", file)
    good = verdict("convert", peak, 1536 * MIB, seconds)
    cache = 2 * shape.LAYERS * shape.KV_HEADS * shape.HEAD_DIM * CONTEXT * 2  # k and v, two bytes each
    limit = file.stat().st_size + cache + 100 * MIB
    print(f"file {file.stat().st_size / MIB:.0f} MiB, KV cache of {CONTEXT} positions {cache / MIB:.0f} MiB")
    for options in ([], ["--no-mmap"]):
        peak, seconds = measured(harness.STERNA, "run", file, "-c", CONTEXT, "-n", 16, "--temp", 0, "-p", "Once upon a time", *options)
        good &= verdict("run " + " ".join(options), peak, limit, seconds)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: measure_2b4t.py WORK_DIR")
    main()
