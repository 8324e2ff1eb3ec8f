"""The same training steps with Hugging Face PEFT: one JSON line at the start, then one for each line on stdin."""
import argparse
import json
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

SHAPES = {
    "smollm2-135m": dict(num_hidden_layers=30, hidden_size=576, intermediate_size=1536, num_attention_heads=9,
                         num_key_value_heads=3, vocab_size=49152, tie_word_embeddings=True, rope_theta=1e5),
    "llama3-8b": dict(num_hidden_layers=32, hidden_size=4096, intermediate_size=14336, num_attention_heads=32,
                      num_key_value_heads=8, vocab_size=128256, rope_theta=5e5),
}


def load(args):
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[args.dtype]
    if args.model:
        return AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype).to(args.device)
    shape = SHAPES[args.shape] | ({"num_hidden_layers": args.layers} if args.layers else {})
    torch.set_default_dtype(dtype)
    with torch.device(args.device):
        model = LlamaForCausalLM(LlamaConfig(**shape))
    torch.set_default_dtype(torch.float32)
    return model


def bench_ids(args, vocab):
    state, ids = 12345, []
    for _ in range(args.batch * args.sequence):
        state = (1103515245 * state + 12345) % 2**31
        ids.append(state // 8 % vocab)
    return torch.tensor(ids).view(args.batch, args.sequence)


def bench_labels(args, ids):
    labels = torch.full_like(ids, -100)
    count = min(args.sequence - 1, round(args.supervised * args.sequence))
    labels[:, args.sequence - count:] = ids[:, args.sequence - count:]
    return labels


def take_peak_bytes(device):
    if device != "cpu":
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return peak
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
    return peak * 1024


def step(model, optimizer, ids, labels, device):
    take_peak_bytes(device)
    begin = time.perf_counter()
    loss = model(input_ids=ids, labels=labels).loss
    value = loss.item()
    forward = time.perf_counter()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if device != "cpu":
        torch.cuda.synchronize()
    end = time.perf_counter()
    return dict(seconds=end - begin, forward_seconds=forward - begin, loss=value, peak_bytes=take_peak_bytes(device))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--shape", choices=SHAPES)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=256)
    parser.add_argument("--supervised", type=float, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load(args)
    model.config.use_cache = False
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    ids = bench_ids(args, model.config.vocab_size)
    labels = bench_labels(args, ids).to(args.device)
    ids = ids.to(args.device)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-4, weight_decay=0, fused=True)
    print(json.dumps(dict(tokens=ids.numel(), supervised_tokens=int((labels[:, 1:] != -100).sum()))), flush=True)
    for _ in sys.stdin:
        print(json.dumps(step(model, optimizer, ids, labels, args.device)), flush=True)


if __name__ == "__main__":
    main()
