package story_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
	"github.com/greenroom-proxy/greenroom/examples/platform/story"
	"github.com/greenroom-proxy/greenroom/internal/realserver"
)

func TestTheStoryGoesAsItIsToldAndTheViewersNoticeV3Alone(t *testing.T) {
	ports, err := realserver.Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stage.Start(t.Context(), stage.Config{
		Dir: t.TempDir(), Example: "..", Edge: fmt.Sprintf("localhost:%d", ports[0]),
		Greenroom: fixture.Program(t, "greenroom", "../../.."), Platform: fixture.Program(t, "platform", ".."),
	})
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	report, err := story.Tell(t.Context(), s, &told)
	if err != nil {
		t.Errorf("%v\n%s", err, told.String())
	}
	if v3 := report.Catalog["blue"].Failed; v3 == 0 || report.Segments == 0 || report.Again == 0 {
		t.Errorf("%d errors of v3, %d segments, %d connected again: nothing was shown", v3, report.Segments, report.Again)
	}
	if why := "blue is worse than green: errors"; !strings.Contains(told.String(), why) {
		t.Errorf("the story does not say %q:\n%s", why, told.String())
	}
	if err := s.Ended(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(s.Dir)
	if err != nil || len(left) != 1 || left[0].Name() != "logs" {
		t.Errorf("a stage that is closed has left %v, %v", left, err)
	}
	t.Logf("%+v", report)
}
