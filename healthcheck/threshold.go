package healthcheck

import "time"

// A Threshold turns the answers of one check into a verdict. It is a plain
// value: copy it, read it, keep it. The zero value has the default settings
// and no verdict, and is not healthy.
//
// Rise passes in a row make it healthy; Fall failures in a row make it
// unhealthy; anything else leaves the verdict as it is.
//
// A fall is a change from healthy to unhealthy; failures before the first
// health are none. A fall is a flap if it comes within FlapWindow of the
// previous fall or, if that one was punished, of the end of its hold-down:
// else a hold as long as the window would always buy forgiveness. The first
// flap is punished with a hold-down of HoldMin, each further one with twice
// the last, up to HoldMax; a fall that is no flap costs nothing and starts the
// count anew. The hold-down begins at the fall. During it passes count, but
// the verdict waits: the first pass at or after its end that is at least the
// Rise-th in a row makes it healthy. Failures do not extend it.
type Threshold struct {
	// Settings whose Rise, Fall, HoldMin, HoldMax and FlapWindow decide.
	Settings Settings

	Healthy   bool      // the verdict; false while there is none
	Known     bool      // a verdict was reached at least once
	Since     time.Time // when the verdict last changed; zero while there is none
	Passes    int       // in a row, up to now
	Fails     int       // in a row, up to now
	HeldUntil time.Time // end of the last fall's hold-down, maybe past; zero if it had none
	LastFall  time.Time // zero if it never fell
	Flaps     int       // in a row, up to the last fall
}

// Observe takes the answer of a probe that ended now, and reports whether the
// verdict changed; the first verdict is a change.
func (t *Threshold) Observe(now time.Time, ok bool) (changed bool) {
	settings := t.Settings.WithDefaults()
	if ok {
		t.Passes, t.Fails = t.Passes+1, 0
		if t.Healthy || t.Passes < settings.Rise || now.Before(t.HeldUntil) {
			return false
		}
	} else {
		t.Passes, t.Fails = 0, t.Fails+1
		if t.Known && !t.Healthy || t.Fails < settings.Fall {
			return false
		}
	}
	if t.Healthy {
		t.fall(now, settings)
	}
	t.Healthy, t.Known, t.Since = ok, true, now
	return true
}

// fall decides what a change from healthy to unhealthy costs.
func (t *Threshold) fall(now time.Time, settings Settings) {
	quiet := t.LastFall
	if t.HeldUntil.After(quiet) {
		quiet = t.HeldUntil
	}
	flap := !t.LastFall.IsZero() && now.Sub(quiet) <= settings.FlapWindow
	t.LastFall = now
	if !flap {
		t.Flaps, t.HeldUntil = 0, time.Time{}
		return
	}
	t.Flaps++
	t.HeldUntil = now.Add(settings.hold(t.Flaps))
}

// Held reports that only a hold-down keeps it from being healthy: it has passed
// as often in a row as it must.
func (t *Threshold) Held() bool {
	return !t.Healthy && t.Passes >= t.Settings.WithDefaults().Rise
}

// Needed is how many passes in a row are still needed to be healthy: 0 when it
// is, else at least 1, since after a hold-down it takes one more pass.
func (t *Threshold) Needed() int {
	if t.Healthy {
		return 0
	}
	return max(1, t.Settings.WithDefaults().Rise-t.Passes)
}
