package live

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"pith/analysis/htmlcheck"
)

func serve(t *testing.T, g *growing) *httptest.Server {
	server := httptest.NewServer(Handler(g.source(), 20*time.Millisecond))
	t.Cleanup(server.Close)
	return server
}

func TestEventsComeWhenTheLogGrowsAndOnlyThen(t *testing.T) {
	g := newRun(t, 3)
	server := serve(t, g)
	response, err := server.Client().Get(server.URL + "/events")
	g.must(err)
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	next := func() (x Snapshot) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				g.must(json.Unmarshal([]byte(data), &x))
				return x
			}
		}
		t.Fatal("the stream ended")
		return x
	}
	if x := next(); x.Done != 0 {
		t.Errorf("at first: step %d", x.Done)
	}
	time.Sleep(100 * time.Millisecond) // nothing changes: nothing may be sent
	g.step()
	// Timings and steps are two files: the second event may show only the first of them.
	x := next()
	for x.Done == 0 {
		if len(x.Workers) != 0 {
			t.Fatalf("an event without news: %+v", x)
		}
		x = next()
	}
	if x.Done != 1 || len(x.Last) != 2 {
		t.Errorf("after a step: step %d, %d traces", x.Done, len(x.Last))
	}
}

func TestThePageNeedsNothingFromElsewhere(t *testing.T) {
	server := serve(t, newRun(t, 3))
	get := func(path string, status int) (string, http.Header) {
		r, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != status {
			t.Errorf("%s: %d, %v", path, r.StatusCode, err)
		}
		return string(text), r.Header
	}
	text, header := get("/", 200)
	for _, address := range regexp.MustCompile(`https?://[^"'\s]+`).FindAllString(text, -1) {
		if address != "http://www.w3.org/2000/svg" {
			t.Errorf("the page names %s", address)
		}
	}
	if !strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("policy: %q", header.Get("Content-Security-Policy"))
	}
	text, _ = get("/snapshot.json", 200)
	var x Snapshot
	if err := json.Unmarshal([]byte(text), &x); err != nil || x.Steps != 3 {
		t.Errorf("snapshot: %v, %+v", err, x)
	}
	get("/../manifest.json", 404)
	if r, err := server.Client().Post(server.URL+"/events", "", nil); err != nil || r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("posting: %v, %v", r, err)
	} else {
		_ = r.Body.Close()
	}
}

func TestThePageIsValidHTML(t *testing.T) { htmlcheck.Valid(t, page) }
