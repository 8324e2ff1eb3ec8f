"""Seeds of the fuzz targets: a few small whole files of each kind.

usage: make_corpus.py TEMPLATES_DIR OUT_DIR
Writes OUT_DIR/<target>/<name>.
"""

import glob
import json
import os
import struct
import sys

SPACE = "\u2581"


def alphabet():
    """The characters of byte-level BPE in the order of their bytes."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in own else next(others)) for byte in range(256)]


def tokenizer(vocabulary, merges, **parts):
    vocab = {}
    for token in [*vocabulary, *("".join(merge) for merge in merges)]:
        vocab.setdefault(token, len(vocab))
    model = {"type": "BPE", "vocab": vocab, "merges": merges, **parts.pop("model", {})}
    added = [{"id": vocab.get(token, len(vocab)), "content": token, **flags} for token, flags in parts.pop("added", [])]
    return json.dumps({"added_tokens": added, "model": model, **parts}, ensure_ascii=False)


def tokenizer_jsons():
    split = {"type": "Split", "pattern": {"Regex": r"\p{L}+|\p{N}{1,3}|\s+"}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    yield "byte_level", tokenizer(alphabet(), [["l", "l"], ["e", "ll"]], pre_tokenizer=byte_level, decoder={"type": "ByteLevel"})
    yield "small", tokenizer("Helo wrd", [["l", "l"]], normalizer={"type": "NFC"}, decoder={"type": "ByteLevel"},
                             added=[("<s>", {"special": True, "lstrip": True}), ],
                             pre_tokenizer={"type": "Sequence", "pretokenizers": [split, {"type": "Digits", "individual_digits": True},
                                                                                  {**byte_level, "use_regex": False}]})
    spaces = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE},
                                                 {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]}
    back = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
                                             {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    fallback = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), SPACE, "a", "b"]
    yield "characters", tokenizer(fallback, [["a", "b"], [SPACE, "ab"]], normalizer=spaces, decoder=back, post_processor=template,
                                  added=[("<s>", {"special": True})],
                                  model={"unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True})
    yield "metaspace", tokenizer(["<unk>", SPACE, "a"], [[SPACE, "a"]], decoder={"type": "Metaspace", "replacement": SPACE},
                                 pre_tokenizer={"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": True},
                                 model={"unk_token": "<unk>", "ignore_merges": True})


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def field_bytes(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def piece(text, score, kind=1):
    return field_bytes(1, field_bytes(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + number(3, kind))


def sentence_pieces():
    base = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("ab", -1) + piece(SPACE + "a", -2)
    base += b"".join(piece(text, -3 - i) for i, text in enumerate([SPACE, "a", "b", "\u00e9"]))
    trainer, normalizer = number(3, 2), field_bytes(1, b"identity") + number(4, 0)
    yield "plain", base + field_bytes(2, trainer) + field_bytes(3, normalizer)
    fallback = b"".join(piece(f"<0x{byte:02X}>", 0, 6) for byte in range(256)) + piece("[x]", 0, 4)
    yield "fallback", base + fallback + field_bytes(2, trainer + number(35, 1)) + field_bytes(3, normalizer)


def datasets():
    records = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}],
                "tools": [{"type": "function"}]},
               {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "system": "s"},
               {"instruction": "a", "input": "b", "output": "c"}, {"prompt": "a", "completion": "b"}, {"text": "\u00e9"},
               {"system": "s", "instruction": "a", "output": "c", "history": []},
               # The target calls the prompt "p".
               {"system": "s", "p": "a", "completion": "b"},
               {"messages": [{"role": "user", "content": "a", "train": False}, {"role": "assistant", "content": "b", "weight": 0},
                             {"role": "assistant", "content": "c", "train": True, "weight": 1}]},
               {"p": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}], "system": "s"},
               {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                             {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
               {"conversations": [{"role": "human", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0.0}]},
               {"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": [{"type": "text", "text": "b"}]}]}]
    for i, record in enumerate(records):
        yield f"lines{i}", b"\0" + (json.dumps(record) + "\n").encode() * 2
        yield f"list{i}", b"\2" + json.dumps([record, record], indent=1).encode()
    yield "csv", b"\3prompt,completion\r\n\"a \"\"quoted\"\"\nline\",b\r\nc,\"\"\r\n"


def parquets():
    import pyarrow
    import pyarrow.parquet

    message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
    tables = {
        "dialogues": {"messages": pyarrow.array([[{"role": "user", "content": "a"}, {"role": "assistant"}], [], None] * 3,
                                                pyarrow.list_(message))},
        "values": {"text": pyarrow.array(["a", None, "\u00e9"]), "word": pyarrow.array(["b", "b", None]).dictionary_encode(),
                   "whole": pyarrow.array([1, -2, None]), "real": pyarrow.array([0.5, float("nan"), None]),
                   "yes": pyarrow.array([True, False, None]), "when": pyarrow.array([1, 2, 3], pyarrow.timestamp("us"))}}
    for name, columns in tables.items():
        for compression in ("none", "snappy", "zstd"):
            for store_schema in (True, False):
                out = pyarrow.BufferOutputStream()
                pyarrow.parquet.write_table(pyarrow.table(columns), out, compression=compression, row_group_size=4,
                                            store_schema=store_schema, data_page_version="2.0" if store_schema else "1.0")
                yield f"{name}-{compression}-{store_schema}", out.getvalue().to_pybytes()


def safetensors():
    header = json.dumps({"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                         "b": {"dtype": "U8", "shape": [], "data_offsets": [8, 9]}}).encode()
    yield "two", struct.pack("<Q", len(header)) + header + bytes(9)
    yield "none", struct.pack("<Q", 2) + b"{}"


def indexes():
    yield "two", json.dumps({"metadata": {"total_size": 16}, "weight_map": {"ta": "a.safetensors", "tb": "b.safetensors"}}).encode()


def manifests():
    digest = "0123456789abcdef" * 4
    for ranks in (1, 2):
        parts = [f'    {{"file": "part-{rank:05d}-of-{ranks:05d}.safetensors", "size_bytes": {rank + 7}, "sha256": "{digest}"}}'
                 for rank in range(ranks)]
        yield f"ranks{ranks}", ('{\n  "format": "dropbp-checkpoint",\n  "version": 1,\n'
                               f'  "identity": "{digest}",\n  "step": 12,\n  "parts": [\n' + ",\n".join(parts) + "\n  ],\n")


def checkpoint_parts():
    for version in (1, 2, 3):
        tensors = {"sensitivities": ("F64", struct.pack("<3d", 0.5, 1, 2)), "state": ("I64", struct.pack("<5q", 12, 1, 0, 0, 2)),
                   "totals": ("F64", struct.pack("<8d", 6e9, 4e9, 10, 20, 300, 1.5, 1e-3, 0.7)),
                   "value/w": ("F32", struct.pack("<2f", 1, 2))}
        if version >= 2:
            tensors["evaluation"] = ("F64", struct.pack("<3d", 10, 5, 1.25))
        if version >= 3:
            tensors |= {"losses": ("F64", struct.pack("<12d", *range(12))), "validation_steps": ("I64", struct.pack("<2q", 5, 10)),
                        "validation_losses": ("F64", struct.pack("<2d", 1.25, 1.5))}
        header, content = {"__metadata__": {"format": "dropbp-checkpoint", "version": str(version), "identity": "ab"}}, b""
        for name, (dtype, data) in tensors.items():
            header[name] = {"dtype": dtype, "shape": [len(data) // (4 if dtype == "F32" else 8)],
                            "data_offsets": [len(content), len(content) + len(data)]}
            content += data
        text = json.dumps(header).encode()
        yield f"version{version}", struct.pack("<Q", len(text)) + text + content


def templates(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.jinja"))):
        with open(path, "rb") as source:
            yield os.path.basename(path), source.read()
    yield "small", b"{% for m in messages %}{{ m['role'] | upper ~ m.content[::-1] }}{% endfor %}{{ 1.5 * 2 // 3 }}"


def main():
    templates_dir, out = sys.argv[1:]
    corpora = {"fuzz_tokenizer_json": tokenizer_jsons(), "fuzz_sentence_piece": sentence_pieces(), "fuzz_dataset": datasets(), "fuzz_parquet": parquets(),
               "fuzz_safetensors": safetensors(), "fuzz_safetensors_index": indexes(), "fuzz_chat_template": templates(templates_dir),
               "fuzz_checkpoint_manifest": manifests(), "fuzz_checkpoint_part": checkpoint_parts()}
    for target, seeds in corpora.items():
        folder = os.path.join(out, target)
        os.makedirs(folder, exist_ok=True)
        for name, seed in seeds:
            with open(os.path.join(folder, name), "wb") as file:
                file.write(seed if isinstance(seed, bytes) else seed.encode("utf-8"))


main()
