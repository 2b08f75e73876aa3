package serve

import (
	"encoding/json"
	"math"
	"strconv"
)

// appendFloat prints f so that reading the decimal as a float64 and rounding that to float32 gives f
// back to the bit. The shortest decimal of a float32 has at most 9 digits; read twice-rounded it can
// go wrong only within 2^-54, relatively, of a midpoint between two float32. With k decimals the
// distance to a midpoint of m < 2^25 is a multiple of 1/(m·5^k), which for |f| >= 0.01 (k <= 11)
// is above 2^-51. Smaller numbers are printed with the digits of a float64. What is no number has no
// JSON and is null.
func appendFloat(b []byte, f float32) []byte {
	v := float64(f)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return append(b, "null"...)
	case v == 0:
		return append(b, '0')
	case math.Abs(v) >= 0.01:
		return strconv.AppendFloat(b, v, 'g', -1, 32)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendString quotes text.
func appendString(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(text)
			if err != nil { // a string always has a JSON
				panic(err)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// appendIDs prints a list of tokens.
func appendIDs(b []byte, ids []int32) []byte {
	b = append(b, '[')
	for i, t := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(t), 10)
	}
	return append(b, ']')
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

// appendUsage prints the counts of tokens.
func appendUsage(b []byte, prompt, completion int) []byte {
	b = appendInt(append(b, `{"prompt_tokens":`...), prompt)
	b = appendInt(append(b, `,"completion_tokens":`...), completion)
	b = appendInt(append(b, `,"total_tokens":`...), prompt+completion)
	return append(b, '}')
}

// appendSpans prints which version drew which tokens.
func appendSpans(b []byte, spans []span) []byte {
	b = append(b, '[')
	for i, sp := range spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"version":`...), sp.version)
		b = appendInt(append(b, `,"start":`...), sp.start)
		b = appendInt(append(b, `,"end":`...), sp.end)
		b = append(b, '}')
	}
	return append(b, ']')
}
