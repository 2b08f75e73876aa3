package engine

import (
	"errors"
	"fmt"
	"time"
)

// Class says what a caller should do about an engine error.
type Class uint8

const (
	Transient   Class = iota // same request again
	Busy                     // back-pressure: same request after Wait
	User                     // never again: the request itself is wrong
	Unsupported              // choose another configuration
	PolicyGone               // publish again, then retry
	Malformed                // the answer broke an invariant; drop the sample and count it
	Fatal                    // authentication, a dead engine
)

var classNames = [...]string{"transient", "busy", "user", "unsupported", "policy gone", "malformed", "fatal"}

func (c Class) String() string { return classNames[c] }

// Error is every error an engine returns.
type Error struct {
	Class  Class
	Op     string        // what was being done, with the request id
	Status int           // HTTP status where there is one
	Wait   time.Duration // Busy only
	Msg    string
	Err    error
}

func (e *Error) Error() string {
	msg := e.Msg
	if e.Err != nil {
		if msg != "" {
			msg += ": "
		}
		msg += e.Err.Error()
	}
	return fmt.Sprintf("%s: %s (%s)", e.Op, msg, e.Class)
}

func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of err, and Fatal with false where err is no engine error.
func ClassOf(err error) (Class, bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class, true
	}
	return Fatal, false
}
