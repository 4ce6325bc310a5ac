"""What the reference tests share: where the programs are, how a case is run, and how its result is reported.

Standard library only, so that tests that compare with nothing but the program's own promises run without any package.
The environment names the programs (tests/reference/CMakeLists.txt sets it); a run by hand takes those of build/release.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("STERNA_BUILD", ROOT / "build" / "release"))
STERNA = os.environ.get("STERNA_BINARY", str(BUILD / "sterna"))
LOGITS = os.environ.get("STERNA_LOGITS", str(BUILD / "tests" / "sterna_logits"))
SHARED = pathlib.Path(os.environ.get("STERNA_SHARED", ROOT.parent / "shared"))
DEMO = ROOT / "models" / "demo"
SKIPPED = 77  # the exit code that ctest counts as skipped


class Skip(Exception):
    """Raised by a case that cannot run here; the message says what is missing."""


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def run(arguments, stdin="", timeout=120, environment=None, **options):
    """Runs a program with text on stdin; returns subprocess.CompletedProcess with text output."""
    return subprocess.run([str(a) for a in arguments], input=stdin, capture_output=True, text=True, errors="replace",
                          timeout=timeout, env={**os.environ, **(environment or {})}, check=False, **options)


def run_well(arguments, **options):
    """run() for what must succeed; a failure shows the command and what it said."""
    result = run(arguments, **options)
    check(result.returncode == 0,
          f"exit code {result.returncode} from: {' '.join(map(str, arguments))}\n{result.stderr[-2000:]}")
    return result


def logits(model, prompts, *options, **run_options):
    """One list of rows per prompt (a list of ids): the logits after every position, from the test tool."""
    lines = "".join(json.dumps({"ids": list(map(int, ids))}) + "\n" for ids in prompts)
    output = run_well([LOGITS, model, "--kv", "f32", *options], stdin=lines, **run_options).stdout.splitlines()
    check(len(output) == len(prompts), f"{len(prompts)} prompts gave {len(output)} lines")
    answers = [json.loads(line) for line in output]
    for answer in answers:
        check("logits" in answer, f"sterna_logits said: {answer}")
    return [answer["logits"] for answer in answers]


def perplexity(model, text, characters, window, bos, folder):
    """`sterna eval` on the first characters of a text, every token but the first of each window scored: its TextResult as
    JSON, and the nats of each window."""
    excerpt = folder / "excerpt.txt"
    excerpt.write_text(pathlib.Path(text).read_text(encoding="utf-8")[:characters], encoding="utf-8")
    arguments = [STERNA, "eval", model, "--text", excerpt, "--protocol", "all", "--window", window, "--bos",
                 "yes" if bos else "no", "--no-cost", "--report", folder / "perplexity", "--json"]
    result = json.loads(run_well(arguments, timeout=800).stdout)["models"][0]["texts"][0]
    journal = (folder / "perplexity" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return result, [sum(json.loads(line)["result"]["nll"]) for line in journal]


def needs(*paths):
    for path in paths:
        if not os.path.exists(path):
            raise Skip(f"not here: {path}")


def main(name, cases):
    """Runs every case of the dict (name -> function of a scratch folder) and ends the process.

    Arguments on the command line choose cases by substring. Exit code 0, 1 when a case failed, 77 when all were skipped.
    """
    chosen = {k: f for k, f in cases.items() if not sys.argv[1:] or any(part in k for part in sys.argv[1:])}
    passed, failed, skipped = [], [], {}
    for case, function in chosen.items():
        start = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="sterna-test-") as folder:
                function(pathlib.Path(folder))
            passed.append(case)
            print(f"[       OK ] {case} ({time.monotonic() - start:.1f} s)", flush=True)
        except Skip as reason:
            skipped[case] = str(reason)
            print(f"[  SKIPPED ] {case}: {reason}", flush=True)
        except Exception:  # a case may fail in any way, and the others still run
            failed.append(case)
            print(f"{traceback.format_exc()}[  FAILED  ] {case} ({time.monotonic() - start:.1f} s)", flush=True)
    report(name, passed, failed, skipped)
    sys.exit(1 if failed else SKIPPED if skipped and not passed else 0)


def report(name, passed, failed, skipped):
    """Leaves the single cases for tests/python/summary.py."""
    folder = os.environ.get("STERNA_RESULTS")
    if folder:
        text = json.dumps({"passed": passed, "failed": failed, "skipped": skipped})
        pathlib.Path(folder, name + ".json").write_text(text, encoding="utf-8")


def need_packages(name, *packages):
    """Ends the process as skipped when a Python package cannot be imported (offline, or no environment made)."""
    for package in packages:
        try:
            __import__(package)
        except ImportError as error:
            print(f"[  SKIPPED ] {name}: {error} (./start test makes the environment)")
            report(name, [], [], {"all": str(error)})
            sys.exit(SKIPPED)
