package stream

import (
	"errors"
	"fmt"
)

// What went wrong, for errors.Is. The message of the [Error] around it says where and what to do.
var (
	ErrConfig      = errors.New("bad stream configuration")
	ErrInsecure    = errors.New("refused: address beyond loopback without credentials")
	ErrPortBusy    = errors.New("port is busy")
	ErrUnreachable = errors.New("server does not answer")
	ErrDenied      = errors.New("credentials were refused")
	ErrTLS         = errors.New("TLS handshake failed")
	ErrNoJetStream = errors.New("server has no JetStream")
	ErrStore       = errors.New("store directory cannot be used")
	ErrStoreFull   = errors.New("store is full")
	ErrLocked      = errors.New("run directory is in use")
	ErrNoRun       = errors.New("no such run on the server")
	ErrTooLarge    = errors.New("message is larger than the server takes")
	ErrDigest      = errors.New("policy bytes do not have the announced digest")
	ErrGone        = errors.New("policy's weights are gone")
	ErrHeldFull    = errors.New("as many traces are held unacknowledged as may be")
	ErrClosed      = errors.New("stream is closed")
)

// Error is every error of this package that is not a context's: one line that says what, where
// and what to do.
type Error struct {
	Kind error  // one of the sentinels above
	Msg  string // where, and what to do
	Err  error  // the cause; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("stream: %s: %s", e.Kind, e.Msg)
	}
	return fmt.Sprintf("stream: %s: %s (%s)", e.Kind, e.Msg, e.Err)
}

// Unwrap makes both the sentinel and the cause visible to errors.Is.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func failf(kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...), Err: cause}
}
