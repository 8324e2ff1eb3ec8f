"""Tokenizing speed on one core, beside Hugging Face tokenizers.

usage: tokenizer_speed.py [--text FILE] [--rounds N] [FOLDER ...]

Both encode the lines of the same text in one process each, take turns round by round, and must make equally many ids. The
text is prose: by default Debian's licence texts, again and again up to 8 MB. FOLDERs have a tokenizer.json; without any,
SmolLM2's is measured and others of 32,000 tokens that are trained on the text in the manner of the families. Prints a
Markdown table of the fastest rounds.
"""

import argparse
import glob
import os
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "parity"))

from tokenizers import Tokenizer

import tokenizer_oracle

TRAINED = ("llama3", "qwen2", "nemo", "llama2", "mistral", "gemma")
BYTES = 8_000_000


def prose():
    text = ""
    for path in sorted(glob.glob("/usr/share/common-licenses/*")):
        with open(path, encoding="utf-8", errors="replace") as source:
            text += source.read()
    return (text * (BYTES // len(text) + 1))[:BYTES]


def make_folders(text, out):
    lines = text[:600_000].splitlines(keepends=True)
    tokenizer_oracle.training_lines = lambda: iter(lines)
    tokenizer_oracle.VOCABULARY = 32_000
    folders = [os.path.join(ROOT, "build", "models", "smollm2-135m-instruct")]
    for kind in TRAINED:
        folder = os.path.join(out, kind)
        os.makedirs(folder)
        with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
            file.write(tokenizer_oracle.KINDS[kind](None))
        folders.append(folder)
    return folders


def measure(folder, text_path, lines, rounds):
    """Seconds of the fastest round: theirs, ours."""
    reference = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    ours = subprocess.Popen([os.path.join(ROOT, "build", "release", "bin", "tokenize_speed"), folder, text_path],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        begin = time.perf_counter()
        encodings = reference.encode_batch_fast(lines, add_special_tokens=False)
        best[0] = min(best[0], time.perf_counter() - begin)
        expected = sum(len(encoding.ids) for encoding in encodings)
        ours.stdin.write("go\n")
        ours.stdin.flush()
        seconds, ids = ours.stdout.readline().split()
        best[1] = min(best[1], float(seconds))
        if int(ids) != expected:
            sys.exit(f"{folder}: {ids} ids, the reference makes {expected}")
    ours.stdin.close()
    ours.wait()
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", help="file to encode")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("folders", nargs="*", metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.text:
        with open(arguments.text, encoding="utf-8", newline="") as source:
            text = source.read()
    else:
        text = prose()
    with tempfile.TemporaryDirectory() as out:
        text_path = os.path.join(out, "text")
        with open(text_path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        megabytes = os.path.getsize(text_path) / 1e6
        lines = [line + "\n" for line in text.split("\n")]
        lines[-1] = lines[-1][:-1]
        print("| tokenizer | tokenizers, MB/s | dropbp, MB/s | times |\n| --- | ---: | ---: | ---: |")
        for folder in arguments.folders or make_folders(text, out):
            theirs, ours = measure(folder, text_path, [line for line in lines if line], arguments.rounds)
            print(f"| {os.path.basename(folder.rstrip('/'))} | {megabytes / theirs:.1f} | {megabytes / ours:.1f} "
                  f"| {theirs / ours:.1f} |", flush=True)


main()
