"""What the scripts in this folder share: running `sterna`, and the suite they measure with."""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import time


def parser(doc, **defaults):
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=pathlib.Path)
    p.add_argument("--calibrate", nargs="+", required=True, metavar="TEXT")
    p.add_argument("--test", type=pathlib.Path, required=True, metavar="TEXT")
    p.add_argument("--out", type=pathlib.Path, required=True, metavar="FOLDER")
    p.add_argument("--sterna", type=pathlib.Path, default=pathlib.Path("build/release/sterna"))
    p.add_argument("--tokens", type=int, default=defaults.get("tokens", 16384))
    p.add_argument("--windows", type=int, default=defaults.get("windows", 8),
                   help="of 2,048 tokens; 0: the whole test text")
    return p


def run(command):
    """Standard output of a command that must succeed."""
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
    return result.stdout


def convert(args, model, options):
    """Seconds of a conversion with the text of the command line, and its report."""
    command = [args.sterna, "convert", args.checkpoint, "-o", model, "--json", "-q", *options]
    start = time.monotonic()
    report = json.loads(run(command))
    return time.monotonic() - start, report


def calibration(args):
    return ["--calibrate", *args.calibrate, "--tokens", args.tokens]


def measure(args, model):
    """Ratio of the perplexities, its standard error, and the mean KL."""
    args.out.mkdir(parents=True, exist_ok=True)
    suite = args.out / "suite.json"
    suite.write_text(json.dumps({"name": "quantization", "texts": [
        {"file": str(args.test.resolve()), "name": "test", "protocol": "all", "window": 2048,
         "max_windows": args.windows}]}))
    baseline = args.out / f"float-{args.windows}.safetensors"
    command = [args.sterna, "eval", model, "--suite", suite, "--no-cost", "--json", "-q"]
    if baseline.exists():
        command += ["--baseline", baseline]
    else:
        command += ["--baseline", args.checkpoint, "--save-baseline", baseline]
    text = json.loads(run(command))["models"][-1]["texts"][0]
    change = text["divergence"]["nll_change"]
    ratio = math.exp(change["value"])
    return {"ratio": ratio, "error": ratio * change["error"], "kl": text["divergence"]["kl"]["value"]}


class Results:
    """Finished rows by their key, kept in a file, so that a long run can be stopped."""

    def __init__(self, path):
        self.path = path
        self.rows = json.loads(path.read_text()) if path.exists() else {}

    def get(self, key, make):
        key = json.dumps(key)
        if key not in self.rows:
            self.rows[key] = make()
            self.path.write_text(json.dumps(self.rows, indent=1))
        return self.rows[key]
