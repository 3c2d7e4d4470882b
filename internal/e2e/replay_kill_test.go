package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// taker, in the environment, makes this test binary an upstream that takes
// uploads: see newTaker.
const taker = "GREENROOM_E2E_TAKER"

func init() {
	if os.Getenv(taker) != "" {
		fmt.Fprintln(os.Stderr, take())
		os.Exit(1)
	}
}

// take prints its address, and then the path of each upload of which it has
// read the first X-Half bytes; it answers with the sum of the whole.
func take() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			return
		}
		var half int64
		_, _ = fmt.Sscan(r.Header.Get("X-Half"), &half)
		h := sha256.New()
		_, _ = io.CopyN(h, r.Body, half)
		fmt.Println(r.URL.Path)
		if _, err := io.Copy(h, r.Body); err == nil {
			fmt.Fprintf(w, "%x", h.Sum(nil))
		}
	}))
}

// process is an upstream in a process of its own.
type process struct {
	*exec.Cmd
	address string
	halves  chan string // the paths of uploads that are half here
}

func newTaker(t *testing.T) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), halves: make(chan string, 1000)}
	p.Env = append(os.Environ(), taker+"=1")
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		p.address = lines.Text()
	}
	go func() {
		for lines.Scan() {
			p.halves <- lines.Text()
		}
		close(p.halves)
	}()
	return p
}

func TestAnUpstreamKilledInTheMiddleOfUploadsCostsNoPUTAndDoublesNoPOST(t *testing.T) {
	upstreams := []*process{newTaker(t), newTaker(t), newTaker(t)}
	e := newEdge(t, fmt.Sprintf(`
		service app {
			blue %s %s %s
			green %[1]s
			health http /healthz {
				interval 100ms
			}
			retries_per_second 1000
			replay {
				memory 16KiB
				disk 1MiB
			}
		}`, upstreams[0].address, upstreams[1].address, upstreams[2].address))
	e.start()
	e.healthy()

	const uploads = 48
	body, killed := film(200_000), make(chan struct{})
	answers := make(map[string]string)
	var mu sync.Mutex
	var group sync.WaitGroup
	at := make(map[string][]int) // the upstreams that half of an upload came to
	for n := range uploads {
		method := http.MethodPut
		if n >= uploads/2 { // these come when all PUTs are half there, and so everywhere too
			method = http.MethodPost
		}
		path := fmt.Sprintf("/%s/%d", method, n)
		group.Go(func() {
			answer := halting(t, e, method, path, body, killed)
			mu.Lock()
			answers[path] = answer
			mu.Unlock()
		})
		if n == uploads/2-1 || n == uploads-1 {
			for range uploads / 2 {
				path, where := half(upstreams)
				at[path] = append(at[path], where)
			}
		}
	}
	if err := upstreams[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	close(killed)
	group.Wait()
	for n, p := range upstreams {
		_ = p.Process.Kill()
		for path := range p.halves {
			at[path] = append(at[path], n)
		}
	}
	judgeUploads(t, answers, at, fmt.Sprintf("%x", sha256.Sum256(body)))
	if t.Failed() {
		e.explain()
	}
}

// judgeUploads wants what was at the first upstream, which was killed, to be
// answered by another, or not at all, and everything to have come no more often
// than that.
func judgeUploads(t *testing.T, answers map[string]string, at map[string][]int, sum string) {
	t.Helper()
	replayed, refused := 0, 0
	for path, answer := range answers {
		lost, comes, want := at[path][0] == 0, 1, "200 "+sum
		switch {
		case lost && strings.HasPrefix(path, "/PUT"):
			replayed++
			comes = 2
		case lost:
			refused++
			want = "502 "
		}
		if answer != want || len(at[path]) != comes {
			t.Errorf("%s, at upstreams %v: %s, want %s", path, at[path], answer, want)
		}
	}
	if replayed == 0 || refused == 0 {
		t.Errorf("%d PUTs and %d POSTs were at the upstream that was killed", replayed, refused)
	}
	t.Logf("%d of %d uploads were sent again, %d refused", replayed, len(answers), refused)
}

// half waits for the next upload of which half is at one of three upstreams.
func half(upstreams []*process) (path string, where int) {
	select {
	case path = <-upstreams[0].halves:
		return path, 0
	case path = <-upstreams[1].halves:
		return path, 1
	case path = <-upstreams[2].halves:
		return path, 2
	}
}

// halting sends half of body, the rest when goes is closed, and returns the
// answer.
func halting(t *testing.T, e *edge, method, path string, body []byte, goes <-chan struct{}) string {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	half := len(body) / 2
	pr, pw := io.Pipe()
	defer pr.Close()
	go func() {
		_, _ = pw.Write(body[:half])
		<-goes
		_, _ = pw.Write(body[half:])
		pw.Close()
	}()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+e.http+path, pr)
	if err != nil {
		return err.Error()
	}
	r.Header.Set("X-Half", fmt.Sprint(half))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, text)
}
