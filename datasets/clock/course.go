package clock

import "fmt"

// Stage is a number of training steps under one teacher.
type Stage struct {
	Steps   int
	Teacher *Teacher
}

// Course runs stages one after the other; the last one goes on for ever. The base policy of the
// quickstart is the course {400, warm}, {1100, default}.
type Course []Stage

// Example returns the example of the teacher whose stage holds the step. See [Teacher.Example].
func (c Course) Example(step, row int) (ids []int32, train []bool, err error) {
	if len(c) == 0 {
		return nil, nil, fmt.Errorf("clock: the course has no stage")
	}
	end := 0
	for _, stage := range c {
		if end += stage.Steps; step < end {
			return stage.Teacher.Example(step, row)
		}
	}
	return c[len(c)-1].Teacher.Example(step, row)
}
