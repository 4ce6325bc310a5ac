"""Compares the tokenizer with Hugging Face's `tokenizers` on random texts.

usage: differential.py TOKENIZE_TOOL [TOKENIZER_JSON]... [--rounds N] [--seed N]

Besides the given tokenizers, small ones with every supported component are made and compared. Every text is encoded
with and without special tokens, with the tokenizer as it is, through split_spec() and without JIT; ids, and random
ids, are decoded in one go and as a stream. Exit code 77 (skipped) where the package is missing.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
except ImportError:
    print("skipped: the Python package 'tokenizers' is not installed")
    sys.exit(77)

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KIMI = (
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Each with a point where Oniguruma and PCRE2 differ.
REGEXES = [
    GPT2, QWEN2, O200K, KIMI, DEEPSEEK, r"\d{1,3}+", r"\d{2}?", r"a{,2}", r"^", r"$", r"(?m:a.)", r"\w+", r"\W+", r"\s", r"\S+",
    r"\h+", r"\H", r"\v", r"[\W_]+", r"[^\W\d]+", r"[a[0-9]]+", r"[a-z&&[^aeiou]]+", r"[^a-z&&[^aeiou]]", r"\p{Han}+",
    r"\p{^Han}+", r"\P{Hiragana}+", r"\p{Letter}+", r"\p{Alpha}+", r"[[:punct:]]+", r"[[:^alpha:]]+", r"\bt", r"e\b", r"\B",
    r"\u3042", r"\x{3042}|\x41", r"(?<=\s)\S", r"(?>a+)b?", r"a++", r"\p{L}*+", r"[一-龥぀-ゟ゠-ヿ]+", r"[]a]+", r"[\]\-^]", r"[\w-]+",
    r"(a|b)+", r"x|", r"", r"\Qe", r"\R", r"(?i)k", r"[\S&&[^a]]+", r"[^\S\n]+", r"\p{Lu}(?=\p{Ll})", r"(?<n>t)\w",
    r"[^\s\p{L}\p{N}]++[\r\n]*+", r"[\d.]+", r"[^^]", r"(?:[sdmt]|ll|ve|re)", r"\A.", r".\z", r"\0|\t", r"[\t\x{20}]", r"{", r"a{x}", r"\-",
]  # fmt: skip

WORDS = (
    "the The quick brown fox don't I'll we've it's THEY'RE Hello hello world ein Über straße naïve café résumé "
    "日本語 東京都 こんにちは カタカナ ﾊﾝｶｸ 吾輩は猫である。 名前はまだ無い。 ｱｲｳ 、 。 「」 ～ 々 〇 한국어 안녕 中文字符 русский ΑΒΓΣς عربي हिन्दी ไทย "
    "İstanbul ǅ ŉ ß ſ K Å ﬁ ½ ² Ⅷ ⅷ ⓐ 🄰 😀 👩‍👩‍👧‍👦 🇯🇵 🏳️‍🌈 ❤️ e\u0301 a\u0323\u0307 q\u0307\u0323 が ガ ﷺ ㍿ "
    "1 12 123 1234 3.14 1,000 0x1F ٣٤ １２３ def f(x): return {} [] () <> == != // /* */ http://a.b/c?d=e&f=g a_b __init__ $ € ` ~ ^ | \\ "
    "<s> </s> <unk> <|begin_of_text|> <|eot_id|> <|im_start|> <|endoftext|> <0x0A> <0xE3> ▁ ▁a Ġ Ċ <x> [MASK] [mask] ABC abc word sub"
).split()
SPACES = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u2009", "\u200b", "\u180e", "\x0b", "\x85", "\u2028", "\x1c", ""]
# Assigned in every Unicode version that the libraries concerned may have (12 and later).
RANGES = [
    (0x00, 0x7F), (0x20, 0x7E), (0x80, 0x24F), (0x300, 0x36F), (0x391, 0x3C9), (0x400, 0x45F), (0x5D0, 0x5EA), (0x905, 0x939),
    (0x1100, 0x1112), (0x2000, 0x206F), (0x20A0, 0x20BF), (0x2100, 0x214F), (0x2460, 0x24FF), (0x3041, 0x3096), (0x30A1, 0x30FE),
    (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xE000, 0xE010), (0xFF01, 0xFF9F), (0x1D400, 0x1D454), (0x1F600, 0x1F64F), (0x20000, 0x20010),
]  # fmt: skip


def random_text(rng):
    parts = []
    for _ in range(rng.choice([0, 1, 2, 3, 8, 30])):
        kind = rng.random()
        if kind < 0.6:
            parts.append(rng.choice(WORDS))
        elif kind < 0.8:
            low, high = rng.choice(RANGES)
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))))
        else:
            parts.append(rng.choice("ab \n'1あ\u0301") * rng.randint(1, 12))
        parts.append(rng.choice(SPACES))
    return "".join(parts)


def bytes_alphabet():
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def trained(byte_level, size=600):
    """A BPE model over WORDS: byte-level, or of characters with byte fallback."""
    tokenizer = Tokenizer(models.BPE())
    if byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=bytes_alphabet(), show_progress=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, limit_alphabet=120, show_progress=False)
    rng = random.Random(5)
    tokenizer.train_from_iterator([random_text(rng) for _ in range(400)], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(m) for m in model["merges"]]


def synthetic():
    vocab, merges = trained(True)
    spm_vocab, spm_merges = trained(False)

    def byte_level(**options):
        return Tokenizer(models.BPE(vocab, merges, **options))

    def spm(**options):
        options = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True} | options
        return Tokenizer(models.BPE(spm_vocab, spm_merges, **options))

    def with_parts(tokenizer, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None, added=()):
        for name, part in (("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer), ("post_processor", post_processor), ("decoder", decoder)):
            if part is not None:
                setattr(tokenizer, name, part)
        for token in added:
            (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
        return tokenizer

    N, P, D = normalizers, pre_tokenizers, decoders
    raw = P.ByteLevel(add_prefix_space=False, use_regex=False)
    yield "qwen2", with_parts(byte_level(), N.NFC(), P.Sequence([P.Split(Regex(QWEN2), "isolated"), raw]), processors.ByteLevel(), D.ByteLevel(),
                              [AddedToken("<|im_start|>", special=True), AddedToken("<x>")])  # fmt: skip
    yield "byte level with prefix", with_parts(byte_level(ignore_merges=True), None, P.ByteLevel(add_prefix_space=True), None, D.ByteLevel())
    yield "byte level, no pre-tokenizer split", with_parts(byte_level(), None, raw, None, D.ByteLevel())
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        yield form, with_parts(byte_level(), getattr(N, form)(), P.ByteLevel(add_prefix_space=False), None, D.ByteLevel())
    yield "digits", with_parts(byte_level(), None, P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)]), None, D.ByteLevel())
    yield "digit runs", with_parts(byte_level(), None, P.Sequence([P.Digits(individual_digits=False), raw]), None, D.ByteLevel())
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            yield f"split {behavior} {invert}", with_parts(byte_level(), None, P.Sequence([P.Split(Regex(r"\s|a|e\w"), behavior, invert), raw]))
            yield f"split text {behavior} {invert}", with_parts(byte_level(), None, P.Sequence([P.Split("th", behavior, invert), raw]))
        yield f"punctuation {behavior}", with_parts(byte_level(), None, P.Sequence([P.Punctuation(behavior), raw]))
    for part in (P.Whitespace(), P.WhitespaceSplit()):
        yield type(part).__name__, with_parts(byte_level(), None, P.Sequence([part, raw]), None, D.ByteLevel())
    for expression in REGEXES:
        yield f"regex {expression}", with_parts(byte_level(), None, P.Sequence([P.Split(Regex(expression), "isolated"), raw]), None, D.ByteLevel())
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            yield f"metaspace {scheme} {split}", with_parts(
                spm(), N.Strip(left=True, right=False) if split else None, P.Metaspace("▁", scheme, split), None, D.Metaspace("▁", scheme, split),
                [AddedToken("<s>", special=True), AddedToken("[MASK]", lstrip=True), AddedToken("word", single_word=True)])  # fmt: skip
    bos = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", spm_vocab["<s>"]), ("</s>", spm_vocab["</s>"])])
    llama = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    back = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    special = [AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")]
    yield "llama", with_parts(spm(), llama, None, bos, back, special)
    yield "llama, stripping", with_parts(spm(), N.Sequence([N.Strip(), N.Replace(Regex(" {2,}"), " "), llama]), None, bos, back, special)
    yield "llama, no bytes", with_parts(spm(byte_fallback=False), llama, None, processors.Sequence([processors.ByteLevel(), bos]), back, special)
    yield "llama, separate unknowns", with_parts(spm(byte_fallback=False, fuse_unk=False), llama, None, bos, back, special)
    few = {t: i for i, t in enumerate(t for t in spm_vocab if not t.startswith("<0x") or t < "<0xD0>")}
    yield "some bytes", Tokenizer(models.BPE(few, spm_merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    yield "no unknown token", Tokenizer(models.BPE(few, spm_merges))
    yield "replace nothing", with_parts(byte_level(), N.Replace("", "-"), raw)
    yield "decoder order", with_parts(spm(), llama, None, None, D.Sequence([D.ByteFallback(), D.Fuse(), D.Replace(Regex("▁+"), " "), D.Strip("a", 2, 2)]))
    yield "strip each", with_parts(spm(), llama, None, None, D.Sequence([D.Strip("▁", 1, 1), D.Metaspace("a", "always"), D.Fuse(), D.Metaspace("e", "always"), D.ByteLevel()]))
    yield "no decoder", with_parts(spm(), llama)
    for normalizer in (None, N.Lowercase(), N.NFKC(), llama):
        for split in (P.ByteLevel(add_prefix_space=False), P.Metaspace("▁", "first")):
            yield f"added tokens {normalizer} {type(split).__name__}", with_parts(
                # A special token whose normalized form differs from its content is not skipped by Hugging Face's
                # skip_special_tokens (0.23), but is here; hence the condition on <x>.
                byte_level(), normalizer, split, None, D.ByteLevel(), [
                    AddedToken("<s>", special=True, normalized=False), AddedToken("<x>", special=True, normalized=normalizer is not llama, lstrip=True),
                    AddedToken("[MASK]", lstrip=True, rstrip=True, normalized=False), AddedToken("ABC", normalized=True, single_word=True),
                    AddedToken("Hello", normalized=True, rstrip=True), AddedToken("word", normalized=False, single_word=True, lstrip=True),
                    AddedToken("  ", normalized=False), AddedToken("\n", normalized=True, rstrip=True), AddedToken("の", normalized=False),
                    AddedToken("<s><x>", normalized=False), AddedToken("㍿", normalized=True), AddedToken("th", normalized=False), AddedToken("the", normalized=True),
                ])  # fmt: skip


class Tool:
    def __init__(self, tool, path, *flags):
        self.process = subprocess.Popen([tool, str(path), *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def ask_all(self, requests):
        out, _ = self.process.communicate("".join(json.dumps(r) + "\n" for r in requests))
        answers = [json.loads(line) for line in out.split("\n") if line] if self.process.returncode == 0 else []
        return answers + [None] * (len(requests) - len(answers))


def reference(call, *arguments, **options):
    """The result, or None: the Rust code panics on a few inputs."""
    try:
        return call(*arguments, **options)
    except BaseException as panic:
        if "Panic" not in type(panic).__name__:
            raise
        return None


def compare(name, tokenizer, path, tool, texts, rng, examples=3):
    requests, expected = [], []
    vocabulary = tokenizer.get_vocab_size()
    for text in texts:
        for add_special in (True, False):
            encoding = reference(tokenizer.encode, text, add_special_tokens=add_special)
            if encoding is not None:
                requests.append({"text": text, "add_special": add_special})
                expected.append(encoding.ids)
        own = encoding.ids if encoding is not None else []
        for ids in (own, [rng.randrange(vocabulary + 2) for _ in range(rng.randint(0, 20))]):
            for skip in (False, True):
                decoded = reference(tokenizer.decode, ids, skip_special_tokens=skip)
                if decoded is not None:
                    requests.append({"ids": ids, "skip_special": skip})
                    expected.append({"batch": decoded, "stream": decoded})
    differences = 0
    for flags in ((), ("split",), ("nojit",)):
        for request, want, got in zip(requests, expected, Tool(tool, path, *flags).ask_all(requests)):
            if got == want:
                continue
            differences += 1
            if differences <= examples:
                print(f"DIFFERENT: {name} {flags}\n  {request}\n  expected {want}\n  got      {got}")
    return len(requests), differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("tokenizers", nargs="*", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    total = different = 0
    with tempfile.TemporaryDirectory() as folder:
        cases = [(str(path), Tokenizer.from_file(str(path)), path) for path in arguments.tokenizers if path.exists()]
        for path in arguments.tokenizers:
            if not path.exists():
                print(f"not here, skipped: {path}")
        for number, (name, tokenizer) in enumerate(synthetic()):
            path = pathlib.Path(folder) / f"{number}.json"
            tokenizer.save(str(path))
            cases.append((name, Tokenizer.from_file(str(path)), path))
        for name, tokenizer, path in cases:
            texts = [random_text(rng) for _ in range(arguments.rounds)]
            count, differences = compare(name, tokenizer, path, arguments.tool, texts, rng)
            total += count
            different += differences
    print(f"{len(cases)} tokenizers, {total} requests in three ways, {different} differences")
    return 1 if different or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
