package datasets

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"
)

func bigInt(n int64) *big.Int { return big.NewInt(n) }

type nestedItem struct {
	Values []int64 `parquet:"values,list"`
	Note   *string `parquet:"note,optional"`
}

type nestedRow struct {
	Text    string       `parquet:"text"`
	Maybe   *int32       `parquet:"maybe,optional"`
	Words   []string     `parquet:"words,list"`
	Items   []nestedItem `parquet:"items,list"`
	Bare    []string     `parquet:"bare"` // repeated without a list around it
	Real    float64      `parquet:"real"`
	Small   float32      `parquet:"small"`
	Flag    bool         `parquet:"flag"`
	Price   int64        `parquet:"price,decimal(2:18)"`
	Group   nestedItem   `parquet:"group"`
	Missing *nestedItem  `parquet:"missing,optional"`
}

func (i nestedItem) plain() map[string]any {
	out := map[string]any{"values": []any{}, "note": nil}
	for _, v := range i.Values {
		out["values"] = append(out["values"].([]any), v)
	}
	if i.Note != nil {
		out["note"] = *i.Note
	}
	return out
}

func (r nestedRow) plain() map[string]any {
	out := map[string]any{
		"text": r.Text, "maybe": nil, "words": []any{}, "items": []any{}, "bare": []any{}, "real": r.Real, "small": r.Small, "flag": r.Flag,
		"price": fixedPoint(bigInt(r.Price), 2), "group": r.Group.plain(), "missing": nil,
	}
	if r.Maybe != nil {
		out["maybe"] = int64(*r.Maybe)
	}
	for _, w := range r.Words {
		out["words"] = append(out["words"].([]any), w)
	}
	for _, i := range r.Items {
		out["items"] = append(out["items"].([]any), i.plain())
	}
	for _, b := range r.Bare {
		out["bare"] = append(out["bare"].([]any), b)
	}
	if r.Missing != nil {
		out["missing"] = r.Missing.plain()
	}
	return out
}

func TestNestedRowsComeBackAsTheyWereWritten(t *testing.T) {
	text := rapid.StringMatching(`[a-zé ]{0,6}`)
	item := rapid.Custom(func(t *rapid.T) nestedItem {
		return nestedItem{rapid.SliceOfN(rapid.Int64(), 0, 3).Draw(t, "values"), rapid.Ptr(text, true).Draw(t, "note")}
	})
	row := rapid.Custom(func(t *rapid.T) nestedRow {
		return nestedRow{
			Text: text.Draw(t, "text"), Maybe: rapid.Ptr(rapid.Int32(), true).Draw(t, "maybe"),
			Words: rapid.SliceOfN(text, 0, 3).Draw(t, "words"), Items: rapid.SliceOfN(item, 0, 3).Draw(t, "items"),
			Bare: rapid.SliceOfN(text, 0, 2).Draw(t, "bare"), Real: rapid.Float64().Draw(t, "real"), Small: rapid.Float32().Draw(t, "small"),
			Flag: rapid.Bool().Draw(t, "flag"), Price: rapid.Int64().Draw(t, "price"), Group: item.Draw(t, "group"),
			Missing: rapid.Ptr(item, true).Draw(t, "missing"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(row, 0, 150).Draw(t, "rows") // more than the buffer holds
		var file bytes.Buffer
		w := parquet.NewGenericWriter[nestedRow](&file, parquet.MaxRowsPerRowGroup(40))
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var want, got []map[string]any
		for _, r := range rows {
			want = append(want, r.plain())
		}
		err := readParquet(bytes.NewReader(file.Bytes()), int64(file.Len()), func(n int, r record, err error) bool {
			if err != nil || n != len(got)+1 {
				t.Fatalf("row %d: %v", n, err)
			}
			got = append(got, r)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
	})
}

func TestDecimalsAreExact(t *testing.T) {
	for _, c := range []struct {
		n     int64
		scale int32
		want  json.Number
	}{{12345, 2, "123.45"}, {-5, 1, "-0.5"}, {7, 0, "7"}, {100, 2, "1.00"}} {
		if got := fixedPoint(bigInt(c.n), c.scale); got != c.want {
			t.Errorf("%d with %d places: got %s, want %s", c.n, c.scale, got, c.want)
		}
	}
}

// Whatever a damaged file makes the library do must come back as rows or as an error.
func TestADamagedParquetFileNeverPanics(t *testing.T) {
	sound, err := os.ReadFile("testdata/verl.parquet")
	if err != nil {
		t.Fatal(err)
	}
	refused, step := 0, 5
	if testing.Short() {
		step = 29
	}
	for i := 0; i < len(sound); i += step {
		damaged := bytes.Clone(sound)
		damaged[i] ^= 0x55
		if err := readParquet(bytes.NewReader(damaged), int64(len(damaged)), func(int, record, error) bool { return true }); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}
