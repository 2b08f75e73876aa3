package stream

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// account is a JetStream account on a server with operator security, and a way to make users of it.
type account struct {
	t    *testing.T
	url  string
	keys nkeys.KeyPair
}

func newAccount(t *testing.T) *account {
	t.Helper()
	pair := func(make func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		k, err := make()
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return k, public
	}
	operator, operatorID := pair(nkeys.CreateOperator)
	keys, id := pair(nkeys.CreateAccount)
	_, systemID := pair(nkeys.CreateAccount)
	resolver := &natsserver.MemAccResolver{}
	for _, one := range []string{id, systemID} {
		claims := jwt.NewAccountClaims(one)
		if one == id {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: 1 << 30, MemoryStorage: -1, Streams: -1, Consumer: -1}
		}
		token, err := claims.Encode(operator)
		if err != nil {
			t.Fatal(err)
		}
		if err := resolver.Store(one, token); err != nil {
			t.Fatal(err)
		}
	}
	oc := jwt.NewOperatorClaims(operatorID)
	srv, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		TrustedOperators: []*jwt.OperatorClaims{oc}, AccountResolver: resolver, SystemAccount: systemID,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("not ready")
	}
	return &account{t, srv.ClientURL(), keys}
}

// creds writes the credentials of a new user, signed by key.
func (a *account) creds(key nkeys.KeyPair) string {
	a.t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		a.t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		a.t.Fatal(err)
	}
	token, err := jwt.NewUserClaims(public).Encode(key)
	if err != nil {
		a.t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		a.t.Fatal(err)
	}
	file, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		a.t.Fatal(err)
	}
	name := filepath.Join(a.t.TempDir(), "user.creds")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return name
}

func TestCredsFilesOpenAnExternalServer(t *testing.T) {
	a := newAccount(t)
	c := testConfig(t)
	c.URL, c.StoreDir, c.Auth.Creds = a.url, "", a.creds(a.keys)
	s := open(t, c)
	publish(t, s, "g", 0)
	collect(t, s)

	stranger, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	c.Auth.Creds = a.creds(stranger)
	_, err = Open(t.Context(), c)
	oneLine(t, err, ErrDenied, "check stream.auth")
	c.Auth.Creds = filepath.Join(t.TempDir(), "absent.creds")
	if _, err = Open(t.Context(), c); !errors.Is(err, ErrConfig) {
		t.Errorf("a creds file that is not there: %v", err)
	}
}
