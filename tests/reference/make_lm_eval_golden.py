"""Writes tests/eval/golden/lm_eval.json: what lm-evaluation-harness finds for the rows that tests/eval scores, too.

usage: OMP_NUM_THREADS=1 STERNA_SMOLLM2=DIR PYTHON tests/reference/make_lm_eval_golden.py [OUTPUT]
needs: pip install lm-eval==0.4.13 transformers==5.23.0 torch==2.13.0, and STERNA_SHARED (default ../shared)

lm-eval does all of it: its own task files (prompts, choices, preprocessing, few-shot), its encoding, its Hugging Face
backend in float32 on the processor, its accuracies. Given to it are only the rows, as local JSON files, for few-shot its
own sampler "first_n" in place of the random one, and the tokenizer as tokenizer.json has it: by the name of its class
(GPT2Tokenizer) transformers 5 builds another one, without the step that keeps digits apart, which reads ",  3" and the like
differently (21 of PIQA's 1,838 rows). The file written holds numbers only: no text of any data set.

STERNA_CASES names cases (below) to make anew; the others stay as the file has them.
"""
import bz2
import json
import os
import pathlib
import re
import sys
import tempfile

import lm_eval
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = ROOT / "tests" / "eval" / "rows"
DATA = pathlib.Path(os.environ.get("STERNA_SHARED", ROOT.parent / "shared")) / "data" / "eval"
ITEMS = 200


def own(name):
    return [json.loads(line) for line in (ROWS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def hellaswag():
    """The six-line text as rows of the data set. "activity: context" is divided only for lm-eval to put it together again."""
    lines = bz2.open(DATA / "hellaswag_val_full.txt.bz2", "rt", encoding="utf-8").read().split("\n")
    rows = []
    for i in range(0, 6 * ITEMS, 6):
        activity, context = lines[i].split(": ", 1)
        rows.append({"activity_label": activity, "ctx_a": context, "ctx_b": "", "endings": lines[i + 2:i + 6],
                     "label": lines[i + 1]})
    return rows


def piqa():
    rows = [json.loads(line) for line in open(DATA / "piqa_valid.jsonl", encoding="utf-8")][:ITEMS]
    labels = (DATA / "piqa_valid-labels.lst").read_text().split()
    return [{**row, "label": int(label)} for row, label in zip(rows, labels)]


def arc_easy():
    rows = []
    for row in json.loads((DATA / "ARC-Easy.test.json").read_text(encoding="utf-8"))[:ITEMS]:
        body = row["instruction"].removeprefix("Please choose the correct answer to the question: ")
        question, rest = body.split("\n\nAnswer1: ")
        texts = re.split(r" Answer\d: ", rest.split("\n\nAnswer format: ")[0])
        rows.append({"question": question, "answerKey": "ABCDE"[int(row["answer"].removeprefix("answer")) - 1],
                     "choices": {"text": texts, "label": list("ABCDE"[:len(texts)])}})
    return rows


# Name in the golden file: lm-eval's task file, rows, more.
CASES = {
    "hellaswag-text": ("hellaswag/hellaswag.yaml", hellaswag, {}),
    "piqa-lst": ("piqa/piqa.yaml", piqa, {}),
    "arc-easy-json": ("arc/arc_easy.yaml", arc_easy, {}),
    "hellaswag": ("hellaswag/hellaswag.yaml", lambda: own("hellaswag"), {}),
    "arc_challenge": ("arc/arc_challenge.yaml", lambda: own("arc_challenge"), {}),
    "piqa": ("piqa/piqa.yaml", lambda: own("piqa"), {}),
    "winogrande": ("winogrande/default.yaml", lambda: own("winogrande"), {}),
    "boolq": ("super_glue/boolq/default.yaml", lambda: own("boolq"), {}),
    "openbookqa": ("openbookqa/openbookqa.yaml", lambda: own("openbookqa"), {}),
    "lambada": ("lambada/lambada_openai.yaml", lambda: own("lambada"), {}),
    "mmlu": ("mmlu/default/mmlu_astronomy.yaml", lambda: own("mmlu"), {"subject": True}),
    "mmlu-2-shot": ("mmlu/default/mmlu_astronomy.yaml", lambda: own("mmlu"), {"subject": True, "shots": 2, "from": "mmlu_dev"}),
    "hellaswag-2-shot": ("hellaswag/hellaswag.yaml", lambda: own("hellaswag"), {"shots": 2}),
    "arc_challenge-2-shot": ("arc/arc_challenge.yaml", lambda: own("arc_challenge"), {"shots": 2}),
    "winogrande-2-shot": ("winogrande/default.yaml", lambda: own("winogrande"), {"shots": 2}),
    "boolq-1-shot": ("super_glue/boolq/default.yaml", lambda: own("boolq"), {"shots": 1}),
    "lambada-1-shot": ("lambada/lambada_openai.yaml", lambda: own("lambada"), {"shots": 1}),
    "arc_challenge-context-16": ("arc/arc_challenge.yaml", lambda: own("arc_challenge"), {"context": 16}),
}


def configuration(yaml, rows, more, folder):
    config = load_yaml(pathlib.Path(lm_eval.__file__).parent / "tasks" / yaml)
    files = {"test": rows, "dev": own(more["from"]) if "from" in more else rows}
    paths = {split: str(folder / f"{split}.json") for split in files}
    for split, content in files.items():
        pathlib.Path(paths[split]).write_text("".join(json.dumps(r) + "\n" for r in content), encoding="utf-8")
    for key in ("tag", "group", "training_split", "validation_split", "fewshot_split"):
        config.pop(key, None)
    config.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": paths}, test_split="test",
                  fewshot_split="dev" if "from" in more else "test", fewshot_config={"sampler": "first_n"})
    if more.get("subject"):
        subject = rows[0]["subject"].replace("_", " ")
        config["description"] = config["description"].replace("astronomy", subject)
    return config


def run_case(model, yaml, rows, more):
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = folder
        config = configuration(yaml, rows, more, pathlib.Path(folder))
        result = lm_eval.simple_evaluate(model=model, tasks=[config], num_fewshot=more.get("shots", 0), log_samples=True,
                                         bootstrap_iters=1000)  # of perplexity only; errors of means have a formula
    samples = sorted(result["samples"][config["task"]], key=lambda sample: sample["doc_id"])
    numbers = result["results"][config["task"]]
    case = {"shots": more.get("shots", 0), "context": more.get("context", 0),
            "ll": [[round(float(r[0][0]), 4) for r in s["resps"]] for s in samples],
            "greedy": "".join("01"[str(r[0][1]) == "True"] for s in samples for r in s["resps"])}
    for metric in ("acc", "acc_norm", "perplexity"):
        if f"{metric},none" in numbers:
            case[metric] = numbers[f"{metric},none"]
            if metric != "perplexity":
                case[metric + "_items"] = "".join("01"[int(s[metric])] for s in samples)
            error = numbers.get(f"{metric}_stderr,none")
            if isinstance(error, float):
                case[metric + "_stderr"] = error
    return case


def main():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    directory = pathlib.Path(os.environ["STERNA_SMOLLM2"])
    names = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"),
                                                     bos_token=names["bos_token"], eos_token=names["eos_token"])
    model = HFLM(pretrained=str(directory), tokenizer=tokenizer, device="cpu", dtype="float32", batch_size=1)
    golden = {"model": "SmolLM2-135M-Instruct, as tools/smollm2_checkpoint.py of the shared data lays it out",
              "made with": {"lm_eval": lm_eval.__version__, "transformers": transformers.__version__,
                            "torch": torch.__version__},
              "licence": "numbers only, no text of the data sets: CC0",
              "tasks": {}}
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests" / "eval" / "golden" / "lm_eval.json")
    chosen = os.environ.get("STERNA_CASES", "").split()
    kept = json.loads(output.read_text(encoding="utf-8"))["tasks"] if chosen else {}
    for name, (yaml, rows, more) in CASES.items():
        if chosen and name not in chosen:
            golden["tasks"][name] = kept[name]
            continue
        model._max_length = more.get("context")  # None: the model's own
        golden["tasks"][name] = run_case(model, yaml, rows(), more)
        print(name, {k: v for k, v in golden["tasks"][name].items() if k.startswith(("acc", "perp"))}, flush=True)
    output.write_text(re.sub(r'(\}|\]),\s*"', r'\1,\n"', json.dumps(golden, separators=(",", ":"))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
