package rewards_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"pith/rewards"
	"pith/rewards/score"
)

// vector is one named case of testdata/vectors: groups in columns, as the contract's keys (c stands
// for correct as 0, 1 or null, L for tokens), and what a method gives, in columns too. It goes
// through the JSON-lines contract of `pith score`, so that the whole path is under test.
type vector struct {
	Name      string
	Method    string
	Profile   string
	Set       map[string]any
	Advantage map[string]any
	Groups    []map[string]any
	Want      []map[string][]any
}

// tolerance of the printed vectors.
const tolerance = 1e-6

func readVectors(t *testing.T) map[string][]vector {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	all := map[string][]vector{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []vector
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&vectors); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, v := range vectors {
			all[v.Method] = append(all[v.Method], v)
		}
	}
	return all
}

// line turns columns into one line of the contract.
func (v *vector) line(i int) []byte {
	names := map[string]string{"c": "correct", "L": "tokens"}
	group := map[string]any{"group": fmt.Sprintf("g%d", i), "traces": []map[string]any{}}
	var traces []map[string]any
	for key, column := range v.Groups[i] {
		switch key {
		case "step", "problem":
			group[key] = column
			continue
		}
		list := column.([]any)
		for j, value := range list {
			if j == len(traces) {
				traces = append(traces, map[string]any{"id": fmt.Sprintf("t%d", j)})
			}
			if n, isInt := value.(int); isInt && key == "c" {
				value = n == 1
			}
			name := key
			if long, ok := names[key]; ok {
				name = long
			}
			traces[j][name] = value
		}
	}
	group["traces"] = traces
	text, err := json.Marshal(group)
	if err != nil {
		panic(err)
	}
	return append(text, '\n')
}

func TestVectors(t *testing.T) {
	all := readVectors(t)
	for _, name := range rewards.Names() {
		if len(all[name]) == 0 {
			t.Errorf("method %s has no vectors in testdata/vectors", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, v := range all[name] {
			t.Run(name+"/"+v.Name, func(t *testing.T) { v.run(t) })
		}
	}
}

func (v *vector) run(t *testing.T) {
	m, err := rewards.New(v.Method, rewards.Options{Profile: v.Profile, Params: v.Set, Advantage: v.Advantage})
	if err != nil {
		t.Fatal(err)
	}
	var in, out bytes.Buffer
	for i := range v.Groups {
		in.Write(v.line(i))
	}
	if err := score.Lines(m, &in, &out); err != nil {
		t.Fatal(err)
	}
	if len(v.Want) != len(v.Groups) {
		t.Fatalf("the vector wants %d groups of %d", len(v.Want), len(v.Groups))
	}
	d := json.NewDecoder(&out)
	for i, want := range v.Want {
		n := 0
		for _, column := range want {
			n = max(n, len(column))
		}
		for j := range n {
			got := map[string]any{}
			if err := d.Decode(&got); err != nil {
				t.Fatalf("group %d, trace %d: %v", i, j, err)
			}
			for key, column := range want {
				if len(column) != n {
					t.Fatalf("column %s has %d entries of %d", key, len(column), n)
				}
				if !near(got[key], column[j]) {
					t.Errorf("group %d, trace %d: %s = %v, want %v", i, j, key, got[key], column[j])
				}
			}
		}
	}
	if d.More() {
		t.Error("more traces in the output than in the vector")
	}
}

// near compares decoded JSON with decoded YAML, numbers within the tolerance.
func near(got, want any) bool {
	switch want := want.(type) {
	case int:
		return near(got, float64(want))
	case float64:
		g, ok := got.(float64)
		return ok && math.Abs(g-want) <= tolerance*max(1, math.Abs(want))
	case []any:
		list, ok := got.([]any)
		return ok && len(list) == len(want) && !slices.ContainsFunc(seq(len(list)), func(i int) bool { return !near(list[i], want[i]) })
	}
	return got == want
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
