package main

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

// status writes lines to standard error and, on a terminal only, keeps one changing line below
// them.
type status struct {
	io    stdio
	drawn bool
}

func newStatus(io stdio) *status { return &status{io: io} }

// print writes a line that stays.
func (s *status) print(text string) {
	s.clear()
	fmt.Fprintln(s.io.err, text)
}

// status replaces the changing line.
func (s *status) status(text string) {
	if !s.io.terminal() {
		return
	}
	if f, ok := s.io.err.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 1 && len(text) >= width {
			text = text[:width-1]
		}
	}
	fmt.Fprintf(s.io.err, "\r\x1b[K%s", text)
	s.drawn = true
}

func (s *status) clear() {
	if s.drawn {
		fmt.Fprint(s.io.err, "\r\x1b[K")
		s.drawn = false
	}
}
