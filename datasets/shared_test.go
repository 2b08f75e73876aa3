package datasets

import (
	"os"
	"path/filepath"
	"testing"
)

// sharedData finds the folder of public problem files: PITH_SHARED_DATA, or shared/data beside the
// repository. Tests that need it are skipped where it is not.
func sharedData(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("PITH_SHARED_DATA"); dir != "" {
		return dir
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(root)
		if parent == root {
			t.Skip("no go.mod above the package")
		}
		root = parent
	}
	dir := filepath.Join(root, "..", "shared", "data")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the public problem files are not here: set PITH_SHARED_DATA to their folder")
	}
	return dir
}

func TestThePublicFilesAreReadWithoutSettings(t *testing.T) {
	dir := sharedData(t)
	for file, want := range map[string]struct {
		shape   string
		rows    int
		id      string
		answer  string
		heldOut float64
	}{
		"gsm8k_train.jsonl":   {"gsm8k", 7473, "gsm8k_train.jsonl:1", "72", 0.1},
		"gsm8k_test.jsonl":    {"gsm8k", 1319, "gsm8k_test.jsonl:1", "18", 0.1},
		"svamp.jsonl":         {"svamp", 1000, "chal-777", "145", 0.1},
		"aime24.jsonl":        {"math", 30, "60", "204", 0.1},
		"amc23.jsonl":         {"math", 40, "0", "27", 0.1},
		"olympiadbench.jsonl": {"olympiadbench", 675, "1606", "2", 0.1},
	} {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join(dir, file)
			f := open(t, Spec{Path: path, Order: "file"}, 0)
			p, err := f.Problem(Train, 0)
			if err != nil {
				t.Fatal(err)
			}
			if r := f.Report(); r.Shape != want.shape || r.Rows != want.rows || f.Len(Train) != want.rows || p.ID != want.id || p.Answer != want.answer {
				t.Errorf("report %+v, first problem %+v; want %+v", r, p, want)
			}
			split := open(t, Spec{Path: path, HeldOut: want.heldOut}, 0)
			share := float64(split.Len(HeldOut)) / float64(want.rows)
			if want.rows > 500 && (share < 0.07 || share > 0.13) {
				t.Errorf("held out %.3f, want about .1", share)
			}
		})
	}
}

func TestTheModelSolutionsAreReadByNamingTheirFields(t *testing.T) {
	f := open(t, Spec{
		Path: filepath.Join(sharedData(t), "gsm8k_model_solutions.jsonl"), Order: "file",
		Fields: Fields{Question: "question", Answer: "ground_truth", AnswerRule: "after A:"},
	}, 0)
	if p, _ := f.Problem(Train, 0); p.Answer != "18" || f.Len(Train) != 1319 {
		t.Errorf("%d problems, the first %+v", f.Len(Train), p)
	}
}

func BenchmarkOpenGSM8K(b *testing.B) {
	path := filepath.Join("..", "..", "shared", "data", "gsm8k_train.jsonl")
	info, err := os.Stat(path)
	if err != nil {
		b.Skip("the public problem files are not here")
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		if _, err := Open(Spec{Path: path, HeldOut: 0.1}, 0); err != nil {
			b.Fatal(err)
		}
	}
}
