#!/usr/bin/env python3
"""Reference for tiny policies of each architecture, in float64, with the standard library only.

    python3 reference.py          # writes llama/, qwen2/ and qwen3/ beside this file

Each directory gets config.json and model.safetensors, written here and not by the code under
test, and golden.json:

    sequences   token ids
    logits      [sequence][position][vocabulary], after each token
    logprobs    [sequence][position], of the token given those before it; null for the first
    loss        mean of -logprobs over all tokens but the first of each sequence

The computation follows the modelling files of transformers for these families: RMSNorm before
each block, grouped-query attention with rotate-half RoPE, q/k norm (Qwen3) or q/k/v biases
(Qwen2), SwiGLU. Nothing is shared with the Go code.
"""
import json
import math
import os
import random
import struct

HERE = os.path.dirname(os.path.abspath(__file__))

CONFIGS = {
    "llama": dict(model_type="llama", architectures=["LlamaForCausalLM"], vocab_size=23, hidden_size=16, intermediate_size=24,
                  num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=6, rms_norm_eps=1e-5,
                  rope_theta=1000.0, tie_word_embeddings=False, attention_bias=False, mlp_bias=False),
    "qwen2": dict(model_type="qwen2", architectures=["Qwen2ForCausalLM"], vocab_size=19, hidden_size=16, intermediate_size=20,
                  num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, rms_norm_eps=1e-6,
                  rope_theta=1000000.0, tie_word_embeddings=True, use_sliding_window=False),
    "qwen3": dict(model_type="qwen3", architectures=["Qwen3ForCausalLM"], vocab_size=21, hidden_size=12, intermediate_size=28,
                  num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, head_dim=8, rms_norm_eps=1e-6,
                  rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, tie_word_embeddings=True, attention_bias=False),
}
COMMON = dict(hidden_act="silu", max_position_embeddings=64, bos_token_id=1, eos_token_id=[2, 3], pad_token_id=0, torch_dtype="float32")


def float32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def tensors(c, rng):
    """Random weights, rounded to float32, by name: (shape, flat list)."""
    h, f, v = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    nh, nkv = c["num_attention_heads"], c["num_key_value_heads"]
    d = c.get("head_dim", h // nh)
    out = {}

    def add(name, shape, mean, sd):
        n = math.prod(shape)
        out[name] = (shape, [float32(rng.gauss(mean, sd)) for _ in range(n)])

    add("model.embed_tokens.weight", [v, h], 0, 0.7)
    for i in range(c["num_hidden_layers"]):
        p = "model.layers.%d." % i
        add(p + "input_layernorm.weight", [h], 1, 0.2)
        for name, rows in (("q", nh * d), ("k", nkv * d), ("v", nkv * d)):
            add(p + "self_attn.%s_proj.weight" % name, [rows, h], 0, 1.2 / math.sqrt(h))
            if c["model_type"] == "qwen2":
                add(p + "self_attn.%s_proj.bias" % name, [rows], 0, 0.5)
        if c["model_type"] == "qwen3":
            add(p + "self_attn.q_norm.weight", [d], 1.3, 0.2)
            add(p + "self_attn.k_norm.weight", [d], 1.3, 0.2)
        add(p + "self_attn.o_proj.weight", [h, nh * d], 0, 1 / math.sqrt(h))
        add(p + "post_attention_layernorm.weight", [h], 1, 0.2)
        add(p + "mlp.gate_proj.weight", [f, h], 0, 1.2 / math.sqrt(h))
        add(p + "mlp.up_proj.weight", [f, h], 0, 1.2 / math.sqrt(h))
        add(p + "mlp.down_proj.weight", [h, f], 0, 1 / math.sqrt(f))
    add("model.norm.weight", [h], 1, 0.2)
    if not c["tie_word_embeddings"]:
        add("lm_head.weight", [v, h], 0, 0.7)
    return out


def write_safetensors(path, ts):
    # Sorted by name, as other writers do: not the order in which the reader wants them.
    header, at = {"__metadata__": {"format": "pt"}}, 0
    names = sorted(ts)
    for name in names:
        shape, data = ts[name]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * len(data)]}
        at += 4 * len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            data = ts[name][1]
            out.write(struct.pack("<%df" % len(data), *data))


def matvec(t, x, bias=None):
    (rows, cols), w = t
    y = [math.fsum(w[r * cols + i] * x[i] for i in range(cols)) for r in range(rows)]
    return y if bias is None else [a + b for a, b in zip(y, bias[1])]


def rmsnorm(x, t, eps):
    r = 1 / math.sqrt(math.fsum(a * a for a in x) / len(x) + eps)
    return [a * r * w for a, w in zip(x, t[1])]


def rope(x, pos, theta):
    d = len(x)
    half = d // 2
    out = [0.0] * d
    for j in range(half):
        a = pos * theta ** (-2 * j / d)
        cos, sin = math.cos(a), math.sin(a)
        out[j] = x[j] * cos - x[j + half] * sin
        out[j + half] = x[j + half] * cos + x[j] * sin
    return out


def softmax(z):
    m = max(z)
    e = [math.exp(a - m) for a in z]
    s = math.fsum(e)
    return [a / s for a in e]


def forward(c, ts, tokens):
    h = c["hidden_size"]
    nh, nkv = c["num_attention_heads"], c["num_key_value_heads"]
    d = c.get("head_dim", h // nh)
    eps = c["rms_norm_eps"]
    theta = c.get("rope_theta") or c["rope_parameters"]["rope_theta"]
    embed = ts["model.embed_tokens.weight"]
    xs = [embed[1][t * h:(t + 1) * h] for t in tokens]
    for i in range(c["num_hidden_layers"]):
        p = "model.layers.%d." % i
        qs, ks, vs = [], [], []
        for pos, x in enumerate(xs):
            n = rmsnorm(x, ts[p + "input_layernorm.weight"], eps)
            q, k, v = (matvec(ts[p + "self_attn.%s_proj.weight" % m], n, ts.get(p + "self_attn.%s_proj.bias" % m)) for m in "qkv")
            heads = lambda y: [y[a:a + d] for a in range(0, len(y), d)]
            q, k, v = heads(q), heads(k), heads(v)
            if p + "self_attn.q_norm.weight" in ts:
                q = [rmsnorm(a, ts[p + "self_attn.q_norm.weight"], eps) for a in q]
                k = [rmsnorm(a, ts[p + "self_attn.k_norm.weight"], eps) for a in k]
            qs.append([rope(a, pos, theta) for a in q])
            ks.append([rope(a, pos, theta) for a in k])
            vs.append(v)
        for pos in range(len(xs)):
            out = []
            for a in range(nh):
                g = a // (nh // nkv)
                w = softmax([math.fsum(qs[pos][a][e] * ks[t][g][e] for e in range(d)) / math.sqrt(d) for t in range(pos + 1)])
                out += [math.fsum(w[t] * vs[t][g][e] for t in range(pos + 1)) for e in range(d)]
            xs[pos] = [a + b for a, b in zip(xs[pos], matvec(ts[p + "self_attn.o_proj.weight"], out))]
        for pos, x in enumerate(xs):
            n = rmsnorm(x, ts[p + "post_attention_layernorm.weight"], eps)
            gate, up = matvec(ts[p + "mlp.gate_proj.weight"], n), matvec(ts[p + "mlp.up_proj.weight"], n)
            act = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)]
            xs[pos] = [a + b for a, b in zip(x, matvec(ts[p + "mlp.down_proj.weight"], act))]
    head = ts.get("lm_head.weight", embed)
    return [matvec(head, rmsnorm(x, ts["model.norm.weight"], eps)) for x in xs]


def main():
    for name, own in CONFIGS.items():
        c = {**own, **COMMON}
        rng = random.Random("pith " + name)
        ts = tensors(c, rng)
        sequences = [[rng.randrange(c["vocab_size"]) for _ in range(n)] for n in (9, 2, 21, 40)]
        logits = [forward(c, ts, s) for s in sequences]
        logprobs, loss, count = [], 0.0, 0
        for s, rows in zip(sequences, logits):
            line = [None]
            for i in range(1, len(s)):
                line.append(math.log(softmax(rows[i - 1])[s[i]]))
                loss, count = loss - line[i], count + 1
            logprobs.append(line)
        os.makedirs(os.path.join(HERE, name), exist_ok=True)
        with open(os.path.join(HERE, name, "config.json"), "w") as out:
            json.dump(c, out, indent=1)
            out.write("\n")
        write_safetensors(os.path.join(HERE, name, "model.safetensors"), ts)
        with open(os.path.join(HERE, name, "golden.json"), "w") as out:
            json.dump({"sequences": sequences, "loss": loss / count, "logprobs": logprobs, "logits": logits}, out)
            out.write("\n")
        print(name, sum(len(d) for _, d in ts.values()), "parameters, loss", loss / count)


if __name__ == "__main__":
    main()
