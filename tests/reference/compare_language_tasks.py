#!/usr/bin/env python3
"""Compares our language tasks with lm-evaluation-harness, item by item; run by hand.

    python3 tests/reference/compare_language_tasks.py --program build/bin/mamba --data $FARSIGHT_DATA

needs torch, transformers, lm_eval 0.4 and datasets. Makes random Mamba and GPT-NeoX checkpoints with the
vocabulary of the tokenizer, lets the harness's own tasks and its HFLM score the first items on the CPU in
f32, does the same with `mamba eval`, and compares texts, log-likelihoods, greediness, metrics and errors.

--half asks what bfloat16 costs: both score the same items once more in it, and of each the difference to
transformers in f32 is printed, of sums and of their tokens.

The harness reads its data sets from a hub. Here its task files are used as they are, but for the place of
the data: local files of the same fields, made from the official ones. HellaSwag is the derived form, which
is behind the preprocessing. Of LAMBADA and ARC there is no file in a usual data directory: where there is
none, items in their form are made from PIQA's and WikiText's texts.
"""
import argparse
import copy
import io
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import yaml
import zstandard
from lm_eval import evaluator
from lm_eval import tasks as harness_tasks
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from transformers import (GPTNeoXConfig, GPTNeoXForCausalLM, MambaConfig, MambaForCausalLM,
                          PreTrainedTokenizerFast)

VOCABULARY = 50280
FILES = {"wikitext": "wikitext/wikitext.yaml", "piqa": "piqa/piqa.yaml",
         "hellaswag": "hellaswag/hellaswag.yaml", "winogrande": "winogrande/default.yaml",
         "lambada_openai": "lambada/lambada_openai.yaml", "arc_easy": "arc/arc_easy.yaml",
         "arc_challenge": "arc/arc_challenge.yaml"}


def read_lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def pages(raw):
    """The harness's older datasets/wikitext/wikitext.py."""
    lines = []
    for line in raw.split("\n"):
        heading = line.replace("= = =", "===").replace("= =", "==").strip()
        if heading.startswith("= ") and heading.strip().endswith(" ="):
            page = "\n".join(lines)
            if page.strip():
                yield page
            lines = []
        lines.append(line)
    yield "\n".join(lines)


def load_docs(data):
    """Documents of every task with the fields of the harness's data sets."""
    docs = {}
    labels = (data / "piqa/valid-labels.lst").read_text().split()
    piqa = read_lines(data / "piqa/valid.jsonl")
    docs["piqa"] = [dict(doc, label=int(label)) for doc, label in zip(piqa, labels)]
    packed = (data / "hellaswag/hellaswag_val_lmeval.jsonl.zst").read_bytes()
    text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read().decode("utf-8")
    docs["hellaswag"] = [json.loads(line) for line in text.splitlines()]
    for doc in docs["hellaswag"]:
        doc["label"] = doc["gold"]
    docs["winogrande"] = read_lines(data / "winogrande/winogrande_xl_dev.jsonl")
    with open(data / "wikitext2/wiki.test.raw", encoding="utf-8", newline="\n") as file:
        docs["wikitext"] = [{"page": page} for page in pages(file.read())]
    lambada = data / "lambada/lambada_test.jsonl"
    if lambada.exists():
        docs["lambada_openai"] = read_lines(lambada)
    else:
        paragraphs = [p.strip() for doc in docs["wikitext"] for p in doc["page"].split("\n")]
        docs["lambada_openai"] = [{"text": p[:400].strip()} for p in paragraphs if len(p) > 400]
    for name, file in (("arc_easy", "ARC-Easy-Test"), ("arc_challenge", "ARC-Challenge-Test")):
        path = data / f"arc/{file}.jsonl"
        if path.exists():
            original = read_lines(path)
        else:
            names = "ABCD" if name == "arc_easy" else "1234"
            original = [{"id": str(i), "answerKey": names[doc["label"]], "question": {
                "stem": doc["goal"], "choices": [
                    {"text": doc[key], "label": names[k]} for k, key in enumerate(("sol1", "sol2"))]}}
                for i, doc in enumerate(docs["piqa"])]
        docs["original " + name] = original
        docs[name] = [{"id": doc["id"], "question": doc["question"]["stem"],
                       "answerKey": doc["answerKey"],
                       "choices": {"text": [c["text"] for c in doc["question"]["choices"]],
                                   "label": [c["label"] for c in doc["question"]["choices"]]}}
                      for doc in original]
    return docs


def write_lines(path, docs):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs), "utf-8")


def data_directory(data, docs, folder):
    """What our program reads: the official files, and those that were made."""
    for entry in data.iterdir():
        if entry.is_dir() and entry.name not in ("lambada", "arc"):
            (folder / entry.name).symlink_to(entry)
    write_lines(folder / "lambada/lambada_test.jsonl", docs["lambada_openai"])
    write_lines(folder / "arc/ARC-Easy-Test.jsonl", docs["original arc_easy"])
    write_lines(folder / "arc/ARC-Challenge-Test.jsonl", docs["original arc_challenge"])


def harness_config(path):
    class Loader(yaml.SafeLoader):
        pass

    def function(loader, node):
        module, name = loader.construct_scalar(node).rsplit(".", 1)
        scope = {"__name__": module}
        exec((path.parent / f"{module.split('.')[-1]}.py").read_text(), scope)
        return scope[name]

    Loader.add_constructor("!function", function)
    config = yaml.load(path.read_text(), Loader)
    if "include" in config:
        config = {**harness_config(path.parent / config.pop("include")), **config}
    return config


def harness_task(name, docs, folder):
    path = pathlib.Path(harness_tasks.__file__).parent / FILES[name]
    config = harness_config(path)
    file = folder / f"{name}.json"
    write_lines(file, docs)
    split = config.get("test_split") or config["validation_split"]
    config.update(dataset_path="json", dataset_name=None, training_split=None, fewshot_split=None,
                  validation_split=None, test_split=split,
                  dataset_kwargs={"data_files": {split: str(file)}})
    if name == "hellaswag":
        config.pop("process_docs")  # the derived form is behind it
    return ConfigurableTask(config=config)


def make_checkpoints(folder, tokenizer):
    torch.manual_seed(1)
    models = {
        "mamba": MambaForCausalLM(MambaConfig(
            vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, state_size=16,
            time_step_rank=4, use_bias=False, tie_word_embeddings=True, bos_token_id=0,
            eos_token_id=0, pad_token_id=0)),
        "pythia": GPTNeoXForCausalLM(GPTNeoXConfig(
            vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=256, rotary_pct=0.25, max_position_embeddings=2048,
            bos_token_id=0, eos_token_id=0))}
    for name, model in models.items():
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "embed" in key:  # logits that differ: their deviation is about 2
                    parameter.mul_(12 if name == "mamba" else 10)
        model.eval().save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return models


def compare(name, samples, results, ours, folder, tolerance):
    """The largest difference of a log-likelihood of this task; raises where anything else differs."""
    theirs = sorted(samples[name], key=lambda sample: sample["doc_id"])
    mine = read_lines(folder / f"samples_{name}.jsonl")
    assert len(theirs) == len(mine), (name, len(theirs), len(mine))
    worst, least = 0, 0
    for a, b in zip(theirs, mine):
        arguments = [list(arg) for arg in a["arguments"]]
        assert arguments == [list(x.values()) for x in b["arguments"].values()], (name, a["doc_id"])
        assert str(a["target"]) == b["target"], (name, a["target"], b["target"])
        for x, y in zip(a["filtered_resps"], b["filtered_resps"]):
            value, greedy = (x, None) if name == "wikitext" else x
            text, flag = (y, None) if name == "wikitext" else y
            assert greedy is None or str(bool(greedy)) == flag, (name, a["doc_id"])
            # A page is a sum over thousands of tokens: relative to a thousand nats there.
            scale = max(1, abs(value) / 1000) if name == "wikitext" else 1
            worst = max(worst, abs(value - float(text)) / scale)
            least = min(least, value)
        for metric in ("acc", "acc_norm"):
            if metric in a:
                assert a[metric] == b[metric], (name, a["doc_id"], metric)
    assert worst <= tolerance, (name, worst)
    for key, value in results[name].items():
        if key in ("alias", " "):
            continue
        other = ours["results"][name][key]
        if key == "perplexity_stderr,none":
            continue  # drawn by bootstrap there
        # Means of what was compared: closer in f32, as close in bf16.
        near = 1e-5 if tolerance <= 1e-3 else tolerance
        same = value == other or abs(value - other) <= near * max(1, abs(value))
        assert same, (name, key, value, other)
    print(f"  {name:<16}{len(mine):>4} items   log-likelihoods {least:10.2f} ... and apart by at "
          f"most {worst:.2e}")


def log_likelihoods(samples):
    """(sum, tokens that it is a sum of) of every continuation, items in order."""
    sums = []
    for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
        for response in sample["filtered_resps"]:
            sums.append(float(response if isinstance(response, (str, float)) else response[0]))
    return sums


def token_counts(lm, samples):
    counts = []
    for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
        for argument in sample["arguments"]:
            whole = argument if len(argument) == 2 else ("", argument[0])
            if whole[0] == "":
                counts.append(len(lm.tok_encode(whole[1])))
            else:
                counts.append(len(lm._encode_pair(*whole)[1]))
    return counts


def print_distance(name, values, reference, tokens):
    apart = [abs(a - b) for a, b in zip(values, reference)]
    of_token = [a / n for a, n in zip(apart, tokens)]
    mean = [sum(x) / len(x) for x in (apart, of_token)]
    relative = max(a / abs(b) for a, b in zip(apart, reference))
    bias = sum(a - b for a, b in zip(values, reference)) / sum(tokens)
    print(f"    {name:<36} a sum: mean {mean[0]:.4f}, most {max(apart):.4f}   a token: mean "
          f"{mean[1]:.5f}, most {max(of_token):.5f}, bias {bias:+.5f}   relative: most {relative:.1e}")


def compare_halves(name, task, model, tokenizer, theirs, limit, ours_in_half):
    """What bfloat16 does to the log-likelihoods of transformers, and to ours."""
    half = copy.deepcopy(model).to(torch.bfloat16)
    scores = {}
    for softmax in (None, "float32"):
        lm = HFLM(pretrained=half, tokenizer=tokenizer, batch_size=1, max_length=2048,
                  softmax_dtype=softmax)
        samples = evaluator.evaluate(lm, {name: task}, limit=limit, log_samples=True)["samples"]
        scores[softmax] = log_likelihoods(samples[name])
    reference, tokens = log_likelihoods(theirs["samples"][name]), token_counts(lm, samples[name])
    ours = log_likelihoods(ours_in_half)
    print_distance("theirs in bf16, theirs in f32", scores[None], reference, tokens)
    print_distance("the same, its softmax in f32", scores["float32"], reference, tokens)
    print_distance("ours in bf16, theirs in f32", ours, reference, tokens)
    print_distance("ours in bf16, theirs in bf16", ours, scores["float32"], tokens)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="build/bin/mamba")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--pages", type=int, default=10, help="of WikiText: transformers takes seconds "
                        "for a window of Mamba on a CPU")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--ours", default="--device cpu --dtype f32",
                        help='further options of our program, as one word: --ours="--dtype bf16"')
    parser.add_argument("--half", action="store_true", help="what bfloat16 costs either")
    options = parser.parse_args()
    tokenizer_file = options.data.resolve() / "tokenizer/20B_tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file), eos_token="<|endoftext|>",
                                        bos_token="<|endoftext|>", unk_token="<|endoftext|>")
    docs = load_docs(options.data.resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "data").mkdir()
        data_directory(options.data.resolve(), docs, folder / "data")
        models = make_checkpoints(folder, tokenizer)
        for family, model in models.items():
            print(f"{family}, {sum(p.numel() for p in model.parameters()):,} parameters")
            out = folder / f"{family}-out"
            lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=2048)
            def score(task, limit, out, *more):
                subprocess.run([options.program, "eval", "--checkpoint", str(folder / family),
                                "--task", task, "--limit", str(limit), "--data-dir",
                                str(folder / "data"), "--tokenizer", str(tokenizer_file), "--out",
                                str(out), *options.ours.split(), *more], check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

            for task in FILES:
                limit = options.pages if task == "wikitext" else options.limit
                score(task, limit, out)
                ours = json.loads((out / "results.json").read_text())
                tasks = {task: harness_task(task, docs[task], folder)}
                theirs = evaluator.evaluate(lm, tasks, limit=limit, log_samples=True)
                compare(task, theirs["samples"], theirs["results"], ours, out, options.tolerance)
                if options.half:
                    score(task, limit, folder / "half", "--dtype", "bf16")
                    compare_halves(task, tasks[task], model, tokenizer, theirs, limit,
                                   read_lines(folder / "half" / f"samples_{task}.jsonl"))
                assert ours["versions"][task] == theirs["versions"][task], task
                assert ours["n-samples"][task] == theirs["n-samples"][task], task
                assert ours["higher_is_better"][task] == theirs["higher_is_better"][task], task


if __name__ == "__main__":
    sys.exit(main())
