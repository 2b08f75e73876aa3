package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

// ListenOptions say where a server listens. The zero value is a free port of this machine only.
type ListenOptions struct {
	// Host is a name or an address. Default 127.0.0.1.
	Host string
	// Port is 0 for any that is free.
	Port int
	// AllowOpen lets a server without a key be reached from other machines.
	AllowOpen bool
	// Grace is how long requests under way may go on when the server is to end. Default 30 seconds.
	Grace time.Duration
}

// Listen opens the socket. A server without a key listens to this machine only, unless it is
// expressly allowed to do more: whoever reaches it can change its weights.
func (s *Server) Listen(ctx context.Context, o ListenOptions) (net.Listener, error) {
	or(&o.Host, "127.0.0.1")
	if s.o.APIKey == "" && !o.AllowOpen && !loopback(o.Host) {
		return nil, fmt.Errorf("serve: %s can be reached from other machines, and the server has no API key: give it one, or allow it to be open", o.Host)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
	if err != nil {
		return nil, fmt.Errorf("serve: listen: %w", err)
	}
	return l, nil
}

// loopback says whether a host is this machine alone.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Serve answers requests on the socket until ctx ends, then refuses new ones, lets those under way
// finish within the grace, and returns.
func (s *Server) Serve(ctx context.Context, l net.Listener, o ListenOptions) error {
	or(&o.Grace, 30*time.Second)
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
	defer cancel()
	cut := s.Drain(grace)
	// What was answered last still has to be written.
	flush, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := server.Shutdown(flush); err != nil {
		_ = server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	if cut != nil {
		return errors.New("serve: requests were still running when the grace had passed; they were ended")
	}
	return nil
}
