package serve

import (
	"net/http"

	"pith/rollout/engine"
)

// sglangUpdateFromDisk answers POST /update_weights_from_disk.
func (s *Server) sglangUpdateFromDisk(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Path     string `json:"model_path"`
		Version  string `json:"weight_version"`
		AbortAll bool   `json:"abort_all_requests"`
	}
	err := s.read(r, &req)
	if err == nil && req.Path == "" {
		err = badf("model_path", "model_path is required")
	}
	if err == nil {
		if req.AbortAll {
			s.abort(true)
		}
		err = s.reload(r.Context(), req.Path, req.Version)
	}
	if err != nil {
		s.failResult(w, err)
		return
	}
	s.mu.Lock()
	held := len(s.waiting)
	s.mu.Unlock()
	reply(w, object{"success": true, "message": "Succeeded to update model weights.", "num_paused_requests": held})
}

// failResult answers with SGLang's result object, and its one status for what went wrong.
func (s *Server) failResult(w http.ResponseWriter, err error) {
	p := *problemOf(err)
	if p.status < http.StatusInternalServerError && p.status != http.StatusUnauthorized {
		p.status = http.StatusBadRequest
	}
	s.fail(w, result, &p)
}

// sglangPause answers POST /pause_generation {"mode"}; older clients send no body.
func (s *Server) sglangPause(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Mode string `json:"mode"`
	}
	if err := s.readOptional(r, &req); err != nil {
		s.fail(w, sglang, err)
		return
	}
	mode, ok := map[string]engine.FenceMode{"": engine.FenceAbort, "abort": engine.FenceAbort,
		"retract": engine.FenceFreeze, "in_place": engine.FenceFreeze}[req.Mode]
	if !ok {
		s.fail(w, sglang, badf("mode", "mode is %q, want abort, retract or in_place", req.Mode))
		return
	}
	if err := s.Pause(r.Context(), mode); err != nil {
		s.fail(w, sglang, err)
		return
	}
	reply(w, object{"message": "Generation paused successfully.", "status": "ok"})
}

func (s *Server) sglangContinue(w http.ResponseWriter, r *http.Request) {
	if err := s.Resume(r.Context()); err != nil {
		s.fail(w, sglang, err)
		return
	}
	reply(w, object{"message": "Generation continued successfully.", "status": "ok"})
}

// sglangAbort answers POST /abort_request: the waiting call then returns what it has.
func (s *Server) sglangAbort(w http.ResponseWriter, r *http.Request) {
	var req struct {
		RID      string `json:"rid"`
		AbortAll bool   `json:"abort_all"`
	}
	if err := s.read(r, &req); err != nil {
		s.fail(w, sglang, err)
		return
	}
	s.abort(req.AbortAll, req.RID)
	w.WriteHeader(http.StatusOK)
}

// sglangFlush answers /flush_cache, which SGLang refuses while requests run.
func (s *Server) sglangFlush(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	busy := len(s.running) > 0
	s.mu.Unlock()
	if busy {
		http.Error(w, "Cache not flushed because there are pending requests.", http.StatusBadRequest)
		return
	}
	if err := s.resetCache(r); err != nil {
		s.fail(w, sglang, err)
		return
	}
	plain(w, "Cache flushed.\n")
}

func (s *Server) sglangLoadAdapter(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Name string `json:"lora_name"`
		Path string `json:"lora_path"`
	}
	err := s.read(r, &req)
	if err == nil {
		err = s.loadAdapter(r.Context(), req.Name, req.Path, false)
	}
	s.sglangAdapters(w, err)
}

func (s *Server) sglangUnloadAdapter(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Name string `json:"lora_name"`
	}
	err := s.read(r, &req)
	if err == nil {
		err = s.unloadAdapter(req.Name)
	}
	s.sglangAdapters(w, err)
}

// sglangAdapters tells how a change of adapters went, and which there are.
func (s *Server) sglangAdapters(w http.ResponseWriter, err error) {
	if err != nil {
		s.failResult(w, err)
		return
	}
	loaded := map[string]string{}
	s.mu.Lock()
	for name, p := range s.names {
		if p.adapter {
			loaded[name] = p.path
		}
	}
	s.mu.Unlock()
	reply(w, object{"success": true, "error_message": "", "loaded_adapters": loaded})
}

func (s *Server) sglangModelInfo(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	base := *s.names[s.o.Model]
	s.mu.Unlock()
	reply(w, object{"model_path": base.path, "tokenizer_path": s.o.ModelPath, "is_generation": true, "weight_version": base.label,
		"has_image_understanding": false, "has_audio_understanding": false})
}

func (s *Server) sglangServerInfo(w http.ResponseWriter, r *http.Request) {
	info := object{"version": s.o.Version, "served_model_name": s.o.Model, "model_path": s.o.ModelPath, "context_length": s.caps.MaxContext,
		"max_total_num_tokens": nil, "internal_states": []any{}}
	if s.o.Observer != nil {
		stats, err := s.o.Observer.Stats(r.Context())
		if err != nil {
			s.fail(w, sglang, err)
			return
		}
		states := make([]object, len(stats))
		for i, st := range stats {
			states[i] = object{"num_running_reqs": st.Running, "num_queue_reqs": st.Waiting, "token_usage": st.CacheUse}
		}
		info["internal_states"] = states
	}
	reply(w, info)
}
