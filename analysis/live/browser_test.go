package live

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser finds a Chromium: PITH_BROWSER, as .ci/browser.sh prints it, or one on the path.
func browser(t *testing.T) string {
	if path := os.Getenv("PITH_BROWSER"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium on the path; .ci/browser.sh installs one, PITH_BROWSER names one")
	return ""
}

func TestTheViewFollowsARunInABrowserOnAPhone(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path := browser(t)
	g := newRun(t, 3)
	g.evaluate()
	server := serve(t, g)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	defer cancelAllocator()
	ctx, cancelTab := chromedp.NewContext(ctx)
	defer func() {
		// Waits for the browser to be gone.
		if err := chromedp.Cancel(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		cancelTab()
	}()
	own, err := url.Parse(server.URL)
	g.must(err)
	var mu sync.Mutex
	var wrong []string
	chromedp.ListenTarget(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" && u.Host != own.Host {
				wrong = append(wrong, "request to "+e.Request.URL)
			}
		case *cdpruntime.EventExceptionThrown:
			wrong = append(wrong, e.ExceptionDetails.Error())
		case *cdpruntime.EventConsoleAPICalled:
			if e.Type == cdpruntime.APITypeError {
				wrong = append(wrong, "console error")
			}
		}
	})
	var state, title, first, traces string
	var wide, alerted bool
	var charts int
	g.must(chromedp.Run(ctx,
		network.Enable(), cdpruntime.Enable(),
		chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2)),
		chromedp.Navigate(server.URL),
		chromedp.Poll(`document.getElementById("state").textContent.includes("waiting, step 0 of 3")`, nil),
		chromedp.Text("#run", &title), chromedp.Text("#state", &first),
	))
	g.step()
	g.step()
	g.must(chromedp.Run(ctx,
		chromedp.Poll(`document.getElementById("state").textContent.includes("running, step 2 of 3") && document.querySelectorAll("article").length === 2`, nil),
		chromedp.Text("#state", &state), chromedp.Text("#last", &traces),
		chromedp.Evaluate(`document.querySelectorAll("#charts svg polyline").length`, &charts),
		chromedp.Evaluate(`document.documentElement.scrollWidth > window.innerWidth`, &wide),
		chromedp.Evaluate(`document.querySelector("article script") !== null`, &alerted),
	))
	if shot := os.Getenv("PITH_SCREENSHOT"); shot != "" {
		var png []byte
		g.must(chromedp.Run(ctx, chromedp.FullScreenshot(&png, 100)))
		g.must(os.WriteFile(shot, png, 0o644))
	}
	if title != "demo <i>" || !strings.HasPrefix(first, "kimi_length, seed 3: ") || !strings.Contains(state, "about 4 s left") {
		t.Errorf("title %q, state %q, then %q", title, first, state)
	}
	if charts != 4 || wide || alerted || !strings.Contains(traces, "<script>alert(1)</script>") {
		t.Errorf("%d charts, wider than the phone: %v, foreign text run: %v, traces %q", charts, wide, alerted, traces)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(wrong) > 0 {
		t.Errorf("in the browser: %s", strings.Join(wrong, "; "))
	}
}
