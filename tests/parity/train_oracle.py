"""Loss curve of Hugging Face PEFT on batches that the test wrote; the reference of train_parity_test.

usage: train_oracle.py adapter MODEL_DIR OUT_DIR    write an initial LoRA adapter to OUT_DIR
       train_oracle.py train MODEL_DIR WORK_DIR     train from WORK_DIR/{settings.json,adapter}, write WORK_DIR/curve.txt
"""

import json
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup


def load_base(model_dir):
    return AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)


def write_adapter(model_dir, out_dir):
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(load_base(model_dir), config).save_pretrained(out_dir)


def micro_loss(model, sequences):
    """Sum of the cross-entropies of the supervised tokens of one micro-batch."""
    longest = max(len(s["ids"]) for s in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    labels = torch.full((len(sequences), longest), -100)
    attention = torch.zeros(len(sequences), longest, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        length = len(sequence["ids"])
        ids[row, :length] = torch.tensor(sequence["ids"])
        attention[row, :length] = 1
        for i in range(1, length):
            if sequence["supervised"][i]:
                labels[row, i - 1] = sequence["ids"][i]
    logits = model(input_ids=ids, attention_mask=attention).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")


def train(model_dir, work_dir):
    settings = json.loads((work_dir / "settings.json").read_text())
    torch.set_num_threads(settings["threads"])
    model = PeftModel.from_pretrained(load_base(model_dir), work_dir / "adapter", is_trainable=True)
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings["learning_rate"], weight_decay=settings["weight_decay"])
    steps = settings["steps"]
    schedule = get_cosine_schedule_with_warmup(optimizer, settings["warmup_steps"], len(steps))
    with open(work_dir / "curve.txt", "w") as curve:
        for batch in steps:
            count = sum(sum(s["supervised"]) for s in batch)
            loss = 0.0
            for begin in range(0, len(batch), settings["micro_batch_size"]):
                micro = micro_loss(model, batch[begin : begin + settings["micro_batch_size"]]) / count
                micro.backward()
                loss += micro.item()
            norm = torch.nn.utils.clip_grad_norm_(parameters, settings["max_grad_norm"])
            curve.write(f"{loss:.9g} {norm.item():.9g} {schedule.get_last_lr()[0]:.9g}\n")
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()


if __name__ == "__main__":
    verb, model_dir, folder = sys.argv[1:]
    {"adapter": write_adapter, "train": train}[verb](model_dir, pathlib.Path(folder))
