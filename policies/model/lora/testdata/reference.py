#!/usr/bin/env python3
"""Reference adapters, made and merged by PEFT (0.21) on the policies of ../../testdata/transformers.

    python3 reference.py                    # writes a directory for each adapter beside this file
    python3 reference.py merge BASE DIR OUT # merges the adapter DIR into BASE and saves OUT, for a live comparison

Each directory is what save_pretrained wrote, and merged.safetensors: the weights of merge_and_unload.

    qwen3     every projection, rank 3, alpha 6
    llama     rank-stabilised, with rank_pattern, alpha_pattern and an adapted lm_head
"""
import os
import shutil
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
BASES = os.path.join(HERE, "..", "..", "testdata", "transformers")
ADAPTERS = {
    "qwen3": LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
                        task_type="CAUSAL_LM"),
    "llama": LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "down_proj", "lm_head"], task_type="CAUSAL_LM",
                        rank_pattern={"down_proj": 2}, alpha_pattern={"layers.1.self_attn.q_proj": 3}),
}


def main():
    for name, config in ADAPTERS.items():
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_pretrained(os.path.join(BASES, name), dtype=torch.float32)
        config.base_model_name_or_path = name
        model = get_peft_model(model, config)
        with torch.no_grad():
            for key, p in model.named_parameters():
                if "lora_" in key:
                    p.copy_(0.3 * torch.randn_like(p))
        path = os.path.join(HERE, name)
        shutil.rmtree(path, ignore_errors=True)
        model.peft_config["default"].base_model_name_or_path = name
        model.save_pretrained(path)
        os.remove(os.path.join(path, "README.md"))
        merged = model.merge_and_unload()
        save_file({k: v.contiguous() for k, v in merged.state_dict().items() if not (k == "lm_head.weight" and merged.config.tie_word_embeddings)},
                  os.path.join(path, "merged.safetensors"), metadata={"format": "pt"})


def merge(base, adapter, out):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(out)


if __name__ == "__main__":
    if sys.argv[1:2] == ["merge"]:
        merge(*sys.argv[2:5])
    else:
        main()
