package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"pith/trainer"
	"pith/trainer/sweep"
)

// The command of docs/engines.md: a run samples from a server and publishes to it after every step.
func TestTrainSamplesFromAServerAndPublishesToIt(t *testing.T) {
	published, out := t.TempDir(), filepath.Join(t.TempDir(), "run")
	url := serving(t, "builtin:clock", "--load-from", published)
	mustPith(t, append([]string{"train", "--out", out, "--engine", "vllm", "--set", fmt.Sprintf("engine.urls=[%q]", url),
		"--set", "engine.publish_dir=" + published}, tiny("--set", "run.steps=2")...)...)
	m, err := trainer.ReadManifest(out)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Engine.Exact || len(m.Probes) != 1 {
		t.Errorf("the manifest tells of %+v and %d probes", m.Engine, len(m.Probes))
	}
	if policies, err := filepath.Glob(filepath.Join(published, "tiny", "*")); err != nil || len(policies) == 0 {
		t.Errorf("nothing was published: %v", err)
	}
}

// address is the URL in what a serving command says first.
var address = regexp.MustCompile(`http://\S+`)

func TestAViewAndMetricsAreServedUntilInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustPith(t, append([]string{"train", "--out", dir}, tiny("--set", "run.steps=2")...)...)
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"the view":         {[]string{"watch", dir, "--http", "127.0.0.1:0"}, "<html"},
		"Prometheus' page": {[]string{"metrics", dir, "--http", "127.0.0.1:0"}, `pith_train_accuracy{run="tiny"}`},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			r, w := io.Pipe()
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, tc.args, stdio{in: strings.NewReader(""), out: w, err: w})
				w.Close()
			}()
			line, err := bufio.NewReader(r).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, r) }()
			got, err := http.Get(address.FindString(line))
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(got.Body)
			if err != nil {
				t.Fatal(err)
			}
			got.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			if got.StatusCode != http.StatusOK || !bytes.Contains(page, []byte(tc.says)) {
				t.Errorf("%s, and %q is not in it:\n%.500s", got.Status, tc.says, page)
			}
			interrupt()
			if code := <-ended; code != exitOK {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// A sweep is offered on a NATS server that runs anyway, and --parallel makes runs on the offering
// host too.
func TestASweepIsOfferedOnAServerThatRunsAnyway(t *testing.T) {
	server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	defer func() { server.Shutdown(); server.WaitForShutdown() }()
	out := filepath.Join(t.TempDir(), "offered")
	file := sweepFile(t, strings.NewReplacer("[kimi_length, dler]", "[kimi_length]", "seed: 2", "seed: 1").Replace(smallSweep))
	offering, said := sweepProcess(t, file, "--out", out, "--nats", server.ClientURL(), "--parallel", "1", "--set", "run.steps=1")
	if err := offering.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	state, err := sweep.ReadState(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Runs) != 2 {
		t.Errorf("%d runs", len(state.Runs))
	}
	for _, r := range state.Runs {
		if r.Status != sweep.Done {
			t.Errorf("%s is %s: %s", r.Name, r.Status, r.Error)
		}
	}
}
