"""convert --calibrate and --recover, as a user sees them: what is shown, what survives a kill, and what eval then refuses."""
import json
import signal
import subprocess

import harness
from harness import STERNA, check

FLOAT = harness.SHARED / "data" / "models" / "stories260K"
TRAINED = harness.SHARED / "data" / "models" / "stories260K-bitlinear"
STORIES = harness.SHARED / "data" / "text" / "tinystories_train_first1000.txt"


def command(output, *options, tokens=4096):
    harness.needs(FLOAT, STORIES)
    return [STERNA, "convert", FLOAT, "-o", output, "--planes", "2", "--tokens", str(tokens), "--calibrate", *options]


def layers_and_summary_are_shown(folder):
    result = harness.run_well(command(folder / "m.gguf", STORIES))
    lines = result.stderr.splitlines()
    check(sum(line.startswith("layer ") and "error of outputs" in line for line in lines) == 5, result.stderr)
    check("expected quality" in result.stdout and "times the float model's" in result.stdout, result.stdout)
    check("float, calibrated, 2 planes" in result.stdout, result.stdout)
    quiet = harness.run_well(command(folder / "m.gguf", STORIES) + ["--quiet"])
    check(quiet.stderr == "" and quiet.stdout == "", quiet.stderr + quiet.stdout)


def without_a_name_the_built_in_text_is_taken(folder):
    result = harness.run_well(command(folder / "m.gguf") + ["--json"])
    fit = json.loads(result.stdout)["fit"]
    check(fit["text"].startswith("the built-in text (4096 tokens)"), fit)
    check(0.9 < fit["calibrated"]["perplexity_ratio"] < 10 and fit["calibrated"]["kl"] > 0, fit)


def a_killed_run_goes_on_to_the_same_bytes(folder):
    harness.run_well(command(folder / "whole.gguf", STORIES, tokens=8192))
    path = folder / "m.gguf"
    for number in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen([str(a) for a in command(path, STORIES, tokens=8192)], stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, text=True)
        for line in process.stderr:
            if line.startswith("layer 2 of 5"):
                process.send_signal(number)
                break
        said = process.stderr.read()
        code = process.wait(timeout=60)
        check(code != 0, f"{number}: the run was over before it was stopped")
        if number == signal.SIGINT:
            check(code == 1 and "--resume goes on from there" in said, f"{code}: {said}")
        check(sorted(p.name for p in folder.iterdir()) == ["m.gguf.calibration", "whole.gguf"], list(folder.iterdir()))
        other = harness.run(command(path, STORIES, tokens=2048) + ["--resume"])
        check(other.returncode == 1 and "other settings" in other.stderr, other.stderr)
        resumed = harness.run_well(command(path, STORIES, tokens=8192) + ["--resume"])
        check("done before" in resumed.stderr, resumed.stderr)
        check(path.read_bytes() == (folder / "whole.gguf").read_bytes(), f"{number}: the resumed file is another one")
        check(not (folder / "m.gguf.calibration").exists(), "the work folder is still there")
        path.unlink()


def eval_refuses_the_text_of_the_calibration(folder):
    model = folder / "m.gguf"
    harness.run_well(command(model, STORIES))
    measure = [STERNA, "eval", model, "--no-cost", "--max-windows", "2", "--json", "--text"]
    refused = harness.run(measure + [STORIES])
    check(refused.returncode == 1 and refused.stderr.count("\n") == 1, refused.stderr)
    check("was calibrated on" in refused.stderr and "--seen-text" in refused.stderr, refused.stderr)
    harness.run_well(measure + [STORIES, "--seen-text"])
    harness.run_well(measure + [harness.SHARED / "data" / "text" / "demo_held_out.txt"])


def tuning_is_shown_and_helps(folder):
    result = harness.run_well(command(folder / "m.gguf", STORIES) + ["--recover", "0.1", "--json"])
    check("tuning: step 0" in result.stderr, result.stderr)
    tuned = json.loads(result.stdout)["fit"]["tuned"]
    check(tuned["best_loss"] <= tuned["start_loss"], tuned)


def a_trained_ternary_model_is_tuned_but_not_calibrated(folder):
    harness.needs(TRAINED, STORIES)
    convert = [STERNA, "convert", TRAINED, "-o", folder / "m.gguf", "--calibrate", STORIES, "--tokens", "2048"]
    refused = harness.run(convert)
    check(refused.returncode == 1 and "nothing to calibrate" in refused.stderr, refused.stderr)
    result = harness.run_well(convert + ["--recover", "0.1"])
    check("scales tuned" in result.stdout, result.stdout)


harness.main("calibration", {f.__name__: f for f in (
    layers_and_summary_are_shown, without_a_name_the_built_in_text_is_taken, a_killed_run_goes_on_to_the_same_bytes,
    eval_refuses_the_text_of_the_calibration, tuning_is_shown_and_helps,
    a_trained_ternary_model_is_tuned_but_not_calibrated)})
