package dialect_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
	"pith/rollout/engine/serve/servetest"
	"pith/rollout/engine/wire"
)

func TestTheDialectIsFoundByAsking(t *testing.T) {
	for name, tc := range map[string]struct {
		routes map[string]string
		want   string
	}{
		"vLLM":                 {map[string]string{"/v1/models": `{"data":[{"id":"m","owned_by":"vllm"}]}`}, dialect.VLLM},
		"SGLang":               {map[string]string{"/v1/models": `{"data":[{"id":"m","owned_by":"sglang"}]}`}, dialect.SGLang},
		"llama-server":         {map[string]string{"/v1/models": `{"data":[{"id":"m","owned_by":"llamacpp"}]}`}, dialect.LlamaCPP},
		"vLLM behind a router": {map[string]string{"/v1/models": `{"data":[{"id":"m","owned_by":"router"}]}`, "/version": `{"version":"0.32.0"}`}, dialect.VLLM},
		"an older SGLang":      {map[string]string{"/get_model_info": `{"model_path":"m"}`}, dialect.SGLang},
		"an old llama-server":  {map[string]string{"/props": `{}`}, dialect.LlamaCPP},
		"something else":       {map[string]string{"/v1/models": `{"data":[{"id":"m","owned_by":"organization"}]}`}, dialect.OpenAI},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, ok := tc.routes[r.URL.Path]
				if !ok {
					http.Error(w, `{"detail":"Not Found"}`, http.StatusNotFound)
					return
				}
				_, _ = w.Write([]byte(body))
			}))
			defer s.Close()
			if got, err := dialect.Detect(t.Context(), wire.Options{URL: s.URL}); err != nil || got != tc.want {
				t.Errorf("found %q (%v), want %q", got, err, tc.want)
			}
		})
	}
	if got, err := dialect.Detect(t.Context(), wire.Options{URL: servetest.Start(t).URL}); err != nil || got != dialect.VLLM {
		t.Errorf("pith serve is taken for %q (%v)", got, err)
	}
	_, _, err := dialect.Open(t.Context(), "telepathy", wire.Options{URL: "http://127.0.0.1:1"})
	if class, _ := engine.ClassOf(err); class != engine.User {
		t.Errorf("an unknown dialect: %v", err)
	}
}
