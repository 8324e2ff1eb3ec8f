"""What transformers and PEFT compute, for the model's parity tests.

  small OUT [CASE ...]           a random model of each case (all of those below) in OUT/<case>, an adapter, and what
                                 follows from them
  reference MODEL IDS OUT [ADAPTER]   log-probabilities and greedy continuations of a model folder
"""
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Phi3Config,
                          Qwen2Config, Qwen3Config, SmolLM3Config)

from adamw_curve import adamw, curve

WINDOW = 24  # far shorter than the sequences
GROUPED = dict(num_attention_heads=4, num_key_value_heads=2, hidden_size=64)
LLAMA3 = dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LONGROPE = dict(rope_type="longrope", short_factor=[1.0 + 0.1 * i for i in range(6)],
                long_factor=[1.5 + i for i in range(6)])
# Beside what small_model sets for all of them.
CASES = {
    "grouped": (LlamaConfig, dict(GROUPED, head_dim=16)),
    "tied_with_biases": (LlamaConfig, dict(num_attention_heads=3, num_key_value_heads=3, head_dim=16, hidden_size=48,
                                           tie_word_embeddings=True, attention_bias=True, mlp_bias=True)),
    "wide_heads": (LlamaConfig, dict(num_attention_heads=4, num_key_value_heads=1, head_dim=32, hidden_size=64,
                                     rope_parameters=dict(rope_type="default", rope_theta=1e5))),
    "llama3": (LlamaConfig, dict(GROUPED, rope_parameters=LLAMA3, pretraining_tp=1)),
    "llama_linear": (LlamaConfig, dict(GROUPED, rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=4.0))),
    "mistral": (MistralConfig, dict(GROUPED, head_dim=24, sliding_window=WINDOW)),
    "qwen2": (Qwen2Config, dict(GROUPED, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1)),
    "qwen3": (Qwen3Config, dict(GROUPED, head_dim=24, attention_bias=True, tie_word_embeddings=True)),
    "smollm3": (SmolLM3Config, dict(GROUPED, no_rope_layers=[1, 0, 1], use_sliding_window=True, sliding_window=WINDOW)),
    "gemma2": (Gemma2Config, dict(GROUPED, head_dim=24, sliding_window=WINDOW, query_pre_attn_scalar=20,
                                  attn_logit_softcapping=3.0, final_logit_softcapping=4.0)),
    "gemma3": (Gemma3TextConfig, dict(GROUPED, head_dim=24, sliding_window=WINDOW, query_pre_attn_scalar=20,
                                      layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    # Of fewer than 20 modules PEFT lists every path.
    "phi3": (Phi3Config, dict(GROUPED, num_hidden_layers=5, sliding_window=WINDOW,
                              rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.75))),
    "phi3_longrope": (Phi3Config, dict(GROUPED, num_hidden_layers=5, original_max_position_embeddings=64,
                                       rope_parameters=dict(LONGROPE, rope_theta=1e4, partial_rotary_factor=0.75))),
}


def small_model(case):
    torch.manual_seed(7)
    config_class, fields = CASES[case]
    common = dict(vocab_size=301, intermediate_size=112, num_hidden_layers=3, max_position_embeddings=512,
                  rms_norm_eps=1e-5, eos_token_id=None, bos_token_id=1, pad_token_id=0)
    config = config_class(**(common | fields))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    one = 0.0 if case.startswith("gemma") else 1.0
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(one, 0.1) if "norm" in name else weight.normal_(0.0, 0.15)
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
            results[prefix + "grad." + name.replace(".default.", ".")] = parameter.grad.float()


def with_adapter(model):
    lora = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM")
    peft = get_peft_model(model, lora)
    torch.manual_seed(8)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(0.0, 0.1)
    return peft


def small_case(out, case):
    model = small_model(case)
    model.save_pretrained(out)
    ids, targets = batch(model.config.vocab_size)
    with torch.no_grad():
        tokens = model.generate(input_ids=ids[:1, :70], attention_mask=torch.ones(1, 70, dtype=torch.long),
                                do_sample=False, max_new_tokens=20)
        results = {"ids": ids, "targets": targets, "logits": model(ids).logits.float(), "greedy": tokens[0, 70:]}
    gradients(model, ids, targets, results, "full.")
    adapted = with_adapter(model)
    adapted.save_pretrained(out + "/adapter")
    gradients(adapted, ids, targets, results, "lora.")
    trained, count = small_model(case), (targets != -100).sum()
    results["curve"] = curve(adamw(trained), lambda: loss_sum(trained(ids).logits, targets) / count)
    rounded = small_model(case).to(torch.bfloat16)
    with torch.no_grad():
        results["bf16.logits"] = rounded(ids).logits.float()
    gradients(with_adapter(rounded), ids, targets, results, "bf16.")
    save_file({name: value.contiguous() for name, value in results.items()}, out + "/expected.safetensors")


def small(out, *cases):
    for case in cases or CASES:
        small_case(f"{out}/{case}", case)


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
