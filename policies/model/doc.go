// Package model is the policy itself: the configuration and the weights of a decoder of the Llama
// family (Llama, Qwen2, Qwen3), how they are initialised, and how they are kept on disk as a
// Hugging Face directory or as one safetensors blob.
//
// What lives here: [Config], [Weights], [Load], [Weights.Save], [Weights.MarshalSafetensors],
// [Weights.Digest]. What does not: sampling (package generate), learning (trainer/learner), tokens
// and text (policies/tokenizer), arithmetic (policies/kernel).
//
// All parameters of a policy are float32 in one backing slice, in a fixed order (see [Weights]),
// so that an optimiser, a digest or a copy can treat them as one vector.
//
// The computation that the weights stand for, in the order of transformers' modelling files for
// these families:
//
//	x    = embed[token]
//	h    = RMSNorm(x, input_layernorm)
//	q    = rope(norm_q(Wq h + bq)),  k = rope(norm_k(Wk h + bk)),  v = Wv h + bv
//	x   += Wo attention(q, k, v)                 scale head_dim^-1/2, causal, grouped queries
//	x   += Wdown(silu(Wgate h') * Wup h')        h' = RMSNorm(x, post_attention_layernorm)
//	logits = head RMSNorm(x, norm)               head = embed when tied
//
// Rotary embedding is of the rotate-half kind with inv_freq_j = theta^(-2j/head_dim); query head h
// reads key head h / (heads/kv_heads); biases exist in Qwen2 only, q/k norms in Qwen3 only.
package model
