package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// build makes a file of a header and a buffer of n bytes.
func build(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func open(b []byte) (*File, error) { return Open(bytes.NewReader(b), int64(len(b))) }

func TestMalformedFilesAreRefused(t *testing.T) {
	f32 := func(shape, offsets string) string {
		return fmt.Sprintf(`{"a":{"dtype":"F32","shape":%s,"data_offsets":%s}}`, shape, offsets)
	}
	for _, tc := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "0 bytes are too few"},
		{"header longer than the file", build("{}", 0)[:9], "header of 2 bytes in a file of 9"},
		{"huge header", append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), '{'), "header of 18446744073709551615 bytes"},
		{"no header", build("", 0), "does not begin with {"},
		{"array", build("[]", 0), "does not begin with {"},
		{"not UTF-8", build("{\"\xff\":1}", 0), "not UTF-8"},
		{"cut short", build(`{"a":`, 0), "header"},
		{"trailing text", build(`{} x`, 0), "after the header's closing brace"},
		{"bytes that no tensor covers", build("{}", 4), "cover 0 of 4 bytes"},
		{"buffer too short", build(f32("[2]", "[0,8]"), 4), "cover 8 of 4 bytes"},
		{"size and shape differ", build(f32("[3]", "[0,8]"), 8), "takes 12 bytes, data_offsets span 8"},
		{"backward range", build(f32("[1]", "[4,0]"), 4), "is not a range"},
		{"negative offset", build(f32("[1]", "[-4,0]"), 0), "-4 is not a size"},
		{"one offset", build(f32("[1]", "[4]"), 4), "is not a range"},
		{"three offsets", build(f32("[1]", "[0,4,8]"), 4), "more than 2 numbers"},
		{"fraction", build(f32("[1.5]", "[0,4]"), 4), "1.5 is not a size"},
		{"offset beyond 64 bits", build(f32("[1]", "[0,99999999999999999999]"), 4), "is not a size"},
		{"overflow", build(f32("[4294967296,4294967296,4294967296]", "[0,4]"), 4), "overflows"},
		{"overflow hidden behind a zero", build(f32("[4294967296,4294967296,4294967296,0]", "[0,0]"), 0), "overflows"},
		{"hole", build(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3), "holes and overlaps"},
		{"overlap", build(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), "holes and overlaps"},
		{"same name twice", build(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), `duplicate key "a"`},
		{"same key twice", build(`{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), `duplicate key "dtype"`},
		{"unknown type", build(`{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,1]}}`, 1), `unknown dtype "Q4"`},
		{"unknown key", build(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}`, 1), `unknown key "x"`},
		{"missing key", build(`{"a":{"dtype":"U8","data_offsets":[0,1]}}`, 1), "is missing"},
		{"metadata of numbers", build(`{"__metadata__":{"a":1}}`, 0), "where a string is expected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := open(tc.file)
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want ErrFormat with %q", err, tc.want)
			}
		})
	}
}

func TestElementTypesConvert(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, tc := range []struct {
		dtype DType
		bytes []byte
		want  []float32
	}{
		{F32, []byte{0, 0, 0xc0, 0x3f, 0, 0, 0x80, 0xff}, []float32{1.5, -inf}},
		{F64, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, []float32{1.5}},
		{BF16, []byte{0xc0, 0x3f, 0x80, 0xff}, []float32{1.5, -inf}},
		{F16, []byte{0, 0x3c, 0, 0xbe, 1, 0, 0xff, 0x03, 0, 0x7c, 0xff, 0x7b, 0, 0x80}, []float32{1, -1.5, 0x1p-24, 1023 * 0x1p-24, inf, 65504, float32(math.Copysign(0, -1))}},
	} {
		t.Run(string(tc.dtype), func(t *testing.T) {
			n := len(tc.want)
			b := build(fmt.Sprintf(`{"a":{"dtype":%q,"shape":[%d],"data_offsets":[0,%d]}}`, tc.dtype, n, len(tc.bytes)), 0)
			f, err := open(append(b, tc.bytes...))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, n)
			if err := f.ReadFloat32("a", got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bits(tc.want), bits(got)); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
}

func bits(x []float32) (b []uint32) {
	for _, v := range x {
		b = append(b, math.Float32bits(v))
	}
	return b
}

func TestHalfPrecisionNaNStaysNaN(t *testing.T) {
	if x := fromHalf(0x7e00); x == x {
		t.Errorf("got %v", x)
	}
	if b := toBrain(float32(math.NaN())); b&0x7fff <= 0x7f80 {
		t.Errorf("got %#x", b)
	}
}

func TestBrainFloatsRoundToNearestEven(t *testing.T) {
	for _, tc := range []struct{ in, want uint32 }{
		{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81}, {0x7f7fffff, 0x7f80},
	} {
		if got := toBrain(math.Float32frombits(tc.in)); uint32(got) != tc.want {
			t.Errorf("%#x rounds to %#x, want %#x", tc.in, got, tc.want)
		}
	}
}

func TestWhatIsWrittenIsReadAndAligned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z.<>"\\é]{0,9}`), 0, 6, rapid.ID).Draw(t, "names")
		var tensors []Tensor
		for _, n := range names {
			shape := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 4).Draw(t, "shape")
			size := 1
			for _, s := range shape {
				size *= s
			}
			data := rapid.SliceOfN(rapid.Float32(), size, size).Draw(t, "data")
			tensors = append(tensors, Tensor{n, shape, data})
		}
		meta := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")
		var b bytes.Buffer
		if err := Write(&b, tensors, meta, F32); err != nil {
			t.Fatal(err)
		}
		f, err := open(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if f.start%8 != 0 {
			t.Errorf("the buffer begins at %d", f.start)
		}
		if len(meta) > 0 {
			if diff := cmp.Diff(meta, f.Metadata); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		}
		for _, want := range tensors {
			got := make([]float32, len(want.Data))
			if err := f.ReadFloat32(want.Name, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bits(want.Data), bits(got)); diff != "" {
				t.Errorf("tensor %q (-want +got):\n%s", want.Name, diff)
			}
		}
	})
}

func TestTensorsThatDoNotFitTheirShapeAreNotWritten(t *testing.T) {
	for name, ts := range map[string][]Tensor{
		"wrong length": {{"a", []int{2}, []float32{1}}},
		"same name":    {{"a", []int{1}, []float32{1}}, {"a", []int{1}, []float32{1}}},
		"reserved":     {{"__metadata__", []int{1}, []float32{1}}},
	} {
		if err := Write(&bytes.Buffer{}, ts, nil, F32); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := Write(&bytes.Buffer{}, nil, nil, F64); err == nil {
		t.Error("F64: no error")
	}
}

func TestReadingTheWrongThingIsAnError(t *testing.T) {
	f, err := open(build(`{"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}`, 8))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		n    int
		want string
	}{{"b", 2, `no tensor "b"`}, {"a", 3, "has 2 elements, want 3"}, {"a", 2, "is of type I32"}} {
		if err := f.ReadFloat32(tc.name, make([]float32, tc.n)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error is %v, want one with %q", err, tc.want)
		}
	}
}

// FuzzOpen feeds hostile headers: whatever is accepted must be consistent and readable.
func FuzzOpen(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, []Tensor{{"x", []int{2, 3}, make([]float32, 6)}, {"y", nil, []float32{1}}}, map[string]string{"format": "pt"}, BF16); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(build(`{"a":{"dtype":"F32","shape":[1,0,9],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, 1))
	f.Add(build(`{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}`, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := open(b)
		if err != nil {
			return
		}
		at := int64(0)
		for _, e := range file.Entries() {
			if e.Begin != at || e.End-e.Begin != int64(e.Elements())*sizes[e.DType] || e.End > int64(len(b)) {
				t.Fatalf("accepted %+v at %d of %d bytes", e, at, len(b))
			}
			at = e.End
			dst := make([]float32, e.Elements())
			if err := file.ReadFloat32(e.Name, dst); err != nil && decoders[e.DType] != nil {
				t.Fatalf("accepted tensor cannot be read: %v", err)
			}
		}
	})
}

// Every half-precision number survives, and what lies between two goes to the nearer, ties to even.
func TestHalfPrecisionRoundsToNearestEven(t *testing.T) {
	for h := range 1 << 16 {
		h := uint16(h)
		x := fromHalf(h)
		if x != x {
			continue
		}
		if got := toHalf(x); got != h {
			t.Fatalf("%v is stored as %#04x, want %#04x", x, got, h)
		}
		if h&0x7fff >= 0x7bff {
			continue
		}
		next := fromHalf(h + 1) // of larger magnitude
		mid := (x + next) / 2   // exact
		even := h + h&1
		for _, tc := range []struct {
			x    float32
			want uint16
		}{{mid, even}, {math.Nextafter32(mid, x), h}, {math.Nextafter32(mid, next), h + 1}} {
			if got := toHalf(tc.x); got != tc.want {
				t.Fatalf("%v between %v and %v is stored as %#04x, want %#04x", tc.x, x, next, got, tc.want)
			}
		}
	}
	for x, want := range map[float32]uint16{65519: 0x7bff, 65520: 0x7c00, -1e30: 0xfc00, 1e-30: 0, -1e-30: 0x8000, 0x1p-25: 0, 0x1.1p-25: 1} {
		if got := toHalf(x); got != want {
			t.Errorf("%v is stored as %#04x, want %#04x", x, got, want)
		}
	}
	if x := fromHalf(toHalf(float32(math.NaN()))); x == x {
		t.Errorf("NaN became %v", x)
	}
}
