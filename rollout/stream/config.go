package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"
)

// Sync says when an embedded server calls fsync.
type Sync string

const (
	SyncInterval Sync = "interval" // every few seconds: a killed process loses nothing, a power cut up to SyncEvery
	SyncAlways   Sync = "always"   // after every message, about 2,000 messages a second
)

// TLS names PEM files. A client uses CA to check the server and Cert with Key to present itself;
// an embedded server presents Cert with Key and, where CA is set, demands certificates from its
// clients that CA signed.
type TLS struct {
	CA, Cert, Key string
}

// Auth is how a client presents itself; at most one kind may be set. An embedded server demands
// the same of others. Creds (a JWT with its key) works with an external server only.
type Auth struct {
	User, Password string
	Token          string
	Creds          string // path of a .creds file
	NKey           string // path of an nkey seed file
}

// Config says where the stream lives and how it behaves. Start from [Default].
type Config struct {
	Run string // names every subject and stream; any text

	// URL of an external server (a list separated by commas). "" = a server in this process.
	URL string
	// The embedded server: its store, and where it listens for workers of other processes: ""
	// = nowhere, "127.0.0.1:0" = a free port.
	StoreDir  string
	Listen    string
	Sync      Sync
	SyncEvery time.Duration
	MaxStore  int64 // bytes; 0 = as much as the disk has

	TLS           TLS
	Auth          Auth
	AllowInsecure bool // permits an address beyond loopback without credentials

	// MaxHeld bounds the traces that the trainer may hold unacknowledged. It must hold all traces
	// that are released and not committed; [Stream.Collect] says so when it does not.
	MaxHeld int
	// AckWait is after how long without a sign of life a message is delivered again. Whoever holds
	// one gives such a sign every third of it.
	AckWait time.Duration
	// MaxDeliver is how often a task is tried before it becomes a dead letter.
	MaxDeliver int
	// Dedup is how long the server remembers message ids.
	Dedup time.Duration
	// Unavailable is how long a publish goes on trying while the server does not answer.
	Unavailable time.Duration
	Connect     time.Duration // limit for one attempt to connect

	// PolicyDir is a directory that all workers share, for the weights; "" = the object store.
	PolicyDir    string
	KeepPolicies int // how many announcements, and their weights, are kept

	Log *slog.Logger // nil = none
}

// Default is the vetted setting for a run: embedded, in-process only.
func Default(run, storeDir string) Config {
	return Config{
		Run: run, StoreDir: storeDir, Sync: SyncInterval, SyncEvery: 5 * time.Second,
		MaxHeld: 1 << 16, AckWait: 30 * time.Second, MaxDeliver: 5, Dedup: 10 * time.Minute,
		Unavailable: time.Minute, Connect: 5 * time.Second, KeepPolicies: 4,
	}
}

// Validate reports every violation at once, under the sentinels [ErrConfig] and [ErrInsecure].
func (c *Config) Validate() error {
	var errs []error
	bad := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, failf(ErrConfig, nil, format, args...))
		}
	}
	bad(c.Run == "", "run is empty")
	bad(c.URL == "" && c.StoreDir == "", "neither url nor a store directory is given")
	bad(c.URL != "" && c.Listen != "", "listen %s is for the embedded server, but url %s names another; drop one", c.Listen, redact(c.URL))
	bad(c.Sync != SyncInterval && c.Sync != SyncAlways, "sync is %q, must be %s or %s", c.Sync, SyncInterval, SyncAlways)
	bad(c.Sync == SyncInterval && c.SyncEvery <= 0, "sync_every is %v, must be positive", c.SyncEvery)
	bad(c.MaxStore < 0, "max_store is %d, must not be negative", c.MaxStore)
	bad(c.MaxHeld < 1, "max_held is %d, must be positive", c.MaxHeld)
	bad(c.AckWait <= 0, "ack_wait is %v, must be positive", c.AckWait)
	bad(c.MaxDeliver < 1, "max_deliver is %d, must be positive", c.MaxDeliver)
	bad(c.Dedup <= 0, "dedup is %v, must be positive", c.Dedup)
	bad(c.Unavailable <= 0, "unavailable is %v, must be positive", c.Unavailable)
	bad(c.Connect <= 0, "connect is %v, must be positive", c.Connect)
	bad(c.KeepPolicies < 1, "keep_policies is %d, must be positive", c.KeepPolicies)
	bad((c.TLS.Cert == "") != (c.TLS.Key == ""), "tls needs cert and key together")
	bad(c.URL == "" && c.TLS.CA != "" && c.TLS.Cert == "", "tls.ca without cert and key: the embedded server needs its own certificate")
	a := c.Auth
	kinds := 0
	for _, set := range []bool{a.User != "" || a.Password != "", a.Token != "", a.Creds != "", a.NKey != ""} {
		if set {
			kinds++
		}
	}
	bad(kinds > 1, "more than one kind of credentials; keep one of user and password, token, creds, nkey")
	bad((a.User == "") != (a.Password == ""), "auth needs user and password together")
	bad(a.Creds != "" && c.URL == "", "creds are for an external server; the embedded one takes user and password, token or nkey")
	errs = append(errs, c.addresses()...)
	return errors.Join(errs...)
}

// addresses checks what is listened on or dialled.
func (c *Config) addresses() []error {
	var errs []error
	refuse := func(where string) {
		errs = append(errs, failf(ErrInsecure, nil, "%s; set credentials, or stream.allow_insecure: true if the network is yours alone", where))
	}
	known := c.Auth != Auth{}
	if c.Listen != "" {
		host, port, err := net.SplitHostPort(c.Listen)
		if err != nil || port == "" {
			errs = append(errs, failf(ErrConfig, err, "listen is %q, must be like 127.0.0.1:4222", c.Listen))
		} else if !loopback(host) && !known && !c.AllowInsecure {
			refuse("listen " + c.Listen)
		}
	}
	if c.URL == "" {
		return errs
	}
	for _, one := range strings.Split(c.URL, ",") {
		u, err := parseURL(one)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !loopback(u.Hostname()) && !known && u.User == nil && !c.AllowInsecure {
			refuse("url " + redact(one))
		}
	}
	return errs
}

func parseURL(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return nil, failf(ErrConfig, nil, "url %q is not like nats://host:4222", redact(s))
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
		return u, nil
	}
	return nil, failf(ErrConfig, nil, "url %q has the scheme %q, must be nats, tls, ws or wss", redact(s), u.Scheme)
}

// redact hides what a URL says before the @, for messages.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, one := range parts {
		scheme, rest, ok := strings.Cut(one, "://")
		if !ok {
			scheme, rest = "", one
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			rest = "…" + rest[at:]
		}
		if parts[i] = rest; ok {
			parts[i] = fmt.Sprintf("%s://%s", scheme, rest)
		}
	}
	return strings.Join(parts, ",")
}

// loopback says whether host is this machine only. A name other than localhost may be anywhere.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
