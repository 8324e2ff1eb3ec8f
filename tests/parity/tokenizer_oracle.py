"""What Hugging Face tokenizers makes of many texts, for tokenizer_parity_test.

usage: tokenizer_oracle.py MODEL_DIR OUT_DIR
Writes OUT_DIR/<name>/tokenizer.json and OUT_DIR/<name>/expected.jsonl, one line a text: {"text", "ids"}, with "decoded"
and "decoded_without_special" where they differ from the text.
"""

import json
import os
import shutil
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import tokenizer_texts

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# A pattern that has no scanner of its own, so that it runs in the regex engine.
OTHER = r"\p{Lu}?\p{Ll}+|\p{N}{2}|[^\s\p{L}]+"
RANDOM_LINES = 20_000


def train(pre_tokenizer, normalizer=None):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=3000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(tokenizer_texts.lines(3000, ["<|x|>"], seed=7), trainer)
    return tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def llama3_style():
    tokenizer = train(split(LLAMA3))
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>"])
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
                                      special_tokens=[("<|begin_of_text|>", begin)]),
    ])
    text = json.loads(tokenizer.to_str())
    text["model"]["ignore_merges"] = True
    # Merges as early files wrote them; the others keep pairs.
    text["model"]["merges"] = [" ".join(pair) for pair in text["model"]["merges"]]
    return json.dumps(text)


def qwen2_style():
    tokenizer = train(split(QWEN2), normalizers.NFC())
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


def other_style():
    tokenizer = train(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex(OTHER), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ]))
    tokenizer.add_special_tokens(["<|x|>"])
    return tokenizer.to_str()


SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>",
            "<tool_call>", "<tool_call>\n", "word", " word ", "sword", "[left]", " [left]  ", "  [right] \n", " [both] ", "x[both]",
            "e\u0301clair", "\u00e9clair", "<|im_", "<|im_end|", "<repo_name>"]


def write_expected(folder, texts):
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_truncation()
    with open(os.path.join(folder, "expected.jsonl"), "w", encoding="utf-8") as out:
        for start in range(0, len(texts), 1000):
            batch = texts[start:start + 1000]
            for text, encoding in zip(batch, tokenizer.encode_batch(batch, add_special_tokens=False)):
                line = {"text": text, "ids": encoding.ids}
                for key, skip in (("decoded", False), ("decoded_without_special", True)):
                    decoded = tokenizer.decode(encoding.ids, skip_special_tokens=skip)
                    if decoded != text:
                        line[key] = decoded
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


def main():
    model_dir, out_dir = sys.argv[1:]
    random_lines = list(tokenizer_texts.lines(RANDOM_LINES, SPECIALS, seed=20))
    texts = random_lines + list(tokenizer_texts.special_texts())
    exhaustive = list(tokenizer_texts.every_code_point())
    sources = {"smollm2": None, "llama3": llama3_style, "qwen2": qwen2_style, "other": other_style}
    for name, make in sources.items():
        folder = os.path.join(out_dir, name)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "tokenizer.json")
        if make is None:
            shutil.copy(os.path.join(model_dir, "tokenizer.json"), path)
        else:
            with open(path, "w", encoding="utf-8") as out:
                out.write(make())
        # llama3 has the same scanner as qwen2; other's regex engine knows an older Unicode than the reference's, which
        # counts the Kawi digit one as a number.
        own = [text.replace("\U00011F50", "7") for text in texts] if name == "other" else texts
        write_expected(folder, own + (exhaustive if name in ("smollm2", "qwen2") else []))


main()
