"""`sterna export`: the weights come back from the file, llama.cpp computes the same with it, and what it could not is refused.

The first cases read exports with the reference package `gguf`. Those named llama_cpp_* run llama.cpp itself, with the
interpreter of build/peers/venv (bench/peers/run makes it) or of STERNA_PEER, and are skipped where it is not there.
"""
import json
import os
import pathlib
import signal
import subprocess

import harness

harness.need_packages("export", "gguf", "torch", "safetensors")

import gguf
import numpy
import torch
from safetensors.torch import load_file

import checkpoint
import models
from harness import STERNA, Skip, check

PEER = pathlib.Path(os.environ.get("STERNA_PEER", harness.ROOT / "build" / "peers" / "venv" / "bin" / "python"))
PEER_PROGRAM = harness.ROOT / "bench" / "peers" / "peer.py"
TRAINED = harness.SHARED / "data" / "models" / "bitllama2c-bitlinear"  # ternary, SiLU, width 256: runs in llama.cpp's bitnet
SMOLLM2 = os.environ.get("STERNA_SMOLLM2", "")


def convert(source, target, *options):
    harness.run_well([STERNA, "convert", source, "-o", target, "--quiet", *options], timeout=300)
    return target


def export(source, target, form, *options):
    return json.loads(harness.run_well([STERNA, "export", source, "-o", target, "--to", form, "--json", "--quiet", *options],
                                       timeout=300).stdout)


def weights_of(path):
    """name -> the tensor's weights as float32, by the reference package's own decoder."""
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(numpy.float32) for t in gguf.GGUFReader(path).tensors}


# --- the weights come back ---------------------------------------------------------------------------------------------

def ternary_weights_come_back(folder):
    """The demo's masters, ternarised here by the definition of BitNet, against the exports' blocks, bit for bit."""
    masters = load_file(harness.DEMO / "model.safetensors")
    model = convert(harness.DEMO, folder / "model.gguf", "--embedding", "keep")
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down"}
    for form in ("tq2_0", "tq1_0"):
        report = export(model, folder / f"{form}.gguf", form)
        check(any("SiLU" in note for note in report["notes"]), f"no word of relu2 in {report['notes']}")
        got = weights_of(folder / f"{form}.gguf")
        for layer in range(6):
            for theirs, ours in names.items():
                trits, mean = models.absmean(masters[f"model.layers.{layer}.{theirs}.weight"].float())
                want = trits.numpy() * numpy.float32(numpy.float16(mean.item()))
                check((got[f"blk.{layer}.{ours}.weight"] == want).all(), f"{form}: layer {layer} {theirs} differs")
        norms = masters["model.layers.3.mlp.ffn_sub_norm.weight"].float().numpy()
        check((got["blk.3.ffn_sub_norm.weight"] == norms).all(), "norms differ")
        embedding = masters["model.embed_tokens.weight"].float().numpy()
        # Q8_0: half a step of max |w| / 127, and 127 steps of a scale that f16 rounds by up to 2^-11; a little for float.
        step = numpy.abs(embedding.reshape(-1, 32)).max(axis=1) / 127
        error = numpy.abs(got["token_embd.weight"] - embedding).reshape(-1, 32).max(axis=1)
        check((error <= step * (0.5 + 127 / 2048 + 0.01)).all(), "the embedding is farther away than Q8_0 rounds")


def random_llama(folder, **changes):
    """A float checkpoint whose values f16 holds: (its Sterna file, its configuration, its weights)."""
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 96,
              "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu",
              "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
              "vocab_size": 320, "bos_token_id": 317, "eos_token_id": 318, "torch_dtype": "float16", **changes}
    weights = models.float_weights(config, "F16", 1)
    source = checkpoint.write_checkpoint(folder / "source", config, models.stored(weights, config, "F16"))
    return convert(source, folder / "model.gguf", "--float", "--embedding", "keep"), config, weights


def float_weights_come_back_in_llamas_order(folder):
    """f16 holds every value; the rows of q and k are dealt out in pairs, as llama.cpp rotates them."""
    model, config, weights = random_llama(folder, attention_bias=True, mlp_bias=True)
    export(model, folder / "out.gguf", "f16")
    got = weights_of(folder / "out.gguf")
    for name, heads in (("q", 4), ("k", 2), ("v", 0)):
        for part in ("weight", "bias"):
            want = weights[f"model.layers.1.self_attn.{name}_proj.{part}"].numpy()
            if heads:
                want = want.reshape(heads, 2, 8, -1).swapaxes(1, 2).reshape(want.shape)
            check((got[f"blk.1.attn_{name}.{part}"] == want).all(), f"{name} {part} differs")
    for ours, theirs in (("blk.0.ffn_down.weight", "layers.0.mlp.down_proj.weight"), ("output_norm.weight", "norm.weight"),
                         ("token_embd.weight", "embed_tokens.weight"), ("blk.0.ffn_up.bias", "layers.0.mlp.up_proj.bias")):
        check((got[ours] == weights["model." + theirs].numpy()).all(), f"{ours} differs")


def keys_say_what_the_model_is(folder):
    """Everything that another program needs beside the weights, under the names that it knows."""
    model = convert(harness.DEMO, folder / "model.gguf")
    export(model, folder / "out.gguf", "tq2_0")
    fields = {name: field.contents() for name, field in gguf.GGUFReader(folder / "out.gguf").fields.items()}
    want = {"general.architecture": "bitnet", "bitnet.embedding_length": 256, "bitnet.feed_forward_length": 768,
            "bitnet.block_count": 6, "bitnet.attention.head_count": 4, "bitnet.attention.head_count_kv": 2,
            "bitnet.attention.key_length": 64, "bitnet.rope.dimension_count": 64, "bitnet.context_length": 512,
            "bitnet.rope.freq_base": 10000.0, "bitnet.vocab_size": 4096, "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "smaug-bpe", "tokenizer.ggml.bos_token_id": 4093, "tokenizer.ggml.add_bos_token": True}
    for key, value in want.items():
        check(fields.get(key) == value, f"{key} is {fields.get(key)}, not {value}")
    ends = {fields["tokenizer.ggml.eos_token_id"], fields["tokenizer.ggml.eot_token_id"]}
    check(ends == {4094, 4095}, f"ends: {ends}")
    check("capitalize" in fields["tokenizer.chat_template"], "not the demo's chat template")
    check(fields["tokenizer.ggml.token_type"][4093] == 3, "a special token is not marked as one")


# --- llama.cpp computes the same -----------------------------------------------------------------------------------------

def peer(*arguments):
    if not PEER.exists():
        raise Skip(f"no llama.cpp at {PEER} (bench/peers/run makes it)")
    return json.loads(harness.run_well([PEER, PEER_PROGRAM, *arguments], timeout=300).stdout)


def check_same_text(model, exported, prompt, count):
    ours = json.loads(harness.run_well([STERNA, "run", model, "-p", prompt, "-n", count, "--temp", "0", "--json"]).stdout)
    theirs = peer("greedy", exported, 1, count, prompt)
    check(ours["prompt_tokens"] == theirs["prompt_tokens"], f"prompt: {ours['prompt_tokens']}, {theirs['prompt_tokens']}")
    check(len(ours["tokens"]) == count, f"only {len(ours['tokens'])} tokens")
    check(ours["tokens"] == theirs["tokens"], f"{exported.name}: {ours['tokens']} here, {theirs['tokens']} there")


def llama_cpp_says_the_same_ternary(folder):
    """A trained ternary model, 48 tokens, in every form.

    llama.cpp quantises activations by blocks of 256 and not by token (which is the same at this width, save for ties),
    the scale is rounded to f16 and the embedding to Q8_0, so the two are not equal to the last bit: the prompts are such
    that no choice along the way is a near tie.
    """
    harness.needs(TRAINED)
    model = convert(TRAINED, folder / "model.gguf")
    for form in ("tq2_0", "tq1_0", "f16"):
        export(model, folder / f"{form}.gguf", form)
        check_same_text(model, folder / f"{form}.gguf", "Once upon a time", 48)


def llama_cpp_says_the_same_smollm2(folder):
    """A real float model of the llama architecture: 32 tokens from f16 weights, with f16 keys and values on both sides."""
    if not SMOLLM2:
        raise Skip("STERNA_SMOLLM2 is not set (./start test makes the checkpoint)")
    model = convert(SMOLLM2, folder / "model.gguf", "--float", "--embedding", "keep")
    export(model, folder / "out.gguf", "f16")
    check_same_text(model, folder / "out.gguf", "Once upon a time, there was a little girl", 32)


def check_choices(model, exported):
    """The most probable token after every position of a random text, where it leads clearly.

    llama.cpp rounds activations to f16 before it multiplies them with f16 weights: 2^-12 each, about 1e-3 of the logits'
    root mean square after two layers. A lead of 0.05 is fifty times that; a wrong graph agrees by chance in 1 of 320.
    """
    ids = torch.randint(0, 317, (64,), generator=torch.Generator().manual_seed(5)).tolist()
    rows = torch.tensor(harness.logits(model, [ids])[0])
    best = rows.topk(2, dim=1)
    clear = (best.values[:, 0] - best.values[:, 1]) > 0.05 * rows.pow(2).mean().sqrt()
    check(int(clear.sum()) >= 32, f"only {int(clear.sum())} of 64 choices are clear")
    choices = peer("choices", exported, json.dumps(ids))["choices"]
    wrong = [i for i in range(64) if clear[i] and choices[i] != int(best.indices[i, 0])]
    check(not wrong, f"{exported.name}: llama.cpp chooses other tokens at positions {wrong}")


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
ARCHITECTURES = {
    "llama": {}, "untied": {"tie_word_embeddings": False}, "biases": {"attention_bias": True, "mlp_bias": True},
    "head_dim": {"head_dim": 32}, "llama3_scaling": {"rope_scaling": LLAMA3},
    "linear_scaling": {"rope_scaling": {"type": "linear", "factor": 4.0}},
    "mistral": {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 32},
}


def llama_cpp_chooses_the_same(changes):
    def case(folder):
        model, _, _ = random_llama(folder, **changes)
        export(model, folder / "out.gguf", "f16")
        check_choices(model, folder / "out.gguf")
    return case


# --- what is refused -----------------------------------------------------------------------------------------------------

def refuses(arguments, target, *words, code=1):
    result = harness.run([STERNA, "export", *arguments])
    check(result.returncode == code, f"{arguments}: exit code {result.returncode}, {result.stderr!r}")
    check(code != 1 or len(result.stderr.splitlines()) == 1, f"{arguments}: {result.stderr!r}")
    for word in words:
        check(word in result.stderr, f"{arguments}: no {word!r} in {result.stderr!r}")
    check(not any(p.name.startswith(target.name) for p in target.parent.iterdir()), f"{arguments}: something was left behind")


def what_cannot_be_expressed_is_refused(folder):
    target = folder / "out.gguf"
    float_model, _, _ = random_llama(folder / "float")
    planes = convert(folder / "float" / "source", folder / "planes.gguf", "--planes", "3")
    window, _, _ = random_llama(folder / "window", architectures=["MistralForCausalLM"], model_type="mistral", sliding_window=5)
    demo = convert(harness.DEMO, folder / "demo.gguf")
    other = folder / "other.gguf"
    export(demo, other, "tq2_0")
    refuses([float_model, "-o", target, "--to", "tq2_0"], target, "no ternary matrix", "--to f16")
    refuses([planes, "-o", target, "--to", "tq1_0"], target, "multiples of 256", "--to f16")
    refuses([window, "-o", target, "--to", "f16"], target, "window")
    refuses([other, "-o", target, "--to", "f16"], target, "architecture 'bitnet'")
    refuses([folder / "nothing.gguf", "-o", target, "--to", "f16"], target, "nothing.gguf")
    refuses([demo, "-o", folder / "no" / "such" / "folder.gguf", "--to", "f16"], target, "folder.gguf")
    refuses([demo, "-o", target], target, "--to", code=2)
    refuses([demo, "-o", target, "--to", "q4_0"], target, "--to", code=2)


def ctrl_c_leaves_nothing(folder):
    """Stopped between two tensors of a model that takes long enough to export."""
    model = folder / "model.gguf"
    harness.run_well([STERNA, "bench", "--synthetic", "0.7b", "--save", model])
    (folder / "out").mkdir()
    target = folder / "out" / "model.gguf"
    process = subprocess.Popen([str(a) for a in (STERNA, "export", model, "-o", target, "--to", "tq1_0", "-q", "-t", "1")],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    partial = target.with_name(target.name + ".partial")
    while process.poll() is None and not partial.exists():
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    check(process.returncode == 1 and "interrupted" in said, f"exit code {process.returncode}, {said!r}")
    check(list(target.parent.iterdir()) == [], f"left behind: {list(target.parent.iterdir())}")


if __name__ == "__main__":
    plain = (ternary_weights_come_back, float_weights_come_back_in_llamas_order, keys_say_what_the_model_is,
             llama_cpp_says_the_same_ternary, llama_cpp_says_the_same_smollm2, what_cannot_be_expressed_is_refused,
             ctrl_c_leaves_nothing)
    harness.main("export", {**{case.__name__: case for case in plain},
                            **{"llama_cpp_" + name: llama_cpp_chooses_the_same(changes)
                               for name, changes in ARCHITECTURES.items()}})
