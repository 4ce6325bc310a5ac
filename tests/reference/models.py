"""Random weights for every architecture and every way of storing ternary linears, as tensors of a checkpoint.

All values are first rounded to the checkpoint's dtype, so that what transformers reads and what is packed agree exactly.
"""
import torch

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
LINEARS = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
           "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}


def head_dim(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def linear_shapes(config):
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    q, kv = (config[n] * head_dim(config) for n in ("num_attention_heads", "num_key_value_heads"))
    return {"q": (q, hidden), "k": (kv, hidden), "v": (kv, hidden), "o": (hidden, q),
            "gate": (ffn, hidden), "up": (ffn, hidden), "down": (hidden, ffn)}


def bias_names(config):
    kind = config["model_type"]
    names = ["q", "k", "v"] if kind == "qwen2" else []
    names += ["q", "k", "v", "o"] if config.get("attention_bias") else []
    return names + (["gate", "up", "down"] if config.get("mlp_bias") else [])


def float_weights(config, dtype, seed):
    """name -> float32 tensor whose values are exact in `dtype`.

    Norm weights differ from 1, biases from 0 and scores vary by a few units, so that leaving any of them out shows.
    """
    generator = torch.Generator().manual_seed(seed)

    def random(*shape, mean=0.0, deviation=1.0):
        return (mean + deviation * torch.randn(shape, generator=generator)).to(DTYPES[dtype]).float()

    hidden, kind = config["hidden_size"], config["model_type"]
    architecture = config["architectures"][0]
    weights = {"model.embed_tokens.weight": random(config["vocab_size"], hidden, deviation=0.5)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name, (rows, columns) in linear_shapes(config).items():
            weights[f"{prefix}{LINEARS[name]}.weight"] = random(rows, columns, deviation=1.5 * columns**-0.5)
            if name in bias_names(config):
                weights[f"{prefix}{LINEARS[name]}.bias"] = random(rows, deviation=0.5)
        norms = {"input_layernorm": hidden, "post_attention_layernorm": hidden}
        if architecture == "BitNetForCausalLM":
            norms |= {"self_attn.attn_sub_norm": hidden, "mlp.ffn_sub_norm": config["intermediate_size"]}
        if architecture == "BitnetForCausalLM":  # 1bitLLM's own names
            norms |= {"self_attn.inner_attn_ln": hidden, "mlp.ffn_layernorm": config["intermediate_size"]}
        if kind == "qwen3":
            norms |= {"self_attn.q_norm": head_dim(config), "self_attn.k_norm": head_dim(config)}
        if config.get("quantization_config", {}).get("use_rms_norm"):
            norms |= {f"{LINEARS[n]}.rms_norm": shape[1] for n, shape in linear_shapes(config).items()}
        for name, width in norms.items():
            weights[f"{prefix}{name}.weight"] = random(width, mean=1.0, deviation=0.2)
    weights["model.norm.weight"] = random(hidden, mean=1.0, deviation=0.2)
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = random(config["vocab_size"], hidden, deviation=0.5)
    return weights


def absmean(weight):
    """transformers' WeightQuant taken apart: (trits, mean |w|)."""
    mean = weight.abs().mean().clamp(min=1e-5)
    return (weight * (1.0 / mean)).round().clamp(-1, 1), mean


def distance_from_tie(weight):
    """How far the nearest weight is from the border between two trits, in units of mean |w|."""
    return (weight.abs() / absmean(weight)[1] - 0.5).abs().min().item()


def pack(trits):
    """Four codes t + 1 a byte along the rows: byte [r, c] holds rows r, r + P, r + 2P, r + 3P, P = ceil(rows / 4)."""
    rows = trits.shape[0]
    packed_rows = -(-rows // 4)
    codes = torch.zeros(4 * packed_rows, trits.shape[1], dtype=torch.uint8)
    codes[:rows] = (trits + 1).to(torch.uint8)
    fields = codes.reshape(4, packed_rows, -1)
    return fields[0] | fields[1] << 2 | fields[2] << 4 | fields[3] << 6


def is_converted(name, config):
    """Whether transformers makes this weight's module a ternary layer."""
    kept = config.get("quantization_config", {}).get("modules_to_not_convert") or []
    module = name.removesuffix(".weight")
    return name.endswith("_proj.weight") and not any(module.startswith(k + ".") or module.endswith(k) for k in kept)


def stored(weights, config, dtype):
    """The checkpoint's tensors: float weights as they are, or, for an offline config, packed trits with their scale."""
    quantization = config.get("quantization_config", {})
    offline = quantization and quantization.get("quantization_mode", "offline") == "offline"
    direct = quantization.get("linear_class", "bitlinear") == "autobitlinear"
    tensors = {}
    for name, weight in weights.items():
        if not (offline and is_converted(name, config)):
            tensors[name] = (dtype, weight.shape, to_bytes(weight.to(DTYPES[dtype])))
            continue
        trits, mean = absmean(weight)
        scale = (mean if direct else 1.0 / mean).reshape(1).to(DTYPES[dtype])
        packed = pack(trits)
        tensors[name] = ("U8", packed.shape, to_bytes(packed))
        tensors[name + "_scale"] = (dtype, (1,), to_bytes(scale))
    return tensors


def to_bytes(tensor):
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def ternary_by_value(weights, config, scales):
    """Replaces every linear (for 'group', the embedding too) by ternary values with several scales.

    scales "shards": 2 scales a matrix, one per model-parallel shard: the rows of q, k, v, gate and up, the columns of o
    and down are split. scales "group": one per row and 128 columns. All scales are f16 values.
    """
    generator = torch.Generator().manual_seed(99)
    result = dict(weights)
    for name, weight in weights.items():
        linear = name.endswith("_proj.weight")
        if not linear and not (scales == "group" and name == "model.embed_tokens.weight"):
            continue
        rows, columns = weight.shape
        trits = absmean(weight)[0]
        if scales == "group":
            steps = torch.rand(rows, -(-columns // 128), generator=generator) + 0.5
            steps = steps.repeat_interleave(128, dim=1)[:, :columns]
        elif any(part in name for part in ("o_proj", "down_proj")):
            steps = (torch.rand(1, 2, generator=generator) + 0.5).repeat_interleave(columns // 2, dim=1)
        else:
            steps = (torch.rand(2, 1, generator=generator) + 0.5).repeat_interleave(rows // 2, dim=0)
        steps = (steps * weight.abs().mean()).half().float()
        result[name] = trits * steps
    return result
