package serve

import (
	"net/http"
	"strconv"

	"pith/rollout/engine"
)

// health says whether the engine behind the server works.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if err := s.healthy(r); err != nil {
		s.fail(w, llama, err)
		return
	}
	writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

func (s *Server) healthy(r *http.Request) error {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	if draining {
		return &problem{status: http.StatusServiceUnavailable, msg: "the server is shutting down"}
	}
	if s.o.Observer != nil {
		stats, err := s.o.Observer.Stats(r.Context())
		if err != nil {
			return &problem{status: http.StatusServiceUnavailable, msg: err.Error()}
		}
		for _, st := range stats {
			if !st.Healthy {
				return &problem{status: http.StatusServiceUnavailable, msg: "the engine is not healthy"}
			}
		}
	}
	return nil
}

// healthGenerate draws one token, past the queue of requests.
func (s *Server) healthGenerate(w http.ResponseWriter, r *http.Request) {
	wk := &work{id: "health-" + requestID(r, ""), prompt: []int32{0}, n: 1, params: engine.Params{MaxTokens: 1, TopP: 1}}
	if _, err := s.run(r.Context(), wk); err != nil {
		s.fail(w, llama, &problem{status: http.StatusServiceUnavailable, msg: err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

func (s *Server) versionInfo(w http.ResponseWriter, _ *http.Request) {
	b := appendString([]byte(`{"version":`), s.o.Version)
	writeJSON(w, http.StatusOK, append(b, '}'))
}

// models lists the base and what is loaded beside it.
func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := []byte(`{"object":"list","data":[`)
	for i, name := range append([]string{s.o.Model}, s.adaptersLocked()...) {
		if i > 0 {
			b = append(b, ',')
		}
		p := s.names[name]
		b = appendString(append(b, `{"id":`...), name)
		b = strconv.AppendInt(append(b, `,"object":"model","created":`...), s.started.Unix(), 10)
		b = appendString(append(b, `,"owned_by":"pith","root":`...), p.path)
		b = append(b, `,"parent":`...)
		if p.adapter {
			b = append(appendString(b, s.o.Model), `,"max_model_len":null`...)
		} else {
			b = appendInt(append(b, `null,"max_model_len":`...), s.caps.MaxContext)
		}
		b = append(b, '}')
	}
	writeJSON(w, http.StatusOK, append(b, "]}"...))
}

// adaptersLocked are the names beside the base, oldest first.
func (s *Server) adaptersLocked() []string {
	var out []string
	for _, name := range s.sortedLocked() {
		if s.names[name].adapter {
			out = append(out, name)
		}
	}
	return out
}
