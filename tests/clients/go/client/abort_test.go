package client

import (
	"context"
	"fmt"
	"io"
	"testing"
)

// abandon sends a request, and cancels it once the origin is as far as it should be.
func abandon(t *testing.T, r route, id, method, path string, body io.Reader, far func(record) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	request := r.request(t, method, path, body).WithContext(ctx)
	request.Header.Set(idField, id)
	ended := make(chan error)
	go func() {
		response, err := r.Do(request)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		ended <- err
	}()
	eventually(t, id, deadline, far)
	cancel()
	if err := <-ended; err == nil {
		t.Errorf("%s %s ended well although it was cancelled", method, path)
	}
	eventually(t, id, soon, func(it record) bool { return cancelled(it) && it.Times == 1 })
}

func abortID(r route, name string) string { return fmt.Sprintf("go-%s-%s", name, r.base[:5]) }

func TestAbandonedDownloadIsCancelledAtTheOrigin(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		abandon(t, r, abortID(r, "download"), "GET", "/endless", nil, func(it record) bool { return it.Sent > 4<<20 })
		stillServes(t, r)
	})
}

func TestAbandonedUploadIsCancelledAtTheOrigin(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		reader, writer := io.Pipe()
		defer writer.Close()
		go func() {
			part := make([]byte, 64<<10)
			for {
				if _, err := writer.Write(part); err != nil {
					return
				}
			}
		}()
		abandon(t, r, abortID(r, "upload"), "PUT", "/digest", reader, func(it record) bool { return it.Received > 1<<20 })
		stillServes(t, r)
	})
}

// Closing sends no more than a half-close would, as long as nothing has come that would be left unread: the proxy waits
// a moment for an answer that may still be wanted.
func TestAbandonedWaitIsCancelledAtTheOrigin(t *testing.T) {
	overBoth(t, func(t *testing.T, r route) {
		abandon(t, r, abortID(r, "waiting"), "GET", "/nothing", nil, func(it record) bool { return it.State == "open" })
		stillServes(t, r)
	})
}

func stillServes(t *testing.T, r route) {
	t.Helper()
	response := r.send(t, r.request(t, "GET", "/bytes/1000", nil))
	if _, sum := take(t, response); sum != response.Header.Get(sumField) {
		t.Errorf("afterwards: sum %s", sum)
	}
}
