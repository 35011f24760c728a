package main

import (
	"log/slog"
	"net/http"
	"time"
)

// logged logs every answer of a handler.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		answer := &answer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		attributes := []slog.Attr{
			slog.String("method", r.Method),
			slog.String("path", r.URL.Path),
			slog.Int("status", answer.status),
			slog.Int("bytes", answer.bytes),
			slog.Float64("ms", float64(time.Since(begin).Microseconds())/1000),
			slog.String("client", client(r)),
			slog.String("remote", remote(r)),
			slog.String("agent", r.UserAgent()),
		}
		if name := name(r); name != "" {
			attributes = append(attributes, slog.String("name", name))
		}
		log.LogAttrs(r.Context(), slog.LevelInfo, "answered", attributes...)
	})
}

// answer remembers what a handler has answered.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(data []byte) (int, error) {
	written, err := a.ResponseWriter.Write(data)
	a.bytes += written
	return written, err
}
