#!/usr/bin/env python3
"""Reference renderings of chat templates, by the Jinja environment of transformers (5.24).

    python3 reference.py TEMPLATES     # writes cases.jsonl beside this file

TEMPLATES holds the models' own Jinja texts: qwen3.jinja, qwen2.5.jinja, llama3.jinja, llama3-open.jinja, llama3.1.jinja,
llama3.2.jinja. Those of Qwen 2 and plain ChatML are below.

A line is {"template", "hash": SHA-256 of its text, "messages", "tools", "generation_prompt", "no_thinking", "date", "text"};
text is null where the template raises an error.
"""
import hashlib
import json
import os
import random
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = os.path.dirname(os.path.abspath(__file__))
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
QWEN2 = CHATML.replace("{{'<|im_start|>' + message", "{% if loop.first and messages[0]['role'] != 'system' %}"
                       "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message")
NAMES = ["qwen3", "qwen2.5", "llama3", "llama3-open", "llama3.1", "llama3.2"]
CONTENTS = ["", "What is 2+2?", "  padded \n", "\n\nlines\n\n", "\u00e9\u4e2d\u6587 \U0001f44d", "<think>\nhm\n</think>\n\nfour", "<think></think>4",
            "no start</think>\n\nx", "<think>a</think>b</think>\nc", "<think>\n\n<think>deep\n\n</think>", "<tool_response>x</tool_response>",
            "<tool_response>x", "\x1c\u00a0odd\u3000\x1f", "\u200bzero", "{\"a\": \"<b>&'\"}", "tab\tquote\"\\", "<|im_end|>", "\u2028"]
TOOLS = ["""{"type": "function", "function": {"name": "add", "description": "Adds <two> & 'more'", "parameters": {"type": "object", "properties": {"a": {"type": "number", "default": 1.50}}, "required": ["a"], "empty": {}, "none": []}}}""",
         """{"name":"\u00e9\\u00e8","x":[1,-0,2.0,1e5,1e16,1.5e-7,0.0001,-0.0,12345678901234567890,true,false,null,"\\u0001\\b\\f\\n\\r\\t\\"\\\\\\/\\u007f"],"y":[[],[{}],[[1]]]}"""]
ARGUMENTS = ["{}", """{"a": 1, "b": [1.0, 2.50, "x\\n"], "c": {"d": null}}""", """{"expression":"2+2"}""", "\"{\\\"raw\\\": 1}\""]


def conversation(rng, tools):
    n = rng.randrange(1, 7)
    messages = []
    if rng.random() < .5:
        messages.append({"role": "system", "content": rng.choice(CONTENTS)})
    while len(messages) < n:
        k = rng.random()
        m = {"role": rng.choice(["user", "assistant"]), "content": rng.choice(CONTENTS)}
        if tools and k < .4:
            m["role"] = rng.choice(["tool", "assistant"])
        if m["role"] == "assistant":
            if rng.random() < .3:
                m["reasoning_content"] = rng.choice(["because", "\n\nso\n", "<think>"])
            if tools and rng.random() < .6:
                m["tool_calls"] = [{"type": "function", "function": {"name": rng.choice(["add", "\u00e9"]), "arguments": rng.choice(ARGUMENTS)}}
                                   for _ in range(rng.choice([1, 1, 1, 2]))]
        elif rng.random() < .05:
            m["role"] = "system"
        messages.append(m)
    return messages


def parsed(messages):
    out = json.loads(json.dumps(messages))
    for m in out:
        for c in m.get("tool_calls", []):
            c["function"]["arguments"] = json.loads(c["function"]["arguments"])
    return out


def main():
    templates = {"qwen2": QWEN2, "chatml": CHATML}
    for name in NAMES:
        with open(os.path.join(sys.argv[1], name + ".jinja")) as f:
            templates[name] = f.read()
    rng = random.Random("pith")
    with open(os.path.join(HERE, "cases.jsonl"), "w") as out:
        for name, text in templates.items():
            template = _compile_jinja_template(text)
            able = name in ("qwen3", "qwen2.5", "llama3.1", "llama3.2")
            for i in range(110 if able else 60):
                tools = rng.sample(TOOLS, rng.randrange(3)) if able and rng.random() < .5 else []
                case = {"template": name, "hash": hashlib.sha256(text.removesuffix("\n").encode()).hexdigest(),
                        "messages": conversation(rng, able and rng.random() < .6), "tools": tools, "generation_prompt": rng.random() < .5,
                        "no_thinking": rng.random() < .3, "date": rng.choice(["26 Jul 2024", "01 Dec 2025"])}
                more = {"enable_thinking": False} if case["no_thinking"] else {}
                try:
                    case["text"] = template.render(
                        messages=parsed(case["messages"]), tools=[json.loads(t) for t in tools] or None, documents=None,
                        add_generation_prompt=case["generation_prompt"], bos_token="<|begin_of_text|>", eos_token="<|eot_id|>",
                        date_string=case["date"], **more)
                except Exception:
                    case["text"] = None
                out.write(json.dumps(case, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
