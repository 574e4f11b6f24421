package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// sumField carries the SHA-256 sum of the whole content, in hexadecimal.
const sumField = "X-Content-Sha256"

// content is the same in every run: a failure can be run again.
var content = func() []byte {
	pool := make([]byte, 64<<20)
	_, _ = rand.NewChaCha8([32]byte([]byte("portolan: content of the origin."))).Read(pool)
	return pool
}()

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// prefix is as much of the content as the path asks for; nil when it asks for nonsense, which is answered.
func prefix(w http.ResponseWriter, r *http.Request) []byte {
	count, err := strconv.Atoi(r.PathValue("count"))
	if err != nil || count < 0 || count > len(content) {
		http.Error(w, fmt.Sprintf("count: %q; 0 to %d is possible", r.PathValue("count"), len(content)), http.StatusNotFound)
		return nil
	}
	return content[:count:count]
}

// serveBytes answers with a Content-Length, or with a part where the request asks for a range.
func serveBytes(w http.ResponseWriter, r *http.Request) {
	data := prefix(w, r)
	if data == nil {
		return
	}
	w.Header().Set(sumField, sumOf(data))
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// serveAny takes any method, reads the body, and answers with a Content-Length.
func serveAny(w http.ResponseWriter, r *http.Request) {
	data := prefix(w, r)
	if data == nil {
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}

// serveStream answers in chunks of uneven size, with the sum in a trailer.
func serveStream(w http.ResponseWriter, r *http.Request) {
	data := prefix(w, r)
	if data == nil {
		return
	}
	w.Header().Set("Trailer", sumField)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	answer := http.NewResponseController(w)
	for rest, size := data, 1; len(rest) > 0; size = size*3%100_003 + 1 {
		part := rest[:min(size, len(rest))]
		rest = rest[len(part):]
		if _, err := w.Write(part); err != nil {
			return
		}
		if answer.Flush() != nil {
			return
		}
	}
	w.Header().Set(sumField, sumOf(data))
}

// serveEndless answers until the client has gone: what a download that is broken off looks like from here.
func serveEndless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(content[:64<<10]); err != nil {
			return
		}
	}
}

// serveNothing holds its answer back until the client has gone.
func serveNothing(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// serveHints sends 103 (RFC 8297) several times before the answer proper.
func serveHints(w http.ResponseWriter, r *http.Request) {
	count, err := strconv.Atoi(r.PathValue("count"))
	if err != nil || count < 0 || count > 8 {
		http.Error(w, "count: 0 to 8 is possible", http.StatusNotFound)
		return
	}
	for i := range count {
		w.Header().Set("Link", fmt.Sprintf("</style-%d.css>; rel=preload; as=style", i))
		w.WriteHeader(http.StatusEarlyHints)
	}
	w.Header().Del("Link")
	fmt.Fprintln(w, "hints:", count)
}

// serveStatus answers with that status and nothing else.
func serveStatus(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil || code < 200 || code > 599 {
		http.Error(w, "code: 200 to 599 is possible", http.StatusNotFound)
		return
	}
	w.WriteHeader(code)
}
