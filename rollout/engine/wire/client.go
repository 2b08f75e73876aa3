package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pith/rollout/engine"
)

// Tokenizer turns text into ids and back, for servers that only speak text.
type Tokenizer interface {
	Encode(text string) ([]int32, error)
	Decode(ids []int32) string
}

// Options say where a server is and within which bounds it is used. URL is required.
type Options struct {
	// URL of the server, with scheme and port; a path in it is kept as a prefix.
	URL string
	// Model is the server's name for the weights it was started with. Default: what the server says.
	Model string
	// Base is the policy that those weights are. Default: the policy with the id Model.
	Base engine.PolicyRef
	// APIKey, where set, goes along as a bearer token.
	APIKey string
	// AdminKey, where set, is used instead of APIKey for calls that change weights.
	AdminKey string
	// Name is what results call this replica. Default: host and port of URL.
	Name string
	// Vocab is the number of token ids, where it is known; larger ids are refused. 0: not checked.
	Vocab int
	// MaxContext bounds prompt and response together. Default: what the server says.
	MaxContext int
	// Stream asks for tokens as they are drawn, so that a cancelled call keeps what it had from servers
	// that cannot return it otherwise. It costs more processor time a token.
	Stream bool
	// NoScore never asks for the log-probabilities of given tokens, for servers that cannot bear it
	// (vLLM 0.32 on a CPU with adapters dies of it).
	NoScore bool
	// Tokenizer is for servers without token ids; such servers may be evaluated with, not trained on.
	Tokenizer Tokenizer
	// HTTPClient replaces the pool of connections. Nil: one made for many long requests at a time.
	HTTPClient *http.Client
	// MaxInFlight bounds the requests, and so the connections, at a time; more wait. Default 4096.
	MaxInFlight int
	// MaxBody bounds a request's body in bytes. Default 32 MiB.
	MaxBody int
	// MaxAnswer bounds an answer in bytes. Default 64 MiB.
	MaxAnswer int
	// ControlTimeout bounds a call of the control plane that does not load weights. Default 30 s.
	ControlTimeout time.Duration
	// LoadTimeout bounds a call that loads weights. Default 12 minutes, as other trainers give it.
	LoadTimeout time.Duration
	// Classify, where it answers, decides the class of an error status; adapters set it.
	Classify func(status int, message string) (engine.Class, bool)
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Client talks to one server. It is safe for concurrent use. Close it.
type Client struct {
	o      Options
	base   string
	http   *http.Client
	own    bool // the pool is ours
	flight chan struct{}

	life context.Context // ends at Close
	end  context.CancelCauseFunc
	mu   sync.Mutex // orders the last call before Close's wait
	busy sync.WaitGroup

	buffers  sync.Pool
	account  account
	attempts atomic.Int64
}

// idleTimeout is how long a connection may lie unused: less than the five seconds after which
// uvicorn and cpp-httplib close it, so that a request rarely meets a connection that is going away.
const idleTimeout = 3 * time.Second

// NewClient makes a client. It sends nothing yet.
func NewClient(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &engine.Error{Class: engine.User, Op: "engine", Msg: fmt.Sprintf("%q is no server's address; write it as http://host:port", o.URL)}
	}
	or(&o.Name, u.Host)
	or(&o.MaxInFlight, 4096)
	or(&o.MaxBody, 32<<20)
	or(&o.MaxAnswer, 64<<20)
	or(&o.ControlTimeout, 30*time.Second)
	or(&o.LoadTimeout, 12*time.Minute)
	c := &Client{o: o, base: strings.TrimSuffix(u.String(), "/"), http: o.HTTPClient, flight: make(chan struct{}, o.MaxInFlight)}
	if c.http == nil {
		c.own = true
		c.http = &http.Client{
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
				TLSHandshakeTimeout:    10 * time.Second,
				MaxIdleConns:           o.MaxInFlight,
				MaxIdleConnsPerHost:    o.MaxInFlight,
				IdleConnTimeout:        idleTimeout,
				DisableCompression:     true,
				MaxResponseHeaderBytes: 64 << 10,
				WriteBufferSize:        4 << 10,
				ReadBufferSize:         16 << 10,
			},
			// A redirect would turn a POST into a GET, or send the key elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.buffers.New = func() any { return new(bytes.Buffer) }
	c.account.idleSince.Store(time.Now().UnixNano())
	return c, nil
}

// Options are the client's, with defaults filled in.
func (c *Client) Options() Options { return c.o }

// Close ends the calls under way with an error of class Fatal, waits for them and lets the
// connections go. Calls after it are refused.
func (c *Client) Close() error {
	c.mu.Lock()
	c.end(errClosed)
	c.mu.Unlock()
	c.busy.Wait()
	if c.own {
		c.http.CloseIdleConnections()
	}
	return nil
}

// Closed is the error of a closed client, nil for an open one.
func (c *Client) Closed(op string) error {
	if c.life.Err() != nil {
		return &engine.Error{Class: engine.Fatal, Op: op, Err: errClosed}
	}
	return nil
}

func (c *Client) enter(op string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.Closed(op); err != nil {
		return err
	}
	c.busy.Add(1)
	return nil
}

// Request is one HTTP request.
type Request struct {
	Op     string // for errors
	Method string // default POST with a body, GET without
	Path   string
	Body   []byte
	Admin  bool   // with the key of the control plane
	ID     string // sent as X-Request-Id
	Alone  bool   // on a connection of its own, for servers that close it after a stream
	Limit  time.Duration
}

// Do sends a request and gives the answer's body, at most MaxAnswer bytes of it, to read. The body is
// valid during the call. An error status does not reach read: it is returned as an [engine.Error].
func (c *Client) Do(ctx context.Context, r Request, read func(body []byte) error) error {
	return c.do(ctx, r, func(resp *http.Response, buf *bytes.Buffer) error {
		if err := c.slurp(resp, buf); err != nil {
			return err
		}
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return c.refusal(r.Op, resp.StatusCode, resp.Header, buf.Bytes())
		}
		if read == nil {
			return nil
		}
		return read(buf.Bytes())
	})
}

// Stream sends a request and calls f with the data of every event of the answer. f returns io.EOF at
// the event that says the stream is over; the rest is then left unread.
func (c *Client) Stream(ctx context.Context, r Request, f func(data []byte) error) error {
	return c.do(ctx, r, func(resp *http.Response, buf *bytes.Buffer) error {
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			if err := c.slurp(resp, buf); err != nil {
				return err
			}
			return c.refusal(r.Op, resp.StatusCode, resp.Header, buf.Bytes())
		}
		err := Events(resp.Body, c.o.MaxAnswer, f)
		switch {
		case errors.Is(err, io.EOF):
			_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // what little follows, to keep the connection
			return nil
		case err == nil:
			return io.ErrUnexpectedEOF // the server did not say that it was done
		}
		return err
	})
}

// do runs one request under the bounds of the client.
func (c *Client) do(ctx context.Context, r Request, read func(*http.Response, *bytes.Buffer) error) error {
	if err := c.enter(r.Op); err != nil {
		return err
	}
	defer c.busy.Done()
	if len(r.Body) > c.o.MaxBody {
		return Refused(r.Op, "the request has %d bytes, the limit is %d", len(r.Body), c.o.MaxBody)
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(errClosed) })()
	if r.Limit > 0 {
		var stop context.CancelFunc
		inner, stop = context.WithTimeoutCause(inner, r.Limit, fmt.Errorf("no answer within %v", r.Limit))
		defer stop()
	}
	select {
	case c.flight <- struct{}{}:
		defer func() { <-c.flight }()
	case <-inner.Done():
		return transport(ctx, inner, r.Op, context.Cause(inner))
	}
	req, err := c.request(inner, r)
	if err != nil {
		return Refused(r.Op, "%v", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return transport(ctx, inner, r.Op, err)
	}
	defer resp.Body.Close()
	buf := c.buffers.Get().(*bytes.Buffer)
	defer c.release(buf)
	if err := read(resp, buf); err != nil {
		if _, ok := errors.AsType[*engine.Error](err); ok {
			return err
		}
		return transport(ctx, inner, r.Op, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
		or(&r.Method, http.MethodPost)
	}
	or(&r.Method, http.MethodGet)
	req, err := http.NewRequestWithContext(ctx, r.Method, c.base+r.Path, body)
	if err != nil {
		return nil, err
	}
	if r.Body != nil {
		req.Header["Content-Type"] = []string{"application/json"}
	}
	req.Header["User-Agent"] = []string{"pith"}
	key := c.o.APIKey
	if r.Admin && c.o.AdminKey != "" {
		key = c.o.AdminKey
	}
	if key != "" {
		req.Header["Authorization"] = []string{"Bearer " + key}
	}
	req.Close = r.Alone
	if r.ID != "" {
		req.Header["X-Request-Id"] = []string{r.ID}
	}
	return req, nil
}

// slurp reads a body within bounds.
func (c *Client) slurp(resp *http.Response, buf *bytes.Buffer) error {
	most := int64(c.o.MaxAnswer)
	if resp.ContentLength > most {
		return fmt.Errorf("%w: %d bytes, the limit is %d", errTooLong, resp.ContentLength, most)
	}
	if resp.ContentLength > 0 {
		buf.Grow(int(resp.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("%w: more than %d bytes", errTooLong, most)
	}
	return err
}

// keptBuffer bounds the buffers that are kept for later answers.
const keptBuffer = 1 << 20

func (c *Client) release(buf *bytes.Buffer) {
	if buf.Cap() <= keptBuffer {
		buf.Reset()
		c.buffers.Put(buf)
	}
}

// account counts what became of every sample that was asked for.
type account struct {
	asked, answered, aborted atomic.Int64
	failed                   [len(classes)]atomic.Int64
	promptTokens, tokens     atomic.Int64
	running                  atomic.Int64
	idle, idleSince          atomic.Int64 // nanoseconds; idleSince is 0 while samples run
}
