package score

import (
	"errors"
	"fmt"
	"io"

	"pith/rewards"
)

// Lines scores JSON lines as one training batch and writes a line per trace. Groups go through one
// at a time, in constant memory, unless the method needs the whole batch. The first line that
// cannot be read or scored ends it.
func Lines(m *rewards.Method, in io.Reader, out io.Writer) error {
	w := NewWriter(out)
	var err error
	if m.Batched() {
		err = whole(m, in, w)
	} else {
		err = stream(m, in, w)
	}
	return errors.Join(err, w.Flush())
}

func stream(m *rewards.Method, in io.Reader, w *Writer) error {
	r := NewReader(in)
	batch := make([]rewards.Group, 1)
	var results [][]rewards.Result
	for {
		err := r.Next(&batch[0])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if results, err = m.ScoreInto(batch, results); err != nil {
			return r.at(err)
		}
		if err := w.Group(&batch[0], results[0]); err != nil {
			return err
		}
	}
}

func whole(m *rewards.Method, in io.Reader, w *Writer) error {
	batch, lines, err := readAll(in, m)
	if err != nil {
		return err
	}
	results, err := m.Score(batch)
	if err != nil {
		return atGroup(err, batch, lines)
	}
	for i := range batch {
		if err := w.Group(&batch[i], results[i]); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads every group, checks it against the methods and remembers its line.
func readAll(in io.Reader, methods ...*rewards.Method) (batch []rewards.Group, lines []int, err error) {
	r := NewReader(in)
	for {
		var g rewards.Group
		err := r.Next(&g)
		if errors.Is(err, io.EOF) {
			return batch, lines, nil
		}
		if err != nil {
			return nil, nil, err
		}
		for _, m := range methods {
			if err := m.CheckGroup(&g); err != nil {
				return nil, nil, r.at(err)
			}
		}
		batch, lines = append(batch, g), append(lines, r.Line())
	}
}

// atGroup adds the line of the group that an error names.
func atGroup(err error, batch []rewards.Group, lines []int) error {
	var input *rewards.InputError
	if errors.As(err, &input) {
		for i := range batch {
			if batch[i].ID == input.Group {
				return fmt.Errorf("line %d: %w", lines[i], err)
			}
		}
	}
	return err
}
