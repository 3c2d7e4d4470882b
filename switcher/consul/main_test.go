package consul

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/greenroom-proxy/greenroom/switcher/consul/consultest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	consultest.StopShared()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
