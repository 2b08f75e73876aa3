package vllm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pith/rollout/engine/wire"
)

// BenchmarkParse reads the answer of a real server's form with 512 tokens. "best-µs" is the fastest
// single reading, which a busy machine disturbs least.
func BenchmarkParse(b *testing.B) {
	var ids, probs []string
	for i := range 512 {
		t, l := 1000+i*37%30000, fmt.Sprintf("-%d.%015d", i%9, 123456789012345-int64(i)*987654321)
		ids = append(ids, fmt.Sprint(t))
		probs = append(probs, fmt.Sprintf(`{"token_id":%d,"logprob":%s,"rank":%d,"top_logprobs":[{"token_id":%d,"logprob":%s,"rank":%d}]}`, t, l, i%5+1, t, l, i%5+1))
	}
	text := []byte(`{"request_id":"r","model":"base","usage":{"prompt_tokens":128},"choices":[{"finish_reason":"length","token_ids":[` + strings.Join(ids, ",") +
		`],"logprobs":{"content":[` + strings.Join(probs, ",") + `]}}]}`)
	c, err := wire.NewClient(wire.Options{URL: "http://x"})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	best := time.Hour
	for b.Loop() {
		began := time.Now()
		a := answer{tokens: make([]int32, 0, 512), logprobs: make([]float32, 0, 512)}
		if err := a.read(c, "parse", text); err != nil || len(a.tokens) != 512 || len(a.logprobs) != 512 {
			b.Fatal(err, len(a.tokens), len(a.logprobs))
		}
		best = min(best, time.Since(began))
	}
	b.ReportMetric(float64(best.Nanoseconds())/1e3, "best-µs")
}
