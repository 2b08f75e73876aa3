package faulty

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands in front of one server. It is safe for concurrent use. Close it.
type Proxy struct {
	upstream string
	client   *http.Client
	number   atomic.Int64

	mu       sync.Mutex
	plan     Plan
	counts   map[Kind]int64
	earlier  map[string][]byte // an answer per path, for Replayed
	listener net.Listener
	server   *http.Server
	served   chan struct{}
	address  string
}

// New starts a proxy on a port of its own of the loopback interface.
func New(upstream string, plan Plan) (*Proxy, error) {
	p := &Proxy{
		upstream: strings.TrimSuffix(upstream, "/"), plan: plan, counts: map[Kind]int64{}, earlier: map[string][]byte{}, address: "127.0.0.1:0",
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4096, IdleConnTimeout: time.Second, DisableCompression: true}},
	}
	return p, p.Up()
}

// URL is where clients go.
func (p *Proxy) URL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return "http://" + p.address
}

// Set changes the plan for requests from now on, whose numbers go on.
func (p *Proxy) Set(plan Plan) {
	p.mu.Lock()
	p.plan = plan
	p.mu.Unlock()
}

// Counts says how often each fault was done. Faults that did not apply to an answer, because it held
// no log-probability, was too short or an error for example, count as [None].
func (p *Proxy) Counts() map[Kind]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Up makes the replica return, at the address it had.
func (p *Proxy) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		return fmt.Errorf("faulty proxy: %w", err)
	}
	p.listener, p.address, p.served = l, l.Addr().String(), make(chan struct{})
	p.server = &http.Server{Handler: http.HandlerFunc(p.handle), ReadHeaderTimeout: time.Minute}
	go func(s *http.Server, done chan struct{}) {
		defer close(done)
		_ = s.Serve(l)
	}(p.server, p.served)
	return nil
}

// Down makes the replica die: its connections break and new ones are refused.
func (p *Proxy) Down() {
	p.mu.Lock()
	s, done := p.server, p.served
	p.listener, p.server = nil, nil
	p.mu.Unlock()
	if s != nil {
		_ = s.Close()
		<-done
	}
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.Down()
	p.client.CloseIdleConnections()
}

func (p *Proxy) count(k Kind) {
	p.mu.Lock()
	p.counts[k]++
	p.mu.Unlock()
}

func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	n := p.number.Add(1) - 1
	p.mu.Lock()
	f := p.plan(n, r)
	p.mu.Unlock()
	switch f.Kind {
	case Status:
		p.count(f.Kind)
		status := f.Status
		if status == 0 {
			status = http.StatusServiceUnavailable
		}
		maps.Copy(w.Header(), f.Header)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"injected by the fault proxy","type":"Injected","code":%d}}`, status)
		return
	case Empty400:
		p.count(f.Kind)
		w.WriteHeader(http.StatusBadRequest)
		return
	case Refused:
		p.count(f.Kind)
		reset(w)
		return
	case Garbage:
		p.count(f.Kind)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body><h1>It works!</h1></body></html>")
		return
	}
	if f.Kind != Slow && f.Pause > 0 {
		pause(r.Context(), f.Pause)
	}
	resp, err := p.forward(r)
	if err != nil {
		p.away(r)
		reset(w)
		return
	}
	defer resp.Body.Close()
	if f.Kind == None {
		p.count(None)
		pass(w, resp)
		return
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.away(r)
		reset(w)
		return
	}
	p.spoil(w, r, resp, f, body)
}

// away counts a request that the upstream did not answer, unless it was the client that left.
func (p *Proxy) away(r *http.Request) {
	if r.Context().Err() == nil {
		p.count(Refused)
	}
}

// forward asks the upstream. The request's body is read first: an answer that begins while the
// transport still looks for its end would have the server close it, and break the connection.
func (p *Proxy) forward(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = r.Header.Clone()
	return p.client.Do(req)
}

// pass copies an answer as it comes.
func pass(w http.ResponseWriter, resp *http.Response) {
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	out := http.NewResponseController(w)
	buf := make([]byte, 16<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			if resp.ContentLength < 0 {
				_ = out.Flush()
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				reset(w)
			}
			return
		}
	}
}

// spoil answers with something wrong about it.
func (p *Proxy) spoil(w http.ResponseWriter, r *http.Request, resp *http.Response, f Fault, body []byte) {
	maps.Copy(w.Header(), resp.Header)
	w.Header().Del("Content-Length")
	if resp.StatusCode != http.StatusOK || len(body) <= f.Over { // an error is no answer
		f.Kind = None
	}
	if f.Kind == Replayed {
		p.mu.Lock()
		old, ok := p.earlier[r.URL.Path]
		p.earlier[r.URL.Path] = body
		p.mu.Unlock()
		if !ok {
			f.Kind = None
		} else {
			body = old
		}
	} else if changed, ok := mangle(f.Kind, body); ok {
		body = changed
	} else if f.Kind == NaN || f.Kind == Null || f.Kind == Positive || f.Kind == Infinite || f.Kind == Missing || f.Kind == ExtraToken {
		f.Kind = None
	}
	p.count(f.Kind)
	half := body[:len(body)/2]
	length := len(body)
	switch f.Kind {
	case Cut:
		body, length = half, len(half)
	case Short:
		body, length = half, length+len(half)+1
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(resp.StatusCode)
	out := http.NewResponseController(w)
	switch f.Kind {
	case Reset:
		_, _ = w.Write(half)
		_ = out.Flush()
		reset(w)
	case Hang:
		_, _ = w.Write(half)
		_ = out.Flush()
		<-r.Context().Done()
	case Slow:
		dribble(r.Context(), w, f, body)
	default:
		_, _ = w.Write(body)
	}
}

// dribble writes a body in pieces.
func dribble(ctx context.Context, w http.ResponseWriter, f Fault, body []byte) {
	piece, wait := f.Piece, f.Pause
	if piece < 1 {
		piece = 64
	}
	if wait <= 0 {
		wait = time.Millisecond
	}
	out := http.NewResponseController(w)
	for len(body) > 0 && ctx.Err() == nil {
		n := min(piece, len(body))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		_ = out.Flush()
		body = body[n:]
		pause(ctx, wait)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// reset breaks the connection with a TCP reset rather than an orderly end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not a plain connection; the server closes it
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
