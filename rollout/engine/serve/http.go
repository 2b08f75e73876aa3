package serve

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// routes are everything that is served.
func (s *Server) routes() *http.ServeMux {
	m := http.NewServeMux()
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /health":          s.health,
		"GET /health_generate": s.healthGenerate,
		"GET /version":         s.versionInfo,
		"GET /metrics":         s.metrics,
		"GET /v1/models":       s.models,

		"POST /v1/completions":        s.completions,
		"POST /inference/v1/generate": s.generateTokens,
		"POST /generate":              s.sglangGenerate,
		"POST /v1/chat/completions":   s.chat,
		"POST /tokenize":              s.tokenize,
		"POST /detokenize":            s.detokenize,

		"POST /v1/load_lora_adapter":        s.vllmLoadAdapter,
		"POST /v1/unload_lora_adapter":      s.vllmUnloadAdapter,
		"POST /inference/v1/abort_requests": s.vllmAbort,
		"POST /abort_requests":              s.vllmAbort,
		"POST /pause":                       s.vllmPause,
		"POST /resume":                      s.vllmResume,
		"GET /is_paused":                    s.vllmIsPaused,
		"POST /reset_prefix_cache":          s.vllmResetCache,
		"POST /init_weight_transfer_engine": s.vllmInitTransfer,
		"POST /start_weight_update":         s.vllmStartUpdate,
		"POST /update_weights":              s.vllmUpdateWeights,
		"POST /finish_weight_update":        s.vllmFinishUpdate,
		"POST /update_weight_version":       s.updateVersion,
		"GET /weight_info":                  s.vllmWeightInfo,
		"GET /get_world_size":               s.vllmWorldSize,
		"POST /collective_rpc":              s.vllmCollectiveRPC,

		"POST /update_weights_from_disk": s.sglangUpdateFromDisk,
		"POST /pause_generation":         s.sglangPause,
		"POST /continue_generation":      s.sglangContinue,
		"POST /abort_request":            s.sglangAbort,
		"GET /flush_cache":               s.sglangFlush,
		"POST /flush_cache":              s.sglangFlush,
		"POST /load_lora_adapter":        s.sglangLoadAdapter,
		"POST /unload_lora_adapter":      s.sglangUnloadAdapter,
		"GET /model_info":                s.sglangModelInfo,
		"GET /get_model_info":            s.sglangModelInfo,
		"GET /server_info":               s.sglangServerInfo,
		"GET /get_server_info":           s.sglangServerInfo,

		"POST /completion": s.llamaCompletion,
		"GET /props":       s.llamaProps,
		"GET /slots":       s.llamaSlots,
	} {
		if s.loadable() || !changesWeights[pattern] {
			m.HandleFunc(pattern, h)
		}
	}
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, openai, absentf("no such endpoint: %s %s", r.Method, r.URL.Path))
	})
	return m
}

// changesWeights are the routes that exist only where weights can be loaded, so that a client that
// looks for them learns what it can do here.
var changesWeights = map[string]bool{
	"POST /v1/load_lora_adapter": true, "POST /v1/unload_lora_adapter": true, "POST /init_weight_transfer_engine": true,
	"POST /start_weight_update": true, "POST /update_weights": true, "POST /finish_weight_update": true, "POST /collective_rpc": true,
	"GET /weight_info": true, "POST /update_weights_from_disk": true, "POST /load_lora_adapter": true, "POST /unload_lora_adapter": true,
}

// open are the paths that need no key: a load balancer asks them.
var open = map[string]bool{"/health": true, "/health_generate": true}

// samples are the paths that wait for the engine, whose number is bounded. What controls the server
// must get through when it is full.
var samples = map[string]bool{"/v1/completions": true, "/v1/chat/completions": true, "/inference/v1/generate": true, "/generate": true, "/completion": true}

// ServeHTTP answers one request: it bounds how many there are, checks the key, and logs.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	id := requestID(r, "")
	r.Header.Set("X-Request-Id", id)
	w.Header().Set("X-Request-Id", id)
	rec := &recorder{ResponseWriter: w}
	defer func() {
		s.o.Log.LogAttrs(r.Context(), slog.LevelInfo, "serve: request", slog.String("id", id), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes),
			slog.Duration("took", time.Since(began)), slog.Bool("client_left", r.Context().Err() != nil))
	}()
	if samples[r.URL.Path] {
		if !s.enterRequest() {
			s.fail(rec, dialectOf(r.URL.Path), &problem{status: http.StatusServiceUnavailable, msg: "too many requests are in flight; send the request again later"})
			return
		}
		defer s.leaveRequest()
	}
	if !open[r.URL.Path] && !s.authorised(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.fail(rec, dialectOf(r.URL.Path), &problem{status: http.StatusUnauthorized, msg: "the API key is missing or wrong: send it as Authorization: Bearer KEY"})
		return
	}
	release, err := s.takeBody(rec, r)
	if err != nil {
		s.fail(rec, dialectOf(r.URL.Path), err)
		return
	}
	defer release()
	s.mux.ServeHTTP(rec, r)
}

// takeBody reads the body before anything else happens, so that a slow sender holds a little memory
// and nothing more, and so that the end of the connection is noticed from then on. Bodies in flight
// have a budget together.
func (s *Server) takeBody(w http.ResponseWriter, r *http.Request) (release func(), err error) {
	if r.ContentLength == 0 || r.Body == nil {
		return func() {}, nil
	}
	size := r.ContentLength
	if size < 0 {
		size = s.o.MaxBody
	}
	if size > s.o.MaxBody {
		return nil, &http.MaxBytesError{Limit: s.o.MaxBody}
	}
	s.mu.Lock()
	full := s.bodies+size > s.o.MaxBodies
	if !full {
		s.bodies += size
	}
	s.mu.Unlock()
	if full {
		return nil, &problem{status: http.StatusServiceUnavailable, msg: "the requests in flight hold too much memory; send the request again later"}
	}
	release = func() {
		s.mu.Lock()
		s.bodies -= size
		s.mu.Unlock()
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(patience)) // not every writer has deadlines
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.MaxBody))
	_ = rc.SetReadDeadline(time.Time{})
	if err != nil {
		release()
		if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, big
		}
		return nil, badf("", "read the body: %v", err)
	}
	r.Body = &heldBody{bytes.NewReader(body), body}
	r.ContentLength = int64(len(body))
	return release, nil
}

// dialectOf is the shape in which a path's clients expect failures.
func dialectOf(path string) dialect {
	switch path {
	case "/generate":
		return sglang
	case "/completion":
		return llama
	}
	return openai
}

// heldBody is a body that is in memory.
type heldBody struct {
	*bytes.Reader
	all []byte
}

// Close does nothing.
func (*heldBody) Close() error { return nil }

func (s *Server) enterRequest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests >= s.o.MaxRequests {
		return false
	}
	s.requests++
	return true
}

func (s *Server) leaveRequest() {
	s.mu.Lock()
	s.requests--
	s.mu.Unlock()
}

// authorised compares digests, so that the time it takes tells neither the key nor its length.
func (s *Server) authorised(r *http.Request) bool {
	if s.o.APIKey == "" {
		return true
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.o.APIKey))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && ok
}

// recorder notes what was answered, for the log.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap lets a response controller reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}
