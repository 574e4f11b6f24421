// Command origin is what stands behind the proxy when real clients are tested: Go's own server, which speaks all of
// HTTP/1.1 and, by prior knowledge, HTTP/2, with answers that carry SHA-256 sums and a memory of how each named request
// ended.
//
// It prints its address as its first line, and ends when its standard input does, so that it never outlives a test.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	server := &http.Server{Handler: routes(newRecords()), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	log.Fatal(server.Serve(listener))
}

func routes(records *records) http.Handler {
	answers := http.NewServeMux()
	// Content with its sum in a field, or in a trailer where the length is not known in advance.
	answers.HandleFunc("GET /bytes/{count}", serveBytes)
	answers.HandleFunc("/any/{count}", serveAny)
	answers.HandleFunc("GET /stream/{count}", serveStream)
	answers.HandleFunc("GET /endless", serveEndless)
	answers.HandleFunc("GET /nothing", serveNothing)
	answers.HandleFunc("GET /hints/{count}", serveHints)
	answers.HandleFunc("GET /status/{code}", serveStatus)
	// A description of what was received.
	answers.HandleFunc("/digest", takeDigest)
	answers.HandleFunc("POST /echo", takeEcho)
	answers.HandleFunc("/refuse", refuse)

	all := http.NewServeMux()
	all.Handle("/", records.recorded(answers))
	all.HandleFunc("GET /records/{id}", records.tell)
	return all
}
