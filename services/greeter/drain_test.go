package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// served starts a server with a drain, and returns its address.
func served(t *testing.T, limits limits, handler http.HandlerFunc) (*drain, *http.Server, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	drain := newDrain(limits)
	server := &http.Server{Handler: drain.handler(handler), ConnState: drain.connState}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { server.Close() })
	return drain, server, listener.Addr().String()
}

// connection is kept between requests.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, address string) connection {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return connection{conn, bufio.NewReader(conn)}
}

func (c connection) send() error {
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	return err
}

func (c connection) receive(t *testing.T) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response
}

func (c connection) ask(t *testing.T) *http.Response {
	t.Helper()
	if err := c.send(); err != nil {
		t.Fatal(err)
	}
	return c.receive(t)
}

func began(drain *drain, server *http.Server) <-chan int {
	done := make(chan int, 1)
	go func() { done <- drain.run(server) }()
	until(time.Now().Add(5*time.Second), drain.draining.Load)
	return done
}

func ended(t *testing.T, done <-chan int, want int) {
	t.Helper()
	select {
	case cut := <-done:
		if cut != want {
			t.Errorf("%d connections were cut", cut)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestDrainSendsClientsAwayWithTheirNextAnswer(t *testing.T) {
	drain, server, address := served(t, limits{100 * time.Millisecond, 5 * time.Second, time.Second}, hello)
	kept := dial(t, address)
	if kept.ask(t).Close {
		t.Fatal("the connection is not kept")
	}
	done := began(drain, server)
	// Whoever has not heard yet is still served.
	if response := dial(t, address).ask(t); response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("a new client: %v", response)
	}
	if response := kept.ask(t); response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("a kept connection: %v", response)
	}
	ended(t, done, 0)
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

func TestDrainClosesWhatStaysIdle(t *testing.T) {
	drain, server, address := served(t, limits{50 * time.Millisecond, 300 * time.Millisecond, 5 * time.Second}, hello)
	idle, fresh := dial(t, address), dial(t, address)
	idle.ask(t)
	begin := time.Now()
	done := began(drain, server)
	for _, conn := range []connection{idle, fresh} {
		if _, err := conn.reader.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("no end of stream: %v", err)
		}
		if waited := time.Since(begin); waited < 250*time.Millisecond {
			t.Errorf("closed after %v", waited)
		}
		conn.Close()
	}
	ended(t, done, 0)
}

func TestDrainWaitsForAnAnswerUnderWay(t *testing.T) {
	asked := make(chan struct{})
	slow := func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		time.Sleep(500 * time.Millisecond)
		hello(w, r)
	}
	drain, server, address := served(t, limits{50 * time.Millisecond, 100 * time.Millisecond, 5 * time.Second}, slow)
	conn := dial(t, address)
	if err := conn.send(); err != nil {
		t.Fatal(err)
	}
	<-asked
	done := began(drain, server)
	if response := conn.receive(t); response.StatusCode != http.StatusOK {
		t.Errorf("%v", response)
	}
	conn.Close()
	ended(t, done, 0)
}

func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	drain, server, address := served(t, limits{50 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond}, hello)
	dial(t, address).ask(t)
	ended(t, began(drain, server), 1)
}
