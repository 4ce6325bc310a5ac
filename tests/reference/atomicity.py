"""A conversion either leaves the whole file under its final name or leaves that name as it was, whatever happens to it:
signals, a full disk, a write that fails. And the same input gives the same bytes, on any number of threads."""
import array
import filecmp
import os
import pathlib
import random
import resource
import signal
import struct
import subprocess
import sys
import time

import checkpoint
import harness
from harness import STERNA, Skip, check


def large_checkpoint(folder):
    """20 MB of bfloat16 weights: long enough to convert (three planes) that a signal comes in the middle."""
    hidden, ffn, vocabulary, layers = 1024, 2048, 300, 1
    generator = random.Random(1)
    values = [struct.unpack("<H", struct.pack("<f", generator.gauss(0, 0.03))[2:])[0] for _ in range(65537)]
    pattern = array.array("H", values).tobytes()  # 65537 is prime: no two rows of a matrix are alike

    def matrix(rows, columns):
        size = 2 * rows * columns
        return "BF16", (rows, columns), (pattern * (size // len(pattern) + 1))[:size]

    shapes = {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (hidden, hidden), "self_attn.v_proj": (hidden, hidden),
              "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (ffn, hidden), "mlp.up_proj": (ffn, hidden),
              "mlp.down_proj": (hidden, ffn)}
    tensors = {"model.embed_tokens.weight": matrix(vocabulary, hidden)}
    for layer in range(layers):
        for name, shape in shapes.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = matrix(*shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{name}.weight"] = "BF16", (hidden,), b"\x80\x3f" * hidden
    tensors["model.norm.weight"] = "BF16", (hidden,), b"\x80\x3f" * hidden
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": ffn,
              "num_hidden_layers": layers, "num_attention_heads": 16, "num_key_value_heads": 16, "hidden_act": "silu",
              "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
              "vocab_size": vocabulary, "torch_dtype": "bfloat16", "bos_token_id": vocabulary - 3,
              "eos_token_id": vocabulary - 2}
    return checkpoint.write_checkpoint(folder / "model", config, tensors)


def command(source, target, *options):
    return [str(a) for a in (STERNA, "convert", source, "-o", target, "--quiet", *options)]


def convert(source, target, *options):
    harness.run_well(command(source, target, *options), timeout=300)
    return pathlib.Path(target)


def interrupted(arguments, number, delay):
    """Starts the program, sends it a signal after `delay` seconds; returns its exit status as subprocess gives it."""
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(delay)
    process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode


def signals(folder):
    source = large_checkpoint(folder)
    start = time.monotonic()
    whole = convert(source, folder / "whole.gguf", "--planes", "3", "-t", "1").read_bytes()
    duration = time.monotonic() - start
    target, old = folder / "model.gguf", b"what was there before"
    stopped = 0
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        for i, part in enumerate((0.05, 0.3, 0.6, 0.95)):
            existing = i % 2 == 0
            if existing:
                target.write_bytes(old)
            else:
                target.unlink(missing_ok=True)
            arguments = command(source, target, "--planes", "3", "-t", "1")
            code = interrupted(arguments, number, part * duration)
            stopped += code != 0
            left = target.read_bytes() if target.exists() else None
            untouched = left == (old if existing else None)
            check(untouched or left == whole, f"{number.name} after {part:.0%}: the final name holds neither file")
            check(untouched or code in (0, -number), f"{number.name} after {part:.0%}: exit {code} but a finished file")
    check(stopped >= 6, f"only {stopped} of 12 signals came while the program was working")
    # What an interrupted run left beside the final name does not disturb the next one.
    check(convert(source, target, "--planes", "3").read_bytes() == whole, "the conversion after the signals differs")
    leftovers = sorted(p.name for p in folder.iterdir() if p.name not in ("model", "whole.gguf", "model.gguf"))
    check(leftovers == [], f"left behind: {leftovers}")


def fails_cleanly(arguments, target, what, **options):
    """Exit code 1, one line, nothing new beside the target, and the target as it was."""
    for old in (None, b"what was there before"):
        target.unlink(missing_ok=True)
        if old is not None:
            target.write_bytes(old)
        result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                                check=False, **options)
        shown = f"{what}: exit code {result.returncode}, stderr {result.stderr[:600]!r}"
        check(result.returncode == 1 and len(result.stderr.splitlines()) == 1, shown)
        left = target.read_bytes() if target.exists() else None
        check(left == old, f"{what}: the final name changed")
        names = {p.name for p in target.parent.iterdir()} - {target.name}
        check(not any(name.startswith(target.name) for name in names), f"{what}: left behind {names}")


def write_error(folder):
    """A limit on the size of files: the write that crosses it fails with EFBIG (SIGXFSZ is ignored, as Python does)."""
    (folder / "out").mkdir()
    for limit in (0, 1000, 1 << 20):
        def limited(limit=limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        fails_cleanly(command(harness.DEMO, folder / "out" / "model.gguf"), folder / "out" / "model.gguf",
                      f"files limited to {limit} bytes", preexec_fn=limited, restore_signals=False)


def exports(folder):
    """The same promise of `sterna export` and of `sterna bench --save`: a write that fails leaves nothing."""
    source = convert(harness.DEMO, folder / "demo.gguf")
    (folder / "out").mkdir()
    target = folder / "out" / "model.gguf"
    for limit in (0, 1000, 1 << 20):
        def limited(limit=limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        for arguments in (["export", source, "-o", target, "--to", "tq2_0", "--quiet"],
                          ["bench", "--synthetic", "0.7b", "--save", target]):
            fails_cleanly([str(a) for a in (STERNA, *arguments)], target, f"{arguments[0]}, files limited to {limit} bytes",
                          preexec_fn=limited, restore_signals=False)
    forms = []
    for threads in ("1", "2", "4"):
        harness.run_well([STERNA, "export", source, "-o", target, "--to", "tq1_0", "--quiet", "-t", threads])
        forms.append(target.read_bytes())
    check(forms[0] == forms[1] == forms[2], "the number of threads changes the bytes of an export")


def full_disk(folder):
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise Skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        fails_cleanly(command(harness.DEMO, disk / "model.gguf"), disk / "model.gguf", "a full disk")
    finally:
        subprocess.run(["umount", disk], check=True)


def two_at_once(folder):
    """Two conversions to one name: whoever finishes last wins, and the file is whole."""
    source = large_checkpoint(folder)
    whole = convert(source, folder / "whole.gguf", "--planes", "1")
    target = folder / "model.gguf"
    both = [subprocess.Popen(command(source, target, "--planes", "1", "-t", "1"), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    codes = []
    for process in both:
        process.communicate(timeout=120)
        codes.append(process.returncode)
    check(0 in codes and set(codes) <= {0, 1}, f"exit codes {codes}")
    check(filecmp.cmp(whole, target, shallow=False), "the file is a mixture of two runs")


def same_bytes(folder):
    """Threads, repetition and the place of the source change nothing."""
    sources = {"demo": (harness.DEMO, [[], ["--embedding", "int8"], ["--embedding", "bf16"]]),
               "large": (large_checkpoint(folder), [["--planes", "1"], ["--planes", "3"], ["--float"]])}
    for name, (source, forms) in sources.items():
        for options in forms:
            first = convert(source, folder / "first.gguf", "-t", "1", *options)
            for threads in ("1", "2", "4"):
                other = convert(source, folder / "other.gguf", "-t", threads, *options)
                same = filecmp.cmp(first, other, shallow=False)
                check(same, f"{name} {options}: {threads} threads give other bytes than 1")


def verified_and_loadable(folder):
    """What a conversion leaves passes its own verification, and running it does not write to it."""
    file = convert(harness.DEMO, folder / "model.gguf")
    harness.run_well([STERNA, "inspect", file, "--verify"])
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    harness.run_well([STERNA, "run", file, "-p", "Hi", "-n", "4"])
    check((file.read_bytes(), file.stat().st_mtime_ns) == before, "running a model changed its file")


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit(harness.SKIPPED)
    harness.main("atomicity", {case.__name__: case for case in (
        signals, write_error, exports, full_disk, two_at_once, same_bytes, verified_and_loadable)})
