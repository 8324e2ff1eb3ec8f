"""What transformers and PEFT compute, for the model's parity tests.

  small OUT CASE                 a random model, an adapter, and everything that follows from them
  reference MODEL IDS OUT [ADAPTER]   log-probabilities and greedy continuations of a model folder
"""
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

CASES = {
    "grouped": dict(num_attention_heads=4, num_key_value_heads=2, head_dim=16, hidden_size=64),
    "tied_with_biases": dict(num_attention_heads=3, num_key_value_heads=3, head_dim=16, hidden_size=48,
                             tie_word_embeddings=True, attention_bias=True, mlp_bias=True),
    "wide_heads": dict(num_attention_heads=4, num_key_value_heads=1, head_dim=32, hidden_size=64, rope_theta=1e5),
}


def small_model(case):
    torch.manual_seed(7)
    config = LlamaConfig(vocab_size=301, intermediate_size=112, num_hidden_layers=3, max_position_embeddings=512,
                         rms_norm_eps=1e-5, eos_token_id=2, bos_token_id=1, pad_token_id=0, **CASES[case])
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(1.0, 0.1) if "norm" in name else weight.normal_(0.0, 0.15)
    return model


def batch(vocab):
    ids = torch.randint(3, vocab, (2, 150))
    targets = torch.full_like(ids, -100)
    targets[:, :-1] = ids[:, 1:]
    targets[0, :40] = -100
    targets[1, 90:] = -100
    return ids, targets


def loss_sum(logits, targets):
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum")


def gradients(model, ids, targets, results, prefix):
    model.zero_grad()
    loss = loss_sum(model(ids).logits, targets)
    loss.backward()
    results[prefix + "loss"] = loss.detach().reshape(1)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            results[prefix + "grad." + name.replace(".default.", ".")] = parameter.grad.clone()


def small(out, case):
    model = small_model(case)
    model.save_pretrained(out)
    ids, targets = batch(model.config.vocab_size)
    results = {"ids": ids, "targets": targets, "logits": model(ids).logits.detach().float()}
    gradients(model, ids, targets, results, "full.")
    lora = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM")
    peft = get_peft_model(model, lora)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(0.0, 0.1)
    peft.save_pretrained(out + "/adapter")
    gradients(peft, ids, targets, results, "lora.")
    save_file({name: value.contiguous() for name, value in results.items()}, out + "/expected.safetensors")


def reference(model_dir, ids_path, out, adapter=None):
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    if adapter:
        model = PeftModel.from_pretrained(model, adapter).eval()
    inputs = load_file(ids_path)
    ids = inputs["ids"]
    with torch.no_grad():
        results = {}
        for row, count in enumerate(inputs["lengths"].tolist()):
            prompt = ids[row:row + 1, :count]
            tokens = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
                                    max_new_tokens=24, pad_token_id=0)
            results[f"greedy.{row}"] = tokens[0, count:].contiguous()
        # In fp64, beside how far transformers' own fp32 is from it: that depends on the processor.
        rounded = torch.log_softmax(model(ids).logits.double(), -1)
        exact = torch.log_softmax(model.double()(ids).logits, -1)
        results["logprobs"] = exact.float()
        for row, count in enumerate(inputs["lengths"].tolist()):
            results[f"rounding.{row}"] = (rounded - exact)[row, :count].abs().max().float().view(1)
    save_file(results, out)


if __name__ == "__main__":
    torch.set_num_threads(2)
    {"small": small, "reference": reference}[sys.argv[1]](*sys.argv[2:])
