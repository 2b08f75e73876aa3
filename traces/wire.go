package traces

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// WireVersion is the version of the binary form that [Marshal] writes. Fields are only ever
// appended; a decoder reads every older version and refuses one above its own rather than guess.
const WireVersion = 2

// MaxWireBytes bounds one message in either direction, and with it what a hostile peer can make a
// reader allocate.
const MaxWireBytes = 64 << 20

// ErrWire is the root of every decoding error, so that a caller can tell a poison message from a
// failing transport.
var ErrWire = errors.New("undecodable trace message")

// Marshal writes t and its timing as one self-contained message: magic, version, fields, CRC-32C.
// The form is canonical: equal values give equal bytes, nil and empty slices are the same. It is
// compact (varints, raw float32) because every trace passes through it twice. A nil tm is sent as
// a timing of zeros.
func Marshal(t *Trace, tm *Timing) ([]byte, error) {
	if t.LengthSource != "" {
		return nil, fmt.Errorf("trace %s has no token ids (length_source %s): an imported trace cannot be streamed", t.ID, t.LengthSource)
	}
	if tm == nil {
		tm = &Timing{Step: t.Step, ID: t.ID}
	}
	w := &wire{encoding: true, buf: make([]byte, 0, 256+len(t.PromptText)+len(t.Text)+3*len(t.PromptTokens)+8*len(t.Tokens))}
	w.buf = append(w.buf, 'p', 't', WireVersion)
	w.trace(t)
	w.timing(tm)
	w.second(t)
	if w.err != nil {
		return nil, w.err
	}
	if len(w.buf)+4 > MaxWireBytes {
		return nil, fmt.Errorf("trace %s is %d bytes on the wire, the limit is %d", t.ID, len(w.buf), MaxWireBytes)
	}
	return binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(w.buf, castagnoli)), nil
}

// Unmarshal reads what [Marshal] wrote. Any other input gives an error that wraps [ErrWire]; it
// never panics and allocates in proportion to len(b). The result shares no memory with b. It does
// not [Validate].
func Unmarshal(b []byte) (*Trace, *Timing, error) {
	switch {
	case len(b) > MaxWireBytes:
		return nil, nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrWire, len(b), MaxWireBytes)
	case len(b) < 7 || b[0] != 'p' || b[1] != 't':
		return nil, nil, fmt.Errorf("%w: not a trace", ErrWire)
	case b[2] == 0 || b[2] > WireVersion:
		return nil, nil, fmt.Errorf("%w: wire version %d, this build reads up to %d; use the same pith on every worker", ErrWire, b[2], WireVersion)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, nil, fmt.Errorf("%w: checksum differs", ErrWire)
	}
	w := &wire{buf: body[3:]}
	t, tm := &Trace{}, &Timing{}
	w.trace(t)
	w.timing(tm)
	if b[2] >= 2 {
		w.second(t)
	}
	switch {
	case w.err != nil:
		return nil, nil, w.err
	case len(w.buf) != 0:
		return nil, nil, fmt.Errorf("%w: %d bytes too many", ErrWire, len(w.buf))
	}
	return t, tm, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// trace and timing list the fields once for both directions, in an order that never changes.

func (w *wire) trace(t *Trace) {
	w.str(&t.Run)
	w.i64(&t.Step)
	w.str(&t.Split)
	w.str(&t.Group)
	w.str(&t.ID)
	w.str(&t.Problem)
	w.i32(&t.Sample)
	w.u64(&t.Seed)
	w.str(&t.Dataset)
	w.i32(&t.Level)
	w.str(&t.Gold)
	w.str(&t.PromptText)
	w.i32s(&t.PromptTokens)
	w.str(&t.Text)
	w.i32s(&t.Tokens)
	w.f32s(&t.LogProbs)
	list(w, &t.Segments, 4, func(s *Segment) {
		w.str((*string)(&s.Kind))
		w.i32(&s.Start)
		w.i32(&s.End)
		w.bool(&s.Train)
	})
	list(w, &t.Spans, 5, func(s *Span) {
		w.str(&s.Policy)
		w.i64(&s.Version)
		w.i32(&s.Start)
		w.i32(&s.End)
		w.bool(&s.Asserted)
	})
	w.str((*string)(&t.Finish))
	w.str(&t.Error)
	w.f64(&t.Temperature)
	w.str(&t.Mode)
	w.i32(&t.Turns)
	w.i32(&t.LengthTokens)
	w.i32(&t.InjectedTokens)
	list(w, &t.ToolCalls, 15, func(c *ToolCall) {
		w.str(&c.Name)
		w.str(&c.Arguments)
		w.str(&c.Result)
		w.str(&c.Error)
		w.i32(&c.Start)
		w.i32(&c.End)
		w.i32(&c.Tokens)
		w.f64(&c.Price)
	})
	w.i32s(&t.Budgets)
	list(w, &t.BudgetScores, 8, w.f64)
	w.str((*string)(&t.Verdict))
	w.str(&t.Extracted)
	w.str(&t.VerdictReason)
	w.bool(&t.Formatted)
	list(w, &t.Terms, 9, func(x *Term) {
		w.str(&x.Name)
		w.f64(&x.Value)
	})
	w.f64(&t.Reward)
	w.f64(&t.Advantage)
	list(w, &t.TokenAdvantages, 10, func(a *TokenAdvantage) {
		w.i32(&a.Start)
		w.i32(&a.End)
		w.f64(&a.Value)
	})
	w.str((*string)(&t.Status))
	w.str(&t.StatusReason)
	w.optional(&t.Entropy)
	w.i32(&t.Staleness)
	w.f64(&t.PromptPrice)
	w.f64(&t.CompletionPrice)
	w.optional(&t.Reference.Accuracy)
	w.f64(&t.Reference.Tokens)
	w.i32(&t.Reference.TokenBudget)
}

func (w *wire) timing(t *Timing) {
	w.i64(&t.Step)
	w.str(&t.ID)
	w.str(&t.Worker)
	for _, f := range [...]*float64{
		&t.Queue, &t.FirstToken, &t.Total, &t.Tools, &t.Grade, &t.Learn,
		&t.Publish, &t.Commit, &t.TrainerWait, &t.EngineIdle, &t.Eval,
	} {
		w.f64(f)
	}
}

// second lists what version 2 appended.
func (w *wire) second(t *Trace) {
	list(w, &t.TurnRanges, 5, func(r *TurnRange) {
		w.i32(&r.Start)
		w.i32(&r.End)
		w.i32(&r.TextStart)
		w.i32(&r.TextEnd)
		w.optional(&r.Score)
	})
	w.optional(&t.BaseLoss)
	w.optional(&t.ReferenceKL)
}

// wire appends to buf when encoding and consumes buf when decoding. The first error sticks.
type wire struct {
	encoding bool
	buf      []byte
	err      error
}

func (w *wire) fail(what string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s", ErrWire, what)
	}
	w.buf = nil
}

func (w *wire) u64(x *uint64) {
	if w.encoding {
		w.buf = binary.AppendUvarint(w.buf, *x)
		return
	}
	v, n := binary.Uvarint(w.buf)
	if n <= 0 || (n > 1 && w.buf[n-1] == 0) { // the second: an over-long form, not canonical
		w.fail("bad integer")
		return
	}
	*x, w.buf = v, w.buf[n:]
}

func (w *wire) i64(x *int64) {
	u := uint64(*x)<<1 ^ uint64(*x>>63)
	if w.u64(&u); !w.encoding {
		*x = int64(u>>1) ^ -int64(u&1)
	}
}

func (w *wire) i32(x *int32) {
	v := int64(*x)
	if w.i64(&v); !w.encoding {
		if v != int64(int32(v)) {
			w.fail("integer beyond 32 bits")
			return
		}
		*x = int32(v)
	}
}

// count carries a list length. elem is the least number of bytes an element takes, which bounds
// what a decoder allocates.
func (w *wire) count(n, elem int) int {
	u := uint64(n)
	w.u64(&u)
	if !w.encoding && u > uint64(len(w.buf)/elem) {
		w.fail("list longer than the message")
		return 0
	}
	return int(u)
}

func (w *wire) str(s *string) {
	n := w.count(len(*s), 1)
	if w.encoding {
		w.buf = append(w.buf, *s...)
		return
	}
	*s, w.buf = string(w.buf[:n]), w.buf[n:]
}

func (w *wire) bool(b *bool) {
	var u uint64
	if *b {
		u = 1
	}
	if w.u64(&u); !w.encoding {
		if u > 1 {
			w.fail("bad flag")
			return
		}
		*b = u == 1
	}
}

func (w *wire) f64(x *float64) {
	if w.encoding {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(*x))
		return
	}
	if len(w.buf) < 8 {
		w.fail("cut short")
		return
	}
	*x, w.buf = math.Float64frombits(binary.LittleEndian.Uint64(w.buf)), w.buf[8:]
}

func (w *wire) optional(p **float64) {
	set := *p != nil
	w.bool(&set)
	if !set || w.err != nil {
		return
	}
	if !w.encoding {
		*p = new(float64)
	}
	w.f64(*p)
}

// i32s is list(w, s, 1, w.i32) without a call per token: token ids are most of a message.
func (w *wire) i32s(s *[]int32) {
	n := w.count(len(*s), 1)
	if w.encoding {
		for _, x := range *s {
			w.buf = binary.AppendVarint(w.buf, int64(x))
		}
		return
	}
	if n == 0 {
		return
	}
	out := make([]int32, n)
	rest := w.buf
	for i := range out {
		if len(rest) > 0 && rest[0] < 0x80 {
			out[i], rest = int32(rest[0]>>1)^-int32(rest[0]&1), rest[1:]
			continue
		}
		v, k := binary.Varint(rest)
		if k <= 0 || (k > 1 && rest[k-1] == 0) || v != int64(int32(v)) {
			w.fail("bad token id")
			return
		}
		out[i], rest = int32(v), rest[k:]
	}
	*s, w.buf = out, rest
}

func (w *wire) f32s(s *[]float32) {
	n := w.count(len(*s), 4)
	if w.encoding {
		for _, x := range *s {
			w.buf = binary.LittleEndian.AppendUint32(w.buf, math.Float32bits(x))
		}
		return
	}
	if n == 0 {
		return
	}
	*s = make([]float32, n)
	for i := range *s {
		(*s)[i] = math.Float32frombits(binary.LittleEndian.Uint32(w.buf[4*i:]))
	}
	w.buf = w.buf[4*n:]
}

func list[T any](w *wire, s *[]T, elem int, each func(*T)) {
	n := w.count(len(*s), elem)
	if !w.encoding && n > 0 {
		*s = make([]T, n)
	}
	for i := range *s {
		if w.err != nil {
			return
		}
		each(&(*s)[i])
	}
}
