package stream

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// held keeps the messages that this process works on from being delivered to someone else, by a
// sign of life for each of them every third of AckWait.
type held struct {
	every time.Duration
	log   *slog.Logger
	mu    sync.Mutex
	msgs  map[string]jetstream.Msg // by reply subject, which is unique to a delivery
}

func newHeld(ackWait time.Duration, log *slog.Logger) *held {
	return &held{every: ackWait / 3, log: log, msgs: map[string]jetstream.Msg{}}
}

func (h *held) add(m jetstream.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.msgs[m.Reply()] = m
}

func (h *held) drop(m jetstream.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.msgs, m.Reply())
}

func (h *held) beat(ctx context.Context) {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h.mu.Lock()
		msgs := make([]jetstream.Msg, 0, len(h.msgs))
		for _, m := range h.msgs {
			msgs = append(msgs, m)
		}
		h.mu.Unlock()
		for _, m := range msgs {
			if err := m.InProgress(); err != nil && h.log != nil {
				h.log.Debug("stream: sign of life", "err", err) // at worst it is delivered again
			}
		}
	}
}

// release returns everything held to its queue at once.
func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for reply, m := range h.msgs {
		_ = m.Nak() // at worst it waits for AckWait
		delete(h.msgs, reply)
	}
}
