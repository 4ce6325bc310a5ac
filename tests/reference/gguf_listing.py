"""A converted file is a GGUF that the reference package `gguf` lists without complaint."""
import warnings

import harness

harness.need_packages("gguf_listing", "gguf", "numpy")

import gguf

from harness import check

ALIGNMENT = 64


def open_cleanly(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return gguf.GGUFReader(path)


def check_file(source, folder, *options):
    path = folder / "model.gguf"
    harness.run_well([harness.STERNA, "convert", source, "-o", path, "--quiet", *options])
    reader = open_cleanly(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    check(fields["GGUF.version"] == 3, "not version 3")
    check(fields["general.alignment"] == ALIGNMENT, f"alignment {fields.get('general.alignment')}")
    check(bool(fields["general.architecture"]) and bool(fields["general.name"]), "no architecture or no name")
    architecture = fields["general.architecture"]
    for key in ("context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
                "attention.head_count_kv", "attention.layer_norm_rms_epsilon", "rope.freq_base"):
        check(f"{architecture}.{key}" in fields, f"no field {architecture}.{key}")
    size = path.stat().st_size
    names = [tensor.name for tensor in reader.tensors]
    check(len(names) == len(set(names)) == fields["GGUF.tensor_count"] > 0, "tensor names are not unique")
    end = 0
    for tensor in sorted(reader.tensors, key=lambda t: t.data_offset):
        check(tensor.data_offset % ALIGNMENT == 0, f"{tensor.name} at {tensor.data_offset} is not aligned to {ALIGNMENT}")
        check(tensor.data_offset >= end, f"{tensor.name} overlaps the tensor before it")
        end = tensor.data_offset + tensor.n_bytes
        check(end <= size, f"{tensor.name} ends beyond the file")
    layers = fields[f"{architecture}.block_count"]
    for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "attn_norm", "ffn_norm"):
        for layer in range(layers):
            check(f"blk.{layer}.{part}.weight" in names, f"no tensor blk.{layer}.{part}.weight")
    check({"token_embd.weight", "output_norm.weight"} <= set(names), "no embedding or no final norm")
    check(len(fields["tokenizer.ggml.tokens"]) == len(fields["tokenizer.ggml.token_type"]), "token types do not match tokens")
    return fields


def ternary(folder):
    fields = check_file(harness.DEMO, folder)
    check(len(fields["tokenizer.ggml.tokens"]) == 4096, "not the demo's 4,096 tokens")
    check("capitalize" in fields["tokenizer.chat_template"], "not the demo's chat template")
    check(fields[fields["general.architecture"] + ".block_count"] == 6, "not the demo's 6 blocks")


def int8_embedding(folder):
    check_file(harness.DEMO, folder, "--embedding", "int8")


def float_and_planes(folder):
    source = harness.SHARED / "data" / "models" / "stories260K"
    harness.needs(source)
    for name, options in (("float", ["--float"]), ("one", ["--planes", "1"]), ("three", ["--planes", "3"])):
        (folder / name).mkdir()
        check_file(source, folder / name, *options)


if __name__ == "__main__":
    harness.main("gguf_listing", {case.__name__: case for case in (ternary, int8_embedding, float_and_planes)})
