// Package gguf writes policies as GGUF version 3, the file format of llama.cpp, and reads such files
// back. (Format: ggml-org/ggml, docs/gguf.md.)
//
// What lives here: [Write] and [Save] for whole policies with their tokenizer, and [Open], a reader that
// checks a file before it trusts it. What does not: quantised tensor types, which llama.cpp's own
// tools make from what is written here.
//
// # What llama.cpp makes of the tokenizer
//
// A byte-level BPE becomes llama.cpp's BPE ("gpt2") with the pre-tokenizer "qwen2" or "llama-bpe". Its
// text is not brought into Normalization Form C there, so that text with decomposed characters has
// other ids than in pith: send ids, not text.
//
// A word-level vocabulary becomes a BPE without merges whose words are user-defined tokens, which
// llama.cpp finds in the text longest first. Words between blanks so have the ids that pith gives
// them, and blanks have none; text that comes back lacks the blanks, ids are exact.
//
// No token is added to a prompt (add_bos_token is false), as pith's own engines add none.
package gguf
