// Package e2e tests the greenroom binary as its users run it: as a process,
// with real configs, sockets, signals and files. Under the race detector the
// binary is built with it too, and a race in it fails the test.
package e2e
