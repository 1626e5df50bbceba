// Package clients holds the tests with programs in other languages: the examples, each as a
// process against codeferry's own server, a worker and the fake Aliyun; and Aliyun's SDKs for
// Node.js against codeferry sandbox. make clients runs them.
package clients
