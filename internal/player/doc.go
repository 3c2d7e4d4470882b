// Package player has real streams played by real players, for tests: ffmpeg
// encodes them, ffprobe reads them, and hls.js and dash.js play them in headless
// Chromium, sending CMCD.
//
//   - [Start] has streams written to directories, whole or live, and [Publish]
//     copies one to where it shall be served from.
//   - [Play] plays streams and counts stalls, errors and what else a viewer minds.
//   - [Compare] holds a run beside a control run: the same stream, at the same time,
//     on the same machine, from [Files]. A machine that is too busy to play video
//     spoils both, which [Result.Smooth] tells.
//
// Tests that play have InABrowser in their names: "make test" runs them by
// themselves, since they play in real time. They are not run under the race
// detector, with which no machine is fast enough.
//
// It needs ffmpeg, ffprobe, chromium and node on PATH, and the packages of its
// directory browser ("make tools"); what is missing is an error that says so.
package player
