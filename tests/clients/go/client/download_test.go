package client

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"testing"
)

func TestDownloadsOfKnownLength(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		for _, count := range []int64{0, 1, 16_383, 16_384, 16_385, 1 << 20, 32 << 20} {
			response := r.send(t, r.request(t, "GET", fmt.Sprintf("/bytes/%d", count), nil))
			got, sum := take(t, response)
			if got != count || response.ContentLength != count || sum != response.Header.Get(sumField) {
				t.Errorf("%d bytes asked for, %d announced, %d came, sum %s", count, response.ContentLength, got, sum)
			}
		}
	})
}

func TestDownloadsInChunksWithTrailers(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		for _, count := range []int64{0, 1, 65_537, 8 << 20} {
			response := r.send(t, r.request(t, "GET", fmt.Sprintf("/stream/%d", count), nil))
			got, sum := take(t, response)
			if got != count || response.ContentLength != -1 || sum != response.Trailer.Get(sumField) {
				t.Errorf("%d bytes asked for, %d came, sum %s, trailers %v", count, got, sum, response.Trailer)
			}
		}
	})
}

func TestRanges(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		request := r.request(t, "GET", "/bytes/100000", nil)
		request.Header.Set("Range", "bytes=99000-")
		response := r.send(t, request)
		got, _ := take(t, response)
		if response.StatusCode != http.StatusPartialContent || got != 1000 {
			t.Errorf("%s with %d bytes", response.Status, got)
		}
		if is := response.Header.Get("Content-Range"); is != "bytes 99000-99999/100000" {
			t.Errorf("Content-Range: %q", is)
		}
	})
}

// The next response on the same connection shows that no hop expected a body (RFC 9110, 6.4.1).
func TestResponsesWithoutABody(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		for _, it := range []struct {
			method, path string
			status       int
		}{
			{"HEAD", "/bytes/100000", 200},
			{"HEAD", "/stream/100000", 200},
			{"GET", "/status/204", 204},
			{"GET", "/status/304", 304},
		} {
			response := r.send(t, r.request(t, it.method, it.path, nil))
			got, _ := take(t, response)
			if response.StatusCode != it.status || got != 0 {
				t.Errorf("%s %s: %s with %d bytes", it.method, it.path, response.Status, got)
			}
			after := r.send(t, r.request(t, "GET", "/bytes/100", nil))
			if _, sum := take(t, after); sum != after.Header.Get(sumField) {
				t.Errorf("after %s %s: sum %s", it.method, it.path, sum)
			}
		}
	})
}

func TestInterimResponses(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		var links []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			links = append(links, fmt.Sprintf("%d %s", code, header.Get("Link")))
			return nil
		}}
		request := r.request(t, "GET", "/hints/3", nil)
		response := r.send(t, request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
		if response.StatusCode != http.StatusOK || response.Header.Get("Link") != "" {
			t.Errorf("%s, Link %q", response.Status, response.Header.Get("Link"))
		}
		want := "[103 </style-0.css>; rel=preload; as=style 103 </style-1.css>; rel=preload; as=style 103 </style-2.css>; rel=preload; as=style]"
		if is := fmt.Sprint(links); is != want {
			t.Errorf("interim responses: %s", is)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		connections := 0
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				connections++
			}
		}}
		for i := range 200 {
			path := fmt.Sprintf("/bytes/%d", i*37)
			if i%2 == 1 {
				path = fmt.Sprintf("/stream/%d", i*37)
			}
			request := r.request(t, "GET", path, nil)
			response := r.send(t, request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
			if _, sum := take(t, response); sum != response.Header.Get(sumField)+response.Trailer.Get(sumField) {
				t.Fatalf("%s: sum %s", path, sum)
			}
		}
		if connections != 1 {
			t.Errorf("200 requests took %d connections", connections)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		var all sync.WaitGroup
		for worker := range 16 {
			all.Go(func() {
				for i := range 40 {
					count := (worker*40+i)*1_117%300_000 + 1
					response, err := r.Get(fmt.Sprintf("%s/bytes/%d", r.base, count))
					if err != nil {
						t.Error(err)
						return
					}
					got, sum := take(t, response)
					response.Body.Close()
					if got != int64(count) || sum != response.Header.Get(sumField) {
						t.Errorf("%d bytes asked for, %d came, sum %s", count, got, sum)
					}
				}
			})
		}
		all.Wait()
	})
}
