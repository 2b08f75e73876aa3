package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// embedded is a NATS server in this process.
type embedded struct {
	srv    *natsserver.Server
	unlock func() error
}

// startTimeout bounds the recovery of a large store.
const startTimeout = time.Minute

// maxPayload is the largest message: a trace of about half a million tokens.
const maxPayload = 8 << 20

// startServer starts the embedded server that c describes, with what a user may have done wrong
// checked first: the server itself would only log it.
func startServer(c *Config) (*embedded, error) {
	if err := os.MkdirAll(c.StoreDir, 0o755); err != nil {
		return nil, failf(ErrStore, err, "%s; make it writable or choose another run directory", c.StoreDir)
	}
	unlock, err := lockStore(c.StoreDir)
	if errors.Is(err, ErrLocked) {
		return nil, failf(ErrLocked, nil, "%s belongs to a running pith process; stop it or choose another run directory", c.StoreDir)
	}
	if err != nil {
		return nil, failf(ErrStore, err, "%s; make it writable or choose another run directory", c.StoreDir)
	}
	e := &embedded{unlock: unlock}
	if err := e.start(c); err != nil {
		return nil, errors.Join(err, unlock())
	}
	return e, nil
}

func (e *embedded) start(c *Config) error {
	opts, err := serverOptions(c)
	if err != nil {
		return err
	}
	if !opts.DontListen {
		if err := probe(c.Listen); err != nil {
			return err
		}
	}
	srv, err := natsserver.NewServer(opts)
	if err != nil {
		return failf(ErrConfig, err, "the embedded server refuses its options")
	}
	log := &serverLog{log: c.Log}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	ready := srv.ReadyForConnections(10 * time.Millisecond)
	for began := time.Now(); !ready && !log.fatal.Load() && time.Since(began) < startTimeout; {
		ready = srv.ReadyForConnections(100 * time.Millisecond)
	}
	if !ready || !srv.JetStreamEnabled() {
		srv.Shutdown()
		srv.WaitForShutdown()
		return failf(ErrStore, log.last(), "the embedded server did not start on %s", c.StoreDir)
	}
	e.srv = srv
	return nil
}

func (e *embedded) stop() error {
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
	return e.unlock()
}

// url is where workers of other processes reach the server: "" where it does not listen.
func (e *embedded) url() string {
	if e.srv.Addr() == nil {
		return ""
	}
	return e.srv.ClientURL()
}

func serverOptions(c *Config) (*natsserver.Options, error) {
	opts := &natsserver.Options{
		ServerName: "pith", DontListen: c.Listen == "", NoSigs: true, NoSystemAccount: true,
		JetStream: true, StoreDir: filepath.Join(c.StoreDir, "jetstream"),
		SyncAlways: c.Sync == SyncAlways, SyncInterval: c.SyncEvery,
		JetStreamMaxStore: c.MaxStore, MaxPayload: maxPayload, MaxPending: 8 * maxPayload,
		WriteDeadline: 30 * time.Second,
	}
	if c.Listen != "" {
		host, port, err := net.SplitHostPort(c.Listen)
		if err != nil {
			return nil, failf(ErrConfig, err, "listen is %q", c.Listen)
		}
		if opts.Port, err = strconv.Atoi(port); err != nil {
			return nil, failf(ErrConfig, err, "listen is %q", c.Listen)
		}
		if opts.Host = host; opts.Port == 0 {
			opts.Port = natsserver.RANDOM_PORT
		}
	}
	opts.Username, opts.Password, opts.Authorization = c.Auth.User, c.Auth.Password, c.Auth.Token
	if c.Auth.NKey != "" {
		public, err := publicKey(c.Auth.NKey)
		if err != nil {
			return nil, err
		}
		opts.Nkeys = []*natsserver.NkeyUser{{Nkey: public}}
	}
	if c.TLS.Cert != "" {
		conf, err := tlsConfig(c.TLS)
		if err != nil {
			return nil, err
		}
		if conf.RootCAs != nil {
			conf.ClientCAs, conf.ClientAuth = conf.RootCAs, tls.RequireAndVerifyClientCert
		}
		opts.TLS, opts.TLSConfig, opts.TLSTimeout = true, conf, 5
	}
	return opts, nil
}

func publicKey(seedFile string) (string, error) {
	seed, err := os.ReadFile(seedFile)
	if err != nil {
		return "", failf(ErrConfig, err, "nkey file %s", seedFile)
	}
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(seed))))
	if err != nil {
		return "", failf(ErrConfig, err, "nkey file %s holds no seed", seedFile)
	}
	defer pair.Wipe()
	return pair.PublicKey()
}

// probe tells a busy port from other trouble before the server logs it somewhere.
func probe(addr string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return failf(ErrPortBusy, nil, "%s; choose another stream.listen, or port 0 for any free one", addr)
	case err != nil:
		return failf(ErrConfig, err, "cannot listen on %s", addr)
	}
	return l.Close()
}

// serverLog passes what the server says on, and keeps the last complaint for error messages.
type serverLog struct {
	log   *slog.Logger
	fatal atomic.Bool
	mu    sync.Mutex
	err   error
}

func (l *serverLog) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *serverLog) say(level slog.Level, format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if level >= slog.LevelError {
		l.mu.Lock()
		l.err = errors.New(text)
		l.mu.Unlock()
	}
	if l.log != nil {
		l.log.Log(context.Background(), level, "nats: "+text)
	}
}

func (l *serverLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v...) }
func (l *serverLog) Fatalf(format string, v ...any) {
	l.say(slog.LevelError, format, v...)
	l.fatal.Store(true)
}
func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}
