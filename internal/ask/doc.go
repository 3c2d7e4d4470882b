// Package ask sends the few requests by which an edge asks others before it
// moves traffic: an upstream itself, past its pool, or a server by its URL. What
// comes back is bounded, no redirect is followed, and what is shown of an answer
// is one printable line.
package ask
