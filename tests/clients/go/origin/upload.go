package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
)

// digest is what the origin received of one request.
type digest struct {
	Method        string      `json:"method"`
	Proto         string      `json:"proto"`
	Bytes         int64       `json:"bytes"`
	Sha256        string      `json:"sha256"`
	ContentLength int64       `json:"contentLength"` // -1 when the body came in chunks
	Expect        string      `json:"expect"`
	Trailers      http.Header `json:"trailers"`
}

// takeDigest reads the body to its end and tells what it was.
func takeDigest(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	count, err := io.Copy(sum, r.Body)
	if err != nil {
		// The client did not send all that it announced: there is no client to answer.
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(digest{
		Method:        r.Method,
		Proto:         r.Proto,
		Bytes:         count,
		Sha256:        hex.EncodeToString(sum.Sum(nil)),
		ContentLength: r.ContentLength,
		Expect:        r.Header.Get("Expect"),
		Trailers:      r.Trailer,
	})
}

// takeEcho answers with the body while it still comes.
func takeEcho(w http.ResponseWriter, r *http.Request) {
	answer := http.NewResponseController(w)
	if err := answer.EnableFullDuplex(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	buffer := make([]byte, 32<<10)
	for {
		count, err := r.Body.Read(buffer)
		if count > 0 {
			if _, failed := w.Write(buffer[:count]); failed != nil {
				return
			}
			if answer.Flush() != nil {
				return
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return
		default:
			panic(http.ErrAbortHandler)
		}
	}
}

// refuse answers without reading the body.
func refuse(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "no body is wanted here", http.StatusRequestEntityTooLarge)
}
