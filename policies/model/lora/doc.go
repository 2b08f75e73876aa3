// Package lora reads, merges, makes and writes low-rank adapters (Hu et al. 2021, arXiv 2106.09685) as
// the directories of PEFT, which vLLM and SGLang load: adapter_config.json and
// adapter_model.safetensors.
//
// What lives here: [Adapter], [Load], [Save], [Merge], and [Extract], which turns the difference of two
// policies into an adapter, so that a policy that was trained in full can be published as a small
// file over its base. What does not: training of adapters (trainer/learner), serving (rollout/engine).
//
// An adapter changes the matrix W [out, in] of a module into W + s·B·A, with A [r, in], B [out, r] and
// s = alpha/r, or alpha/sqrt(r) where it is rank-stabilised (Kalajdzievski 2023, arXiv 2312.03732).
// Adapters of embeddings, biases, DoRA and full copies of modules are refused.
package lora
