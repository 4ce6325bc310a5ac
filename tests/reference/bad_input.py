"""Damaged, hostile and missing input: one clear line on stderr, exit code 1, nothing on stdout, no file left behind.

Every case starts from a tiny checkpoint that does convert and run (the first test shows that), so that what it changes is
the only thing wrong. Wrong usage of the command line is exit code 2.
"""
import copy
import json
import os
import pathlib
import random
import shutil
import struct
import threading

import checkpoint
import harness
from harness import STERNA, Skip, check

HIDDEN, FFN, VOCABULARY, LAYERS = 64, 48, 300, 2


def config(**changes):
    fields = {"architectures": ["BitNetForCausalLM"], "model_type": "bitnet", "hidden_size": HIDDEN,
              "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2,
              "hidden_act": "relu2", "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "tie_word_embeddings": True, "vocab_size": VOCABULARY, "bos_token_id": VOCABULARY - 3,
              "eos_token_id": VOCABULARY - 2, "torch_dtype": "float32",
              "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear",
                                      "quantization_mode": "offline"}}
    return {key: value for key, value in {**fields, **changes}.items() if value is not None}


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def tensors(packed=True):
    generator = random.Random(7)

    def matrix(rows, columns):
        return "F32", (rows, columns), floats([generator.gauss(0, 0.1) for _ in range(rows * columns)])

    def trits(rows, columns):
        codes = [sum(generator.randrange(3) << 2 * i for i in range(4)) for _ in range(rows // 4 * columns)]
        return "U8", (rows // 4, columns), bytes(codes)

    shapes = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
              "self_attn.v_proj": (HIDDEN // 2, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
              "mlp.gate_proj": (FFN, HIDDEN), "mlp.up_proj": (FFN, HIDDEN), "mlp.down_proj": (HIDDEN, FFN)}
    norms = {"input_layernorm": HIDDEN, "post_attention_layernorm": HIDDEN}
    if packed:
        norms |= {"self_attn.attn_sub_norm": HIDDEN, "mlp.ffn_sub_norm": FFN}
    result = {"model.embed_tokens.weight": matrix(VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            result[f"model.layers.{layer}.{name}.weight"] = trits(*shape) if packed else matrix(*shape)
            if packed:
                result[f"model.layers.{layer}.{name}.weight_scale"] = "F32", (1,), floats([0.1])
        for name, width in norms.items():
            result[f"model.layers.{layer}.{name}.weight"] = "F32", (width,), floats([1.0] * width)
    result["model.norm.weight"] = "F32", (HIDDEN,), floats([1.0] * HIDDEN)
    return result


TENSORS = tensors()
Q = "model.layers.1.self_attn.q_proj.weight"
NORM = "model.layers.0.input_layernorm.weight"
FLOAT_CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
                "quantization_config": None}


def make(folder, changed_config=None, changed_tensors=None, base=None, shards=1):
    """A checkpoint in folder/model with some config fields and tensors replaced (None removes)."""
    merged = {**(base or TENSORS), **(changed_tensors or {})}
    merged = {name: tensor for name, tensor in merged.items() if tensor is not None}
    return checkpoint.write_checkpoint(folder / "model", config(**(changed_config or {})), merged, shards)


def refuses(arguments, *fragments, **options):
    """Exit code 1, one line on stderr that names each of the fragments, nothing on stdout."""
    result = harness.run([STERNA, *arguments], **options)
    shown = f"{' '.join(map(str, arguments))}\nexit code {result.returncode}\nstdout: {result.stdout[:300]!r}\nstderr: {result.stderr[:1500]!r}"
    check(result.returncode == 1, f"expected exit code 1: {shown}")
    lines = result.stderr.splitlines()
    check(len(lines) == 1 and 10 < len(lines[0]) < 1000, f"expected one line: {shown}")
    check(lines[0].isprintable(), f"control characters in the message: {shown}")
    check(result.stdout == "", f"something on stdout: {shown}")
    for fragment in fragments:
        check(fragment.lower() in lines[0].lower(), f"the message does not name {fragment!r}: {shown}")
    return lines[0]


def refuses_to_convert(source, *fragments, options=()):
    target = pathlib.Path(source).parent / "out.gguf"
    refuses(["convert", source, "-o", target, "--quiet", *options], *fragments)
    leftovers = [p.name for p in target.parent.iterdir() if p.name.startswith("out.gguf")]
    check(not leftovers, f"left behind: {leftovers}")


def refuses_everywhere(source, *fragments):
    refuses_to_convert(source, *fragments)
    refuses(["run", source, "-p", "a", "-n", "1"], *fragments)


def good(folder):
    source = make(folder)
    harness.run_well([STERNA, "convert", source, "-o", folder / "model.gguf", "--quiet"])
    harness.run_well([STERNA, "inspect", folder / "model.gguf", "--verify"])
    return source, folder / "model.gguf"


def what_is_whole_is_accepted(folder):
    source, file = good(folder)
    for model in (source, file):
        result = harness.run_well([STERNA, "run", model, "-p", "abc", "-n", "4", "--temp", "0"])
        check(result.stdout != "", "no output")
    make(folder / "float", FLOAT_CONFIG, base=tensors(packed=False))
    for options in (["--float"], ["--planes", "2"], []):
        harness.run_well([STERNA, "convert", folder / "float" / "model", "-o", folder / "float.gguf", *options])


# Hugging Face directories: name -> (config changes, tensor changes, what the message must name)


def scale(*values):
    return {Q + "_scale": ("F32", (len(values),), floats(values))}


def norm(value):
    return {NORM: ("F32", (HIDDEN,), floats([1.0] * 5 + [value] + [1.0] * (HIDDEN - 6)))}


def embedding(dtype, shape, data):
    return {"model.embed_tokens.weight": (dtype, shape, data)}


EMBEDDING = TENSORS["model.embed_tokens.weight"][2]
CODES = TENSORS[Q][2]

BAD_CHECKPOINTS = {
    "code_3": ({}, {Q: ("U8", (16, 64), CODES[:77] + b"\xff" + CODES[78:])}, [Q]),
    "scale_zero": ({}, scale(0.0), [Q]),
    "scale_negative": ({}, scale(-0.5), [Q]),
    "scale_nan": ({}, scale(float("nan")), [Q]),
    "scale_infinite": ({}, scale(float("inf")), [Q]),
    "scale_of_two": ({}, scale(0.1, 0.1), [Q]),
    "scale_missing": ({}, {Q + "_scale": None}, [Q]),
    "packed_dtype": ({}, {Q: ("I32", (16, 16), CODES)}, [Q]),
    "packed_shape": ({}, {Q: ("U8", (64, 16), CODES)}, [Q]),
    "norm_nan": ({}, norm(float("nan")), [NORM]),
    "norm_infinite": ({}, norm(float("-inf")), [NORM]),
    "norm_dtype": ({}, {NORM: ("I32", (HIDDEN,), bytes(4 * HIDDEN))}, [NORM]),
    "norm_shape": ({}, {NORM: ("F32", (2, HIDDEN), bytes(8 * HIDDEN))}, [NORM]),
    "norm_missing": ({}, {NORM: None}, [NORM]),
    "embedding_nan": ({}, embedding("F32", (VOCABULARY, HIDDEN), EMBEDDING[:400] + floats([float("nan")]) + EMBEDDING[404:]),
                      ["embed_tokens"]),
    "embedding_float8": ({}, embedding("F8_E4M3", (VOCABULARY, HIDDEN), EMBEDDING[::4]), ["embed_tokens"]),
    "embedding_rows": ({}, embedding("F32", (VOCABULARY - 1, HIDDEN), EMBEDDING[4 * HIDDEN:]), ["embed_tokens"]),
    "vocabulary_size": ({"vocab_size": VOCABULARY + 10}, {}, ["embed_tokens"]),
    "more_layers": ({"num_hidden_layers": LAYERS + 1}, {}, ["layers.2"]),
    "fewer_layers": ({"num_hidden_layers": LAYERS - 1}, {}, ["layers.1"]),
    "unmentioned_bias": ({}, {Q.replace("weight", "bias"): ("F32", (HIDDEN,), bytes(4 * HIDDEN))}, ["bias"]),
    "untied_without_head": ({"tie_word_embeddings": False}, {}, ["lm_head"]),
    "architecture_unknown": ({"architectures": ["GPT2LMHeadModel"]}, {}, ["GPT2LMHeadModel"]),
    "architecture_missing": ({"architectures": None, "model_type": None}, {}, ["config.json"]),
    "activation_unknown": ({"hidden_act": "gelu"}, {}, ["gelu"]),
    "rope_unknown": ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, {}, ["yarn"]),
    "rope_theta_text": ({"rope_theta": "many"}, {}, ["rope_theta"]),
    "rope_theta_negative": ({"rope_theta": -1.0}, {}, ["theta"]),
    "hidden_negative": ({"hidden_size": -64}, {}, ["hidden_size"]),
    "hidden_enormous": ({"hidden_size": 2**63}, {}, ["hidden_size"]),
    "hidden_text": ({"hidden_size": "64"}, {}, ["hidden_size"]),
    "hidden_missing": ({"hidden_size": None}, {}, ["hidden_size"]),
    "heads_zero": ({"num_attention_heads": 0}, {}, ["head"]),
    "heads_uneven": ({"num_key_value_heads": 3}, {}, ["heads"]),
    "head_dim_odd": ({"head_dim": 15}, {}, ["head"]),
    "layers_enormous": ({"num_hidden_layers": 10**9}, {}, ["layers"]),
    "linear_class_unknown": ({"quantization_config": {"quant_method": "bitnet", "linear_class": "magic"}}, {}, ["linear_class"]),
    "quant_method_unknown": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, {}, ["gptq"]),
}


def bad_checkpoint(changed_config, changed_tensors, fragments):
    return lambda folder: refuses_everywhere(make(folder, changed_config, changed_tensors), *fragments)


# The bytes of model.safetensors


def rewrite_header(path, change):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    text = change(data[8:8 + length].decode()).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])


def edit_header(change):
    def on_text(text):
        header = json.loads(text)
        change(header)
        return json.dumps(header)
    return lambda path: rewrite_header(path, on_text)


def overlap(header):
    header[NORM]["data_offsets"] = header["model.norm.weight"]["data_offsets"]


def set_length(value):
    return lambda path: path.write_bytes(struct.pack("<Q", value) + path.read_bytes()[8:])


BAD_FILES = {
    "header_length_2_60": set_length(2**60),
    "header_length_all_ones": set_length(2**64 - 1),
    "header_length_beyond_file": set_length(10**9),
    "header_length_zero": set_length(0),
    "header_no_json": lambda path: rewrite_header(path, lambda text: text[:-20]),
    "header_list": lambda path: rewrite_header(path, lambda text: "[]"),
    "header_deep": lambda path: rewrite_header(path, lambda text: '{"a":' + "[" * 200000),
    "header_duplicate_name": lambda path: rewrite_header(
        path, lambda text: text.rstrip()[:-1] + f', "{NORM}": {json.dumps(json.loads(text)[NORM])}}}'),
    "offsets_overlap": edit_header(overlap),
    "offsets_beyond": edit_header(lambda h: h[NORM].update(data_offsets=[2**40, 2**40 + 4 * HIDDEN])),
    "offsets_reversed": edit_header(lambda h: h[NORM].update(data_offsets=h[NORM]["data_offsets"][::-1])),
    "offsets_negative": edit_header(lambda h: h[NORM].update(data_offsets=[-4 * HIDDEN, 0])),
    "offsets_missing": edit_header(lambda h: h[NORM].pop("data_offsets")),
    "shape_overflow": edit_header(lambda h: h[NORM].update(shape=[2**33, 2**33])),
    "shape_negative": edit_header(lambda h: h[NORM].update(shape=[-HIDDEN])),
    "shape_text": edit_header(lambda h: h[NORM].update(shape="64")),
    "dtype_unknown": edit_header(lambda h: h[NORM].update(dtype="F17")),
    "dtype_number": edit_header(lambda h: h[NORM].update(dtype=32)),
    "empty_file": lambda path: path.write_bytes(b""),
    "seven_bytes": lambda path: path.write_bytes(b"\0" * 7),
    "text_file": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    "missing": lambda path: path.unlink(),
    "a_directory": lambda path: (path.unlink(), path.mkdir()),
}


def bad_file(change):
    def case(folder):
        source = make(folder)
        change(source / "model.safetensors")
        refuses_everywhere(source, "safetensors")
    return case


def truncated_safetensors(folder):
    source = make(folder)
    path = source / "model.safetensors"
    data = path.read_bytes()
    for length in (1, 8, 9, 500, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        refuses_everywhere(source, "model.safetensors")
    path.write_bytes(data + b"\0")
    refuses_everywhere(source, "model.safetensors")


def flipped_safetensors_header(folder):
    """A flip in the header may leave it valid; then all is well. It never crashes and never says more than a line."""
    source = make(folder)
    path = source / "model.safetensors"
    data = path.read_bytes()
    length = 8 + struct.unpack("<Q", data[:8])[0]
    generator = random.Random(3)
    refused = 0
    for _ in range(100):
        position, bit = generator.randrange(length), generator.randrange(8)
        path.write_bytes(data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1:])
        result = harness.run([STERNA, "convert", source, "-o", folder / "out.gguf", "--quiet"])
        lines = result.stderr.splitlines()
        fine = result.returncode == 0 and not lines or result.returncode == 1 and len(lines) == 1
        check(fine, f"byte {position} bit {bit}: exit code {result.returncode}, {result.stderr[:500]!r}")
        refused += result.returncode
    check(refused > 50, f"only {refused} of 100 flips were noticed")


# Shards


def shard_missing(folder):
    source = make(folder, shards=3)
    (source / "model-00002-of-00003.safetensors").unlink()
    refuses_everywhere(source, "model-00002-of-00003.safetensors")


def edit_index(change):
    def case(folder):
        source = make(folder, shards=3)
        path = source / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        path.write_text(change(index) or json.dumps(index))
        refuses_everywhere(source)
    return case


SHARDS = {
    "index_names_other_shard": edit_index(lambda i: i["weight_map"].update({Q: "model-00009-of-00003.safetensors"})),
    "index_leaves_directory": edit_index(lambda i: i["weight_map"].update({Q: "../../etc/passwd"})),
    "index_names_no_file": edit_index(lambda i: i["weight_map"].update({Q: 7})),
    "index_without_map": edit_index(lambda i: i.pop("weight_map") and None),
    "index_no_json": edit_index(lambda i: "{"),
}


# Float checkpoints


def float_nan(folder):
    for value in (float("nan"), float("inf")):
        base = tensors(packed=False)
        dtype, shape, data = base[Q]
        base[Q] = dtype, shape, data[:1000] + floats([value]) + data[1004:]
        shutil.rmtree(folder / "model", ignore_errors=True)
        source = make(folder, FLOAT_CONFIG, base=base)
        for options in (["--float"], ["--planes", "1"], ["--planes", "3"]):
            refuses_to_convert(source, Q.removesuffix(".weight"), options=options)


def master_nan(folder):
    """NaN among master weights that are made ternary (online)."""
    base = {**TENSORS, **{name: t for name, t in tensors(packed=False).items() if name.endswith("_proj.weight")}}
    base = {name: tensor for name, tensor in base.items() if not name.endswith("weight_scale")}
    online = {"quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}}
    source = make(folder, online, base=base)
    harness.run_well([STERNA, "convert", source, "-o", folder / "fine.gguf", "--quiet"])
    dtype, shape, data = base[Q]
    base[Q] = dtype, shape, data[:1000] + floats([float("nan")]) + data[1004:]
    shutil.rmtree(source)
    refuses_everywhere(make(folder, online, base=base), Q.removesuffix(".weight"))


def trained_is_not_ternarised_again(folder):
    source = make(folder)
    for options in (["--planes", "1"], ["--planes", "3"], ["--float"]):
        refuses_to_convert(source, "ternary", options=options)


# The other files of a directory


def text_file(name, text, *fragments, command=None):
    def case(folder):
        source = make(folder)
        if text is None:
            (source / name).unlink()
        else:
            (source / name).write_text(text, encoding="utf-8")
        if command:
            refuses([part.format(model=source) for part in command], *fragments)
        else:
            refuses_everywhere(source, *fragments)
    return case


def edited_tokenizer(change, *fragments):
    tokenizer = checkpoint.tokenizer_json(VOCABULARY)
    change(tokenizer)
    return text_file("tokenizer.json", json.dumps(tokenizer), *fragments)


def too_many_tokens(tokenizer):
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": VOCABULARY + 5, "content": "<|more|>"})


CHAT = ["run", "{model}", "--chat", "-p", "hello", "-n", "1"]

OTHER_FILES = {
    "config_missing": text_file("config.json", None, "config.json"),
    "config_empty": text_file("config.json", "", "config.json"),
    "config_no_json": text_file("config.json", "{\"architectures\": [", "config.json"),
    "config_list": text_file("config.json", "[1, 2]", "config.json"),
    "config_deep": text_file("config.json", "[" * 300000, "config.json"),
    "tokenizer_missing": text_file("tokenizer.json", None, "tokenizer.json"),
    "tokenizer_no_json": text_file("tokenizer.json", "not json", "tokenizer.json"),
    "tokenizer_unknown_model": edited_tokenizer(lambda t: t["model"].update(type="Unigram"), "Unigram"),
    "tokenizer_unknown_step": edited_tokenizer(lambda t: t.update(pre_tokenizer={"type": "Mystery"}), "Mystery"),
    "tokenizer_bad_merge": edited_tokenizer(lambda t: t["model"]["merges"].append(["no", "where"]), "tokenizer.json"),
    "tokenizer_larger_than_embedding": edited_tokenizer(too_many_tokens, str(VOCABULARY)),
    "template_unknown_filter": text_file("chat_template.jinja", "{{ messages | frobnicate }}", "frobnicate", command=CHAT),
    "template_unknown_tag": text_file("chat_template.jinja", "{% include '/etc/passwd' %}", "include", command=CHAT),
    "template_unclosed": text_file("chat_template.jinja", "{% for m in messages %}{{ m.content }}", command=CHAT),
    "template_raises": text_file("chat_template.jinja", "{{ raise_exception('only in pairs') }}", "only in pairs", command=CHAT),
    "template_endless": text_file("chat_template.jinja", "{% for i in range(1000000000) %}x{% endfor %}", command=CHAT),
    "template_huge": text_file("chat_template.jinja", "{% set a = 'x' %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}", command=CHAT),
    "template_deep": text_file("chat_template.jinja", "{{ " + "(" * 100000 + "1" + ")" * 100000 + " }}", command=CHAT),
    "template_escapes_in_error": text_file("chat_template.jinja", "{{ raise_exception('a\\nb\x1b[31m') }}", command=CHAT),
}


# Paths and prompts


def paths(folder):
    source, file = good(folder)
    empty = folder / "empty"
    empty.mkdir()
    (folder / "empty.gguf").write_bytes(b"")
    nowhere = folder / "no" / "such.gguf"
    for command in (["run"], ["chat"], ["inspect"]):
        tail = ["-p", "a"] if command == ["run"] else []
        refuses([*command, nowhere, *tail], "such.gguf")
        refuses([*command, folder / "empty.gguf", *tail], "empty.gguf")
        refuses([*command, empty, *tail], "config.json")
    refuses(["convert", nowhere, "-o", folder / "out.gguf"], "such.gguf")
    refuses(["convert", empty, "-o", folder / "out.gguf"], "config.json")
    refuses(["convert", source, "-o", nowhere, "--quiet"], "such.gguf")
    refuses(["convert", source, "-o", empty, "--quiet"], "empty")


def prompts(folder):
    _, file = good(folder)
    refuses(["run", file, "-p", "a b c d " * 100, "-n", "1"], "64")
    refuses(["run", file, "-c", "16", "-p", "abcdefghijklmnopqrstuvwxyz", "-n", "1"], "16")
    refuses(["run", file, "-n", "1", "-p", ""])
    refuses(["run", file, "--chat", "-p", "hello", "-n", "1"], "template")  # this model has none


def unreadable(folder):
    source, file = good(folder)
    options = {}
    if os.geteuid() == 0:
        options = {"user": 65534, "group": 65534, "extra_groups": []}
        folder.chmod(0o755)
        try:
            if harness.run([STERNA, "--version"], **options).returncode != 0:
                raise Skip("the program cannot be run as another user here")
        except PermissionError as error:
            raise Skip("the program cannot be run as another user here") from error
    for path in (file, source / "model.safetensors"):
        path.chmod(0)
    try:
        refuses(["run", file, "-p", "a"], "model.gguf", **options)
        refuses(["inspect", file], "model.gguf", **options)
        refuses(["run", source, "-p", "a"], "model.safetensors", **options)
    finally:
        for path in (file, source / "model.safetensors"):
            path.chmod(0o644)


def named_pipe(folder):
    """A pipe is not a model file, and opening it must not hang."""
    os.mkfifo(folder / "pipe.gguf")
    # A writer, so that a program that does open the pipe is told the end of it rather than left waiting.
    writer = threading.Thread(target=lambda: open(folder / "pipe.gguf", "wb").close(), daemon=True)
    writer.start()
    refuses(["run", folder / "pipe.gguf", "-p", "a"], "pipe.gguf", timeout=20)


# GGUF files


def truncated_gguf(folder):
    _, file = good(folder)
    data = file.read_bytes()
    for length in (1, 3, 4, 8, 23, 24, 100, 1000, len(data) // 4, len(data) // 2, len(data) - 64, len(data) - 1):
        file.write_bytes(data[:length])
        refuses(["run", file, "-p", "a", "-n", "1"], "model.gguf")
        refuses(["inspect", file], "model.gguf")


def flipped_gguf(folder):
    """Every flipped bit is noticed, in the header by its checksum and in a tensor by that tensor's; a flip in the zero
    bytes between tensors, which nobody reads, may be passed over."""
    _, file = good(folder)
    data = file.read_bytes()
    run = ["run", file, "-p", "abc", "-n", "4", "--temp", "0"]
    expected = harness.run_well([STERNA, *run]).stdout
    generator = random.Random(5)
    positions = list(range(0, 24, 3)) + [generator.randrange(len(data)) for _ in range(80)]
    for position in positions:
        file.write_bytes(data[:position] + bytes([data[position] ^ 1 << generator.randrange(8)]) + data[position + 1:])
        result = harness.run([STERNA, *run])
        if result.returncode == 0 and data[position] == 0 and result.stdout == expected and not result.stderr:
            continue
        refuses(run, "model.gguf")
        refuses(["inspect", file, "--verify"], "model.gguf")


def hostile_gguf(folder):
    file = folder / "hostile.gguf"

    def string(text):
        return struct.pack("<Q", len(text)) + text.encode()

    def key(name, kind, data):
        return string(name) + struct.pack("<I", kind) + data

    architecture = key("general.architecture", 8, string("sterna"))
    head = b"GGUF" + struct.pack("<I", 3)
    files = {
        "version 99": b"GGUF" + struct.pack("<I", 99) + struct.pack("<QQ", 0, 0),
        "wrong magic": b"GGML" + bytes(64),
        "2^60 tensors": head + struct.pack("<QQ", 2**60, 1) + architecture,
        "2^60 keys": head + struct.pack("<QQ", 0, 2**60) + architecture,
        "string of 2^63": head + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2**63) + b"x" * 100,
        "array of 2^61 strings": head + struct.pack("<QQ", 0, 1) + key("a", 9, struct.pack("<IQ", 8, 2**61)) + bytes(100),
        "arrays in arrays": head + struct.pack("<QQ", 0, 1) + string("a") + struct.pack("<I", 9)
        + struct.pack("<IQ", 9, 1) * 100000,
        "unknown value type": head + struct.pack("<QQ", 0, 1) + key("a", 77, bytes(8)),
        "no keys": head + struct.pack("<QQ", 0, 0) + bytes(64),
        "another program's model": head + struct.pack("<QQ", 0, 1) + key("general.architecture", 8, string("mamba")),
        "a key twice": head + struct.pack("<QQ", 0, 2) + architecture * 2,
    }
    for data in files.values():
        file.write_bytes(data)
        refuses(["run", file, "-p", "a"], "hostile.gguf")
    refuses(["convert", file, "-o", folder / "out.gguf", "--quiet"], "hostile.gguf")


# The command line


def wrong_usage(folder):
    _, file = good(folder)
    usages = [["frobnicate"], ["run"], ["convert"], ["convert", file], ["inspect"], ["chat"], ["run", file, "--no-such-option"],
              ["run", file, "-p"], ["run", file, "-p", "a", "-n", "many"], ["run", file, "-p", "a", "--temp", "hot"],
              ["run", file, "-p", "a", "--top-p", "2"], ["run", file, "-p", "a", "-t", "0"], ["run", file, "-p", "a", "-t", "-1"],
              ["run", file, "-p", "a", "--kv", "f12"], ["run", file, "-p", "a", "--temp", "-1"],
              ["convert", file, "-o", "x.gguf", "--planes", "4"], ["convert", file, "-o", "x.gguf", "--planes", "0"],
              ["convert", file, "-o", "x.gguf", "--embedding", "int3"], ["inspect", file, "extra"],
              ["convert", file, "-o", "x.gguf", "--planes", "1", "--float"]]
    for usage in usages:
        result = harness.run([STERNA, *usage], cwd=folder)
        shown = f"{' '.join(map(str, usage))}: exit code {result.returncode}, stderr {result.stderr[:300]!r}"
        check(result.returncode == 2, f"expected exit code 2: {shown}")
        check(result.stderr != "" and result.stdout == "", f"expected words on stderr alone: {shown}")
    check(not (folder / "x.gguf").exists(), "wrong usage left a file")
    for usage in (["--help"], ["--version"], ["run", "--help"], ["chat", "--help"], ["convert", "--help"], ["inspect", "--help"]):
        result = harness.run_well([STERNA, *usage])
        check(result.stdout != "" and result.stderr == "", f"{usage}: help belongs on stdout")


def all_cases():
    simple = (what_is_whole_is_accepted, truncated_safetensors, flipped_safetensors_header, shard_missing, float_nan,
              master_nan, trained_is_not_ternarised_again, paths, prompts, unreadable, named_pipe, truncated_gguf,
              flipped_gguf, hostile_gguf, wrong_usage)
    return {**{case.__name__: case for case in simple},
            **{"checkpoint_" + name: bad_checkpoint(*copy.deepcopy(case)) for name, case in BAD_CHECKPOINTS.items()},
            **{"safetensors_" + name: bad_file(change) for name, change in BAD_FILES.items()}, **SHARDS, **OTHER_FILES}


if __name__ == "__main__":
    harness.main("bad_input", all_cases())
