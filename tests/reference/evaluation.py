"""`sterna eval` as a user sees it: its numbers against transformers in float32, its reports, what it refuses, and that an
interrupted run goes on to the same result."""
import json
import math
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree

import harness
from harness import STERNA, Skip, check

STORIES = harness.SHARED / "data" / "models" / "stories260K"
STORY_TEXT = harness.SHARED / "data" / "text" / "tinystories_train_first1000.txt"
TEXT = "The cat sat on the mat and looked at the rain. 猫は窓のそばで眠っています。 " * 60


def evaluate(*arguments, **options):
    return harness.run([STERNA, "eval", *arguments], **options)


def evaluate_json(*arguments, **options):
    return json.loads(harness.run_well([STERNA, "eval", *arguments, "--json"], **options).stdout)


def demo(folder, *options):
    file = folder / "demo.gguf"
    harness.run_well([STERNA, "convert", harness.DEMO, "-o", file, *options])
    return file


def some_text(folder, text=TEXT):
    file = folder / "text.txt"
    file.write_text(text, encoding="utf-8")
    return file


def a_file_equals_the_directory_it_was_made_of(folder):
    """Exactly: a directory that is run as it is computes what its converted file computes."""
    file = demo(folder, "--embedding", "keep")
    for protocol in ("second-half", "all", "strided"):
        out = evaluate_json(file, "--baseline", harness.DEMO, "--text", some_text(folder), "--window", "128", "--no-cost",
                            "--protocol", protocol)
        base, model = out["models"]
        check(base["is_baseline"] and not model["is_baseline"], "the baseline is not the first")
        divergence = model["texts"][0]["divergence"]
        check(divergence["kl"]["value"] == 0 and divergence["kl_max"] == 0, f"KL {divergence['kl']}")
        check(divergence["top1"]["value"] == 1 and divergence["top5"]["value"] == 1, f"agreement {divergence['top1']}")
        check(model["texts"][0]["perplexity"] == base["texts"][0]["perplexity"], "perplexities differ")


def numbers_are_those_of_transformers(folder):
    """stories260K and a copy with noise in its weights: perplexity by the strided loop of the transformers documentation and by
    windows, and KL, from float32 logits."""
    harness.needs(STORIES, STORY_TEXT)
    try:
        import safetensors.torch
        import torch
        import torch_reference
        import transformers
    except ImportError as error:
        raise Skip(f"{error} (./start test makes the environment)") from error
    other = folder / "noisy"
    shutil.copytree(STORIES, other)
    weights = safetensors.torch.load_file(str(STORIES / "model.safetensors"))
    torch.manual_seed(1)
    noisy = {name: w + 0.02 * w.std() * torch.randn_like(w) if w.dim() == 2 else w for name, w in weights.items()}
    safetensors.torch.save_file(noisy, str(other / "model.safetensors"), metadata={"format": "pt"})
    text = some_text(folder, STORY_TEXT.read_text(encoding="utf-8")[:6000])
    tokenizer = transformers.AutoTokenizer.from_pretrained(STORIES, local_files_only=True)
    ids = torch.tensor([tokenizer.encode(text.read_text(encoding="utf-8"), add_special_tokens=False)])
    models = [torch_reference.load(STORIES), torch_reference.load(other)]
    max_length, stride = 256, 100
    nll, kl, same, scored, previous = [0.0, 0.0], 0.0, 0, 0, 0
    for begin in range(0, ids.size(1), stride):
        end = min(begin + max_length, ids.size(1))
        first = max(previous - begin, 1)  # what earlier windows have scored, and the first token, which nothing predicts
        with torch.no_grad():
            logits = [m(ids[:, begin:end]).logits[0].double() for m in models]
        p, q = (torch.log_softmax(x[first - 1:-1], dim=-1) for x in logits)
        targets = ids[0, begin + first:end]
        for i, rows in enumerate((p, q)):
            nll[i] -= rows.gather(1, targets[:, None]).sum().item()
        kl += (p.exp() * (p - q)).sum().item()
        same += (p.argmax(-1) == q.argmax(-1)).sum().item()
        scored += targets.numel()
        previous = end
        if end == ids.size(1):
            break
    out = evaluate_json(other, "--baseline", STORIES, "--text", text, "--protocol", "strided", "--window", max_length,
                        "--stride", stride, "--bos", "no", "--no-cost")
    texts = [m["texts"][0] for m in out["models"]]
    for i in range(2):
        check(texts[i]["tokens"] == ids.size(1), f"{texts[i]['tokens']} tokens, not {ids.size(1)}")
        check(texts[i]["scored_tokens"] == scored, f"{texts[i]['scored_tokens']} scored, not {scored}")
        ratio = texts[i]["perplexity"]["value"] / math.exp(nll[i] / scored)
        check(abs(ratio - 1) < 1e-4, f"perplexity {ratio} times that of transformers")
    got = texts[1]["divergence"]
    check(kl / scored > 1e-3, f"the two models are nearly the same: {kl / scored}")
    check(abs(got["kl"]["value"] / (kl / scored) - 1) < 1e-4, f"KL {got['kl']['value']}, transformers {kl / scored}")
    check(abs(got["top1"]["value"] - same / scored) < 1.5 / scored, f"top-1 {got['top1']['value']}, {same / scored}")


def the_report_is_whole(folder):
    file = demo(folder)
    out = folder / "report"
    printed = evaluate_json(file, "--baseline", harness.DEMO, "--text", some_text(folder), "--window", "128", "--report", out)
    names = sorted(p.name for p in out.iterdir())
    check(names == ["journal.jsonl", "report.html", "report.json", "report.md"], f"files: {names}")
    check(json.loads((out / "report.json").read_text(encoding="utf-8")) == printed, "report.json is not what was printed")
    page = xml.etree.ElementTree.fromstring((out / "report.html").read_text(encoding="utf-8").split("\n", 1)[1])
    check("demo" in "".join(page.itertext()), "the page does not name the model")
    for model in printed["models"]:
        cost = model["cost"]
        check(cost["file_bytes"] > 0 and cost["decode"]["value"] > 0 and cost["prefill"]["value"] > 0, f"cost: {cost}")
    base, model = printed["models"]
    # Memory is that of the model alone, not of the evaluation, which has two models and more logits.
    alone = json.loads(harness.run_well([STERNA, "bench", file, "-p", "256", "-n", "64", "-r", "3", "-o", "json"]).stdout)
    ratio = model["cost"]["peak_resident_bytes"] / alone["peak_resident_bytes"]
    check(0.7 < ratio < 1.3, f"{ratio} times the memory of a run of its own")
    check(1.9 < model["cost"]["bits_per_weight"] < 2.2, f"bits per weight: {model['cost']['bits_per_weight']}")
    table = harness.run_well([STERNA, "eval", file, "--text", some_text(folder), "--window", "128", "--no-cost"]).stdout
    check("perplexity" in table and "demo" in table, table)


def an_interrupted_run_goes_on(folder):
    file = demo(folder)
    text = some_text(folder, TEXT * 6)
    arguments = [file, "--baseline", harness.DEMO, "--text", text, "--window", "128", "--no-cost", "--report"]
    whole = evaluate_json(*arguments, folder / "whole")
    command = [STERNA, "eval", *arguments, folder / "parts", "--json"]
    process = subprocess.Popen([str(a) for a in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = folder / "parts" / "journal.jsonl"
    while process.poll() is None and (not journal.exists() or journal.read_text().count("\n") < 4):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    check(process.returncode == 1 and output == "", f"{process.returncode}: {output!r}")
    check(errors == "sterna: interrupted; the same command with --resume goes on\n", errors)
    check(not (folder / "parts" / "report.html").exists(), "there is a report of an interrupted run")
    done = journal.read_text().count("\n")
    resumed = evaluate_json(*arguments, folder / "parts", "--resume")
    for one, other in zip(whole["models"], resumed["models"]):
        check(one["texts"] == other["texts"], "the resumed run has other numbers")
    lines = [line for line in journal.read_text().splitlines() if line]
    units = [json.loads(line)["unit"] for line in lines]
    check(len(units) == len(set(units)) and len(units) > done, f"{len(units)} units, {len(set(units))} of them distinct")


def a_baseline_can_be_kept(folder):
    file, text, record = demo(folder), some_text(folder), folder / "base.safetensors"
    common = ["--text", text, "--window", "128", "--no-cost"]
    direct = evaluate_json(file, "--baseline", harness.DEMO, "--save-baseline", record, *common)
    later = evaluate_json(file, "--baseline", record, *common)
    exact, kept = (out["models"][1]["texts"][0]["divergence"] for out in (direct, later))
    check(kept["top1"] == exact["top1"] and kept["nll_change"] == exact["nll_change"], "agreement or likelihoods differ")
    # Estimated without bias: within four of its standard errors, which hold what the draw adds.
    difference = abs(kept["kl"]["value"] - exact["kl"]["value"])
    check(difference <= 4 * kept["kl"]["error"], f"{kept['kl']} is not {exact['kl']}")
    check(any("is a record" in note for note in later["notes"]), "no note says what the KL is made of")


def different_tokenizers_share_only_bits_per_byte(folder):
    other = folder / "other"
    shutil.copytree(harness.DEMO, other)
    tokenizer = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    common = ["--text", some_text(folder), "--window", "128", "--no-cost"]
    result = evaluate(other, "--baseline", harness.DEMO, *common)
    refused(result, "differs from that of the baseline")
    table = harness.run_well([STERNA, "eval", other, harness.DEMO, *common]).stdout
    check("bits per byte" in table and "perplexity  " not in table, table)


def refused(result, *parts):
    check(result.returncode == 1, f"exit code {result.returncode}: {result.stderr}")
    check(result.stdout == "", f"stdout: {result.stdout!r}")
    check(len(result.stderr.splitlines()) == 1, f"not one line: {result.stderr!r}")
    for part in parts:
        check(part in result.stderr, f"{part!r} is not in {result.stderr!r}")


def what_cannot_be_measured_is_one_line(folder):
    report = folder / "report"
    task = folder / "task.jsonl"

    def bad(*parts, **files):
        for name, content in files.items():
            (folder / f"{name}.{'jsonl' if name == 'task' else 'txt'}").write_text(content, encoding="utf-8")
        arguments = ["--task", task] if "task" in files else ["--text", folder / "text.txt"]
        refused(evaluate(harness.DEMO, *arguments, "--no-cost", "--report", report), *parts)
        left = [p.name for p in report.iterdir() if p.name != "journal.jsonl"] if report.exists() else []
        check(left == [], f"left behind: {left}")

    bad("text.txt", "fewer than one window of 512", text="too short")
    bad("the text is empty", text="")
    bad("task.jsonl", "empty", task="")
    bad("task.jsonl:1", task="{\n")
    bad("task.jsonl:2", "answer",
        task='{"context": "a", "choices": ["b", "c"], "answer": 0}\n{"context": "a", "choices": ["b", "c"]}\n')
    refused(evaluate(harness.DEMO, "--suite", folder / "none.json"), "none.json", "quick, full")
    refused(evaluate(harness.DEMO, "--suite", "full"), "--data")
    refused(evaluate(harness.DEMO, "--baseline", folder / "none.safetensors"), "none.safetensors")
    refused(evaluate(harness.DEMO, "--text", folder / "none.txt"), "none.txt")
    refused(evaluate(folder / "none.gguf"), "none.gguf")
    for wrong in ([], [harness.DEMO, "--resume"], [harness.DEMO, "--save-baseline", "x.safetensors"],
                  [harness.DEMO, "--protocol", "none"]):
        check(evaluate(*wrong).returncode == 2, f"exit code of {wrong}")


if __name__ == "__main__":
    harness.main("evaluation", {case.__name__: case for case in (
        a_file_equals_the_directory_it_was_made_of, numbers_are_those_of_transformers, the_report_is_whole,
        an_interrupted_run_goes_on, a_baseline_can_be_kept, different_tokenizers_share_only_bits_per_byte,
        what_cannot_be_measured_is_one_line)})
