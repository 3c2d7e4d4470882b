package file

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// The test binary is its own child: with childDir set, it saves generations
// into that directory until it is killed, and with childStep set, it kills
// itself after that step of its second save.
const (
	childDir  = "GREENROOM_TEST_CHILD_DIR"
	childStep = "GREENROOM_TEST_CHILD_STEP"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := saveForever(dir, os.Getenv(childStep)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// saveForever prints each generation once it is acknowledged.
func saveForever(dir, dieAfter string) error {
	s, err := OpenStore(dir)
	if err != nil {
		return err
	}
	generation, err := loadedGeneration(s)
	if err != nil {
		return err
	}
	for saves := 1; ; saves++ {
		if saves == 2 && dieAfter != "" {
			s.after = func(step string) {
				if step == dieAfter {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			}
		}
		generation++
		if err := s.Save(context.Background(), stateAt(generation)); err != nil {
			return err
		}
		if _, err := fmt.Println(generation); err != nil {
			return err
		}
	}
}

// TestAKilledProcessLosesNothingItAcknowledged kills at random moments.
func TestAKilledProcessLosesNothingItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(3, 4))
	last := uint64(0)
	for round := range 50 {
		acknowledged := runChild(t, dir, "", func(acks *bufio.Scanner, kill func()) uint64 {
			seen := readAcks(acks, 1+random.IntN(8))
			for range random.IntN(3000) {
				runtime.Gosched()
			}
			kill()
			return max(seen, readAcks(acks, -1))
		})
		last = wantAtLeast(t, dir, max(last, acknowledged), fmt.Sprint("round ", round))
	}
}

// TestAProcessMayDieAfterEachStepOfASave kills at each moment that matters.
func TestAProcessMayDieAfterEachStepOfASave(t *testing.T) {
	for _, step := range []string{"created", "unsynced", "written", "linked", "kept", "renamed", "synced"} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			for range 3 { // what one left must not hurt the next
				acknowledged := runChild(t, dir, step, func(acks *bufio.Scanner, _ func()) uint64 { return readAcks(acks, -1) })
				if acknowledged == 0 {
					t.Fatal("the child died before its first save")
				}
				wantAtLeast(t, dir, acknowledged, step)
			}
		})
	}
}

// runChild returns what use returns, after the child has died.
func runChild(t *testing.T, dir, step string, use func(acks *bufio.Scanner, kill func()) uint64) uint64 {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir, childStep+"="+step)
	var complaint strings.Builder
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := use(bufio.NewScanner(io.Reader(out)), func() { _ = child.Process.Kill() })
	_ = child.Wait() // it was killed
	if complaint.Len() > 0 {
		t.Fatalf("the child says: %s", complaint.String())
	}
	return acknowledged
}

// readAcks reads so many acknowledgements, all of them if n is negative, and
// returns the last.
func readAcks(acks *bufio.Scanner, n int) (last uint64) {
	for ; n != 0 && acks.Scan(); n-- {
		generation, err := strconv.ParseUint(acks.Text(), 10, 64)
		if err != nil {
			break // torn by the kill
		}
		last = generation
	}
	return last
}

// wantAtLeast wants a whole state without any error, since at every instant
// the current document is in place.
func wantAtLeast(t *testing.T, dir string, acknowledged uint64, when string) uint64 {
	t.Helper()
	s := openStore(t, dir)
	defer closeStore(t, s)
	generation, err := loadedGeneration(s)
	if err != nil || generation < acknowledged || generation > acknowledged+1 {
		t.Fatalf("%s: loaded generation %d after %d was acknowledged, %v", when, generation, acknowledged, err)
	}
	return generation
}

func TestASecondProcessIsToldThePidOfTheFirst(t *testing.T) {
	dir := t.TempDir()
	runChild(t, dir, "", func(acks *bufio.Scanner, kill func()) uint64 {
		readAcks(acks, 1)
		pid := strings.TrimSpace(get(t, dir+"/lock"))
		_, err := OpenStore(dir)
		kill()
		if err == nil || pid == "" || !strings.Contains(err.Error(), "is in use by process "+pid+", which holds "+dir+"/lock") {
			t.Errorf("with pid %q: %v", pid, err)
		}
		return readAcks(acks, -1)
	})
	openStore(t, dir)
}
