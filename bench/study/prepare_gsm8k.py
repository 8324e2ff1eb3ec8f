#!/usr/bin/env python3
"""Writes GSM8K's questions and answers as prompt/completion records, for training and for validation loss.

usage: prepare_gsm8k.py FOLDER OUT [--train N] [--eval N]

FOLDER holds train.jsonl and test.jsonl with `question` and `answer` (Cobbe et al., 2021). The first N of each are taken.
Calculator annotations (<<48/2=24>>) are left out."""
import argparse
import json
import pathlib
import re


def convert(source, target, count):
    records = []
    with open(source, encoding="utf-8") as lines:
        for line in lines:
            if len(records) == count:
                break
            record = json.loads(line)
            answer = re.sub(r"<<[^>]*>>", "", record["answer"])
            records.append({"prompt": record["question"], "completion": answer})
    with open(target, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    print(f"{target}: {len(records)} records")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=7473)
    parser.add_argument("--eval", type=int, default=64)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    convert(args.folder / "train.jsonl", args.out / "train.jsonl", args.train)
    convert(args.folder / "test.jsonl", args.out / "eval.jsonl", args.eval)


if __name__ == "__main__":
    main()
