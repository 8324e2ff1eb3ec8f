"""The same records as JSON Lines and as Parquet, for parquet_parity_test.

usage: parquet_oracle.py OUT_DIR
Writes OUT_DIR/<name>.jsonl and OUT_DIR/<name>.parquet for every format of records, and the files that are refused.
"""

import itertools
import json
import os
import random
import sys

import pyarrow
import pyarrow.parquet

RECORDS = 500
WORDS = ["a", "quick", "caf\u00e9", "\u6f22\u5b57", "\"quoted\"", "line\nbreak", "", " ", "\U0001f600", "\\", "\t"]


def text(rng):
    return " ".join(rng.choices(WORDS, k=rng.randrange(1, 12)))


def message(rng, role):
    extra = {"thought": text(rng)} if rng.random() < 0.3 else {}
    return {"role": role, "content": text(rng), **extra}


def dialogue(rng):
    turns = [message(rng, role) for _ in range(rng.randrange(1, 4)) for role in ("user", "assistant")]
    if rng.random() < 0.2:
        turns[-1] = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"x": rng.randrange(9), "y": 0.5}}}]}
    return {"messages": turns}


def conversation(rng):
    record = {"conversations": [{"from": speaker, "value": text(rng)} for speaker in ("human", "gpt")]}
    return {**record, "system": text(rng)} if rng.random() < 0.5 else record


def alpaca(rng):
    record = {"instruction": text(rng), "output": "x" + text(rng)}
    return {**record, "input": text(rng)} if rng.random() < 0.5 else record


def weighted(rng):
    """Turns of either kind of keys, with marks and content parts."""
    def turn(role):
        said = [{"type": "text", "text": text(rng)} for _ in range(rng.randrange(1, 3))]
        return {"role": role, "content": said, **({"weight": rng.randrange(2)} if role == "assistant" and rng.random() < 0.5 else {})}
    return {"conversations": [turn("user"), turn("assistant"), turn("user"), {"role": "assistant", "content": turn("assistant")["content"]}]}


def completion(rng):
    return {"prompt": [message(rng, "user")], "completion": [message(rng, "assistant")], "system": text(rng)}


FORMATS = {
    "messages": dialogue,
    "conversations": conversation,
    "weighted": weighted,
    "alpaca": alpaca,
    "prompt_completion": lambda rng: {"question": text(rng), "answer": text(rng), "id": rng.randrange(2**40)},
    "text": lambda rng: {"text": "x" + text(rng)},
    "completion_lists": completion,
}


def write(out, name, records, **options):
    with open(os.path.join(out, name + ".jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    # Columns that no record of ours needs, of a type that JSON has not.
    columns = {key: [record.get(key) for record in records] for key in {key: None for record in records for key in record}}
    table = pyarrow.table({**columns, "stamp": pyarrow.array(range(len(records)), pyarrow.timestamp("ms"))})
    pyarrow.parquet.write_table(table, os.path.join(out, name + ".parquet"), **options)


def main():
    out = sys.argv[1]
    rng = random.Random(7)
    compressions = itertools.cycle(["zstd", "snappy", "gzip", "brotli", "none"])
    for name, make in FORMATS.items():
        write(out, name, [make(rng) for _ in range(RECORDS)], compression=next(compressions), row_group_size=170,
              data_page_version=rng.choice(["1.0", "2.0"]), data_page_size=1024)
    words = pyarrow.array([rng.choice(WORDS[:4]) for _ in range(RECORDS)]).dictionary_encode()
    pyarrow.parquet.write_table(pyarrow.table({"text": words}), os.path.join(out, "categories.parquet"))
    with open(os.path.join(out, "categories.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": word}) + "\n" for word in words.to_pylist())
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["a", "b", "c"], "completion": ["x", None, "z"]}),
                                os.path.join(out, "missing.parquet"))


main()
