package sweep

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pith/rollout/stream"
)

// A sweep on a NATS server: a work queue of offered runs, at most one of each, a queue of results,
// and an object store for run directories of hosts that share no file system with the one that
// offers.
const (
	streamPrefix = "pith_sweep_"
	takers       = "takers"
	offerer      = "offerer"
	metaSweep    = "pith_sweep"

	// silence is after how long without a sign of life a run is given to another host.
	silence = 30 * time.Second
	// mostHosts is how many hosts may lose a run before it counts as failed.
	mostHosts = 4
	// sharedMark is a file by which a host finds that it sees the directory of the sweep.
	sharedMark = ".shared"
)

// offer is one run on the queue.
type offer struct {
	Run    string `json:"run"`
	Hash   string `json:"hash"`
	Config string `json:"config"` // YAML, without secrets
	Until  int    `json:"until"`
	Dir    string `json:"dir"`  // of the sweep, where it is shared
	Mark   string `json:"mark"` // what its mark holds
}

// result is what became of an offered run.
type result struct {
	Run     string `json:"run"`
	Until   int    `json:"until"`
	Error   string `json:"error,omitempty"`
	Host    string `json:"host"`
	Archive bool   `json:"archive"` // the run directory is in the object store
}

// beat says that a step is done; it may be lost.
type beat struct {
	Run  string `json:"run"`
	Step int64  `json:"step"`
}

// board is a sweep's place on a server.
type board struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	name string
	id   string
}

func newBoard(c stream.Config, name string) (*board, error) {
	nc, js, err := stream.Dial(c)
	if err != nil {
		return nil, err
	}
	return &board{nc: nc, js: js, name: name, id: token(name)}, nil
}

// token makes any text fit for a subject.
func token(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

func (b *board) offers() string  { return streamPrefix + b.id }
func (b *board) results() string { return streamPrefix + b.id + "_results" }
func (b *board) bucket() string  { return streamPrefix + b.id }
func (b *board) offerSubject(run string, until int) string {
	return fmt.Sprintf("pith.sweep.%s.run.%s.%d", b.id, token(run), until)
}
func (b *board) resultSubject(run string) string {
	return fmt.Sprintf("pith.sweep.%s.result.%s", b.id, token(run))
}
func (b *board) beatSubject() string { return fmt.Sprintf("pith.sweep.%s.beat", b.id) }

func (b *board) fail(doing string, err error) error {
	return fmt.Errorf("sweep %s on %s, while %s: %w", b.name, b.nc.ConnectedUrlRedacted(), doing, err)
}

// create makes the queues where they are not there yet.
func (b *board) create(ctx context.Context) error {
	_, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: b.offers(), Subjects: []string{fmt.Sprintf("pith.sweep.%s.run.>", b.id)}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, Metadata: map[string]string{metaSweep: b.name},
	})
	if err == nil {
		_, err = b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: b.results(), Subjects: []string{fmt.Sprintf("pith.sweep.%s.result.>", b.id)}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
		})
	}
	if err == nil {
		_, err = b.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: b.bucket(), Storage: jetstream.FileStorage})
	}
	if err == nil {
		_, err = b.js.CreateOrUpdateConsumer(ctx, b.offers(), jetstream.ConsumerConfig{Durable: takers, AckPolicy: jetstream.AckExplicitPolicy, AckWait: silence, MaxDeliver: -1, MaxAckPending: -1})
	}
	if err != nil {
		return b.fail("making its queues", err)
	}
	return nil
}

// remove takes the sweep off the server: hosts that wait for runs see that it is over.
func (b *board) remove(ctx context.Context) error {
	var errs []error
	for _, name := range []string{b.offers(), b.results()} {
		if err := b.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			errs = append(errs, err)
		}
	}
	if err := b.js.DeleteObjectStore(ctx, b.bucket()); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Offered lists the sweeps that a server holds.
func Offered(ctx context.Context, c stream.Config) ([]string, error) {
	nc, js, err := stream.Dial(c)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	var out []string
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		if name := info.Config.Metadata[metaSweep]; name != "" && strings.HasPrefix(info.Config.Name, streamPrefix) {
			out = append(out, name)
		}
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, fmt.Errorf("list the sweeps on the server: %w", err)
	}
	return out, nil
}

// mark leaves a secret in the sweep's directory, by which a host on the same file system knows it.
func mark(dir string) (string, error) {
	secret := rand.Text()
	return secret, writeFile(filepath.Join(dir, sharedMark), []byte(secret))
}

// sees says whether this host sees the directory that an offer is of.
func (o *offer) sees() bool {
	text, err := os.ReadFile(filepath.Join(o.Dir, sharedMark))
	return err == nil && o.Mark != "" && string(text) == o.Mark
}

func send(ctx context.Context, js jetstream.JetStream, subject string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = js.Publish(ctx, subject, text)
	return err
}
