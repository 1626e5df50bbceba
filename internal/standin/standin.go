// Package standin is what stands in for a provider of email in tests: SendGrid,
// Amazon SES and an SMTP server. Each takes only what the real one takes, keeps
// what it took, and refuses as the real one does. Aliyun's stand-in is the
// sandbox.
//
// The stand-ins for APIs are http.Handlers: serve them with net/http, on whatever
// address.
package standin
