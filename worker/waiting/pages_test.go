package waiting_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/waiting"
)

// TestPages: whatever the gaps between the messages are, all of them come once, oldest first,
// and no page is larger than it may be.
func TestPages(t *testing.T) {
	t.Parallel()
	r := testrig.New(t)
	stream, err := r.JS.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *waiting.Reader {
		t.Helper()
		reader, err := waiting.Open(t.Context(), r.JS, waiting.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return reader
	}
	if err := open().Pages(t.Context(), waiting.Filter{}, 3, func([]waiting.Message) error { return errors.New("no page") }); err != nil {
		t.Errorf("nothing waits: %v", err)
	}
	var all, shop []string
	for i := range 60 {
		app := []string{"default", "shop"}[i%2]
		id := fmt.Sprintf("id-%02d", i)
		place := publish(t, r, fmt.Sprintf("%s.sms.SignIn.u%d", app, i), code(id, "+8613012345678"))
		if i > 10 && i < 50 && i != 30 { // a wide gap with one message in it
			if err := stream.DeleteMsg(t.Context(), place); err != nil {
				t.Fatal(err)
			}
			continue
		}
		all = append(all, id)
		if app == "shop" {
			shop = append(shop, id)
		}
	}
	reader := open()
	for _, size := range []int{1, 2, 3, 7, 1000} {
		for app, want := range map[string][]string{"": all, "shop": shop, "nobody": nil} {
			var got []string
			if err := reader.Pages(t.Context(), waiting.Filter{App: app}, size, func(page []waiting.Message) error {
				if len(page) == 0 || len(page) > 5*size {
					t.Errorf("a page of size %d has %d messages", size, len(page))
				}
				for _, m := range page {
					got = append(got, m.ID)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("app %q, size %d: got %v, want %v", app, size, got, want)
			}
		}
	}
	enough := errors.New("enough")
	if err := reader.Pages(t.Context(), waiting.Filter{}, 2, func([]waiting.Message) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("an error of the function: got %v", err)
	}
}
