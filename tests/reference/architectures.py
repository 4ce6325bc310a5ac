"""Every architecture and every form of ternary checkpoint, made at random, converted, and compared with transformers.

The reference is the logits of transformers in float32 (for 1bitLLM, whose code is not in transformers, the model written
down in torch_reference.py). Three rules make the comparison a tight one:

* Float models: 1e-3 absolute at every position.
* Ternary models round activations to int8, and a difference in the last bit of a float can flip such a rounding, which
  then moves the logits by far more than float noise does. So the prompt is chosen, out of random ones, such that no x * a
  of the whole run lies near a half-integer: the reference is run in float32 and in float64, and the nearest tie must be
  five times farther away than the two runs ever differ. Then no correct program flips a rounding, and what is left is float noise:
  1e-4 of the logits' root mean square. (The float32 and float64 references must agree four times better than that.)
* A case names settings that a faulty reader might assume (another activation, no rope scaling, ...); the reference with
  those must miss the tolerance by a factor of ten, or the case would prove nothing.
"""
import dataclasses
import filecmp

import harness

harness.need_packages("architectures", "torch", "transformers", "accelerate")

import torch

import checkpoint
import models
import torch_reference as reference
from harness import check

VOCABULARY = 320


@dataclasses.dataclass
class Case:
    config: dict
    dtype: str = "F32"
    scales: str = ""                # ternary values with several scales a matrix: "shards" or "group"
    wrong: list = dataclasses.field(default_factory=list)  # config changes that must show in the logits
    twin: dict | None = None        # config changes under which transformers can load the same model
    seed: int = 1

    @property
    def one_bit(self):
        return self.config["architectures"] == ["BitnetForCausalLM"]

    @property
    def ternary(self):
        return bool(self.config.get("quantization_config") or self.scales or self.one_bit)


def base(architecture, model_type, **changes):
    config = {"architectures": [architecture], "model_type": model_type, "hidden_size": 64, "intermediate_size": 172,
              "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu",
              "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
              "vocab_size": VOCABULARY, "bos_token_id": VOCABULARY - 3, "eos_token_id": VOCABULARY - 2,
              "torch_dtype": "float32"}
    return {key: value for key, value in {**config, **changes}.items() if value is not None}


def quantization(linear_class="autobitlinear", mode="offline", **more):
    fields = {"quant_method": "bitnet", "linear_class": linear_class, "quantization_mode": mode, **more}
    return {key: value for key, value in fields.items() if value is not None}


def bitnet(linear_class="autobitlinear", mode="offline", more=None, **changes):
    changes = {"hidden_act": "relu2", "attention_bias": False, **changes}
    return base("BitNetForCausalLM", "bitnet", **changes,
                quantization_config=quantization(linear_class, mode, **(more or {})))


def llama(**changes):
    return base("LlamaForCausalLM", "llama", **{"attention_bias": False, "mlp_bias": False, **changes})


def ternary_llama(linear_class=None, mode=None, more=None, **changes):
    return llama(quantization_config=quantization(linear_class, mode, **(more or {})), **changes)


LLAMA3_SCALING = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 64}
NO_SCALING = {"rope_scaling": None}

CASES = {
    # BitNetForCausalLM
    "bitnet_offline_relu2": Case(bitnet(), "BF16", wrong=[{"hidden_act": "silu"}, {"rms_norm_eps": 1e-2}]),
    "bitnet_offline_silu_untied": Case(bitnet(hidden_act="silu", tie_word_embeddings=False, head_dim=16,
                                              num_key_value_heads=4), wrong=[{"hidden_act": "relu2"}]),
    "bitnet_offline_inverse": Case(bitnet("bitlinear"), "F16"),
    "bitnet_no_linear_class": Case(bitnet(None, None), "BF16"),
    "bitnet_online": Case(bitnet(mode="online", torch_dtype="bfloat16"), "BF16"),
    "bitnet_online_tail_37": Case(bitnet(mode="online", intermediate_size=37, tie_word_embeddings=False)),
    # 37 rows leave a short last group of four, which transformers cannot load; so the reference is the online twin.
    "bitnet_offline_tail_37": Case(bitnet(intermediate_size=37), twin=quantization(mode="online")),
    "bitnet_inverse_tail_37": Case(bitnet("bitlinear", intermediate_size=37), twin=quantization(mode="online")),
    "bitnet_online_hidden_60": Case(bitnet(mode="online", hidden_size=60, num_attention_heads=6, intermediate_size=100)),
    "bitnet_online_wide": Case(bitnet(mode="online", hidden_size=576, intermediate_size=1536, num_attention_heads=9,
                                      num_key_value_heads=3, num_hidden_layers=1), "BF16"),
    "bitnet_rms_norm_direct": Case(bitnet(more={"use_rms_norm": True, "rms_norm_eps": 1e-3}),
                                   wrong=[{"quantization_config": quantization(use_rms_norm=True)}]),
    "bitnet_rms_norm_online": Case(bitnet(mode="online", more={"use_rms_norm": True})),
    "bitnet_rms_norm_inverse": Case(bitnet("bitlinear", more={"use_rms_norm": True})),
    "bitnet_kept_float": Case(bitnet(more={"modules_to_not_convert": ["lm_head", "model.layers.1.mlp.down_proj"]})),
    "bitnet_rope_parameters": Case(bitnet(rope_theta=None, torch_dtype=None, dtype="float32",
                                          rope_parameters={"rope_type": "default", "rope_theta": 5e5}),
                                   wrong=[{"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}]),
    "bitnet_default_theta": Case(bitnet(rope_theta=None), wrong=[{"rope_theta": 10000.0}]),
    # 1bitLLM
    "onebit": Case(base("BitnetForCausalLM", "llama", weight_bits=1, input_bits=8, rope_scaling=None), "F16"),
    "onebit_tail_untied": Case(base("BitnetForCausalLM", "llama", weight_bits=1, input_bits=8, intermediate_size=37,
                                    tie_word_embeddings=False)),
    # Llama with BitNet linears
    "llama_bitnet": Case(ternary_llama(more={"is_bitnet_config": True, "modules_to_not_convert": None},
                                       tie_word_embeddings=False), "BF16"),
    "llama_bitnet_head_dim_scaling": Case(ternary_llama(head_dim=32, rope_scaling=LLAMA3_SCALING), wrong=[NO_SCALING]),
    "llama_bitnet_direct": Case(ternary_llama("autobitlinear", tie_word_embeddings=False)),
    "llama_bitnet_online": Case(ternary_llama("autobitlinear", "online", intermediate_size=36), "F16"),
    "llama_bitnet_bias": Case(ternary_llama(attention_bias=True, mlp_bias=True)),
    "llama_bitnet_direct_bias": Case(ternary_llama("autobitlinear", attention_bias=True, mlp_bias=True)),
    # Ternary values in float tensors
    "trilm_shards": Case(llama(hidden_size=256, intermediate_size=512), "F16", scales="shards"),
    "bonsai_groups": Case(base("Qwen3ForCausalLM", "qwen3", hidden_size=256, intermediate_size=384, head_dim=64,
                               rms_norm_eps=1e-6), "F16", scales="group"),
    "bonsai_groups_tail": Case(base("Qwen3ForCausalLM", "qwen3", hidden_size=192, intermediate_size=172, head_dim=32,
                                    rms_norm_eps=1e-6), "F32", scales="group"),
    # Float models
    "llama": Case(llama(), wrong=[{"rope_theta": 5e5}]),
    "llama_tails": Case(llama(hidden_size=60, num_attention_heads=6, intermediate_size=37), "BF16"),
    "llama_wide": Case(llama(hidden_size=576, intermediate_size=1536, num_attention_heads=9, num_key_value_heads=3), "BF16"),
    "llama_llama3_scaling": Case(llama(rope_scaling=LLAMA3_SCALING, tie_word_embeddings=False), "BF16", wrong=[NO_SCALING]),
    "llama_llama3_rope_parameters": Case(llama(rope_theta=None, rope_parameters={**LLAMA3_SCALING, "rope_theta": 5e5}),
                                         wrong=[{"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}]),
    "llama_linear_scaling": Case(llama(rope_scaling={"type": "linear", "factor": 2.0}), "F16", wrong=[NO_SCALING]),
    "llama_bias": Case(llama(attention_bias=True, mlp_bias=True), wrong=[{"attention_bias": False}, {"mlp_bias": False}]),
    "llama_head_dim": Case(llama(head_dim=32, num_key_value_heads=1, tie_word_embeddings=False)),
    "llama_default_theta": Case(llama(rope_theta=None), wrong=[{"rope_theta": 5e5}]),
    "llama_default_kv_heads": Case(llama(num_key_value_heads=None)),
    "mistral_window": Case(base("MistralForCausalLM", "mistral", sliding_window=5), "BF16", wrong=[{"sliding_window": 6}]),
    "mistral_no_window": Case({**base("MistralForCausalLM", "mistral"), "sliding_window": None}),
    "qwen2": Case(base("Qwen2ForCausalLM", "qwen2", use_sliding_window=False, sliding_window=8), "BF16"),
    "qwen3": Case(base("Qwen3ForCausalLM", "qwen3", head_dim=32, rms_norm_eps=1e-6), "BF16", wrong=[{"rms_norm_eps": 1e-2}]),
    "qwen3_bias_untied": Case(base("Qwen3ForCausalLM", "qwen3", head_dim=16, attention_bias=True,
                                   tie_word_embeddings=False)),
}


def make_weights(case):
    config = {**case.config, "num_key_value_heads": case.config.get("num_key_value_heads", case.config["num_attention_heads"])}
    for seed in range(case.seed, case.seed + 100):
        weights = models.float_weights(config, case.dtype, seed)
        if case.scales:
            return models.ternary_by_value(weights, config, case.scales)
        # Ternarising masters has ties too: none may be nearer than what summing the mean in another order can move.
        masters = [w for name, w in weights.items() if name.endswith("_proj.weight")] if case.ternary else []
        if all(models.distance_from_tie(w) > 2e-6 for w in masters):
            return weights
    raise AssertionError("no seed keeps the weights away from ties")


def write(case, folder, weights, changes=None, shards=1):
    config = {**case.config, **(changes or {})}
    return checkpoint.write_checkpoint(folder, config, models.stored(weights, config, case.dtype), shards)


def reference_model(case, folder, weights, changes=None):
    if case.one_bit:
        return reference.OneBitModel(case.config, weights)
    if case.twin:
        changes = {"quantization_config": case.twin}
    model = reference.load(write(case, folder, weights, changes))
    return reference.replace_linears(model, reference.Int8Linear) if case.scales else model


def choose_prompt(case, model):
    """(ids, logits in float32): for ternary models a prompt on which no rounding can flip, see above."""
    generator = torch.Generator().manual_seed(case.seed)
    double = reference.in_double(model)
    # The more numbers a run rounds, the nearer one of them comes to a tie: wide models get shorter prompts.
    length = 24 if not case.ternary else 5 if case.config["hidden_size"] < 192 else 3
    for _ in range(8):
        prompts = torch.randint(0, VOCABULARY - 3, (256 if case.ternary else 1, length), generator=generator)
        best = reference.run(model, prompts).distance_from_tie().argmax()
        prompt = prompts[best:best + 1]
        single, exact = reference.run(model, prompt), reference.run(double, prompt)
        noise = max((float((a - b).abs().max()) for a, b in zip(single.rounded, exact.rounded)), default=0.0)
        if single.distance_from_tie().item() > 5 * noise:
            limit = tolerance(case, single.logits)
            error = (single.logits - exact.logits).abs().max()
            check(4 * error < limit, f"float32 and float64 references differ by {error:.2g}, tolerance {limit:.2g}")
            return prompt, single.logits
    raise AssertionError("every prompt comes near a rounding tie")


def tolerance(case, logits):
    return 1e-4 * float(logits.pow(2).mean().sqrt()) if case.ternary else 1e-3


def check_wrong_settings_show(case, folder, weights, prompt, expected):
    for i, changes in enumerate(case.wrong):
        wrong = reference.run(reference_model(case, folder / f"wrong{i}", weights, changes), prompt).logits
        difference = (wrong - expected).abs().max()
        check(difference > 10 * tolerance(case, expected), f"{changes} changes the logits by only {difference:.2g}")


def check_logits(case, model, prompt, expected, what, *options):
    got = torch.tensor(harness.logits(model, prompt.tolist(), *options)[0])
    check(got.shape == expected[0].shape, f"{what}: shape {tuple(got.shape)}, not {tuple(expected[0].shape)}")
    difference = (got - expected[0]).abs().amax(dim=1)
    limit = tolerance(case, expected)
    check(bool((difference <= limit).all()),  # a NaN is not <= anything
          f"{what}: largest difference per position {[f'{d:.2g}' for d in difference]}, tolerance {limit:.2g}, "
          f"logits' root mean square {expected.pow(2).mean().sqrt():.3g}")


def convert(source, target, *options):
    harness.run_well([harness.STERNA, "convert", source, "-o", target, "--quiet", *options])
    return target


def compare(case, folder):
    weights = make_weights(case)
    model = reference_model(case, folder / "reference", weights)
    prompt, expected = choose_prompt(case, model)
    check_wrong_settings_show(case, folder, weights, prompt, expected)

    plain = write(case, folder / "plain" / "model", weights)
    sharded = write(case, folder / "sharded" / "model", weights, shards=3)
    options = ["--embedding", "keep"] + ([] if case.ternary else ["--float"])
    file = convert(plain, folder / "plain.gguf", *options)
    check_logits(case, file, prompt, expected, "converted")
    check_logits(case, file, prompt, expected, "converted, token by token", "--batch", "1")
    if case.scales:  # nothing says that this model is ternary before it is converted: activations stay float
        expected = reference.run(reference.load(plain), prompt).logits
    check_logits(case, plain, prompt, expected, "run from the directory")
    other = convert(sharded, folder / "sharded.gguf", *options)
    check(filecmp.cmp(file, other, shallow=False), "three shards and one file convert to different bytes")


def one_bit_reference_agrees_with_bitnet(_folder):
    """1bitLLM's model and BitNetForCausalLM with SiLU are the same function under different names."""
    case = Case(bitnet(mode="online", hidden_act="silu"))
    weights = make_weights(case)
    renamed = {name.replace("attn_sub_norm", "inner_attn_ln").replace("ffn_sub_norm", "ffn_layernorm"): weight
               for name, weight in weights.items()}
    model = reference.load(write(case, _folder / "model", weights))
    prompt, expected = choose_prompt(case, model)
    ours = reference.run(reference.OneBitModel(case.config, renamed), prompt).logits
    check((ours - expected).abs().max() < tolerance(case, expected), "the 1bitLLM reference is not what it should be")


if __name__ == "__main__":
    cases = {name: lambda folder, case=case: compare(case, folder) for name, case in CASES.items()}
    harness.main("architectures", {"onebit_reference": one_bit_reference_agrees_with_bitnet, **cases})
