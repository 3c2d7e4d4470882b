// Package viewers has the test of the whole platform: people in front of it, in
// Chromium, while the app and its schema change behind it. It has no code of its
// own. view.mjs is the viewers, and page.mjs what they have their pages run.
//
//	go test -run InABrowser -v ./viewers
//
// It needs what "make tools" of the repository gets. PLATFORM_SCREENSHOT is a
// file to which it writes a picture of the page, a JPEG, towards the end.
package viewers
