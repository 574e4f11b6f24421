package client

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"
)

func TestUploadsOfKnownLength(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		for _, count := range []int{0, 1, 16_385, 1 << 20, 32 << 20} {
			data, sum := random(t, count)
			received := digestOf(t, r.send(t, r.request(t, "PUT", "/digest", bytes.NewReader(data))))
			if received.Sha256 != sum || received.Method != "PUT" || received.ContentLength != int64(count) {
				t.Errorf("%d bytes with sum %s were sent; the origin received %+v", count, sum, received)
			}
		}
	})
}

func TestUploadsInChunksWithTrailers(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		for _, count := range []int{1, 65_537, 8 << 20} {
			data, sum := random(t, count)
			request := r.request(t, "POST", "/digest", onlyReader{bytes.NewReader(data)})
			request.Trailer = http.Header{sumField: {sum}}
			received := digestOf(t, r.send(t, request))
			if received.Sha256 != sum || received.ContentLength != -1 || received.Trailers.Get(sumField) != sum {
				t.Errorf("%d bytes with sum %s were sent; the origin received %+v", count, sum, received)
			}
		}
	})
}

// The body is sent only once the proxy says 100 (RFC 9110, 10.1.1); the origin need not be asked.
func TestExpectContinue(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		continued := 0
		trace := &httptrace.ClientTrace{Got100Continue: func() { continued++ }}
		data, sum := random(t, 16<<20)
		request := r.request(t, "PUT", "/digest", bytes.NewReader(data))
		request.Header.Set("Expect", "100-continue")
		received := digestOf(t, r.send(t, request.WithContext(httptrace.WithClientTrace(request.Context(), trace))))
		if continued != 1 || received.Sha256 != sum || received.Expect != "" {
			t.Errorf("100 came %d times; the origin received %+v", continued, received)
		}
	})
}

// Each part is sent only when the one before has come back: neither direction waits for the other to end.
func TestBothDirectionsAtOnce(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		reader, writer := io.Pipe()
		defer writer.Close()
		go func() { _, _ = writer.Write([]byte("first")) }()
		response := r.send(t, r.request(t, "POST", "/echo", reader))
		back := make([]byte, 5)
		if _, err := io.ReadFull(response.Body, back); err != nil || string(back) != "first" {
			t.Fatalf("%q: %v", back, err)
		}
		for i := range 50 {
			part, _ := random(t, i*997+1)
			go func() { _, _ = writer.Write(part) }()
			back := make([]byte, len(part))
			if _, err := io.ReadFull(response.Body, back); err != nil || !bytes.Equal(back, part) {
				t.Fatalf("part %d did not come back: %v", i, err)
			}
		}
		writer.Close()
		if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
			t.Fatalf("%d bytes too many: %v", len(rest), err)
		}
	})
}

// An answer that comes before the body was read reaches the client, however much of the body is left.
func TestUploadRefusedEarly(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		data, _ := random(t, 32<<20)
		for i := range 10 {
			response, err := r.Do(r.request(t, "POST", "/refuse", bytes.NewReader(data)))
			if err != nil {
				t.Fatalf("upload %d: %v", i, err)
			}
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != http.StatusRequestEntityTooLarge || err != nil {
				t.Fatalf("upload %d: %s %q: %v", i, response.Status, text, err)
			}
		}
		stillServes(t, r)
	})
}
