package llamacpp_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/llamacpp"
	"pith/rollout/engine/serve/servetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

func TestConformance(t *testing.T) {
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Target {
				s := servetest.Start(t)
				e, err := llamacpp.New(llamacpp.Options{URL: s.URL, Stream: stream, Vocab: servetest.Vocab})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = e.Close() })
				return enginetest.Target{Sampler: e, First: engine.Artifact{Policy: s.Base},
					Prompt: servetest.Prompt, Vocab: servetest.Vocab, Stop: servetest.Stop, Tokens: 40}
			})
		})
	}
}

// llamaServer starts a llama-server with a tiny model and returns its address.
func llamaServer(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("PITH_LLAMA_SERVER")
	if binary == "" {
		var err error
		if binary, err = exec.LookPath("llama-server"); err != nil {
			t.Skip("no llama-server: PITH_LLAMA_SERVER is not set and none is on the path; docs/engines/llamacpp.md says where one comes from")
		}
	}
	model, err := filepath.Abs(os.Getenv("PITH_LLAMA_MODEL"))
	if os.Getenv("PITH_LLAMA_MODEL") == "" || err != nil {
		t.Skip("no model for llama-server: PITH_LLAMA_MODEL is not set")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, binary, "-m", model, "--alias", "tiny", "--host", "127.0.0.1", "--port", fmt.Sprint(port),
		"--device", "none", "-c", "1024", "--parallel", "4", "--threads", "1", "--metrics")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	if err := c.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.Wait()
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for range 300 {
		resp, err := http.Get(url + "/health")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				http.DefaultClient.CloseIdleConnections()
				return url
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("llama-server did not come up")
	return ""
}

func TestRealServer(t *testing.T) {
	url := llamaServer(t)
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Target {
				e, err := llamacpp.New(llamacpp.Options{URL: url, Stream: stream, MaxInFlight: 64})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = e.Close() })
				return enginetest.Target{Sampler: e, First: engine.Artifact{Policy: engine.PolicyRef{ID: "tiny"}},
					Prompt: []int32{1, 7, 9, 30, 12}, Vocab: 256, Stop: 2, Tokens: 40, Loose: 0.02}
			})
		})
	}
}
