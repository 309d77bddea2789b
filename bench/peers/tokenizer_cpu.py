#!/usr/bin/env python3
"""What Hugging Face tokenizers need for the text that farsight_bench tokenises, on the same CPU.

Every document of the wiki corpus by itself, on one thread, by a tokenizer that has seen no text before,
without special tokens; once by encode(), and once by encode_batch_fast(), which leaves out the offsets
of every token, with one thread. Bytes of UTF-8 over the processor time. Printed and written as JSON
lines with farsight_bench's fields.

Needs Python 3.11 and tokenizers; FARSIGHT_DATA as farsight_bench. bench/README.md says how both programs
are run.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402: reads these when it is imported

from lines import append, provenance  # noqa: E402


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return "unknown"


def documents(data):
    path = data / "corpus/enwiki_2018_train.jsonl.zst"
    text = subprocess.run(["zstd", "-dqc", path], check=True, capture_output=True).stdout.decode()
    return [json.loads(line)["text"] for line in text.split("\n") if line]


def measure(path, texts, encode, runs):
    rates = []
    size = sum(len(text.encode()) for text in texts)
    for _ in range(runs):
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        start = time.process_time()
        tokens = encode(tokenizer, texts)
        rates.append(1e-6 * size / (time.process_time() - start))
    return {
        "sizes": {"bytes": size, "tokens": tokens, "documents": len(texts)},
        "threads": 1,
        "runs": runs,
        "mb_per_s": statistics.median(rates),
    }


def one_by_one(tokenizer, texts):
    return sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)


def in_batches(tokenizer, texts):
    batches = (texts[i : i + 100] for i in range(0, len(texts), 100))
    return sum(
        len(encoding.ids)
        for batch in batches
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=pathlib.Path, default=os.environ.get("FARSIGHT_DATA"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", help="file to append to")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    texts = documents(pathlib.Path(options.data_dir))
    path = pathlib.Path(options.data_dir) / "tokenizer/20B_tokenizer.json"
    for name, encode in (("encode", one_by_one), ("encode_batch_fast", in_batches)):
        result = measure(path, texts, encode, options.runs)
        line = {
            **provenance(processor(), options.note),
            "program": f"tokenizers {tokenizers.__version__}",
            "name": f"tokenize the wiki corpus, GPT-NeoX, {name}",
            **result,
        }
        print(f"{line['name']}: {result['sizes']['tokens']} tokens, {result['mb_per_s']:.2f} MB/s")
        append(options.json, line)


main()
