package task

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pith/datasets"
	"pith/rollout/engine"
)

func example() *Task {
	accuracy := 0.5
	return &Task{
		Run: "r", Step: 3, Split: datasets.Train, Group: "s3/g7", First: 4, N: 2,
		Problem: datasets.Problem{ID: "p", Prompt: "a 1 b +2", Answer: "3", Hidden: map[string]string{"x": "4"}, ReferenceAccuracy: &accuracy},
		Prompt:  []int32{1, 2}, Strategy: "anytime", Options: json.RawMessage(`{"budgets":[4,8]}`),
		Params: engine.Params{MaxTokens: 200, Temperature: 1, TopP: 1, Seed: 1 << 63}, Policy: engine.PolicyRef{ID: "p2", Step: 2}, Exact: true,
	}
}

func TestTaskSurvivesTheStream(t *testing.T) {
	want := example()
	b, err := Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.ID() != "s3/g7/4+2" || got.TraceID(5) != "s3/g7/5" {
		t.Errorf("ids %s, %s", got.ID(), got.TraceID(5))
	}
}

func TestTasksThatNobodyCanRunAreRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Task)
		want  string
	}{
		{"no run", func(t *Task) { t.Run = "" }, "run is empty"},
		{"no group", func(t *Task) { t.Group = "" }, "group is empty"},
		{"a negative step", func(t *Task) { t.Step = -1 }, "step is -1"},
		{"no split", func(t *Task) { t.Split = "" }, `split is ""`},
		{"no samples", func(t *Task) { t.N = 0 }, "samples [4,4) are none"},
		{"no prompt", func(t *Task) { t.Prompt = nil }, "the prompt has no tokens"},
		{"no strategy", func(t *Task) { t.Strategy = "" }, "strategy is empty"},
		{"no limit", func(t *Task) { t.Params.MaxTokens = 0 }, "max_tokens is 0"},
		{"no policy", func(t *Task) { t.Policy.ID = "" }, "policy is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := example()
			c.spoil(bad)
			if _, err := Marshal(bad); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzUnmarshal(f *testing.F) {
	b, err := Marshal(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"run":"r","new_field":1}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Unmarshal(b)
		if err != nil {
			if !errors.Is(err, ErrPoison) {
				t.Fatalf("error outside the contract: %v", err)
			}
			return
		}
		if _, err := Marshal(got); err != nil {
			t.Fatalf("decoded, but cannot be encoded: %v", err)
		}
	})
}
