package aliyun_test

import (
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// TestRotationUnderLoad changes the file with the keys while hundreds of messages are
// sent. No message fails, not even while the file is half written, and the last messages
// have the new keys.
func TestRotationUnderLoad(t *testing.T) {
	const senders = 100
	texts := []string{
		`{"accessKeyId":"` + fakealiyun.DefaultKeyID + `","accessKeySecret":"` + fakealiyun.DefaultKeySecret + `"}`,
		`{"accessKeyId":"next-id","accessKeySecret":"next-secret"}`,
	}
	path := writeFile(t, "keys.json", texts[0])
	var used [2]atomic.Int64
	srv := faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		for i, secret := range []string{fakealiyun.DefaultKeySecret, "next-secret"} {
			if q.Get("AccessKeyId") == []string{fakealiyun.DefaultKeyID, "next-id"}[i] && q.Get("Signature") == signature(q, r.Form, secret) {
				used[i].Add(1)
				answerJSON(w, http.StatusOK, map[string]string{"Code": "OK"})
				return
			}
		}
		answerJSON(w, http.StatusBadRequest, map[string]string{"Code": "SignatureDoesNotMatch"})
	})
	c := newClient(t, with(srv.Endpoint, aliyun.Credentials{Type: aliyun.File, Path: sender.FilePath(path)}))
	var late atomic.Int64 // each read of the clock advances it by a second
	start := time.Now()
	c.SetClock(func() time.Time { return start.Add(time.Duration(late.Add(1)) * time.Second) })
	if err := send(t.Context(), c, form(phone)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for {
				if err := send(t.Context(), c, form(phone)); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	sent := func() int64 { return used[0].Load() + used[1].Load() }
	for i := range 20 {
		text := texts[(i+1)%2]
		if i%2 == 0 { // by rename, and in place with a pause in its middle
			next := path + ".next"
			if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, path); err != nil {
				t.Fatal(err)
			}
		} else {
			write(text[:len(text)/2])
		}
		for n := sent(); sent() < n+senders/4 && !t.Failed(); {
			if err := send(t.Context(), c, form(phone)); err != nil {
				t.Error(err)
			}
		}
		write(text)
	}
	write(texts[1])
	close(stop)
	all.Wait()
	before := used[1].Load()
	if err := send(t.Context(), c, form(phone)); err != nil || used[1].Load() != before+1 {
		t.Errorf("the last message does not have the last keys: %v", err)
	}
	if used[0].Load() == 0 || before == 0 {
		t.Errorf("%d and %d messages with each pair", used[0].Load(), before)
	}
}

// TestRefusedKeysAreAskedForAgain: the message fails and is not sent again. The next
// message has new keys.
func TestRefusedKeysAreAskedForAgain(t *testing.T) {
	bare(t)
	for _, code := range []string{"InvalidAccessKeyId.NotFound", "InvalidSecurityToken.Expired", "SignatureDoesNotMatch", "Forbidden.RAM"} {
		t.Run(code, func(t *testing.T) {
			sts := anSTS(t)
			answers := 0
			srv := faulty.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if answers++; answers == 2 {
					answerJSON(w, http.StatusForbidden, map[string]string{"Code": code})
					return
				}
				answerJSON(w, http.StatusOK, map[string]string{"Code": "OK"})
			})
			a := options(srv.Endpoint)
			a.Credentials = aliyun.Credentials{Type: aliyun.RAMRoleARN, RoleArn: roleArn, STSEndpoint: sts.Endpoint}
			c := newClient(t, a)
			for i, fails := range []bool{false, true, false, false} {
				if err := send(t.Context(), c, form(phone)); (err != nil) != fails {
					t.Errorf("message %d: %v", i, err)
				}
			}
			want := 2
			if code == "Forbidden.RAM" {
				want = 1 // new keys would have the same permissions
			}
			if n := len(sts.Requests()); n != want || len(srv.Requests()) != 4 {
				t.Errorf("STS was asked %d times, %d messages left; want %d and 4", n, len(srv.Requests()), want)
			}
		})
	}
}
