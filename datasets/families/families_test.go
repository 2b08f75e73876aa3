package families

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/datasets"
)

func TestEveryGeneratedFamilyOpensWithItsDefaultsAndHoldsTogether(t *testing.T) {
	for name, teachers := range map[string]int{"clock": 2, "clock-tools": 2, "relay": 1} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(name, 3, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Source.Name(); got != name {
				t.Errorf("source is named %q", got)
			}
			id := map[string]int32{}
			for i, token := range f.Vocabulary {
				id[token] = int32(i)
			}
			m := f.Markers
			for _, marker := range []string{m.Pad, m.BOS, m.EOS, m.Think, m.EndThink, m.Cut, m.Call, m.EndCall, m.Result, m.EndResult} {
				if _, known := id[marker]; marker != "" && (!known || !slices.Contains(f.Special, marker)) {
					t.Errorf("marker %q is not a special token of the vocabulary", marker)
				}
			}
			if (m.Call != "") != (len(f.Tools) > 0) {
				t.Errorf("call marker %q with %d tools", m.Call, len(f.Tools))
			}
			for _, split := range []datasets.Split{datasets.Train, datasets.HeldOut} {
				p, err := f.Source.Problem(split, 5)
				if err != nil {
					t.Fatal(err)
				}
				for _, token := range strings.Split(p.Prompt, " ") {
					if _, known := id[token]; !known {
						t.Errorf("token %q of prompt %q is not in the vocabulary", token, p.Prompt)
					}
				}
				if !strings.HasSuffix(p.Prompt, " "+m.Think) {
					t.Errorf("prompt %q does not end in %s", p.Prompt, m.Think)
				}
			}
			for _, teacher := range f.Teachers() {
				example, err := f.Teacher(teacher, 1, nil)
				if err != nil {
					t.Fatal(err)
				}
				ids, train, err := example(4, 2)
				if err != nil {
					t.Fatal(err)
				}
				if len(ids) != len(train) || ids[0] != id[m.BOS] || ids[len(ids)-1] != id[m.EOS] || !train[len(train)-1] {
					t.Errorf("teacher %s: %v %v", teacher, ids, train)
				}
			}
			if len(f.Teachers()) != teachers {
				t.Errorf("teachers: %v", f.Teachers())
			}
		})
	}
}

func TestParametersOverrideTheDefaults(t *testing.T) {
	// A JSON config knows only floats.
	f, err := Open("clock", 0, map[string]any{"min_level": 3.0, "max_level": 3})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(20) {
		p, err := f.Source.Problem(datasets.Train, i)
		if err != nil {
			t.Fatal(err)
		}
		if p.Level != 3 {
			t.Fatalf("problem %d has level %d", i, p.Level)
		}
	}
}

func TestAFileIsOpenedByItsParameters(t *testing.T) {
	f, err := Open("file", 7, map[string]any{
		"path": "../testdata/custom.jsonl", "template": "Q: {question}", "order": "file",
		"fields": map[string]any{"question": "task.text", "answer": "gold.value", "answer_rule": "after answer is"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Source.Problem(datasets.Train, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := datasets.Problem{ID: "custom.jsonl:1", Dataset: "custom", Prompt: "Q: What is 6 times 7?", Answer: "42"}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
	if f.Vocabulary != nil || f.Tools != nil || f.Teachers() != nil || f.Markers != (Markers{}) {
		t.Errorf("a file brings more than its problems: %+v", f)
	}
}

func TestTeacherListsReplaceTheirDefaults(t *testing.T) {
	f, err := Open("clock", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	short, err := f.Teacher("default", 0, map[string]any{"checks": []any{1.0}, "cut": 0, "levels": []any{1}, "plan": 0, "noticed": 0, "slip": 0})
	if err != nil {
		t.Fatal(err)
	}
	for row := range 200 {
		ids, _, err := short(0, row)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) > 6+6+3 { // also: the levels asked for
			t.Fatalf("row %d: %d ids, but one verbose step of level 1 needs 15 at most", row, len(ids))
		}
	}
}

func TestMistakesAreMetWithWhatWouldBeValid(t *testing.T) {
	clock, err := Open("clock", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := Open("file", 0, map[string]any{"path": "../testdata/gsm8k.jsonl"})
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string, params map[string]any) error { _, err := Open(name, 0, params); return err }
	teach := func(name string, params map[string]any) error { _, err := clock.Teacher(name, 0, params); return err }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"unknown source":   {open("clok", nil), `no data source "clok": use one of clock, clock-tools, relay, file`},
		"unknown key":      {open("clock", map[string]any{"max_levle": 3}), "unknown parameter max_levle: valid are min_level, max_level, max_operand"},
		"tools by key":     {open("clock", map[string]any{"tools": true}), "unknown parameter tools"},
		"a fraction":       {open("clock", map[string]any{"max_level": 2.5}), "2.5 is no whole number"},
		"a wrong type":     {open("clock", map[string]any{"max_level": "three"}), "max_level"},
		"out of range":     {open("clock", map[string]any{"max_level": 9}), "max_level is 9: it must be min_level (1) to 8"},
		"no such file":     {open("file", map[string]any{"path": "testdata/none.jsonl"}), "testdata/none.jsonl: file does not exist"},
		"nested key":       {open("file", map[string]any{"path": "x", "fields": map[string]any{"query": "q"}}), "unknown parameter fields.query: valid are path, name"},
		"no teacher":       {func() error { _, err := file.Teacher("default", 0, nil); return err }(), "gsm8k has no teacher: start from a base policy"},
		"unknown teacher":  {teach("tool-b", nil), `clock has no teacher "tool-b": it has default, warm`},
		"teacher key":      {teach("warm", map[string]any{"slips": 1}), "unknown parameter slips: valid are levels, at_once_easy"},
		"teacher's chance": {teach("warm", map[string]any{"slip": 2}), "slip is 2: it must be 0 to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", c.err, c.want)
			}
		})
	}
}

func TestAboutListsParametersWithTheirDefaults(t *testing.T) {
	for _, name := range Names() {
		about, keys, err := About(name)
		if err != nil || about == "" || len(keys) == 0 {
			t.Errorf("%s: %q, %d keys, %v", name, about, len(keys), err)
		}
	}
	_, keys, _ := About("clock")
	want := Key{Name: "max_level", Type: "int", Default: 8}
	if d := cmp.Diff(want, keys[1]); d != "" {
		t.Error(d)
	}
	if _, _, err := About("nothing"); err == nil {
		t.Error("an unknown source was described")
	}
}
