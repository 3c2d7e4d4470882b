// Package database migrates the platform's database while both versions of the
// app use it. A migration is a file of plain SQL, with a number, which says of
// what kind it is, with which versions of the app its result works, and of what
// steps it consists. See Runner for what it does not do to those who read and
// write meanwhile.
package database
