package lora

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
)

// patterns are the entries of rank_pattern or alpha_pattern in the order of the file, of which the
// first that matches a module counts.
type patterns[T any] []pattern[T]

type pattern[T any] struct {
	name  string // a regular expression for the end of a module's name, from a dot on, or for all of it
	value T
}

// of is the value for a module, otherwise where no pattern matches.
func (p patterns[T]) of(module string, otherwise T) (T, error) {
	for _, e := range p {
		re, err := regexp.Compile(`^(?:.*\.)?(?:` + e.name + `)$`)
		if err != nil {
			return otherwise, fmt.Errorf("pattern %q: %w", e.name, err)
		}
		if re.MatchString(module) {
			return e.value, nil
		}
	}
	return otherwise, nil
}

func (p *patterns[T]) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	open, err := d.Token()
	if err != nil || open == nil {
		return err
	}
	if open != json.Delim('{') {
		return fmt.Errorf("want an object of patterns, not %s", text)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		e := pattern[T]{name: key.(string)}
		if err := d.Decode(&e.value); err != nil {
			return err
		}
		*p = append(*p, e)
	}
	return nil
}

func (p patterns[T]) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, e := range p {
		name, err1 := json.Marshal(e.name)
		value, err2 := json.Marshal(e.value)
		if err1 != nil {
			return nil, err1
		}
		if err2 != nil {
			return nil, err2
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}
