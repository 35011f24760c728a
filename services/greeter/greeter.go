package main

import (
	"fmt"
	"html"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// greeter greets at /, and answers probes at /healthz.
func greeter(host string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'")
		header.Set("Cache-Control", "no-store")
		fmt.Fprint(w, greeting(client(r), host, name(r)))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// greeting is a line of HTML. Of what goes into it, the name alone comes from the client as text.
func greeting(client, host, name string) string {
	if name == "" {
		return fmt.Sprintf("Hello, %s! I'm %s. Seems like you missed an opportunity to show your name. "+
			"Add it as a query string to the URL (i.e. http://some.end.point.com/?name=your-beautiful-name )", client, host)
	}
	return fmt.Sprintf("Hello, %s! I'm %s, you seems to be %s", client, host, html.EscapeString(name))
}

func name(r *http.Request) string {
	return strings.ToValidUTF8(r.URL.Query().Get("name"), "\uFFFD")
}

// client is the address of whoever asked: the first one of X-Forwarded-For, where a proxy in front says for whom it
// asks, else that of the connection. Anything that is no address is passed over, so that the answer contains nothing else.
func client(r *http.Request) string {
	for _, entry := range strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",") {
		if address, ok := parseAddress(strings.TrimSpace(entry)); ok {
			return address
		}
	}
	return remote(r)
}

// remote is the address at the other end of the connection.
func remote(r *http.Request) string {
	address, ok := parseAddress(r.RemoteAddr)
	if !ok {
		return "unknown"
	}
	return address
}

// parseAddress takes an IP address with or without a port. Some proxies add one.
func parseAddress(text string) (string, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return "", false
	}
	// A zone may be any text, and means nothing on another machine.
	return address.Unmap().WithZone("").String(), true
}
