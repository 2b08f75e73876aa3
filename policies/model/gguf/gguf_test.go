package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/policies/model"
	"pith/policies/model/safetensors"
	"pith/policies/tokenizer"
)

// words is a vocabulary of n words, the first three special.
func words(t testing.TB, n int) *tokenizer.Words {
	t.Helper()
	list := []string{"<pad>", "<bos>", "<eos>"}
	for i := len(list); i < n; i++ {
		list = append(list, fmt.Sprintf("w%d", i))
	}
	w, err := tokenizer.NewWords(list, tokenizer.Roles{PAD: "<pad>", BOS: "<bos>", EOS: "<eos>"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func policy(t testing.TB, name string) *model.Weights {
	t.Helper()
	w, err := model.Load(filepath.Join("..", "testdata", "transformers", name))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func written(t testing.TB, w *model.Weights, tok tokenizer.Tokenizer, o Options) (*File, []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, w, tok, o); err != nil {
		t.Fatal(err)
	}
	f, err := Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f, b.Bytes()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, name := range []string{"qwen3", "qwen2", "llama", "llama31"} {
		for _, as := range []safetensors.DType{safetensors.F32, safetensors.F16, safetensors.BF16} {
			t.Run(name+" "+string(as), func(t *testing.T) {
				w := policy(t, name)
				f, _ := written(t, w, words(t, 48), Options{Type: as})
				extra := 0
				if w.Config.Rope.Type == model.RopeLlama3 {
					extra = 1
				}
				if len(f.Tensors) != len(w.Tensors())+extra {
					t.Fatalf("%d tensors, want %d", len(f.Tensors), len(w.Tensors())+extra)
				}
				for _, x := range w.Tensors() {
					to, err := nameOf(x.Name)
					if err != nil {
						t.Fatal(err)
					}
					got, err := f.Float32(to)
					if err != nil {
						t.Fatal(err)
					}
					want, stored := x.Data, as
					if len(x.Shape) == 1 {
						stored = safetensors.F32
					}
					if w.Config.Arch == model.Llama && strings.Contains(x.Name, "q_proj") {
						want = interleaved(want, w.Config.NumHeads, x.Shape[1])
					}
					if w.Config.Arch == model.Llama && strings.Contains(x.Name, "k_proj") {
						want = interleaved(want, w.Config.NumKVHeads, x.Shape[1])
					}
					want = safetensors.Floats(stored, safetensors.Append(nil, stored, want))
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%s (-want +got):\n%s", to, diff)
					}
				}
			})
		}
	}
}

func TestMetadataSaysWhatThePolicyIs(t *testing.T) {
	w := policy(t, "qwen3")
	f, _ := written(t, w, words(t, 40), Options{Name: "tiny", ChatTemplate: "{{ messages }}"})
	for key, want := range map[string]any{
		"general.architecture": "qwen3", "general.name": "tiny", "general.file_type": uint32(0),
		"qwen3.attention.head_count": uint32(4), "qwen3.attention.head_count_kv": uint32(2), "qwen3.attention.key_length": uint32(10),
		"qwen3.context_length": uint32(128), "qwen3.attention.layer_norm_rms_epsilon": float32(1e-6), "qwen3.rope.freq_base": float32(10000),
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "default", "tokenizer.ggml.merges": []string{}, "tokenizer.ggml.add_bos_token": false,
		"tokenizer.ggml.bos_token_id": uint32(1), "tokenizer.ggml.eos_token_id": uint32(2), "tokenizer.ggml.padding_token_id": uint32(0),
		"tokenizer.chat_template": "{{ messages }}",
	} {
		if diff := cmp.Diff(want, f.Value(key)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	texts, types := f.Value("tokenizer.ggml.tokens").([]string), f.Value("tokenizer.ggml.token_type").([]int32)
	if len(texts) != 48 || texts[3] != "w3" || texts[47] != "[PAD47]" {
		t.Errorf("tokens are %q", texts)
	}
	if types[0] != tokenControl || types[3] != tokenUserDefined || types[47] != tokenUnused {
		t.Errorf("token types are %v", types)
	}
	if v := f.Value("no.such.key"); v != nil {
		t.Errorf("an absent key has value %v", v)
	}
}

func TestByteLevelVocabulariesAreSpelledAsInTheirFile(t *testing.T) {
	for name, pre := range map[string]string{"qwen": "qwen2", "llama": "llama-bpe"} {
		t.Run(name, func(t *testing.T) {
			tok, err := tokenizer.Load(filepath.Join("..", "..", "tokenizer", "testdata", "bpe", name))
			if err != nil {
				t.Fatal(err)
			}
			c := policy(t, "qwen2").Config
			c.VocabSize = tok.VocabSize() + 5
			f, _ := written(t, model.NewWeights(c), tok, Options{})
			if got := f.Value("tokenizer.ggml.pre"); got != pre {
				t.Errorf("pre-tokenizer is %v, want %v", got, pre)
			}
			merges, texts, types := f.Value("tokenizer.ggml.merges").([]string), f.Value("tokenizer.ggml.tokens").([]string), f.Value("tokenizer.ggml.token_type").([]int32)
			if len(merges) < 100 || merges[0] != "t h" {
				t.Errorf("%d merges, the first %q", len(merges), merges[:min(3, len(merges))])
			}
			for token, want := range map[string]struct {
				text string
				kind int32
			}{" th": {"Ġth", tokenNormal}, "\n": {"Ċ", tokenNormal}, "<think>": {"<think>", tokenUserDefined}, "<|im_end|>": {"<|im_end|>", tokenControl}} {
				id, ok := tok.ID(token)
				if !ok || texts[id] != want.text || types[id] != want.kind {
					t.Errorf("%q has id %d, is written as %q of type %d", token, id, texts[id], types[id])
				}
			}
			if types[len(types)-1] != tokenUnused {
				t.Error("rows without a token are not unused")
			}
		})
	}
}

func TestPoliciesThatDoNotFitAreRefused(t *testing.T) {
	w := policy(t, "qwen3")
	large := w.Clone()
	large.Embed[5] = 7e4
	for _, tc := range []struct {
		name string
		w    *model.Weights
		tok  tokenizer.Tokenizer
		o    Options
		want string
	}{
		{"too many words", w, words(t, 49), Options{}, "the tokenizer has 49 tokens, the policy only 48"},
		{"a type that is not there", w, words(t, 48), Options{Type: "Q4"}, `type "Q4"`},
		{"too large for float16", large, words(t, 48), Options{Type: safetensors.F16}, "which float16 cannot"},
		{"an unknown tokenizer", w, struct{ tokenizer.Tokenizer }{}, Options{}, "cannot be written"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := Write(&bytes.Buffer{}, tc.w, tc.tok, tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestSavingLeavesAWholeFileOrNone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.gguf")
	if err := Save(path, policy(t, "qwen3"), words(t, 99), Options{}); err == nil {
		t.Fatal("a tokenizer that does not fit was written")
	}
	if err := Save(path, policy(t, "qwen3"), words(t, 48), Options{}); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v (%v)", entries, err)
	}
}

func TestMalformedFilesAreRefused(t *testing.T) {
	_, good := written(t, policy(t, "qwen2"), words(t, 48), Options{})
	put := func(at int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[at:], v); return b }
	}
	for _, tc := range []struct {
		name   string
		change func([]byte) []byte
		want   string
	}{
		{"empty", func([]byte) []byte { return nil }, "does not begin with GGUF"},
		{"another format", func(b []byte) []byte { b[0] = 'X'; return b }, "does not begin with GGUF"},
		{"another version", func(b []byte) []byte { b[4] = 2; return b }, "version 2"},
		{"a huge number of entries", put(16, math.MaxUint64), "bytes are announced"},
		{"a huge number of tensors", put(8, math.MaxUint64), ""},
		{"a huge key", put(24, math.MaxUint64), "bytes are announced"},
		{"cut short", func(b []byte) []byte { return b[:len(b)-100] }, "ends at"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := tc.change(bytes.Clone(good))
			if _, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want ErrFormat with %q", err, tc.want)
			}
		})
	}
}

// With PITH_PYTHON, a Python that has the gguf package: llama.cpp's own reader sees the same.
func TestTheReferenceReaderSeesTheSame(t *testing.T) {
	python := os.Getenv("PITH_PYTHON")
	if python == "" {
		t.Skip("needs PITH_PYTHON, a Python with the gguf package")
	}
	w := policy(t, "llama31")
	path := filepath.Join(t.TempDir(), "p.gguf")
	if err := Save(path, w, words(t, 48), Options{Type: safetensors.F16}); err != nil {
		t.Fatal(err)
	}
	const script = `
import sys
from gguf import GGUFReader
r = GGUFReader(sys.argv[1])
print(r.fields["general.architecture"].contents(), len(r.fields["tokenizer.ggml.tokens"].contents()), len(r.tensors))
for t in r.tensors: print(t.name, t.tensor_type.name, "x".join(map(str, t.shape)), "%.5f" % float(t.data.astype("float64").sum()))
`
	out, err := exec.CommandContext(t.Context(), python, "-c", script, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("llama 48 %d\n", len(f.Tensors))
	for _, x := range f.Tensors {
		var dims []string
		for i := range x.Shape {
			dims = append(dims, fmt.Sprint(x.Shape[len(x.Shape)-1-i]))
		}
		data, err := f.Float32(x.Name)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, v := range data {
			sum += float64(v)
		}
		want += fmt.Sprintf("%s %s %s %.5f\n", x.Name, x.Type, strings.Join(dims, "x"), sum)
	}
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("(-here +reference):\n%s", diff)
	}
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"qwen3", "llama31"} {
		_, b := written(f, policy(f, name), words(f, 48), Options{Type: safetensors.BF16})
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		for _, x := range file.Tensors {
			if x.Type == "" {
				continue
			}
			if _, err := file.Float32(x.Name); err != nil {
				t.Fatal(err)
			}
		}
	})
}
