"""One model's distributions over the vocabulary beside another's, window by window; numpy only.

What is kept is a few numbers for every scored token; logits live as long as their window's part. Natural logarithms.
"""
import math

import numpy

QUANTILES = (0.5, 0.9, 0.99, 0.999)
ROWS = 64  # in float64 at a time: 25 MB an array with 49,152 tokens


def blocks(rows):
    return [slice(begin, begin + ROWS) for begin in range(0, rows, ROWS)]


class Reference:
    """The float model's answers at some positions: logits [n, tokens] in float32, and the tokens that came."""

    def __init__(self, logits, targets):
        self.logits, self.targets = logits, targets
        self.probabilities = numpy.empty(logits.shape)
        self.log_sums = numpy.empty(len(targets))
        for part in blocks(len(targets)):
            self.log_sums[part] = log_sums(logits[part])
            self.probabilities[part] = numpy.exp(logits[part] - self.log_sums[part, None])
        self.best = logits.argmax(axis=1)

    def negative_log_likelihoods(self):
        return self.log_sums - self.logits[numpy.arange(len(self.targets)), self.targets]

    def compare(self, logits):
        """(-ln p of what came, KL(reference || model), whether both have the same first choice), each of every position."""
        count = len(self.targets)
        kl, sums = numpy.empty(count), numpy.empty(count)
        for part in blocks(count):
            sums[part] = log_sums(logits[part])
            # Logits are subtracted before they are weighted, so that equal models have a divergence of 0 and not of noise.
            change = self.logits[part].astype(numpy.float64) - logits[part]
            kl[part] = numpy.einsum("ij,ij->i", self.probabilities[part], change) + sums[part] - self.log_sums[part]
        nll = sums - logits[numpy.arange(count), self.targets]
        return nll, numpy.maximum(kl, 0.0), logits.argmax(axis=1) == self.best


def log_sums(logits):
    """ln of the sum of exp(logits) of every row, in float64."""
    top = logits.max(axis=1).astype(numpy.float64)
    return top + numpy.log(numpy.exp(logits - top[:, None]).sum(axis=1))


def estimate(values):
    """A mean and its standard error, the values taken as independent."""
    values = numpy.asarray(values, dtype=numpy.float64)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"value": float(values.mean()), "error": float(error)}


def summarise(nll, reference_nll=None, kl=None, same=None):
    """What `sterna eval` calls a text's result: perplexity, and where there is a reference, the divergence from it."""
    mean = estimate(nll)
    perplexity = math.exp(mean["value"])
    result = {"scored_tokens": len(nll), "nll": mean, "perplexity": {"value": perplexity, "error": perplexity * mean["error"]}}
    if kl is not None:
        quantiles = [{"share": share, "value": float(numpy.quantile(kl, share))} for share in QUANTILES]
        result["divergence"] = {"kl": estimate(kl), "kl_quantiles": quantiles, "kl_max": float(kl.max()),
                                "top1": estimate(same), "nll_change": estimate(numpy.subtract(nll, reference_nll))}
    return result
