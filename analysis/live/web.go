package live

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

//go:embed page.html
var page []byte

// Handler serves the page at /, its data at /snapshot.json, and at /events the same as server-sent
// events: one at once, then one whenever the log has changed, looked at every so often. Nothing can be
// changed through it. It is safe for concurrent use.
func Handler(s *Source, every time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		secure(w)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("GET /snapshot.json", func(w http.ResponseWriter, _ *http.Request) {
		text, err := json.Marshal(s.Snapshot())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		secure(w)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { stream(w, r, s, every) })
	return mux
}

// secure lets the page load nothing from elsewhere: prompts and responses are foreign text.
func secure(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
}

// beat is how often an unchanged stream says that it is alive, so that proxies keep it open.
const beat = 15 * time.Second

func stream(w http.ResponseWriter, r *http.Request, s *Source, every time.Duration) {
	secure(w)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	said, at := "", time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for id := 1; ; {
		text, err := json.Marshal(s.Snapshot())
		switch {
		case err != nil:
			return
		case string(text) != said:
			_, err = fmt.Fprintf(w, "id: %d\ndata: %s\n\n", id, text)
			said, at = string(text), time.Now()
			id++
		case time.Since(at) > beat:
			_, err = fmt.Fprint(w, ": still here\n\n")
			at = time.Now()
		}
		if err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}
