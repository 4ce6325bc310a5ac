#!/usr/bin/env python3
"""Writes a random checkpoint of the shape of BitNet-b1.58-2B-4T: 30 layers, hidden 2560, ffn 6912, 128,256 tokens.

The embedding is bfloat16, the linears are packed uint8 with a weight_scale, in three shards (1.1 GiB together); one tensor is
in memory at a time. The text it produces is noise: it is for measuring memory and time of the real shape. The tokenizer is a
made-up byte-level one of the right size.

usage: make_2b4t_checkpoint.py OUT_DIR        (needs numpy)
"""
import json
import pathlib
import struct
import sys

import numpy as np

import checkpoint

HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 2560, 6912, 30, 20, 5, 128, 128256
SHARDS = 3
ITEM_BYTES = {"U8": 1, "BF16": 2}

CONFIG = {"architectures": ["BitNetForCausalLM"], "model_type": "bitnet", "hidden_size": HIDDEN, "intermediate_size": FFN,
          "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "hidden_act": "relu2",
          "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": True,
          "vocab_size": VOCABULARY, "bos_token_id": VOCABULARY - 3, "eos_token_id": VOCABULARY - 2, "torch_dtype": "bfloat16",
          "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline"}}

# A byte of four codes 0, 1, 2, by its number in base 3.
CODES = np.array([sum((n // 3**i % 3) << 2 * i for i in range(4)) for n in range(81)], dtype=np.uint8)


def shapes():
    """name -> (dtype, shape), in the order of the file."""
    q, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    linears = {"self_attn.q_proj": (q, HIDDEN), "self_attn.k_proj": (kv, HIDDEN), "self_attn.v_proj": (kv, HIDDEN),
               "self_attn.o_proj": (HIDDEN, q), "mlp.gate_proj": (FFN, HIDDEN), "mlp.up_proj": (FFN, HIDDEN),
               "mlp.down_proj": (HIDDEN, FFN)}
    norms = {"input_layernorm": HIDDEN, "post_attention_layernorm": HIDDEN, "self_attn.attn_sub_norm": HIDDEN,
             "mlp.ffn_sub_norm": FFN}
    yield "model.embed_tokens.weight", ("BF16", (VOCABULARY, HIDDEN))
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name, (rows, columns) in linears.items():
            yield f"{prefix}{name}.weight", ("U8", (rows // 4, columns))
            yield f"{prefix}{name}.weight_scale", ("BF16", (1,))
        for name, width in norms.items():
            yield f"{prefix}{name}.weight", ("BF16", (width,))
    yield "model.norm.weight", ("BF16", (HIDDEN,))


def data(name, dtype, shape, generator):
    """Yields the tensor's bytes in pieces of at most some megabytes."""
    count = int(np.prod(shape))
    for start in range(0, count, 1 << 22):
        size = min(1 << 22, count - start)
        if dtype == "U8":
            yield CODES[generator.integers(0, 81, size)].tobytes()
        elif name.endswith("embed_tokens.weight"):
            values = generator.standard_normal(size, dtype=np.float32)
            yield (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        else:  # 1.0 for norms, 2^-5 for scales
            yield struct.pack("<H", 0x3D00 if name.endswith("_scale") else 0x3F80) * size


def write_shard(path, tensors, generator):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        size = int(np.prod(shape)) * ITEM_BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, (dtype, shape) in tensors.items():
            for piece in data(name, dtype, shape, generator):
                file.write(piece)
    return offset


def main():
    folder = pathlib.Path(sys.argv[1])
    checkpoint.write_checkpoint(folder, CONFIG, {}, shards=0)
    generator = np.random.default_rng(1)
    tensors, index, total = dict(shapes()), {}, 0
    per_shard = -(-len(tensors) // SHARDS)
    for shard in range(SHARDS):
        file = f"model-{shard + 1:05d}-of-{SHARDS:05d}.safetensors"
        names = list(tensors)[shard * per_shard:(shard + 1) * per_shard]
        total += write_shard(folder / file, {name: tensors[name] for name in names}, generator)
        index.update(dict.fromkeys(names, file))
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    print(f"{len(tensors)} tensors, {total / 2**20:.0f} MiB in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_2b4t_checkpoint.py OUT_DIR")
    main()
