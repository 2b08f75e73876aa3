package stream

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Dial connects to the server that c.URL names, with c's credentials and TLS, for queues other than
// a run's own. The caller closes the connection.
func Dial(c Config) (*nats.Conn, jetstream.JetStream, error) {
	if c.URL == "" {
		return nil, nil, failf(ErrConfig, nil, "no url of a NATS server is given")
	}
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	nc, err := connect(&c, nil)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, failf(ErrConfig, err, "JetStream client")
	}
	return nc, js, nil
}
