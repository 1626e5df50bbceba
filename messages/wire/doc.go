// Package wire is for workers, operators' commands and tools. It adds to package
// [github.com/codeferry/codeferry/messages] the definitions of the streams and consumers,
// the other subjects and headers, and functions that read a message, open a sealed one, and
// ask an auth service for a new code. Publishers and listeners do not need it.
//
// docs/wire.md describes the format, which does not change within a major version. The Go
// names of this package can change in any release: the promise of package messages does not
// cover them.
package wire
