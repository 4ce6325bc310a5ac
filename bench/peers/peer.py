"""llama.cpp's side of the comparison: one job per process, run with the interpreter that has llama_cpp.

    peer.py speed MODEL THREADS FLASH PROMPT GENERATE DEPTH    tokens per second of one test, and what it took
    peer.py greedy MODEL THREADS COUNT TEXT                    the tokens that follow a text
    peer.py describe MODEL                                     tokens, weights, version, what it was compiled for
    peer.py choices MODEL IDS                                  the greedy choice after every one of the given tokens
    peer.py quantize SOURCE TARGET HEAD                        embedding and head in another type (q6_k)
    peer.py requantize SOURCE TARGET FORM THREADS              the whole model in one of llama.cpp's forms (Q4_K_M, F32, ...)

One JSON object on stdout. Everything goes through the low-level API, as llama-bench goes through the C API.
"""
import ctypes
import json
import sys
import time

import llama_cpp as api

BATCH = 512  # n_batch and n_ubatch, llama.cpp's own defaults for prefill
END_WITHOUT_TOKEN = -1


def status_bytes(field):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))


def quiet():
    """llama.cpp reports every tensor on stderr; the last lines are kept for the case that loading fails."""
    lines = []

    def keep(_level, text, _data):
        lines.append(text.decode(errors="replace").strip())
        del lines[:-20]

    callback = api.llama_log_callback(keep)
    api.llama_log_set(callback, ctypes.c_void_p(0))
    return callback, lines


class Peer:
    def __init__(self, path, threads, context, flash, kv="f16", repack=True):
        self.log, self.lines = quiet()
        api.llama_backend_init()
        parameters = api.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.load_mode = api.LLAMA_LOAD_MODE_MMAP
        parameters.use_extra_bufts = repack
        self.model = api.llama_model_load_from_file(path.encode(), parameters)
        if not self.model:
            raise SystemExit("; ".join(self.lines[-3:]))
        self.vocabulary = api.llama_model_get_vocab(self.model)
        self.tokens = api.llama_vocab_n_tokens(self.vocabulary)
        settings = api.llama_context_default_params()
        settings.n_ctx = context
        settings.n_batch = settings.n_ubatch = BATCH
        settings.n_threads = settings.n_threads_batch = threads
        settings.type_k = settings.type_v = {"f16": api.GGML_TYPE_F16, "f32": api.GGML_TYPE_F32}[kv]
        settings.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = api.llama_init_from_model(self.model, settings)
        if not self.context:
            raise SystemExit("; ".join(self.lines[-3:]))

    def append(self, ids):
        """Prefill in batches; logits of the last token of each, as llama-bench has it."""
        for begin in range(0, len(ids), BATCH):
            part = ids[begin:begin + BATCH]
            array = (api.llama_token * len(part))(*part)
            if api.llama_decode(self.context, api.llama_batch_get_one(array, len(part))) != 0:
                raise SystemExit("llama_decode failed: " + "; ".join(self.lines[-3:]))
        api.llama_synchronize(self.context)

    def rewind(self, position):
        api.llama_memory_seq_rm(api.llama_get_memory(self.context), 0, position, -1)

    def best(self):
        logits = api.llama_get_logits_ith(self.context, -1)
        return max(range(self.tokens), key=logits[:self.tokens].__getitem__)


def some_tokens(count, vocabulary):
    """Ids all over the vocabulary; which ones does not matter to the speed."""
    return [(1 + 7919 * i) % vocabulary for i in range(count)]


def speed(path, threads, flash, prompt, generate, depth):
    before = status_bytes("VmRSS")  # the interpreter's and its packages'
    start = time.perf_counter()
    peer = Peer(path, threads, -(-(depth + prompt + generate) // 256) * 256, flash)
    load = time.perf_counter() - start
    peer.append(some_tokens(depth, peer.tokens))
    ids = some_tokens(prompt + generate, peer.tokens)
    seconds = []
    for _ in range(2):  # the first is not counted
        peer.rewind(depth)
        start = time.perf_counter()
        peer.append(ids[:prompt])
        for token in ids[prompt:]:
            peer.append([token])
        seconds.append(time.perf_counter() - start)
    return {"tokens_per_second": (prompt + generate) / seconds[-1], "load_seconds": load,
            "peak_resident_bytes": status_bytes("VmHWM"), "interpreter_bytes": before}


def describe(path):
    peer = Peer(path, 1, 256, False)
    return {"tokens": peer.tokens, "parameters": api.llama_model_n_params(peer.model),
            "system": api.llama_print_system_info().decode(), "version": api.__version__}


def tokenize(peer, text, special=True):
    data = text.encode()
    ids = (api.llama_token * (len(data) + 8))()
    count = api.llama_tokenize(peer.vocabulary, data, len(data), ids, len(ids), special, False)
    return list(ids[:count])


def greedy(path, threads, count, text):
    peer = Peer(path, threads, 1024, False)
    prompt = tokenize(peer, text)
    peer.append(prompt)
    answer = []
    while len(answer) < count:
        token = peer.best()
        if api.llama_vocab_is_eog(peer.vocabulary, token):
            answer.append(END_WITHOUT_TOKEN)
            break
        answer.append(token)
        peer.append([token])
    return {"prompt_tokens": prompt, "tokens": answer}


def choices(path, ids):
    peer = Peer(path, 1, 1024, False)
    best = []
    for token in ids:
        peer.append([token])
        best.append(peer.best())
    return {"choices": best}


def quantize(source, target, head):
    """Only the embedding and the head change: the other matrices have the file's type already."""
    parameters = api.llama_model_quantize_default_params()
    parameters.ftype = api.LLAMA_FTYPE_MOSTLY_TQ1_0 if "tq1_0" in source else api.LLAMA_FTYPE_MOSTLY_TQ2_0
    parameters.token_embedding_type = parameters.output_tensor_type = {"q6_k": api.GGML_TYPE_Q6_K}[head]
    parameters.allow_requantize = True
    return write_quantized(source, target, parameters)


def requantize(source, target, form, threads):
    """llama.cpp's own mixture of types for a form, without an importance matrix."""
    parameters = api.llama_model_quantize_default_params()
    parameters.ftype = api.LLAMA_FTYPE_ALL_F32 if form == "F32" else getattr(api, f"LLAMA_FTYPE_MOSTLY_{form}", -1)
    if parameters.ftype < 0:
        raise SystemExit(f"llama.cpp has no form {form}")
    parameters.nthread = threads
    return write_quantized(source, target, parameters)


def write_quantized(source, target, parameters):
    log, lines = quiet()
    if api.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters)) != 0:
        raise SystemExit("llama_model_quantize failed: " + "; ".join(lines[-3:]))
    del log
    return {}


def main(job, *arguments):
    if job == "speed":
        path, *numbers = arguments
        result = speed(path, *map(int, numbers))
    elif job == "greedy":
        path, threads, count, text = arguments
        result = greedy(path, int(threads), int(count), text)
    elif job == "describe":
        result = describe(*arguments)
    elif job == "choices":
        path, ids = arguments
        result = choices(path, json.loads(ids))
    elif job == "requantize":
        source, target, form, threads = arguments
        result = requantize(source, target, form, int(threads))
    else:
        result = quantize(*arguments)
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
