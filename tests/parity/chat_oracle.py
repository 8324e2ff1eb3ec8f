"""What transformers renders and masks for many dialogues, for chat_parity_test.

usage: chat_oracle.py MODEL_DIR TEMPLATES_DIR OUT_DIR
For the model's own template and every TEMPLATES_DIR/*.jinja writes OUT_DIR/<name>/ with
  tokenizer.json, tokenizer_config.json, chat_template.jinja   a folder that the program under test can load
  renderings.jsonl   {"messages", "tools", "add_generation_prompt", "text"} with "text" null where the template refuses
  labels.jsonl       {"messages", "ids", "supervised": [0, 1, ...]} for dialogues whose answers carry loss
  weights.jsonl      the same, with answers that "weight" or "train" takes the loss off
  completions.jsonl  {"prompt", "completion", "ids", "supervised"}: lists of messages, loss on the completion's answers
"""

import datetime
import glob
import json
import os
import random
import shutil
import sys

from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

import tokenizer_texts

DIALOGUES = 350
NOW = datetime.datetime(2025, 3, 9, 12, 0, 0)
SPECIALS = ["<|im_end|>", "<think>", "</think>", "<tool_response>", "{{ x }}"]


class FixedDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def content(rng):
    if rng.random() < 0.1:
        return rng.choice(["", " ", "\n", "  padded\n", "<think>\nhm\n</think>\n\nyes", "</think>", "a\r\nb"])
    return next(tokenizer_texts.lines(1, SPECIALS, rng.random()))


def dialogue(rng):
    """Mostly a proper dialogue; sometimes one that templates refuse."""
    if rng.random() < 0.15:
        roles = [rng.choice(["system", "user", "assistant", "tool"]) for _ in range(rng.randint(1, 5))]
    else:
        roles = ["system"] if rng.random() < 0.3 else []
        roles += ["user", "assistant"] * rng.randint(0, 4)
        if rng.random() < 0.5 or not roles:
            roles.append("user")
    return [{"role": role, "content": content(rng)} for role in roles]


def thing(rng, depth=0):
    """What json.loads may give, in an order of its own."""
    kind = rng.randint(0, 8 if depth < 3 else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, -7, 2**40, 1.0, 2.5e-7, -0.1, 1e22, 123456.789])
    if kind < 6:
        return content(rng)
    if kind == 6:
        return [thing(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return {rng.choice(["z", "name", "a b", "\u00e9", "id"]): thing(rng, depth + 1) for _ in range(rng.randint(0, 3))}


def with_tools(rng, messages):
    """The dialogue with thoughts, calls of tools and their results; and the tools."""
    told = []
    for message in messages:
        if message["role"] != "assistant" or rng.random() < 0.5:
            told.append(message)
            continue
        message = dict(message)
        if rng.random() < 0.4:
            message["reasoning_content"] = content(rng)
        if rng.random() < 0.6:
            calls = [{"id": rng.choice(["abcdefghi", "short"]), "type": "function",
                      "function": {"name": "look_up", "arguments": rng.choice([thing(rng), {"x": thing(rng)}])}}
                     for _ in range(rng.randint(1, 2))]
            message["tool_calls"] = calls
            if rng.random() < 0.3:
                message["content"] = None
        told.append(message)
        if "tool_calls" in message:
            told += [{"role": "tool", "content": content(rng), "tool_call_id": call["id"]} for call in message["tool_calls"]]
    tools = [{"type": "function", "function": {"name": "look_up", "description": content(rng), "parameters": {"x": thing(rng)}}}
             for _ in range(rng.randint(0, 2))]
    return told, tools or None


def render(tokenizer, messages, prompt, tools=None):
    try:
        return tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=prompt)
    except Exception:  # what a template may raise is not one class
        return None


def write_renderings(tokenizer, path, tools_too):
    rng = random.Random(11)
    with open(path, "w", encoding="utf-8") as out:
        for i in range(DIALOGUES):
            messages, tools, prompt = dialogue(rng), None, i % 2 == 0
            if tools_too:
                messages, tools = with_tools(rng, messages)
            if not messages:
                continue
            line = {"messages": messages, "tools": tools, "add_generation_prompt": prompt,
                    "text": render(tokenizer, messages, prompt, tools)}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


def mask_by_tags(tokenizer, messages, answers):
    """Stretches of tokens that the template marks, one for each message of the assistant, of which `answers` carry loss."""
    encoded = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    turns = iter([turn for turn, message in enumerate(messages) if message["role"] == "assistant"])
    mask, turn = [], None
    for marked in encoded["assistant_masks"]:
        turn = None if not marked else turn if turn is not None else next(turns)
        mask.append(int(turn in answers))
    return encoded["input_ids"], mask


def mask_by_prefixes(tokenizer, messages, answers):
    """Tokens that begin in an answer or are its end-of-turn token."""
    text = render(tokenizer, messages, False)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    mask = [0] * len(encoded["input_ids"])
    for turn in answers:
        begin = len(render(tokenizer, messages[:turn], True))
        end = len(render(tokenizer, messages[:turn + 1], False).rstrip())
        for i, (start, _) in enumerate(encoded["offset_mapping"]):
            if begin <= start < end:
                mask[i] = 1
    return encoded["input_ids"], mask


def answered_dialogue(rng):
    roles = (["system"] if rng.random() < 0.3 else []) + ["user", "assistant"] * rng.randint(1, 3)
    # An answer that begins with white space shares its first token with the prompt; each side counts that token its own
    # way, so such answers are left to the unit tests.
    return [{"role": role, "content": content(rng).strip() or "x"} for role in roles]


def weighted(rng, messages):
    """The dialogue with marks; at least one answer carries loss."""
    carries = rng.choice([turn for turn, message in enumerate(messages) if message["role"] == "assistant"])
    marks = [{"weight": 0}, {"train": False}, {"weight": 1}, {"train": True}, {}]
    for turn, message in enumerate(messages):
        message.update(rng.choice(marks[:2] + marks[4:] if message["role"] != "assistant" else marks[2:] if turn == carries else marks))
    return messages


def carries_loss(message):
    return message["role"] == "assistant" and message.get("weight", 1) == 1 and message.get("train", True)


def write_labels(tokenizer, name, folder):
    rng = random.Random(12)
    mask = mask_by_tags if name == "generation_style" else mask_by_prefixes

    def label(record, messages, answers):
        ids, supervised = mask(tokenizer, messages[:answers[-1] + 1], answers)
        return json.dumps({**record, "ids": ids, "supervised": supervised}, ensure_ascii=False) + "\n"

    def answers_of(messages, begin=0):
        return [turn for turn in range(begin, len(messages)) if carries_loss(messages[turn])]

    with open(os.path.join(folder, "labels.jsonl"), "w", encoding="utf-8") as out:
        for _ in range(DIALOGUES):
            messages = answered_dialogue(rng)
            out.write(label({"messages": messages}, messages, answers_of(messages)))
    with open(os.path.join(folder, "weights.jsonl"), "w", encoding="utf-8") as out:
        for _ in range(DIALOGUES):
            messages = weighted(rng, answered_dialogue(rng))
            out.write(label({"messages": messages}, messages, answers_of(messages)))
    with open(os.path.join(folder, "completions.jsonl"), "w", encoding="utf-8") as out:
        for _ in range(DIALOGUES):
            messages = answered_dialogue(rng)
            cut = rng.randrange(1, len(messages))
            record = {"prompt": messages[:cut], "completion": messages[cut:]}
            out.write(label(record, messages, answers_of(messages, cut)))


def main():
    model_dir, templates_dir, out_dir = sys.argv[1:]
    chat_template_utils.datetime = FixedDatetime
    with open(os.path.join(model_dir, "tokenizer_config.json"), encoding="utf-8") as config:
        templates = {"smollm2": json.load(config)["chat_template"]}
    for path in sorted(glob.glob(os.path.join(templates_dir, "*.jinja"))):
        with open(path, encoding="utf-8", newline="") as source:
            templates[os.path.basename(path)[:-len(".jinja")]] = source.read()
    for name, template in templates.items():
        folder = os.path.join(out_dir, name)
        os.makedirs(folder, exist_ok=True)
        shutil.copy(os.path.join(model_dir, "tokenizer.json"), folder)
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as out:
            json.dump({"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}}, out)
        with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8", newline="") as out:
            out.write(template)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"),
                                            bos_token="<|im_start|>", eos_token="<|im_end|>", chat_template=template)
        write_renderings(tokenizer, os.path.join(folder, "renderings.jsonl"), "tools" in name)
        if name in ("smollm2", "generation_style"):
            write_labels(tokenizer, name, folder)


main()
