"""What PEFT, transformers and bitsandbytes make of folders that methods_parity_test.cc wrote.

usage: methods_oracle.py WORK_DIR

WORK_DIR/cases.json lists what to do: {"name", "base": "model" or "nf4" or "merged", "learning_rate_ratio", ...}.
A case's adapter is in WORK_DIR/<name>, the model in WORK_DIR/model; WORK_DIR/batch.safetensors has ids and labels
(labels as transformers shifts them). Results go to WORK_DIR/expected.safetensors.
"""

import json
import os
import pathlib
import sys

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # bitsandbytes would compile small functions for longer than they run

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from peft import PeftModel
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from adamw_curve import LEARNING_RATE, WEIGHT_DECAY, adamw, curve


def load_base(folder, nf4=None):
    quantization = None
    if nf4:
        quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                          bnb_4bit_use_double_quant=nf4["double_quant"],
                                          bnb_4bit_compute_dtype=torch.float32)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=quantization,
                                                device_map="cpu").eval()


def loss_sum(model, batch):
    logits = model(input_ids=batch["ids"]).logits.float()
    logits = logits[:, -batch["ids"].shape[1]:]  # without virtual tokens
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(),
                                             reduction="sum")


def name_in_file(name):
    """A parameter's name as PEFT writes it to adapter_model.safetensors."""
    if name.startswith("prompt_encoder."):
        return "prompt_embeddings"
    name = name.replace(".modules_to_save.default", "").replace(".default", "")
    return name.removesuffix(".weight") if "magnitude" in name else name


def optimizer_of(model, ratio):
    if ratio == 1:
        return adamw(model)
    return create_loraplus_optimizer(model, torch.optim.AdamW, lr=LEARNING_RATE, loraplus_lr_ratio=ratio,
                                     loraplus_weight_decay=WEIGHT_DECAY)


def train(model, batch, ratio):
    """Losses of some steps on one batch; the gradients are those of the mean over supervised tokens."""
    count = (batch["labels"][:, 1:] != -100).sum()
    return curve(optimizer_of(model, ratio), lambda: loss_sum(model, batch) / count)


def adapter_case(work, case, batch):
    base = load_base(work / "model", case.get("nf4"))
    prompt = "prompt" in case["name"]  # PEFT loads prompts as frozen only
    model = PeftModel.from_pretrained(base, work / case["name"], is_trainable=not prompt)
    if prompt:
        model.prompt_encoder.requires_grad_(True)
    # In training mode, in which nothing is random here: in the other one bitsandbytes may compute in bf16.
    model.train()
    results = {}
    with torch.no_grad():
        results["logits"] = model(input_ids=batch["ids"]).logits.float()[:, -batch["ids"].shape[1]:]
    loss = loss_sum(model, batch)
    loss.backward()
    results["loss"] = loss.detach()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            results["grad." + name_in_file(name)] = parameter.grad.clone()
    model.zero_grad()
    results["curve"] = train(model, batch, case["learning_rate_ratio"])
    return results


def greedy(model, ids, count):
    return model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count,
                          pad_token_id=0, eos_token_id=None)[:, ids.shape[1]:]


def merged_case(work, case, batch):
    """A model folder that we merged, and PEFT's answers before merging."""
    merged = load_base(work / case["name"])
    with torch.no_grad():
        results = {"logits": merged(input_ids=batch["ids"]).logits.float(), "greedy": greedy(merged, batch["ids"], 12)}
        if "adapter" in case:
            peft = PeftModel.from_pretrained(load_base(work / "model"), work / case["adapter"]).eval()
            results["peft_greedy"] = greedy(peft, batch["ids"], 12)
    return results


def full_case(work, case, batch):
    return {"curve": full_bf16_curve(work, batch) if case["dtype"] == "bf16" else train(load_base(work / "model"), batch, 1)}


def full_bf16_curve(work, batch):
    """bf16 weights and activations, fp32 masters: what is trained is fp32, what computes is a rounded copy of it."""
    model = AutoModelForCausalLM.from_pretrained(work / "model", dtype=torch.bfloat16).eval()
    masters = {name: torch.nn.Parameter(value.float()) for name, value in load_base(work / "model").named_parameters()}

    class Rounded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.masters = torch.nn.ParameterList(masters.values())

        def forward(self, input_ids):
            rounded = {name: value.bfloat16() for name, value in masters.items()}
            return torch.func.functional_call(model, rounded, kwargs={"input_ids": input_ids})

    return train(Rounded(), batch, 1)


def nf4_results(tensors, settings):
    results = {}
    for name, tensor in tensors.items():
        for setting in settings:
            codes, state = quantize_4bit(tensor, blocksize=setting["block_size"], quant_type="nf4",
                                         compress_statistics=setting["double_quant"])
            prefix = f"nf4.{name}.{setting['block_size']}.{'nested' if setting['double_quant'] else 'plain'}."
            results[prefix + "codes"] = codes.flatten()
            results[prefix + "absmax"] = state.absmax
            if setting["double_quant"]:
                results[prefix + "nested_absmax"] = state.state2.absmax
                results[prefix + "offset"] = state.offset
            results[prefix + "values"] = dequantize_4bit(codes, state)
            state.dtype = torch.bfloat16
            results[prefix + "bf16_values"] = dequantize_4bit(codes, state)
    return results


def main(work):
    todo = json.loads((work / "cases.json").read_text())
    batch = load_file(work / "batch.safetensors")
    results = nf4_results(load_file(work / "nf4_input.safetensors"), todo["nf4_settings"])
    kinds = {"adapter": adapter_case, "merged": merged_case, "full": full_case}
    for case in todo["cases"]:
        for key, value in kinds[case["kind"]](work, case, batch).items():
            results[f"{case['name']}.{key}"] = value
    save_file({name: value.detach().contiguous().reshape(value.shape or (1,)).clone() for name, value in results.items()},
              work / "expected.safetensors")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main(pathlib.Path(sys.argv[1]))
