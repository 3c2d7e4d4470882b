package control

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// openStream returns once the stream has begun, or was refused.
func openStream(t *testing.T, path string) (*http.Response, net.Conn) {
	t.Helper()
	conn := dial(t, path)
	if _, err := io.WriteString(conn, sent{"GET", "/v1/events", "", ""}.String()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp, conn
}

func TestARollbackGetsThroughHoweverManyStreamsWereForgotten(t *testing.T) {
	sw := newRecorder()
	sw.left = make(chan struct{}, 1000)
	s := start(t, sw, Settings{})
	var conns []net.Conn
	for i := range 300 {
		resp, conn := openStream(t, s.path())
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %s", i, resp.Status)
		}
		conns = append(conns, conn)
	}
	for i := range 300 - defaultMaxConns/2 {
		if _, err := io.Copy(io.Discard, conns[i]); err != nil && !strings.Contains(err.Error(), "reset") { // the oldest have ended
			t.Errorf("stream %d: %v", i, err)
		}
		<-sw.left
	}
	for range 50 { // each with a connection of its own
		c := NewClient(s.path())
		if _, err := c.Services(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Rollback(t.Context(), switcher.RollbackRequest{Request: request("app")}); err != nil {
			t.Fatal(err)
		}
	}
	for update, err := range s.Events(t.Context()) {
		if err != nil || update.Hello == nil {
			t.Error(update, err)
		}
		break
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if n := len(sw.subs); n < defaultMaxConns/2-2 || n > defaultMaxConns/2 {
		t.Errorf("%d streams are open", n)
	}
}

func TestAStreamIsToldBusyWhereNoOtherCanEnd(t *testing.T) {
	s := startHandler(t, Settings{Socket: filepath.Join(openDir(t), "c"), MaxConns: 16}, NewHandler(newRecorder(), nil, nil), nil)
	for range 14 {
		dial(t, s.path()) // and says nothing
	}
	resp, p := raw(t, s.path(), sent{"GET", "/v1/events", "", ""}.String())
	if resp.StatusCode != http.StatusServiceUnavailable || p.Code != CodeBusy || !resp.Close {
		t.Errorf("%s %+v", resp.Status, p)
	}
	if _, err := s.Services(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheStreamThatEndsIsTheOldestOfWhoHasMost(t *testing.T) {
	q := quota{max: 64}
	var ended []int
	opened := 0
	open := func(uid uint32, role Role, n int) (leave func()) {
		t.Helper()
		for range n {
			opened++
			id, ok := opened, false
			if leave, ok = q.enter(uid, role, func() { ended = append(ended, id) }); !ok {
				t.Fatalf("stream %d was refused", id)
			}
		}
		return leave
	}
	wantEnded := func(what string, want ...int) {
		t.Helper()
		if !slices.Equal(ended, want) {
			t.Errorf("%s: %v ended, want %v", what, ended, want)
		}
		ended = nil
	}
	open(1, RoleView, 8)
	wantEnded("half of a user's quarter")
	open(1, RoleFlip, 2)
	wantEnded("more than that", 1, 2)
	leave := open(0, RoleForce, 24) // to 11..34
	wantEnded("half of all")
	open(2, RoleView, 1)
	wantEnded("somebody new", 11)
	open(1, RoleView, 1)
	wantEnded("one's own share", 3)
	open(0, RoleForce, 1)
	wantEnded("who has most", 12)
	leave()
	leave() // once counts
	open(3, RoleView, 1)
	wantEnded("room again")
	if n := len(q.streams); n != 32 {
		t.Error(n)
	}
}

func TestTheLastEighthIsForCommandsOfForce(t *testing.T) {
	q := quota{max: 64}
	for range 56 {
		if _, ok := q.take(0, RoleForce); !ok {
			t.Fatal("refused")
		}
	}
	if _, ok := q.take(1, RoleFlip); ok {
		t.Error("an ordinary connection in the last eighth")
	}
	if _, ok := q.enter(0, RoleForce, nil); !ok {
		t.Error("a stream was refused while there was room")
	}
	if _, ok := q.take(0, RoleForce); !ok {
		t.Error("no room for a command by force")
	}
}
