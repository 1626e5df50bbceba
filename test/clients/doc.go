// Package clients holds the tests of the examples for other languages: each runs as a process
// against codeferry's own server, a worker and the fake Aliyun. make clients runs them.
package clients
