// Package schema is the gate that keeps a database's schema within what both
// colors can work with, so that after the cutover there is still a way back. It
// is the only package that knows PostgreSQL.
//
// A color declares the versions that it works with as a range, both ends
// included: in the config, in the metadata of its upstreams, by an HTTP path that
// each of them answers, or several of these; then the narrowest counts. The
// version that is in force comes from a Reader.
package schema
