"""What Hugging Face tokenizers and SentencePiece make of many texts, for tokenizer_parity_test.

usage: tokenizer_oracle.py MODEL_DIR OUT_DIR
Writes OUT_DIR/texts.bin and, for each kind of tokenizer, a folder OUT_DIR/<kind>/ with its file and
  ids.bin       for a text each, in their order: how many ids, then the ids
  decoded.bin   for each of the first DECODED texts: its ids as text with and without special tokens
Numbers are 32 bits, little-endian; a text is its length in bytes and its bytes. Nothing is made again while this script,
its texts and the oracles stay as they are.
"""

import array
import hashlib
import io
import json
import os
import shutil
import struct
import sys

import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import tokenizer_texts

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# Tells upper case from lower.
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# Has no scanner of its own, so that it runs in the regex engine, and leaves text between its matches.
OTHER = r"\p{Lu}?\p{Ll}+|\p{N}{2}|[^\s\p{L}]+"
SPACE = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

SHORT_LINES = 100_000
LONG_LINES = 2_000
DECODED = 20_000
VOCABULARY = 3000
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>",
            "<tool_call>", "<tool_call>\n", "word", " word ", "sword", "[left]", " [left]  ", "  [right] \n", " [both] ", "x[both]",
            "e\u0301clair", "\u00e9clair", "<|im_", "<|im_end|", "<repo_name>", "[INST]", "[/INST] ", "<s>", "</s>", "<unk>",
            "<bos>", "<start_of_turn>", "<|user|>\n", "<|assistant|>  x", "<0x0A>", "\u2581", " \u2581a", "\n\n\n"]


def training_lines():
    return tokenizer_texts.lines(3000, ["<|x|>"], seed=7)


def byte_level(pre_tokenizer, normalizer=None):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(training_lines(), trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tokenizer


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior, invert),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def begin_with(tokenizer, token):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tokenizer.token_to_id(token))])


def smollm2(model_dir):
    return Tokenizer.from_file(os.path.join(model_dir, "tokenizer.json")).to_str()


def llama3(_):
    tokenizer = byte_level(split(LLAMA3))
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>"])
    begin_with(tokenizer, "<|begin_of_text|>")
    text = json.loads(tokenizer.to_str())
    text["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, text["post_processor"]]}
    text["model"]["ignore_merges"] = True
    # Merges as early files wrote them; the others keep pairs.
    text["model"]["merges"] = [" ".join(pair) for pair in text["model"]["merges"]]
    return json.dumps(text)


def qwen2(_):
    tokenizer = byte_level(split(QWEN2), normalizers.NFC())
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([
        AddedToken("<tool_call>", normalized=False),
        AddedToken("<tool_call>\n", normalized=False),
        AddedToken("word", single_word=True, normalized=False),
        AddedToken("[left]", lstrip=True, normalized=False),
        AddedToken("[right]", rstrip=True, normalized=False),
        AddedToken("[both]", lstrip=True, rstrip=True, single_word=True, normalized=False),
        AddedToken("e\u0301clair", normalized=True),
    ])
    return tokenizer.to_str()


def nemo(_):
    tokenizer = byte_level(split(TEKKEN, "removed", invert=True))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    begin_with(tokenizer, "<s>")
    return tokenizer.to_str()


def other(_):
    tokenizer = byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex(OTHER), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ]))
    tokenizer.add_special_tokens(["<|x|>"])
    return tokenizer.to_str()


def sentence_piece(specials, train_normalizer, train_pre_tokenizer=None, **parts):
    """A model of characters with byte fallback, as conversions of SentencePiece models are. Its merges come from training
    with train_*; `parts` are what the finished tokenizer has."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = train_normalizer
    if train_pre_tokenizer:
        tokenizer.pre_tokenizer = train_pre_tokenizer
    tokenizer.train_from_iterator(training_lines(), trainers.BpeTrainer(
        vocab_size=VOCABULARY, limit_alphabet=600, special_tokens=specials + BYTES, show_progress=False))
    text = json.loads(tokenizer.to_str())
    text["added_tokens"] = [token for token in text["added_tokens"] if token["content"] in specials]
    text["normalizer"] = text["pre_tokenizer"] = None
    made = Tokenizer.from_str(json.dumps(text))
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def spaced():
    return normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])


def words():
    return pre_tokenizers.Metaspace(prepend_scheme="never", split=True)


def back_to_text(*more):
    return decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *more])


def llama2(_):
    tokenizer = sentence_piece(["<unk>", "<s>", "</s>"], spaced(), words(), normalizer=spaced(),
                               decoder=back_to_text(decoders.Strip(" ", 1, 0)))
    begin_with(tokenizer, "<s>")
    return tokenizer.to_str()


def phi3(_):
    tokenizer = sentence_piece(["<unk>", "<s>", "</s>"], spaced(), words(), normalizer=spaced(),
                               decoder=back_to_text(decoders.Strip(" ", 1, 0)))
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", normalized=False)])
    tokenizer.add_special_tokens([AddedToken(token, rstrip=True, normalized=False) for token in ("<|user|>", "<|assistant|>")])
    tokenizer.add_tokens([AddedToken("<repo_name>", normalized=True)])
    return tokenizer.to_str()


def mistral(_):
    tokenizer = sentence_piece(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], spaced(), words(),
                               pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
                               decoder=back_to_text(decoders.Strip(" ", 1, 0)))
    begin_with(tokenizer, "<s>")
    return tokenizer.to_str()


def gemma(_):
    # Trained on whole lines, so that some tokens reach from one word into the next.
    tokenizer = sentence_piece(["<unk>", "<bos>", "<start_of_turn>"], normalizers.Replace(" ", SPACE),
                               normalizer=normalizers.Replace(" ", SPACE),
                               pre_tokenizer=pre_tokenizers.Split(" ", "merged_with_previous"), decoder=back_to_text())
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ("\n\n", "\n\n\n", SPACE * 2, "<div>")])
    begin_with(tokenizer, "<bos>")
    return tokenizer.to_str()


def metaspace(_):
    tokenizer = sentence_piece(["<unk>", "<s>"], spaced(), words(),
                               pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
                               decoder=decoders.Metaspace(prepend_scheme="always", split=True))
    return tokenizer.to_str()


# llama3 has the same scanner as qwen2; the regex engine of nemo and other knows an older Unicode than the reference's.
KINDS = {"smollm2": smollm2, "llama3": llama3, "qwen2": qwen2, "nemo": nemo, "other": other, "llama2": llama2, "phi3": phi3,
         "mistral": mistral, "gemma": gemma, "metaspace": metaspace}
EXHAUSTIVE = ("smollm2", "qwen2", "llama2", "gemma")


def train_sentence_piece():
    """A tokenizer.model, by SentencePiece itself."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line.replace("\n", " ") for line in training_lines()), model_writer=model, model_type="bpe",
        vocab_size=VOCABULARY, character_coverage=0.98, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True,
        user_defined_symbols=["<|im_start|>", "<repo_name>", SPACE * 4], minloglevel=2)
    return model.getvalue()


def write_text(text, out):
    data = text.encode("utf-8")
    out.write(struct.pack("<I", len(data)) + data)


def write_ids(all_ids, path):
    with open(path, "wb") as out:
        for ids in all_ids:
            array.array("i", [len(ids), *ids]).tofile(out)


def write_decoded(decode, all_ids, path):
    with open(path, "wb") as out:
        for pair in zip(decode(all_ids, False), decode(all_ids, True)):
            for text in pair:
                write_text(text, out)


def write_kind(name, model_dir, out_dir, texts, exhaustive):
    folder = os.path.join(out_dir, name)
    os.makedirs(folder)
    path = os.path.join(folder, "tokenizer.json")
    with open(path, "w", encoding="utf-8") as out:
        out.write(KINDS[name](model_dir))
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    inputs = texts + (exhaustive if name in EXHAUSTIVE else [])
    all_ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(inputs, add_special_tokens=False)]
    write_ids(all_ids, os.path.join(folder, "ids.bin"))
    write_decoded(lambda ids, skip: tokenizer.decode_batch(ids, skip_special_tokens=skip), all_ids[:DECODED],
                  os.path.join(folder, "decoded.bin"))


def write_sentence_piece(out_dir, texts):
    folder = os.path.join(out_dir, "sentencepiece")
    os.makedirs(folder)
    model = train_sentence_piece()
    with open(os.path.join(folder, "tokenizer.model"), "wb") as out:
        out.write(model)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    # Control pieces in a text are plain text to SentencePiece and special tokens to everyone else.
    plain = [text.replace("<s>", "").replace("</s>", "").replace("<unk>", "") for text in texts]
    write_ids(processor.encode(plain, num_threads=2), os.path.join(folder, "ids.bin"))
    with open(os.path.join(folder, "texts.bin"), "wb") as out:
        for text in plain:
            write_text(text, out)
    all_ids = processor.encode(plain[:DECODED])
    write_decoded(lambda ids, _: processor.decode(ids), all_ids, os.path.join(folder, "decoded.bin"))


def key():
    digest = hashlib.sha256(f"{tokenizers.__version__} {sentencepiece.__version__}".encode())
    for path in (__file__, tokenizer_texts.__file__):
        with open(path, "rb") as source:
            digest.update(source.read())
    return digest.hexdigest()


def main():
    model_dir, out_dir = sys.argv[1:]
    stamp = os.path.join(out_dir, "stamp")
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == key():
        return
    shutil.rmtree(out_dir, ignore_errors=True)
    os.makedirs(out_dir)
    texts = list(tokenizer_texts.special_texts())
    texts += tokenizer_texts.lines(SHORT_LINES, SPECIALS, seed=20, pieces=4)
    texts += tokenizer_texts.lines(LONG_LINES, SPECIALS, seed=21)
    exhaustive = list(tokenizer_texts.every_code_point())
    with open(os.path.join(out_dir, "texts.bin"), "wb") as out:
        for text in texts + exhaustive:
            write_text(text, out)
    for name in KINDS:
        write_kind(name, model_dir, out_dir, texts, exhaustive)
    write_sentence_piece(out_dir, texts)
    with open(stamp, "w", encoding="utf-8") as out:
        out.write(key())


if __name__ == "__main__":
    main()
