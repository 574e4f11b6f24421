// Package client sends requests through the proxy with Go's net/http and judges bodies by their SHA-256 sums.
//
// The environment says where everything is: ORIGIN, PROXY_HTTP and PROXY_HTTPS are addresses, PROXY_CA is a file with
// the certificate authority; DOWN and UP are the versions on the two sides of the proxy, HTTP/1.1 or HTTP/2.0. The host
// plain.clients.test is served on HTTP, tls.clients.test on HTTPS.
package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	sumField = "X-Content-Sha256"
	idField  = "X-Test-Id"
	// deadline is ten times what the slowest step should take.
	deadline = time.Minute
	// soon is ten times what the proxy leaves a client that may only have ended its own direction, and less than the
	// time for the first byte of a response, after which every request ends.
	soon = 10 * time.Second
)

// route is a client of its own and where it sends its requests.
type route struct {
	*http.Client
	transport *http.Transport
	base      string
}

// overBoth runs a test over plaintext and TLS, each with fresh connections.
func overBoth(t *testing.T, test func(*testing.T, route)) {
	authority, err := os.ReadFile(os.Getenv("PROXY_CA"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("PROXY_CA: no certificate in it")
	}
	for scheme, host := range map[string]string{"http": "plain.clients.test", "https": "tls.clients.test"} {
		t.Run(scheme, func(t *testing.T) {
			address := os.Getenv("PROXY_" + strings.ToUpper(scheme))
			if address == "" {
				t.Fatalf("PROXY_%s: not set", strings.ToUpper(scheme))
			}
			transport := &http.Transport{
				TLSClientConfig:       &tls.Config{RootCAs: roots},
				MaxIdleConnsPerHost:   64,
				Protocols:             protocols(t),
				ExpectContinueTimeout: deadline,
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				},
			}
			t.Cleanup(transport.CloseIdleConnections)
			test(t, route{
				Client:    &http.Client{Transport: transport, Timeout: deadline},
				transport: transport,
				base:      scheme + "://" + host,
			})
		})
	}
}

// protocols are those of the client: one version alone, over plaintext and TLS.
func protocols(t *testing.T) *http.Protocols {
	t.Helper()
	protocols := new(http.Protocols)
	switch down := os.Getenv("DOWN"); down {
	case "HTTP/1.1":
		protocols.SetHTTP1(true)
	case "HTTP/2.0":
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(true)
	default:
		t.Fatalf("DOWN: %q; HTTP/1.1 or HTTP/2.0 is possible", down)
	}
	return protocols
}

// random gives bytes that no run before had, and their sum.
func random(t *testing.T, count int) ([]byte, string) {
	t.Helper()
	data := make([]byte, count)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return data, hex.EncodeToString(sum[:])
}

// onlyReader hides what a reader can do, so that net/http cannot know the length and sends chunks.
type onlyReader struct{ io.Reader }

func (r route) request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequest(method, r.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func (r route) send(t *testing.T, request *http.Request) *http.Response {
	t.Helper()
	response, err := r.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if down := os.Getenv("DOWN"); response.Proto != down {
		t.Errorf("the answer came over %s, not %s", response.Proto, down)
	}
	return response
}

// take reads a response to its end and gives its length and sum.
func take(t *testing.T, response *http.Response) (int64, string) {
	t.Helper()
	sum := sha256.New()
	count, err := io.Copy(sum, response.Body)
	if err != nil {
		t.Fatalf("after %d bytes: %v", count, err)
	}
	return count, hex.EncodeToString(sum.Sum(nil))
}

// digest is what the origin says it received.
type digest struct {
	Method        string
	Proto         string
	Bytes         int64
	Sha256        string
	ContentLength int64
	Expect        string
	Trailers      http.Header
}

func digestOf(t *testing.T, response *http.Response) digest {
	t.Helper()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status: %s", response.Status)
	}
	var received digest
	if err := json.NewDecoder(response.Body).Decode(&received); err != nil {
		t.Fatal(err)
	}
	if up := os.Getenv("UP"); received.Proto != up {
		t.Errorf("the origin was asked over %s, not %s", received.Proto, up)
	}
	// To the end of the response, so that its connection can be used again.
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return received
}

// record is how the origin saw a request with that name end.
type record struct {
	State    string
	Received int64
	Sent     int64
	Times    int
}

// eventually asks the origin itself until the record is as it should be.
func eventually(t *testing.T, id string, within time.Duration, wanted func(record) bool) {
	t.Helper()
	var last string
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		response, err := http.Get(fmt.Sprintf("http://%s/records/%s", os.Getenv("ORIGIN"), id))
		if err != nil {
			t.Fatal(err)
		}
		var seen record
		err = json.NewDecoder(response.Body).Decode(&seen)
		response.Body.Close()
		if response.StatusCode == http.StatusOK && err == nil && wanted(seen) {
			return
		}
		last = fmt.Sprintf("%s %+v", response.Status, seen)
	}
	t.Fatalf("request %s: not as it should be within %s; last seen: %s", id, within, last)
}

func cancelled(it record) bool { return it.State == "cancelled" }
