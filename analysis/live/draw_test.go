package live

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAChartRunsFromCornerToCorner(t *testing.T) {
	got := chart("x", []float64{0, 1, 2, 3, 4, 5, 6, 7}, 6, 2, "%.0f")
	want := []string{"x", "7 ⠀⠀⣠⠞", "0 ⣠⠞⠁⠀"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := chart("x", nil, 14, 2, "%.0f"); !cmp.Equal(got, []string{"x: nothing yet"}) {
		t.Errorf("no values: got %q", got)
	}
}

func TestNothingIsWiderThanTheTerminal(t *testing.T) {
	g := newRun(t, 40)
	for range 12 {
		g.step()
	}
	g.evaluate()
	x := g.source().Snapshot()
	x.Problems = []string{strings.Repeat("long ", 100)}
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(20, 240).Draw(t, "width"), rapid.IntRange(5, 80).Draw(t, "height")
		for line := range strings.Lines(x.Text(width, height)) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Fatalf("%d columns in a terminal of %d: %q", n, width, line)
			}
		}
	})
}

func TestTheTerminalViewEndsOnQAndWithTheRun(t *testing.T) {
	g := newRun(t, 2)
	g.step()
	m := screen{source: g.source(), every: time.Millisecond, width: 80, height: 24}
	next, command := m.Update(g.source().Snapshot())
	if command == nil || !strings.Contains(next.View().Content, "step 1 of 2") {
		t.Errorf("a running run is not drawn again: %q", next.View().Content)
	}
	if _, quit := m.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); quit == nil {
		t.Error("q does not end the view")
	}
	g.step()
	g.evaluate()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := Terminal(ctx, g.source(), time.Millisecond, false, strings.NewReader(""), &out); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil || !strings.Contains(out.String(), "finished") {
		t.Errorf("the view of a finished run: %v, %q", ctx.Err(), out.String())
	}
}
