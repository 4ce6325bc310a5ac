"""Tiny Hugging Face checkpoints, written with the standard library: config.json, safetensors, a byte-level tokenizer."""
import itertools
import json
import pathlib
import struct

SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]


def byte_alphabet():
    """GPT-2's table: byte -> the printable character that stands for it in a byte-level vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {b: chr(b) for b in printable}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len(table) - len(printable))
    return [table[b] for b in range(256)]


def tokenizer_json(vocabulary):
    """A byte-level BPE of exactly `vocabulary` (>= 259) tokens: 256 bytes, merges of two and then of three bytes, three
    specials at the end."""
    alphabet = byte_alphabet()
    pairs = ((a, b) for a in alphabet for b in alphabet)
    triples = ((a + b, c) for a in alphabet for b in alphabet for c in alphabet)
    merges = list(itertools.islice(itertools.chain(pairs, triples), vocabulary - 256 - len(SPECIALS)))
    tokens = alphabet + [a + b for a, b in merges]
    added = [{"id": len(tokens) + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for i, text in enumerate(SPECIALS)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [list(m) for m in merges]}}


def write_safetensors(path, tensors):
    """tensors: name -> (dtype name such as "BF16", shape, bytes), written in the order given."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def write_checkpoint(folder, config, tensors, shards=1):
    """A whole directory; with shards > 1 the tensors are dealt out in turn, with 0 they are left to the caller."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    vocabulary = config["vocab_size"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(vocabulary)), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIALS[0], "eos_token": SPECIALS[1],
                "clean_up_tokenization_spaces": False, "model_max_length": config["max_position_embeddings"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    if shards == 0:
        return folder
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors)
        return folder
    index = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in list(tensors)[shard::shards]}
        write_safetensors(folder / file, part)
        index.update(dict.fromkeys(part, file))
    total = sum(len(data) for _, _, data in tensors.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index}), encoding="utf-8")
    return folder
