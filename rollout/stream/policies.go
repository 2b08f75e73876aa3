package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pith/rollout/engine"
)

// Policy is an announcement: a policy is ready to be used.
type Policy struct {
	Ref    engine.PolicyRef `json:"ref"`
	Digest string           `json:"digest,omitempty"` // hex SHA-256 of the weights' bytes
	Size   int64            `json:"size,omitempty"`
	Object string           `json:"object,omitempty"` // name in the object store
	Path   string           `json:"path,omitempty"`   // below the shared directory
}

// HasBytes says whether the weights travel with the announcement. Without, every worker's engine
// has them already (the trainer's own process, or a server that it publishes to itself).
func (p Policy) HasBytes() bool { return p.Object != "" || p.Path != "" }

// Announce tells all workers, present and future, that a policy is ready. weights are its bytes
// for workers that must load them, nil where none must. The last KeepPolicies announcements and
// weights are kept.
func (s *Stream) Announce(ctx context.Context, ref engine.PolicyRef, weights []byte) error {
	p := Policy{Ref: ref}
	if weights != nil {
		sum := sha256.Sum256(weights)
		p.Digest, p.Size = hex.EncodeToString(sum[:]), int64(len(weights))
		if err := s.store(ctx, &p, weights); err != nil {
			return err
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("stream: policy %s: %w", ref.ID, err)
	}
	// The digest is part of the id: a resumed run that trained the step again may have other bytes.
	m := message(s.names.policy, "policy/"+ref.ID+"/"+p.Digest, "", "", body)
	if err := s.publish(ctx, []*nats.Msg{m}, "announcing policy "+ref.ID); err != nil {
		return err
	}
	return s.prune(ctx)
}

func (s *Stream) store(ctx context.Context, p *Policy, weights []byte) error {
	name := fmt.Sprintf("%06d-%s.safetensors", p.Ref.Step, p.Digest[:16])
	if s.cfg.PolicyDir != "" {
		p.Path = filepath.Join(s.names.token, name)
		return s.storeFile(filepath.Join(s.cfg.PolicyDir, p.Path), weights)
	}
	p.Object = name
	return s.retry(ctx, "storing the weights of policy "+p.Ref.ID, func(ctx context.Context) error {
		os, err := s.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: s.names.bucket, Storage: jetstream.FileStorage})
		if err != nil {
			return err
		}
		_, err = os.PutBytes(ctx, name, weights)
		return err
	})
}

// storeFile writes the whole file or none.
func (s *Stream) storeFile(path string, weights []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		tmp := path + ".tmp"
		if err = os.WriteFile(tmp, weights, 0o644); err == nil {
			err = os.Rename(tmp, path)
		}
	}
	if err != nil {
		return failf(ErrStore, err, "stream.policy_dir %s; make it writable and leave room for the weights", s.cfg.PolicyDir)
	}
	return nil
}

// prune deletes the weights that no kept announcement names.
func (s *Stream) prune(ctx context.Context) error {
	kept := map[string]bool{}
	known, err := s.Announced(ctx)
	if err != nil {
		return err
	}
	for _, p := range known {
		kept[p.Object], kept[p.Path] = true, true
	}
	if s.cfg.PolicyDir != "" {
		entries, err := os.ReadDir(filepath.Join(s.cfg.PolicyDir, s.names.token))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return failf(ErrStore, err, "stream.policy_dir %s", s.cfg.PolicyDir)
		}
		for _, e := range entries {
			name := filepath.Join(s.names.token, e.Name())
			if !kept[name] && strings.HasSuffix(name, ".safetensors") {
				_ = os.Remove(filepath.Join(s.cfg.PolicyDir, name)) // tried again next time
			}
		}
	}
	store, err := s.js.ObjectStore(ctx, s.names.bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return s.jsError(err, "looking for old weights")
	}
	objects, err := store.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil
	}
	if err != nil {
		return s.jsError(err, "looking for old weights")
	}
	for _, o := range objects {
		if !kept[o.Name] {
			if err := store.Delete(ctx, o.Name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
				return s.jsError(err, "deleting old weights")
			}
		}
	}
	return nil
}

// Announced returns the announcements that are kept, oldest first.
func (s *Stream) Announced(ctx context.Context) ([]Policy, error) {
	var out []Policy
	err := s.retry(ctx, "reading announcements", func(ctx context.Context) error {
		out = nil
		stream, err := s.js.Stream(ctx, s.names.policies)
		if err != nil {
			return err
		}
		state := stream.CachedInfo().State
		for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
			m, err := stream.GetMsg(ctx, seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if p, ok := parsePolicy(m.Data); ok {
				out = append(out, p)
			}
		}
		return nil
	})
	return out, err
}

func parsePolicy(body []byte) (p Policy, ok bool) {
	err := json.Unmarshal(body, &p)
	return p, err == nil && p.Ref.ID != ""
}

// Policies calls f with every announcement that is kept, oldest first, and then with each new one
// as it comes, until ctx or the stream ends, which is no error, or f fails.
func (s *Stream) Policies(ctx context.Context, f func(Policy) error) error {
	joined, stop := s.join(ctx)
	defer stop()
	for {
		err := s.follow(joined, f)
		switch {
		case joined.Err() != nil, s.ctx.Err() != nil:
			return nil
		case err == nil:
			continue
		case !passing(err):
			return err
		}
		select {
		case <-joined.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// follow reads announcements with one ordered consumer.
func (s *Stream) follow(ctx context.Context, f func(Policy) error) error {
	c, err := s.js.OrderedConsumer(ctx, s.names.policies, jetstream.OrderedConsumerConfig{})
	if err != nil {
		if passing(err) {
			return err
		}
		return s.jsError(err, "following announcements")
	}
	it, err := c.Messages()
	if err != nil {
		return s.jsError(err, "following announcements")
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if p, ok := parsePolicy(m.Data()); ok {
			if err := f(p); err != nil {
				return err
			}
		}
	}
}

// Weights fetches the bytes of an announced policy and checks their digest.
func (s *Stream) Weights(ctx context.Context, p Policy) ([]byte, error) {
	var b []byte
	switch {
	case p.Path != "":
		if s.cfg.PolicyDir == "" || !filepath.IsLocal(p.Path) {
			return nil, failf(ErrConfig, nil, "policy %s is in a shared directory; set stream.policy_dir as the trainer does", p.Ref.ID)
		}
		var err error
		if b, err = os.ReadFile(filepath.Join(s.cfg.PolicyDir, p.Path)); errors.Is(err, fs.ErrNotExist) {
			return nil, failf(ErrGone, err, "policy %s; newer ones have replaced it, or stream.policy_dir is not the directory that the trainer writes", p.Ref.ID)
		} else if err != nil {
			return nil, failf(ErrStore, err, "policy %s; make stream.policy_dir readable", p.Ref.ID)
		}
	case p.Object != "":
		var gone error
		err := s.retry(ctx, "fetching the weights of policy "+p.Ref.ID, func(ctx context.Context) error {
			store, err := s.js.ObjectStore(ctx, s.names.bucket)
			if err != nil {
				return err
			}
			b, err = store.GetBytes(ctx, p.Object)
			if errors.Is(err, jetstream.ErrObjectNotFound) {
				gone = err
				return nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if gone != nil {
			return nil, failf(ErrGone, gone, "policy %s; newer ones have replaced it", p.Ref.ID)
		}
	default:
		return nil, failf(ErrConfig, nil, "policy %s was announced without weights; let the trainer send them (stream.listen or stream.url must be set)", p.Ref.ID)
	}
	sum := sha256.Sum256(b)
	if want, err := hex.DecodeString(p.Digest); err != nil || !bytes.Equal(sum[:], want) {
		return nil, failf(ErrDigest, nil, "policy %s: got %x, announced %s", p.Ref.ID, sum[:8], p.Digest)
	}
	return b, nil
}
