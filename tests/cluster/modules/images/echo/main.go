// Command echo answers every HTTP request with a JSON description of it.
//
// It listens on the port in PORT (8080 when unset), on the families in NETWORK: tcp4, tcp6, or both when
// unset; over TLS when TLS_CERTIFICATE and TLS_KEY name files. `/healthz` answers "ok", and `/slow?ms=N`
// waits N milliseconds before it answers. On SIGTERM it stops accepting and finishes what runs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// answer is what a client reads back.
type answer struct {
	Method     string              `json:"method"`
	Host       string              `json:"host"`
	Path       string              `json:"path"`
	Query      string              `json:"query,omitempty"`
	Proto      string              `json:"proto"`
	Headers    map[string][]string `json:"headers"`
	Pod        string              `json:"pod"`
	Remote     string              `json:"remote"`
	BodyLength int64               `json:"bodyLength"`
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/", echo)
	server := &http.Server{Addr: ":" + port, Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = server.Shutdown(limit)
	}()
	network := os.Getenv("NETWORK")
	if network == "" {
		network = "tcp"
	}
	listener, err := net.Listen(network, server.Addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("echo listens on port %s (%s)", port, network)
	serve := server.Serve
	if certificate := os.Getenv("TLS_CERTIFICATE"); certificate != "" {
		serve = func(listener net.Listener) error {
			return server.ServeTLS(listener, certificate, os.Getenv("TLS_KEY"))
		}
	}
	if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-done
}

func echo(w http.ResponseWriter, r *http.Request) {
	length, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/slow" {
		ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
		if err != nil || ms < 0 {
			http.Error(w, "ms: not a number of milliseconds", http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(answer{
		Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.RawQuery, Proto: r.Proto,
		Headers: r.Header, Pod: os.Getenv("HOSTNAME"), Remote: r.RemoteAddr, BodyLength: length,
	})
}
