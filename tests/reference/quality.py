"""bench/peers/quality: divergences are those of the definition, bits those in the file, and results stand side by side.

Only llama_cpp_scores_as_sterna runs llama.cpp (see export.py); the rest needs no peer.
"""
import copy
import json
import math
import os
import pathlib
import sys
import xml.etree.ElementTree

import harness

harness.need_packages("quality", "gguf", "numpy")

import gguf
import numpy

from harness import STERNA, Skip, check

FOLDER = harness.ROOT / "bench" / "peers"
sys.path.insert(0, str(FOLDER))

import common
import divergence
import quality_table

PEER = pathlib.Path(os.environ.get("STERNA_PEER", harness.ROOT / "build" / "peers" / "venv" / "bin" / "python"))
FLOAT_MODEL = harness.SHARED / "data" / "models" / "stories260K"
TEXT = harness.SHARED / "data" / "text" / "tinystories_train_first1000.txt"


# --- divergences ------------------------------------------------------------------------------------------------------

def divergence_is_that_of_the_definition(_folder):
    """Two coins by hand; random rows, more than one block of them, against sums of p ln(p / q) in another order."""
    reference = divergence.Reference(numpy.log(numpy.array([[0.5, 0.5]], numpy.float32)), numpy.array([1]))
    nll, kl, same = reference.compare(numpy.log(numpy.array([[0.9, 0.1]], numpy.float32)) + numpy.float32(3))
    # Logits are float32: 2^-24 of values below 4, which is 2.4e-7 in each of a few terms.
    check(abs(nll[0] - math.log(10)) < 2e-6, f"-ln 0.1 is {nll[0]}")
    check(abs(kl[0] - (0.5 * math.log(5 / 9) + 0.5 * math.log(5))) < 2e-6, f"KL is {kl[0]}")
    check(bool(same[0]), "a tie goes to the first choice")

    random = numpy.random.default_rng(1)
    rows, tokens = 2 * divergence.ROWS + 5, 300
    ours, theirs = (random.normal(0, 4, (rows, tokens)).astype(numpy.float32) for _ in range(2))
    theirs[::2] = ours[::2] + random.normal(0, 0.1, ours[::2].shape).astype(numpy.float32)
    targets = random.integers(0, tokens, rows)
    reference = divergence.Reference(ours, targets)
    nll, kl, same = reference.compare(theirs)
    for row in range(rows):
        p, q = (numpy.exp(x[row].astype(float)) / numpy.exp(x[row].astype(float)).sum() for x in (ours, theirs))
        # float64 throughout: 300 terms of at most 40 with errors of 2^-53.
        check(abs(kl[row] - math.fsum(p * numpy.log(p / q))) < 1e-11, f"KL of row {row} is {kl[row]}")
        check(abs(nll[row] + math.log(q[targets[row]])) < 1e-11, f"-ln p of row {row} is {nll[row]}")
        check(same[row] == (p.argmax() == q.argmax()), f"first choice of row {row}")
    check((reference.compare(ours)[1] == 0).all(), "a model diverges from itself")


def summary_has_the_perplexity_and_quantiles(_folder):
    nll = numpy.log(numpy.array([2.0, 8.0]))
    result = divergence.summarise(nll, nll - 0.5, numpy.arange(1001) / 1000, numpy.arange(1001) < 900)
    check(abs(result["perplexity"]["value"] - 4) < 1e-12, f"{result['perplexity']}")
    values = {q["share"]: q["value"] for q in result["divergence"]["kl_quantiles"]}
    check(all(abs(values[share] - share) < 1e-12 for share in (0.5, 0.9, 0.99, 0.999)), f"{values}")
    check(abs(result["divergence"]["top1"]["value"] - 900 / 1001) < 1e-12, f"{result['divergence']['top1']}")
    check(abs(result["divergence"]["nll_change"]["value"] - 0.5) < 1e-12, f"{result['divergence']['nll_change']}")


# --- bits -------------------------------------------------------------------------------------------------------------

def bits_are_those_of_the_types_in_the_file(folder):
    """A file of a wide matrix in Q4_K (144 bytes for 256 weights) and a narrow one that fell back to Q8_0 (34 for 32)."""
    path = folder / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for name, kind, rows, row_bytes in (("blk.0.ffn_down.weight", gguf.GGMLQuantizationType.Q4_K, 6, 2 * 144),
                                        ("blk.0.attn_q.weight", gguf.GGMLQuantizationType.Q8_0, 8, 4 * 34),
                                        ("token_embd.weight", gguf.GGMLQuantizationType.F16, 10, 128 * 2)):
        data = numpy.zeros((rows, row_bytes), numpy.uint8)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.add_tensor("output_norm.weight", numpy.ones(128, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    cost = quality_table.cost_of("Q4_K_M", json.loads(harness.run_well([STERNA, "inspect", path, "--json"]).stdout))
    wide, narrow, embedding = 6 * 512, 8 * 128, 10 * 128
    linear = 4.5 * wide + 8.5 * narrow
    check(cost["bits_per_weight"] == linear / (wide + narrow), f"{cost}")
    check(cost["bits_per_weight_whole"] == (linear + 16 * embedding) / (wide + narrow + embedding), f"{cost}")
    check(cost["file_bytes"] == path.stat().st_size, f"{cost}")
    check(cost["linear_types"] == {"Q4_K": 0.75, "Q8_0": 0.25} and cost["embedding_types"] == ["F16"], f"{cost}")
    check(cost["fallback_matrices"] == 1 and cost["fallback_share"] == 0.25, f"{cost}")


# --- one table --------------------------------------------------------------------------------------------------------

def model_result(name, bits, perplexity, kl=None, scored=510, protocol=None):
    protocol = {"name": "second-half", "window": 512, "bos": False, **(protocol or {})}
    text = {"text": "wiki", "protocol": protocol, "tokens": 1024,
            "scored_tokens": scored, "perplexity": {"value": perplexity, "error": 0.5}}
    if kl is not None:
        quantiles = [{"share": share, "value": kl * share} for share in (0.5, 0.9, 0.99, 0.999)]
        text["divergence"] = {"kl": {"value": kl, "error": kl / 10}, "kl_quantiles": quantiles, "top1": {"value": 0.875}}
    cost = {"file_bytes": 1 << 20, "bits_per_weight": bits, "linear_types": {"Q4_K": 1.0}, "embedding_types": ["Q6_K"],
            "linear_matrices": 7, "fallback_matrices": 0, "fallback_share": 0.0}
    return {"name": name, "cost": cost, "texts": [text]}


RESULTS = {"model": "a model", "cut": "the whole text", "about": "llama.cpp: here.", "notes": [],
           "refused": {"Q9_K": "there is none"},
           "models": [model_result("F32", 32, 20.0), model_result("Q4_K_M", 4.75, 21.0, 0.0625)]}
REPORT = {"models": [model_result("float", 16, 20.5), model_result("3 planes", 5.125, 25.0, 0.25),
                     model_result("2 planes", 3.5, 60.0, 1.5), model_result("1 plane", 2.125, 1e6, 11.0)]}


def programs_stand_side_by_side(_folder):
    rows = quality_table.rows_of(RESULTS, REPORT)
    check([m["name"] for _, m in rows] == ["F32", "float", "3 planes", "Q4_K_M", "2 planes", "1 plane"], f"{rows}")
    lines = quality_table.table("A title", RESULTS, rows).splitlines()
    want = "| Sterna | 3 planes | 5.12 | 1.0 | 25.000 ± 0.500 | 0.25 ± 0.025 | 0.125 | 0.225 | 0.2475 | 0.2497 | 87.50 % |"
    check(want in lines, "\n".join(lines))
    check("* Q9_K: refused (there is none)." in lines, "a refused form is not named")
    drawing = xml.etree.ElementTree.fromstring(quality_table.plot("a < b", "& more", rows))
    words = [t.text for t in drawing.iter("{http://www.w3.org/2000/svg}text")]
    for name, panels in (("3 planes", 2), ("2 planes", 2), ("Q4_K_M", 2), ("1 plane", 1)):
        check(words.count(name) == panels, f"{name} is {words.count(name)} times in the plot, not in {panels} panels")
    check("logarithmic, lower is better; beyond it: 1 plane" in words, f"{words}")
    check("float, llama.cpp: 20" in words and "Sterna" in words and "a < b" in words, f"{words}")
    broken = copy.deepcopy(REPORT)
    broken["models"][3]["texts"][0]["perplexity"] = {"value": None, "error": None}  # infinite, as report.json has it
    rows = quality_table.rows_of(RESULTS, broken)
    check("| Sterna | 1 plane | 2.12 | 1.0 | inf ± inf | 11 " in quality_table.table("A title", RESULTS, rows), "no infinity")
    check("beyond it: 1 plane" in quality_table.plot("a", "b", rows), "an infinite perplexity is in the plot")
    alone = quality_table.plot("a", "b", quality_table.rows_of(RESULTS, None))
    check("Sterna" not in alone, "Sterna is in the plot without having been measured")


def other_texts_are_refused(_folder):
    for change, where in (({"protocol": {"window": 2048}}, "windows of 2048"), ({"protocol": {"name": "all"}}, "wiki, all"),
                          ({"protocol": {"bos": True}}, "with BOS"), ({"scored": 255}, "255 scored")):
        report = {"models": [model_result("3 planes", 5, 25.0, 0.25, **change)]}
        try:
            quality_table.rows_of(RESULTS, report)
        except common.Failure as failure:
            check(where in str(failure), f"{change}: {failure}")
        else:
            check(False, f"{change} was accepted")
    report = copy.deepcopy(REPORT)
    # The right text may come second.
    report["models"][1]["texts"].insert(0, model_result("", 5, 99.0, protocol={"window": 2048})["texts"][0])
    rows = quality_table.rows_of(RESULTS, report)
    check([m["texts"][0]["perplexity"]["value"] for _, m in rows] == [20, 20.5, 25, 21, 60, 1e6], f"{rows}")


# --- llama.cpp itself -------------------------------------------------------------------------------------------------

def llama_cpp_scores_as_sterna(folder):
    """A float model of 260,000 weights, 4,000 characters: llama.cpp in F32 has Sterna's perplexity, and Q8_0 is near it.

    The export rounds the float32 weights to f16, by up to 2^-12 of each; in sums of 64 or 172 terms such errors partly cancel,
    and 1e-3 of a window's sum is more than they can do (6e-5 was seen). A window shifted by one token is off by tenths.
    """
    harness.needs(FLOAT_MODEL, TEXT)
    if not PEER.exists():
        raise Skip(f"no llama.cpp at {PEER} (bench/peers/run makes it)")
    out = folder / "out"
    harness.run_well([sys.executable, FOLDER / "quality", FLOAT_MODEL, "--text", TEXT, "--characters", 4000, "--window", 256,
                      "--score", "all", "--kv", "f32", "--forms", "Q8_0,Q9_K,Q3_K_S,Q2_K", "--program", STERNA,
                      "--venv", PEER.parents[1], "-o", out])
    results = json.loads((out / "quality.json").read_text(encoding="utf-8"))
    reference, quantised, q3, q2 = results["models"]
    text = reference["texts"][0]
    want, windows = harness.perplexity(FLOAT_MODEL, TEXT, 4000, 256, text["protocol"]["bos"], folder)
    check((text["tokens"], text["scored_tokens"]) == (want["tokens"], want["scored_tokens"]), f"{text}, {want}")
    check(len(windows) == len(text["nll_per_window"]), f"{len(windows)} windows")
    for ours, theirs in zip(windows, text["nll_per_window"]):
        check(abs(theirs / ours - 1) < 1e-3, f"{theirs} nats in llama.cpp, {ours} in Sterna")
    divergence_of_q8 = quantised["texts"][0]["divergence"]
    check(0 < divergence_of_q8["kl"]["value"] < 0.01 and divergence_of_q8["top1"]["value"] > 0.95, f"{divergence_of_q8}")
    # Rows of 172 weights (ffn_down) are not whole blocks of 32: one matrix of seven in each of five layers.
    narrow = 172 * 64 / (3 * 172 * 64 + 2 * 64 * 64 + 2 * 32 * 64)
    cost = quantised["cost"]
    check(cost["fallback_matrices"] == 5 and abs(cost["fallback_share"] - narrow) < 1e-12, f"{cost}")
    check(abs(cost["bits_per_weight"] - (16 * narrow + 8.5 * (1 - narrow))) < 1e-12, f"{cost}")
    check("Q9_K" in results["refused"], f"{results['refused']}")
    # Rows of 64 weights are no block of 256 either, and both forms fall back to the same types.
    check((quantised["same_weights_as"], q2["same_weights_as"]) == (None, "Q3_K_S"), f"{quantised}, {q2}")
    check(q2["texts"] == q3["texts"] and q2["cost"]["linear_types"] == q3["cost"]["linear_types"], f"{q2}")
    check("| llama.cpp | Q8_0 | 10.32 |" in (out / "table.md").read_text(encoding="utf-8"), "no line of Q8_0 in the table")


if __name__ == "__main__":
    harness.main("quality", {case.__name__: case for case in (
        divergence_is_that_of_the_definition, summary_has_the_perplexity_and_quantiles, bits_are_those_of_the_types_in_the_file,
        programs_stand_side_by_side, other_texts_are_refused, llama_cpp_scores_as_sterna)})
