package wire

import (
	"context"
	"strconv"
	"strings"

	"pith/rollout/engine"
)

// Card is an entry of /v1/models.
type Card struct {
	ID, Root   string
	Parent     string // set for adapters
	OwnedBy    string
	MaxContext int
	Vocab      int // 0: not said
}

// Models asks for /v1/models.
func (c *Client) Models(ctx context.Context) ([]Card, error) {
	const op = "list models"
	var all []Card
	err := c.Do(ctx, Request{Op: op, Path: "/v1/models", Limit: c.o.ControlTimeout}, func(body []byte) error {
		s := NewScanner(body)
		s.Fields(func(key []byte) {
			if string(key) == "data" {
				s.Items(func() { all = append(all, readCard(s)) })
			}
		})
		if err := s.End(); err != nil {
			return Malformed(op, "/v1/models is no JSON: %v", err)
		}
		return nil
	})
	return all, err
}

func readCard(s *Scanner) Card {
	var c Card
	text := func(into *string) {
		if s.Kind() == '"' {
			*into = s.Text()
		}
	}
	s.Fields(func(key []byte) {
		switch string(key) {
		case "id":
			text(&c.ID)
		case "root":
			text(&c.Root)
		case "parent":
			text(&c.Parent)
		case "owned_by":
			text(&c.OwnedBy)
		case "max_model_len":
			c.MaxContext = int(s.Int())
		case "meta":
			s.Fields(func(key []byte) {
				if string(key) == "n_vocab" {
					c.Vocab = int(s.Int())
				}
			})
		}
	})
	return c
}

// PickBase finds the weights that a server was started with: the model of that name, or the first that
// is no adapter.
func PickBase(models []Card, name string) (Card, error) {
	var ids []string
	for _, c := range models {
		if c.Parent == "" && (name == "" || c.ID == name) {
			return c, nil
		}
		ids = append(ids, c.ID)
	}
	return Card{}, Refused("connect", "the server has no model %q; it has %s", name, strings.Join(ids, ", "))
}

// Optional lets pass that a server lacks something, and keeps other errors.
func Optional(err error) error {
	switch class, _ := engine.ClassOf(err); {
	case err == nil, class == engine.Unsupported, class == engine.PolicyGone, class == engine.User:
		return nil
	}
	return err
}

// There says whether a route exists, by a request that cannot succeed on it.
func (c *Client) There(ctx context.Context, r Request) (bool, error) {
	r.Op = "look for " + r.Path
	or(&r.Limit, c.o.ControlTimeout)
	err := c.Do(ctx, r, nil)
	class, _ := engine.ClassOf(err)
	switch {
	case err == nil || class == engine.User:
		return true, nil
	case class == engine.Unsupported || class == engine.PolicyGone:
		return false, nil
	}
	return false, err
}

// LabelOf writes a policy as a version label for servers that keep one, RefOf reads it.
func LabelOf(p engine.PolicyRef) string { return p.ID + ":" + strconv.FormatInt(p.Step, 10) }

// RefOf reads a label; one that somebody else wrote is an id without a step.
func RefOf(label string) engine.PolicyRef {
	if at := strings.LastIndexByte(label, ':'); at > 0 {
		if step, err := strconv.ParseInt(label[at+1:], 10, 64); err == nil {
			return engine.PolicyRef{ID: label[:at], Step: step}
		}
	}
	return engine.PolicyRef{ID: label}
}
