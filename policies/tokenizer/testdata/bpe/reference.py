#!/usr/bin/env python3
"""Reference for the byte-level BPE, made with the `tokenizers` package (0.23).

    python3 reference.py                        # writes qwen/, llama/, odd/ and cases.jsonl beside this file
    python3 reference.py live FILE N SEED       # prints N cases of the tokenizer.json FILE, for a live comparison

The three tokenizers are trained here on the words below, with the pre-tokenizer patterns, normaliser and
settings of the model families that they are named for:

    qwen    NFC, digits one by one, merges as pairs, added tokens special and not
    llama   digits by threes, merges as strings, ignore_merges with a token that no merge leads to
    odd     NFC and added tokens with every flag: lstrip, rstrip, single_word, normalized

A case is {"text": ..., NAME: [ids], NAME + "_text": what decoding gives, where it differs from the text}.
"""
import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = ("the quick brown fox thinks step by step about 1234 apples, 56% of 7890; so that's what they've said: I'll, "
         "we're, don't!  def f(x):\n    return x + 1\n\n\\boxed{42} <|x|> answer ANSWER Answering thinking rethink "
         "caf\u00e9 na\u00efve \u4e2d\u6587\u5b57\u7b26 \u4e2d\u6587 \u0440\u0443\u0441\u0441\u043a\u0438\u0439 "
         "\ud55c\uad6d\uc5b4 \u0928\u092e\u0938\u094d\u0924\u0947 \U0001f44d\U0001f3fd ... !!! === --- \t\t  \n  \r\n")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PLAIN = ["<think>", "</think>", "<|im_"]


def build(digits, nfc):
    t = Tokenizer(models.BPE())
    if nfc:
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN % digits), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([WORDS] * 3, trainers.BpeTrainer(
        vocab_size=420, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return t


def added(t, odd):
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    t.add_tokens([AddedToken(s, special=False, normalized=False) for s in PLAIN])
    if odd:
        t.add_tokens([AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
                      AddedToken("<b>", lstrip=True, rstrip=True, normalized=False),
                      AddedToken("word", single_word=True, normalized=False), AddedToken("caf\u00e9", normalized=True)])


def edited(t, change):
    d = json.loads(t.to_str())
    change(d)
    return Tokenizer.from_str(json.dumps(d))


def saved(t, name, change):
    d = json.loads(t.to_str())
    change(d)
    os.makedirs(os.path.join(HERE, name), exist_ok=True)
    path = os.path.join(HERE, name, "tokenizer.json")
    with open(path, "w") as out:
        json.dump(d, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")
    return Tokenizer.from_file(path)


def unreachable(d):
    d["model"]["ignore_merges"] = True
    for piece in ["\u0120pith", "rethinks", "789"]:  # no merge leads here
        d["model"]["vocab"][piece] = len(d["model"]["vocab"])


def strings(d):
    d["model"]["merges"] = [a + " " + b for a, b in d["model"]["merges"]]


BITS = ["'s", "'S", "'\u017f", "'LL", "'ll", "'lL", "'re", "'Ve", "'d", "'m", "'t", "'T", "'x", "'", " ", "  ", "   ", "\n", "\r\n", "\t",
        "\n\n  ", " \n", " \r", "12345", "7", "789", "\u0663\u0664", "\u00bd", "\u2167", "x\u00b2", "\u00e9", "e\u0301", "\ufb01", "\u4e2d\u6587",
        "\u65e5\u672c\u8a9e", "\ud55c\uad6d\uc5b4", "\uac01", "\u1100", "\u1161", "\u11a8", "\U0001f44d\U0001f3fd",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u200d", "\u0301\u0323", "\u0323\u0301", "\u0345\u0898", "\u00a0", "\u3000", "\u2028", "\u0085",
        "\u200b", "\ufeff", "\x00", "\x1c", "\x7f", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e44\u0e17\u0e22", "\u2126", "\u212b", "\u01c4", "\u00df",
        "\u0130", "\U0001d4b3", "\U0001d7d8", "\U00010348", "\U00010d4a", "\U00010d40", "\U00013464", "<", "<|", "<|im", "|>", "<think", "\u0344", "\u0958",
        "\u09be", "\u09c7", "\u1e9b\u0323", "the", "th", "ing", "Answer", "def ", "return", "{}();", "==", "!!!", "...", "\"", "http://", "rethinks",
        " pith", "step", "\\boxed{", "aaaaaaa", "  \u00a0 x", "<l>", "<r>", "<b>", "word", "swordy", "word1", "caf\u00e9", "cafe\u0301", "cafe"]
RANGES = [(0x20, 0x3000), (0x300, 0x370), (0x900, 0xe00), (0xac00, 0xd7a4), (0x1100, 0x1200), (0xe000, 0x20000), (0x1ab0, 0x1b00)]


def text(rng, tokens):
    k = rng.random()
    if k < .35:
        return "".join(rng.choice(BITS) for _ in range(rng.randrange(1, 9)))
    if k < .5:
        return "".join(chr(rng.randrange(128)) for _ in range(rng.randrange(1, 25)))
    if k < .62:
        return "".join(chr(rng.choice([c for c in [rng.randrange(*rng.choice(RANGES))] if not 0xd800 <= c < 0xe000] or [65]))
                       for _ in range(rng.randrange(1, 12)))
    if k < .8:
        return "".join(rng.choice(BITS + tokens * 4) for _ in range(rng.randrange(1, 8)))
    if k < .86:
        return rng.choice(BITS) * rng.randrange(1, 40)
    return "".join(rng.choice("   \n\r\t\u00a0ab1!") for _ in range(rng.randrange(1, 20)))


def main():
    tokenizers = {}
    for name, digits, nfc in (("qwen", "", True), ("llama", "{1,3}", False), ("odd", "", True)):
        t = build(digits, nfc)
        if name == "llama":
            t = edited(t, unreachable)
        added(t, name == "odd")
        tokenizers[name] = saved(t, name, strings if name == "llama" else lambda d: None)
    rng = random.Random("pith")
    texts = ["", "a", " ", WORDS, "x" * 70 + "the" * 30, "e" + "\u0301" * 40, "\u0323" * 35 + "\u0301"]
    texts += ["'%s " % c for c in "sStTmMdDrRvVlLeE\u017f\u212a"]
    texts += [text(rng, SPECIAL + PLAIN) for _ in range(2400)]
    with open(os.path.join(HERE, "cases.jsonl"), "w") as out:
        for s in texts:
            case = {"text": s}
            for name, t in tokenizers.items():
                case[name] = t.encode(s, add_special_tokens=False).ids
                # An added token with a letter beyond ASCII goes through the byte table, as if it were a token of
                # the vocabulary, and comes out broken; we decode it to its text.
                back = t.decode(case[name], skip_special_tokens=False).replace("caf\ufffd", "caf\u00e9")
                if back != s:
                    case[name + "_text"] = back
            out.write(json.dumps(case, separators=(",", ":")) + "\n")


def live(path, n, seed):
    t = Tokenizer.from_file(path)
    rng = random.Random(seed)
    tokens = [a.content for a in t.get_added_tokens_decoder().values()]
    texts = [text(rng, tokens) for _ in range(n)]
    for c in range(rng.randrange(16), 0x110000, 16):
        if not 0xd800 <= c < 0xe000:
            c = chr(c)
            texts.append("a%sa %s%s1'%s" % (c, c, c, c))
    for s, e in zip(texts, t.encode_batch(texts, add_special_tokens=False)):
        print(json.dumps({"text": s, "ids": e.ids, "back": t.decode(e.ids, skip_special_tokens=False)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["live"]:
        live(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main()
