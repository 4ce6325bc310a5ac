"""Logits of a checkpoint as transformers computes them in float32, and how near the run came to a rounding tie."""
import copy
import dataclasses
import os

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # eager: compiling the quantisers takes longer than running these models
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformers.integrations.bitnet import AutoBitLinear, BitLinear

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)


def load(directory):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", local_files_only=True)
    # Of an offline autobitlinear checkpoint in bfloat16, transformers leaves embedding and norms in bfloat16.
    return torch.nn.Module.float(model).eval()


def scaled_activation(x):
    """x * a, the number that is rounded to int8, with a = 127 / max(max |x|, 1e-5) over the token."""
    return x * (127 / x.abs().max(dim=-1, keepdim=True).values.clamp(min=1e-5))


class Int8Linear(torch.nn.Module):
    """A float linear fed with int8 activations per token, as the ternary kernels feed theirs."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        a = 127 / x.abs().max(dim=-1, keepdim=True).values.clamp(min=1e-5)
        return self.linear((x * a).round().clamp(-128, 127) / a)


class AbsmeanLinear(torch.nn.Module):
    """1bitLLM's BitLinear: float masters made ternary by their mean magnitude, int8 activations per token."""

    def __init__(self, linear):
        super().__init__()
        weight = linear.weight.detach()
        scale = 1.0 / weight.abs().mean().clamp(min=1e-5)
        self.weight = torch.nn.Parameter((weight * scale).round().clamp(-1, 1) / scale)

    def forward(self, x):
        a = 127 / x.abs().max(dim=-1, keepdim=True).values.clamp(min=1e-5)
        return torch.nn.functional.linear((x * a).round().clamp(-128, 127) / a, self.weight)


QUANTISING = (AutoBitLinear, BitLinear, Int8Linear, AbsmeanLinear)


def replace_linears(model, kind):
    """Every linear inside the blocks becomes kind(linear); the head stays."""
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name.endswith("_proj"):
            model.set_submodule(name, kind(module))
    return model


@dataclasses.dataclass
class Run:
    logits: torch.Tensor   # [prompts, positions, vocabulary]
    rounded: list          # per quantising layer: x * a, [prompts, positions, width]

    def distance_from_tie(self):
        """Per prompt, the smallest distance of any x * a from a half-integer."""
        per_layer = [(x - x.floor() - 0.5).abs().amin(dim=(1, 2)) for x in self.rounded]
        return torch.stack(per_layer).amin(dim=0) if per_layer else torch.full((len(self.logits),), 0.5)


def run(model, prompts):
    rounded, hooks = [], []

    def record(module, inputs):
        x = inputs[0]
        norm = getattr(module, "rms_norm", None)
        rounded.append(scaled_activation(x if norm is None else norm(x)))

    for module in model.modules():
        if isinstance(module, QUANTISING):
            hooks.append(module.register_forward_pre_hook(record))
    with torch.no_grad():
        logits = model(torch.as_tensor(prompts), use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return Run(logits, rounded)


def in_double(model):
    return torch.nn.Module.double(copy.deepcopy(model))


# 1bitLLM's BitnetForCausalLM (custom code on the Hub, not in transformers), written down from its definition: a Llama
# block with an RMSNorm on the concatenated heads (inner_attn_ln) and one on the gated product (ffn_layernorm).


class Norm(torch.nn.Module):
    def __init__(self, weight, eps):
        super().__init__()
        self.weight, self.eps = torch.nn.Parameter(weight), eps

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class OneBitBlock(torch.nn.Module):
    def __init__(self, config, weights, prefix):
        super().__init__()
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim = config["hidden_size"] // self.heads
        self.theta = config.get("rope_theta", 10000.0)
        for name in ("q", "k", "v", "o", "gate", "up", "down"):
            part = "self_attn" if name in "qkvo" else "mlp"
            weight = weights[f"{prefix}{part}.{name}_proj.weight"]
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            linear.weight = torch.nn.Parameter(weight)
            setattr(self, name, AbsmeanLinear(linear))
        for name, key in (("attention_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm"),
                          ("inner_norm", "self_attn.inner_attn_ln"), ("gated_norm", "mlp.ffn_layernorm")):
            setattr(self, name, Norm(weights[f"{prefix}{key}.weight"], config["rms_norm_eps"]))

    def rotate(self, x):
        positions = torch.arange(x.shape[-2], dtype=x.dtype)
        exponents = torch.arange(0, self.head_dim, 2, dtype=x.dtype) / self.head_dim
        angles = positions[:, None] * self.theta**-exponents
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()), -1)

    def attention(self, x):
        batch, length, _ = x.shape
        q, k, v = (linear(x).view(batch, length, -1, self.head_dim).transpose(1, 2) for linear in (self.q, self.k, self.v))
        q, k = self.rotate(q), self.rotate(k)
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, dim=1) for t in (k, v))
        scores = q @ k.transpose(2, 3) * self.head_dim**-0.5
        hidden = torch.full((length, length), float("-inf"), dtype=x.dtype).triu(1)
        mixed = (scores + hidden).softmax(-1) @ v
        return self.o(self.inner_norm(mixed.transpose(1, 2).reshape(batch, length, -1)))

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        y = self.ffn_norm(x)
        return x + self.down(self.gated_norm(torch.nn.functional.silu(self.gate(y)) * self.up(y)))


@dataclasses.dataclass
class Output:
    logits: torch.Tensor


class OneBitModel(torch.nn.Module):
    def __init__(self, config, weights):
        super().__init__()
        self.embedding = torch.nn.Parameter(weights["model.embed_tokens.weight"])
        self.head = torch.nn.Parameter(weights.get("lm_head.weight", weights["model.embed_tokens.weight"]))
        self.blocks = torch.nn.ModuleList(OneBitBlock(config, weights, f"model.layers.{i}.")
                                          for i in range(config["num_hidden_layers"]))
        self.norm = Norm(weights["model.norm.weight"], config["rms_norm_eps"])

    def forward(self, ids, use_cache=False):
        del use_cache  # transformers' signature
        x = self.embedding[ids]
        for block in self.blocks:
            x = block(x)
        return Output(self.norm(x) @ self.head.T)
