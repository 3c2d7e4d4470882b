package compare

// OctaveOf is the row of TookOf that a bucket is counted in.
var OctaveOf = octaveOf
