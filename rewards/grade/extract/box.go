package extract

import "strings"

type boxState uint8

const (
	boxNone boxState = iota
	boxFound
	boxUnclosed
)

// maxBoxes bounds how many boxes are joined into one answer.
const maxBoxes = 16

type box struct {
	start, end int // of the whole command
	content    string
}

// boxes finds the last box, and with it those that stand so close before it that they belong to
// the same answer: within 10 bytes, or within 70 with a connective between and other content
// (the distances are Math-Verify's, math_verify/parser.py).
func boxes(text string, o Options) (Found, boxState) {
	if !strings.Contains(text, "box") {
		return Found{}, boxNone
	}
	limit := len(text)
	var last box
	state := boxNone
	for tries := 0; tries < 64; tries++ {
		b, ok, seen := boxBefore(text, limit, o.OnlyBoxed)
		if !seen {
			break
		}
		if ok {
			last, state = b, boxFound
			break
		}
		state = boxUnclosed
		limit = b.start
	}
	if state != boxFound {
		return Found{}, state
	}
	parts := []string{last.content}
	for len(parts) < maxBoxes && !o.SingleBox {
		b, ok, seen := boxBefore(text, last.start, o.OnlyBoxed)
		if !seen || !ok || b.end > last.start {
			break
		}
		gap := text[b.end:last.start]
		if !joined(gap) || strings.TrimSpace(b.content) == strings.TrimSpace(last.content) && len(gap) >= 10 {
			break
		}
		parts = append([]string{b.content}, parts...)
		last = b
	}
	parts = distinct(parts)
	if len(parts) == 1 {
		return Found{Rule: Boxed, Text: parts[0]}, boxFound
	}
	return Found{Rule: Boxed, Text: strings.Join(parts, ", "), Parts: parts}, boxFound
}

func joined(gap string) bool {
	if len(gap) < 10 && !strings.ContainsAny(gap, "=→") {
		return true
	}
	if len(gap) >= 70 {
		return false
	}
	lower := strings.ToLower(gap)
	return strings.Contains(lower, " and ") || strings.Contains(lower, " or ") || strings.HasPrefix(strings.TrimLeft(gap, "$ )"), ",")
}

func distinct(parts []string) []string {
	var out []string
	seen := make(map[string]bool, len(parts))
	for _, part := range parts {
		if key := strings.TrimSpace(part); !seen[key] {
			seen[key] = true
			out = append(out, part)
		}
	}
	return out
}

// boxBefore reads the last box command before limit. ok is false when its brace is not closed.
func boxBefore(text string, limit int, onlyBoxed bool) (b box, ok, seen bool) {
	start := lastCommand(text[:limit], onlyBoxed)
	if start < 0 {
		return box{}, false, false
	}
	pos := start + strings.Index(text[start:], "box") + len("box")
	if strings.HasPrefix(text[pos:], "ed") {
		pos += 2
	}
	for pos < len(text) && (text[pos] == ' ' || text[pos] == '\n' || text[pos] == '\t') {
		pos++
	}
	b.start = start
	if pos >= len(text) {
		return b, false, true
	}
	if text[pos] != '{' {
		end := pos
		for end < len(text) && !strings.ContainsRune("$ \n\t,;", rune(text[end])) {
			end++
		}
		b.content, b.end = strings.TrimRight(text[pos:end], ".)"), end
		return b, b.content != "", true
	}
	depth := 0
	for i := pos; i < len(text) && i < limitOf(pos); i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				b.content, b.end = text[pos+1:i], i+1
				return b, true, true
			}
		}
	}
	return b, false, true
}

// limitOf bounds how far the closing brace of a box may be from its opening.
func limitOf(pos int) int { return pos + 16<<10 }

func lastCommand(text string, onlyBoxed bool) int {
	for {
		i := strings.LastIndex(text, "box")
		if i < 0 {
			return -1
		}
		for _, head := range []string{"\\", "\\f", "\\frame"} {
			if strings.HasSuffix(text[:i], head) && (head == "\\" || !onlyBoxed) {
				if head != "\\" || strings.HasPrefix(text[i:], "boxed") {
					return i - len(head)
				}
			}
		}
		text = text[:i]
	}
}

// Unbox strips a box that wraps a whole answer, and reports whether there was one.
func Unbox(text string) (string, bool) {
	trimmed := strings.TrimSpace(strings.Trim(strings.TrimSpace(text), "$"))
	if !strings.HasPrefix(trimmed, "\\") {
		return text, false
	}
	b, ok, seen := boxBefore(trimmed, len(trimmed), false)
	if seen && ok && b.start == 0 && b.end == len(trimmed) {
		return b.content, true
	}
	return text, false
}
