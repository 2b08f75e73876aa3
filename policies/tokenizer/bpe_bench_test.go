package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benchmarkTexts are English with mathematics, code, and text without spaces.
func benchmarkTexts(tb testing.TB) map[string]string {
	tb.Helper()
	code, err := os.ReadFile("split.go")
	if err != nil {
		tb.Fatal(err)
	}
	prose := "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many " +
		"clips did Natalia sell altogether? She sold 48/2 = <<48/2=24>>24 clips in May, so it's 48 + 24 = 72 in total.\n\n"
	return map[string]string{
		"prose": strings.Repeat(prose, 100),
		"code":  strings.Repeat(string(code), 5),
		"han":   strings.Repeat("娜塔莉亚四月份卖给了她的朋友四十八个夹子，五月份卖了一半。她一共卖了多少个夹子？", 100),
	}
}

// With real vocabularies where PITH_TOKENIZERS lists directories that have them, else with the
// fixture's tiny one, which is slower as next to no piece is a token.
func benchmarkTokenizers(tb testing.TB) map[string]*BPE {
	tb.Helper()
	all := map[string]*BPE{"tiny": loadBPE(tb, "qwen")}
	for _, dir := range filepath.SplitList(os.Getenv("PITH_TOKENIZERS")) {
		b, err := Load(dir)
		if err != nil {
			tb.Fatal(err)
		}
		all[filepath.Base(filepath.Dir(dir))] = b.(*BPE)
	}
	return all
}

func BenchmarkEncode(b *testing.B) {
	for name, tok := range benchmarkTokenizers(b) {
		for kind, text := range benchmarkTexts(b) {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				var ids []int32
				for b.Loop() {
					ids = tok.AppendEncode(ids[:0], text)
				}
				b.ReportMetric(float64(len(text))/float64(len(ids)), "bytes/token")
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, tok := range benchmarkTokenizers(b) {
		text := benchmarkTexts(b)["prose"]
		ids := tok.AppendEncode(nil, text)
		b.Run(name+"/whole", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Decode(ids)
			}
		})
		b.Run(name+"/stream", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				d := NewDecoder(tok)
				for _, id := range ids {
					d.Push(id)
				}
				d.Flush()
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for name, tok := range benchmarkTokenizers(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse(tok.files[0].text, Roles{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
