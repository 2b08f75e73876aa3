package trainer

import (
	"testing"

	"pith/datasets"
	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/rollout/stream"
	"pith/rollout/task"
	"pith/traces"
)

func exampleTask() *task.Task {
	return &task.Task{
		Run: "r", Step: 1, Split: datasets.Train, Group: groupName(3), N: 3, Strategy: "single",
		Problem: datasets.Problem{ID: "p", Dataset: "d", Level: 2, Prompt: "a b", Answer: "7"}, Prompt: []int32{1, 2},
		Params: engine.Params{MaxTokens: 8, Temperature: 1, TopP: 1, Seed: 5}, Policy: engine.PolicyRef{ID: policyName(0)},
	}
}

func arrived(k *task.Task, sample int32) *stream.Delivery {
	return &stream.Delivery{Task: k.ID(), Trace: &traces.Trace{ID: k.TraceID(int(sample)), Group: k.Group, Sample: sample}}
}

func TestDeadLettersCompleteTheirGroup(t *testing.T) {
	for _, c := range []struct {
		name string
		dead stream.DeadLetter
		lost []int32 // samples that the record says are lost
	}{
		{"a task: everything that has not arrived", stream.DeadLetter{Kind: stream.DeadTask, Reason: "its workers died"}, []int32{0, 2}},
		{"a trace: that one", stream.DeadLetter{Kind: stream.DeadTrace, TraceID: exampleTask().TraceID(2), Reason: "too large"}, []int32{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := exampleTask()
			b := &bucket{task: *k, samples: map[int32]*traces.Trace{}, timings: map[int32]traces.Timing{}}
			b.file(arrived(k, 1))
			c.dead.TaskID = k.ID()
			b.file(&stream.Delivery{Task: k.ID(), Dead: &c.dead})
			if len(b.samples) != 1+len(c.lost) {
				t.Fatalf("%d samples, want %d", len(b.samples), 1+len(c.lost))
			}
			for _, sample := range c.lost {
				x := b.samples[sample]
				judge(grade.Exact{}, x)
				if x.Status != traces.DeadLettered || x.Verdict != traces.NoScore || x.StatusReason != c.dead.Reason {
					t.Errorf("sample %d: status %s (%s), verdict %s", sample, x.Status, x.StatusReason, x.Verdict)
				}
				if err := traces.Validate(x); err != nil {
					t.Errorf("the log would refuse it: %v", err)
				}
			}
		})
	}
}

func TestWhatAKilledTrainerHeldIsFiledWhenItsTaskIsReleasedAgain(t *testing.T) {
	k := exampleTask()
	c := newCollector(nil, nil)
	for _, sample := range []int32{2, 0} {
		c.file(arrived(k, sample))
	}
	c.expect(k)
	c.file(arrived(k, 1))
	b := c.buckets[k.Group]
	if !b.complete() || len(c.early) != 0 {
		t.Fatalf("waits for %s, %d deliveries without a home", b.missing(), len(c.early))
	}
	for i, x := range b.rows() {
		if x.Sample != int32(i) {
			t.Errorf("row %d is sample %d", i, x.Sample)
		}
	}
}
