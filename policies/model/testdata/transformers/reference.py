#!/usr/bin/env python3
"""Reference logits of tiny random policies, made with transformers (5.24) and torch (2.15) on a CPU.

    python3 reference.py          # writes a directory for each policy beside this file

Each directory is what save_pretrained writes, and golden.json:

    sequences   token ids
    logits      [sequence][position][vocabulary], after each token, by the model in float32

    qwen3, qwen2, llama     float32, one file each
    llama31                 rotary angles stretched as in Llama 3.1, beyond the original context
    qwen3-bf16              stored in bfloat16 and sharded; the logits are of the stored weights, in float32
    qwen2-f16               stored in float16, untied
"""
import json
import os
import shutil

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = dict(vocab_size=48, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=128, initializer_range=0.25, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA31 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 16}
MODELS = {
    "qwen3": (Qwen3Config(**SIZE, head_dim=10, tie_word_embeddings=True), torch.float32, None),
    "qwen2": (Qwen2Config(**SIZE, tie_word_embeddings=True), torch.float32, None),
    "llama": (LlamaConfig(**SIZE, tie_word_embeddings=False, rms_norm_eps=1e-5), torch.float32, None),
    "llama31": (LlamaConfig(**SIZE, head_dim=16, tie_word_embeddings=True, rope_parameters=LLAMA31), torch.float32, None),
    "qwen3-bf16": (Qwen3Config(**SIZE, head_dim=10, tie_word_embeddings=False), torch.bfloat16, "12KB"),
    "qwen2-f16": (Qwen2Config(**SIZE, tie_word_embeddings=False), torch.float16, None),
}
CLASSES = {"qwen3": Qwen3ForCausalLM, "qwen2": Qwen2ForCausalLM, "llama": LlamaForCausalLM}


def main():
    for name, (config, dtype, shard) in MODELS.items():
        torch.manual_seed(len(name) + ord(name[-1]))
        model = CLASSES[config.model_type](config).eval()
        with torch.no_grad():
            for key, p in model.named_parameters():  # norms and biases that are not 1 and 0
                if p.dim() == 1:
                    p.add_(0.2 * torch.randn_like(p))
        model = model.to(dtype)
        path = os.path.join(HERE, name)
        shutil.rmtree(path, ignore_errors=True)
        model.save_pretrained(path, **({"max_shard_size": shard} if shard else {}))
        os.remove(os.path.join(path, "generation_config.json"))
        # Read anew, as a conversion of the model converts its rotary frequencies too.
        model = CLASSES[config.model_type].from_pretrained(path, dtype=torch.float32).eval()
        sequences = [torch.randint(config.vocab_size, (n,)).tolist() for n in (3, 40)]
        with torch.no_grad():
            logits = [[[round(z, 6) for z in row] for row in model(torch.tensor([s])).logits[0].tolist()] for s in sequences]
        with open(os.path.join(path, "golden.json"), "w") as out:
            json.dump({"sequences": sequences, "logits": logits}, out, separators=(",", ":"))
            out.write("\n")


if __name__ == "__main__":
    main()
