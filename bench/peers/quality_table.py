"""What bench/peers/quality counts and shows: bits per weight, both programs' results in one table, and a plot.

Results have the form of `sterna eval`'s report.json: models, each with `cost` and with `texts`, of which one is shown.
Standard library only.
"""
import math
import re

import chart
from common import MIB, Failure

LLAMA, STERNA = "llama.cpp", "Sterna"
LINEAR = re.compile(r"blk\.\d+\.(attn_(q|k|v|output)|ffn_(gate|up|down))\.weight")
EMBEDDING = ("token_embd.weight", "output.weight")
SMALL_BLOCKS = {"F32": 1, "F16": 1, "BF16": 1, "IQ4_NL": 32, "Q2_0": 64}
PLOTTED_BITS = 10  # float forms lie beyond, and would leave a third of the plot to the others
PLOTTED_RATIO = 20  # to the float model's perplexity; what lies beyond is broken and would press the rest together
SHARES = (0.5, 0.9, 0.99, 0.999)


# --- bits per weight --------------------------------------------------------------------------------------------------

def block_of(form):
    """Weights that the form's main type takes at once."""
    if form in SMALL_BLOCKS:
        return SMALL_BLOCKS[form]
    return 256 if "_K" in form or form.startswith(("TQ", "IQ")) else 32


def bits(tensors):
    return 8 * sum(t["bytes"] for t in tensors) / max(1, sum(t["weights"] for t in tensors))


def cost_of(form, inspected):
    """What a GGUF file really is made of, from `sterna inspect --json`; `form` is what llama.cpp was asked for."""
    linear = [t for t in inspected["tensors"] if LINEAR.fullmatch(t["name"])]
    if not linear:
        raise Failure(f"{inspected['path']}: no linear matrix has the name that llama.cpp gives it")
    embedding = [t for t in inspected["tensors"] if t["name"] in EMBEDDING]
    types = {}
    for t in linear:
        types[t["type"]] = types.get(t["type"], 0) + t["weights"]
    total = sum(types.values())
    # llama.cpp takes a type of smaller blocks for rows that the form's do not fill (shape: rows, columns).
    too_narrow = [t for t in linear if t["shape"][1] % block_of(form) != 0]
    return {"file_bytes": inspected["file_bytes"], "bits_per_weight": bits(linear),
            "bits_per_weight_whole": bits(linear + embedding),
            "linear_types": {name: weights / total for name, weights in sorted(types.items(), key=lambda kv: -kv[1])},
            "embedding_types": sorted({t["type"] for t in embedding}),
            "fallback_matrices": len(too_narrow), "linear_matrices": len(linear),
            "fallback_share": sum(t["weights"] for t in too_narrow) / total}


# --- merging ----------------------------------------------------------------------------------------------------------

def is_same_text(ours, theirs):
    """The same tokens scored in the same windows: the lengths of everything agree (texts may have other names)."""
    names = ("name", "window", "bos")
    return (all(ours["protocol"][n] == theirs["protocol"][n] for n in names)
            and ours["scored_tokens"] == theirs["scored_tokens"])


def described(text):
    p = text["protocol"]
    bos = " with BOS" if p["bos"] else ""
    return f"{text['text']}, {p['name']}, windows of {p['window']}{bos}, {text['scored_tokens']} scored"


def sterna_models(report, text):
    """The models of a report.json, each with the one text that `text` of llama.cpp's results can stand beside."""
    models = []
    for model in report["models"]:
        matching = [t for t in model["texts"] if is_same_text(t, text)]
        if not matching:
            found = "; ".join(described(t) for t in model["texts"]) or "no text"
            raise Failure(f"the report of {model['name']} has {found}; llama.cpp's numbers are for {described(text)}")
        if not model.get("cost"):
            raise Failure(f"the report of {model['name']} has no cost, so no bits per weight (was it made with --no-cost?)")
        models.append({**model, "texts": matching[:1]})
    return models


def rows_of(results, report):
    """[(program, model)] of both, most bits first; report may be None."""
    models = [(LLAMA, m) for m in results["models"]]
    if report is not None:
        models += [(STERNA, m) for m in sterna_models(report, results["models"][0]["texts"][0])]
    return sorted(models, key=lambda row: -row[1]["cost"]["bits_per_weight"])


# --- showing ----------------------------------------------------------------------------------------------------------

def number(value, digits=4):
    """As many significant digits; small divergences do not become 0."""
    return f"{value:.{digits}g}"


def finite(value):
    """A report has null where a number is infinite."""
    return math.inf if value is None else value


def quantile(divergence, share):
    return next((finite(q["value"]) for q in divergence["kl_quantiles"] if abs(q["share"] - share) < 1e-9), None)


def table_row(program, model):
    text, cost = model["texts"][0], model["cost"]
    cells = [program, model["name"], f"{cost['bits_per_weight']:.2f}", f"{cost['file_bytes'] / MIB:.1f}",
             f"{finite(text['perplexity']['value']):.3f} ± {finite(text['perplexity']['error']):.3f}"]
    divergence = text.get("divergence")
    if divergence is None:
        return cells + ["reference"] + [""] * (len(SHARES) + 1)
    cells.append(f"{number(finite(divergence['kl']['value']))} ± {number(finite(divergence['kl']['error']), 2)}")
    cells += ["" if (value := quantile(divergence, share)) is None else number(value) for share in SHARES]
    return cells + [f"{100 * divergence['top1']['value']:.2f} %"]


def made_of(model):
    """One line on the types that llama.cpp really used."""
    cost = model["cost"]
    if model.get("same_weights_as"):
        return f"* {model['name']}: the same weights as {model['same_weights_as']}."
    types = ", ".join(f"{name} {100 * share:.0f} %" for name, share in cost["linear_types"].items())
    line = f"* {model['name']}: linear matrices {types}; embedding {' and '.join(cost['embedding_types'])}"
    if cost["fallback_matrices"]:
        line += (f"; {cost['fallback_matrices']} of {cost['linear_matrices']} matrices ({100 * cost['fallback_share']:.0f} % "
                 f"of the weights) have rows that blocks of {block_of(model['name'])} do not fill and fell back to other types")
    return line + "."


def table(title, results, rows):
    text = results["models"][0]["texts"][0]
    reference = f"llama.cpp's own {results['models'][0]['name']} run"
    if any(program == STERNA for program, _ in rows):
        reference += ", for Sterna its report's baseline"
    lines = [f"# {title}", "", f"{described(text)} tokens ({results['cut']}). {results['about']} "
             f"KL (nats per token) and first choice are compared with the reference: {reference}.", "",
             "Bits per weight are those of the linear matrices, from the types in the file, which holds the embedding too.", "",
             "| program | model | bits per weight | file, MiB | perplexity | mean KL | KL 50 % | 90 % | 99 % | 99.9 % | "
             "same first choice |", "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join(table_row(program, model)) + " |" for program, model in rows]
    lines += ["", "What llama.cpp made of the model:", "", *(made_of(m) for p, m in rows if p == LLAMA)]
    lines += [f"* {form}: refused ({why})." for form, why in results["refused"].items()]
    return "\n".join([*lines, *(f"* Note: {note}." for note in results["notes"]), ""])


def plotted(rows, value_of, limit):
    """[(program, [(bits per weight, value, name)])] below the limit, and the names of what lies beyond it."""
    series, beyond = {STERNA: [], LLAMA: []}, []
    for program, model in rows:
        text, bits_per_weight = model["texts"][0], model["cost"]["bits_per_weight"]
        if text.get("divergence") is None or bits_per_weight > PLOTTED_BITS:
            continue
        value = finite(value_of(text))
        if math.isinf(value) or value > limit:
            beyond.append(model["name"])
        elif value > 0:  # equal weights have no divergence, and no place on a logarithmic axis
            series[program].append((bits_per_weight, value, model["name"]))
    return list(series.items()), beyond


def plot(title, subtitle, rows):
    """Perplexity and mean KL over bits per weight, a line for each program; the float model's perplexity is a level."""
    program, reference = next(row for row in rows if row[1]["texts"][0].get("divergence") is None)
    level = reference["texts"][0]["perplexity"]["value"]
    panels = []
    for name, levels, limit, value_of in (
            ("perplexity", [(f"float, {program}", level)], PLOTTED_RATIO * level, lambda t: t["perplexity"]["value"]),
            ("mean KL from the float model, nats", [], math.inf, lambda t: t["divergence"]["kl"]["value"])):
        series, beyond = plotted(rows, value_of, limit)
        remark = "logarithmic, lower is better" + (f"; beyond it: {', '.join(beyond)}" if beyond else "")
        panels.append((name, remark, series, levels))
    return chart.point_chart(title, subtitle, "bits per weight of the linear matrices", panels)
