// Package handover moves a server from one process to the next without closing
// its door: both listen on the same addresses, and the kernel is told which of
// them gets what is new.
//
// The old process starts the new one (Start) after it has told the kernel to
// keep sending everything to itself (Steer 0). The new one (Inherited) binds the
// same addresses with SO_REUSEPORT, makes ready, and says so. What then belongs
// to only one of them is handed over in a conversation that the two have over a
// pair of connected sockets (Conn); at its end the new one has everything that is
// new sent to itself (Steer), while the old one still accepts what had come to it
// before, and then closes.
package handover
