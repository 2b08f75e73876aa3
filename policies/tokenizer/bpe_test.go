package tokenizer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The tokenizers of testdata/bpe and every case's ids come from testdata/bpe/reference.py.
var bpeNames = []string{"qwen", "llama", "odd"}

var loadBPE = func() func(testing.TB, string) *BPE {
	var mu sync.Mutex
	all := map[string]*BPE{}
	return func(t testing.TB, name string) *BPE {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if all[name] == nil {
			got, err := Load(filepath.Join("testdata", "bpe", name))
			if err != nil {
				t.Fatal(err)
			}
			all[name] = got.(*BPE)
		}
		return all[name]
	}
}()

// referenceCases calls f with every case of a tokenizer: the text, its ids and what they decode to.
func referenceCases(t testing.TB, name string, f func(text string, ids []int32, back string)) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "bpe", "cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var c map[string]json.RawMessage
		var text string
		var ids []int32
		if err := errors.Join(json.Unmarshal(lines.Bytes(), &c), json.Unmarshal(c["text"], &text), json.Unmarshal(c[name], &ids)); err != nil {
			t.Fatal(err)
		}
		back := text
		if b, ok := c[name+"_text"]; ok {
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
		}
		f(text, ids, back)
	}
	if n < 2000 {
		t.Fatalf("only %d cases", n)
	}
}

func TestBPEAgreesWithTheReference(t *testing.T) {
	for _, name := range bpeNames {
		t.Run(name, func(t *testing.T) {
			b := loadBPE(t, name)
			referenceCases(t, name, func(text string, ids []int32, back string) {
				got, err := b.Encode(text)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(append([]int32{}, ids...), append([]int32{}, got...)); diff != "" {
					t.Errorf("%q (-reference +got):\n%s", text, diff)
				}
				if got := b.Decode(ids); got != back {
					t.Errorf("%q decodes to %q, the reference to %q", text, got, back)
				}
			})
		})
	}
}

// With real vocabularies: PITH_TOKENIZERS lists directories with a tokenizer.json, separated as PATH
// is, and PITH_PYTHON is a Python that has the tokenizers package.
func TestBPEAgreesWithTheReferenceLive(t *testing.T) {
	dirs, python := filepath.SplitList(os.Getenv("PITH_TOKENIZERS")), os.Getenv("PITH_PYTHON")
	if len(dirs) == 0 || python == "" {
		t.Skip("needs PITH_TOKENIZERS, directories with a tokenizer.json, and PITH_PYTHON, a Python with the tokenizers package")
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			b, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "bpe", "reference.py"), "live",
				filepath.Join(dir, tokenizerFile), "20000", "live").Output()
			if err != nil {
				t.Fatal(err)
			}
			n, wrong := 0, 0
			for d := json.NewDecoder(bytes.NewReader(out)); d.More(); n++ {
				var c struct {
					Text, Back string
					IDs        []int32
				}
				if err := d.Decode(&c); err != nil {
					t.Fatal(err)
				}
				got := append([]int32{}, tokIDs(b, c.Text)...)
				if diff := cmp.Diff(append([]int32{}, c.IDs...), got); diff != "" || b.Decode(c.IDs) != c.Back {
					if wrong++; wrong < 5 {
						t.Errorf("%q decodes to %q, want %q; ids (-reference +got):\n%s", c.Text, b.Decode(c.IDs), c.Back, diff)
					}
				}
			}
			t.Logf("%d strings, %d differ", n, wrong)
		})
	}
}

func TestAStreamNeverHoldsABrokenCharacter(t *testing.T) {
	for _, name := range bpeNames {
		t.Run(name, func(t *testing.T) {
			b := loadBPE(t, name)
			referenceCases(t, name, func(_ string, ids []int32, back string) {
				d := NewDecoder(b)
				var all strings.Builder
				for _, id := range ids {
					part := d.Push(id)
					if !utf8.ValidString(part) || strings.ContainsRune(part, utf8.RuneError) != strings.ContainsRune(part, '\ufffd') {
						t.Fatalf("part %q is broken", part)
					}
					all.WriteString(part)
				}
				if all.WriteString(d.Flush()); all.String() != back {
					t.Fatalf("stream gave %q, want %q", all.String(), back)
				}
			})
		})
	}
}

// Whatever ids come, and however they are cut, the stream is what Decode gives.
func TestAStreamIsItsDecoding(t *testing.T) {
	words, err := NewWords([]string{"a", "b", "é"}, Roles{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tok := range map[string]Tokenizer{"bpe": loadBPE(t, "llama"), "words": words, "foreign": foreign{loadBPE(t, "qwen")}} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			ids := rapid.SliceOf(rapid.Int32Range(-1, int32(tok.VocabSize()))).Draw(t, "ids")
			if name == "foreign" { // whose broken characters may be put together by a later token
				ids = tokIDs(tok, rapid.String().Draw(t, "text"))
			}
			d := NewDecoder(tok)
			var all strings.Builder
			for rest := ids; len(rest) > 0; {
				n := rapid.IntRange(1, len(rest)).Draw(t, "n")
				part := d.Push(rest[:n]...)
				if !utf8.ValidString(part) {
					t.Fatalf("part %q is not UTF-8", part)
				}
				all.WriteString(part)
				rest = rest[n:]
			}
			all.WriteString(d.Flush())
			if want := tok.Decode(ids); all.String() != want {
				t.Fatalf("stream gave %q, Decode %q", all.String(), want)
			}
		}))
	}
}

func tokIDs(t Tokenizer, text string) []int32 {
	ids, _ := t.Encode(text)
	return ids
}

// foreign hides that a tokenizer is one of this package.
type foreign struct{ Tokenizer }

func TestBrokenCharactersReadAsUnicodeRecommends(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"whole", "aé", "aé"},
		{"lone continuation", "a\x80\x80b", "a\ufffd\ufffdb"},
		{"cut character", "\xe4\xbd", "\ufffd"},
		{"cut, then text", "\xe4\xbdA", "\ufffdA"},
		{"overlong", "\xc0\xaf", "\ufffd\ufffd"},
		{"surrogate", "\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
		{"cut four-byte", "\xf0\x9f\x91x\xf0\x9f", "\ufffdx\ufffd"},
		{"a real U+FFFD", "\ufffd", "\ufffd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := lossy([]byte(tc.in)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestBytesThatAreNotTextSurvive(t *testing.T) {
	b := loadBPE(t, "llama")
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		var back []byte
		for _, id := range tokIDs(b, text) {
			back = b.appendToken(back, id, false)
		}
		if string(back) != text {
			t.Fatalf("%q came back as %q", text, back)
		}
	})
}

func TestLongAndShortPiecesMergeAlike(t *testing.T) {
	b := loadBPE(t, "qwen")
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.StringMatching(`[a-ht\x{80}-\x{ff} thinkingse]{2,60}`).Draw(t, "piece")
		if len(piece) > shortPiece {
			piece = piece[:shortPiece]
		}
		if diff := cmp.Diff(b.mergeLong(nil, piece), b.merge(nil, piece)); diff != "" {
			t.Fatalf("%q (-heap +scan):\n%s", piece, diff)
		}
	})
}

func TestTokensAreFoundByTheirText(t *testing.T) {
	b := loadBPE(t, "qwen")
	for id := range int32(b.VocabSize()) {
		text := b.Token(id)
		if got, ok := b.ID(text); !ok || got != id {
			t.Errorf("ID(%q) is %d, %v, want %d", text, got, ok, id)
		}
	}
	if _, ok := b.ID("no such token"); ok {
		t.Error("an unknown token has an id")
	}
	end, _ := b.ID("<|im_end|>")
	think, _ := b.ID("<think>")
	if !b.Special(end) || b.Special(think) || b.Special(-1) {
		t.Errorf("special: <|im_end|> %v, <think> %v, -1 %v", b.Special(end), b.Special(think), b.Special(-1))
	}
	if got := b.Decode([]int32{-1, end, 1 << 30}); got != "<?-1><|im_end|><?1073741824>" {
		t.Errorf("unknown ids decode to %q", got)
	}
}

func TestASavedBPEIsTheSame(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	text, err := os.ReadFile("testdata/bpe/qwen/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	config := []byte(`{"eos_token": {"content": "<|im_end|>"}, "model_max_length": 1000000000000000019884624838656}`)
	if err := errors.Join(os.WriteFile(filepath.Join(from, tokenizerFile), text, 0o644), os.WriteFile(filepath.Join(from, configFile), config, 0o644),
		os.WriteFile(filepath.Join(from, "chat_template.jinja"), []byte("{{ messages }}"), 0o644)); err != nil {
		t.Fatal(err)
	}
	b, err := Load(from)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.(*BPE).Roles().EOS; got != "<|im_end|>" {
		t.Errorf("eos is %q", got)
	}
	if err := b.(*BPE).Save(to); err != nil {
		t.Fatal(err)
	}
	if err := fs.WalkDir(os.DirFS(from), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want, err1 := os.ReadFile(filepath.Join(from, path))
		got, err2 := os.ReadFile(filepath.Join(to, path))
		if !bytes.Equal(want, got) {
			t.Errorf("%s differs", path)
		}
		return errors.Join(err1, err2)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestOtherTokenizersAreRefused(t *testing.T) {
	text, err := os.ReadFile("testdata/bpe/qwen/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, old, new, want string }{
		{"another pattern", `\\p{L}+|`, `\\p{L}|`, "unknown pattern"},
		{"another split", `"Isolated"`, `"Removed"`, "settings other than"},
		{"the old GPT-2 way", `"use_regex":false}]`, `"use_regex":true}]`, "settings other than"},
		{"no split", `"type":"Sequence","pretokenizers"`, `"type":"Sequence","x"`, "not a Split and then ByteLevel"},
		{"another normalizer", `"NFC"`, `"NFKC"`, `normalizer "NFKC"`},
		{"another decoder", `"decoder":{"type":"ByteLevel"`, `"decoder":{"type":"Fuse"`, "decoder is not ByteLevel"},
		{"dropout", `"dropout":null`, `"dropout":0.1`, "deterministic"},
		{"byte fallback", `"byte_fallback":false`, `"byte_fallback":true`, "byte_fallback"},
		{"an unknown token", `"unk_token":null`, `"unk_token":"x"`, "unk_token"},
		{"no token for a byte", `"!":0,`, ``, "no token for byte 0x21"},
		{"two tokens of one id", `"\"":1,`, `"\"":0,`, "id 0 is both"},
		{"a negative id", `"!":0,`, `"!":-5,`, "has id -5"},
		{"a huge id", `"!":0,`, `"!":2000000000,`, "has id 2000000000"},
		{"a merge from nowhere", `"merges":[["`, `"merges":[["zzz","h"],["`, "merge 0 of"},
		{"a merge of three", `"merges":[[`, `"merges":["a b c"],"x":[[`, "want two tokens"},
		{"merges of numbers", `"merges":[[`, `"merges":[5],"x":[[`, "merges: want"},
		{"an empty added token", `"content":"<think>"`, `"content":""`, "has no text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			changed := strings.Replace(string(text), tc.old, tc.new, 1)
			if changed == string(text) {
				t.Fatalf("%s is not in the file", tc.old)
			}
			if _, err := Parse([]byte(changed), Roles{}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func FuzzBPE(f *testing.F) {
	b, d := loadBPE(f, "odd"), loadBPE(f, "llama")
	f.Add("the 'S <l> word\r\n  x\u0301\u0323")
	f.Add("\xff\xe4\xbd <|im_start|>")
	f.Fuzz(func(t *testing.T, text string) {
		for _, b := range []*BPE{b, d} {
			ids := tokIDs(b, text)
			for _, id := range ids {
				if !b.has(id) {
					t.Fatalf("%q has id %d", text, id)
				}
			}
			if b == d && b.Decode(ids) != lossy([]byte(text)) {
				t.Fatalf("%q came back as %q", text, b.Decode(ids))
			}
		}
	})
}

func FuzzParseBPE(f *testing.F) {
	for _, name := range bpeNames {
		text, err := os.ReadFile(filepath.Join("testdata", "bpe", name, tokenizerFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Parse(text, Roles{})
		if err != nil {
			return
		}
		if _, err := b.Encode("so it is 42"); err != nil && b.VocabSize() == 0 {
			t.Fatal("an empty vocabulary was accepted")
		}
	})
}
