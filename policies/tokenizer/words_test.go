package tokenizer

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite golden files")

var (
	tokens = []string{"<pad>", "<bos>", "<eos>", "<think>", "</think>", "0", "1", "+1", "*3", "a", `"`, `\`, "ä"}
	roles  = Roles{BOS: "<bos>", EOS: "<eos>", PAD: "<pad>", Special: []string{"<think>", "</think>"}}
)

func words(t testing.TB) *Words {
	t.Helper()
	w, err := NewWords(tokens, roles)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTextIsTokensSeparatedByBlanks(t *testing.T) {
	w := words(t)
	for _, tc := range []struct {
		name, text string
		want       []int32
		back       string
	}{
		{"plain", "<bos> a 1 +1 <think>", []int32{1, 9, 6, 7, 3}, "<bos> a 1 +1 <think>"},
		{"more blanks than needed", "  a\t1 \n", []int32{9, 6}, "a 1"},
		{"nothing", "", []int32{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := w.Encode(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
			if back := w.Decode(got); back != tc.back {
				t.Errorf("decoded %q, want %q", back, tc.back)
			}
		})
	}
}

func TestUnknownWordsAndIDsAreNamed(t *testing.T) {
	w := words(t)
	_, err := w.Encode("a 1 zebra")
	if want := `word 3, "zebra", is not in the vocabulary of 13 tokens`; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	if got := w.Decode([]int32{9, -1, 13}); got != "a <?-1> <?13>" {
		t.Errorf("decoded %q", got)
	}
	if _, ok := w.ID("zebra"); ok {
		t.Error("zebra has an id")
	}
}

func TestBadVocabulariesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		tokens []string
		roles  Roles
		want   string
	}{
		{"empty", nil, Roles{}, "vocabulary is empty"},
		{"twice", []string{"a", "b", "a"}, Roles{}, `"a" is there twice, as 0 and 2`},
		{"blank inside", []string{"a b"}, Roles{}, "want a word without blanks"},
		{"empty token", []string{"a", ""}, Roles{}, "token 1"},
		{"not UTF-8", []string{"\xff"}, Roles{}, "token 0"},
		{"role unknown", []string{"a"}, Roles{EOS: "b"}, `special token "b"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := NewWords(tc.tokens, tc.roles); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		vocab := rapid.SliceOfNDistinct(rapid.StringMatching(`[^\s\pZ\pC]{1,6}`), 1, 40, rapid.ID).Draw(rt, "vocab")
		var r Roles
		pick := rapid.SampledFrom(append([]string{""}, vocab...))
		r.BOS, r.EOS, r.PAD = pick.Draw(rt, "bos"), pick.Draw(rt, "eos"), pick.Draw(rt, "pad")
		w, err := NewWords(vocab, r)
		if err != nil {
			rt.Fatal(err)
		}
		dir := t.TempDir()
		if err := w.Save(dir); err != nil {
			rt.Fatal(err)
		}
		back, err := Load(dir)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(w, back, cmp.AllowUnexported(Words{})); diff != "" {
			rt.Errorf("loaded differs (-saved +loaded):\n%s", diff)
		}
	})
}

func TestFilesAreThoseOfHuggingFace(t *testing.T) {
	dir := t.TempDir()
	if err := words(t).Save(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestFilesThatMeanSomethingElseAreRefused(t *testing.T) {
	good := `{"added_tokens":[],"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":0,"b":1},"unk_token":"<unk>"}}`
	if _, err := Parse([]byte(good), Roles{}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, from, to, want string }{
		{"another model", `"WordLevel"`, `"Unigram"`, `tokenizer model "Unigram" is not supported`},
		{"another split", `"WhitespaceSplit"`, `"Whitespace"`, "has to split at blanks"},
		{"no split", `"pre_tokenizer":{"type":"WhitespaceSplit"}`, `"pre_tokenizer":null`, "has to split at blanks"},
		{"a normalizer", `"added_tokens"`, `"normalizer":{"type":"Lowercase"},"added_tokens"`, "normalizer is set"},
		{"a hole", `"b":1`, `"b":2`, "ids have holes"},
		{"negative", `"b":1`, `"b":-1`, "ids have holes"},
		{"an id twice", `"b":1`, `"b":0`, "id 0 is both"},
		{"cut short", `"unk_token":"<unk>"}}`, ``, "unexpected end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(good, tc.from, tc.to, 1)
			if _, err := Parse([]byte(text), Roles{}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestADirectoryWithoutTokenizerIsNamed(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "has no tokenizer.json") {
		t.Errorf("error is %v", err)
	}
}

func FuzzParse(f *testing.F) {
	text, err := words(f).MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"WhitespaceSplit"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		tok, err := Parse(text, Roles{})
		if err != nil {
			return
		}
		for id := range int32(tok.VocabSize()) {
			if back, ok := tok.ID(tok.Token(id)); !ok || back != id {
				t.Fatalf("token %d is %q, which is %d", id, tok.Token(id), back)
			}
			ids, err := tok.Encode(tok.Decode([]int32{id}))
			if diff := cmp.Diff([]int32{id}, ids); err != nil || diff != "" {
				t.Fatalf("token %d does not survive text: %v %s", id, err, diff)
			}
		}
	})
}
