package main

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// idField names a request, so that its end can be asked for.
const idField = "X-Test-Id"

// record is how far one named request has come.
type record struct {
	// State is "open", then "done" when the answer was given whole, or "cancelled" when the client went away before.
	State string `json:"state"`
	// Received counts the bytes of the request's body.
	Received int64 `json:"received"`
	// Sent counts the bytes of the response's body.
	Sent int64 `json:"sent"`
	// Times counts the requests of that name: more than one was sent twice.
	Times int `json:"times"`
}

type records struct {
	mutex sync.Mutex
	byID  map[string]*record
}

func newRecords() *records { return &records{byID: map[string]*record{}} }

func (rs *records) update(id string, change func(*record)) {
	rs.mutex.Lock()
	defer rs.mutex.Unlock()
	found, ok := rs.byID[id]
	if !ok {
		found = &record{}
		rs.byID[id] = found
	}
	change(found)
}

// recorded follows each request that has a name.
func (rs *records) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(idField)
		if id == "" {
			next.ServeHTTP(w, r)
			return
		}
		rs.update(id, func(it *record) { it.State = "open"; it.Times++ })
		state := "cancelled"
		defer func() { rs.update(id, func(it *record) { it.State = state }) }()
		r.Body = &countedBody{ReadCloser: r.Body, count: func(n int) {
			rs.update(id, func(it *record) { it.Received += int64(n) })
		}}
		next.ServeHTTP(&countedAnswer{ResponseWriter: w, count: func(n int) {
			rs.update(id, func(it *record) { it.Sent += int64(n) })
		}}, r)
		if r.Context().Err() == nil {
			state = "done"
		}
	})
}

// tell answers with the record of one name, or 404 when no such request has come.
func (rs *records) tell(w http.ResponseWriter, r *http.Request) {
	rs.mutex.Lock()
	found, ok := rs.byID[r.PathValue("id")]
	var copied record
	if ok {
		copied = *found
	}
	rs.mutex.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(copied)
}

type countedBody struct {
	io.ReadCloser
	count func(int)
}

func (b *countedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	b.count(n)
	return n, err
}

type countedAnswer struct {
	http.ResponseWriter
	count func(int)
}

func (a *countedAnswer) Write(data []byte) (int, error) {
	n, err := a.ResponseWriter.Write(data)
	a.count(n)
	return n, err
}

// Unwrap lets http.ResponseController find what the server offers.
func (a *countedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
