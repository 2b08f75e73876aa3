package serve

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"pith/rollout/engine"
)

// counters are totals since the server was made.
type counters struct {
	mu                 sync.Mutex
	prompt, output     int64
	stop, length, gone int64 // samples, by the way they ended
	first, whole       histogram
}

// finished counts a sample.
func (c *counters) finished(f engine.Finish) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f {
	case engine.FinishStop:
		c.stop++
	case engine.FinishLength:
		c.length++
	default:
		c.gone++
	}
}

// request counts a prompt with its samples.
func (c *counters) request(prompt, output int, first, whole time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prompt += int64(prompt)
	c.output += int64(output)
	if first > 0 {
		c.first.add(first.Seconds())
	}
	c.whole.add(whole.Seconds())
}

// bounds are the upper edges of the histograms, in seconds.
var bounds = [...]float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}

// histogram counts durations.
type histogram struct {
	buckets [len(bounds) + 1]int64
	sum     float64
	n       int64
}

func (h *histogram) add(seconds float64) {
	at := 0
	for at < len(bounds) && seconds > bounds[at] {
		at++
	}
	h.buckets[at]++
	h.sum += seconds
	h.n++
}

// exposition writes metrics in Prometheus' text format.
type exposition struct {
	strings.Builder
	label string
}

func (e *exposition) head(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// value writes one metric; more are further labels, such as `,a="b"`.
func (e *exposition) value(name, more string, v float64) {
	fmt.Fprintf(e, "%s{%s%s} %s\n", name, e.label, more, strconv.FormatFloat(v, 'g', -1, 64))
}

func (e *exposition) one(name, kind, help string, v float64) {
	e.head(name, kind, help)
	e.value(name, "", v)
}

func (e *exposition) histogram(name, help string, h *histogram) {
	e.head(name, "histogram", help)
	run := int64(0)
	for i, b := range bounds {
		run += h.buckets[i]
		e.value(name+"_bucket", fmt.Sprintf(`,le="%g"`, b), float64(run))
	}
	e.value(name+"_bucket", `,le="+Inf"`, float64(h.n))
	e.value(name+"_sum", "", h.sum)
	e.value(name+"_count", "", float64(h.n))
}

// metrics tells the counters under the names of vLLM, SGLang and llama-server.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	var st engine.Stats
	if s.o.Observer != nil {
		all, err := s.o.Observer.Stats(r.Context())
		if err != nil {
			s.fail(w, openai, err)
			return
		}
		for _, one := range all {
			st.Running, st.Waiting = st.Running+one.Running, st.Waiting+one.Waiting
			st.CacheUse = max(st.CacheUse, one.CacheUse)
			st.PromptTokens, st.OutputTokens = st.PromptTokens+one.PromptTokens, st.OutputTokens+one.OutputTokens
			if cached, ok := one.Raw["cached_tokens"]; ok {
				st.Raw = map[string]float64{"cached_tokens": st.Raw["cached_tokens"] + cached}
			}
		}
	}
	s.mu.Lock()
	if s.o.Observer == nil {
		st.Running = s.admitted
	}
	held := 0
	for range s.waiting {
		held++
	}
	s.mu.Unlock()
	e := &exposition{label: "model_name=" + strconv.Quote(s.o.Model)}
	c := &s.count
	c.mu.Lock()
	waiting := float64(st.Waiting + held)
	e.one("vllm:num_requests_running", "gauge", "Sequences being decoded.", float64(st.Running))
	e.one("vllm:num_requests_waiting", "gauge", "Sequences waiting for a slot, and requests held back by a pause.", waiting)
	e.one("vllm:kv_cache_usage_perc", "gauge", "Part of the cache in use, 0 to 1.", st.CacheUse)
	e.one("vllm:prefix_cache_queries_total", "counter", "Prompt tokens looked up in the cache.", float64(st.PromptTokens)+st.Raw["cached_tokens"])
	e.one("vllm:prefix_cache_hits_total", "counter", "Prompt tokens found there.", st.Raw["cached_tokens"])
	e.one("vllm:num_preemptions_total", "counter", "Sequences pushed out of the batch: this engine pushes none out.", 0)
	e.one("vllm:prompt_tokens_total", "counter", "Prompt tokens of answered requests.", float64(c.prompt))
	e.one("vllm:generation_tokens_total", "counter", "Tokens of answered requests.", float64(c.output))
	e.head("vllm:request_success_total", "counter", "Samples by the way they ended.")
	e.value("vllm:request_success_total", `,finished_reason="stop"`, float64(c.stop))
	e.value("vllm:request_success_total", `,finished_reason="length"`, float64(c.length))
	e.value("vllm:request_success_total", `,finished_reason="abort"`, float64(c.gone))
	e.histogram("vllm:time_to_first_token_seconds", "From the request to its first token.", &c.first)
	e.histogram("vllm:e2e_request_latency_seconds", "From the request to its last token.", &c.whole)
	e.one("sglang:num_running_reqs", "gauge", "Sequences being decoded.", float64(st.Running))
	e.one("sglang:num_queue_reqs", "gauge", "Sequences waiting.", waiting)
	e.one("sglang:token_usage", "gauge", "Part of the cache in use, 0 to 1.", st.CacheUse)
	e.one("sglang:prompt_tokens_total", "counter", "Prompt tokens of answered requests.", float64(c.prompt))
	e.one("sglang:generation_tokens_total", "counter", "Tokens of answered requests.", float64(c.output))
	e.one("llamacpp:requests_processing", "gauge", "Sequences being decoded.", float64(st.Running))
	e.one("llamacpp:requests_deferred", "gauge", "Sequences waiting.", waiting)
	e.one("llamacpp:prompt_tokens_total", "counter", "Prompt tokens of answered requests.", float64(c.prompt))
	e.one("llamacpp:tokens_predicted_total", "counter", "Tokens of answered requests.", float64(c.output))
	c.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(e.String()))
}
