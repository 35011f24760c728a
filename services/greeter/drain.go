package main

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const tick = 50 * time.Millisecond

// limits of a drain.
type limits struct {
	// After so long without any connection, nobody sends requests here any more.
	quiet time.Duration
	// An idle connection is left to its client for so long. With the preStop sleep, well inside the pod's grace period.
	patience time.Duration
	// From the half-close of what is still open to the cut; longer than the slowest answer.
	cut time.Duration
}

// drain ends a server without failing a request.
//
// The pod has left its Service when this begins (the preStop hook waits for that), but kube-proxy keeps established
// connections where they are. So the server goes on accepting and answering, and tells each client to leave with
// "Connection: close" on its next answer: then no request can be under way when the connection ends. [http.Server.Shutdown]
// closes idle connections at once instead, which resets requests that are on the wire at that moment. Here only what
// stays unused for the whole of limits.patience is closed: by half, so that even a request crossing it sees an end of
// stream, not a reset.
type drain struct {
	limits   limits
	draining atomic.Bool

	mutex sync.Mutex
	open  map[net.Conn]http.ConnState
	// When the last connection ended.
	seen time.Time
}

func newDrain(limits limits) *drain {
	return &drain{limits: limits, open: make(map[net.Conn]http.ConnState)}
}

// handler tells clients to leave once the drain has begun.
func (d *drain) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// connState is the server's hook of that name.
func (d *drain) connState(conn net.Conn, state http.ConnState) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(d.open, conn)
		d.seen = time.Now()
	default:
		d.open[conn] = state
	}
}

func (d *drain) connections() int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return len(d.open)
}

// run returns when no client is left and the port is closed, with the number of connections that had to be cut.
func (d *drain) run(server *http.Server) int {
	begin := time.Now()
	d.mutex.Lock()
	d.seen = begin
	d.mutex.Unlock()
	d.draining.Store(true)

	until(begin.Add(d.limits.patience), d.isQuiet)
	d.closeIdle()
	until(begin.Add(d.limits.patience+d.limits.cut), func() bool { return d.connections() == 0 })
	cut := d.connections()
	server.Close()
	return cut
}

func (d *drain) isQuiet() bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return len(d.open) == 0 && time.Since(d.seen) >= d.limits.quiet
}

func (d *drain) closeIdle() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for conn, state := range d.open {
		half, ok := conn.(interface{ CloseWrite() error })
		if ok && (state == http.StateIdle || state == http.StateNew) {
			// It may have ended by itself in the meantime.
			_ = half.CloseWrite()
		}
	}
}

func until(deadline time.Time, done func() bool) {
	for !done() && time.Now().Before(deadline) {
		time.Sleep(tick)
	}
}
