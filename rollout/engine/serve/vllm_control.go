package serve

import (
	"encoding/json"
	"fmt"
	"net/http"

	"pith/rollout/engine"
)

// vllmLoadAdapter answers POST /v1/load_lora_adapter. Besides a LoRA directory it takes a whole model
// directory, which is then served under that name.
func (s *Server) vllmLoadAdapter(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Name    string `json:"lora_name"`
		Path    string `json:"lora_path"`
		InPlace bool   `json:"load_inplace"`
	}
	err := s.read(r, &req)
	if err == nil {
		err = s.loadAdapter(r.Context(), req.Name, req.Path, req.InPlace)
	}
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	plain(w, fmt.Sprintf("Success: LoRA adapter '%s' added successfully.", req.Name))
}

// vllmUnloadAdapter answers POST /v1/unload_lora_adapter.
func (s *Server) vllmUnloadAdapter(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Name string `json:"lora_name"`
	}
	err := s.read(r, &req)
	if err == nil {
		err = s.unloadAdapter(req.Name)
	}
	if err != nil {
		s.fail(w, openai, err)
		return
	}
	plain(w, fmt.Sprintf("Success: LoRA adapter '%s' removed successfully.", req.Name))
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text))
}

// reply sends a small answer.
func reply(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil { // our own structs always have a JSON
		panic(err)
	}
	writeJSON(w, http.StatusOK, b)
}

// vllmPause answers POST /pause?mode=abort|wait|keep.
func (s *Server) vllmPause(w http.ResponseWriter, r *http.Request) {
	mode, ok := map[string]engine.FenceMode{"": engine.FenceAbort, "abort": engine.FenceAbort, "wait": engine.FenceDrain,
		"keep": engine.FenceFreeze}[r.URL.Query().Get("mode")]
	if !ok {
		s.fail(w, detail, badf("mode", "mode is %q, want abort, wait or keep", r.URL.Query().Get("mode")))
		return
	}
	if err := s.Pause(r.Context(), mode); err != nil {
		s.fail(w, detail, err)
		return
	}
	reply(w, object{"status": "paused"})
}

type object = map[string]any

func (s *Server) vllmResume(w http.ResponseWriter, r *http.Request) {
	if err := s.Resume(r.Context()); err != nil {
		s.fail(w, detail, err)
		return
	}
	reply(w, object{"status": "resumed"})
}

func (s *Server) vllmIsPaused(w http.ResponseWriter, _ *http.Request) {
	reply(w, object{"is_paused": s.isPaused()})
}

// vllmResetCache answers POST /reset_prefix_cache. Cached keys and values belong to one immutable
// policy and are never stale; an engine that can drop them is asked to.
func (s *Server) vllmResetCache(w http.ResponseWriter, r *http.Request) {
	if err := s.resetCache(r); err != nil {
		s.fail(w, detail, err)
		return
	}
	reply(w, object{"success": true})
}

func (s *Server) resetCache(r *http.Request) error {
	if f, ok := s.o.Sampler.(engine.Fencer); ok {
		return f.ResetCache(r.Context())
	}
	return nil
}

// vllmAbort answers POST /inference/v1/abort_requests and /abort_requests; without ids the latter
// aborts everything.
func (s *Server) vllmAbort(w http.ResponseWriter, r *http.Request) {
	var req struct {
		IDs []string `json:"request_ids"`
	}
	if err := s.readOptional(r, &req); err != nil {
		s.fail(w, detail, err)
		return
	}
	all := req.IDs == nil && r.URL.Path == "/abort_requests"
	reply(w, object{"status": "aborted", "aborted": s.abort(all, req.IDs...)})
}

// staged are weights between start_weight_update and finish_weight_update. One change of weights
// happens at a time; the server's lock guards the fields.
type staged struct {
	open   bool
	policy *policy
}

// vllmInitTransfer answers POST /init_weight_transfer_engine: only weights on disk can be transferred.
func (s *Server) vllmInitTransfer(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Info map[string]any `json:"init_info"`
	}
	if err := s.readOptional(r, &req); err != nil {
		s.fail(w, detail, err)
		return
	}
	if _, nccl := req.Info["master_address"]; nccl {
		s.fail(w, detail, missing("this server takes weights from disk, not over NCCL"))
		return
	}
	reply(w, object{"message": "Weight transfer initialized"})
}

func (s *Server) vllmStartUpdate(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	old := s.update.policy
	s.update = staged{open: true}
	s.mu.Unlock()
	s.retire(old) // an update that was never finished
	reply(w, object{"message": "Weight update started"})
}

// vllmUpdateWeights answers POST /update_weights, in vLLM's form with the disk backend,
// {"update_info":{"path"}} between start and finish, or in prime-rl's, {"weight_dir"}, at once.
func (s *Server) vllmUpdateWeights(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Info struct {
			Path string `json:"path"`
		} `json:"update_info"`
		Dir string `json:"weight_dir"`
	}
	err := s.read(r, &req)
	switch {
	case err != nil:
	case req.Dir != "":
		err = s.reload(r.Context(), req.Dir, "")
	case req.Info.Path == "":
		err = badf("update_info", "update_info needs a path: this server takes weights from disk")
	default:
		err = s.stage(r, req.Info.Path)
	}
	if err != nil {
		s.fail(w, detail, err)
		return
	}
	reply(w, object{"message": "Weights updated"})
}

func (s *Server) stage(r *http.Request, path string) error {
	unlock, err := s.lockLoads(r.Context())
	if err != nil {
		return err
	}
	defer unlock()
	s.mu.Lock()
	open, label := s.update.open, s.names[s.o.Model].label
	s.mu.Unlock()
	if !open {
		return badf("", "no weight update is under way: call /start_weight_update first")
	}
	p, err := s.publish(r.Context(), s.o.Model, label, path, false)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.update.policy
	s.update.policy = p
	s.mu.Unlock()
	s.retire(old)
	return nil
}

// vllmFinishUpdate makes the staged weights the base's.
func (s *Server) vllmFinishUpdate(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Version string `json:"weight_version"`
	}
	if err := s.readOptional(r, &req); err != nil {
		s.fail(w, detail, err)
		return
	}
	s.mu.Lock()
	done := s.update
	s.update = staged{}
	if done.policy != nil && req.Version != "" {
		done.policy.label = req.Version
	}
	s.mu.Unlock()
	switch {
	case !done.open:
		s.fail(w, detail, badf("", "no weight update is under way: call /start_weight_update first"))
		return
	case done.policy == nil:
		s.fail(w, detail, badf("", "no weights came since /start_weight_update: call /update_weights"))
		return
	}
	s.takeName(s.o.Model, done.policy)
	reply(w, object{"message": "Weight update finished"})
}

// updateVersion answers POST /update_weight_version, which vLLM and SGLang share.
func (s *Server) updateVersion(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Version  string `json:"new_version"`
		AbortAll bool   `json:"abort_all_requests"`
	}
	if err := s.read(r, &req); err != nil {
		s.fail(w, result, err)
		return
	}
	if req.Version == "" {
		s.fail(w, result, badf("new_version", "new_version is required"))
		return
	}
	if req.AbortAll {
		s.abort(true)
	}
	s.relabel(req.Version)
	reply(w, object{"success": true, "message": "Weight version updated to " + req.Version, "new_version": req.Version})
}

func (s *Server) vllmWeightInfo(w http.ResponseWriter, _ *http.Request) {
	reply(w, object{"weight_version": s.version()})
}

func (s *Server) vllmWorldSize(w http.ResponseWriter, _ *http.Request) {
	reply(w, object{"world_size": 1})
}

// vllmCollectiveRPC answers POST /collective_rpc for the one method that a server without workers can
// have: reload_weights, from where the weights came or from kwargs' weights_path.
func (s *Server) vllmCollectiveRPC(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Method string `json:"method"`
		KWArgs struct {
			Path string `json:"weights_path"`
		} `json:"kwargs"`
	}
	err := s.read(r, &req)
	if err == nil && req.Method != "reload_weights" {
		err = missing("method %q is not there, only reload_weights", req.Method)
	}
	if err == nil {
		path := req.KWArgs.Path
		if path == "" {
			s.mu.Lock()
			path = s.names[s.o.Model].path
			s.mu.Unlock()
		}
		err = s.reload(r.Context(), path, "")
	}
	if err != nil {
		s.fail(w, detail, err)
		return
	}
	reply(w, object{"results": []any{nil}})
}
