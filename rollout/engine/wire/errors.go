package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pith/rollout/engine"
)

// errClosed is why a call ended when its client was closed.
var errClosed = errors.New("the engine is closed")

// transport is the error of a call that brought no answer. ctx is the caller's; inner is the one the
// call ran under.
func transport(ctx, inner context.Context, op string, err error) error {
	switch {
	case errors.Is(context.Cause(inner), errClosed):
		return &engine.Error{Class: engine.Fatal, Op: op, Err: errClosed}
	case ctx.Err() != nil:
		return &engine.Error{Class: engine.Transient, Op: op, Msg: "ended by the caller", Err: context.Cause(ctx)}
	case errors.Is(err, errTooLong):
		return &engine.Error{Class: engine.Malformed, Op: op, Err: err}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &engine.Error{Class: engine.Fatal, Op: op, Msg: "the server's certificate is not trusted", Err: err}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return &engine.Error{Class: engine.Fatal, Op: op, Msg: "the server's certificate is not trusted", Err: err}
	}
	return &engine.Error{Class: engine.Transient, Op: op, Msg: "no whole answer", Err: err}
}

// Malformed is the error of an answer that breaks a promise.
func Malformed(op, format string, args ...any) error {
	return &engine.Error{Class: engine.Malformed, Op: op, Msg: fmt.Sprintf(format, args...)}
}

// Refused is the error of a request that can never succeed.
func Refused(op, format string, args ...any) error {
	return &engine.Error{Class: engine.User, Op: op, Msg: fmt.Sprintf(format, args...)}
}

// Gone is the error of a policy that is not live.
func Gone(op string, ref engine.PolicyRef, why string) error {
	return &engine.Error{Class: engine.PolicyGone, Op: op, Msg: fmt.Sprintf("policy %q is not live: %s; publish it first", ref.ID, why)}
}

// Missing is the error of something that this server does not do.
func Missing(op, format string, args ...any) error {
	return &engine.Error{Class: engine.Unsupported, Op: op, Msg: fmt.Sprintf(format, args...)}
}

// refusal turns an answer with an error status into an error, by the table of protocols for servers
// that behave, and by what the message says where several things share a status.
func (c *Client) refusal(op string, status int, header http.Header, body []byte) *engine.Error {
	msg := Message(body)
	e := &engine.Error{Class: classOf(status, body, msg), Op: op, Status: status, Msg: fmt.Sprintf("status %d: %s", status, msg)}
	if msg == "" {
		e.Msg = fmt.Sprintf("status %d without a reason", status)
	}
	if c.o.Classify != nil {
		if class, ok := c.o.Classify(status, msg); ok {
			e.Class = class
		}
	}
	if e.Class == engine.Busy {
		e.Wait = wait(header, time.Now())
	}
	return e
}

// Failed is the error of an answer or an event that holds {"error": …} under status 200, which is how
// streams fail. Its class is that of the status in "code", where there is one.
func (c *Client) Failed(op string, body []byte) error {
	code := 0
	s := NewScanner(body)
	read := func(key []byte) {
		if k := s.Kind(); string(key) == "code" && k-'0' <= 9 {
			code = int(s.Int())
		}
	}
	s.Fields(func(key []byte) {
		if string(key) == "error" && s.Kind() == '{' {
			s.Fields(read)
			return
		}
		read(key)
	})
	if code < 400 || code > 599 {
		return &engine.Error{Class: engine.Transient, Op: op, Msg: Message(body)}
	}
	return c.refusal(op, code, http.Header{}, body)
}

func classOf(status int, body []byte, msg string) engine.Class {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong:
		if len(bytes.TrimSpace(body)) == 0 { // a proxy's, not the server's
			return engine.Transient
		}
		return engine.User
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		return engine.Fatal
	case http.StatusNotFound:
		low := strings.ToLower(msg)
		if strings.Contains(low, "endpoint") { // its path may hold any word
			return engine.Unsupported
		}
		for _, word := range []string{"model", "adapter", "lora", "policy"} {
			if strings.Contains(low, word) {
				return engine.PolicyGone
			}
		}
		return engine.Unsupported
	case http.StatusGone:
		return engine.PolicyGone
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return engine.Unsupported
	case http.StatusTooManyRequests, http.StatusTooEarly, http.StatusServiceUnavailable:
		return engine.Busy
	case http.StatusRequestTimeout, http.StatusConflict:
		return engine.Transient
	}
	if status >= 500 {
		return engine.Transient
	}
	return engine.User
}

// Default and longest time to wait that a busy server is given.
const (
	waitDefault = time.Second
	waitLongest = time.Minute
)

// wait is what a busy server asks for.
func wait(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 {
		return min(time.Duration(min(n, 3600)*float64(time.Second)), waitLongest)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), waitLongest)
	}
	return waitDefault
}

// Message finds what an error's body says, in the shapes that servers use:
// {"error":{"message":…}}, {"error":…}, {"message":…}, {"error_message":…}, {"detail":…} with a text or
// a list of {"msg":…}, or text.
func Message(body []byte) string {
	s := NewScanner(body)
	if s.Kind() != '{' {
		return short(string(body))
	}
	var msg string
	take := func(text string) {
		if msg == "" {
			msg = text
		}
	}
	s.Fields(func(key []byte) {
		switch string(key) {
		case "error", "detail":
			switch s.Kind() {
			case '{':
				s.Fields(func(key []byte) {
					if (string(key) == "message" || string(key) == "msg") && s.Kind() == '"' {
						take(s.Text())
					}
				})
			case '[':
				s.Items(func() {
					s.Fields(func(key []byte) {
						if string(key) == "msg" && s.Kind() == '"' {
							take(s.Text())
						}
					})
				})
			case '"':
				take(s.Text())
			}
		case "message", "error_message":
			if s.Kind() == '"' {
				take(s.Text())
			}
		}
	})
	if s.End() != nil && msg == "" {
		return short(string(body))
	}
	return short(msg)
}

// short keeps a message on one line of bounded length.
func short(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	const most = 400
	if len(s) > most {
		return s[:most] + " …"
	}
	return s
}
