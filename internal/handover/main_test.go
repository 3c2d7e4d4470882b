package handover

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also what a successor runs, in tests of Start.
func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" && os.Getenv(variable) != "" {
		os.Exit(succeed())
	}
	goleak.VerifyTestMain(m)
}

const roleEnv = "GREENROOM_TEST_SUCCESSOR"

// said is what the successor tells of itself.
type said struct {
	Args    []string
	Content string // of what it inherited
	Again   bool   // Inherited is the same when asked twice
	Told    bool   // its own children would think that they are to take over
}

// succeed is the successor: it says what it is, and does as it is told.
func succeed() int {
	p, err := Inherited()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	again, _ := Inherited()
	text := make([]byte, 100)
	n, _ := p.Inherited.ReadAt(text, 0)
	_, told := os.LookupEnv(variable)
	if err := p.Send(said{os.Args, string(text[:n]), again == p, told}, time.Minute); err != nil {
		return 3
	}
	var order string
	if err := p.Receive(&order, time.Minute); err != nil {
		return 4
	}
	switch {
	case order == "hang up":
		_ = p.Close()
		select {}
	case order == "hang":
		select {}
	case strings.HasPrefix(order, "exit"):
		return 7
	}
	return 5
}
