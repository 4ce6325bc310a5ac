"""What the comparisons with llama.cpp share: where things are, how programs are run, and the interpreter that has llama_cpp."""
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "peers"
PEER = pathlib.Path(__file__).resolve().with_name("peer.py")
PACKAGE = "llama-cpp-python==0.3.36"  # peer.py speaks this one's low-level API
MIB = 1 << 20


class Failure(Exception):
    """Ends the run with one line."""


def say(line):
    print(f"peers: {line}", file=sys.stderr, flush=True)


def run(arguments, what, **options):
    """Runs a program to its end; returns its stdout. A failure is one line: what, and the last thing it said."""
    arguments = [str(a) for a in arguments]
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                            check=False, **options)
    if result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip() or f"exit code {result.returncode}").splitlines()[-1]
        raise Failure(f"{what}: {said} (from: {shlex.join(arguments)})")
    return result.stdout


def write(path, content):
    partial = path.with_name(path.name + ".partial")
    partial.write_text(content, encoding="utf-8")
    os.replace(partial, path)


class Progress:
    """One line on a terminal, and nothing elsewhere."""

    def __init__(self):
        self.start = time.monotonic()

    def show(self, what, done, total):
        left = f", about {(time.monotonic() - self.start) / done * (total - done) / 60:.0f} min left" if done else ""
        if sys.stderr.isatty():
            print(f"\r\033[Kpeers: {what}{left}", end="", file=sys.stderr, flush=True)

    @staticmethod
    def end():
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def prepare_interpreter(venv, package):
    """A virtual environment whose llama.cpp was compiled here; made once, and again when the package changes."""
    python, stamp = venv / "bin" / "python", venv / "installed.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == package:
        return python
    say(f"compiling llama.cpp ({package}) in {venv}; this takes about a quarter of an hour")
    venv.parent.mkdir(parents=True, exist_ok=True)
    run([sys.executable, "-m", "venv", "--clear", venv], "python3 -m venv")
    log = venv / "pip.log"
    environment = {**os.environ, "CMAKE_ARGS": "-DGGML_NATIVE=ON"}
    environment.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(len(os.sched_getaffinity(0))))
    # Without pip's cache, which may hold what was compiled for another machine.
    command = [python, "-m", "pip", "install", "--no-cache-dir", "--no-binary", "llama-cpp-python", package]
    with open(log, "w", encoding="utf-8") as output:
        code = subprocess.run(command,
                              stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment,
                              check=False).returncode
    if code != 0:
        raise Failure(f"llama.cpp could not be compiled; see {log}")
    write(stamp, package)
    return python


def main(compare, options):
    """The end of a script: compare(options), and a failure is one line and exit code 1."""
    try:
        compare(options)
    except Failure as failure:
        say(failure)
        sys.exit(1)
    except KeyboardInterrupt:
        Progress.end()
        say("interrupted; no results were written")
        sys.exit(130)
