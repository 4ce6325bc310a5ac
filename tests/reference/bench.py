"""`sterna bench` as a user sees it: three forms of the same numbers, and one clear line for what it cannot measure."""
import csv
import io
import json

import harness
from harness import check

QUICK = ["-p", "8", "-n", "4", "-r", "2"]


def bench(*options, **run_options):
    return harness.run([harness.STERNA, "bench", *options], **run_options)


def json_holds_every_test(_folder):
    out = json.loads(harness.run_well([harness.STERNA, "bench", harness.DEMO, *QUICK, "--pg", "8,4", "-d", "0,16", "-t", "1,2",
                                       "--profile", "-o", "json"]).stdout)
    tests = [(row["threads"], row["test"]) for row in out["results"]]
    names = ["pp8", "tg4", "pp8+tg4", "pp8 @ d16", "tg4 @ d16", "pp8+tg4 @ d16"]
    check(tests == [(threads, name) for threads in (1, 2) for name in names], f"tests: {tests}")
    for row in out["results"]:
        samples = row["samples"]
        check(len(samples) == 2 and min(samples) > 0, f"samples: {samples}")
        check(abs(row["tokens_per_second"] - sum(samples) / 2) <= 1e-9 * sum(samples), "the mean is not that of the samples")
        check(("bytes_per_token" in row) == (row["n_prompt"] == 0), f"bytes per token of {row['test']}")
        check(row["profile"]["head"]["seconds"] > 0, "no time in the head")
    check(out["peak_resident_bytes"] > out["weight_bytes"] > 0, "no memory")


def csv_and_table_have_a_row_for_each_test(_folder):
    rows = list(csv.DictReader(io.StringIO(harness.run_well([harness.STERNA, "bench", harness.DEMO, *QUICK, "-o", "csv"]).stdout)))
    check([(r["n_prompt"], r["n_gen"]) for r in rows] == [("8", "0"), ("0", "4")], f"rows: {rows}")
    table = harness.run_well([harness.STERNA, "bench", harness.DEMO, "-p", "8", "-n", "0", "-r", "1"]).stdout
    check(sum(line.startswith("| ") and "pp8" in line for line in table.splitlines()) == 1, table)
    check("tg" not in table, "-n 0 means no decoding")


def a_random_model_can_be_kept(folder):
    """--save writes a whole file that passes its checksums and runs."""
    file = folder / "model.gguf"
    harness.run_well([harness.STERNA, "bench", "--synthetic", "0.7b", "--save", file])
    harness.run_well([harness.STERNA, "inspect", file, "--verify"])
    out = json.loads(harness.run_well([harness.STERNA, "bench", file, "-p", "8", "-n", "0", "-r", "1", "-o", "json"]).stdout)
    check(0 <= file.stat().st_size - out["weight_bytes"] < 1 << 20, "the file is not the size of its weights")
    result = bench("--synthetic", "0.7b", "--save", folder / "no" / "such.gguf")
    check(result.returncode == 1 and "such.gguf" in result.stderr, f"{result.returncode}, {result.stderr!r}")
    check([p.name for p in folder.iterdir()] == ["model.gguf"], "something was left behind")


def what_cannot_be_measured_is_one_line(_folder):
    check(bench(harness.DEMO, "--save", _folder / "model.gguf").returncode == 2, "--save without --synthetic")
    check(bench(harness.DEMO, "--synthetic-rotation").returncode == 2, "--synthetic-rotation without --synthetic")
    for options, code, word in [([], 2, "--synthetic"), ([harness.DEMO, "--synthetic", "3b"], 2, "--synthetic"),
                                (["--synthetic", "7b"], 1, "2b-4t"), ([harness.DEMO, "-d", "100000"], 1, "smaller -p, -n or -d"),
                                (["/no/such/file.gguf"], 1, "/no/such/file.gguf")]:
        result = bench(*options)
        check(result.returncode == code, f"{options}: exit code {result.returncode}")
        check(result.stdout == "" and len(result.stderr.splitlines()) == 1, f"{options}: {result.stderr!r}")
        check(word in result.stderr, f"{options}: {result.stderr!r}")


if __name__ == "__main__":
    harness.main("bench", {case.__name__: case for case in (
        json_holds_every_test, csv_and_table_have_a_row_for_each_test, a_random_model_can_be_kept,
        what_cannot_be_measured_is_one_line)})
