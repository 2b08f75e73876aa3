package gguf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"pith/policies/model"
	"pith/policies/model/safetensors"
	"pith/policies/tokenizer"
)

// Options say how a policy is written.
type Options struct {
	Name         string            // general.name; may be empty
	Type         safetensors.DType // of the matrices, F32 (default), F16 or BF16; vectors are F32
	ChatTemplate string            // Jinja text of the chat template; may be empty
}

// vocabulary is what both tokenizers can list.
type vocabulary interface {
	Pieces() []tokenizer.Piece
	Roles() tokenizer.Roles
}

// Write writes a policy and its tokenizer, without seeking and with memory for one tensor at most.
func Write(w io.Writer, p *model.Weights, t tokenizer.Tokenizer, o Options) error {
	if o.Type == "" {
		o.Type = safetensors.F32
	}
	meta, err := metadata(p.Config, t, o)
	if err != nil {
		return fmt.Errorf("write gguf: %w", err)
	}
	tensors, err := tensorsOf(p, o.Type)
	if err != nil {
		return fmt.Errorf("write gguf: %w", err)
	}
	if err := write(w, meta, tensors); err != nil {
		return fmt.Errorf("write gguf: %w", err)
	}
	return nil
}

// Save writes the file path, whole or not at all (temporary file, fsync, rename).
func Save(path string, p *model.Weights, t tokenizer.Tokenizer, o Options) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write gguf: %w", err)
	}
	defer os.Remove(f.Name()) // fails once renamed
	b := bufio.NewWriterSize(f, 1<<18)
	if err := errors.Join(Write(b, p, t, o), b.Flush(), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// fileTypes are llama.cpp's names for "all matrices are of this type".
var fileTypes = map[safetensors.DType]uint32{safetensors.F32: 0, safetensors.F16: 1, safetensors.BF16: 32}

func metadata(c model.Config, t tokenizer.Tokenizer, o Options) ([]KeyValue, error) {
	kind, ok := fileTypes[o.Type]
	if !ok {
		return nil, fmt.Errorf("type %q is not one of F32, F16 and BF16", o.Type)
	}
	name := o.Name
	if name == "" {
		name = c.Arch
	}
	meta := []KeyValue{
		{"general.architecture", c.Arch},
		{"general.type", "model"},
		{"general.name", name},
		{"general.file_type", kind},
		{"general.quantization_version", uint32(2)},
	}
	own := func(key string, v any) { meta = append(meta, KeyValue{c.Arch + "." + key, v}) }
	own("vocab_size", uint32(c.VocabSize))
	own("context_length", uint32(c.MaxContext))
	own("embedding_length", uint32(c.HiddenSize))
	own("block_count", uint32(c.NumLayers))
	own("feed_forward_length", uint32(c.IntermediateSize))
	own("attention.head_count", uint32(c.NumHeads))
	own("attention.head_count_kv", uint32(c.NumKVHeads))
	own("attention.key_length", uint32(c.HeadDim))
	own("attention.value_length", uint32(c.HeadDim))
	own("attention.layer_norm_rms_epsilon", float32(c.RMSNormEps))
	own("rope.dimension_count", uint32(c.HeadDim))
	own("rope.freq_base", float32(c.RopeTheta))
	if c.Rope.Type == model.RopeLinear {
		own("rope.scaling.type", "linear")
		own("rope.scaling.factor", float32(c.Rope.Factor))
	}
	words, err := vocabularyOf(c, t)
	if err != nil {
		return nil, err
	}
	meta = append(meta, words...)
	if o.ChatTemplate != "" {
		meta = append(meta, KeyValue{"tokenizer.chat_template", o.ChatTemplate})
	}
	return meta, nil
}

// The token types of llama.cpp.
const (
	tokenNormal      int32 = 1
	tokenControl     int32 = 3
	tokenUserDefined int32 = 4
	tokenUnused      int32 = 5
)

// vocabularyOf is the tokenizer's part of the metadata. Rows of the embedding that have no token are
// listed as unused.
func vocabularyOf(c model.Config, t tokenizer.Tokenizer) ([]KeyValue, error) {
	v, ok := t.(vocabulary)
	if !ok {
		return nil, fmt.Errorf("a tokenizer of type %T cannot be written", t)
	}
	pieces := v.Pieces()
	if len(pieces) > c.VocabSize {
		return nil, fmt.Errorf("the tokenizer has %d tokens, the policy only %d", len(pieces), c.VocabSize)
	}
	_, bpe := t.(*tokenizer.BPE)
	texts, types := make([]string, c.VocabSize), make([]int32, c.VocabSize)
	seen := make(map[string]bool, len(pieces))
	for id := range texts {
		texts[id], types[id] = fmt.Sprintf("[PAD%d]", id), tokenUnused
		if id < len(pieces) {
			switch p := pieces[id]; p.Kind {
			case tokenizer.Normal:
				texts[id], types[id] = p.Text, tokenNormal
				if !bpe {
					types[id] = tokenUserDefined
				}
			case tokenizer.Control:
				texts[id], types[id] = p.Text, tokenControl
			case tokenizer.Added:
				texts[id], types[id] = p.Text, tokenUserDefined
			}
		}
		if seen[texts[id]] {
			return nil, fmt.Errorf("token %q is there twice, which llama.cpp refuses", texts[id])
		}
		seen[texts[id]] = true
	}
	pre, merges := "default", []string{}
	if b, ok := t.(*tokenizer.BPE); ok {
		pre = "qwen2"
		if b.MaxDigits() > 1 {
			pre = "llama-bpe"
		}
		for _, m := range b.Merges() {
			merges = append(merges, m[0]+" "+m[1])
		}
	}
	meta := []KeyValue{
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", pre},
		{"tokenizer.ggml.tokens", texts},
		{"tokenizer.ggml.token_type", types},
		{"tokenizer.ggml.merges", merges},
		{"tokenizer.ggml.add_bos_token", false},
		{"tokenizer.ggml.add_eos_token", false},
		{"tokenizer.ggml.add_space_prefix", false},
	}
	for _, id := range []struct {
		key string
		id  int32
	}{{"bos", c.BOS}, {"eos", c.EOS}, {"padding", c.PAD}} {
		if id.id >= 0 {
			meta = append(meta, KeyValue{"tokenizer.ggml." + id.key + "_token_id", uint32(id.id)})
		}
	}
	return meta, nil
}

// names maps the end of a tensor's name in a layer to llama.cpp's.
var names = map[string]string{
	"input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
	"self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight", "self_attn.v_proj.weight": "attn_v.weight",
	"self_attn.q_proj.bias": "attn_q.bias", "self_attn.k_proj.bias": "attn_k.bias", "self_attn.v_proj.bias": "attn_v.bias",
	"self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
	"self_attn.o_proj.weight": "attn_output.weight",
	"mlp.gate_proj.weight":    "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight", "mlp.down_proj.weight": "ffn_down.weight",
	"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight",
}

// nameOf is llama.cpp's name of a tensor.
func nameOf(name string) (string, error) {
	prefix := ""
	if rest, ok := strings.CutPrefix(name, "model.layers."); ok {
		layer, end, _ := strings.Cut(rest, ".")
		prefix, name = "blk."+layer+".", end
	}
	n, ok := names[name]
	if !ok {
		return "", fmt.Errorf("tensor %q has no name in llama.cpp", name)
	}
	return prefix + n, nil
}

func tensorsOf(p *model.Weights, as safetensors.DType) ([]tensor, error) {
	var out []tensor
	for _, t := range p.Tensors() {
		name, err := nameOf(t.Name)
		if err != nil {
			return nil, err
		}
		x := tensor{name: name, shape: t.Shape, data: t.Data, as: as}
		if len(t.Shape) == 1 {
			x.as = safetensors.F32
		}
		if p.Config.Arch == model.Llama {
			switch {
			case strings.HasSuffix(t.Name, "q_proj.weight"):
				x.heads = p.Config.NumHeads
			case strings.HasSuffix(t.Name, "k_proj.weight"):
				x.heads = p.Config.NumKVHeads
			}
		}
		if as == safetensors.F16 && x.as == as {
			for _, v := range t.Data {
				if v >= 65520 || v <= -65520 {
					return nil, fmt.Errorf("tensor %q holds %v, which float16 cannot; use bfloat16 or float32", t.Name, v)
				}
			}
		}
		out = append(out, x)
	}
	if p.Config.Rope.Type == model.RopeLlama3 {
		// llama.cpp divides every frequency by its factor.
		plain := p.Config
		plain.Rope = model.Rope{}
		factors := make([]float32, p.Config.HeadDim/2)
		stretched := p.Config.Frequencies()
		for i, f := range plain.Frequencies() {
			factors[i] = float32(f / stretched[i])
		}
		out = append(out, tensor{name: "rope_freqs.weight", shape: []int{len(factors)}, data: factors, as: safetensors.F32})
	}
	return out, nil
}

// interleaved reorders the rows of a query or key projection [heads*d, in] from the rotate-half
// layout, in which row j of a head turns with row j+d/2, to that of llama.cpp's "llama", in which rows
// 2j and 2j+1 do. Biases do not occur in that architecture.
func interleaved(data []float32, heads, in int) []float32 {
	out := make([]float32, len(data))
	d := len(data) / in / heads
	for h := range heads {
		for j := range d / 2 {
			for half := range 2 {
				to, from := (h*d+2*j+half)*in, (h*d+half*d/2+j)*in
				copy(out[to:to+in], data[from:from+in])
			}
		}
	}
	return out
}
