// Package fakes holds the providers' fakes. Each accepts only what the real provider accepts,
// keeps it, and refuses everything else with the real provider's errors:
//
//	aliyun    DirectMail, SMS and phone number verification; the sandbox command serves it
//	sendgrid  SendGrid's mail API
//	ses       Amazon SES's API, version 2
//	smtp      a mail server
//	faulty    a server of any protocol that cuts, stalls or answers as a test asks
//
// Tests, the sandbox and dev commands, the bench command and the fault plans all use these.
package fakes
