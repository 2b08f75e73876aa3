package stream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Stats is a snapshot of the queues, for progress lines and for saying what is waited for.
type Stats struct {
	Queued   int   // tasks that no worker has
	Running  int   // tasks in the hands of workers
	Outcomes int   // traces and dead letters that are stored and not committed
	Held     int   // of those, received by this process
	Bytes    int64 // of all queues, on the server's disk
}

// Stats asks the server.
func (s *Stream) Stats(ctx context.Context) (Stats, error) {
	st := Stats{Held: s.Held()}
	err := s.retry(ctx, "asking for the state of the queues", func(ctx context.Context) error {
		info, err := s.js.Consumer(ctx, s.names.tasks, workersConsumer)
		if err != nil {
			return err
		}
		st.Bytes, st.Running = 0, info.CachedInfo().NumAckPending
		for _, name := range []string{s.names.tasks, s.names.outcomes} {
			q, err := s.js.Stream(ctx, name)
			if err != nil {
				return err
			}
			state := q.CachedInfo().State
			st.Bytes += int64(state.Bytes)
			if name == s.names.outcomes {
				st.Outcomes = int(state.Msgs)
			} else {
				st.Queued = max(0, int(state.Msgs)-st.Running)
			}
		}
		return nil
	})
	return st, err
}

// Purge deletes everything of the run from the server. The stream is of no use afterwards except
// to be closed.
func (s *Stream) Purge(ctx context.Context) error {
	for _, name := range []string{s.names.tasks, s.names.outcomes, s.names.policies} {
		if err := s.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return s.jsError(err, "deleting "+name)
		}
	}
	if err := s.js.DeleteObjectStore(ctx, s.names.bucket); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return s.jsError(err, "deleting old weights")
	}
	if s.cfg.PolicyDir != "" {
		if err := os.RemoveAll(filepath.Join(s.cfg.PolicyDir, s.names.token)); err != nil {
			return failf(ErrStore, err, "stream.policy_dir %s", s.cfg.PolicyDir)
		}
	}
	return nil
}

// Runs lists the runs that trainers have opened on the server of c.URL; c.Run is not looked at.
func Runs(ctx context.Context, c Config) ([]string, error) {
	c.Run = "any"
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.URL == "" {
		return nil, failf(ErrConfig, nil, "the runs of which url?")
	}
	s, err := dial(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	var runs []string
	list := s.js.ListStreams(ctx)
	for info := range list.Info() {
		if strings.HasPrefix(info.Config.Name, prefix) && strings.HasSuffix(info.Config.Name, tasksSuffix) {
			runs = append(runs, info.Config.Metadata[metaRun])
		}
	}
	return runs, errors.Join(s.jsError(list.Err(), "listing runs"), s.Close())
}
