// Greeter answers HTTP requests with a greeting that names the client and the replica, and logs each answer as JSON.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

type config struct {
	port int
	host string
	tag  string
}

func readConfig(getenv func(string) string) (config, error) {
	result := config{port: 8080, host: getenv("HOSTNAME"), tag: getenv("HELLO_TAG")}
	if text := getenv("PORT"); text != "" {
		port, err := strconv.Atoi(text)
		if err != nil || port < 1 || port > 65535 {
			return config{}, fmt.Errorf("PORT must be an integer from 1 to 65535, not %q", text)
		}
		result.port = port
	}
	if result.host == "" {
		host, err := os.Hostname()
		if err != nil {
			return config{}, fmt.Errorf("HOSTNAME is not set, and the system does not know its name: %w", err)
		}
		result.host = host
	}
	if result.tag == "" {
		result.tag = "unknown"
	}
	return result, nil
}

func main() {
	// Registered first: the process has PID 1, for which the kernel knows no default action.
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(stopped); err != nil {
		fmt.Fprintf(os.Stderr, "greeter cannot go on: %v\n", err)
		os.Exit(1)
	}
}

// run serves until stopped is done and all clients have left.
func run(stopped context.Context) error {
	config, err := readConfig(os.Getenv)
	if err != nil {
		return err
	}
	fmt.Println("Hivemind's Go Greeter")
	fmt.Printf("You are running the service with this tag:  %s\n", config.tag)
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("host", config.host, "tag", config.tag)

	drain := newDrain(limits{quiet: 2 * time.Second, patience: 20 * time.Second, cut: 5 * time.Second})
	server := &http.Server{
		Handler:           drain.handler(logged(log, greeter(config.host))),
		ConnState:         drain.connState,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelError),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      20 * time.Second,
		// Longer than clients usually keep an idle connection (Go 90 s, load balancers 60 s): when the client is the
		// one to close it, no request of its can be under way.
		IdleTimeout:    125 * time.Second,
		MaxHeaderBytes: 16 << 10,
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", config.port))
	if err != nil {
		return err
	}
	log.Info("listening", "port", config.port)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	select {
	case err := <-failed:
		return err
	case <-stopped.Done():
	}
	log.Info("draining", "connections", drain.connections())
	cut := drain.run(server)
	log.Info("drained", "cut", cut)
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
