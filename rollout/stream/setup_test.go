package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"pith/rollout/task"
)

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Config)
		kind  error
		want  string
	}{
		{"nowhere", func(c *Config) { c.StoreDir = "" }, ErrConfig, "neither url nor a store directory"},
		{"no run", func(c *Config) { c.Run = "" }, ErrConfig, "run is empty"},
		{"two servers", func(c *Config) { c.URL, c.Listen = "nats://127.0.0.1:1", "127.0.0.1:0" }, ErrConfig, "drop one"},
		{"an unknown sync", func(c *Config) { c.Sync = "never" }, ErrConfig, `sync is "never", must be interval or always`},
		{"a listen address without port", func(c *Config) { c.Listen = "127.0.0.1" }, ErrConfig, "must be like 127.0.0.1:4222"},
		{"a URL of another kind", func(c *Config) { c.URL = "http://127.0.0.1:4222" }, ErrConfig, `scheme "http"`},
		{"half a certificate", func(c *Config) { c.TLS.Cert = "cert.pem" }, ErrConfig, "cert and key together"},
		{"two kinds of credentials", func(c *Config) { c.Auth = Auth{Token: "t", NKey: "n"} }, ErrConfig, "more than one kind of credentials"},
		{"a user without password", func(c *Config) { c.Auth.User = "u" }, ErrConfig, "user and password together"},
		{"creds for the embedded server", func(c *Config) { c.Auth.Creds = "x.creds" }, ErrConfig, "creds are for an external server"},
		{"no room", func(c *Config) { c.MaxHeld = 0 }, ErrConfig, "max_held is 0"},
		{"listening on every address", func(c *Config) { c.Listen = "0.0.0.0:4222" }, ErrInsecure, "listen 0.0.0.0:4222; set credentials, or stream.allow_insecure: true"},
		{"listening on all addresses without a host", func(c *Config) { c.Listen = ":4222" }, ErrInsecure, "listen :4222"},
		{"a server elsewhere", func(c *Config) { c.URL = "nats://10.0.0.7:4222" }, ErrInsecure, "url nats://10.0.0.7:4222"},
		{"a server of some name", func(c *Config) { c.URL = "gpu-box:4222" }, ErrInsecure, "url gpu-box:4222"},
		{"one of several elsewhere", func(c *Config) { c.URL = "nats://127.0.0.1:4222,nats://10.0.0.7:4222" }, ErrInsecure, "url nats://10.0.0.7:4222"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := testConfig(t)
			c.spoil(&conf)
			_, err := Open(t.Context(), conf)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAddressesBeyondLoopbackAreAllowedByNameOrWithCredentials(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"loopback":               func(c *Config) { c.URL = "nats://127.0.0.1:4222" },
		"localhost":              func(c *Config) { c.URL = "localhost:4222" },
		"loopback of version 6":  func(c *Config) { c.URL = "nats://[::1]:4222" },
		"allowed":                func(c *Config) { c.Listen, c.AllowInsecure = "0.0.0.0:0", true },
		"with a token":           func(c *Config) { c.Listen, c.Auth.Token = "0.0.0.0:0", "t" },
		"credentials in the URL": func(c *Config) { c.URL = "nats://user:secret@10.0.0.7:4222" },
	} {
		c := testConfig(t)
		spoil(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMessagesDoNotShowSecrets(t *testing.T) {
	c := testConfig(t)
	c.URL, c.Connect = "nats://user:secret@127.0.0.1:1", 500*time.Millisecond
	_, err := Open(t.Context(), c)
	if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "nats://…@127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}

// oneLine checks the form of an error that a user sees.
func oneLine(t *testing.T, err, kind error, want string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line of %q with %q", err, kind, want)
	}
}

func TestTroubleAtTheStartIsOneClearLine(t *testing.T) {
	t.Run("a busy port", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c := testConfig(t)
		c.Listen = l.Addr().String()
		_, err = Open(t.Context(), c)
		oneLine(t, err, ErrPortBusy, c.Listen+"; choose another stream.listen, or port 0")
	})
	t.Run("an address that is not ours", func(t *testing.T) {
		c := testConfig(t)
		c.Listen, c.AllowInsecure = "192.0.2.1:4222", true
		_, err := Open(t.Context(), c)
		oneLine(t, err, ErrConfig, "cannot listen on 192.0.2.1:4222")
	})
	t.Run("nobody answers", func(t *testing.T) {
		c := testConfig(t)
		c.URL = "nats://127.0.0.1:1"
		_, err := Open(t.Context(), c)
		oneLine(t, err, ErrUnreachable, "nats://127.0.0.1:1; check stream.url and that the NATS server runs")
	})
	t.Run("something else answers", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				_ = conn.Close()
			}
		}()
		c := testConfig(t)
		c.URL = "nats://" + l.Addr().String()
		_, err = Open(t.Context(), c)
		oneLine(t, err, ErrUnreachable, "check stream.url")
	})
	t.Run("a file in place of the store", func(t *testing.T) {
		c := testConfig(t)
		if err := os.WriteFile(c.StoreDir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), c)
		oneLine(t, err, ErrStore, "make it writable or choose another run directory")
	})
	t.Run("a file inside the store", func(t *testing.T) {
		c := testConfig(t)
		if err := os.MkdirAll(c.StoreDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.StoreDir, "jetstream"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), c)
		oneLine(t, err, ErrStore, c.StoreDir)
	})
	t.Run("a store in use", func(t *testing.T) {
		c := testConfig(t)
		open(t, c)
		_, err := Open(t.Context(), c)
		oneLine(t, err, ErrLocked, "belongs to a running pith process")
	})
	t.Run("a server without JetStream", func(t *testing.T) {
		srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
		if !srv.ReadyForConnections(10 * time.Second) {
			t.Fatal("not ready")
		}
		c := testConfig(t)
		c.URL = srv.ClientURL()
		_, err = Open(t.Context(), c)
		oneLine(t, err, ErrNoJetStream, "start it with JetStream (nats-server -js)")
	})
	t.Run("a run that nobody opened", func(t *testing.T) {
		host := testConfig(t)
		host.Listen = "127.0.0.1:0"
		s := open(t, host)
		c := testConfig(t)
		c.Run, c.URL = "other", s.URL()
		_, err := Join(t.Context(), c)
		oneLine(t, err, ErrNoRun, `run "other"`)
	})
	t.Run("a second trainer", func(t *testing.T) {
		host := testConfig(t)
		host.Listen = "127.0.0.1:0"
		s := open(t, host)
		ends := make(chan error, 1)
		go func() { _, err := s.Collect(t.Context()); ends <- err }()
		time.Sleep(100 * time.Millisecond)
		c := testConfig(t)
		c.URL = s.URL()
		open(t, c)
		select {
		case err := <-ends:
			oneLine(t, err, ErrLocked, "another trainer has opened run")
		case <-time.After(10 * time.Second):
			t.Error("the first trainer was not told")
		}
	})
}

// seedFile writes an nkey seed.
func seedFile(t *testing.T) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(name, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCredentialsAreDemandedOfWorkers(t *testing.T) {
	for name, auth := range map[string]Auth{
		"user and password": {User: "u", Password: "p"},
		"token":             {Token: "secret"},
		"nkey":              {NKey: seedFile(t)},
	} {
		t.Run(name, func(t *testing.T) {
			host := testConfig(t)
			host.Listen, host.Auth = "127.0.0.1:0", auth
			s := open(t, host)
			c := testConfig(t)
			c.URL, c.StoreDir, c.Auth = s.URL(), "", auth
			w, err := Join(t.Context(), c)
			if err != nil {
				t.Fatalf("with the right credentials: %v", err)
			}
			defer w.Close()
			if err := s.Release(t.Context(), []*task.Task{aTask("g", 1)}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.NextTask(within(t, 5*time.Second)); err != nil {
				t.Error(err)
			}
			for wrong, auth := range map[string]Auth{"none": {}, "another token": {Token: "x"}, "another password": {User: "u", Password: "x"}, "another key": {NKey: seedFile(t)}} {
				c.Auth = auth
				_, err := Join(t.Context(), c)
				if !errors.Is(err, ErrDenied) {
					t.Errorf("%s: %v, want ErrDenied", wrong, err)
				}
			}
		})
	}
}

// authority makes a CA and, signed by it, a certificate for 127.0.0.1 that serves both ends.
func authority(t *testing.T) TLS {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sign := func(tmpl, parent *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey, leafKey := key(), key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "pith"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	keyDER, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	return TLS{
		CA:   write("ca.pem", "CERTIFICATE", sign(ca, ca, caKey, caKey)),
		Cert: write("cert.pem", "CERTIFICATE", sign(leaf, ca, leafKey, caKey)),
		Key:  write("key.pem", "EC PRIVATE KEY", keyDER),
	}
}

func TestTLSBetweenTrainerAndWorkers(t *testing.T) {
	pki, stranger := authority(t), authority(t)
	for _, c := range []struct {
		name           string
		server, client TLS
		want           error
	}{
		{"the server is known", TLS{Cert: pki.Cert, Key: pki.Key}, TLS{CA: pki.CA}, nil},
		{"both are known", pki, pki, nil},
		{"the server is a stranger", TLS{Cert: pki.Cert, Key: pki.Key}, TLS{CA: stranger.CA}, ErrTLS},
		{"the client shows nothing", pki, TLS{CA: pki.CA}, ErrTLS},
		{"the client is a stranger", pki, TLS{CA: pki.CA, Cert: stranger.Cert, Key: stranger.Key}, ErrTLS},
		{"the client does not expect TLS", TLS{Cert: pki.Cert, Key: pki.Key}, TLS{}, ErrTLS},
		{"the server has no TLS", TLS{}, TLS{CA: pki.CA}, ErrTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := testConfig(t)
			host.Listen, host.TLS = "127.0.0.1:0", c.server
			s := open(t, host) // the trainer's own connection is inside the process
			conf := testConfig(t)
			conf.URL, conf.StoreDir, conf.TLS = s.URL(), "", c.client
			w, err := Join(t.Context(), conf)
			if c.want != nil {
				oneLine(t, err, c.want, "check stream.tls")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			publish(t, w, "g", 0)
			collect(t, s)
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSyncAlwaysStoresTheSame(t *testing.T) {
	c := testConfig(t)
	c.Sync = SyncAlways
	s := open(t, c)
	publish(t, s, "g", 0, 1, 2)
	for range 3 {
		collect(t, s)
	}
}

func TestAFullStoreIsAnErrorNotAHang(t *testing.T) {
	c := testConfig(t)
	c.MaxStore = 64 << 10
	s := open(t, c)
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		err = s.PublishTraces(within(t, 10*time.Second), []Outcome{{Trace: aTrace("g", i)}})
	}
	oneLine(t, err, ErrStoreFull, "free disk space or raise stream.max_store")
}

func TestAServerThatGoesAwayIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	serve := func(port int) *natsserver.Server {
		t.Helper()
		srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		if !srv.ReadyForConnections(10 * time.Second) {
			t.Fatal("not ready")
		}
		return srv
	}
	down := func(srv *natsserver.Server) { srv.Shutdown(); srv.WaitForShutdown() }
	srv := serve(-1)
	port := srv.Addr().(*net.TCPAddr).Port
	c := testConfig(t)
	c.URL, c.StoreDir, c.Unavailable = srv.ClientURL(), "", 20*time.Second
	s := open(t, c)
	publish(t, s, "g", 0)
	collect(t, s)
	down(srv)
	done := make(chan error, 1)
	go func() {
		done <- s.PublishTraces(t.Context(), []Outcome{{Trace: aTrace("g", 1)}, {Trace: aTrace("g", 2)}})
	}()
	time.Sleep(300 * time.Millisecond)
	srv = serve(port)
	defer func() { down(srv) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("the publish did not go through after the server came back")
	}
	got := []string{collect(t, s).ID(), collect(t, s).ID()}
	if got[0] != "g/1" || got[1] != "g/2" {
		t.Errorf("got %v", got)
	}
	quiet(t, s)
}

func TestAServerThatStaysAwayIsGivenUp(t *testing.T) {
	srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("not ready")
	}
	c := testConfig(t)
	c.URL, c.StoreDir, c.Unavailable, c.Connect = srv.ClientURL(), "", 300*time.Millisecond, time.Second
	s := open(t, c)
	srv.Shutdown()
	srv.WaitForShutdown()
	err = s.PublishTraces(within(t, 20*time.Second), []Outcome{{Trace: aTrace("g", 1)}})
	oneLine(t, err, ErrUnreachable, "check that the NATS server runs")
}
