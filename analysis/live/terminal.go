package live

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Terminal draws snapshots every so often until ctx ends, q is pressed, or the run has finished and
// stay is false. in and out must be a terminal.
func Terminal(ctx context.Context, s *Source, every time.Duration, stay bool, in io.Reader, out io.Writer) error {
	m := screen{source: s, every: every, stay: stay, width: 80, height: 24}
	last, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil //nolint:nilerr // the caller ended the view
	}
	// The program takes its screen away when it ends; what it showed last stays below.
	if m, ok := last.(screen); ok && err == nil {
		_, err = io.WriteString(out, m.snapshot.Text(m.width, m.height))
	}
	return err
}

// screen is the terminal's model.
type screen struct {
	source        *Source
	every         time.Duration
	stay          bool
	width, height int
	snapshot      Snapshot
}

func (m screen) read() tea.Msg { return m.source.Snapshot() }

func (m screen) Init() tea.Cmd { return m.read }

func (m screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		if msg.Width > 0 && msg.Height > 0 { // 0 where the size cannot be asked for
			m.width, m.height = msg.Width, msg.Height
		}
	case tea.KeyPressMsg:
		switch msg.String() {
		case "q", "esc", "ctrl+c":
			return m, tea.Quit
		}
	case Snapshot:
		m.snapshot = msg
		if msg.State == Finished && !m.stay {
			return m, tea.Quit
		}
		return m, tea.Tick(m.every, func(time.Time) tea.Msg { return m.read() })
	}
	return m, nil
}

func (m screen) View() tea.View {
	return tea.NewView(m.snapshot.Text(m.width, m.height) + "q ends the view; the run goes on\n")
}
