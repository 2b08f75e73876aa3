package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"pith/rollout/engine"
)

// problem is a refusal or a failure, before a dialect gives it a shape.
type problem struct {
	status int
	param  string // the field at fault, where there is one
	msg    string
	wait   time.Duration // of a refusal that another time may not meet
}

func (p *problem) Error() string { return p.msg }

func badf(param, format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, param: param, msg: fmt.Sprintf(format, args...)}
}

func absentf(format string, args ...any) *problem {
	return &problem{status: http.StatusNotFound, msg: fmt.Sprintf(format, args...)}
}

// missing says that this server was started without something.
func missing(format string, args ...any) *problem {
	return &problem{status: http.StatusNotImplemented, msg: fmt.Sprintf(format, args...)}
}

// problemOf finds the status of an error.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{status: http.StatusRequestEntityTooLarge, msg: fmt.Sprintf("the body has more than %d bytes", big.Limit)}
	}
	if e, ok := errors.AsType[*engine.Error](err); ok {
		p := &problem{status: http.StatusInternalServerError, msg: err.Error(), wait: e.Wait}
		switch e.Class {
		case engine.User:
			p.status = http.StatusBadRequest
		case engine.Unsupported:
			p.status = http.StatusNotImplemented
		case engine.PolicyGone:
			p.status = http.StatusNotFound
		case engine.Busy:
			p.status = http.StatusTooManyRequests
		case engine.Transient, engine.Fatal:
			p.status = http.StatusServiceUnavailable
		}
		return p
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &problem{status: http.StatusServiceUnavailable, msg: err.Error()}
	}
	return &problem{status: http.StatusInternalServerError, msg: err.Error()}
}

// dialect says in which shape a failure is told.
type dialect uint8

const (
	openai dialect = iota // vLLM's OpenAI routes: {"error":{"message","type","param","code"}}
	detail                // vLLM's control routes: {"error":"…"}
	sglang                // SGLang's own routes: {"error":{"message"}}
	llama                 // llama-server: {"error":{"code","message","type"}}
	result                // SGLang's control routes: {"success":false,"message"}
)

// openaiTypes name the statuses as vLLM does.
var openaiTypes = map[int]string{
	http.StatusBadRequest:            "BadRequestError",
	http.StatusUnauthorized:          "AuthenticationError",
	http.StatusForbidden:             "PermissionDeniedError",
	http.StatusNotFound:              "NotFoundError",
	http.StatusRequestEntityTooLarge: "BadRequestError",
	http.StatusTooManyRequests:       "RateLimitError",
	http.StatusNotImplemented:        "NotImplementedError",
	http.StatusServiceUnavailable:    "ServiceUnavailableError",
}

// llamaTypes name the statuses as llama-server does.
var llamaTypes = map[int]string{
	http.StatusBadRequest:         "invalid_request_error",
	http.StatusUnauthorized:       "authentication_error",
	http.StatusForbidden:          "permission_error",
	http.StatusNotFound:           "not_found_error",
	http.StatusNotImplemented:     "not_supported_error",
	http.StatusServiceUnavailable: "unavailable_error",
}

func nameOf(names map[int]string, status int, otherwise string) string {
	if n, ok := names[status]; ok {
		return n
	}
	return otherwise
}

// body is the failure as JSON.
func (p *problem) body(d dialect) []byte {
	var b []byte
	switch d {
	case openai:
		b = appendString(append(b, `{"error":{"message":`...), p.msg)
		b = appendString(append(b, `,"type":`...), nameOf(openaiTypes, p.status, "InternalServerError"))
		b = append(b, `,"param":`...)
		if p.param == "" {
			b = append(b, "null"...)
		} else {
			b = appendString(b, p.param)
		}
		b = strconv.AppendInt(append(b, `,"code":`...), int64(p.status), 10)
		return append(b, "}}"...)
	case detail:
		b = appendString(append(b, `{"error":`...), p.msg)
		return append(b, '}')
	case sglang:
		b = appendString(append(b, `{"error":{"message":`...), p.msg)
		return append(b, "}}"...)
	case result:
		b = appendString(append(b, `{"success":false,"message":`...), p.msg)
		b = appendString(append(b, `,"error_message":`...), p.msg)
		return append(b, '}')
	}
	b = strconv.AppendInt(append(b, `{"error":{"code":`...), int64(p.status), 10)
	b = appendString(append(b, `,"message":`...), p.msg)
	b = appendString(append(b, `,"type":`...), nameOf(llamaTypes, p.status, "server_error"))
	return append(b, "}}"...)
}

// fail answers with an error in the shape of the dialect.
func (s *Server) fail(w http.ResponseWriter, d dialect, err error) {
	p := problemOf(err)
	if p.status == http.StatusTooManyRequests || p.status == http.StatusServiceUnavailable {
		wait := p.wait
		if wait <= 0 {
			wait = s.o.RetryAfter
		}
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	writeJSON(w, p.status, p.body(d))
}

// writeJSON sends a whole body. A client that has gone is nobody's problem.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
