package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// connect dials the server that c names, or srv where it is embedded.
func connect(c *Config, srv *embedded) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("pith " + c.Run), nats.Timeout(c.Connect), nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		nats.DrainTimeout(5 * time.Second),
	}
	if c.Log != nil {
		opts = append(opts,
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				if err != nil {
					c.Log.Warn("stream: connection lost, trying again", "url", redact(c.URL), "err", err)
				}
			}),
			nats.ReconnectHandler(func(*nats.Conn) { c.Log.Info("stream: connected again", "url", redact(c.URL)) }),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.Log.Warn("stream", "err", err) }))
	} else {
		opts = append(opts, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // the default prints
	}
	auth, err := authOptions(c)
	if err != nil {
		return nil, err
	}
	opts = append(opts, auth...)
	url := c.URL
	if srv != nil {
		url = ""
		opts = append(opts, nats.InProcessServer(srv.srv))
	} else if c.TLS != (TLS{}) {
		conf, err := tlsConfig(c.TLS)
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Secure(conf))
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, connectError(c, err)
	}
	return nc, nil
}

func authOptions(c *Config) ([]nats.Option, error) {
	a := c.Auth
	switch {
	case a.User != "":
		return []nats.Option{nats.UserInfo(a.User, a.Password)}, nil
	case a.Token != "":
		return []nats.Option{nats.Token(a.Token)}, nil
	case a.Creds != "":
		if _, err := os.Stat(a.Creds); err != nil {
			return nil, failf(ErrConfig, err, "creds file %s", a.Creds)
		}
		return []nats.Option{nats.UserCredentials(a.Creds)}, nil
	case a.NKey != "":
		opt, err := nats.NkeyOptionFromSeed(a.NKey)
		if err != nil {
			return nil, failf(ErrConfig, err, "nkey file %s", a.NKey)
		}
		return []nats.Option{opt}, nil
	}
	return nil, nil
}

func tlsConfig(t TLS) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, failf(ErrConfig, err, "tls.ca %s", t.CA)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, failf(ErrConfig, nil, "tls.ca %s holds no certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, failf(ErrConfig, err, "tls.cert %s with tls.key %s", t.Cert, t.Key)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// connectError says in words why a connection failed.
func connectError(c *Config, err error) error {
	where := redact(c.URL)
	if c.URL == "" {
		where = "the embedded server"
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	text := err.Error()
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrNkeysNotSupported),
		strings.Contains(strings.ToLower(text), "authorization violation"):
		return failf(ErrDenied, err, "%s; check stream.auth", where)
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &alert), errors.As(err, &record),
		errors.As(err, &verify), errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted), strings.Contains(text, "tls:"), strings.Contains(text, "tls error"):
		return failf(ErrTLS, err, "%s; check stream.tls", where)
	}
	return failf(ErrUnreachable, err, "%s; check stream.url and that the NATS server runs", where)
}

// jsError says in words why a JetStream request failed. doing names the request.
func (s *Stream) jsError(err error, doing string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
			return failf(ErrNoJetStream, nil, "%s; start it with JetStream (nats-server -js) or use another", s.where())
		case errCodeStorageLimit, errCodeNoResources, errCodeNoStorage, errCodeStoreFailed:
			return failf(ErrStoreFull, err, "%s, while %s; free disk space or raise stream.max_store, and resume", s.where(), doing)
		case jetstream.JSErrCodeStreamNotFound, jetstream.JSErrCodeConsumerNotFound:
			return failf(ErrNoRun, err, "run %q on %s, while %s; start the trainer first", s.cfg.Run, s.where(), doing)
		}
		return failf(ErrConfig, err, "%s refuses, while %s", s.where(), doing)
	}
	switch {
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrConnectionClosed):
		return failf(ErrClosed, nil, "while %s", doing)
	case errors.Is(err, nats.ErrMaxPayload):
		return failf(ErrTooLarge, nil, "%s takes %d bytes, while %s; raise max_payload of the server", s.where(), s.nc.MaxPayload(), doing)
	}
	return failf(ErrUnreachable, err, "%s, while %s", s.where(), doing)
}

// Server codes that the client library does not name: resources of the account, of the server, of
// its storage, and a message that could not be stored.
const (
	errCodeStorageLimit jetstream.ErrorCode = 10002
	errCodeNoResources  jetstream.ErrorCode = 10023
	errCodeNoStorage    jetstream.ErrorCode = 10047
	errCodeStoreFailed  jetstream.ErrorCode = 10077
)

// passing says whether trying again may help because the server is away. A server that answers
// with an error of its own is not.
func passing(err error) bool {
	if _, ok := errors.AsType[*jetstream.APIError](err); ok {
		return false
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, e := range []error{
		jetstream.ErrNoStreamResponse, nats.ErrNoResponders, nats.ErrTimeout, jetstream.ErrAsyncPublishTimeout,
		jetstream.ErrTooManyStalledMsgs, jetstream.ErrNoHeartbeat, nats.ErrDisconnected, nats.ErrReconnectBufExceeded,
		context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
