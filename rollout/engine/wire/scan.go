package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// maxDepth bounds how deep values may be nested, against answers made to exhaust the stack.
const maxDepth = 64

// bracket marks the bytes that matter where a value is passed over, plain those of a string that mean
// themselves, numeric those that a number may have.
var bracket, plain, numeric = func() (b, p, n [256]bool) {
	for _, c := range "0123456789-+.eE" {
		n[c] = true
	}
	for _, c := range `{}[]"` {
		b[c] = true
	}
	for c := range p {
		p[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return b, p, n
}()

// Scanner walks through one JSON text, front to back, without building trees. The first error
// sticks: every call after it does nothing and returns zero, so that a caller looks once, at the
// end. It takes the words NaN, Infinity and -Infinity for numbers, because Python servers print
// them. The text must not change while it is read.
type Scanner struct {
	b     []byte
	i     int
	depth int
	err   error
}

// NewScanner starts at the beginning of a text.
func NewScanner(b []byte) *Scanner { return &Scanner{b: b} }

// Err is the first error.
func (s *Scanner) Err() error { return s.err }

// End says whether exactly one value was read, and well.
func (s *Scanner) End() error {
	if s.space(); s.err == nil && s.i < len(s.b) {
		s.fail("something follows the value")
	}
	return s.err
}

// Fields reads an object and calls f for each key, unescaped; what f leaves of a value is skipped.
// The key is valid during the call. null has no fields.
func (s *Scanner) Fields(f func(key []byte)) {
	s.FieldsUntil(func(key []byte) bool {
		f(key)
		return false
	})
}

// FieldsUntil is Fields that ends where f says that it has seen what it wanted; the rest of the object
// is passed over as by Skip.
func (s *Scanner) FieldsUntil(f func(key []byte) (done bool)) {
	if !s.open('{') {
		return
	}
	for first := true; ; first = false {
		if s.closes('}', first) {
			return
		}
		key := s.bytes()
		if s.space(); s.err == nil && s.at() != ':' {
			s.fail("no colon after a key")
		}
		if s.err != nil {
			return
		}
		s.i++
		s.space()
		at := s.i
		done := f(key)
		if s.err == nil && s.i == at {
			s.Skip()
		}
		if done && s.err == nil {
			s.depth--
			s.skipNested(s.i, '}')
			return
		}
	}
}

// Items reads an array and calls f at each element; what f leaves of it is skipped. null has none.
func (s *Scanner) Items(f func()) {
	if !s.open('[') {
		return
	}
	for first := true; ; first = false {
		if s.closes(']', first) {
			return
		}
		s.value(f)
		if s.err != nil {
			return
		}
	}
}

// value lets f read a value, or skips it.
func (s *Scanner) value(f func()) {
	s.space()
	at := s.i
	if s.err == nil {
		f()
	}
	if s.err == nil && s.i == at {
		s.Skip()
	}
}

func (s *Scanner) open(c byte) bool {
	s.space()
	switch {
	case s.err != nil:
		return false
	case s.at() != c:
		if !s.word("null") {
			s.fail(fmt.Sprintf("%q expected", c))
		}
		return false
	case s.depth == maxDepth:
		s.fail("values are nested too deep")
		return false
	}
	s.depth++
	s.i++
	return true
}

// closes reads what is between elements, and says whether it was the end.
func (s *Scanner) closes(c byte, first bool) bool {
	s.space()
	switch {
	case s.err != nil:
		return true
	case s.at() == c:
		s.depth--
		s.i++
		return true
	case !first && s.at() != ',':
		s.fail("no comma between elements")
		return true
	case !first:
		s.i++
	}
	return false
}

// Null consumes a null where there is one.
func (s *Scanner) Null() bool {
	s.space()
	return s.err == nil && s.word("null")
}

// Bool reads true or false; null is false.
func (s *Scanner) Bool() bool {
	s.space()
	switch {
	case s.err != nil || s.word("false") || s.word("null"):
		return false
	case s.word("true"):
		return true
	}
	s.fail("true or false expected")
	return false
}

// Int reads an integer; a number with a fraction is an error, null is 0.
func (s *Scanner) Int() int64 {
	if s.Null() || s.err != nil {
		return 0
	}
	// The common case by hand: it is most of what an answer holds.
	at, neg, v := s.i, false, int64(0)
	if s.at() == '-' {
		neg, s.i = true, s.i+1
	}
	digits := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 && s.i-digits < 18 {
		v = v*10 + int64(s.b[s.i]-'0')
		s.i++
	}
	if s.i > digits && !numeric[s.at()] && (s.b[digits] != '0' || s.i == digits+1) {
		if neg {
			return -v
		}
		return v
	}
	s.i = at
	text := s.number()
	v, err := strconv.ParseInt(string(text), 10, 64)
	if s.err == nil && err != nil {
		s.fail(fmt.Sprintf("%.40q is no integer", text))
	}
	return v
}

// Float32 reads the float32 nearest to the number that is written, which is the very one where the
// sender had one. null is NaN.
func (s *Scanner) Float32() float32 {
	s.space()
	if v, ok := s.quick(); ok {
		return v
	}
	return float32(s.float(32))
}

// tens are the powers of ten that a float64 holds exactly.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// quick reads a number of the form -d.ddd with at most 19 digits, which is nearly every one in an
// answer. Rounding the digits to float64 and dividing by an exact power of ten is off by at most two
// units in the last place of a float64, so the nearest float32 is right unless the quotient lies that
// close to the middle between two of them; then, and for other forms, it leaves the number unread.
func (s *Scanner) quick() (float32, bool) {
	if s.err != nil {
		return 0, false
	}
	i, neg := s.i, false
	if i < len(s.b) && s.b[i] == '-' {
		neg, i = true, i+1
	}
	m, digits, point := uint64(0), 0, -1
	for ; i < len(s.b); i++ {
		c := s.b[i]
		if d := c - '0'; d <= 9 {
			m, digits = m*10+uint64(d), digits+1
			continue
		}
		if c != '.' || point >= 0 || digits == 0 {
			break
		}
		point = digits
	}
	whole := point
	if point < 0 {
		whole = digits
	}
	if digits == 0 || digits > 19 || point == digits || i < len(s.b) && numeric[s.b[i]] {
		return 0, false
	}
	if first := i - digits; whole > 1 { // 01 is no number; the first digit is where the sign ends
		if point >= 0 {
			first--
		}
		if s.b[first] == '0' {
			return 0, false
		}
	}
	v := float64(m) / tens[digits-whole]
	const half = 1 << 28 // of the 29 bits that a float32 lacks
	if low := int64(math.Float64bits(v)&(2*half-1)) - half; low > -8 && low < 8 {
		return 0, false
	}
	if v != 0 && v < 1e-37 { // float32s are spaced otherwise there
		return 0, false
	}
	s.i = i
	if neg {
		v = -v
	}
	return float32(v), true
}

// Float64 reads a number; null is NaN.
func (s *Scanner) Float64() float64 { return s.float(64) }

func (s *Scanner) float(bits int) float64 {
	s.space()
	switch {
	case s.err != nil:
		return 0
	case s.word("null") || s.word("NaN"):
		return math.NaN()
	case s.word("Infinity"):
		return math.Inf(1)
	case s.word("-Infinity"):
		return math.Inf(-1)
	}
	text := s.number()
	if s.err != nil {
		return 0
	}
	v, err := strconv.ParseFloat(string(text), bits)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is an infinity
		s.fail(fmt.Sprintf("%.40q is no number", text))
	}
	return v
}

// Text reads a string; null is empty.
func (s *Scanner) Text() string {
	if s.Null() {
		return ""
	}
	return string(s.bytes())
}

// Raw returns a value as it is written. It is valid as long as the text.
func (s *Scanner) Raw() []byte {
	s.space()
	at := s.i
	if s.Skip(); s.err != nil {
		return nil
	}
	return s.b[at:s.i]
}

// Kind is the first byte of the next value: '{', '[', '"', 't', 'f', 'n', or of a number; 0 at the end.
func (s *Scanner) Kind() byte {
	s.space()
	return s.at()
}

// Skip passes over a value. Of objects and arrays it checks only that brackets and quotes close: most
// of an answer is what nobody asked for.
func (s *Scanner) Skip() {
	s.space()
	if s.err != nil {
		return
	}
	switch c := s.at(); {
	case c == '{' || c == '[':
		if s.depth == maxDepth {
			s.fail("values are nested too deep")
			return
		}
		s.skipNested(s.i+1, c+2)
	case c == '"':
		s.literal()
	case c == 't' || c == 'f':
		s.Bool()
	case s.word("null") || s.word("NaN") || s.word("Infinity") || s.word("-Infinity"):
	default:
		s.number()
	}
}

// skipNested passes over the rest of an object or an array from byte i, up to the closer.
func (s *Scanner) skipNested(i int, closer byte) {
	var closers [maxDepth + 1]byte
	depth := s.depth + 1
	closers[depth] = closer
	for ; ; i++ {
		for i < len(s.b) && !bracket[s.b[i]] {
			i++
		}
		if i >= len(s.b) {
			break
		}
		switch c := s.b[i]; c {
		case '{', '[':
			if depth == maxDepth {
				s.i = i
				s.fail("values are nested too deep")
				return
			}
			depth++
			closers[depth] = c + 2 // both closers are two bytes after their openers
		case '}', ']':
			if closers[depth] != c {
				s.i = i
				s.fail("a bracket closes nothing")
				return
			}
			if depth--; depth == s.depth {
				s.i = i + 1
				return
			}
		case '"':
			s.i = i
			for i++; i < len(s.b) && plain[s.b[i]]; i++ {
			}
			if i < len(s.b) && s.b[i] == '"' {
				continue
			}
			if s.literal(); s.err != nil { // escapes
				return
			}
			i = s.i - 1
		}
	}
	s.i = len(s.b)
	s.fail("")
}

// bytes reads a string, unescaped.
func (s *Scanner) bytes() []byte {
	lit, escaped := s.literal()
	if s.err != nil {
		return nil
	}
	if !escaped {
		return lit[1 : len(lit)-1]
	}
	var text string
	if err := json.Unmarshal(lit, &text); err != nil {
		s.fail("a string is badly escaped")
		return nil
	}
	return []byte(text)
}

// literal reads a string with its quotes.
func (s *Scanner) literal() (lit []byte, escaped bool) {
	s.space()
	at := s.i
	if s.err != nil || s.at() != '"' {
		s.fail("a string expected")
		return nil, false
	}
	for s.i++; s.i < len(s.b); s.i++ {
		for s.i < len(s.b) && plain[s.b[s.i]] {
			s.i++
		}
		if s.i == len(s.b) {
			break
		}
		switch c := s.b[s.i]; {
		case c == '\\':
			if s.i++; !s.escape() {
				s.fail("a string is badly escaped")
				return nil, false
			}
			escaped = true
		case c == '"':
			s.i++
			return s.b[at:s.i], escaped
		case c < ' ':
			s.fail("a control character in a string")
			return nil, false
		}
	}
	s.i = len(s.b)
	s.fail("a string does not end")
	return nil, false
}

// escape passes over what follows a backslash, up to its last byte.
func (s *Scanner) escape() bool {
	switch s.at() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			s.i++
			if c := s.at(); c-'0' > 9 && (c|0x20)-'a' > 5 {
				return false
			}
		}
		return true
	}
	return false
}

// number reads the longest run of bytes that a number may have, and checks its form.
func (s *Scanner) number() []byte {
	at := s.i
	for s.i < len(s.b) && numeric[s.b[s.i]] {
		s.i++
	}
	text := s.b[at:s.i]
	if !wellFormed(text) {
		s.i = at
		s.fail("a value expected")
		return nil
	}
	return text
}

// wellFormed says whether text is a number by JSON's grammar, which is stricter than strconv's.
func wellFormed(text []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(text) && text[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if i < len(text) && text[i] == '-' {
		i++
	}
	if zero := i < len(text) && text[i] == '0'; zero {
		i++
	} else if !digits() {
		return false
	}
	if i < len(text) && text[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(text)
}

func (s *Scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// at is the current byte, 0 at the end.
func (s *Scanner) at() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// word consumes w where it is next and ends there.
func (s *Scanner) word(w string) bool {
	if len(s.b)-s.i < len(w) || s.b[s.i] != w[0] || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	if j := s.i + len(w); j < len(s.b) && (s.b[j]|0x20 >= 'a' && s.b[j]|0x20 <= 'z' || s.b[j]-'0' <= 9) {
		return false
	}
	s.i += len(w)
	return true
}

func (s *Scanner) fail(msg string) {
	if s.err != nil {
		return
	}
	if s.i >= len(s.b) {
		msg = "the text ends early"
	}
	s.err = fmt.Errorf("at byte %d of %d: %s", s.i, len(s.b), msg)
}
