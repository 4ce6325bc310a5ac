"""llama.cpp's side of bench/peers/quality: models side by side on the same windows of a text.

    score.py '{"text": FILE, "models": [FILE, ...], "window": 512, "first": 256, "characters": 0, "tokens": 0, "threads": 1,
               "kv": "f16"}'

A text is cut into windows (a shorter rest is left out), each begins with an empty context, with BOS in the place of its first
token if the tokenizer adds one; the tokens from position `first` + 1 of a window on are scored. The first model is the
reference of the others. All are in memory at once, and the logits of 512 positions of two of them; nothing goes to disk.

One JSON object a line on stdout: {"done", "windows"} after every window, and at last the results.
"""
import json
import pathlib
import sys

import llama_cpp as api
import numpy

import divergence
from peer import BATCH, Peer, tokenize


class Scorer(Peer):
    def __init__(self, path, job):
        # Without repacked weights: those for AMX crash with Q8_0 and the K-quants on some machines (llama.cpp's issue 20824).
        super().__init__(path, job["threads"], -(-job["window"] // 256) * 256, False, job["kv"], repack=False)
        self.batch = api.llama_batch_init(BATCH, 0, 1)

    def logits(self, ids, position, first):
        """Appends ids, of which the first is at `position` of the window; logits after those from `first` on."""
        batch, skip = self.batch, max(0, first - position)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = int(token), position + i, 1, 0
            batch.logits[i] = i >= skip
        if api.llama_decode(self.context, batch) != 0:
            raise SystemExit("llama_decode failed: " + "; ".join(self.lines[-3:]))
        rows = max(0, len(ids) - skip)
        if rows == 0:
            return numpy.empty((0, self.tokens), numpy.float32)
        return numpy.ctypeslib.as_array(api.llama_get_logits(self.context), (rows, self.tokens))


def windows_of(job, peer):
    """(Tokens of the text, [windows, window] of them, whether each begins with BOS.)"""
    text = pathlib.Path(job["text"]).read_bytes().decode()
    ids = tokenize(peer, text[:job["characters"] or None], special=False)[:job["tokens"] or None]
    count = len(ids) // job["window"]
    if count == 0:
        raise SystemExit(f"{job['text']}: {len(ids)} tokens are fewer than a window of {job['window']}")
    windows = numpy.array(ids[:count * job["window"]]).reshape(count, job["window"])
    bos = bool(api.llama_vocab_get_add_bos(peer.vocabulary))
    if bos:
        windows[:, 0] = api.llama_vocab_bos(peer.vocabulary)
    return len(ids), windows, bos


def score_window(peers, window, first, values):
    """Adds what every model makes of a window to `values`: of each model [nll], and [kl], [same] where it has a reference."""
    for peer in peers:
        peer.rewind(0)
    # The last token predicts nothing that is scored.
    for begin in range(0, len(window) - 1, BATCH):
        end = min(begin + BATCH, len(window) - 1)
        targets = window[max(begin, first) + 1:end + 1]
        answers = [peer.logits(window[begin:end], begin, first) for peer in peers]
        if len(targets) == 0:
            continue
        reference = divergence.Reference(answers[0], targets)
        values[0][0].append(reference.negative_log_likelihoods())
        for kept, logits in zip(values[1:], answers[1:]):
            for series, part in zip(kept, reference.compare(logits)):
                series.append(part)


def score(job):
    peers = [Scorer(path, job) for path in job["models"]]
    tokens, windows, bos = windows_of(job, peers[0])
    values = [([], [], []) for _ in peers]
    for done, window in enumerate(windows):
        score_window(peers, window, job["first"], values)
        print(json.dumps({"done": done + 1, "windows": len(windows)}), flush=True)
    reference = numpy.concatenate(values[0][0])
    results = []
    for nll, kl, same in values:
        flat = numpy.concatenate(nll)
        beside = (reference, numpy.concatenate(kl), numpy.concatenate(same)) if kl else ()
        results.append({"tokens": tokens, "bos": bos, **divergence.summarise(flat, *beside),
                        "nll_per_window": flat.reshape(len(windows), -1).sum(axis=1).tolist()})
    return {"results": results, "version": api.__version__, "system": api.llama_print_system_info().decode()}


if __name__ == "__main__":
    print(json.dumps(score(json.loads(sys.argv[1]))))
