package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func ask(t *testing.T, method, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(method, target, nil)
	request.RemoteAddr = "192.0.2.7:4711"
	for _, header := range headers {
		key, value, _ := strings.Cut(header, ": ")
		request.Header.Add(key, value)
	}
	response := httptest.NewRecorder()
	greeter("pod-1").ServeHTTP(response, request)
	return response
}

func TestGreetings(t *testing.T) {
	const missed = "Hello, 192.0.2.7! I'm pod-1. Seems like you missed an opportunity to show your name. " +
		"Add it as a query string to the URL (i.e. http://some.end.point.com/?name=your-beautiful-name )"
	for target, want := range map[string]string{
		"/":                      missed,
		"/?name=":                missed,
		"/?other=x":              missed,
		"/?name=Ada":             "Hello, 192.0.2.7! I'm pod-1, you seems to be Ada",
		"/?name=Ada&name=Eve":    "Hello, 192.0.2.7! I'm pod-1, you seems to be Ada",
		"/?name=Ada%20L%C3%B6we": "Hello, 192.0.2.7! I'm pod-1, you seems to be Ada Löwe",
		"/?name=%ff":             "Hello, 192.0.2.7! I'm pod-1, you seems to be \uFFFD",
		"/?name=%3Cscript%3Ealert('x')%26%22%3C/script%3E": "Hello, 192.0.2.7! I'm pod-1, you seems to be " +
			"&lt;script&gt;alert(&#39;x&#39;)&amp;&#34;&lt;/script&gt;",
	} {
		response := ask(t, "GET", target)
		if response.Code != http.StatusOK || response.Body.String() != want {
			t.Errorf("%s: %d %q", target, response.Code, response.Body)
		}
		if got := response.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("%s: %s", target, got)
		}
	}
}

func TestClient(t *testing.T) {
	for _, test := range []struct {
		want    string
		headers []string
	}{
		{"192.0.2.7", nil},
		{"203.0.113.9", []string{"X-Forwarded-For: 203.0.113.9"}},
		{"203.0.113.9", []string{"X-Forwarded-For: 203.0.113.9, 10.0.0.1"}},
		{"203.0.113.9", []string{"X-Forwarded-For: unknown, 203.0.113.9:5000"}},
		{"203.0.113.9", []string{"X-Forwarded-For: ", "X-Forwarded-For: 203.0.113.9"}},
		{"2001:db8::1", []string{"X-Forwarded-For: 2001:db8::1"}},
		{"2001:db8::1", []string{"X-Forwarded-For: [2001:db8::1]:443"}},
		{"203.0.113.9", []string{"X-Forwarded-For: ::ffff:203.0.113.9"}},
		{"fe80::1", []string{"X-Forwarded-For: fe80::1%<b>"}},
		{"192.0.2.7", []string{"X-Forwarded-For: <script>"}},
	} {
		body := ask(t, "GET", "/", test.headers...).Body.String()
		if !strings.HasPrefix(body, "Hello, "+test.want+"! ") {
			t.Errorf("%v: %s", test.headers, body)
		}
	}
}

func TestOtherRequests(t *testing.T) {
	if response := ask(t, "GET", "/healthz"); response.Code != http.StatusOK || response.Body.String() != "ok\n" {
		t.Errorf("/healthz: %d %q", response.Code, response.Body)
	}
	for target, want := range map[string]int{"/other": http.StatusNotFound, "/index.html?name=x": http.StatusNotFound} {
		if response := ask(t, "GET", target); response.Code != want {
			t.Errorf("%s: %d", target, response.Code)
		}
	}
	response := ask(t, "POST", "/")
	if response.Code != http.StatusMethodNotAllowed || !strings.Contains(response.Header().Get("Allow"), "GET") {
		t.Errorf("POST /: %d %v", response.Code, response.Header())
	}
}

func TestEveryAnswerIsLogged(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil)).With("tag", "abc")
	handler := logged(log, greeter("pod-1"))
	for _, target := range []string{"/?name=a%0A%22b", "/nowhere", "/healthz"} {
		request := httptest.NewRequest("GET", target, nil)
		request.Header.Set("X-Forwarded-For", "203.0.113.9")
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), out.String())
	}
	var entries []map[string]any
	for _, line := range lines {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		entries = append(entries, entry)
	}
	for key, want := range map[string]any{
		"msg": "answered", "tag": "abc", "method": "GET", "path": "/", "status": 200.0, "name": "a\n\"b",
		"client": "203.0.113.9", "remote": "192.0.2.1",
	} {
		if entries[0][key] != want {
			t.Errorf("%s: %v, not %v", key, entries[0][key], want)
		}
	}
	if entries[0]["bytes"].(float64) < 40 || entries[1]["status"] != 404.0 || entries[2]["path"] != "/healthz" {
		t.Errorf("%v", entries)
	}
}
