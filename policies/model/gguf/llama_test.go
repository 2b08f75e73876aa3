package gguf

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pith/policies/builtin"
	"pith/policies/model"
	"pith/policies/model/generate"
	"pith/policies/model/safetensors"
	"pith/policies/tokenizer"
)

// llamaServer starts a real llama-server on a file and returns its address.
func llamaServer(t *testing.T, file string) string {
	t.Helper()
	binary := os.Getenv("PITH_LLAMA_SERVER")
	if binary == "" {
		binary = "llama-server"
	}
	binary, err := exec.LookPath(binary)
	if err != nil {
		t.Skip("needs a llama-server: set PITH_LLAMA_SERVER to one, or put it into PATH")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, "-m", file, "--host", "127.0.0.1", "--port", port, "-c", "256", "--parallel", "1",
		"--device", "none", "--threads", "1", "--no-warmup", "--no-webui", "--cache-ram", "0", "-fa", "off", "-ctk", "f32", "-ctv", "f32")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		select {
		case <-exited:
			t.Fatalf("llama-server ended:\n%s", log.String())
		default:
		}
		r, err := http.Get("http://" + address + "/health")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
	}
	t.Fatal("llama-server is not ready after 90 s")
	return ""
}

func post(t *testing.T, url string, body, answer any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post(url, "application/json", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s: %s (%v)", url, r.Status, text, err)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		t.Fatalf("%s: %v in %s", url, err, text)
	}
}

// The log-probabilities of the next token in a real llama.cpp are those of the logits that
// transformers computed, for every prefix of the reference's sequences.
func TestLlamaServerComputesWhatTransformersDid(t *testing.T) {
	for _, name := range []string{"qwen3", "qwen2", "llama", "llama31"} {
		t.Run(name, func(t *testing.T) {
			w := policy(t, name)
			path := filepath.Join(t.TempDir(), name+".gguf")
			if err := Save(path, w, words(t, w.Config.VocabSize), Options{Type: safetensors.F32}); err != nil {
				t.Fatal(err)
			}
			var g struct {
				Sequences [][]int32     `json:"sequences"`
				Logits    [][][]float64 `json:"logits"`
			}
			text, err := os.ReadFile(filepath.Join("..", "testdata", "transformers", name, "golden.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &g); err != nil {
				t.Fatal(err)
			}
			url := llamaServer(t, path)
			worst, compared := 0.0, 0
			for i, s := range g.Sequences {
				for n := 1; n <= len(s); n += 3 {
					var answer struct {
						Tokens        []int32 `json:"tokens"`
						Probabilities []struct {
							Top []struct {
								ID      int32   `json:"id"`
								LogProb float64 `json:"logprob"`
							} `json:"top_logprobs"`
						} `json:"completion_probabilities"`
					}
					post(t, url+"/completion", map[string]any{"prompt": s[:n], "n_predict": 1, "n_probs": w.Config.VocabSize, "temperature": 0,
						"return_tokens": true, "samplers": []string{"temperature"}, "cache_prompt": false}, &answer)
					row := g.Logits[i][n-1]
					sum, best := 0.0, 0
					for v, z := range row {
						sum += math.Exp(z)
						if z > row[best] {
							best = v
						}
					}
					if len(answer.Probabilities) != 1 {
						continue // the greedy token ends the text, which has no probabilities then
					}
					for _, p := range answer.Probabilities[0].Top {
						worst = max(worst, math.Abs(p.LogProb-(row[p.ID]-math.Log(sum))))
						compared++
					}
					if len(answer.Tokens) == 1 && int(answer.Tokens[0]) != best {
						t.Errorf("after %v the greedy token is %v, want %d", s[:n], answer.Tokens, best)
					}
				}
			}
			t.Logf("%d log-probabilities, largest difference %.2g", compared, worst)
			if !(worst <= 1e-4) || compared < 300 { // with keys and values in float16 it would be 5e-3
				t.Errorf("%d log-probabilities differ by up to %v", compared, worst)
			}
		})
	}
}

// Texts have the ids in llama.cpp that they have here.
func TestLlamaServerTokenizesAlike(t *testing.T) {
	type vocabulary struct {
		tok   tokenizer.Tokenizer
		texts []string
	}
	cases := map[string]vocabulary{"words": {words(t, 48), []string{"w3", "w3 w10 w4", "<bos> w47 w7 <eos>", "w11 w4 w40 w4"}}}
	dirs := filepath.SplitList(os.Getenv("PITH_TOKENIZERS")) // real vocabularies
	for _, name := range []string{"qwen", "llama"} {
		dirs = append(dirs, filepath.Join("..", "..", "tokenizer", "testdata", "bpe", name))
	}
	for _, dir := range dirs {
		tok, err := tokenizer.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		cases[dir] = vocabulary{tok, []string{"the quick brown fox thinks", "it's 12345 % of\n\n  apples, so: I'LL", "<|im_start|>user\nthink <think> step\t\tby</think><|im_end|>",
			"中文字符 русский 한국어 नमस्ते 👍🏽", "def f(x):\n    return x + 1\n\n\\boxed{42}", strings.Repeat("x ", 50), "'S 'll we've I'M 1234567 x²½ \r\n\r\n  \u00a0 \u3000 a\u2028b"}}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := policy(t, "qwen2").Config
			c.VocabSize = tc.tok.VocabSize()
			w := model.NewWeights(c)
			w.Init(1, model.InitOptions{})
			path := filepath.Join(t.TempDir(), "p.gguf")
			if err := Save(path, w, tc.tok, Options{}); err != nil {
				t.Fatal(err)
			}
			url := llamaServer(t, path)
			for _, text := range tc.texts {
				want, err := tc.tok.Encode(text)
				if err != nil {
					t.Fatal(err)
				}
				var got struct {
					Tokens []int32 `json:"tokens"`
				}
				post(t, url+"/tokenize", map[string]any{"content": text, "add_special": false, "parse_special": true}, &got)
				if diff := cmp.Diff(want, got.Tokens); diff != "" {
					t.Errorf("%q (-here +llama.cpp):\n%s", text, diff)
				}
				var back struct {
					Content string `json:"content"`
				}
				post(t, url+"/detokenize", map[string]any{"tokens": want}, &back)
				if plain := tc.tok.Decode(want); name != "words" && back.Content != plain && !strings.Contains(plain, "<|") {
					t.Errorf("%q comes back as %q", plain, back.Content)
				}
			}
		})
	}
}

// The policy that ships with pith, trained and not random: what llama-server samples greedily has
// there the log-probabilities that it has here.
func TestLlamaServerRunsAPolicyThatWasTrained(t *testing.T) {
	w, tok, err := builtin.Open("builtin:clock")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "clock.gguf")
	if err := Save(path, w, tok, Options{}); err != nil {
		t.Fatal(err)
	}
	url := llamaServer(t, path)
	p := generate.Pack(w)
	worst, compared := 0.0, 0
	for i := range int32(20) {
		prompt := []int32{w.Config.BOS, 10 + i, 30, 12 + 2*i%40}
		var answer struct {
			Tokens        []int32 `json:"tokens"`
			Probabilities []struct {
				ID      int32   `json:"id"`
				LogProb float64 `json:"logprob"`
			} `json:"completion_probabilities"`
		}
		post(t, url+"/completion", map[string]any{"prompt": prompt, "n_predict": 40, "n_probs": 1, "temperature": 0, "return_tokens": true,
			"samplers": []string{"temperature"}, "cache_prompt": false}, &answer)
		scores, err := p.Score(t.Context(), [][]int32{slices.Concat(prompt, answer.Tokens)})
		if err != nil {
			t.Fatal(err)
		}
		for k, a := range answer.Probabilities {
			if a.ID != answer.Tokens[k] {
				t.Fatalf("prompt %v: token %d is %d, its log-probability is of %d", prompt, k, answer.Tokens[k], a.ID)
			}
			worst = max(worst, math.Abs(a.LogProb-float64(scores[0][len(prompt)+k])))
			compared++
		}
	}
	t.Logf("%d tokens, largest difference %.2g", compared, worst)
	if !(worst <= 1e-4) || compared < 100 {
		t.Errorf("%d log-probabilities differ by up to %v", compared, worst)
	}
}
