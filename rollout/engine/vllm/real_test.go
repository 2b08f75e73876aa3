package vllm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/vllm"
)

// TestRealServer runs the conformance suite against a vLLM server that somebody started; see
// docs/engines/vllm.md for the command. PITH_VLLM_URL is its address, PITH_VLLM_DATA a directory
// with two adapters, l1 and l2, for the model that it serves. PITH_VLLM_NO_SCORE, where set, asks for
// no prompt log-probabilities, which kill vLLM 0.32 on a CPU when adapters are enabled.
func TestRealServer(t *testing.T) {
	url, data := os.Getenv("PITH_VLLM_URL"), os.Getenv("PITH_VLLM_DATA")
	if url == "" || data == "" {
		t.Skip("no vLLM server: PITH_VLLM_URL and PITH_VLLM_DATA are not set")
	}
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Target {
				e, err := vllm.New(vllm.Options{URL: url, Stream: stream, NoScore: os.Getenv("PITH_VLLM_NO_SCORE") != ""})
				if err != nil {
					t.Fatal(err)
				}
				adapter := func(id string, step int64, dir string) engine.Artifact {
					return engine.Artifact{Policy: engine.PolicyRef{ID: id, Step: step}, Kind: engine.ArtifactLoRADir, Path: filepath.Join(data, dir)}
				}
				first, second := adapter("policy-000001", 1, "l1"), adapter("policy-000002", 2, "l2")
				t.Cleanup(func() {
					cleaner, err := vllm.New(vllm.Options{URL: url})
					if err != nil {
						t.Fatal(err)
					}
					live, err := cleaner.Live(context.Background())
					for _, p := range live {
						if p == first.Policy || p == second.Policy {
							_ = cleaner.Retire(context.Background(), p)
						}
					}
					_ = err
					_ = cleaner.Close()
					_ = e.Close()
				})
				return enginetest.Target{Sampler: e, Publisher: e, First: first, Second: second, Base: []engine.PolicyRef{{ID: "base"}},
					Prompt: []int32{1, 7, 9, 30, 12}, Vocab: 256, Stop: 2, Tokens: 24, Loose: 0.02}
			})
		})
	}
}

// TestRealServerWithoutAdapters runs the suite against a server whose weights are replaced in place:
// PITH_VLLM_PLAIN_URL, started with VLLM_SERVER_DEV_MODE=1 from the directory PITH_VLLM_DATA/a.
func TestRealServerWithoutAdapters(t *testing.T) {
	url, data := os.Getenv("PITH_VLLM_PLAIN_URL"), os.Getenv("PITH_VLLM_DATA")
	if url == "" || data == "" {
		t.Skip("no vLLM server: PITH_VLLM_PLAIN_URL and PITH_VLLM_DATA are not set")
	}
	step := time.Now().Unix() // earlier runs have used smaller ones
	t.Run("generate", func(t *testing.T) { inPlace(t, url, data, &step) })
	t.Run("completions", func(t *testing.T) { inPlace(t, without(t, url, "/inference/v1/generate"), data, &step) })
}

func inPlace(t *testing.T, url, data string, last *int64) {
	enginetest.Run(t, func(t *testing.T) enginetest.Target {
		e, err := vllm.New(vllm.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		*last += 2
		step := *last
		model := func(n int64, dir string) engine.Artifact {
			return engine.Artifact{Policy: engine.PolicyRef{ID: fmt.Sprintf("policy-%06d", n), Step: n}, Kind: engine.ArtifactModelDir, Path: filepath.Join(data, dir)}
		}
		return enginetest.Target{Sampler: e, Publisher: e, First: model(step, []string{"a", "b"}[step/2%2]), Second: model(step+1, []string{"b", "a"}[step/2%2]),
			Prompt: []int32{1, 7, 9, 30, 12}, Vocab: 256, Stop: 2, Tokens: 24, Loose: 0.02}
	})
}
