package score

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"pith/rewards"
)

func method(t testing.TB, name string, o rewards.Options) *rewards.Method {
	t.Helper()
	m, err := rewards.New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The example of the contract, word for word, with a second trace.
const example = `{"group":"g1","step":12,"traces":[{"id":"a","correct":true,"formatted":true,"truncated":false,` +
	`"tokens":812,"chars":3120,"mode":"think","turns":1,"tool_calls":2,"first_tool_token":120,` +
	`"entropy":0.41,"budget_scores":[0,0.5,1,1],"text":"…"},{"id":"b","correct":null,"tokens":1},{"id":"c","correct":false,"formatted":true,"tokens":9}],` +
	`"problem":{"id":"p7","reference_accuracy":0.75,"token_budget":1000,"difficulty":3,"gold":"42"}}`

func TestLinesWriteOneObjectPerTrace(t *testing.T) {
	for _, c := range []struct{ method, in, want string }{
		{"laser", example, `{"group":"g1","id":"a","reward":1.5,"terms":{"correctness":1,"length":0.5},"advantage":0.7071062811869011,"token_advantages":null,"dropped":false,"reason":""}
{"group":"g1","id":"b","reward":0,"terms":{},"advantage":0,"token_advantages":null,"dropped":true,"reason":"no score"}
{"group":"g1","id":"c","reward":-0.5,"terms":{"correctness":-0.5,"length":0},"advantage":-0.7071062811869011,"token_advantages":null,"dropped":false,"reason":""}
`},
		{"brpo", `{"group":"g","traces":[{"id":"a","tokens":2500,"budget_scores":[0,0,1,1]}]}`,
			`{"group":"g","id":"a","reward":0.5,"terms":{"budget_score":0.5},"advantage":0.5,"token_advantages":[[0,2000,0.5],[2000,2500,0.5]],"dropped":false,"reason":""}
`},
		{"grpo", "\n  \n", ""},
		{"grpo", `{"group":"\"q\"é","traces":[]}`, ""},
		{"grpo", `{"group":"\"q\"é<","traces":[{"id":"\u0041","correct":true,"tokens":4e3}]}`,
			`{"group":"\"q\"é\u003c","id":"A","reward":1,"terms":{"correctness":1},"advantage":0,"token_advantages":null,"dropped":false,"reason":""}
`},
		{"alp", `{"group":"g","traces":[{"id":"a","correct":false,"tokens":1}]}`,
			`{"group":"g","id":"a","reward":-1e-07,"terms":{"correctness":0,"length":-1e-07},"advantage":0,"token_advantages":null,"dropped":false,"reason":""}
`},
	} {
		t.Run(c.method, func(t *testing.T) {
			var out bytes.Buffer
			if err := Lines(method(t, c.method, rewards.Options{}), strings.NewReader(c.in), &out); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("got\n%swant\n%s", out.String(), c.want)
			}
			for d := json.NewDecoder(&out); ; {
				var line map[string]any
				if err := d.Decode(&line); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestBadInputIsMetWithOneLineThatNamesItsPlace(t *testing.T) {
	trace := func(fields string) string {
		return `{"group":"g1","traces":[{"id":"a","correct":true,"tokens":3},{"id":"b",` + fields + `}]}`
	}
	for _, c := range []struct{ name, method, in, want string }{
		{"missing field", "grpo", trace(`"correct":true`), `line 1: group "g1": trace "b": field tokens: missing, and grpo needs it`},
		{"null is missing", "grpo", trace(`"correct":true,"tokens":null`), `line 1: group "g1": trace "b": field tokens: missing, and grpo needs it`},
		{"missing verdict", "grpo", trace(`"tokens":3`), `line 1: group "g1": trace "b": field correct: missing, and grpo needs it`},
		{"missing in a batch-scoped method", "dler", "\n" + trace(`"correct":true,"tokens":3`), `line 2: group "g1": trace "a": field truncated: missing, and dler needs it`},
		{"missing of the problem", "l1_max", trace(`"correct":true,"tokens":3`), `line 1: group "g1": field problem.token_budget: missing, and l1_max needs it`},
		{"missing step", "siri", trace(`"correct":true,"tokens":3`), `line 1: group "g1": field step: missing, and siri needs it`},
		{"wrong type, word", "grpo", trace(`"correct":true,"tokens":"3"`), `line 1: group "g1": trace "b": field tokens: want a whole number, got "3"`},
		{"wrong type, fraction", "grpo", trace(`"correct":true,"tokens":2.5`), `line 1: group "g1": trace "b": field tokens: want a whole number, got 2.5`},
		{"wrong type, verdict as number", "grpo", trace(`"correct":1,"tokens":3`), `line 1: group "g1": trace "b": field correct: want true or false, got 1`},
		{"wrong type of a field that the method does not need", "grpo", trace(`"correct":true,"tokens":3,"entropy":"high"`), `line 1: group "g1": trace "b": field entropy: want a finite number, got "high"`},
		{"NaN", "canon_entropy", trace(`"correct":true,"tokens":3,"entropy":NaN`), `line 1: group "g1": trace "b": field entropy: want a finite number, got NaN`},
		{"infinity", "canon_entropy", trace(`"correct":true,"tokens":3,"entropy":-Infinity`), `line 1: group "g1": trace "b": field entropy: want a finite number, got -Infinity`},
		{"overflow", "canon_entropy", trace(`"correct":true,"tokens":3,"entropy":1e999`), `line 1: group "g1": trace "b": field entropy: want a finite number, got 1e999`},
		{"negative count", "grpo", trace(`"correct":true,"tokens":-3`), `line 1: group "g1": trace "b": field tokens: want a count from 0 to 2^53, got -3`},
		{"share out of range", "adaptthink", `{"group":"g1","traces":[],"problem":{"reference_accuracy":1.5}}`, `line 1: group "g1": field problem.reference_accuracy: want a number from 0 to 1, got 1.5`},
		{"unknown mode", "adaptthink", `{"group":"g1","traces":[{"id":"a","correct":true,"mode":"fast"}],"problem":{"reference_accuracy":0.5}}`, `line 1: group "g1": trace "a": field mode: want one of think, no-think, instant, reasoning, agentic, got "fast"`},
		{"unknown label", "dr_saf", trace(`"correct":true,"tokens":3,"label":"EASY"`), `line 1: group "g1": trace "b": field label: want CFRB, PFRB or nothing, got "EASY"`},
		{"budget scores of another length", "brpo", `{"group":"g1","traces":[{"id":"a","tokens":3,"budget_scores":[0,1]}]}`, `line 1: group "g1": trace "a": field budget_scores: want one for each of the budgets [2000 4000 6000 8000], got 2; set problem.budgets or method.budgets`},
		{"budget score out of range", "brpo", `{"group":"g1","traces":[{"id":"a","tokens":3,"budget_scores":[0,1,2,1]}]}`, `line 1: group "g1": trace "a": field budget_scores: want numbers from 0 to 1, got 2`},
		{"falling budgets", "brpo", `{"group":"g1","traces":[],"problem":{"budgets":[4,2]}}`, `line 1: group "g1": field problem.budgets: want increasing token counts from 1, got [4 2]`},
		{"neither score nor verdict", "optima", `{"group":"g1","traces":[{"id":"a","tokens":3,"base_loss":1}]}`, `line 1: group "g1": trace "a": field score: missing, and so is correct; optima needs one of them`},
		{"loss of zero", "optima", `{"group":"g1","traces":[{"id":"a","tokens":3,"base_loss":0,"correct":true}]}`, `line 1: group "g1": trace "a": field base_loss: want a positive number from 1e-12 to 1e12, got 0`},
		{"no group", "grpo", `{"traces":[]}`, `line 1: field group: missing`},
		{"group of another type", "grpo", `{"group":3,"traces":[]}`, `line 1: field group: want a string, got 3`},
		{"no traces", "grpo", `{"group":"g1"}`, `line 1: group "g1": field traces: missing`},
		{"traces of another type", "grpo", `{"group":"g1","traces":{}}`, `line 1: group "g1": field traces: want a list, got {}`},
		{"no id", "grpo", `{"group":"g1","traces":[{"correct":true}]}`, `line 1: group "g1": trace "#0": field id: missing`},
		{"an id twice", "grpo", `{"group":"g1","traces":[{"id":"a"},{"id":"a"}]}`, `line 1: group "g1": trace "a": field id: given to two traces of the group`},
		{"a field twice", "grpo", trace(`"tokens":1,"tokens":2`), `line 1: group "g1": trace "b": field tokens: given twice`},
		{"a trace of another type", "grpo", `{"group":"g1","traces":[7]}`, `line 1: group "g1": trace "#0": field traces: want an object, got 7`},
		{"not an object", "grpo", `[1]`, `line 1: want an object with group and traces, got a list`},
		{"not JSON", "grpo", trace(`"tokens":`)[:40], `line 1: column 41: not JSON: a string has no end`},
		{"the third line", "grpo", example + "\n\n" + `{"group":"g2","traces":[{"id":"x","correct":true}]}`, `line 3: group "g2": trace "x": field tokens: missing, and grpo needs it`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Lines(method(t, c.method, rewards.Options{}), strings.NewReader(c.in), io.Discard)
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Error() != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
		})
	}
}

// endless yields the same line again and again.
type endless struct {
	line []byte
	left int
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.line[e.at:])
	if e.at += n; e.at == len(e.line) {
		e.at = 0
		e.left--
	}
	return n, nil
}

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 40 MB")
	}
	m := method(t, "kimi_length", rewards.Options{})
	peak := func(lines int) uint64 {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := Lines(m, &endless{line: groupLine(16), left: lines}, io.Discard); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.HeapSys - min(before.HeapSys, after.HeapSys)
	}
	peak(100)
	if grown := peak(40000); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB over 40000 groups", grown>>20)
	}
}

func groupLine(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"group":"g1","step":12,"traces":[`)
	for i := range size {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"t%d","correct":%v,"formatted":true,"truncated":false,"tokens":%d,"chars":%d}`, i, i%3 > 0, 100+i*37, 400+i*150)
	}
	b.WriteString("]}\n")
	return b.Bytes()
}

func TestALineLongerThanTheBufferIsRead(t *testing.T) {
	text := `{"group":"g","traces":[{"id":"a","correct":true,"tokens":1,"text":"` + strings.Repeat("x", 200_000) + `"}]}`
	var out bytes.Buffer
	if err := Lines(method(t, "grpo", rewards.Options{}), strings.NewReader(text+"\n"+text), &out); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("%d lines, want 2", got)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(example))
	f.Add(groupLine(3))
	f.Add([]byte(`{"group":"g","problem":{"budgets":[1,2]},"traces":[{"id":"a","budget_scores":[0,1],"tokens":1e15}]}`))
	names := []string{"grpo", "dler", "laser_de", "brpo", "optima", "dr_saf"}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, name := range names {
			var out bytes.Buffer
			err := Lines(method(t, name, rewards.Options{}), bytes.NewReader(text), &out)
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			for d := json.NewDecoder(&out); ; {
				var line map[string]any
				if err := d.Decode(&line); err != nil {
					if !errors.Is(err, io.EOF) {
						t.Errorf("output is not JSON: %v", err)
					}
					break
				}
			}
		}
	})
}

// BenchmarkLines measures the whole path, JSON in and out, in traces a second.
func BenchmarkLines(b *testing.B) {
	m := method(b, "kimi_length", rewards.Options{})
	line := groupLine(16)
	b.SetBytes(int64(len(line)))
	in := &endless{line: line}
	b.ReportAllocs()
	b.ResetTimer()
	in.left = b.N
	if err := Lines(m, in, io.Discard); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)*16/b.Elapsed().Seconds(), "traces/s")
}
