package traces

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// fill sets every field reachable from v to something other than its zero value, so that a field
// which the wire form forgets shows as a difference.
func fill(v reflect.Value, r *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), r)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			fill(v.Index(i), r)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), r)
	case reflect.String:
		v.SetString(strings.Repeat("é", 1+r.IntN(200)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(1+r.IntN(1<<30)) * int64(1-2*r.IntN(2)))
	case reflect.Uint64:
		v.SetUint(r.Uint64() | 1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(1 + r.Float32()))
	default:
		panic("fill: " + v.Kind().String())
	}
}

func TestWireFormCarriesEveryField(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var want Trace
	var wantTiming Timing
	fill(reflect.ValueOf(&want).Elem(), r)
	fill(reflect.ValueOf(&wantTiming).Elem(), r)
	if _, err := Marshal(&want, &wantTiming); err == nil || !strings.Contains(err.Error(), "cannot be streamed") {
		t.Errorf("a trace without token ids was marshalled: %v", err)
	}
	want.LengthSource = "" // the mark of imported traces, which no worker sends
	b, err := Marshal(&want, &wantTiming)
	if err != nil {
		t.Fatal(err)
	}
	got, gotTiming, err := Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&wantTiming, gotTiming); diff != "" {
		t.Errorf("timing (-want +got):\n%s", diff)
	}
}

func TestWireFormRoundTripsAndIsCanonical(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := validTrace().Draw(rt, "trace")
		b, err := Marshal(&want, nil)
		if err != nil {
			rt.Fatal(err)
		}
		got, timing, err := Unmarshal(b)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
		again, err := Marshal(got, timing)
		if err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(b, again) {
			rt.Fatal("marshalling the decoded trace gave other bytes")
		}
	})
}

func TestWireFormRefusesWhatItDidNotWrite(t *testing.T) {
	tr := plainTrace(1, "g", 0)
	good, err := Marshal(&tr, nil)
	if err != nil {
		t.Fatal(err)
	}
	reseal := func(b []byte) []byte {
		return binary.LittleEndian.AppendUint32(b[:len(b)-4:len(b)-4], crc32.Checksum(b[:len(b)-4], castagnoli))
	}
	newer := bytes.Clone(good)
	newer[2] = WireVersion + 1
	flipped := bytes.Clone(good)
	flipped[20] ^= 4
	long := reseal(append(bytes.Clone(good[:len(good)-4]), 0, 0, 0, 0, 0))
	huge := []byte{'p', 't', WireVersion, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0}
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, "not a trace"},
		{"JSON", []byte(`{"run":"x"}`), "not a trace"},
		{"a newer version", newer, "wire version 3, this build reads up to 2"},
		{"a flipped bit", flipped, "checksum"},
		{"a message cut short", good[:len(good)/2], "checksum"},
		{"a message cut short under a good checksum", reseal(good[:len(good)/2]), "undecodable"},
		{"bytes after the end", long, "too many"},
		{"a string longer than the message", reseal(huge), "list longer than the message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Unmarshal(c.in)
			if !errors.Is(err, ErrWire) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrWire with %q", err, c.want)
			}
		})
	}
}

func TestTheFirstWireVersionIsStillRead(t *testing.T) {
	want := plainTrace(1, "g", 0)
	b, err := Marshal(&want, &Timing{Worker: "w"})
	if err != nil {
		t.Fatal(err)
	}
	old := bytes.Clone(b[:len(b)-4-3]) // without an empty list and two absent numbers
	old[2] = 1
	got, timing, err := Unmarshal(binary.LittleEndian.AppendUint32(old, crc32.Checksum(old, castagnoli)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" || timing.Worker != "w" {
		t.Errorf("timing %+v; (-want +got):\n%s", timing, diff)
	}
}

func FuzzUnmarshal(f *testing.F) {
	tr := plainTrace(1, "g", 0)
	tr.ToolCalls = []ToolCall{{Name: "clock", Start: 0, End: 1}}
	good, err := Marshal(&tr, &Timing{Worker: "w"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("pt\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 7 { // a fuzzer does not guess checksums
			b = binary.LittleEndian.AppendUint32(bytes.Clone(b[:len(b)-4]), crc32.Checksum(b[:len(b)-4], castagnoli))
		}
		got, timing, err := Unmarshal(b)
		if err != nil {
			if !errors.Is(err, ErrWire) {
				t.Fatalf("error outside the contract: %v", err)
			}
			return
		}
		again, err := Marshal(got, timing)
		if err != nil {
			t.Fatal(err)
		}
		if b[2] == WireVersion && !bytes.Equal(b, again) {
			t.Fatalf("accepted a form that is not canonical:\n%x\n%x", b, again)
		}
		_ = Validate(got) // must not panic on anything decodable
	})
}

// benchTrace has the size of a quickstart trace (70 tokens) or of a long chain.
func benchTrace(tokens int) *Trace {
	r := rand.New(rand.NewPCG(3, 4))
	t := plainTrace(3, "g3/17", 4)
	t.PromptTokens, t.Tokens, t.LogProbs = nil, nil, nil
	for range 20 {
		t.PromptTokens = append(t.PromptTokens, r.Int32N(64))
	}
	for range tokens {
		t.Tokens = append(t.Tokens, r.Int32N(64))
		t.LogProbs = append(t.LogProbs, -r.Float32())
	}
	n := int32(tokens)
	t.Segments = []Segment{{Think, 0, n - 2, true}, {Answer, n - 2, n, true}}
	t.Spans = []Span{{Policy: "policy-000003", Version: 3, Start: 0, End: n}}
	t.LengthTokens = n
	t.Text = strings.Repeat("b 4 = 7 ; ", tokens/4)
	t.Terms = []Term{{"correctness", 1}, {"length", 0.25}}
	return &t
}

func BenchmarkWire(b *testing.B) {
	for _, size := range []struct {
		name   string
		tokens int
	}{{"70 tokens", 70}, {"3000 tokens", 3000}} {
		t := benchTrace(size.tokens)
		b.Run("binary/"+size.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				buf, err := Marshal(t, nil)
				if err != nil {
					b.Fatal(err)
				}
				n = len(buf)
				if _, _, err := Unmarshal(buf); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n), "bytes/trace")
		})
		b.Run("json/"+size.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				buf, err := json.Marshal(t)
				if err != nil {
					b.Fatal(err)
				}
				n = len(buf)
				var back Trace
				if err := json.Unmarshal(buf, &back); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n), "bytes/trace")
		})
		b.Run("validate/"+size.name, func(b *testing.B) {
			for b.Loop() {
				if err := Validate(t); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
