package fleet

import (
	"context"
	"errors"
	"net"
	"syscall"

	"pith/rollout/engine"
)

// ErrLost says that a request was given up because sending it again would have been another
// sample: its engine honours no seeds and returned nothing of what it had drawn. It comes inside an
// [engine.Error] of class Malformed, so that callers drop the sample and count it.
var ErrLost = errors.New("lost: the engine is not seeded, and a fresh sample in place of a lost one would prefer short answers")

// next is what becomes of a request after an attempt failed.
type next uint8

const (
	giveUp  next = iota // the error is the caller's
	lose                // give up with [ErrLost]
	again               // the same request
	goOn                // the same request from the tokens that were drawn
	another             // the same request on another replica: this one lacks the policy
)

var nextNames = [...]string{"give up", "lose", "again", "go on", "another"}

func (n next) String() string { return nextNames[n] }

// verdict says what may follow a failed attempt without changing the distribution of lengths:
//
//   - refused before anything was drawn: the same request again, whatever the engine;
//   - broken off, with the tokens drawn so far: go on from them;
//   - broken off, without them, by a seeded engine: the same request again gives the same tokens;
//   - broken off, without them, by any other: lost;
//   - wrong, or answered brokenly: the caller's.
func verdict(err error, partial, seeded bool) next {
	class, ok := engine.ClassOf(err)
	switch {
	case !ok && !errors.Is(err, context.DeadlineExceeded):
		return giveUp
	case class == engine.User, class == engine.Unsupported, class == engine.Malformed:
		return giveUp
	case class == engine.PolicyGone:
		return another
	case class == engine.Busy, unstarted(err):
		return again
	case partial:
		return goOn
	case seeded:
		return again
	}
	return lose
}

// unstarted says that the request cannot have begun: it was never delivered, or it was refused at
// the door.
func unstarted(err error) bool {
	if e, ok := errors.AsType[*engine.Error](err); ok {
		switch e.Status {
		case 401, 403, 404, 425, 429, 503:
			return true
		}
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// blames says whether an error speaks against the replica rather than the request.
func blames(err error) bool {
	class, ok := engine.ClassOf(err)
	return ok && (class == engine.Transient || class == engine.Fatal || class == engine.Malformed)
}

func isLost(err error) bool { return errors.Is(err, ErrLost) }

func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func isBroken(err error) bool {
	class, ok := engine.ClassOf(err)
	return ok && class == engine.Malformed
}
