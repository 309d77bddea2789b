#!/usr/bin/env python3
"""Compares farsight tokenize with Hugging Face tokenizers on a million lines and more.

    pip install tokenizers==0.23.3
    FARSIGHT_DATA=... python3 tests/reference/compare_tokenizer.py --program build/bin/farsight

The lines: the corpus of the data directory, whole documents and lines; and made ones, a third of them
code-like, in which runs of spaces, contractions, emoji, Hangul in all its forms, CJK, right-to-left
scripts, combining sequences in any order, rare white space, special tokens whole and broken, and any
code points at all stand beside one another. Every code point stands alone and between letters, digits,
spaces and marks. decode() is compared with the normalised text. Every difference is printed, the
exit status is 1 if there was one.
"""

import argparse
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizers
from tokenizers import Tokenizer

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
MARKS = [chr(c) for c in itertools.chain(range(0x300, 0x370), range(0x591, 0x5C8), range(0x64B, 0x660),
                                         range(0x93C, 0x94E), range(0xE31, 0xE4F), range(0xF71, 0xF85),
                                         range(0x1DC0, 0x1E00), range(0x20D0, 0x20F1),
                                         range(0x3099, 0x309B), range(0x1D165, 0x1D16A))]
SPACES = [chr(c) for c in (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1F, 0x85, 0xA0, 0x1680, 0x180E, 0x2000,
                           0x2003, 0x2007, 0x200B, 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)]
RANGES = {
    "latin": (0x41, 0x24F), "ipa": (0x250, 0x2FF), "greek": (0x370, 0x3FF), "cyrillic": (0x400, 0x52F),
    "hebrew": (0x590, 0x5FF), "arabic": (0x600, 0x6FF), "devanagari": (0x900, 0x97F), "thai": (0xE00, 0xE7F),
    "tibetan": (0xF00, 0xFFF), "jamo": (0x1100, 0x11FF), "hangul": (0xAC00, 0xD7A3), "greek extended":
    (0x1F00, 0x1FFF), "kana": (0x3040, 0x30FF), "cjk": (0x4E00, 0x9FFF), "compatibility": (0xF900, 0xFAFF),
    "forms": (0xFB00, 0xFDFF), "wide": (0xFF00, 0xFFEF), "symbols": (0x2000, 0x2BFF),
    "numbers": (0x2150, 0x218F), "emoji": (0x1F300, 0x1FAFF), "math": (0x1D400, 0x1D7FF),
    "cjk 2": (0x2F800, 0x2FA1F), "music": (0x1D100, 0x1D1FF),
}
WORDS = ("the of and don't we'll I'VE they're it's 'd 'tis rock'n'roll can''t naïve café Ångström "
         "x86 3.14 1,234,567 ½ ²³ … — “quoted” (a) [b] {c} <d> a_b foo::bar() != ==> /* */ # TODO").split()
SPECIAL = ["<|endoftext|>", "<|padding|>", "<|endoftext|", "<|end", "|>", "<|", "<|endoftext|><|endoftext|>"]
CODE = ["def f(x):", "return", "if (a && b) {", "}", "for i in range(10):", "std::vector<int>", "// note",
        "\t", "    ", "self.x = y[0]", "\"text\\n\"", "0xFF", "a->b", "#include <x>", ";", "=>"]


class Made:
    """Lines out of a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sources = [self.script, self.script, self.words, self.words, self.spaces, self.marks,
                        self.special, self.anything, self.syllables, self.rare_spaces]

    def script(self):
        first, last = self.random.choice(list(RANGES.values()))
        return "".join(chr(self.random.randint(first, last)) for _ in range(self.random.randint(1, 8)))

    def words(self):
        return self.random.choice(["", " "]).join(self.random.choices(WORDS, k=self.random.randint(1, 4)))

    def spaces(self):
        return " " * self.random.choice([1, 2, 3, 4, 5, 8, 23, 24, 25, 26, 47, 48, 49, 73])

    def marks(self):
        base = self.random.choice(["", "a", "o", " ", "é", "が", "\u0b47", "ᾳ", "\u1100"])
        return base + "".join(self.random.choices(MARKS, k=self.random.randint(1, 5)))

    def special(self):
        return self.random.choice(SPECIAL)

    def anything(self):
        return "".join(map(chr, self.random.choices(CODE_POINTS, k=self.random.randint(1, 4))))

    def syllables(self):
        parts = []
        for _ in range(self.random.randint(1, 4)):
            parts.append(chr(self.random.randint(0x1100, 0x1114)))
            parts.append(chr(self.random.randint(0x1160, 0x1176)))
            parts.append(chr(self.random.randint(0x11A7, 0x11C3)))
        self.random.random() < 0.3 and self.random.shuffle(parts)
        return "".join(parts)

    def rare_spaces(self):
        return "".join(self.random.choices(SPACES + [" ", " "], k=self.random.randint(1, 4)))

    def code(self):
        lines = []
        for _ in range(self.random.randint(1, 5)):
            lines.append(" " * self.random.choice([0, 1, 2, 4, 8, 12, 24, 26, 30]) +
                         self.random.choice(["", " ", "  "]).join(self.random.choices(CODE + WORDS, k=3)))
        return self.random.choice(["\n", "\r\n", "\n\n"]).join(lines)

    def line(self):
        if self.random.random() < 1 / 3:
            return self.code()
        return "".join(self.random.choice(self.sources)() for _ in range(self.random.randint(1, 6)))


def corpus_lines(folder):
    for name in ("enwiki_2018_train", "enwiki_2018_valid"):
        path = folder / f"corpus/{name}.jsonl.zst"
        text = subprocess.run(["zstd", "-dqc", path], check=True, capture_output=True).stdout.decode()
        for document in text.split("\n"):
            if document:
                whole = json.loads(document)["text"]
                yield whole
                yield from whole.split("\n")
    for name in ("corpus/tinyshakespeare.txt", "wikitext2/wiki.test.raw"):
        text = (folder / name).read_text(encoding="utf-8")
        yield text
        yield from text.split("\n")


def code_point_lines():
    for c in map(chr, CODE_POINTS):
        yield f"{c}a{c}1{c} {c}'s{c}!{c}\n{c}a\u0301{c}\u0323{c}{c}"


def ours(program, tokenizer, texts):
    """The ids and the decoded text of each."""
    with tempfile.TemporaryDirectory() as folder:
        lines, ids = pathlib.Path(folder) / "texts", pathlib.Path(folder) / "ids"
        with lines.open("w") as out:
            out.writelines(json.dumps(text) + "\n" for text in texts)
        words = ["--tokenizer", tokenizer, "--json"]
        with lines.open() as given, ids.open("w") as out:
            subprocess.run([program, "tokenize", *words], check=True, stdin=given, stdout=out)
        with ids.open() as given:
            decoded = subprocess.run([program, "detokenize", *words], check=True, stdin=given,
                                     capture_output=True).stdout.decode()
        return [json.loads(line) for line in ids.open()], list(map(json.loads, decoded.split("\n")[:-1]))


def compare(name, texts, program, path, reference):
    """Prints differences; returns how many texts were compared and how many differ."""
    total = different = 0
    texts = iter(texts)
    while batch := list(itertools.islice(texts, 50_000)):
        ids, decoded = ours(program, path, batch)
        assert len(ids) == len(batch) == len(decoded), (len(ids), len(decoded), len(batch))
        encodings = reference.encode_batch_fast(batch, add_special_tokens=False)
        back = reference.decode_batch([e.ids for e in encodings], skip_special_tokens=False)
        for text, mine, theirs, mine_back, theirs_back in zip(batch, ids, encodings, decoded, back):
            if mine != theirs.ids or mine_back != theirs_back:
                different += 1
                if different <= 5:
                    print(f"  {text[:200]!r}\n    ours   {mine[:40]}\n    theirs {theirs.ids[:40]}")
        total += len(batch)
    print(f"{name}: {total} texts, {different} differ", flush=True)
    return total, different


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--program", default="build/bin/farsight")
    parser.add_argument("--data-dir", type=pathlib.Path, default=os.environ.get("FARSIGHT_DATA"))
    parser.add_argument("--lines", type=int, default=400_000, help="made ones")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    path = str(options.data_dir / "tokenizer/20B_tokenizer.json")
    reference = Tokenizer.from_file(path)
    print(f"Hugging Face tokenizers {tokenizers.__version__}, Python {sys.version.split()[0]}")
    made = Made(options.seed)
    results = [
        compare(name, texts, options.program, path, reference)
        for name, texts in (
            ("corpora", corpus_lines(options.data_dir)),
            ("code points", code_point_lines()),
            ("made", (made.line() for _ in range(options.lines))),
        )
    ]
    total, different = map(sum, zip(*results))
    print(f"all: {total} texts, {different} differ")
    sys.exit(different > 0)


main()
